//! Secondary indexes: which entries the index of a table has for a row.
//!
//! An index is a tree of its own. The entry of a row has the declared columns in its key, then the key columns of the table
//! that are missing there, so that every row has one entry of its own. All that changes a row changes its entries with it,
//! in the same transaction; an entry is written only where it differs from the one before.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::catalog::index_schema;
use super::codec::{
    KeyColumn, KeyRange, cell, decode_cell, decode_key, encode_batch_keys, encode_batch_payloads, encode_key,
    encode_payload,
};
use super::memtable::{Key, Payload};
use crate::error::{Error, Result};
use crate::value::encode::to_json_within;
use crate::value::schema::{Column, Schema, Table, TreeId};
use crate::value::{Id, State};

/// Bytes of each cell in a message.
const CELL_TEXT_MAX: usize = 120;

/// A table and its indexes, ready for reading and writing.
#[derive(Debug)]
pub(super) struct Access {
    pub table: Arc<Table>,
    pub indexes: Vec<Index>,
}

/// An index of a table.
#[derive(Debug)]
pub(super) struct Index {
    pub tree: TreeId,
    /// That of the tree.
    pub schema: Arc<Schema>,
    /// The columns of the tree, by their positions in the table.
    pub columns: Vec<usize>,
    /// Where the key columns of the table are in the tree.
    pub key_columns: Vec<usize>,
    /// Whether two rows may not agree in the declared columns.
    pub is_unique: bool,
    name: Id,
    /// How many columns were declared. The others make entries unique.
    declared_len: usize,
}

/// The entry of a row in an index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub key: Key,
    pub payload: Payload,
}

/// The entries of the rows of a batch in an index, in the order of the rows.
pub(super) struct Entries {
    pub keys: KeyColumn,
    pub payloads: KeyColumn,
}

impl Access {
    /// What is needed to read and write `table`.
    pub(super) fn new(table: &Table) -> Self {
        let Table { name, schema, rows, indexes } = table;
        let opened = indexes.iter().enumerate().map(|(at, tree)| Index::new(schema, at, *tree)).collect();
        let (name, schema) = (Arc::clone(name), Arc::clone(schema));
        let table = Arc::new(Table { name, schema, rows: *rows, indexes: indexes.clone() });
        Self { table, indexes: opened }
    }

    /// Whether this is about `table` as it is defined there.
    pub(super) fn is_of(&self, table: &Table) -> bool {
        let mine = &*self.table;
        let is_same_schema = Arc::ptr_eq(&mine.schema, &table.schema) || mine.schema == table.schema;
        mine.rows == table.rows && mine.indexes == table.indexes && is_same_schema
    }

    /// Whether what is written to the table outlives the transaction.
    pub(super) fn is_durable(&self) -> bool {
        !self.table.rows.is_ephemeral()
    }

