//! The mean and the variance of a whole domain from those of its batches.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use crate::Result;
use crate::nn::Param;

/// How batch norm's statistics are called, as in PyTorch: the mean, and the variance beside it.
const NAMES: [&str; 2] = ["running_mean", "running_var"];

/// Rows in batches of a size, the last with one row more rather than one row alone: one row has no variance.
pub(super) fn batches(rows: &[u32], size: usize) -> Vec<&[u32]> {
    let mut all: Vec<&[u32]> = rows.chunks(size).collect();
    if let [.., before, [_]] = all[..] {
        all.truncate(all.len() - 2);
        all.push(&rows[rows.len() - before.len() - 1..]);
    }
    all
}

/// What batch norms saw of each batch.
pub(super) struct Moments {
    /// Mean and variance of each norm; a statistic of another name stands alone.
    of: Vec<(Param, Option<Param>)>,
    /// Sums over rows: of the means; of the variances, and of the squares of the means beside them.
    sums: Vec<[Option<Tensor>; 2]>,
    rows: f64,
}

impl Moments {
    pub fn of(statistics: &[Param]) -> Self {
        let by_name: BTreeMap<&str, &Param> = statistics.iter().map(|p| (p.name(), p)).collect();
        let variance = |p: &Param| {
            let place = p.name().strip_suffix(NAMES[0])?;
            by_name
                .get(format!("{place}{}", NAMES[1]).as_str())
                .copied()
        };
        let is_beside = |p: &Param| {
            let place = p.name().strip_suffix(NAMES[1]);
            place.is_some_and(|place| by_name.contains_key(format!("{place}{}", NAMES[0]).as_str()))
        };
        let of: Vec<(Param, Option<Param>)> = statistics
            .iter()
            .filter(|p| !is_beside(p))
            .map(|p| (p.clone(), variance(p).cloned()))
            .collect();
        Moments {
            sums: vec![[None, None]; of.len()],
            of,
            rows: 0.0,
        }
    }

    /// A batch of so many rows was seen.
    pub fn add(&mut self, rows: usize) -> Result<()> {
        let n = rows as f64;
        self.rows += n;
        for ((mean, var), sums) in self.of.iter().zip(&mut self.sums) {
            let now = mean.detached().to_dtype(DType::F64)?;
            add(&mut sums[0], (&now * n)?)?;
            if let Some(var) = var {
                let within = var.detached().to_dtype(DType::F64)?;
                add(&mut sums[1], ((within + now.sqr()?)? * n)?)?;
            }
        }
        Ok(())
    }

    /// Writes the whole domain's: the mean of the means, and the variance within batches with that between them.
    pub fn put(&self) -> Result<()> {
        for ((p, var), sums) in self.of.iter().zip(&self.sums) {
            let [Some(mean), square] = sums else {
                continue;
            };
            let mean = (mean * (1.0 / self.rows))?;
            if let (Some(var), Some(square)) = (var, square) {
                let all = ((square * (1.0 / self.rows))? - mean.sqr()?)?;
                var.var().set(&all.to_dtype(var.var().dtype())?)?;
            }
            p.var().set(&mean.to_dtype(p.var().dtype())?)?;
        }
        Ok(())
    }
}

fn add(sum: &mut Option<Tensor>, more: Tensor) -> Result<()> {
    *sum = Some(match sum.take() {
        Some(sum) => (sum + more)?,
        None => more,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Init, Role, Store};
    use candle_core::Device;

    #[test]
    fn no_batch_is_of_one_row() {
        let rows: Vec<u32> = (0..9).collect();
        let sizes = |n: usize, size| -> Vec<usize> {
            batches(&rows[..n], size).iter().map(|b| b.len()).collect()
        };
        assert_eq!(sizes(9, 4), [4, 5]);
        assert_eq!(sizes(8, 4), [4, 4]);
        assert_eq!(sizes(7, 4), [4, 3]);
        assert_eq!(sizes(3, 4), [3]);
        assert_eq!(sizes(3, 2), [3]);
        assert_eq!(batches(&rows, 4).concat(), rows);
    }

    /// Of 1, 2, 3 and 10, 12: the mean is 5.6 and the variance by n is 20.24; batches bring theirs by n.
    #[test]
    fn batches_of_different_sizes_come_to_the_moments_of_all_rows() -> Result<()> {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let scope = store.scope("model.norm");
        let mean = scope.param("running_mean", &[1], Role::Statistic, Init::Zeros)?;
        let var = scope.param("running_var", &[1], Role::Statistic, Init::Ones)?;
        let alone = scope.param("count", &[1], Role::Statistic, Init::Zeros)?;
        let mut moments = Moments::of(&store.all());
        for rows in [&[1f32, 2.0, 3.0][..], &[10.0, 12.0]] {
            let n = rows.len() as f32;
            let m = rows.iter().sum::<f32>() / n;
            let v = rows.iter().map(|x| (x - m).powi(2)).sum::<f32>() / n;
            mean.var().set(&Tensor::new(&[m], &Device::Cpu)?)?;
            var.var().set(&Tensor::new(&[v], &Device::Cpu)?)?;
            alone.var().set(&Tensor::new(&[n], &Device::Cpu)?)?;
            moments.add(rows.len())?;
        }
        moments.put()?;
        let value = |p: &Param| p.detached().to_vec1::<f32>().map(|v| v[0]);
        assert!((value(&mean)? - 5.6).abs() < 1e-6);
        assert!((value(&var)? - 20.24).abs() < 1e-5);
        // (3 * 3 + 2 * 2) / 5
        assert!((value(&alone)? - 2.6).abs() < 1e-6);
        Ok(())
    }
}
