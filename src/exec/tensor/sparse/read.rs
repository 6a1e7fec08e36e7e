//! Entries that are stored, and those that a constructor says.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::UInt64Type;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};

use super::super::{Evaluation, leaf};
use super::view::check_len;
use super::{none, picked, within, without_zeros};
use crate::error::{Error, Result};
use crate::value::number::compare::is_truthy;
use crate::value::tensor::{Content, Elements, Entries, Initial, Node};
use crate::value::{Number, NumberClass, Tensor};

impl Evaluation {
    /// What was written, over what there was.
    pub(super) async fn read(
        &self,
        tensor: &Tensor,
        content: &Arc<dyn Content>,
        initial: &Arc<Initial>,
        range: Range<u64>,
    ) -> Result<Entries> {
        let below = self.initial_entries(tensor, initial, range.clone()).await?;
        if content.is_empty() {
            return Ok(below);
        }
        let (mut offsets, mut values) = (Vec::new(), Vec::new());
        let mut batches = content.read(range);
        while let Some(batch) = batches.try_next().await? {
            let (keys, elements) = columns(tensor.dtype(), &batch)?;
            offsets.extend(keys);
            values.push(elements);
        }
        let written = Entries { offsets: offsets.into(), values: leaf::joined(tensor.dtype(), &values)? };
        over(&below, written)
    }

    /// The entries of a tensor whose numbers are in `range`, some at a time. What a service keeps need not fit in memory.
    pub(in crate::exec) fn entry_pieces(
        self: &Arc<Self>,
        tensor: &Arc<Tensor>,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Entries>> {
        if let Node::Stored { content, initial } = &tensor.node
            && tensor.is_sparse()
            && matches!(**initial, Initial::Fill(_))
        {
            let dtype = tensor.dtype();
            let entries = move |batch: Result<RecordBatch>| {
                let (offsets, values) = columns(dtype, &batch?)?;
                without_zeros(offsets.into(), values)
            };
            return content.read(range).map(entries).boxed();
        }
        let (evaluation, tensor) = (Arc::clone(self), Arc::clone(tensor));
        stream::once(async move { evaluation.entries_within(&tensor, range).await }).boxed()
    }

    /// What a constructor says.
    pub(super) async fn initial_entries(
        &self,
        tensor: &Tensor,
        initial: &Initial,
        range: Range<u64>,
    ) -> Result<Entries> {
        let dtype = tensor.dtype();
        match initial {
            Initial::Fill(number) if !is_truthy(*number) => Ok(none(dtype)),
            Initial::Entries(entries) => Ok(within(entries.clone(), range)),
            Initial::Eye => {
                let step = tensor.shape().dims()[0] + 1;
                check_len(range.end.div_ceil(step) - range.start.div_ceil(step), 1)?;
                let offsets: Arc<[u64]> =
                    (range.start.div_ceil(step)..range.end.div_ceil(step)).map(|at| at * step).collect();
                let ones = std::iter::repeat_n(Number::Bool(true), offsets.len());
                Ok(Entries { values: Elements::from_numbers(dtype, ones), offsets })
            }
            Initial::Copy(of) => self.entries_within(of, range).await,
            _ => Err(Error::internal("a sparse tensor is not made as a dense one")),
        }
    }
}

/// Numbers and elements of stored entries.
fn columns(dtype: NumberClass, batch: &RecordBatch) -> Result<(Vec<u64>, Elements)> {
    let unfit = || Error::internal("the rows of a sparse tensor are not entries");
    let keys = batch.column(0).as_primitive_opt::<UInt64Type>().ok_or_else(unfit)?;
    let elements = Elements::from_column(dtype, batch.column(1).as_ref())?;
    if elements.len() != keys.len() {
        return Err(unfit());
    }
    Ok((keys.values().to_vec(), elements))
}

/// What was written over other entries; zeros hide these.
fn over(below: &Entries, written: Entries) -> Result<Entries> {
    if below.is_empty() {
        return without_zeros(written.offsets, written.values);
    }
    let values = leaf::joined(below.values.dtype(), &[below.values.clone(), written.values])?;
    let (mut l, mut r) = (0, 0);
    let (mut offsets, mut places) = (Vec::new(), Vec::new());
    loop {
        match (below.offsets.get(l), written.offsets.get(r)) {
            (None, None) => break,
            (Some(under), hidden) if hidden.is_none_or(|over| under < over) => {
                offsets.push(*under);
                places.push(l);
                l += 1;
            }
            (under, Some(over)) => {
                l += usize::from(under == Some(over));
                offsets.push(*over);
                places.push(below.len() + r);
                r += 1;
            }
            (Some(_), None) => break,
        }
    }
    without_zeros(offsets.into(), picked(&values, &places)?)
}
