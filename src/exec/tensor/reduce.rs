//! Reductions: along axes, and of all elements to one number.

use std::ops::Range;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};

use super::device::OpKey;
use super::kernel::{Chunk, Operand as Input, combine};
use super::piece::ranges;
use super::{Evaluation, PARALLEL, PIECE_LEN};
use crate::error::{Error, Result};
use crate::value::number::cast::cast;
use crate::value::tensor::{Binary, Elements, Layout, Node, Reduction, Shape, TensorSchema};
use crate::value::{Number, NumberClass, Tensor};

/// How the elements of a tensor are reduced: as an array `[outer, len, inner]` in row-major order, along the second axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Plan {
    outer: u64,
    len: u64,
    inner: u64,
}

impl Evaluation {
    /// The elements of a reduction along axes, in order.
    pub(super) fn reduction<'a>(
        &'a self,
        tensor: &'a Arc<Tensor>,
        op: Reduction,
        of: &Arc<Tensor>,
        axes: &[usize],
    ) -> BoxStream<'a, Result<Elements>> {
        let (of, plan) = arranged(of, axes);
        let slab = plan.len.saturating_mul(plan.inner);
        let rows = if slab <= PIECE_LEN { PIECE_LEN / slab } else { 1 };
        let parts = ranges(0..plan.outer, rows).flat_map(move |outer| {
            // Either several rows with all their elements, or a part of one row.
            let inner = if slab <= PIECE_LEN { plan.inner } else { plan.inner.min(PIECE_LEN) };
            ranges(0..plan.inner, inner).map(move |inner| (outer.clone(), inner))
        });
        let dtype = tensor.dtype();
        let part = move |(outer, inner)| {
            let of = Arc::clone(&of);
            async move { self.reduced(&of, (op, dtype), plan, outer, inner).await }
        };
        stream::iter(parts).map(part).buffered(PARALLEL).boxed()
    }

    /// What some rows, or a part of one row, are reduced to.
    async fn reduced(
        &self,
        of: &Arc<Tensor>,
        (op, dtype): (Reduction, NumberClass),
        plan: Plan,
        outer: Range<u64>,
        inner: Range<u64>,
    ) -> Result<Elements> {
        let slab = plan.len * plan.inner;
        let width = inner.end - inner.start;
        if slab <= PIECE_LEN {
            let elements = self.piece(of, outer.start * slab..outer.end * slab).await?;
            return self.reduce(elements, op, dtype, (outer.end - outer.start, plan.len, plan.inner)).await;
        }
        let mut total: Option<Elements> = None;
        // If the row is cut along its inner axis, one step of the other at a time, else as many as make a piece.
        let steps = if width < plan.inner { 1 } else { (PIECE_LEN / plan.inner).max(1) };
        let part = |len: Range<u64>| {
            let start = outer.start * slab + len.start * plan.inner;
            let range = start + inner.start..start + (len.end - len.start - 1) * plan.inner + inner.end;
            async move {
                let elements = self.piece(of, range).await?;
                self.reduce(elements, op, dtype, (1, len.end - len.start, width)).await
            }
        };
        let mut parts = stream::iter(ranges(0..plan.len, steps)).map(part).buffered(PARALLEL);
        while let Some(part) = parts.try_next().await? {
            total = Some(match total {
                None => part,
                Some(total) => self.merged(op, total, part).await?,
            });
        }
        total.ok_or_else(|| Error::internal("nothing was reduced"))
    }

    async fn reduce(
        &self,
        elements: Elements,
        op: Reduction,
        dtype: NumberClass,
        (outer, len, inner): (u64, u64, u64),
    ) -> Result<Elements> {
        self.on_device([(OpKey::Reduce(op), elements.dtype())], elements.len(), move |device| {
            let chunk = Chunk::upload(&elements, device)?;
            let reduced = chunk.reduce(op, outer as usize, len as usize, inner as usize)?;
            reduced.cast(dtype)?.download()
        })
        .await
    }

    /// What two parts are reduced to together.
    async fn merged(&self, op: Reduction, l: Elements, r: Elements) -> Result<Elements> {
        self.on_device([(OpKey::Reduce(op), l.dtype())], l.len(), move |device| {
            let (dtype, l, r) = (l.dtype(), Chunk::upload(&l, device)?, Chunk::upload(&r, device)?);
            let merged = match op {
                Reduction::Sum => Chunk::binary(Binary::Add, Input::Chunk(l), Input::Chunk(r)),
                Reduction::Product => Chunk::binary(Binary::Mul, Input::Chunk(l), Input::Chunk(r)),
                Reduction::All => Chunk::binary(Binary::And, Input::Chunk(l), Input::Chunk(r)),
                Reduction::Any => Chunk::binary(Binary::Or, Input::Chunk(l), Input::Chunk(r)),
                Reduction::Max | Reduction::Min => {
                    let len = l.len();
                    Chunk::concat(vec![l, r])?.reduce(op, 1, 2, len)
                }
            };
            merged?.cast(dtype)?.download()
        })
        .await
    }

    /// What all elements of a tensor are reduced to: integers in 64 bits, Bool counted.
    ///
    /// # Errors
    /// As [`Evaluation::piece`]; `BadRequest` for the largest of complex numbers.
    pub async fn fold(&self, op: Reduction, of: &Arc<Tensor>) -> Result<Number> {
        if of.schema.layout == Layout::Sparse {
            return self.fold_entries(op, of).await;
        }
        let folded = self.pieces(of).map_ok(|elements| {
            self.on_device([(OpKey::Reduce(op), elements.dtype())], elements.len(), move |device| {
                Chunk::upload(&elements, device)?.fold(op)
            })
        });
        let mut folded = folded.try_buffered(PARALLEL);
        let mut total = None;
        while let Some(part) = folded.try_next().await? {
            total = Some(match total {
                None => part,
                Some(total) => combine(op, total, part)?,
            });
            let is_settled = match (op, &total) {
                (Reduction::Any, Some(total)) => *total == Number::Bool(true),
                (Reduction::All, Some(total)) => *total == Number::Bool(false),
                _ => false,
            };
            if is_settled {
                break;
            }
        }
        total.ok_or_else(|| Error::internal("a tensor has no elements"))
    }

    /// The square root of the sum of the squares of all magnitudes, as a number of `dtype`.
    ///
    /// # Errors
    /// As [`Evaluation::piece`].
    pub async fn norm(&self, of: &Arc<Tensor>, dtype: NumberClass) -> Result<Number> {
        let total = match of.schema.layout {
            Layout::Sparse => squares(&self.entries(of).await?.values)?,
            Layout::Dense => {
                let mut total = 0.0;
                let mut pieces = self.pieces(of);
                while let Some(piece) = pieces.try_next().await? {
                    total += self.on_device([], piece.len(), move |_| squares(&piece)).await?;
                }
                total
            }
        };
        Ok(cast(Number::F64(total.sqrt()), dtype))
    }
}

