//! Declaring and reading the tables that a host keeps for itself.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::error::{Error, Result};
use crate::storage::codec::{self, KeyRange};
use crate::storage::{Scan, Transaction};
use crate::value::schema::{Column, ColumnType, Kind};
use crate::value::{Class, Id, Number, NumberClass, Schema, State, Table, Value};

/// Rows that are read or written before others get a turn.
const TURN_ROWS: usize = 1024;

/// Gives others a turn now and then.
#[derive(Debug, Default)]
pub(super) struct Turns(usize);

impl Turns {
    /// Notes that a row is done.
    pub async fn end(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(TURN_ROWS) {
            tokio::task::yield_now().await;
        }
    }
}

/// The rows of a table, one after the other: no more of them are in memory than a batch.
pub(crate) struct Rows {
    batches: BoxStream<'static, Result<arrow::array::RecordBatch>>,
    table: Arc<Table>,
    /// Those of the table that are read.
    columns: Vec<usize>,
    batch: std::vec::IntoIter<Vec<State>>,
}

impl Rows {
    /// The rows in a range of the keys of a table.
    pub fn new(txn: &Transaction, table: &Arc<Table>, range: KeyRange) -> Self {
        Self::of(txn, table, range, all(table), false)
    }

    /// Some cells of the rows in a range of the keys of a table, the last row first if `reverse`.
    pub(super) fn of(
        txn: &Transaction,
        table: &Arc<Table>,
        range: KeyRange,
        columns: Vec<usize>,
        reverse: bool,
    ) -> Self {
        Self::scan(txn, table, Scan { index: None, range, columns, reverse, limit: None, prune: None })
    }

    /// The rows that have `cell` in the first column of an index, in the order of their keys.
    ///
    /// # Errors
    /// `Internal` if the cell does not belong in the column.
    pub(super) fn by_index(txn: &Transaction, table: &Arc<Table>, index: usize, cell: &State) -> Result<Self> {
        let positions = table.schema.index_columns(&table.schema.indexes[index]);
        let columns: Vec<&Column> = positions.into_iter().map(|at| &table.schema.columns[at]).collect();
        let range = codec::range(&columns, std::slice::from_ref(cell), None)?;
        let scan = Scan { index: Some(index), range, columns: all(table), reverse: false, limit: None, prune: None };
        Ok(Self::scan(txn, table, scan))
    }

    fn scan(txn: &Transaction, table: &Arc<Table>, scan: Scan) -> Self {
        let columns = scan.columns.clone();
        Self { batches: txn.scan(table, scan), table: Arc::clone(table), columns, batch: vec![].into_iter() }
    }

    /// The next row.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn next(&mut self) -> Result<Option<Vec<State>>> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            let Some(batch) = self.batches.next().await else { return Ok(None) };
            let columns: Vec<&Column> = self.columns.iter().map(|at| &self.table.schema.columns[*at]).collect();
            self.batch = codec::rows(&columns, &batch?)?.into_iter();
        }
    }
}

/// All columns of a table.
fn all(table: &Table) -> Vec<usize> {
    (0..table.schema.columns.len()).collect()
}

/// Writes the rows of one table to another. Returns how many there are.
///
/// # Errors
/// As [`Transaction::scan`].
pub(super) async fn copy(txn: &Transaction, from: &Arc<Table>, to: &Table) -> Result<u64> {
    let (mut rows, mut turns, mut count) = (Rows::new(txn, from, KeyRange::all()), Turns::default(), 0);
    while let Some(row) = rows.next().await? {
        txn.put(to, &row).await?;
        count += 1;
        turns.end().await;
    }
    Ok(count)
}

/// The last row of a table in a range of its keys.
///
/// # Errors
/// As [`Transaction::scan`].
pub(super) async fn last(txn: &Transaction, table: &Arc<Table>, range: KeyRange) -> Result<Option<Vec<State>>> {
    let scan = Scan { index: None, range, columns: all(table), reverse: true, limit: Some(1), prune: None };
    let Some(batch) = txn.scan(table, scan).next().await else { return Ok(None) };
    let columns: Vec<&Column> = table.schema.columns.iter().collect();
    Ok(codec::rows(&columns, &batch?)?.into_iter().next())
}

/// The rows whose first key cell is within `from..=to`.
///
/// # Errors
/// `Internal` if the key is no number.
pub(super) fn range(table: &Table, from: u64, to: u64) -> Result<KeyRange> {
    range_below(table, &[], from, to)
}

/// The rows whose first key cells are `prefix`, and whose next one is within `from..=to`.
///
/// # Errors
/// `Internal` if the key is no number.
pub(super) fn range_below(table: &Table, prefix: &[u64], from: u64, to: u64) -> Result<KeyRange> {
    let bound = |value: u64| crate::value::collection::Bound::Inclusive(State::from(value));
    let columns: Vec<&Column> = table.schema.key().iter().collect();
    let prefix: Vec<State> = prefix.iter().copied().map(State::from).collect();
    codec::range(&columns, &prefix, Some((&bound(from), &bound(to))))
}

/// The number in a cell.
///
/// # Errors
/// `Internal` if there is none.
pub(super) fn number(row: &[State], at: usize) -> Result<u64> {
    match row.get(at) {
        Some(State::Value(Value::Number(number))) => crate::value::number::cast::to_integer(*number)
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(|| damaged(row)),
        _ => Err(damaged(row)),
    }
}

/// The truth in a cell.
///
/// # Errors
/// `Internal` if there is none.
pub(super) fn flag(row: &[State], at: usize) -> Result<bool> {
    match row.get(at) {
        Some(State::Value(Value::Number(Number::Bool(flag)))) => Ok(*flag),
        _ => Err(damaged(row)),
    }
}

/// The text in a cell.
///
/// # Errors
/// `Internal` if there is none.
pub(super) fn text(row: &[State], at: usize) -> Result<&str> {
    match row.get(at) {
        Some(State::Value(Value::String(text))) => Ok(text),
        _ => Err(damaged(row)),
    }
}

/// The hash in a cell, where it is text.
///
/// # Errors
/// `Internal` if there is none.
pub(super) fn hash(row: &[State], at: usize) -> Result<[u8; 32]> {
    let bytes = hex::decode(text(row, at)?).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| damaged(row))
}

/// The error does not say what is in the row, because it may be somebody's who wants it forgotten.
fn damaged(row: &[State]) -> Error {
    Error::internal(format!("a row of a chain is damaged, which has {} cells", row.len()))
}

/// A column of numbers from 0.
pub(super) fn numbers(name: &'static str) -> Column {
    let class = NumberClass::U64;
    column(name.into(), Class::Exactly(class), ColumnType::Number(class))
}

/// A column of texts.
pub(crate) fn texts(name: &'static str) -> Column {
    column(name.into(), Class::String, ColumnType::String)
}

/// A column of truths.
pub(super) fn flags(name: &'static str) -> Column {
    let class = NumberClass::Bool;
    column(name.into(), Class::Exactly(class), ColumnType::Number(class))
}

pub(super) fn column(name: Id, class: Class, ty: ColumnType) -> Column {
    Column { name, class, ty, max_len: None, nullable: false, slot: 0, ordinal: 0, default: State::NONE }
}

/// The schema of a table.
pub(crate) fn table(columns: Vec<Column>, key_len: usize) -> Schema {
    Schema { kind: Kind::Table, columns, key_len, indexes: vec![] }
}