    /// The columns that any index has, ascending.
    pub(super) fn indexed_columns(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = self.indexes.iter().flat_map(|index| index.columns.iter().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The trees with their schemas: that of the rows, then those of the indexes.
    pub(super) fn trees(&self) -> impl Iterator<Item = (TreeId, &Arc<Schema>)> {
        let indexes = self.indexes.iter().map(|index| (index.tree, &index.schema));
        std::iter::once((self.table.rows, &self.table.schema)).chain(indexes)
    }
}

impl Index {
    /// The index at position `at` of a table with `schema`.
    pub(super) fn new(schema: &Schema, at: usize, tree: TreeId) -> Self {
        let declared = &schema.indexes[at];
        let columns = schema.index_columns(declared);
        let place = |column| columns.iter().position(|other| *other == column);
        Self {
            tree,
            schema: Arc::new(index_schema(schema, at)),
            key_columns: (0..schema.key_len).filter_map(place).collect(),
            is_unique: declared.unique,
            name: declared.name.clone(),
            declared_len: declared.columns.len(),
            columns,
        }
    }

    /// The entry of a row that has a cell for each column of the table.
    ///
    /// # Errors
    /// `Internal` if a cell does not belong in its column.
    pub(super) fn entry(&self, row: &[State]) -> Result<Entry> {
        let cells: Vec<State> = self.columns.iter().map(|at| row[*at].clone()).collect();
        let key = encode_key(self.schema.key(), &cells)?.into();
        Ok(Entry { key, payload: encode_payload(&self.schema, &cells)?.into() })
    }

    /// The entries of the rows of `batch`, which has the columns of the index.
    ///
    /// # Errors
    /// `Internal` if the batch is not one of the index.
    pub(super) fn entries(&self, batch: &RecordBatch) -> Result<Entries> {
        Ok(Entries { keys: batch_keys(&self.schema, batch)?, payloads: encode_batch_payloads(&self.schema, batch)? })
    }

    /// The beginning of the key of an entry that no other row may have: the declared cells. There is no such thing if the
    /// index is not unique, or if one of these cells is None, which equals nothing.
    ///
    /// # Errors
    /// `Internal` if the key is not one of the index.
    pub(super) fn prefix<'k>(&self, key: &'k [u8]) -> Result<Option<&'k [u8]>> {
        if !self.is_unique {
            return Ok(None);
        }
        let (mut rest, mut has_none) = (key, false);
        for column in &self.schema.key()[..self.declared_len] {
            has_none |= decode_cell(column, &mut rest)? == State::NONE;
        }
        Ok((!has_none).then(|| &key[..key.len() - rest.len()]))
    }

    /// The keys from `min` to `max`, and those that share a prefix with one of these.
    ///
    /// # Errors
    /// As [`Index::prefix`].
    pub(super) fn rivals(&self, min: &[u8], max: &[u8]) -> Result<KeyRange> {
        let start = KeyRange::prefix(self.prefix(min)?.unwrap_or(min)).start;
        Ok(KeyRange { start, end: KeyRange::prefix(self.prefix(max)?.unwrap_or(max)).end })
    }

    /// The error of two rows that agree in the declared columns. One of them has the entry with this key.
    pub(super) fn violation(&self, key: &[u8]) -> Error {
        let cells = decode_key(self.schema.key(), key).unwrap_or_default();
        let shown = cells.iter().take(self.declared_len).map(|cell| to_json_within(cell, CELL_TEXT_MAX));
        let shown = shown.collect::<Vec<_>>().join(", ");
        Error::bad_request(format!("index {} is unique, and two rows would have [{shown}] in it", self.name))
    }
}

/// The error of a row whose key is there already.
pub(super) fn duplicate(table: &Schema, key: &[u8]) -> Error {
    let cells = decode_key(table.key(), key).unwrap_or_default();
    let shown = cells.iter().map(|cell| to_json_within(cell, CELL_TEXT_MAX)).collect::<Vec<_>>().join(", ");
    Error::bad_request(format!("there is already a row with the key [{shown}]"))
}

/// The keys of the rows of a batch, which begins with the key columns of `schema`.
///
/// # Errors
/// `Internal` if it does not.
pub(super) fn batch_keys(schema: &Schema, batch: &RecordBatch) -> Result<KeyColumn> {
    let arrays = batch.columns().get(..schema.key_len);
    let arrays = arrays.ok_or_else(|| Error::internal("a batch has fewer columns than its key"))?;
    encode_batch_keys(&schema.key().iter().collect::<Vec<&Column>>(), arrays)
}

