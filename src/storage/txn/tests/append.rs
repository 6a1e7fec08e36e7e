//! Rows that are appended have the number of their commit.

use std::sync::Arc;

use super::super::sample::{Db, INT, PLENTY, all, batch, read, row as other_row, scan_of, schema as other_schema};
use super::super::{Mode, Scan, Transaction};
use crate::error::Kind;
use crate::storage::codec::sample::{column, nullable, schema as schema_of};
use crate::storage::codec::{KeyRange, UNSTAMPED, encode_key};
use crate::storage::load::tiny_loader;
use crate::storage::store::Store;
use crate::storage::store::sample::Host;
use crate::txn::TxnId;
use crate::value::sample::string;
use crate::value::schema::{ColumnType, Index, Schema, Table};
use crate::value::{NumberClass, State};

const NUMBER: ColumnType = ColumnType::Number(NumberClass::U64);

/// `commit: U64, position: U64`, then `what: String`.
fn history() -> Schema {
    let key = vec![column("commit", NUMBER), column("position", NUMBER)];
    schema_of(key, vec![column("what", ColumnType::String)])
}

fn row(commit: u64, position: u64, what: &str) -> Vec<State> {
    vec![commit.into(), position.into(), what.into()]
}

fn what(what: &str) -> Vec<State> {
    vec![what.into()]
}

/// The same with an index.
fn indexed(columns: Vec<usize>, unique: bool) -> Schema {
    Schema { indexes: vec![Index { name: "by_what".into(), columns, unique }], ..history() }
}

/// A database with the tables `/history` and `/t`.
async fn with_history() -> (Db, Arc<Table>, Arc<Table>) {
    let (db, other) = Db::with_table().await;
    let txn = db.begin();
    let table = txn.create_table("/history", history()).await.unwrap();
    txn.commit().await.unwrap();
    (db, table, other)
}

