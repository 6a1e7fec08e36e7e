//! Products of matrices of which one is sparse, row by row (Gustavson, "Two fast algorithms for sparse matrices:
//! multiplication and permuted transposition", 1978).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::super::Evaluation;
use super::values::{Arithmetic, computed_in};
use super::view::check_len;
use super::without_zeros;
use crate::error::Result;
use crate::value::tensor::{Elements, Entries};
use crate::value::{NumberClass, Tensor};

/// Columns of a result whose rows are added up in an array instead of a map.
const ARRAY_COLUMNS: u64 = 1 << 20;

/// The sizes of a product `[rows, inner] × [inner, cols]`.
#[derive(Clone, Copy)]
struct Sizes {
    rows: u64,
    inner: u64,
    cols: u64,
}

impl Evaluation {
    /// The entries of a product of which one operand may be dense.
    pub(super) async fn product_entries(
        &self,
        tensor: &Arc<Tensor>,
        l: &Arc<Tensor>,
        r: &Arc<Tensor>,
    ) -> Result<Entries> {
        let (left, right) = (self.kept_entries(l).await?, self.kept_entries(r).await?);
        let (l_dims, r_dims) = (l.shape().dims(), r.shape().dims());
        let (rows, inner) = (l_dims[l_dims.len() - 2], l_dims[l_dims.len() - 1]);
        let sizes = Sizes { rows, inner, cols: r_dims[r_dims.len() - 1] };
        let matrices = tensor.size() / (sizes.rows * sizes.cols);
        check_len(matrices, 1)?;
        let pairs: Vec<(u64, u64)> = (0..matrices)
            .map(|at| (super::super::matmul::matrix_of(tensor, l, at), super::super::matmul::matrix_of(tensor, r, at)))
            .collect();
        let dtype = tensor.dtype();
        self.on_device([], usize::MAX, move |_| computed_in!(dtype, products(dtype, &pairs, sizes, &left, &right)))
            .await
    }
}

/// The products of pairs of matrices, given by their numbers in the operands.
fn products<T: Arithmetic>(
    dtype: NumberClass,
    pairs: &[(u64, u64)],
    sizes: Sizes,
    l: &Entries,
    r: &Entries,
) -> Result<Entries> {
    let (left, right) = (T::all(&l.values), T::all(&r.values));
    let (mut offsets, mut sums) = (Vec::new(), Vec::new());
    let mut row_sum = RowSum::new(sizes.cols);
    for (at, (l_at, r_at)) in (0..).zip(pairs) {
        let (l_start, r_start) = (l_at * sizes.rows * sizes.inner, r_at * sizes.inner * sizes.cols);
        let of_l = entries_within(l, l_start, sizes.rows * sizes.inner);
        let of_r = entries_within(r, r_start, sizes.inner * sizes.cols);
        let row_of = |offset: u64| (offset - l_start) / sizes.inner;
        let mut l_at = of_l.start;
        for row in l.offsets[of_l].chunk_by(|a, b| row_of(*a) == row_of(*b)) {
            let number = row_of(row[0]);
            let first = l_start + number * sizes.inner;
            // The rows of `r` that are needed are in ascending order.
            let mut r_at = of_r.start;
            for (offset, l_value) in row.iter().zip(&left[l_at..]) {
                let r_row = r_start + (offset - first) * sizes.cols;
                r_at += r.offsets[r_at..of_r.end].partition_point(|offset| *offset < r_row);
                let cols = r.offsets[r_at..of_r.end].iter().map(|offset| offset - r_row);
                for (col, r_value) in cols.take_while(|col| *col < sizes.cols).zip(&right[r_at..]) {
                    row_sum.add(col, l_value.times(*r_value));
                }
            }
            l_at += row.len();
            let start = (at * sizes.rows + number) * sizes.cols;
            row_sum.take(|col, sum| {
                offsets.push(start + col);
                sums.push(sum);
            });
            check_len(offsets.len() as u64, 1)?;
        }
    }
    without_zeros(offsets.into(), Elements::from_numbers(dtype, sums.into_iter().map(T::number)))
}

/// Where the entries are whose numbers are `start` or one of the `len - 1` after it.
fn entries_within(entries: &Entries, start: u64, len: u64) -> Range<usize> {
    let place = |number: u64| entries.offsets.partition_point(|offset| *offset < number);
    place(start)..place(start + len)
}

/// A row of the result that is being added up.
struct RowSum<T> {
    /// By column, if there are not too many; whether something was added there, and the sum.
    array: Vec<Option<T>>,
    map: HashMap<u64, T>,
    touched: Vec<u64>,
}

impl<T: Arithmetic> RowSum<T> {
    fn new(cols: u64) -> Self {
        let len = if cols <= ARRAY_COLUMNS { cols as usize } else { 0 };
        Self { array: vec![None; len], map: HashMap::new(), touched: vec![] }
    }

    fn add(&mut self, col: u64, product: T) {
        match self.array.get_mut(col as usize) {
            Some(Some(sum)) => *sum = sum.plus(product),
            Some(empty) => {
                *empty = Some(product);
                self.touched.push(col);
            }
            None => match self.map.get_mut(&col) {
                Some(sum) => *sum = sum.plus(product),
                None => {
                    self.map.insert(col, product);
                    self.touched.push(col);
                }
            },
        }
    }

    /// Calls `each` with the sums in the order of their columns, and begins the next row.
    fn take(&mut self, mut each: impl FnMut(u64, T)) {
        self.touched.sort_unstable();
        for col in self.touched.drain(..) {
            let sum = match self.array.get_mut(col as usize) {
                Some(sum) => sum.take(),
                None => self.map.remove(&col),
            };
            if let Some(sum) = sum {
                each(col, sum);
            }
        }
    }
}
