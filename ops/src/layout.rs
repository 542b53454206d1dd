//! Images with their channels first, as PyTorch has them, and last, as everything here has them; part of no graph.

use crate::parallel::{CHUNK, unwritten};
use crate::tensors::{Reading, on_kernels, tensor};
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// `(batch, height, width, channels)` as `(batch, channels, height, width)`.
pub fn channels_first(x: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let x = x.detach();
    if !on_kernels(&[&x]) {
        return x.permute((0, 3, 1, 2))?.contiguous();
    }
    turned(&x, h * w, c, (n, c, h, w))
}

/// `(batch, channels, height, width)` as `(batch, height, width, channels)`.
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let x = x.detach();
    if !on_kernels(&[&x]) {
        return x.permute((0, 2, 3, 1))?.contiguous();
    }
    turned(&x, c, h * w, (n, h, w, c))
}

/// Each of the matrices of `rows` x `columns` transposed.
fn turned(
    x: &Tensor,
    rows: usize,
    columns: usize,
    shape: (usize, usize, usize, usize),
) -> Result<Tensor> {
    let x = x.contiguous()?;
    let reading = Reading::of(&x);
    let xs = reading.slice::<f32>()?;
    let one = rows * columns;
    // SAFETY: `turn` writes its matrices whole.
    let mut y = unsafe { unwritten::<f32>(xs.len()) };
    if one > 0 {
        let some = one * (CHUNK / one).max(1);
        y.par_chunks_mut(some)
            .zip(xs.par_chunks(some))
            .for_each(|(y, x)| {
                for (y, x) in y.chunks_exact_mut(one).zip(x.chunks_exact(one)) {
                    turn(x, rows, columns, y);
                }
            });
    }
    tensor(y, shape)
}

/// Block by block, so that no line of the cache is fetched twice.
fn turn(x: &[f32], rows: usize, columns: usize, y: &mut [f32]) {
    const SIDE: usize = 16;
    for from in (0..columns).step_by(SIDE) {
        let block = from..(from + SIDE).min(columns);
        for top in (0..rows).step_by(SIDE) {
            let n = SIDE.min(rows - top);
            for column in block.clone() {
                let x = x[top * columns + column..].iter().step_by(columns);
                for (y, x) in y[column * rows + top..][..n].iter_mut().zip(x) {
                    *y = *x;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normal, wide};

    #[test]
    fn both_ways_move_every_number_to_its_place() {
        for shape in [[2, 3, 5, 7], [1, 17, 1, 16], [3, 4, 40, 33], [0, 2, 2, 2]] {
            let x = normal("x", &shape);
            let first = channels_first(&x).unwrap();
            let expected = wide(&x).permute((0, 3, 1, 2)).unwrap();
            assert_eq!(first.dims(), expected.dims());
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            assert_eq!(flat(&wide(&first)), flat(&expected.contiguous().unwrap()));
            let back = channels_last(&first).unwrap();
            assert_eq!(flat(&wide(&back)), flat(&wide(&x)));
            // What is not laid out in order, and another type.
            let strided = channels_last(&x.permute((0, 3, 1, 2)).unwrap()).unwrap();
            assert_eq!(flat(&wide(&strided)), flat(&wide(&x)));
            let exact = channels_first(&wide(&x)).unwrap();
            assert_eq!(flat(&exact), flat(&wide(&first)));
        }
    }
}
