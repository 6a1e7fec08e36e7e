//! Reductions of sparse tensors, which count the zeros that are not there.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::Evaluation;
use super::super::device::OpKey;
use super::super::kernel::Chunk;
use super::values::{Arithmetic, computed_in};
use super::without_zeros;
use crate::error::Result;
use crate::value::number::compare::{is_truthy, partial_compare};
use crate::value::tensor::{Elements, Entries, Reduction};
use crate::value::{Number, NumberClass, Tensor};

impl Evaluation {
    /// The entries of a reduction along axes.
    pub(super) async fn reduced_entries(
        &self,
        tensor: &Tensor,
        op: Reduction,
        of: &Arc<Tensor>,
        axes: &[usize],
    ) -> Result<Entries> {
        let entries = self.entries(of).await?;
        let dims = of.shape().dims();
        let len: u64 = axes.iter().map(|axis| dims[*axis]).product();
        // Dimensions that are kept as 1 do not change the numbers of elements.
        let kept: Vec<usize> = (0..dims.len()).filter(|axis| !axes.contains(axis)).collect();
        let groups = entries.offsets.iter().map(|offset| {
            let coord = of.shape().coord(*offset);
            kept.iter().fold(0, |group, axis| group * dims[*axis] + coord[*axis])
        });
        let mut order: Vec<(u64, usize)> = groups.enumerate().map(|(at, group)| (group, at)).collect();
        order.sort_unstable();
        let dtype = tensor.dtype();
        self.on_device([], order.len(), move |_| reduced(op, dtype, &order, &entries.values, len)).await
    }

    /// What all elements are reduced to.
    pub(in super::super) async fn fold_entries(&self, op: Reduction, of: &Arc<Tensor>) -> Result<Number> {
        let entries = self.entries(of).await?;
        let missing = of.size() - entries.len() as u64;
        let dtype = entries.values.dtype();
        self.on_device([(OpKey::Reduce(op), dtype)], entries.len(), move |device| {
            let values = match (entries.is_empty(), missing > 0) {
                // One zero stands for all.
                (true, _) | (false, true) => {
                    let zero = Elements::zeros(entries.values.dtype(), 1);
                    super::super::leaf::joined(zero.dtype(), &[entries.values, zero])?
                }
                (false, false) => entries.values,
            };
            let chunk = Chunk::upload(&values, device)?;
            chunk.fold(op)
        })
        .await
    }
}

/// Reduces the values of each group, given as group and place of the value in the order of the groups.
fn reduced(op: Reduction, dtype: NumberClass, order: &[(u64, usize)], values: &Elements, len: u64) -> Result<Entries> {
    let (offsets, numbers): (Vec<u64>, Vec<Number>) = match op {
        Reduction::Sum | Reduction::Product => computed_in!(values.dtype(), computed(op, order, values, len)),
        Reduction::Max | Reduction::Min | Reduction::All | Reduction::Any => {
            order.chunk_by(|l, r| l.0 == r.0).map(|group| (group[0].0, chosen(op, group, values, len))).unzip()
        }
    };
    without_zeros(offsets.into(), Elements::from_numbers(dtype, numbers))
}

fn computed<T: Arithmetic>(
    op: Reduction,
    order: &[(u64, usize)],
    values: &Elements,
    len: u64,
) -> (Vec<u64>, Vec<Number>) {
    let values = T::all(values);
    let groups = order.chunk_by(|l, r| l.0 == r.0).map(|group| {
        let values = group.iter().map(|(_, at)| values[*at]);
        let total = match op {
            Reduction::Product if (group.len() as u64) < len => T::ZERO,
            Reduction::Product => values.fold(T::ONE, T::times),
            _ => values.fold(T::ZERO, T::plus),
        };
        (group[0].0, total.number())
    });
    groups.unzip()
}

/// What one group is reduced to by comparing.
fn chosen(op: Reduction, group: &[(u64, usize)], values: &Elements, len: u64) -> Number {
    let all = group.iter().map(|(_, at)| values.get(*at));
    let is_full = group.len() as u64 == len;
    match op {
        Reduction::All => Number::Bool(is_full && all.into_iter().all(is_truthy)),
        Reduction::Any => Number::Bool(all.into_iter().any(is_truthy)),
        op => {
            let zero = (!is_full).then(|| Elements::zeros(values.dtype(), 1).get(0));
            let wanted = if op == Reduction::Min { Ordering::Less } else { Ordering::Greater };
            let better = |best: Number, next: Number| partial_compare(next, best) == Some(wanted);
            let mut numbers = all.chain(zero);
            let first = numbers.next().unwrap_or(Number::Bool(false));
            numbers.fold(first, |best, next| if better(best, next) || is_nan(next) { next } else { best })
        }
    }
}

fn is_nan(number: Number) -> bool {
    match number {
        Number::F32(n) => n.is_nan(),
        Number::F64(n) => n.is_nan(),
        _ => false,
    }
}
