//! Embedding: rows of a table chosen by ids.
//!
//! Gradient of the table: each output row's gradient is added to the row it came from. [`sparse_backward`] gives the rows
//! that were used, sorted and summed, and nothing else; [`backward`] spreads them over a table of zeros. Rows that were
//! used several times are summed in the order of their positions.
//!
//! A padding id (PyTorch's `padding_idx`) reads its row like any other, and gives it no gradient.

pub(crate) mod cpu;
mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::gpu::Gpu;
use crate::graph::Output;
use crate::tensors::{Reading, on_kernels, rows, tensor};
use candle_core::{DType, Error, Result, Tensor};

/// The gradient of a table, at the rows that have one.
#[derive(Debug, Clone)]
pub struct Sparse {
    /// The rows with a gradient, increasing.
    pub ids: Vec<u32>,
    /// Their gradients, (ids.len(), width).
    pub rows: Tensor,
}

impl Sparse {
    /// The gradient of the whole table, zeros elsewhere.
    pub fn to_dense(&self, vocabulary: usize) -> Result<Tensor> {
        let width = self.rows.dim(1)?;
        if on_kernels(&[&self.rows]) {
            if self.ids.last().is_some_and(|&id| id as usize >= vocabulary) {
                return Err(Error::Msg(format!("embedding: {vocabulary} rows are too few")).bt());
            }
            let reading = Reading::of(&self.rows);
            let dense = cpu::spread(&self.ids, reading.slice()?, vocabulary, width);
            return tensor(dense, (vocabulary, width));
        }
        let dense = Tensor::zeros((vocabulary, width), self.rows.dtype(), self.rows.device())?;
        let ids = Tensor::new(self.ids.as_slice(), self.rows.device())?;
        dense.index_add(&ids, &self.rows, 0)
    }

    /// Both gradients of one table together: rows of either, and sums where both have one.
    pub fn plus(&self, other: &Sparse) -> Result<Sparse> {
        let width = self.rows.dim(1)?;
        if other.rows.dim(1)? != width {
            let text = format!("embedding: rows of {:?} and {:?}", self.rows, other.rows);
            return Err(Error::Msg(text).bt());
        }
        let mut ids = [self.ids.as_slice(), &other.ids].concat();
        ids.sort_unstable();
        ids.dedup();
        let places = |of: &[u32]| -> Vec<u32> {
            // Each id is in the union.
            of.iter()
                .map(|id| ids.partition_point(|x| x < id) as u32)
                .collect()
        };
        let mut rows = Tensor::zeros((ids.len(), width), self.rows.dtype(), self.rows.device())?;
        for one in [self, other] {
            let places = Tensor::new(places(&one.ids), self.rows.device())?;
            rows = rows.index_add(&places, &one.rows, 0)?;
        }
        Ok(Sparse { ids, rows })
    }

    /// Adds the gradient to that of a whole table (row-major), to accumulate over batches; f32 on the CPU.
    pub fn add_to(&self, table: &mut [f32]) -> Result<()> {
        let width = self.rows.dim(1)?;
        let last = self.ids.last().map_or(0, |&id| id as usize + 1);
        if table.len() < last * width {
            return Err(Error::Msg(format!(
                "embedding: row {} of a table of {} elements, {width} wide",
                last - 1,
                table.len()
            ))
            .bt());
        }
        let reading = Reading::of(&self.rows);
        let rows = reading.slice::<f32>()?;
        if width > 0 {
            for (&id, row) in self.ids.iter().zip(rows.chunks_exact(width)) {
                let to = &mut table[id as usize * width..][..width];
                to.iter_mut().zip(row).for_each(|(to, x)| *to += x);
            }
        }
        Ok(())
    }
}

/// The rows `ids` of `table`: (ids..., width). Part of no graph.
pub fn forward(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let table = table.detach();
    if let Some(gpu) = gpu(&table) {
        return cuda::forward(&gpu, &table, ids, None);
    }
    if !on_kernels(&[&table]) {
        return reference::embedding(&table, ids, None);
    }
    let (data, shape) = gather(&table, ids)?;
    tensor(data, shape)
}

/// The sum of the rows of several tables: for each of them its ids, all of the same shape. Part of no graph.
///
/// (The gradient of each table is [`backward`] with its ids.)
pub fn sum_forward(tables: &[(&Tensor, &Tensor)]) -> Result<Tensor> {
    let Some((&(table, ids), rest)) = tables.split_first() else {
        return Err(Error::Msg("embedding: the sum of no tables".into()).bt());
    };
    let mut sum = forward(table, ids)?;
    for (table, ids) in rest {
        let table = table.detach();
        if let Some(gpu) = gpu(&table) {
            sum = cuda::forward(&gpu, &table, ids, Some(sum))?;
            continue;
        }
        if !on_kernels(&[&sum, &table]) {
            sum = (sum + forward(&table, ids)?)?;
            continue;
        }
        let table = table.contiguous()?;
        let ids = checked_ids(&table, ids)?;
        let (n, width) = rows(&sum)?;
        if n != ids.len() || width != table.dim(1)? {
            return Err(Error::Msg(format!(
                "embedding: {} ids of {:?} onto {:?}",
                ids.len(),
                table.dims(),
                sum.dims()
            ))
            .bt());
        }
        let reading = Reading::of(&table);
        let from = reading.slice::<f32>()?;
        crate::with_mut(&sum, |sum: &mut [f32]| {
            cpu::add_rows(sum, from, width, &ids)
        })?;
    }
    Ok(sum)
}

