//! The catalog: which tables there are, and in which trees their rows and indexes live.
//!
//! The catalog is a tree like any other, [`CATALOG`]: its keys are the paths of tables, its payloads their
//! [`Definition`]s as JSON. So definitions are written, read, logged and kept in versions by the same code as rows, and
//! a change of a definition conflicts with every use of the table, because each use reads its entry here.

use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::{Arc, LazyLock};

use lru::LruCache;
use parking_lot::Mutex;

use super::codec::{KeyRange, decode_row, encode_key, encode_payload, successor};
use super::definition;
use crate::error::{Error, Result};
use crate::value::schema::{Column, ColumnType, Kind, Schema, Table, TreeId};
use crate::value::{Class, State, Value};

/// The tree of the catalog.
pub const CATALOG: TreeId = TreeId(0);

/// Decoded definitions that are kept. Definitions are a few kilobytes, so this is a few megabytes.
const MEMO_DEFINITIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// The schema of the catalog's own tree: a path, and a definition as JSON.
static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let column = |name: &'static str| Column {
        name: name.into(),
        class: Class::String,
        ty: ColumnType::String,
        max_len: None,
        nullable: false,
        slot: 0,
        ordinal: 0,
        default: State::NONE,
    };
    let columns = vec![column("path"), column("definition")];
    Arc::new(Schema { kind: Kind::Table, columns, key_len: 1, indexes: vec![] })
});

/// Definitions by their path and text, which say all there is, so that no entry can be out of date.
type Memo = LruCache<(Arc<str>, Arc<str>), Arc<Definition>>;

static MEMO: LazyLock<Mutex<Memo>> = LazyLock::new(|| Mutex::new(LruCache::new(MEMO_DEFINITIONS)));

/// What the catalog says of one table.
#[derive(Debug, Eq, PartialEq)]
pub struct Definition {
    /// The table. Its name is its path.
    pub table: Arc<Table>,
    /// The first slot of values that no column of this table ever had.
    pub next_slot: u32,
}

impl Definition {
    /// The definition of a new table.
    pub fn new(table: Arc<Table>) -> Self {
        let next_slot = table.schema.values().iter().map(|column| column.slot + 1).max().unwrap_or(0);
        Self { table, next_slot }
    }

    /// The trees of the table and their schemas: that of the rows, then those of the indexes.
    pub fn trees(&self) -> Vec<(TreeId, Arc<Schema>)> {
        let schema = &self.table.schema;
        let rows = (self.table.rows, Arc::clone(schema));
        let indexes = self.table.indexes.iter().enumerate();
        let indexes = indexes.map(|(index, id)| (*id, Arc::new(index_schema(schema, index))));
        std::iter::once(rows).chain(indexes).collect()
    }

    /// Whether `tree` is one of the table's.
    pub fn has(&self, tree: TreeId) -> bool {
        self.table.rows == tree || self.table.indexes.contains(&tree)
    }

    /// The key and the payload of this definition in the catalog.
    ///
    /// # Errors
    /// `Internal` if the definition cannot be encoded.
    pub fn entry(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let row = [State::from(&*self.table.name), State::from(definition::encode(self)?.to_string())];
        Ok((key(&self.table.name)?, encode_payload(&SCHEMA, &row)?))
    }

    /// Reads an entry of the catalog.
    ///
    /// # Errors
    /// `Internal` if the entry is damaged, naming the path where it can be read.
    pub fn of_entry(key: &[u8], payload: &[u8]) -> Result<Arc<Self>> {
        Self::of_row(&decode_row(&SCHEMA, key, payload)?)
    }

    /// Reads a row of the catalog: a path and a definition. Equal rows mostly give the same definition, not just an equal
    /// one.
    ///
    /// # Errors
    /// As [`Definition::of_entry`].
    pub fn of_row(row: &[State]) -> Result<Arc<Self>> {
        let [State::Value(Value::String(path)), State::Value(Value::String(text))] = row else {
            return Err(Error::internal(format!("the catalog has an entry that is not a pair of strings: {row:?}")));
        };
        let id = (Arc::clone(path), Arc::clone(text));
        if let Some(known) = MEMO.lock().get(&id) {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(definition::decode(path, text)?);
        MEMO.lock().put(id, Arc::clone(&read));
        Ok(read)
    }
}

/// The schema of the catalog's tree.
pub fn catalog_schema() -> &'static Arc<Schema> {
    &SCHEMA
}