/// A row of a batch with the columns at `columns`, with None for the cells of the others.
///
/// # Errors
/// `Internal` if the batch does not have these columns.
pub(super) fn batch_row(schema: &Schema, columns: &[usize], batch: &RecordBatch, row: usize) -> Result<Vec<State>> {
    let mut cells = vec![State::NONE; schema.columns.len()];
    for (at, array) in columns.iter().zip(batch.columns()) {
        cells[*at] = cell(&schema.columns[*at], array, row)?;
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::codec::RowBuilder;
    use crate::storage::codec::sample::{column, nullable};
    use crate::value::NumberClass;
    use crate::value::sample::{int, string};
    use crate::value::schema::{ColumnType, Index as Declared, Kind};

    /// `id: I64, name: String?, size: I64` with a unique index on name and another one on size and id.
    fn table() -> Table {
        let number = ColumnType::Number(NumberClass::I64);
        let mut columns = vec![column("id", number), nullable("name", ColumnType::String), column("size", number)];
        columns[2].slot = 1;
        let indexes = vec![
            Declared { name: "by_name".into(), columns: vec![1], unique: true },
            Declared { name: "by_size".into(), columns: vec![2, 0], unique: false },
        ];
        let schema = Arc::new(Schema { kind: Kind::Table, columns, key_len: 1, indexes });
        Table { name: "/t".into(), schema, rows: TreeId(1), indexes: vec![TreeId(2), TreeId(3)] }
    }

    #[test]
    fn an_entry_has_the_declared_columns_and_the_rest_of_the_key() {
        let access = Access::new(&table());
        let [by_name, by_size] = &access.indexes[..] else { panic!() };
        assert_eq!((&by_name.columns[..], &by_name.key_columns[..]), (&[1, 0][..], &[1][..]));
        assert_eq!((&by_size.columns[..], &by_size.key_columns[..]), (&[2, 0][..], &[1][..]));
        assert_eq!(access.indexed_columns(), [0, 1, 2]);
        let row = [int(7), string("a"), int(9)];
        let entry = by_size.entry(&row).unwrap();
        assert_eq!(decode_key(by_size.schema.key(), &entry.key).unwrap(), [int(9), int(7)]);
        assert!(entry.payload.is_empty());
    }

    #[test]
    fn entries_of_a_batch_are_those_of_its_rows() {
        let access = Access::new(&table());
        let rows = [[int(1), string("a"), int(5)], [int(2), State::NONE, int(4)]];
        let mut builder = RowBuilder::new(&access.table.schema, &[0, 1, 2], 2);
        rows.iter().for_each(|row| builder.append_row(row).unwrap());
        let batch = builder.finish().unwrap();
        for index in &access.indexes {
            let entries = index.entries(&batch.project(&index.columns).unwrap()).unwrap();
            for (at, row) in rows.iter().enumerate() {
                let entry = index.entry(row).unwrap();
                assert_eq!((entries.keys.get(at), entries.payloads.get(at)), (&*entry.key, &*entry.payload));
                assert_eq!(batch_row(&access.table.schema, &[0, 1, 2], &batch, at).unwrap(), row);
            }
        }
        assert_eq!(batch_keys(&access.table.schema, &batch).unwrap().len(), 2);
    }

    #[test]
    fn rows_with_none_are_no_rivals() {
        let access = Access::new(&table());
        let by_name = &access.indexes[0];
        let key = |id: i64, name: State| by_name.entry(&[int(id), name, int(0)]).unwrap().key;
        let (first, second, other) = (key(1, string("a")), key(2, string("a")), key(1, string("ab")));
        let prefix = by_name.prefix(&first).unwrap().unwrap();
        assert!(second.starts_with(prefix) && !other.starts_with(prefix));
        assert_eq!(by_name.prefix(&key(1, State::NONE)).unwrap(), None);
        assert_eq!(
            access.indexes[1].prefix(&access.indexes[1].entry(&[int(1), State::NONE, int(1)]).unwrap().key),
            Ok(None)
        );
        let range = by_name.rivals(&second, &second).unwrap();
        assert!(range.contains(&first) && !range.contains(&other));
        assert!(by_name.violation(&first).message().contains("[\"a\"]"));
    }

    #[test]
    fn an_access_is_of_one_definition() {
        let table = table();
        let access = Access::new(&table);
        assert!(access.is_of(&table) && access.is_durable());
        let (name, schema) = (Arc::clone(&table.name), Arc::clone(&table.schema));
        assert!(!access.is_of(&Table { name, schema, rows: table.rows, indexes: vec![TreeId(2)] }));
    }
}