/// The gradient of a table of `vocabulary` rows, for the output gradient `grad`.
pub fn backward(
    ids: &Tensor,
    grad: &Tensor,
    vocabulary: usize,
    padding: Option<u32>,
) -> Result<Tensor> {
    if let Some(gpu) = Gpu::of(&[grad], &[]) {
        return cuda::backward(&gpu, ids, grad, vocabulary, padding);
    }
    let grads = sparse_backward(ids, grad, padding)?;
    if grads
        .ids
        .last()
        .is_some_and(|&id| id as usize >= vocabulary)
    {
        return Err(Error::Msg(format!(
            "embedding: id {} of {vocabulary}",
            grads.ids[grads.ids.len() - 1]
        ))
        .bt());
    }
    grads.to_dense(vocabulary)
}

/// The gradient of the table at the rows that were used, for the output gradient `grad`.
pub fn sparse_backward(ids: &Tensor, grad: &Tensor, padding: Option<u32>) -> Result<Sparse> {
    let ids = read_ids(ids)?;
    let grad = grad.detach().contiguous()?;
    let width = grad.dim(candle_core::D::Minus1)?;
    if grad.elem_count() != ids.len() * width {
        return Err(Error::Msg(format!(
            "embedding: gradient {:?} for {} ids",
            grad.dims(),
            ids.len()
        ))
        .bt());
    }
    let order = cpu::by_id(&ids, padding);
    let unique: Vec<u32> = order
        .segments()
        .map(|positions| ids[positions[0] as usize])
        .collect();
    let shape = (unique.len(), width);
    let rows = if on_kernels(&[&grad]) {
        let reading = Reading::of(&grad);
        tensor(cpu::sum_rows(reading.slice()?, width, &order), shape)?
    } else {
        // The position of each kept row's sum; the rest go to one more row that is cut off.
        let mut target = vec![unique.len() as u32; ids.len()];
        for (i, positions) in order.segments().enumerate() {
            for &p in positions {
                target[p as usize] = i as u32;
            }
        }
        let sums = Tensor::zeros((unique.len() + 1, width), grad.dtype(), grad.device())?;
        let target = Tensor::new(target, grad.device())?;
        let rows = sums.index_add(&target, &grad.reshape((ids.len(), width))?, 0)?;
        rows.narrow(0, 0, unique.len())?.contiguous()?
    };
    Ok(Sparse { ids: unique, rows })
}

/// The rows `ids` of `table`, recorded in Candle's graph. The table's gradient is dense there.
pub fn embedding(table: &Tensor, ids: &Tensor, padding: Option<u32>) -> Result<Tensor> {
    let on_gpu = gpu(table).is_some();
    if !on_gpu && !on_kernels(&[table]) {
        return reference::embedding(table, ids, padding);
    }
    let (data, shape): (Output, Vec<usize>) = if on_gpu {
        let rows = forward(table, ids)?;
        let shape = rows.dims().to_vec();
        (rows.into(), shape)
    } else {
        let (data, shape) = gather(&table.detach(), ids)?;
        (data.into(), shape)
    };
    let (ids, vocabulary) = (ids.detach(), table.dim(0)?);
    crate::graph::record("embedding", &[table], data, shape, move |_, grad| {
        Ok(vec![Some(backward(&ids, grad, vocabulary, padding)?)])
    })
}

/// What runs an f32 table on a GPU, if something does.
fn gpu(table: &Tensor) -> Option<Gpu> {
    Gpu::of(&[table], &[]).filter(|_| table.dtype() == DType::F32)
}

fn read_ids(ids: &Tensor) -> Result<Vec<u32>> {
    ids.detach().to_dtype(DType::U32)?.flatten_all()?.to_vec1()
}

/// The ids, each of them a row of the table.
fn checked_ids(table: &Tensor, ids: &Tensor) -> Result<Vec<u32>> {
    let vocabulary = table.dim(0)?;
    let ids = read_ids(ids)?;
    match ids.iter().find(|&&id| id as usize >= vocabulary) {
        Some(id) => Err(Error::Msg(format!("embedding: id {id} of {vocabulary}")).bt()),
        None => Ok(ids),
    }
}

fn gather(table: &Tensor, ids: &Tensor) -> Result<(Vec<f32>, Vec<usize>)> {
    let (_, width) = table.dims2()?;
    let mut shape = ids.dims().to_vec();
    shape.push(width);
    let ids = checked_ids(table, ids)?;
    let table = table.contiguous()?;
    let reading = Reading::of(&table);
    Ok((cpu::gather(reading.slice()?, width, &ids), shape))
}
