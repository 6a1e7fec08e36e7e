//! A store with a table, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use futures::TryStreamExt as _;

use super::{Scan, Transaction};
use crate::error::Result;
use crate::storage::codec::sample::{column, nullable, schema as schema_of};
use crate::storage::codec::{KeyRange, RowBuilder, encode_key, rows as batch_rows};
use crate::storage::store::Store;
use crate::storage::store::sample::Host;
use crate::txn::TxnId;
use crate::value::schema::{Column, ColumnType, Index, Schema, Table};
use crate::value::{NumberClass, State};

pub(in crate::storage) const INT: ColumnType = ColumnType::Number(NumberClass::I64);
/// Memory that nothing here fills.
pub(in crate::storage) const PLENTY: u64 = 1 << 30;

/// A host and its open store.
pub(in crate::storage) struct Db {
    pub host: Host,
    pub store: Arc<Store>,
    times: AtomicU64,
}

impl Db {
    pub(in crate::storage) async fn new() -> Self {
        let host = Host::new();
        let store = host.open().await;
        Self { host, store, times: AtomicU64::new(1) }
    }

    /// A database with the table `/t` of [`schema`].
    pub(in crate::storage) async fn with_table() -> (Self, Arc<Table>) {
        let db = Self::new().await;
        let txn = db.begin();
        let table = txn.create_table("/t", schema()).await.unwrap();
        txn.commit().await.unwrap();
        (db, table)
    }

    pub(in crate::storage) fn begin(&self) -> Transaction {
        self.begin_within(PLENTY)
    }

    pub(in crate::storage) fn begin_within(&self, bytes_max: u64) -> Transaction {
        let timestamp = self.times.fetch_add(1, Ordering::Relaxed);
        Transaction::new(Arc::clone(&self.store), TxnId { timestamp, nonce: 7 }, bytes_max)
    }

    /// Stops and starts the host.
    pub(in crate::storage) async fn reopen(self) -> Self {
        let Self { host, store, times } = self;
        drop(store);
        let store = host.open().await;
        Self { host, store, times }
    }

    /// Commits some rows.
    pub(in crate::storage) async fn put(&self, table: &Table, rows: &[Vec<State>]) {
        let txn = self.begin();
        txn.put_rows(table, rows).await.unwrap();
        txn.commit().await.unwrap();
    }

    /// The rows that a new transaction sees, whose indexes are right.
    pub(in crate::storage) async fn rows(&self, table: &Arc<Table>) -> Vec<Vec<State>> {
        let txn = self.begin();
        check(&txn, table).await;
        all(&txn, table).await
    }
}

/// `id: I64`, then `name: String?` with a unique index, and `size: I64` with another one.
pub(in crate::storage) fn schema() -> Schema {
    let values = vec![nullable("name", ColumnType::String), column("size", INT)];
    let mut schema = schema_of(vec![column("id", INT)], values);
    schema.indexes.push(Index { name: "by_name".into(), columns: vec![1], unique: true });
    schema.indexes.push(Index { name: "by_size".into(), columns: vec![2], unique: false });
    schema
}

/// A row of [`schema`].
pub(in crate::storage) fn row(id: i64, name: impl Into<Option<&'static str>>, size: i64) -> Vec<State> {
    vec![id.into(), name.into().map_or(State::NONE, State::from), size.into()]
}

/// A batch of rows of a table.
pub(in crate::storage) fn batch(table: &Table, rows: &[Vec<State>]) -> RecordBatch {
    let mut builder = RowBuilder::new(&table.schema, &table.schema.primary_columns(), rows.len());
    rows.iter().for_each(|row| builder.append_row(row).unwrap());
    builder.finish().unwrap()
}

/// A scan of all rows.
pub(in crate::storage) fn scan_of(columns: &[usize], index: Option<usize>) -> Scan {
    Scan { index, range: KeyRange::all(), columns: columns.to_vec(), reverse: false, limit: None, prune: None }
}

/// The rows that a scan reads.
pub(in crate::storage) async fn read(txn: &Transaction, table: &Arc<Table>, scan: Scan) -> Result<Vec<Vec<State>>> {
    let columns: Vec<Column> = scan.columns.iter().filter_map(|at| table.schema.columns.get(*at).cloned()).collect();
    let mut batches = txn.scan(table, scan);
    let mut found = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        found.extend(batch_rows(&columns.iter().collect::<Vec<_>>(), &batch)?);
    }
    Ok(found)
}

/// All rows of a table.
pub(in crate::storage) async fn all(txn: &Transaction, table: &Arc<Table>) -> Vec<Vec<State>> {
    read(txn, table, scan_of(&table.schema.primary_columns(), None)).await.unwrap()
}

/// Checks that each index of a table has all its rows, in its order.
pub(in crate::storage) async fn check(txn: &Transaction, table: &Arc<Table>) {
    let rows = all(txn, table).await;
    for (at, index) in table.schema.indexes.iter().enumerate() {
        let columns = table.schema.index_columns(index);
        let cells = |row: &[State]| columns.iter().map(|at| row[*at].clone()).collect::<Vec<_>>();
        let key = |row: &[State]| encode_key(columns.iter().map(|at| &table.schema.columns[*at]), &cells(row)).unwrap();
        let mut expected = rows.clone();
        expected.sort_by_cached_key(|row| key(row));
        let fetched = read(txn, table, scan_of(&table.schema.primary_columns(), Some(at))).await.unwrap();
        assert_eq!(fetched, expected, "by index {}", index.name);
        let covered = read(txn, table, scan_of(&columns, Some(at))).await.unwrap();
        assert_eq!(covered, expected.iter().map(|row| cells(row)).collect::<Vec<_>>(), "in index {}", index.name);
        expected.reverse();
        let descending = Scan { reverse: true, ..scan_of(&table.schema.primary_columns(), Some(at)) };
        assert_eq!(read(txn, table, descending).await.unwrap(), expected, "by index {}, reversed", index.name);
    }
}
