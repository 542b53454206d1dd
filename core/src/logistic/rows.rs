//! What a logistic regression is fitted on: dense rows or sparse ones.

use std::ops::Range;

use tlkit_ops::vectors::{add_all, add_scaled, dot, dots};

/// Rows of numbers.
pub trait Rows: Sync {
    /// How many.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Numbers a row.
    fn width(&self) -> usize;
    /// The product of a row with weights `(width,)`.
    fn dot(&self, row: usize, weights: &[f64]) -> f64;
    /// Adds `scale` times a row to a gradient `(width,)`.
    fn add(&self, row: usize, scale: f64, gradient: &mut [f64]);
    /// The products of a row with each of the weights `(out.len(), width)`.
    fn products(&self, row: usize, weights: &[f64], out: &mut [f64]) {
        let width = self.width();
        for (c, out) in out.iter_mut().enumerate() {
            *out = self.dot(row, &weights[c * width..(c + 1) * width]);
        }
    }
    /// The products of each of some rows with weights `(width,)`.
    fn of_rows(&self, rows: Range<usize>, weights: &[f64], out: &mut [f64]) {
        out.iter_mut()
            .zip(rows)
            .for_each(|(out, row)| *out = self.dot(row, weights));
    }
    /// Adds some rows, each times its scale, to a gradient `(width,)`, in their order.
    fn add_rows(&self, rows: Range<usize>, scales: &[f64], gradient: &mut [f64]) {
        rows.zip(scales)
            .for_each(|(row, scale)| self.add(row, *scale, gradient));
    }
    /// Rows whose gradient is summed in one go; chunks are added in order, so that the number of threads changes no bit.
    fn chunk(&self) -> usize;
}

/// `(rows, width)`, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a> {
    /// The numbers.
    pub values: &'a [f64],
    /// Numbers a row.
    pub width: usize,
}

impl Rows for Dense<'_> {
    fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    fn width(&self) -> usize {
        self.width
    }

    fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        dot(
            weights,
            &self.values[row * self.width..(row + 1) * self.width],
        )
    }

    fn add(&self, row: usize, scale: f64, gradient: &mut [f64]) {
        let row = &self.values[row * self.width..(row + 1) * self.width];
        add_scaled(gradient, scale, row);
    }

    fn products(&self, row: usize, weights: &[f64], out: &mut [f64]) {
        dots(
            weights,
            &self.values[row * self.width..(row + 1) * self.width],
            out,
        );
    }

    fn of_rows(&self, rows: Range<usize>, weights: &[f64], out: &mut [f64]) {
        let rows = &self.values[rows.start * self.width..rows.end * self.width];
        dots(rows, weights, out);
    }

    fn add_rows(&self, rows: Range<usize>, scales: &[f64], gradient: &mut [f64]) {
        let rows = &self.values[rows.start * self.width..rows.end * self.width];
        add_all(gradient, scales, rows);
    }

    fn chunk(&self) -> usize {
        256
    }
}

/// Rows of few numbers among many columns, in compressed form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sparse {
    /// Where each row ends.
    ends: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    width: usize,
}

impl Sparse {
    /// No rows of this width.
    pub fn new(width: usize) -> Self {
        Sparse {
            width,
            ..Sparse::default()
        }
    }

    /// Adds a row: columns below the width, and their numbers.
    pub fn push(&mut self, row: impl IntoIterator<Item = (u32, f32)>) {
        for (column, value) in row {
            debug_assert!((column as usize) < self.width);
            self.columns.push(column);
            self.values.push(value);
        }
        self.ends.push(self.columns.len());
    }

    /// The numbers of a row that are not 0.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        let range = start..self.ends[row];
        self.columns[range.clone()]
            .iter()
            .copied()
            .zip(self.values[range].iter().copied())
    }

    /// Only these rows.
    pub fn pick(&self, rows: &[usize]) -> Sparse {
        let mut picked = Sparse::new(self.width);
        rows.iter().for_each(|&r| picked.push(self.row(r)));
        picked
    }
}

impl Rows for Sparse {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        self.row(row)
            .map(|(c, v)| weights[c as usize] * f64::from(v))
            .sum()
    }

    fn add(&self, row: usize, scale: f64, gradient: &mut [f64]) {
        self.row(row)
            .for_each(|(c, v)| gradient[c as usize] += scale * f64::from(v));
    }

    // A gradient is far wider than a row: more than one of them costs more than a second thread gains.
    fn chunk(&self) -> usize {
        usize::MAX
    }
}
