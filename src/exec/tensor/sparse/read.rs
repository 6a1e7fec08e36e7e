//! Entries that are stored, and those that a constructor says.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::UInt64Type;
use futures::TryStreamExt as _;

use super::super::{Evaluation, leaf};
use super::{none, picked, within, without_zeros};
use crate::error::{Error, Result};
use crate::value::number::compare::is_truthy;
use crate::value::tensor::elements::width;
use crate::value::tensor::{Content, Elements, Entries, Initial};
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
    let elements = elements(dtype, batch.column(1).as_ref())?;
    if elements.len() != keys.len() {
        return Err(unfit());
    }
    Ok((keys.values().to_vec(), elements))
}

/// Elements in an Arrow array of numbers.
fn elements(dtype: NumberClass, array: &dyn Array) -> Result<Elements> {
    if let Some(booleans) = array.as_boolean_opt() {
        let bytes: Vec<u8> = (0..booleans.len()).map(|at| u8::from(booleans.value(at))).collect();
        return Ok(Elements::from_vec(dtype, bytes));
    }
    let numbers = match array.as_fixed_size_list_opt() {
        // Complex numbers are lists of their parts.
        Some(pairs) => pairs.values().slice(2 * pairs.offset(), 2 * pairs.len()),
        None => array.slice(0, array.len()),
    };
    let data = numbers.to_data();
    let parts = if matches!(dtype, NumberClass::C32 | NumberClass::C64) { 2 } else { 1 };
    let width = width(dtype) / parts;
    let bytes = data.buffers().first().ok_or_else(|| Error::internal("a column of numbers has none"))?;
    let bytes = bytes.slice_with_length(data.offset() * width, data.len() * width);
    Elements::try_new(dtype, Buffer::from_slice_ref(bytes.as_slice()))
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
