//! Batches of other types to batches of a schema.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;

use super::build::{CellBuilder, complex_array};
use super::read::Reader;
use super::{PARTS, arrow_schema, data_type};
use crate::error::{Error, Result};
use crate::storage::codec::cell::Cell;
use crate::storage::codec::json;
use crate::value::cell::{cast_cell, normal_f32, normal_f64, refused};
use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::{Class, NumberClass, State};

/// The columns of `batch`, by position, as those of `schema`.
///
/// Other than [`cast_cell`], this refuses numbers that do not fit, as SQL does. Texts of links, names, addresses and
/// versions are checked; a column of any value takes the JSON text of a value, and other types as the values they are.
///
/// # Errors
/// `BadRequest`, naming the column, if there are more or fewer columns, if there is no such conversion or not for a
/// cell, if a cell is None though its column is not nullable, or if one is longer than its column allows.
pub fn cast_batch(schema: &Schema, batch: &RecordBatch) -> Result<RecordBatch> {
    let (expected, found) = (schema.columns.len(), batch.num_columns());
    if expected != found {
        return Err(Error::bad_request(format!("expected rows of {expected} cells, not {found}")));
    }
    let columns = schema.columns.iter().zip(batch.columns()).map(|(column, array)| cast_column(column, array));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(arrow_schema(schema), columns, &options)
        .map_err(|error| Error::internal(format!("cannot build a batch: {error}")))
}

fn cast_column(column: &Column, array: &ArrayRef) -> Result<ArrayRef> {
    let cast = match column.ty {
        ColumnType::Number(NumberClass::C32) => complex::<Float32Type>(column, array, normal_f32)?,
        ColumnType::Number(NumberClass::C64) => complex::<Float64Type>(column, array, normal_f64)?,
        ColumnType::Number(NumberClass::F32) => normal::<Float32Type>(convert(column, array)?, normal_f32),
        ColumnType::Number(NumberClass::F64) => normal::<Float64Type>(convert(column, array)?, normal_f64),
        ColumnType::Id | ColumnType::Link | ColumnType::Email | ColumnType::Version => texts(column, array)?,
        ColumnType::Any => values(column, array)?,
        _ => convert(column, array)?,
    };
    if !column.nullable && cast.null_count() > 0 {
        return Err(refused(column, "it may not be null"));
    }
    check_length(column, &cast)?;
    Ok(cast)
}

/// The array as Arrow casts it to the type of the column.
fn convert(column: &Column, array: &ArrayRef) -> Result<ArrayRef> {
    to_type(column, array, &data_type(column))
}

fn to_type(column: &Column, array: &ArrayRef, ty: &DataType) -> Result<ArrayRef> {
    if array.data_type() == ty {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, ty, &options).map_err(|error| not_cast(column, &error))
}

/// Floats as they are stored: without -0, and with one NaN.
fn normal<T: ArrowPrimitiveType>(array: ArrayRef, normal: fn(T::Native) -> T::Native) -> ArrayRef
where
    T::Native: ToBits,
{
    match array.as_primitive_opt::<T>() {
        Some(floats) if floats.values().iter().any(|n| n.bits() != normal(*n).bits()) => {
            Arc::new(floats.unary::<_, T>(normal))
        }
        _ => array,
    }
}

/// The bits of a float, which tell floats apart that are equal.
trait ToBits: Copy {
    fn bits(self) -> u64;
}

