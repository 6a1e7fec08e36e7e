//! What a store should hold, and what it does hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use tinychain::error::Result;
use tinychain::storage::codec::{KeyRange, encode_key};
use tinychain::storage::{Scan, Store, Transaction};
use tinychain::txn::TxnId;
use tinychain::value::schema::{Column, Index, Schema};
use tinychain::value::{State, Table};

use crate::histories::session::{all, int, integer, number_of, scan, string, table_of};

/// What the paths of all tables begin with.
pub const PREFIX: &str = "/crash/";
/// The value of the column that comes and goes in rows that were there before.
pub const EXTRA: u64 = 7;

/// The tables of a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Model {
    pub tables: BTreeMap<String, Content>,
}

/// A table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    pub shape: Shape,
    pub indexes: BTreeSet<&'static str>,
    /// Whether there is the column that comes and goes.
    pub has_extra: bool,
    /// Whole rows by their keys.
    pub rows: BTreeMap<Vec<u64>, Vec<State>>,
}

/// What the key of a table is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    Id,
    /// The kind, then the id.
    KindAndId,
}

/// Rows that are fetched by an index one by one, which takes long.
const FETCHED_MAX: usize = 2000;

/// The indexes that there can be, with their columns.
pub const INDEXES: [(&str, &[&str]); 3] =
    [("by_kind", &["kind"]), ("by_note", &["note", "kind"]), ("by_kind_down", &["kind", "note", "id"])];

/// The path of a table.
pub fn path(number: u64) -> String {
    format!("{PREFIX}{number}")
}

impl Content {
    /// A new table.
    pub fn new(number: u64) -> Self {
        let shape = if number.is_multiple_of(3) { Shape::KindAndId } else { Shape::Id };
        let indexes = if number.is_multiple_of(2) { BTreeSet::from(["by_kind"]) } else { BTreeSet::new() };
        Self { shape, indexes, has_extra: false, rows: BTreeMap::new() }
    }

    pub fn schema(&self) -> Schema {
        let (mut columns, key_len) = match self.shape {
            Shape::Id => (vec![integer("id"), integer("kind"), string("note")], 1),
            Shape::KindAndId => (vec![integer("kind"), integer("id"), string("note")], 2),
        };
        if self.has_extra {
            columns.push(Column { nullable: true, default: int(EXTRA), ..integer("extra") });
        }
        let position = |name: &str| columns.iter().position(|column: &Column| column.name.as_str() == name);
        let there = INDEXES.iter().filter(|(name, _)| self.indexes.contains(name));
        let indexes = there.map(|(name, parts)| {
            let columns = parts.iter().filter_map(|part| position(part)).collect();
            Index { name: (*name).into(), columns, unique: false }
        });
        let indexes = indexes.collect();
        table_of(columns, key_len, indexes)
    }

    /// A row, with its key.
    pub fn row(&self, id: u64, kind: u64, note: String, extra: Option<u64>) -> (Vec<u64>, Vec<State>) {
        let (key, mut row) = match self.shape {
            Shape::Id => (vec![id], vec![int(id), int(kind), State::from(note)]),
            Shape::KindAndId => (vec![kind, id], vec![int(kind), int(id), State::from(note)]),
        };
        if self.has_extra {
            row.push(extra.map_or(State::NONE, int));
        }
        (key, row)
    }

    /// Adds or drops the column that comes and goes.
    pub fn toggle_extra(&mut self) {
        self.has_extra = !self.has_extra;
        for row in self.rows.values_mut() {
            match self.has_extra {
                true => row.push(int(EXTRA)),
                false => drop(row.pop()),
            }
        }
    }
}

/// The cells of a key.
pub fn cells(key: &[u64]) -> Vec<State> {
    key.iter().map(|cell| int(*cell)).collect()
}

/// What a store holds, as a new transaction sees it.
pub async fn read(store: &Arc<Store>) -> Result<Model> {
    let txn = Transaction::new(Arc::clone(store), TxnId { timestamp: u64::MAX, nonce: 0 }, 1 << 20);
    let mut model = Model::default();
    for (path, table) in txn.tables(PREFIX).await? {
        let content = content(&txn, &table).await?;
        model.tables.insert(path, content);
    }
    Ok(model)
}

