//! Rows of a query as JSON, with every value exact.
//!
//! Integers keep all their digits. What JSON has no number for is a string: decimals such as `"12.50"`, dates and times in
//! ISO 8601, bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datafusion::arrow::array::{Array, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Error, Result};
use crate::value::encode::{Encoder, Json};
use crate::value::{Number, State};

/// Writes `[{"name": …, "type": …}, …]`.
pub(crate) fn encode_columns(schema: &SchemaRef, out: &mut Json) {
    out.begin_list();
    for field in schema.fields() {
        out.item();
        out.begin_map();
        out.key("name");
        out.string(field.name());
        out.key("type");
        out.string(&type_name(field.data_type()));
        out.end_map();
    }
    out.end_list();
}

/// Writes each row of a batch as an item of the list that was begun.
///
/// # Errors
/// `Internal` if a value cannot be written.
pub(crate) fn encode_batch(batch: &RecordBatch, out: &mut Json) -> Result<()> {
    let writers = batch.columns().iter().map(|array| Cells::of(array.as_ref())).collect::<Result<Vec<_>>>()?;
    for row in 0..batch.num_rows() {
        out.item();
        out.begin_list();
        for cells in &writers {
            out.item();
            cells.write(row, out);
        }
        out.end_list();
    }
    Ok(())
}

/// Writes a row of cells.
pub(crate) fn encode_cells(cells: &[State], out: &mut impl Encoder) {
    out.begin_list();
    for cell in cells {
        out.item();
        crate::value::encode::encode(cell, out);
    }
    out.end_list();
}

/// The name that SQL has for a type.
fn type_name(ty: &DataType) -> String {
    match ty {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INTEGER".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt8 => "TINYINT UNSIGNED".into(),
        DataType::UInt16 => "SMALLINT UNSIGNED".into(),
        DataType::UInt32 => "INTEGER UNSIGNED".into(),
        DataType::UInt64 => "BIGINT UNSIGNED".into(),
        DataType::Float16 | DataType::Float32 => "REAL".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BYTEA".into()
        }
        DataType::Date32 | DataType::Date64 => "DATE".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Timestamp(
            TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
            zone,
        ) => {
            if zone.is_some() {
                "TIMESTAMP WITH TIME ZONE".into()
            } else {
                "TIMESTAMP".into()
            }
        }
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".into(),
        DataType::Null => "NULL".into(),
        DataType::List(field) | DataType::LargeList(field) | DataType::ListView(field) => {
            format!("{}[]", type_name(field.data_type()))
        }
        DataType::FixedSizeList(field, length) => format!("{}[{length}]", type_name(field.data_type())),
        DataType::Dictionary(_, values) => type_name(values),
        other => other.to_string(),
    }
}

/// The cells of a column, and how they are written.
struct Cells<'a> {
    array: &'a dyn Array,
    /// Writes what has no form of its own.
    text: Option<ArrayFormatter<'a>>,
}

const FORMAT: FormatOptions<'static> = FormatOptions::new().with_display_error(true);

impl<'a> Cells<'a> {
    fn of(array: &'a dyn Array) -> Result<Self> {
        let needs_text = matches!(
            array.data_type(),
            DataType::Decimal128(..)
                | DataType::Decimal256(..)
                | DataType::Date32
                | DataType::Date64
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Timestamp(..)
                | DataType::Interval(_)
                | DataType::Duration(_)
                | DataType::Struct(_)
                | DataType::Map(..)
                | DataType::Union(..)
                | DataType::Dictionary(..)
                | DataType::RunEndEncoded(..)
                | DataType::LargeListView(_)
                | DataType::ListView(_)
                | DataType::Decimal32(..)
                | DataType::Decimal64(..)
        );
        let text = match needs_text {
            true => Some(
                ArrayFormatter::try_new(array, &FORMAT)
                    .map_err(|error| Error::internal(format!("a column cannot be written: {error}")))?,
            ),
            false => None,
        };
        Ok(Self { array, text })
    }

    fn write(&self, row: usize, out: &mut Json) {
        let array = self.array;
        if array.is_null(row) {
            return out.null();
        }
        if let Some(text) = &self.text {
            return out.string(&text.value(row).to_string());
        }
        match array.data_type() {
            DataType::Boolean => out.bool(array.as_boolean().value(row)),
            DataType::Int8 => out.number(Number::I64(array.as_primitive::<Int8Type>().value(row).into())),
            DataType::Int16 => out.number(Number::I64(array.as_primitive::<Int16Type>().value(row).into())),
            DataType::Int32 => out.number(Number::I64(array.as_primitive::<Int32Type>().value(row).into())),
            DataType::Int64 => out.number(Number::I64(array.as_primitive::<Int64Type>().value(row))),
            DataType::UInt8 => out.number(Number::U64(array.as_primitive::<UInt8Type>().value(row).into())),
            DataType::UInt16 => out.number(Number::U64(array.as_primitive::<UInt16Type>().value(row).into())),
            DataType::UInt32 => out.number(Number::U64(array.as_primitive::<UInt32Type>().value(row).into())),
            DataType::UInt64 => out.number(Number::U64(array.as_primitive::<UInt64Type>().value(row))),
            DataType::Float16 => out.number(Number::F32(array.as_primitive::<Float16Type>().value(row).into())),
            DataType::Float32 => out.number(Number::F32(array.as_primitive::<Float32Type>().value(row))),
            DataType::Float64 => out.number(Number::F64(array.as_primitive::<Float64Type>().value(row))),
            DataType::Utf8 => out.string(array.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => out.string(array.as_string::<i64>().value(row)),
            DataType::Utf8View => out.string(array.as_string_view().value(row)),
            DataType::Binary => out.string(&BASE64.encode(array.as_binary::<i32>().value(row))),
            DataType::LargeBinary => out.string(&BASE64.encode(array.as_binary::<i64>().value(row))),
            DataType::BinaryView => out.string(&BASE64.encode(array.as_binary_view().value(row))),
            DataType::FixedSizeBinary(_) => out.string(&BASE64.encode(array.as_fixed_size_binary().value(row))),
            DataType::List(_) => items(array.as_list::<i32>().value(row).as_ref(), out),
            DataType::LargeList(_) => items(array.as_list::<i64>().value(row).as_ref(), out),
            DataType::FixedSizeList(..) => items(array.as_fixed_size_list().value(row).as_ref(), out),
            _ => out.null(),
        }
    }
}

fn items(array: &dyn Array, out: &mut Json) {
    out.begin_list();
    if let Ok(cells) = Cells::of(array) {
        for row in 0..array.len() {
            out.item();
            cells.write(row, out);
        }
    }
    out.end_list();
}