impl ToBits for f32 {
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl ToBits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// Complex numbers from lists of two parts, from real numbers, or from their text.
fn complex<T: ArrowPrimitiveType>(
    column: &Column,
    array: &ArrayRef,
    normal: fn(T::Native) -> T::Native,
) -> Result<ArrayRef> {
    if let Some(list) = array.as_fixed_size_list_opt().filter(|list| list.value_length() == PARTS) {
        return complex_of_list::<T>(column, list, normal);
    }
    if array.data_type().is_numeric() || *array.data_type() == DataType::Boolean {
        let floats = to_type(column, array, &T::DATA_TYPE)?;
        let Some(floats) = floats.as_primitive_opt::<T>() else {
            return Err(refused(column, "it is not a number"));
        };
        let parts = floats.values().iter().flat_map(|re| [normal(*re), T::Native::default()]).collect();
        return complex_array::<T>(parts, floats.nulls().cloned());
    }
    let texts = to_type(column, array, &DataType::Utf8View)?;
    cast_each(column, &texts, |text| Ok(State::from(text)))
}

fn complex_of_list<T: ArrowPrimitiveType>(
    column: &Column,
    list: &FixedSizeListArray,
    normal: fn(T::Native) -> T::Native,
) -> Result<ArrayRef> {
    let parts = to_type(column, list.values(), &T::DATA_TYPE)?;
    let Some(parts) = parts.as_primitive_opt::<T>() else {
        return Err(refused(column, "its parts are not numbers"));
    };
    let is_whole = |row: usize| parts.is_valid(2 * row) && parts.is_valid(2 * row + 1);
    if (0..list.len()).any(|row| list.is_valid(row) && !is_whole(row)) {
        return Err(refused(column, "a part of a complex number is null"));
    }
    complex_array::<T>(parts.values().iter().map(|part| normal(*part)).collect(), list.nulls().cloned())
}

/// Texts that each stand for a value of the class of the column.
fn texts(column: &Column, array: &ArrayRef) -> Result<ArrayRef> {
    let texts = to_type(column, array, &DataType::Utf8View)?;
    cast_each(column, &texts, |text| Ok(State::from(text)))
}

/// Values of any class: from their JSON text, or from arrays of another type.
fn values(column: &Column, array: &ArrayRef) -> Result<ArrayRef> {
    let Some(ty) = native_type(array.data_type()) else {
        let texts = to_type(column, array, &DataType::Utf8View)?;
        return cast_each(column, &texts, json::decode);
    };
    let native = Column {
        name: column.name.clone(),
        class: Class::Value,
        ty,
        max_len: None,
        nullable: true,
        slot: 0,
        ordinal: 0,
        default: State::NONE,
    };
    let cells = convert(&native, array)?;
    let reader = Reader::try_new(&native, cells.as_ref())?;
    let mut builder = CellBuilder::new(column, cells.len());
    for row in 0..cells.len() {
        push_cast(column, &reader.cell(row).into_state(&native)?, &mut builder)?;
    }
    builder.finish()
}

/// The type of a column that has the cells of an array of a type other than text.
fn native_type(ty: &DataType) -> Option<ColumnType> {
    use NumberClass::*;
    Some(match ty {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) | DataType::Null => {
            return None;
        }
        DataType::Boolean => ColumnType::Number(Bool),
        DataType::UInt8 => ColumnType::Number(U8),
        DataType::UInt16 => ColumnType::Number(U16),
        DataType::UInt32 => ColumnType::Number(U32),
        DataType::UInt64 => ColumnType::Number(U64),
        DataType::Int8 | DataType::Int16 => ColumnType::Number(I16),
        DataType::Int32 => ColumnType::Number(I32),
        DataType::Int64 => ColumnType::Number(I64),
        DataType::Float16 | DataType::Float32 => ColumnType::Number(F32),
        DataType::Float64 => ColumnType::Number(F64),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ColumnType::Bytes
        }
        DataType::FixedSizeList(_, PARTS) => ColumnType::Number(C64),
        _ => ColumnType::String,
    })
}

/// The cells that `read` finds in texts, cast to the column.
fn cast_each(column: &Column, texts: &ArrayRef, read: impl Fn(&str) -> Result<State>) -> Result<ArrayRef> {
    let Some(texts) = texts.as_string_view_opt() else {
        return Err(refused(column, "it is not a text"));
    };
    let mut builder = CellBuilder::new(column, texts.len());
    for text in texts {
        let cell = match text {
            None => State::NONE,
            Some(text) => read(text).map_err(|error| {
                let message = format!("invalid value for column {}: {}", column.name, error.message());
                error.with_message(message)
            })?,
        };
        push_cast(column, &cell, &mut builder)?;
    }
    builder.finish()
}

fn push_cast(column: &Column, cell: &State, builder: &mut CellBuilder) -> Result<()> {
    let cell = cast_cell(column, cell)?;
    builder.push(column, &Cell::of_state(column, &cell)?)
}

/// Checks the length of strings and bytes; that of other cells was checked when they were cast one by one.
fn check_length(column: &Column, array: &ArrayRef) -> Result<()> {
    let Some(max) = column.max_len else { return Ok(()) };
    let is_too_long = |(row, len): &(usize, u32)| *len > max && array.is_valid(*row);
    let longest = match column.ty {
        ColumnType::String => {
            array.as_string_view_opt().and_then(|texts| texts.lengths().enumerate().find(is_too_long))
        }
        ColumnType::Bytes => array.as_binary_view_opt().and_then(|bytes| bytes.lengths().enumerate().find(is_too_long)),
        _ => None,
    };
    match longest {
        Some((_, len)) => Err(refused(column, &format!("it has {len} bytes, of at most {max}"))),
        None => Ok(()),
    }
}

fn not_cast(column: &Column, error: &ArrowError) -> Error {
    refused(column, &error.to_string())
}
