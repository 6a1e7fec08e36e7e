//! Batches to rows.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Float32Type, Float64Type};

use super::{PARTS, data_type};
use crate::error::{Error, Result};
use crate::storage::codec::cell::Cell;
use crate::value::number::{Complex32, Complex64};
use crate::value::schema::{Column, ColumnType};
use crate::value::{Number, NumberClass, State};

/// The cell of `column` in a row of `array`.
///
/// # Errors
/// `Internal` if the array is not of the type of the column, or has no such row.
pub fn cell(column: &Column, array: &dyn Array, row: usize) -> Result<State> {
    if row >= array.len() {
        return Err(Error::internal(format!("column {} has {} cells, not more than {row}", column.name, array.len())));
    }
    Reader::try_new(column, array)?.cell(row).into_state(column)
}

/// The rows of a batch of the given columns.
///
/// # Errors
/// `Internal` if the columns of the batch are not of their types.
pub fn rows(columns: &[&Column], batch: &RecordBatch) -> Result<Vec<Vec<State>>> {
    let readers = readers(columns, batch.columns())?;
    let read = |row| {
        let cells = columns.iter().zip(&readers).map(|(column, reader)| reader.cell(row).into_state(column));
        cells.collect::<Result<Vec<State>>>()
    };
    (0..batch.num_rows()).map(read).collect()
}

/// A reader for each of the arrays, which are those of the columns.
pub(super) fn readers<'a>(columns: &[&Column], arrays: &'a [ArrayRef]) -> Result<Vec<Reader<'a>>> {
    if columns.len() != arrays.len() {
        let (expected, found) = (columns.len(), arrays.len());
        return Err(Error::internal(format!("a batch has {found} columns, not {expected}")));
    }
    columns.iter().zip(arrays).map(|(column, array)| Reader::try_new(column, array.as_ref())).collect()
}

/// Reads the cells of an array, whose type was looked at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) nulls: Option<&'a NullBuffer>,
    pub(super) values: Values<'a>,
}

/// The values of an array, by its type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values<'a> {
    Bool(&'a BooleanArray),
    U8(&'a UInt8Array),
    U16(&'a UInt16Array),
    U32(&'a UInt32Array),
    U64(&'a UInt64Array),
    I16(&'a Int16Array),
    I32(&'a Int32Array),
    I64(&'a Int64Array),
    F32(&'a Float32Array),
    F64(&'a Float64Array),
    /// Real and imaginary parts in turn.
    C32(&'a [f32]),
    C64(&'a [f64]),
    Text(&'a StringViewArray),
    Bytes(&'a BinaryViewArray),
    Decimal(&'a Decimal128Array),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Reader<'a> {
    /// A reader of an array with cells of `column`.
    pub(super) fn try_new(column: &Column, array: &'a dyn Array) -> Result<Self> {
        use NumberClass::*;
        let values = match column.ty {
            ColumnType::Number(Bool) => array.as_boolean_opt().map(Values::Bool),
            ColumnType::Number(U8) => array.as_primitive_opt().map(Values::U8),
            ColumnType::Number(U16) => array.as_primitive_opt().map(Values::U16),
            ColumnType::Number(U32) => array.as_primitive_opt().map(Values::U32),
            ColumnType::Number(U64) => array.as_primitive_opt().map(Values::U64),
            ColumnType::Number(I16) => array.as_primitive_opt().map(Values::I16),
            ColumnType::Number(I32) => array.as_primitive_opt().map(Values::I32),
            ColumnType::Number(I64) => array.as_primitive_opt().map(Values::I64),
            ColumnType::Number(F32) => array.as_primitive_opt().map(Values::F32),
            ColumnType::Number(F64) => array.as_primitive_opt().map(Values::F64),
            ColumnType::Number(C32) => parts::<Float32Type>(array).map(Values::C32),
            ColumnType::Number(C64) => parts::<Float64Type>(array).map(Values::C64),
            ColumnType::Bytes => array.as_binary_view_opt().map(Values::Bytes),
            // The same units mean another number at another scale.
            ColumnType::Decimal { .. } if *array.data_type() != data_type(column) => None,
            ColumnType::Decimal { .. } => array.as_primitive_opt().map(Values::Decimal),
            ColumnType::Date => array.as_primitive_opt().map(Values::Date),
            ColumnType::Timestamp => array.as_primitive_opt().map(Values::Timestamp),
            ColumnType::String
            | ColumnType::Id
            | ColumnType::Link
            | ColumnType::Email
            | ColumnType::Version
            | ColumnType::Any => array.as_string_view_opt().map(Values::Text),
        };
        let values = values.ok_or_else(|| {
            let (name, expected, found) = (&column.name, data_type(column), array.data_type());
            Error::internal(format!("column {name} is of type {expected}, but its array is of {found}"))
        })?;
        Ok(Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), values })
    }

    /// The cell in a row, of which there must be one.
    pub(super) fn cell(&self, row: usize) -> Cell<'a> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return Cell::None;
        }
        Cell::Number(match self.values {
            Values::Bool(array) => Number::Bool(array.value(row)),
            Values::U8(array) => Number::U8(array.value(row)),
            Values::U16(array) => Number::U16(array.value(row)),
            Values::U32(array) => Number::U32(array.value(row)),
            Values::U64(array) => Number::U64(array.value(row)),
            Values::I16(array) => Number::I16(array.value(row)),
            Values::I32(array) => Number::I32(array.value(row)),
            Values::I64(array) => Number::I64(array.value(row)),
            Values::F32(array) => Number::F32(array.value(row)),
            Values::F64(array) => Number::F64(array.value(row)),
            Values::C32(parts) => Number::C32(Complex32::new(parts[2 * row], parts[2 * row + 1])),
            Values::C64(parts) => Number::C64(Complex64::new(parts[2 * row], parts[2 * row + 1])),
            Values::Text(array) => return Cell::Text(Cow::Borrowed(array.value(row))),
            Values::Bytes(array) => return Cell::Bytes(Cow::Borrowed(array.value(row))),
            Values::Decimal(array) => return Cell::Decimal(array.value(row)),
            Values::Date(array) => return Cell::Date(array.value(row)),
            Values::Timestamp(array) => return Cell::Timestamp(array.value(row)),
        })
    }
}

/// The parts of an array of complex numbers.
fn parts<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<&[T::Native]> {
    let list = array.as_fixed_size_list_opt().filter(|list| list.value_length() == PARTS)?;
    let parts: &[T::Native] = list.values().as_primitive_opt::<T>()?.values();
    Some(parts)
}
