//! Reads sparse tensors from batches.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema as ArrowSchema, UInt64Type};
use serde_json::Value as Json;

use super::SHAPE;
use super::read::{Cell, elements, whole_numbers};
use crate::error::{Error, Result};
use crate::value::number::compare::is_truthy;
use crate::value::tensor::{Elements, Entries, Initial, Layout, Node, Shape, TensorSchema};
use crate::value::{State, Tensor};

/// The sparse tensor whose entries are the rows: a coordinate, whose columns are in the order of the axes, and the element.
/// Rows may be in any order; elements that are zero are left out.
///
/// # Errors
/// `BadRequest` if there is no such tensor, or two rows have the same coordinate.
pub(super) fn read(schema: &ArrowSchema, batches: &[RecordBatch]) -> Result<State> {
    let (shape, axes) = (shape(schema)?, schema.fields().len() - 1);
    if axes != shape.ndim() {
        let (expected, found) = (shape.ndim() + 1, axes + 1);
        let message = format!("the entries of a tensor of shape {shape} have {expected} columns, not {found}");
        return Err(Error::bad_request(message));
    }
    let field = schema.field(axes);
    let Cell { dtype, dims, .. } = Cell::of(field)?;
    if !dims.is_empty() {
        let message = format!("an entry of a sparse tensor has one element, and the column {} has lists", field.name());
        return Err(Error::bad_request(message));
    }
    let values = elements(field, dtype, batches.iter().map(|batch| batch.column(axes)))?;
    let mut offsets = Vec::with_capacity(values.len());
    for batch in batches {
        offsets.extend(offsets_of(schema, &shape, batch)?);
    }
    let entries = ordered(&shape, &offsets, &values)?;
    let schema = TensorSchema { layout: Layout::Sparse, dtype, shape };
    Ok(Tensor::new(schema, Node::Initial(Initial::Entries(entries).into())).into())
}

/// The shape that the metadata say.
fn shape(schema: &ArrowSchema) -> Result<Shape> {
    let unsaid =
        || Error::bad_request(format!("several columns are a sparse tensor whose shape is the metadata {SHAPE}"));
    let text = schema.metadata().get(SHAPE).ok_or_else(unsaid)?;
    let json: Option<Json> = serde_json::from_str(text).ok();
    let dims = json.as_ref().and_then(whole_numbers);
    Shape::try_new(dims.ok_or_else(|| Error::bad_request(format!("{text} in the metadata {SHAPE} is no shape")))?)
}

/// The numbers of the elements in the rows of a batch.
fn offsets_of(schema: &ArrowSchema, shape: &Shape, batch: &RecordBatch) -> Result<Vec<u64>> {
    let mut offsets = vec![0; batch.num_rows()];
    for (axis, dim) in shape.dims().iter().enumerate() {
        let places = places(schema.field(axis).name(), batch.column(axis))?;
        for (offset, place) in offsets.iter_mut().zip(places.values()) {
            if place >= dim {
                let message = format!("a tensor of shape {shape} has no element at {place} of axis {axis}");
                return Err(Error::bad_request(message));
            }
            *offset = *offset * dim + place;
        }
    }
    Ok(offsets)
}

/// The places along an axis.
fn places(name: &str, column: &ArrayRef) -> Result<UInt64Array> {
    let ty = column.data_type();
    if !ty.is_integer() || column.null_count() > 0 {
        let found = if ty.is_integer() { "nulls".to_string() } else { ty.to_string() };
        let message = format!("the column {name} has places along an axis: expected whole numbers, found {found}");
        return Err(Error::bad_request(message));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(column, &DataType::UInt64, &options);
    let cast = cast.map_err(|_| Error::bad_request(format!("the column {name} has places below 0")))?;
    Ok(cast.as_primitive::<UInt64Type>().clone())
}

/// Entries in the order of their numbers, without those that are zero.
fn ordered(shape: &Shape, offsets: &[u64], values: &Elements) -> Result<Entries> {
    let mut order: Vec<usize> = (0..offsets.len()).collect();
    order.sort_unstable_by_key(|at| offsets[*at]);
    if let Some(twice) = order.windows(2).find(|pair| offsets[pair[0]] == offsets[pair[1]]) {
        let coord = shape.coord(offsets[twice[0]]);
        return Err(Error::bad_request(format!("the sparse tensor has two elements at {coord:?}")));
    }
    order.retain(|at| is_truthy(values.get(*at)));
    let numbers = order.iter().map(|at| values.get(*at));
    Ok(Entries {
        values: Elements::from_numbers(values.dtype(), numbers),
        offsets: order.iter().map(|at| offsets[*at]).collect(),
    })
}
