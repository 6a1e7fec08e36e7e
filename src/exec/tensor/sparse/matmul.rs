//! Products of matrices of which one is sparse, row by row (Gustavson, "Two fast algorithms for sparse matrices:
//! multiplication and permuted transposition", 1978).

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Evaluation;
use super::values::{Arithmetic, computed_in};
use super::view::check_len;
use super::without_zeros;
use crate::error::Result;
use crate::value::tensor::{Elements, Entries};
use crate::value::{Number, NumberClass, Tensor};

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
        let (left, right) = (self.entries(l).await?, self.entries(r).await?);
        let (l_dims, r_dims) = (l.shape().dims(), r.shape().dims());
        let (rows, inner) = (l_dims[l_dims.len() - 2], l_dims[l_dims.len() - 1]);
        let sizes = Sizes { rows, inner, cols: r_dims[r_dims.len() - 1] };
        let matrices = tensor.size() / (sizes.rows * sizes.cols);
        check_len(matrices, 1)?;
        let pairs: Vec<(u64, u64)> = (0..matrices)
            .map(|at| (super::super::matmul::matrix_of(tensor, l, at), super::super::matmul::matrix_of(tensor, r, at)))
            .collect();
        let dtype = tensor.dtype();
        self.on_device([], usize::MAX, move |_| {
            let (offsets, numbers) = computed_in!(dtype, products(&pairs, sizes, &left, &right))?;
            without_zeros(offsets.into(), Elements::from_numbers(dtype, numbers))
        })
        .await
    }
}

/// The products of pairs of matrices, given by their numbers in the operands.
fn products<T: Arithmetic>(
    pairs: &[(u64, u64)],
    sizes: Sizes,
    l: &Entries,
    r: &Entries,
) -> Result<(Vec<u64>, Vec<Number>)> {
    let (left, right) = (T::all(&l.values), T::all(&r.values));
    let (mut offsets, mut numbers) = (Vec::new(), Vec::new());
    let mut row_sum = RowSum::new(sizes.cols);
    for (at, (l_at, r_at)) in (0..).zip(pairs) {
        let l_start = l_at * sizes.rows * sizes.inner;
        let r_start = r_at * sizes.inner * sizes.cols;
        let rows_of_r = row_starts(r, r_start, sizes);
        let first = l.offsets.partition_point(|offset| *offset < l_start);
        let last = l.offsets.partition_point(|offset| *offset < l_start + sizes.rows * sizes.inner);
        let entries = (first..last).map(|at| (l.offsets[at] - l_start, at));
        let entries: Vec<(u64, u64, usize)> =
            entries.map(|(place, at)| (place / sizes.inner, place % sizes.inner, at)).collect();
        for row in entries.chunk_by(|l, r| l.0 == r.0) {
            for (_, inner, l_at) in row {
                let Some(range) = rows_of_r.get(inner) else { continue };
                for r_at in range.clone() {
                    let col = (r.offsets[r_at] - r_start) % sizes.cols;
                    row_sum.add(col, left[*l_at].times(right[r_at]));
                }
            }
            let start = (at * sizes.rows + row[0].0) * sizes.cols;
            row_sum.take(|col, sum| {
                offsets.push(start + col);
                numbers.push(sum.number());
            });
            check_len(offsets.len() as u64, 1)?;
        }
    }
    Ok((offsets, numbers))
}

/// Where the entries of each row of a matrix are.
fn row_starts(entries: &Entries, start: u64, sizes: Sizes) -> HashMap<u64, std::ops::Range<usize>> {
    let first = entries.offsets.partition_point(|offset| *offset < start);
    let last = entries.offsets.partition_point(|offset| *offset < start + sizes.inner * sizes.cols);
    let mut rows: HashMap<u64, std::ops::Range<usize>> = HashMap::new();
    for at in first..last {
        let row = (entries.offsets[at] - start) / sizes.cols;
        rows.entry(row).or_insert(at..at).end = at + 1;
    }
    rows
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