/// The key of the table at `path` in the catalog.
///
/// # Errors
/// `Internal` if the path cannot be encoded.
pub fn key(path: &str) -> Result<Vec<u8>> {
    encode_key(SCHEMA.key().iter(), &[State::from(path)])
}

/// The keys of all tables whose path begins with `prefix`, and possibly of others that follow them.
///
/// # Errors
/// As [`key`].
pub fn range(prefix: &str) -> Result<KeyRange> {
    let start = key(prefix)?;
    // Texts are encoded in their own order, so no path that begins with the prefix comes after this one.
    let end = key(&format!("{prefix}{}", char::MAX))?;
    let end = successor(&end).map_or(Bound::Unbounded, Bound::Excluded);
    Ok(KeyRange { start: Bound::Included(start), end })
}

/// The schema of the tree of an index: its columns in full, which are all key, and which have no other payload than what
/// their keys do not say.
///
/// `index` is a position in [`Schema::indexes`].
pub fn index_schema(schema: &Schema, index: usize) -> Schema {
    let positions = schema.index_columns(&schema.indexes[index]);
    let columns: Vec<Column> = (0..).zip(positions).map(|(slot, at)| stored(&schema.columns[at], slot)).collect();
    Schema { kind: Kind::BTree, key_len: columns.len(), columns, indexes: vec![] }
}

/// A column as it is stored in the tree of an index, where every entry has every cell.
fn stored(column: &Column, slot: u32) -> Column {
    Column { slot, ordinal: 0, default: State::NONE, ..column.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::codec::sample::column;
    use crate::value::NumberClass;
    use crate::value::schema::Index;

    /// A table with a key of two columns, two values, and an index on the second value and the first key column.
    fn table(path: &str) -> Arc<Table> {
        let number = ColumnType::Number(NumberClass::I32);
        let names = ["a", "b", "c", "d"];
        let mut columns: Vec<Column> = names.into_iter().map(|name| column(name, number)).collect();
        columns[1].slot = 1;
        columns[3].slot = 4;
        columns[3].default = State::from(crate::value::Number::I32(7));
        let indexes = vec![Index { name: "i".into(), columns: vec![3, 0], unique: false }];
        let schema = Arc::new(Schema { kind: Kind::Table, columns, key_len: 2, indexes });
        Arc::new(Table { name: path.into(), schema, rows: TreeId(7), indexes: vec![TreeId(8)] })
    }

    #[test]
    fn an_entry_reads_back_and_is_decoded_once() {
        let definition = Definition::new(table("/t"));
        assert_eq!(definition.next_slot, 5);
        let (key, payload) = definition.entry().unwrap();
        let read = Definition::of_entry(&key, &payload).unwrap();
        assert_eq!(*read, definition);
        assert!(Arc::ptr_eq(&read, &Definition::of_entry(&key, &payload).unwrap()));
        assert!(Definition::of_row(&[State::NONE]).is_err());
    }

    #[test]
    fn an_index_is_a_tree_of_its_columns_and_the_rest_of_the_key() {
        let trees = Definition::new(table("/t")).trees();
        let [(TreeId(7), _), (TreeId(8), index)] = &trees[..] else { panic!("{trees:?}") };
        let names: Vec<&str> = index.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!((names, index.key_len), (vec!["d", "a", "b"], 3));
        assert!(index.columns.iter().zip(0..).all(|(column, slot)| column.slot == slot));
        assert!(index.columns.iter().all(|column| column.default == State::NONE));
    }

    #[test]
    fn paths_with_a_prefix_are_in_its_range() {
        let range = range("/a/b").unwrap();
        for (path, expected) in [
            ("/a/b", true),
            ("/a/b/c", true),
            ("/a/bé\u{10ffff}", true),
            ("/a/a", false),
            ("/a/c", false),
            ("/a", false),
        ] {
            assert_eq!(range.contains(&key(path).unwrap()), expected, "{path}");
        }
    }
}
