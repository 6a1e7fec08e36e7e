//! Batches of a tensor.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use serde_json::json;

use super::{EXTENSION, EXTENSION_METADATA, FIXED_SHAPE_TENSOR, SHAPE};
use crate::error::{Error, Result};
use crate::exec::TensorReader;
use crate::exec::sql::write_error;
use crate::storage::codec::arrow::CLASS;
use crate::value::tensor::columns::{part_type, parts};
use crate::value::tensor::elements::width;
use crate::value::tensor::{Elements, Entries, Layout, Shape, TensorSchema};
use crate::value::{Class, NumberClass};

/// Bytes of a row of a dense tensor, which is in memory as a whole.
const ROW_BYTES_MAX: u64 = 128 << 20;
/// Entries of a sparse tensor that are sent together.
const BATCH_LEN: usize = 1 << 16;

/// Refuses a dense tensor whose rows are too large.
///
/// # Errors
/// `TooLarge` then.
pub fn check(schema: &TensorSchema) -> Result<()> {
    let bytes = row_len(&schema.shape).saturating_mul(width(schema.dtype) as u64);
    match schema.layout == Layout::Dense && bytes > ROW_BYTES_MAX {
        true => Err(Error::too_large(format!(
            "a row of a tensor of shape {} has more than {ROW_BYTES_MAX} bytes, which is too large for Arrow: reshape it, or \
             ask for application/x-npy",
            schema.shape
        ))),
        false => Ok(()),
    }
}

/// The batches of a tensor, and their schema. The entries of a sparse one may take `bytes_max`.
///
/// # Errors
/// As [`check`] and [`TensorReader::entries`]. What is computed later fails in the stream.
pub async fn batches(
    reader: TensorReader,
    bytes_max: usize,
) -> Result<(SchemaRef, BoxStream<'static, Result<RecordBatch>>)> {
    let tensor = reader.schema().clone();
    check(&tensor)?;
    match tensor.layout {
        Layout::Dense => {
            let pieces = reader.pieces(row_len(&tensor.shape));
            Ok(dense(&tensor, pieces))
        }
        Layout::Sparse => {
            let entries = reader.entries(bytes_max).await?;
            Ok(sparse(&tensor, entries))
        }
    }
}

/// How many elements a row has.
fn row_len(shape: &Shape) -> u64 {
    shape.dims()[1..].iter().product()
}

/// The batches of a dense tensor, whose elements come in pieces of whole rows.
pub(super) fn dense(
    tensor: &TensorSchema,
    pieces: BoxStream<'static, Result<Elements>>,
) -> (SchemaRef, BoxStream<'static, Result<RecordBatch>>) {
    let mut row = tensor.shape.dims()[1..].to_vec();
    if parts(tensor.dtype) > 1 {
        row.push(parts(tensor.dtype) as u64);
    }
    let field = value(tensor.dtype, &row);
    let schema = described(tensor, vec![if row.is_empty() { field } else { of_tensors(field, &row) }]);
    let of = Arc::clone(&schema);
    let batches = pieces.map(move |piece| {
        let column = column(of.field(0).data_type(), &piece?)?;
        RecordBatch::try_new(Arc::clone(&of), vec![column]).map_err(write_error)
    });
    (schema, batches.boxed())
}

/// The batches of a sparse tensor.
pub(super) fn sparse(tensor: &TensorSchema, entries: Entries) -> (SchemaRef, BoxStream<'static, Result<RecordBatch>>) {
    let pair = [parts(tensor.dtype) as u64];
    let value = value(tensor.dtype, if pair == [1] { &[] } else { &pair });
    let axes = (0..tensor.shape.ndim()).map(|axis| Field::new(format!("axis_{axis}"), DataType::UInt64, false));
    let schema = described(tensor, axes.chain([value]).collect());
    let (of, shape, len) = (Arc::clone(&schema), tensor.shape.clone(), entries.len());
    let batches = stream::iter((0..len).step_by(BATCH_LEN)).map(move |start| {
        let columns = columns(&of, &shape, &entries, start..len.min(start + BATCH_LEN))?;
        RecordBatch::try_new(Arc::clone(&of), columns).map_err(write_error)
    });
    (schema, batches.boxed())
}

/// The coordinates and values of some entries.
fn columns(schema: &SchemaRef, shape: &Shape, entries: &Entries, range: Range<usize>) -> Result<Vec<ArrayRef>> {
    let offsets = &entries.offsets[range.clone()];
    let axes = shape.strides().into_iter().zip(shape.dims());
    let axis = |(stride, dim): (u64, &u64)| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(offsets.iter().map(|offset| offset / stride % dim)))
    };
    let mut columns: Vec<ArrayRef> = axes.map(axis).collect();
    let values = entries.values.slice(range.start, range.len());
    columns.push(column(schema.field(columns.len()).data_type(), &values)?);
    Ok(columns)
}

/// The field of elements, each row of which has these dimensions, or is one part.
fn value(dtype: NumberClass, row: &[u64]) -> Field {
    let ty = match row {
        [] => part_type(dtype),
        row => {
            let item = Arc::new(Field::new_list_field(part_type(dtype), false));
            // Rows are small: see `check`.
            DataType::FixedSizeList(item, row.iter().product::<u64>() as i32)
        }
    };
    let class = (CLASS.to_string(), Class::from(dtype).path().to_string());
    Field::new("value", ty, false).with_metadata(HashMap::from([class]))
}

/// The same field with tensors of these dimensions as its cells.
fn of_tensors(field: Field, dims: &[u64]) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(EXTENSION.to_string(), FIXED_SHAPE_TENSOR.to_string());
    metadata.insert(EXTENSION_METADATA.to_string(), json!({"shape": dims}).to_string());
    field.with_metadata(metadata)
}

/// The schema of the batches of a tensor.
fn described(tensor: &TensorSchema, fields: Vec<Field>) -> SchemaRef {
    let shape = (SHAPE.to_string(), json!(tensor.shape.dims()).to_string());
    Arc::new(ArrowSchema::new_with_metadata(fields, HashMap::from([shape])))
}

/// Elements as a column of this type.
fn column(ty: &DataType, elements: &Elements) -> Result<ArrayRef> {
    let parts = elements.to_parts()?;
    match ty {
        DataType::FixedSizeList(item, size) => {
            let lists = FixedSizeListArray::try_new(Arc::clone(item), *size, parts, None).map_err(write_error)?;
            Ok(Arc::new(lists))
        }
        _ => Ok(parts),
    }
}