/// The sum of the squares of the magnitudes.
fn squares(elements: &Elements) -> Result<f64> {
    // Parts of complex numbers count like numbers of their own.
    let sum = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum();
    Ok(match elements.dtype() {
        NumberClass::F64 | NumberClass::C64 => sum(&mut elements.typed::<f64>().iter().copied()),
        NumberClass::F32 | NumberClass::C32 => sum(&mut elements.typed::<f32>().iter().map(|value| f64::from(*value))),
        _ => sum(&mut elements.iter().map(crate::value::number::cast::to_f64)),
    })
}

/// A tensor whose axes that are reduced follow each other, and how that is reduced.
fn arranged(of: &Arc<Tensor>, axes: &[usize]) -> (Arc<Tensor>, Plan) {
    let dims = of.shape().dims();
    let are_neighbours = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
    if let (Some(first), Some(last), true) = (axes.first(), axes.last(), are_neighbours) {
        let product = |dims: &[u64]| dims.iter().product();
        let plan = Plan {
            outer: product(&dims[..*first]),
            len: product(&dims[*first..=*last]),
            inner: product(&dims[last + 1..]),
        };
        return (Arc::clone(of), plan);
    }
    let kept = (0..dims.len()).filter(|axis| !axes.contains(axis));
    let permutation: Box<[usize]> = kept.chain(axes.iter().copied()).collect();
    let moved: Vec<u64> = permutation.iter().map(|axis| dims[*axis]).collect();
    let len: u64 = axes.iter().map(|axis| dims[*axis]).product();
    let plan = Plan { outer: of.size() / len, len, inner: 1 };
    // The same dimensions in another order.
    let Ok(shape) = Shape::try_new(moved) else { return (Arc::clone(of), plan) };
    let schema = TensorSchema { shape, ..of.schema.clone() };
    (Arc::new(Tensor::new(schema, Node::Transpose { of: Arc::clone(of), permutation })), plan)
}
