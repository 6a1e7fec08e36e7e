//! One test an anomaly.

use super::super::sample::{Db, all, batch, read, row, scan_of, schema};
use super::super::{Mode, Scan, Transaction};
use crate::error::Kind;
use crate::storage::codec::{KeyRange, encode_key};
use crate::value::sample::int;
use crate::value::schema::Table;

/// Checks that a commit was refused.
#[track_caller]
fn check_refused(outcome: crate::error::Result<Option<u64>>) {
    assert_eq!(outcome.unwrap_err().kind(), Kind::Conflict);
}

async fn grow(txn: &Transaction, table: &Table, id: i64) {
    let mut cells = txn.get(table, &[int(id)]).await.unwrap().unwrap();
    cells[2] = int(100);
    txn.put(table, &cells).await.unwrap();
}

#[tokio::test]
async fn no_update_is_lost() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1)]).await;
    let (first, second) = (db.begin(), db.begin());
    grow(&first, &table, 1).await;
    grow(&second, &table, 1).await;
    first.commit().await.unwrap();
    check_refused(second.commit().await);
}

#[tokio::test]
async fn writes_are_not_skewed() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, "b", 1)]).await;
    let (first, second) = (db.begin(), db.begin());
    first.get(&table, &[int(2)]).await.unwrap();
    second.get(&table, &[int(1)]).await.unwrap();
    first.put(&table, &row(1, "a", 0)).await.unwrap();
    second.put(&table, &row(2, "b", 0)).await.unwrap();
    first.commit().await.unwrap();
    check_refused(second.commit().await);
}

#[tokio::test]
async fn a_row_that_was_not_there_counts_as_read() {
    let (db, table) = Db::with_table().await;
    for insert in [true, false] {
        let (first, second) = (db.begin(), db.begin());
        let id = if insert { 1 } else { 2 };
        if insert {
            assert!(second.insert(&table, &row(id, None, 2)).await.unwrap());
        } else {
            assert!(!second.contains(&table, &[int(id)]).await.unwrap());
            second.put(&table, &row(9, None, 2)).await.unwrap();
        }
        first.put(&table, &row(id, None, 1)).await.unwrap();
        first.commit().await.unwrap();
        check_refused(second.commit().await);
    }
}

#[tokio::test]
async fn a_scan_finds_no_phantoms() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(5, "b", 5)]).await;
    let ids = |from: i64, to: i64| {
        let key = |id| std::ops::Bound::Included(encode_key(table.schema.key(), &[int(id)]).unwrap());
        KeyRange { start: key(from), end: key(to) }
    };
    let sizes = |size: i64| KeyRange::prefix(encode_key([&table.schema.columns[2]], &[int(size)]).unwrap());
    let refused = |scan: Scan, written: i64, size: i64| {
        let (db, table) = (&db, &table);
        async move {
            let (first, second) = (db.begin(), db.begin());
            read(&second, table, scan).await.unwrap();
            second.put(table, &row(100, None, 7)).await.unwrap();
            first.put(table, &row(written, None, size)).await.unwrap();
            first.commit().await.unwrap();
            second.commit().await.is_err()
        }
    };
    let primary = Scan { range: ids(1, 4), ..scan_of(&[1], None) };
    assert!(refused(primary.clone(), 3, 0).await);
    assert!(!refused(primary, 6, 0).await);
    let by_size = Scan { range: sizes(5), ..scan_of(&[0], Some(1)) };
    assert!(refused(by_size.clone(), 7, 5).await);
    assert!(!refused(by_size, 8, 6).await);
    // The row that an entry stands for was read too, though the entry stays the same.
    let fetched = Scan { range: sizes(1), ..scan_of(&[0, 1, 2], Some(1)) };
    assert!(refused(fetched, 1, 1).await);
}

#[tokio::test]
async fn a_scan_with_a_limit_has_read_as_far_as_it_went() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(10, None, 1), row(20, None, 1), row(30, None, 1)]).await;
    let refused = |scan: Scan, written: i64| {
        let (db, table) = (&db, &table);
        async move {
            let (first, second) = (db.begin(), db.begin());
            read(&second, table, scan).await.unwrap();
            second.put(table, &row(1000, None, 7)).await.unwrap();
            first.put(table, &row(written, None, 9)).await.unwrap();
            first.commit().await.unwrap();
            second.commit().await.is_err()
        }
    };
    let two = Scan { limit: Some(2), ..scan_of(&[2], None) };
    assert!(!refused(two.clone(), 25).await);
    assert!(refused(two.clone(), 15).await);
    let last = Scan { reverse: true, limit: Some(1), ..two.clone() };
    assert!(!refused(last.clone(), 999).await);
    assert!(refused(last, 2000).await);
    // Who asks for more than there is has seen the end.
    let many = Scan { limit: Some(100), ..two };
    assert!(refused(many, 3000).await);
}