/// What a transaction sees of a table; fails if the ways to its rows do not agree.
pub async fn content(txn: &Transaction, table: &Arc<Table>) -> Result<Content> {
    let schema = &table.schema;
    let shape = if schema.key_len == 1 { Shape::Id } else { Shape::KindAndId };
    let has_extra = schema.position("extra").is_some();
    let named = |index: &Index| INDEXES.iter().map(|(name, _)| *name).find(|name| index.name.as_str() == *name);
    let indexes: BTreeSet<&'static str> = schema.indexes.iter().filter_map(named).collect();
    let mut content = Content { shape, indexes, has_extra, rows: BTreeMap::new() };
    assert_eq!(shown(schema), shown(&content.schema()), "the definition of {}", table.name);

    let columns = schema.primary_columns();
    let found = scan(txn, table, Scan { columns: columns.clone(), ..all() }).await?;
    let key = |row: &[State]| -> Vec<u64> { row[..schema.key_len].iter().map(number_of).collect() };
    assert!(found.is_sorted_by(|l, r| key(l) < key(r)), "{} is not in order: {found:?}", table.name);
    let mut down = scan(txn, table, Scan { columns: columns.clone(), reverse: true, ..all() }).await?;
    down.reverse();
    assert!(down == found, "{} read backwards is {down:?}, not {found:?}", table.name);
    for at in 0..schema.indexes.len() {
        check_index(txn, table, at, &found).await?;
    }
    check_keys(txn, table, &found).await?;
    content.rows = found.into_iter().map(|row| (key(&row), row)).collect();
    Ok(content)
}

/// The names and types of columns and indexes.
fn shown(schema: &Schema) -> Vec<String> {
    let columns = schema.columns.iter().map(|column| format!("{} {:?} {}", column.name, column.ty, column.nullable));
    let indexes = schema.indexes.iter().map(|index| format!("{} {:?}", index.name, index.columns));
    columns.chain(indexes).chain([format!("{}", schema.key_len)]).collect()
}

/// An index must have an entry for each row and no others, in its order, whether its rows are fetched or not.
async fn check_index(txn: &Transaction, table: &Arc<Table>, at: usize, rows: &[Vec<State>]) -> Result<()> {
    let index = &table.schema.indexes[at];
    let columns = table.schema.index_columns(index);
    let picked = |row: &Vec<State>| -> Vec<State> { columns.iter().map(|column| row[*column].clone()).collect() };
    let bytes = |cells: &Vec<State>| {
        let columns = columns.iter().map(|column| &table.schema.columns[*column]);
        encode_key(columns, cells).expect("cells of these columns")
    };
    let mut expected: Vec<Vec<State>> = rows.iter().map(picked).collect();
    expected.sort_by_key(bytes);
    let entries = scan(txn, table, Scan { index: Some(at), columns: columns.clone(), ..all() }).await?;
    let name = &table.name;
    assert!(entries == expected, "index {} of {name} has {entries:?}, not {expected:?}", index.name);
    if rows.len() > FETCHED_MAX {
        return Ok(());
    }
    let fetched = Scan { index: Some(at), columns: table.schema.primary_columns(), ..all() };
    let fetched = scan(txn, table, fetched).await?;
    let again: Vec<Vec<State>> = fetched.iter().map(picked).collect();
    assert!(again == expected, "the rows by index {} of {name} are {fetched:?}", index.name);
    let mut fetched = fetched;
    fetched.sort_by_key(|row| row[..table.schema.key_len].iter().map(number_of).collect::<Vec<_>>());
    assert!(fetched == rows, "the rows by index {} of {name} are {fetched:?}, not {rows:?}", index.name);
    Ok(())
}

/// Rows must be found by their keys, and by ranges that begin or end at one.
async fn check_keys(txn: &Transaction, table: &Arc<Table>, rows: &[Vec<State>]) -> Result<()> {
    let schema = &table.schema;
    let step = rows.len() / 5 + 1;
    for (at, row) in rows.iter().enumerate().step_by(step) {
        let key = &row[..schema.key_len];
        assert_eq!(txn.get(table, key).await?.as_ref(), Some(row));
        assert!(txn.contains(table, key).await?);
        let bytes = encode_key(schema.key(), key)?;
        let columns = schema.primary_columns();
        let range = KeyRange { start: Bound::Excluded(bytes.clone()), end: Bound::Unbounded };
        let after = scan(txn, table, Scan { range, columns: columns.clone(), ..all() }).await?;
        assert!(after == rows[at + 1..], "after {key:?} there is {after:?}");
        let range = KeyRange { start: Bound::Unbounded, end: Bound::Included(bytes) };
        let before = Scan { range, columns, reverse: true, limit: Some(2), ..all() };
        let before = scan(txn, table, before).await?;
        let expected: Vec<_> = rows[..=at].iter().rev().take(2).cloned().collect();
        assert!(before == expected, "up to {key:?} there is {before:?}");
    }
    let absent: Vec<State> = cells(&vec![u64::from(u32::MAX); schema.key_len]);
    assert_eq!(txn.get(table, &absent).await?, None);
    Ok(())
}
