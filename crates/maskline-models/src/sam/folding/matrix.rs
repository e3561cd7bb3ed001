//! Small matrices in f64: weights are multiplied by each other once, when a model is built.

/// Rows of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) columns: usize,
    pub(crate) numbers: Vec<f64>,
}

impl Matrix {
    pub(crate) fn of(columns: usize, numbers: &[f32]) -> Self {
        Self { columns, numbers: numbers.iter().map(|number| f64::from(*number)).collect() }
    }

    /// One row.
    pub(crate) fn row(numbers: Vec<f64>) -> Self {
        Self { columns: numbers.len(), numbers }
    }

    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.numbers.chunks_exact(self.columns.max(1))
    }

    pub(crate) fn transposed(&self) -> Self {
        let rows = self.rows().len();
        let number = |at: usize| self.numbers[at % rows * self.columns + at / rows];
        Self { columns: rows, numbers: (0..self.numbers.len()).map(number).collect() }
    }

    /// `self · other`.
    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut numbers = vec![0.0; self.rows().len() * other.columns];
        for (row, out) in self.rows().zip(numbers.chunks_exact_mut(other.columns.max(1))) {
            for (factor, of_other) in row.iter().zip(other.rows()) {
                out.iter_mut().zip(of_other).for_each(|(out, number)| *out += factor * number);
            }
        }
        Self { columns: other.columns, numbers }
    }

    /// The rows of both, one after the other.
    pub(crate) fn over(mut self, other: &Self) -> Self {
        self.numbers.extend(&other.numbers);
        self
    }

    /// Every row times these numbers, one for each column: `self · diag(gains)`.
    pub(crate) fn scaled(mut self, gains: &[f64]) -> Self {
        for row in self.numbers.chunks_exact_mut(self.columns.max(1)) {
            row.iter_mut().zip(gains).for_each(|(number, gain)| *number *= gain);
        }
        self
    }

    /// Every row less its mean.
    pub(crate) fn centred(mut self) -> Self {
        for row in self.numbers.chunks_exact_mut(self.columns.max(1)) {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            row.iter_mut().for_each(|number| *number -= mean);
        }
        self
    }

    /// These numbers added to every row.
    pub(crate) fn plus(mut self, numbers: &[f64]) -> Self {
        for row in self.numbers.chunks_exact_mut(self.columns.max(1)) {
            row.iter_mut().zip(numbers).for_each(|(number, added)| *number += added);
        }
        self
    }

    /// Without the first rows.
    pub(crate) fn without_rows(&self, count: usize) -> Self {
        Self { columns: self.columns, numbers: self.numbers[count * self.columns..].to_vec() }
    }

    /// Each group of so many columns padded with zeros to whole vectors of sixteen.
    pub(crate) fn padded(&self, group: usize) -> Self {
        let wide = group.div_ceil(16) * 16;
        let mut numbers = Vec::with_capacity(self.numbers.len() / group * wide);
        for group in self.numbers.chunks_exact(group) {
            numbers.extend_from_slice(group);
            numbers.resize(numbers.len() + wide - group.len(), 0.0);
        }
        Self { columns: self.columns / group * wide, numbers }
    }

    /// By sixteen columns, the last ones padded with zeros: [columns / 16, rows, 16], as f32.
    pub(crate) fn by_vectors(&self) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.rows().len() * self.columns.next_multiple_of(16));
        for first in (0..self.columns).step_by(16) {
            for row in self.rows() {
                out.extend((first..first + 16).map(|column| row.get(column).map_or(0.0, |number| *number as f32)));
            }
        }
        out
    }

    /// As they lie, as f32.
    pub(crate) fn narrow(&self) -> Vec<f32> {
        self.numbers.iter().map(|number| *number as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_padding_and_order_are_those_of_matrices() {
        let a = Matrix { columns: 3, numbers: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        let b = Matrix { columns: 2, numbers: vec![1.0, 0.0, 0.0, 1.0, 2.0, -1.0] };
        assert_eq!(a.times(&b).numbers, [7.0, -1.0, 16.0, -1.0]);
        assert_eq!(a.transposed().numbers, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(a.clone().centred().numbers, [-1.0, 0.0, 1.0, -1.0, 0.0, 1.0]);
        assert_eq!(a.clone().scaled(&[2.0, 1.0, 0.0]).plus(&[0.0, 1.0, 1.0]).numbers, [2.0, 3.0, 1.0, 8.0, 6.0, 1.0]);
        assert_eq!(a.without_rows(1).over(&b.transposed()).numbers, [4.0, 5.0, 6.0, 1.0, 0.0, 2.0, 0.0, 1.0, -1.0]);
        let wide = Matrix { columns: 20, numbers: (0..40).map(f64::from).collect() };
        let padded = wide.padded(10);
        assert_eq!((padded.columns, padded.numbers[9], padded.numbers[10], padded.numbers[16]), (32, 9.0, 0.0, 10.0));
        let by_vectors = wide.by_vectors();
        assert_eq!((by_vectors.len(), by_vectors[15], by_vectors[16], by_vectors[32], by_vectors[36]), (64, 15.0, 20.0, 16.0, 0.0));
    }
}
