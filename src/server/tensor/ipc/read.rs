//! Reads tensors from batches.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use hyper::body::Bytes;
use serde_json::Value as Json;

use super::super::{dense, transposed};
use super::{FIXED_SHAPE_TENSOR, entries, messages};
use crate::error::{Error, Result};
use crate::exec::sql::write_error;
use crate::storage::codec::arrow::CLASS;
use crate::value::tensor::columns::{part_type, parts};
use crate::value::tensor::{Elements, Shape};
use crate::value::{Class, NumberClass, State};

/// Reads a stream: a dense tensor if it has one column, and a sparse one if it has more.
///
/// # Errors
/// `BadRequest` if it is malformed, or there is no such tensor.
pub fn decode(body: &Bytes) -> Result<State> {
    let (schema, batches) = messages::read(body)?;
    match schema.fields().len() {
        0 => Err(Error::bad_request("the Arrow stream has no column")),
        1 => rows(&schema, &batches),
        _ => entries::read(&schema, &batches),
    }
}

/// The dense tensor whose parts along the first axis are the rows of a column.
fn rows(schema: &ArrowSchema, batches: &[RecordBatch]) -> Result<State> {
    let field = schema.field(0);
    let Cell { dtype, dims, permutation } = Cell::of(field)?;
    let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let shape = Shape::try_new([&[rows][..], &dims[..]].concat())?;
    let tensor = dense(shape, elements(field, dtype, batches.iter().map(|batch| batch.column(0)))?);
    let permutation = [0].into_iter().chain(permutation.into_iter().map(|axis| axis + 1));
    transposed(tensor, permutation.collect()).map(State::from)
}

/// What the type of a column says of each of its cells.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Cell {
    pub dtype: NumberClass,
    /// The dimensions of the elements as they follow each other; none if the cell is one element.
    pub dims: Vec<u64>,
    /// Which of these each axis is.
    pub permutation: Vec<usize>,
}

impl Cell {
    /// What a field says of its cells.
    ///
    /// # Errors
    /// `BadRequest` if they are no tensors.
    pub fn of(field: &Field) -> Result<Self> {
        let (part, mut dims, permutation) = match (field.extension_type_name(), field.data_type()) {
            (Some(FIXED_SHAPE_TENSOR), DataType::FixedSizeList(item, size)) => {
                let (dims, permutation) = fixed_shape(field, *size)?;
                (item.data_type(), dims, permutation)
            }
            (_, ty) => {
                let (mut part, mut dims) = (ty, Vec::new());
                while let DataType::FixedSizeList(item, size) = part {
                    dims.push(u64::try_from(*size).unwrap_or(0));
                    part = item.data_type();
                }
                (part, dims, None)
            }
        };
        let mut permutation = permutation.unwrap_or_else(|| (0..dims.len()).collect());
        let name = field.name();
        if let Some(dtype) = complex(field) {
            let last = dims.len().checked_sub(1);
            let has_parts = *part == part_type(dtype) && dims.pop() == Some(2) && permutation.pop() == last;
            return match has_parts {
                true => Ok(Self { dtype, dims, permutation }),
                false => {
                    let (class, ty) = (Class::from(dtype), part_type(dtype));
                    let message = format!("the column {name} of {class} needs lists of two {ty} as its last axis");
                    Err(Error::bad_request(message))
                }
            };
        }
        let real = |dtype: &NumberClass| parts(*dtype) == 1 && part_type(*dtype) == *part;
        match NumberClass::ALL.into_iter().find(real) {
            Some(dtype) => Ok(Self { dtype, dims, permutation }),
            None => {
                let known = NumberClass::ALL.into_iter().filter(|dtype| parts(*dtype) == 1);
                let known: Vec<String> = known.map(|dtype| part_type(dtype).to_string()).collect();
                let known = known.join(", ");
                Err(Error::bad_request(format!(
                    "a tensor has no elements of type {part}, as the column {name} has: expected one of {known}, or lists \
                     of a fixed size of them"
                )))
            }
        }
    }
}

/// The dtype of a column of complex numbers.
fn complex(field: &Field) -> Option<NumberClass> {
    match Class::at(field.metadata().get(CLASS)?)? {
        Class::Exactly(class) if parts(class) > 1 => Some(class),
        _ => None,
    }
}

/// The dimensions and the permutation of tensors of `size` elements, as the metadata of their type say it.
fn fixed_shape(field: &Field, size: i32) -> Result<(Vec<u64>, Option<Vec<usize>>)> {
    let malformed = || {
        let (name, text) = (field.name(), field.extension_type_metadata().unwrap_or_default());
        Error::bad_request(format!("the column {name} has tensors of {size} elements, and the metadata {text}"))
    };
    let json: Json =
        serde_json::from_str(field.extension_type_metadata().unwrap_or_default()).map_err(|_| malformed())?;
    let list = |name: &str| match json.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(list) => whole_numbers(list).map(Some).ok_or_else(malformed),
    };
    let dims = list("shape")?.ok_or_else(malformed)?;
    let permutation = list("permutation")?;
    let product = dims.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
    let mut axes = permutation.clone().unwrap_or_default();
    axes.sort_unstable();
    let is_permutation = permutation.is_none() || axes.iter().copied().eq(0..dims.len() as u64);
    match product == u64::try_from(size).ok() && is_permutation {
        true => Ok((dims, permutation.map(|axes| axes.into_iter().map(|axis| axis as usize).collect()))),
        false => Err(malformed()),
    }
}

/// The whole numbers of a JSON list.
pub(super) fn whole_numbers(json: &Json) -> Option<Vec<u64>> {
    json.as_array()?.iter().map(Json::as_u64).collect()
}

/// All elements in the cells of a column.
///
/// # Errors
/// `BadRequest` if there are nulls.
pub(super) fn elements<'a>(
    field: &Field,
    dtype: NumberClass,
    column: impl Iterator<Item = &'a ArrayRef>,
) -> Result<Elements> {
    let parts = column.map(|array| flat(field, array)).collect::<Result<Vec<_>>>()?;
    let parts: Vec<&dyn Array> = parts.iter().map(|array| array.as_ref()).collect();
    if parts.is_empty() {
        return Ok(Elements::zeros(dtype, 0));
    }
    Elements::from_parts(dtype, &concat(&parts).map_err(write_error)?)
}

/// What is in lists, and lists of lists, one after the other.
fn flat(field: &Field, array: &ArrayRef) -> Result<ArrayRef> {
    let mut array = Arc::clone(array);
    loop {
        if array.null_count() > 0 {
            return Err(Error::bad_request(format!("a tensor has no nulls, as the column {} has", field.name())));
        }
        let Some(lists) = array.as_fixed_size_list_opt() else { return Ok(array) };
        // A library may have kept more of them than there are lists.
        let len = lists.len() * usize::try_from(lists.value_length()).unwrap_or(0);
        let values = lists.values().slice(0, len);
        array = values;
    }
}