#[tokio::test]
async fn rows_have_the_order_of_commits() {
    let (db, table, _) = with_history().await;
    let (first, second, reader) = (db.begin(), db.begin(), db.begin());
    first.append(&table, &[what("a"), what("b")]).await.unwrap();
    second.append(&table, &[what("c")]).await.unwrap();
    first.append(&table, &[what("d")]).await.unwrap();
    // Nobody knows the number yet.
    reader.append(&table, &[what("a"), what("b")]).await.unwrap();
    reader.append(&table, &[what("d")]).await.unwrap();
    let own = [row(UNSTAMPED, 0, "a"), row(UNSTAMPED, 1, "b"), row(UNSTAMPED, 2, "d")];
    assert_eq!(all(&reader, &table).await, own);
    let scan = reader.scan(&table, scan_of(&[0], None));
    let earlier = second.commit().await.unwrap().unwrap();
    let later = first.commit().await.unwrap().unwrap();
    assert!(first.id() < second.id() && earlier < later);
    let expected = [row(earlier, 0, "c"), row(later, 0, "a"), row(later, 1, "b"), row(later, 2, "d")];
    assert_eq!(db.rows(&table).await, expected);
    // A stream that was opened before keeps what it saw.
    let seen: Vec<_> = futures::StreamExt::collect(scan).await;
    assert_eq!(seen.into_iter().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3);
    drop((first, second, reader));

    // The same from the log, and from segments.
    let db = db.reopen().await;
    assert_eq!(db.rows(&table).await, expected);
    db.store.checkpoint().await.unwrap();
    let txn = db.begin();
    for row in &expected {
        assert_eq!(txn.get(&table, &row[..2]).await.unwrap().as_ref(), Some(row));
    }
    drop(txn);
    let db = db.reopen().await;
    assert_eq!(db.rows(&table).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_in_the_order_of_their_numbers() {
    let host = Host::new();
    let store = Store::open(host.config(false)).await.unwrap();
    let begin = |timestamp| Transaction::new(Arc::clone(&store), TxnId { timestamp, nonce: 0 }, PLENTY);
    let txn = begin(0);
    let table = txn.create_table("/history", history()).await.unwrap();
    txn.commit().await.unwrap();
    let commits = (1..=100).map(|at| {
        let (txn, table) = (begin(at), Arc::clone(&table));
        tokio::spawn(async move {
            let name = at.to_string();
            txn.append(&table, &[what(&name), what(&name)]).await.unwrap();
            (txn.commit().await.unwrap().unwrap(), name)
        })
    });
    let mut expected = vec![];
    for commit in commits.collect::<Vec<_>>() {
        let (seq, name) = commit.await.unwrap();
        expected.extend([row(seq, 0, &name), row(seq, 1, &name)]);
    }
    expected.sort_by_key(|row| encode_key(table.schema.key(), &row[..2]).unwrap());
    assert_eq!(all(&begin(1000), &table).await, expected);
    drop(txn);
    store.close().await;
}

#[tokio::test]
async fn who_has_read_the_end_conflicts_with_what_is_appended() {
    let (db, table, other) = with_history().await;
    let txn = db.begin();
    txn.append(&table, &[what("a")]).await.unwrap();
    let seq = txn.commit().await.unwrap().unwrap();
    // Whoever only appends has read nothing.
    let (blind, reader, early) = (db.begin(), db.begin(), db.begin());
    all(&reader, &table).await;
    reader.append(&table, &[what("b")]).await.unwrap();
    let past = KeyRange::prefix(encode_key(table.schema.key(), &[State::from(seq)]).unwrap());
    let past = Scan { range: past, ..scan_of(&[2], None) };
    assert_eq!(read(&early, &table, past).await.unwrap(), [what("a")]);
    early.put(&other, &other_row(1, "x", 1)).await.unwrap();
    blind.append(&table, &[what("c")]).await.unwrap();
    let next = blind.commit().await.unwrap().unwrap();
    let error = reader.commit().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().contains(&format!("key [{next},0] of table /history")), "{error}");
    early.commit().await.unwrap();
    assert_eq!(db.rows(&table).await, [row(seq, 0, "a"), row(next, 0, "c")]);
}

/// The rows that an index has for a text.
async fn found(txn: &Transaction, table: &Arc<Table>, text: &str) -> Vec<Vec<State>> {
    let range = KeyRange::prefix(encode_key([&table.schema.columns[2]], &what(text)).unwrap());
    read(txn, table, Scan { index: Some(0), range, ..scan_of(&[0, 1, 2], None) }).await.unwrap()
}

#[tokio::test]
async fn entries_of_indexes_have_the_numbers_of_their_rows() {
    let db = Db::new().await;
    let txn = db.begin();
    let table = txn.create_table("/history", indexed(vec![2], false)).await.unwrap();
    txn.commit().await.unwrap();
    let (first, second) = (db.begin(), db.begin());
    first.append(&table, &[what("a"), what("b"), what("a")]).await.unwrap();
    assert_eq!(found(&first, &table, "a").await, [row(UNSTAMPED, 0, "a"), row(UNSTAMPED, 2, "a")]);
    second.append(&table, &[what("a")]).await.unwrap();
    let earlier = second.commit().await.unwrap().unwrap();
    // It has read of the index what the other one has added to.
    assert_eq!(first.commit().await.unwrap_err().kind(), Kind::Conflict);

    let (writer, reader) = (db.begin(), db.begin());
    assert_eq!(found(&reader, &table, "a").await, [row(earlier, 0, "a")]);
    reader.put(&table, &row(earlier, 0, "c")).await.unwrap();
    writer.append(&table, &[what("b"), what("c")]).await.unwrap();
    let later = writer.commit().await.unwrap().unwrap();
    // Nobody has added to what this one has read.
    reader.commit().await.unwrap();
    let expected = [row(earlier, 0, "c"), row(later, 1, "c")];
    assert_eq!(found(&db.begin(), &table, "c").await, expected);
    assert!(found(&db.begin(), &table, "a").await.is_empty());
    drop((first, second, writer, reader, txn));
    let db = db.reopen().await;
    assert_eq!(found(&db.begin(), &table, "c").await, expected);
    db.store.checkpoint().await.unwrap();
    assert_eq!(found(&db.begin(), &table, "c").await, expected);
}

#[tokio::test]
async fn rows_that_are_appended_stay_in_memory_or_are_refused() {
    let (db, table, other) = with_history().await;
    let txn = db.begin_within(0);
    let error = txn.append(&table, &[what("a")]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.message().contains("/history"), "{error}");
    assert!(!txn.has_writes() && all(&txn, &table).await.is_empty());

    // Other tables make room.
    let txn = db.begin_within(10_000);
    for id in 0..20 {
        txn.put(&other, &other_row(id, None, id)).await.unwrap();
        txn.append(&table, &[what("put")]).await.unwrap();
    }
    assert!(txn.core().work.lock().writes.segments_len() > 0);
    let long = "long".repeat(1000);
    assert_eq!(txn.append(&table, &[what(&long)]).await.unwrap_err().kind(), Kind::TooLarge);
    // So do rows that are put into the same table.
    assert_eq!(txn.put(&table, &row(1, 1, &long)).await.unwrap_err().kind(), Kind::TooLarge);
    let mut loader = tiny_loader(&txn, &table, Mode::Upsert).await.unwrap();
    loader.push(batch(&table, &[row(1, 2, "x")])).await.unwrap();
    assert_eq!(loader.finish().await.unwrap_err().kind(), Kind::TooLarge);
    txn.delete(&table, &[State::from(1u64), State::from(1u64)]).await.unwrap();
    let seq = txn.commit().await.unwrap().unwrap();
    let expected: Vec<_> = (0..20).map(|position| row(seq, position, "put")).collect();
    assert_eq!(db.rows(&table).await, expected);
    assert_eq!(db.rows(&other).await.len(), 20);
}

#[tokio::test]
async fn a_table_may_be_new_or_emptied() {
    let (db, table, _) = with_history().await;
    let txn = db.begin();
    txn.append(&table, &[what("a")]).await.unwrap();
    txn.clear(&table).await.unwrap();
    txn.append(&table, &[what("b")]).await.unwrap();
    let new = txn.create_table("/new", history()).await.unwrap();
    txn.append(&new, &[]).await.unwrap();
    txn.append(&new, &[what("c")]).await.unwrap();
    let seq = txn.commit().await.unwrap().unwrap();
    assert_eq!(db.rows(&table).await, [row(seq, 0, "b")]);
    assert_eq!(db.rows(&new).await, [row(seq, 0, "c")]);
    // Rows that a table had before may be loaded with their numbers.
    let txn = db.begin();
    let mut loader = tiny_loader(&txn, &table, Mode::Upsert).await.unwrap();
    loader.push(batch(&table, &[row(0, 7, "old")])).await.unwrap();
    loader.finish().await.unwrap();
    txn.append(&table, &[what("d")]).await.unwrap();
    let next = txn.commit().await.unwrap().unwrap();
    assert_eq!(db.rows(&table).await, [row(0, 7, "old"), row(seq, 0, "b"), row(next, 0, "d")]);
}

#[tokio::test]
async fn what_cannot_be_appended_is_refused() {
    let (db, table, other) = with_history().await;
    let txn = db.begin();
    let short = txn.append(&table, &[what("a"), vec![]]).await.unwrap_err();
    assert_eq!((short.kind(), short.message()), (Kind::BadRequest, "expected a row of 1 cells, not 0"));
    assert!(all(&txn, &table).await.is_empty());
    let error = txn.append(&other, &[vec![]]).await.unwrap_err();
    let expected = "the key of /t is not two columns of U64, a commit and a position";
    assert_eq!((error.kind(), error.message()), (Kind::BadRequest, expected));
    let mut maybe = history();
    maybe.columns[1] = nullable("position", NUMBER);
    let mut signed = history();
    signed.columns[0] = column("commit", INT);
    let mut longer = history();
    longer.key_len = 3;
    let unique = indexed(vec![2], true);
    let by_key = indexed(vec![2, 0], false);
    let unfit = [("/maybe", maybe), ("/signed", signed), ("/longer", longer), ("/unique", unique), ("/by_key", by_key)];
    for (path, schema) in unfit {
        let table = txn.create_table(path, schema).await.unwrap();
        assert_eq!(txn.append(&table, &[what("a")]).await.unwrap_err().kind(), Kind::BadRequest, "{path}");
    }
    let own = txn.create(other_schema());
    assert_eq!(txn.append(&own, &[]).await.unwrap_err().kind(), Kind::BadRequest);
    // A new index would have entries of rows that have no number yet, in segments if there are many.
    txn.append(&table, &[what("a")]).await.unwrap();
    let error = txn.alter_table("/history", indexed(vec![2], false)).await.unwrap_err();
    assert!(error.message().contains("cannot get an index"), "{error}");
    let mut wider = history();
    wider.columns.push(nullable("note", ColumnType::String));
    let wider = txn.alter_table("/history", wider).await.unwrap();
    txn.append(&wider, &[vec![string("b"), string("c")]]).await.unwrap();
    let seq = txn.commit().await.unwrap().unwrap();
    let expected = [
        vec![seq.into(), 0u64.into(), string("a"), State::NONE],
        vec![seq.into(), 1u64.into(), string("b"), string("c")],
    ];
    assert_eq!(db.rows(&wider).await, expected);
    assert_eq!(db.begin().append(&table, &[what("a")]).await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(txn.append(&wider, &[]).await.unwrap_err().message(), "the transaction is over");
}
