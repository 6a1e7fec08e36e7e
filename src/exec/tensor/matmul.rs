//! Products of matrices, in tiles that fit in memory.

use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use super::device::OpKey;
use super::kernel::{Chunk, Operand as Input};
use super::piece::ranges;
use super::{Evaluation, leaf};
use crate::error::{Error, Result};
use crate::value::Tensor;
use crate::value::tensor::{AxisBound, Binary, Elements, Node, Shape, TensorSchema};

/// Elements of a tile of an operand or of the result, at most.
const TILE_LEN: u64 = 8 << 20;

/// A product `[rows, inner] × [inner, cols]`, once for each matrix of the result.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rows: u64,
    inner: u64,
    cols: u64,
}

impl Evaluation {
    /// The elements of a product of dense tensors, in order: one band of rows of one matrix at a time.
    pub(super) fn product<'a>(
        &'a self,
        tensor: &'a Arc<Tensor>,
        l: &'a Arc<Tensor>,
        r: &'a Arc<Tensor>,
    ) -> BoxStream<'a, Result<Elements>> {
        let plan = plan_of(l, r);
        let matrices = tensor.size() / (plan.rows * plan.cols);
        let matrix = plan.rows.max(plan.inner).saturating_mul(plan.inner.max(plan.cols)).max(plan.rows * plan.cols);
        if matrix <= TILE_LEN && is_aligned(tensor, l) && is_aligned(tensor, r) {
            // Several whole matrices at a time.
            let batches = ranges(0..matrices, (TILE_LEN / matrix).max(1));
            return stream::iter(batches).then(move |batch| self.multiplied(l, r, plan, batch)).boxed();
        }
        let rows = (TILE_LEN / plan.inner.max(plan.cols)).clamp(1, plan.rows);
        let bands = (0..matrices).flat_map(move |at| ranges(0..plan.rows, rows).map(move |rows| (at, rows)));
        stream::iter(bands).then(move |(at, rows)| self.band(tensor, (l, r), plan, at, rows)).boxed()
    }

    /// Products of matrices with the same numbers.
    async fn multiplied(&self, l: &Arc<Tensor>, r: &Arc<Tensor>, plan: Plan, batch: Range<u64>) -> Result<Elements> {
        let (l_len, r_len) = (plan.rows * plan.inner, plan.inner * plan.cols);
        let (l_range, r_range) = (batch.start * l_len..batch.end * l_len, batch.start * r_len..batch.end * r_len);
        let (left, right) = if Arc::ptr_eq(l, r) {
            let elements = self.piece(l, l_range).await?;
            (elements.clone(), elements)
        } else {
            futures::try_join!(self.piece(l, l_range), self.piece(r, r_range))?
        };
        self.multiply(left, right, batch.end - batch.start, plan).await
    }

    /// Some rows of one matrix of the result.
    async fn band(
        &self,
        tensor: &Tensor,
        (l, r): (&Arc<Tensor>, &Arc<Tensor>),
        plan: Plan,
        at: u64,
        rows: Range<u64>,
    ) -> Result<Elements> {
        let (l_at, r_at) = (matrix_of(tensor, l, at), matrix_of(tensor, r, at));
        let cols = (TILE_LEN / (rows.end - rows.start).max(1)).clamp(1, plan.cols);
        let mut parts = Vec::new();
        for cols in ranges(0..plan.cols, cols) {
            let tall = rows.end - rows.start;
            let wide = cols.end - cols.start;
            let mut total: Option<Elements> = None;
            for inner in ranges(0..plan.inner, (TILE_LEN / tall.max(wide)).clamp(1, plan.inner)) {
                let deep = inner.end - inner.start;
                let left = self.tile(l, l_at, rows.clone(), inner.clone()).await?;
                let right = self.tile(r, r_at, inner, cols.clone()).await?;
                let tile = Plan { rows: tall, inner: deep, cols: wide };
                let part = self.multiply(left, right, 1, tile).await?;
                total = Some(match total {
                    None => part,
                    Some(total) => self.added(total, part).await?,
                });
            }
            parts.push((wide, total.ok_or_else(|| Error::internal("a product of nothing"))?));
        }
        side_by_side(tensor, rows.end - rows.start, &parts)
    }

    /// Elements of one matrix of a tensor.
    async fn tile(&self, of: &Arc<Tensor>, matrix: u64, rows: Range<u64>, cols: Range<u64>) -> Result<Elements> {
        let dims = of.shape().dims();
        let (height, width) = (dims[dims.len() - 2], dims[dims.len() - 1]);
        let start = matrix * height * width;
        if cols == (0..width) {
            return self.piece(of, start + rows.start * width..start + rows.end * width).await;
        }
        let flat = Shape::try_new([of.size() / width, width])?;
        let flat = TensorSchema { shape: flat, ..of.schema.clone() };
        let flat = Arc::new(Tensor::new(flat, Node::Reshape { of: Arc::clone(of) }));
        let first = matrix * height;
        let shape = Shape::try_new([rows.end - rows.start, cols.end - cols.start])?;
        let bounds = [AxisBound::Range(first + rows.start, first + rows.end), AxisBound::Range(cols.start, cols.end)];
        let schema = TensorSchema { shape, ..of.schema.clone() };
        let tile = Arc::new(Tensor::new(schema, Node::Slice { of: flat, bounds: bounds.into() }));
        self.piece(&tile, 0..tile.size()).await
    }

    async fn multiply(&self, l: Elements, r: Elements, batch: u64, plan: Plan) -> Result<Elements> {
        let Plan { rows, inner, cols } = plan;
        let work = usize::try_from(batch.saturating_mul(rows).saturating_mul(inner).saturating_mul(cols));
        let work = work.unwrap_or(usize::MAX);
        self.on_device([(OpKey::MatMul, l.dtype())], work, move |device| {
            let (l, r) = (Chunk::upload(&l, device)?, Chunk::upload(&r, device)?);
            Chunk::matmul(l, r, batch as usize, rows as usize, inner as usize, cols as usize)?.download()
        })
        .await
    }

    async fn added(&self, l: Elements, r: Elements) -> Result<Elements> {
        self.on_device([(OpKey::Binary(Binary::Add), l.dtype())], l.len(), move |device| {
            let (l, r) = (Chunk::upload(&l, device)?, Chunk::upload(&r, device)?);
            Chunk::binary(Binary::Add, Input::Chunk(l), Input::Chunk(r))?.download()
        })
        .await
    }
}

