//! Rows as Arrow batches: the types of columns, and the ways between batches, rows, keys and payloads.
//!
//! | column | Arrow type |
//! |---|---|
//! | Bool | Boolean |
//! | other real numbers | the native type |
//! | Complex | a list of two floats, the real and the imaginary part |
//! | String, Id, Link, Email, Version | Utf8View |
//! | Bytes | BinaryView |
//! | any value | Utf8View: the JSON text of the value |
//! | Decimal, Date, Timestamp | Decimal128, Date32, microseconds without a time zone |
//!
//! [`RowBuilder`] makes a batch of rows; [`cell`] and [`rows`] read one; [`encode_batch_keys`] and
//! [`encode_batch_payloads`] make its stored form, the same bytes as those of the rows one by one; [`cast_batch`] makes
//! a batch of other types one of a schema.

mod build;
mod cast;
mod keys;
mod read;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};

use crate::value::schema::{Column, ColumnType, Schema};
use crate::value::tensor::columns::column_type;

pub use build::RowBuilder;
pub use cast::cast_batch;
pub use keys::{KeyColumn, encode_batch_keys, encode_batch_payloads};
pub use read::{cell, rows};

/// The metadata of a field that says of which class its column is: the path of the class.
pub const CLASS: &str = "tinychain:class";
/// The metadata of a field that says in which slot its column is stored.
pub const SLOT: &str = "tinychain:slot";

/// How many parts a complex number has.
const PARTS: i32 = 2;

/// The type of the Arrow arrays that hold the cells of a column.
pub fn data_type(column: &Column) -> DataType {
    match column.ty {
        ColumnType::Number(class) => column_type(class),
        ColumnType::String
        | ColumnType::Id
        | ColumnType::Link
        | ColumnType::Email
        | ColumnType::Version
        | ColumnType::Any => DataType::Utf8View,
        ColumnType::Bytes => DataType::BinaryView,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// The Arrow schema of the batches of a tree, with [`CLASS`] and [`SLOT`] of each column in the metadata of its field.
pub fn arrow_schema(schema: &Schema) -> SchemaRef {
    Arc::new(ArrowSchema::new(schema.columns.iter().map(field).collect::<Vec<_>>()))
}

fn field(column: &Column) -> Field {
    let class = (CLASS.to_owned(), column.class.path().to_owned());
    let slot = (SLOT.to_owned(), column.slot.to_string());
    Field::new(column.name.as_str(), data_type(column), column.nullable).with_metadata(HashMap::from([class, slot]))
}