#[tokio::test]
async fn two_transactions_cannot_take_one_unique_name() {
    let (db, table) = Db::with_table().await;
    let (first, second) = (db.begin(), db.begin());
    first.put(&table, &row(1, "a", 1)).await.unwrap();
    second.put(&table, &row(2, "a", 1)).await.unwrap();
    first.commit().await.unwrap();
    check_refused(second.commit().await);
    let (first, second) = (db.begin(), db.begin());
    first.put_rows(&table, &[row(3, "b", 1), row(4, "c", 1)]).await.unwrap();
    second.put_rows(&table, &[row(5, "c", 1), row(6, "d", 1)]).await.unwrap();
    first.commit().await.unwrap();
    check_refused(second.commit().await);
    assert_eq!(db.rows(&table).await.len(), 3);
}

#[tokio::test]
async fn blind_writes_never_conflict() {
    let db = Db::new().await;
    let txn = db.begin();
    let mut plain = schema();
    plain.indexes.clear();
    let table = txn.create_table("/plain", plain).await.unwrap();
    txn.commit().await.unwrap();
    let (first, second, third) = (db.begin(), db.begin(), db.begin());
    for (txn, name) in [(&first, "a"), (&second, "b")] {
        txn.put(&table, &row(1, name, 1)).await.unwrap();
    }
    third.put_batch(&table, &batch(&table, &[row(1, "c", 1), row(2, "c", 1)]), Mode::Upsert).await.unwrap();
    for txn in [&first, &second, &third] {
        txn.commit().await.unwrap();
    }
    assert_eq!(db.rows(&table).await, [row(1, "c", 1), row(2, "c", 1)]);
}

#[tokio::test]
async fn a_cleared_table_conflicts_with_what_was_read_of_it() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1)]).await;
    let (first, second, third) = (db.begin(), db.begin(), db.begin());
    first.clear(&table).await.unwrap();
    // It reads the old row, because there are indexes.
    second.put(&table, &row(1, "b", 1)).await.unwrap();
    third.clear(&table).await.unwrap();
    first.commit().await.unwrap();
    check_refused(second.commit().await);
    third.commit().await.unwrap();
    assert_eq!(db.rows(&table).await.len(), 0);
}

#[tokio::test]
async fn definitions_conflict_with_every_use() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1)]).await;
    let (ddl, dml) = (db.begin(), db.begin());
    dml.put(&table, &row(2, "b", 1)).await.unwrap();
    let mut wanted = table.schema.as_ref().clone();
    wanted.indexes.clear();
    let altered = ddl.alter_table("/t", wanted).await.unwrap();
    ddl.commit().await.unwrap();
    check_refused(dml.commit().await);
    // Who still has the old definition is told so.
    let late = db.begin();
    assert_eq!(late.put(&table, &row(3, "c", 1)).await.unwrap_err().kind(), Kind::Conflict);
    late.put(&altered, &row(3, "c", 1)).await.unwrap();
    late.commit().await.unwrap();

    let (ddl, dml) = (db.begin(), db.begin());
    dml.put(&altered, &row(4, "d", 1)).await.unwrap();
    assert!(ddl.drop_table("/t").await.unwrap());
    ddl.commit().await.unwrap();
    check_refused(dml.commit().await);

    let (first, second) = (db.begin(), db.begin());
    first.create_table("/t", schema()).await.unwrap();
    second.create_table("/t", schema()).await.unwrap();
    first.commit().await.unwrap();
    check_refused(second.commit().await);
}

#[tokio::test]
async fn a_list_of_tables_finds_no_phantoms() {
    let (db, table) = Db::with_table().await;
    for (path, expected) in [("/a/x", true), ("/b/x", false)] {
        let (first, second) = (db.begin(), db.begin());
        assert!(second.tables("/a/").await.unwrap().is_empty());
        second.put(&table, &row(1, None, 1)).await.unwrap();
        first.create_table(path, schema()).await.unwrap();
        first.commit().await.unwrap();
        assert_eq!(second.commit().await.is_err(), expected, "{path}");
        let txn = db.begin();
        txn.drop_table(path).await.unwrap();
        txn.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_stays_as_it_is() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1)]).await;
    let reader = db.begin();
    assert_eq!(all(&reader, &table).await.len(), 1);
    db.put(&table, &[row(2, "b", 1)]).await;
    db.store.checkpoint().await.unwrap();
    assert_eq!(all(&reader, &table).await.len(), 1);
    assert_eq!(reader.commit().await.unwrap(), None);
}
