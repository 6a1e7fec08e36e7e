//! How the rows of a tree are laid out in a Parquet file.
//!
//! Encodings are chosen for the speed of loading and reading, since a host stores what it is sent: numbers are PLAIN,
//! texts get a dictionary while that is small, and LZ4 on top costs less than writing what it saves. There is about one
//! page for a column of a block, and so no page index: a block is about as large as a page of others, and our own index
//! ([`super::index`]) finds it. Statistics of blocks are kept, for pruning.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use parquet::basic::Compression;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::footer::{COLUMNS_KEY, Columns, FORMAT, FORMAT_KEY, TREE_KEY};
use crate::storage::codec::arrow_schema;
use crate::value::schema::{Column, ColumnType};
use crate::value::{NumberClass, Schema, TreeId};

/// Bytes of the dictionary of a column of a block. Past that, values repeat too seldom to be worth looking up.
const DICTIONARY_BYTES_MAX: usize = 128 << 10;

/// The columns of a file with rows of `schema`: its own, then the sequence number of the commit that wrote each row
/// (none for rows of the commit of the segment), then, with `has_tombstones`, whether a row is one.
pub(super) fn file_schema(schema: &Schema, has_tombstones: bool) -> SchemaRef {
    let rows = arrow_schema(schema);
    let mut fields: Vec<Field> = rows.fields().iter().map(|field| field.as_ref().clone()).collect();
    if has_tombstones {
        fields = fields.into_iter().enumerate().map(|(i, field)| relaxed(schema, i, field)).collect();
        fields.push(Field::new(unused_name(schema, "_seq"), DataType::UInt64, true));
        fields.push(Field::new(unused_name(schema, "_deleted"), DataType::Boolean, false));
    } else {
        fields.push(Field::new(unused_name(schema, "_seq"), DataType::UInt64, true));
    }
    Arc::new(ArrowSchema::new(fields))
}

/// The field of a column where there are tombstones, which may have nothing in their value columns.
pub(super) fn relaxed(schema: &Schema, column: usize, field: Field) -> Field {
    if column < schema.key_len { field } else { field.with_nullable(true) }
}

/// A name that no column has. Nothing here relies on it, but other readers of the file want names to differ.
fn unused_name(schema: &Schema, name: &str) -> String {
    let mut name = name.to_string();
    while schema.position(&name).is_some() {
        name.insert(0, '_');
    }
    name
}

/// How the file is written.
pub(super) fn properties(tree: TreeId, schema: &Schema, has_tombstones: bool, block_rows: usize) -> WriterProperties {
    let pairs = [
        (FORMAT_KEY, FORMAT.to_string()),
        (TREE_KEY, tree.0.to_string()),
        (COLUMNS_KEY, Columns::of(schema, has_tombstones).encode()),
    ];
    let pairs = pairs.into_iter().map(|(key, value)| KeyValue::new(key.to_string(), value)).collect();
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("tinychain ", env!("CARGO_PKG_VERSION")).to_string())
        .set_key_value_metadata(Some(pairs))
        .set_sorting_columns(Some(sorting_columns(schema)))
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(block_rows)
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX);
    for (position, column) in schema.columns.iter().enumerate() {
        if has_dictionary(schema, position, column) {
            builder = builder.set_column_dictionary_enabled(ColumnPath::from(column.name.as_str()), true);
        }
    }
    builder.build()
}

/// Whether it is worth a try to write each text of a column once.
fn has_dictionary(schema: &Schema, position: usize, column: &Column) -> bool {
    use ColumnType::*;
    let is_unique = position == 0 && schema.key_len == 1;
    !is_unique && matches!(column.ty, String | Id | Link | Email | Version | Any)
}

/// The first key columns, as far as the order of their cells is that of Parquet.
fn sorting_columns(schema: &Schema) -> Vec<SortingColumn> {
    let is_ordered = |column: &&Column| match column.ty {
        ColumnType::Number(class) => !matches!(class, NumberClass::C32 | NumberClass::C64),
        ColumnType::String | ColumnType::Bytes | ColumnType::Id | ColumnType::Email => true,
        ColumnType::Decimal { .. } | ColumnType::Date | ColumnType::Timestamp => true,
        // These are stored as texts, but ordered by their parts or by class.
        ColumnType::Link | ColumnType::Version | ColumnType::Any => false,
    };
    // Each of these is one Parquet column, so that they are numbered alike.
    let ordered = schema.key().iter().take_while(is_ordered);
    (0..)
        .zip(ordered)
        .map(|(column_idx, _)| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect()
}