fn plan_of(l: &Tensor, r: &Tensor) -> Plan {
    let (l, r) = (l.shape().dims(), r.shape().dims());
    Plan { rows: l[l.len() - 2], inner: l[l.len() - 1], cols: r[r.len() - 1] }
}

/// Whether an operand has a matrix of its own for each of the result.
fn is_aligned(tensor: &Tensor, of: &Tensor) -> bool {
    let (dims, own) = (tensor.shape().dims(), of.shape().dims());
    let matrices = |dims: &[u64]| dims[..dims.len() - 2].iter().product::<u64>();
    matrices(dims) == matrices(own)
}

/// The matrix of an operand that matrix `at` of the result is computed from.
pub(super) fn matrix_of(tensor: &Tensor, of: &Tensor, at: u64) -> u64 {
    let (dims, own) = (tensor.shape().dims(), of.shape().dims());
    let (outer, own) = (&dims[..dims.len() - 2], &own[..own.len() - 2]);
    let (mut left, mut coord) = (at, vec![0; outer.len()]);
    for (at, dim) in coord.iter_mut().zip(outer).rev() {
        *at = left % dim;
        left /= dim;
    }
    let missing = outer.len() - own.len();
    own.iter().zip(&coord[missing..]).fold(0, |at, (dim, coord)| at * dim + if *dim == 1 { 0 } else { *coord })
}

/// Tiles of the same rows, given with how many columns they have, as one.
fn side_by_side(tensor: &Tensor, rows: u64, tiles: &[(u64, Elements)]) -> Result<Elements> {
    if let [(_, only)] = tiles {
        return Ok(only.clone());
    }
    let row = |row: u64, (cols, tile): &(u64, Elements)| leaf::part(tile, row * cols..(row + 1) * cols);
    let parts: Vec<Elements> = (0..rows).flat_map(|at| tiles.iter().map(move |tile| row(at, tile))).collect();
    leaf::joined(tensor.dtype(), &parts)
}
