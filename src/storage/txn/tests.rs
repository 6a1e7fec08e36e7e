mod append;
mod changes;
mod conflicts;
mod ddl;
mod model;

use super::sample::{Db, all, batch, check, read, row, scan_of, schema};
use super::{Mode, Scan};
use crate::error::Kind;
use crate::storage::codec::KeyRange;
use crate::storage::diff::{TableChange, TableDiff};
use crate::value::sample::int;

#[tokio::test]
async fn a_transaction_sees_its_own_writes_and_others_do_when_it_commits() {
    let (db, table) = Db::with_table().await;
    let (txn, other) = (db.begin(), db.begin());
    assert_eq!(other.get(&table, &[int(1)]).await.unwrap(), None);
    txn.put(&table, &row(1, "a", 5)).await.unwrap();
    assert!(txn.has_writes());
    assert_eq!(txn.get(&table, &[int(1)]).await.unwrap(), Some(row(1, "a", 5)));
    assert!(txn.contains(&table, &[int(1)]).await.unwrap());
    assert!(!other.contains(&table, &[int(1)]).await.unwrap());
    let seq = txn.commit().await.unwrap();
    assert!(seq.is_some());
    assert!(!other.contains(&table, &[int(1)]).await.unwrap());
    assert_eq!(db.rows(&table).await, [row(1, "a", 5)]);
}

#[tokio::test]
async fn a_transaction_that_only_reads_commits_nothing() {
    let (db, table) = Db::with_table().await;
    let txn = db.begin();
    assert_eq!(all(&txn, &table).await, Vec::<Vec<_>>::new());
    assert!(!txn.has_writes());
    assert_eq!(txn.commit().await.unwrap(), None);
    assert_eq!(txn.commit().await.unwrap_err().kind(), Kind::BadRequest);
    assert_eq!(txn.put(&table, &row(1, None, 1)).await.unwrap_err().message(), "the transaction is over");
}

#[tokio::test]
async fn rows_and_entries_change_together() {
    let (db, table) = Db::with_table().await;
    let txn = db.begin();
    txn.put_rows(&table, &[row(1, "a", 5), row(2, "b", 5), row(1, "c", 6)]).await.unwrap();
    assert_eq!(all(&txn, &table).await, [row(1, "c", 6), row(2, "b", 5)]);
    check(&txn, &table).await;
    txn.put(&table, &row(2, "a", 5)).await.unwrap();
    assert!(!txn.insert(&table, &row(2, "z", 5)).await.unwrap());
    assert!(txn.insert(&table, &row(3, None, 5)).await.unwrap());
    assert!(txn.delete(&table, &[int(1)]).await.unwrap());
    assert!(!txn.delete(&table, &[int(1)]).await.unwrap());
    check(&txn, &table).await;
    txn.commit().await.unwrap();
    assert_eq!(db.rows(&table).await, [row(2, "a", 5), row(3, None, 5)]);
    drop(txn);
    let db = db.reopen().await;
    assert_eq!(db.rows(&table).await, [row(2, "a", 5), row(3, None, 5)]);
}

#[tokio::test]
async fn a_unique_index_refuses_a_second_row() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, None, 1)]).await;
    let txn = db.begin();
    let error = txn.put(&table, &row(3, "a", 1)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadRequest);
    assert!(error.message().contains("index by_name") && error.message().contains("[\"a\"]"), "{error}");
    assert!(txn.put_rows(&table, &[row(3, "b", 1), row(4, "b", 1)]).await.is_err());
    assert_eq!(all(&txn, &table).await.len(), 2);
    // None equals nothing, a row is no rival of itself, and rows of one batch may change places.
    txn.put(&table, &row(3, None, 1)).await.unwrap();
    txn.put(&table, &row(1, "a", 2)).await.unwrap();
    txn.put(&table, &row(4, "b", 2)).await.unwrap();
    txn.put_rows(&table, &[row(1, "b", 2), row(4, "a", 2)]).await.unwrap();
    check(&txn, &table).await;
}

#[tokio::test]
async fn a_batch_is_written_as_a_whole_or_not_at_all() {
    let (db, table) = Db::with_table().await;
    let txn = db.begin();
    let rows = [row(2, "b", 1), row(1, "a", 1)];
    assert_eq!(txn.put_batch(&table, &batch(&table, &rows), Mode::Insert).await.unwrap(), 2);
    let error =
        txn.put_batch(&table, &batch(&table, &[row(3, "c", 1), row(2, "d", 1)]), Mode::Insert).await.unwrap_err();
    assert_eq!(error.message(), "there is already a row with the key [2]");
    let error =
        txn.put_batch(&table, &batch(&table, &[row(3, "c", 1), row(3, "d", 1)]), Mode::Insert).await.unwrap_err();
    assert_eq!(error.message(), "there is already a row with the key [3]");
    assert_eq!(all(&txn, &table).await, [row(1, "a", 1), row(2, "b", 1)]);
    assert_eq!(txn.put_batch(&table, &batch(&table, &[]), Mode::Insert).await.unwrap(), 0);
    check(&txn, &table).await;
}

#[tokio::test]
async fn own_collections_are_gone_with_their_transaction() {
    let db = Db::new().await;
    let txn = db.begin_within(0);
    let (first, second) = (txn.create(schema()), txn.create(schema()));
    txn.put_rows(&first, &[row(1, "a", 1), row(2, "b", 2)]).await.unwrap();
    assert_eq!((all(&txn, &first).await.len(), all(&txn, &second).await.len()), (2, 0));
    check(&txn, &first).await;
    // There is no memory, so that even these few rows are in files.
    assert!(db.store.stats().garbage > 0);
    assert!(!txn.has_writes());
    assert_eq!(txn.commit().await.unwrap(), None);
    assert_eq!(all(&txn, &first).await.len(), 2);
    let error = db.begin().get(&first, &[int(1)]).await.unwrap_err();
    assert_eq!(error.message(), "the collection belongs to another transaction");
    drop(txn);
    db.store.checkpoint().await.unwrap();
    assert_eq!(db.store.stats().garbage, 0);
}

#[tokio::test]
async fn what_was_cleared_is_gone_and_what_is_written_then_is_there() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, "b", 1)]).await;
    let txn = db.begin();
    txn.put(&table, &row(3, "c", 1)).await.unwrap();
    let before = txn.scan(&table, scan_of(&[0], None));
    txn.clear(&table).await.unwrap();
    assert_eq!(all(&txn, &table).await.len(), 0);
    txn.put(&table, &row(4, "a", 1)).await.unwrap();
    check(&txn, &table).await;
    // A stream keeps what it saw.
    let seen: Vec<_> = futures::StreamExt::collect(before).await;
    assert_eq!(seen.into_iter().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3);
    txn.commit().await.unwrap();
    assert_eq!(db.rows(&table).await, [row(4, "a", 1)]);
    drop(txn);
    let db = db.reopen().await;
    assert_eq!(db.rows(&table).await, [row(4, "a", 1)]);
}

#[tokio::test]
async fn without_memory_rows_go_to_segments_and_are_committed_from_there() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, "b", 1)]).await;
    let txn = db.begin_within(0);
    txn.put(&table, &row(1, "c", 2)).await.unwrap();
    txn.delete(&table, &[int(2)]).await.unwrap();
    txn.put(&table, &row(3, "b", 3)).await.unwrap();
    assert!(txn.core().work.lock().writes.segments_len() > 3);
    check(&txn, &table).await;
    assert_eq!(all(&txn, &table).await, [row(1, "c", 2), row(3, "b", 3)]);
    txn.commit().await.unwrap();
    assert_eq!(db.rows(&table).await, [row(1, "c", 2), row(3, "b", 3)]);
    db.store.checkpoint().await.unwrap();
    drop(txn);
    let db = db.reopen().await;
    assert_eq!(db.rows(&table).await, [row(1, "c", 2), row(3, "b", 3)]);
}

#[tokio::test]
async fn scans_have_ranges_columns_limits_and_orders() {
    let (db, table) = Db::with_table().await;
    let rows: Vec<_> = (0..10).map(|id| row(id, None, id % 3)).collect();
    db.put(&table, &rows).await;
    let txn = db.begin();
    let last = Scan { reverse: true, limit: Some(2), ..scan_of(&[2, 0], None) };
    assert_eq!(read(&txn, &table, last).await.unwrap(), [[int(0), int(9)], [int(2), int(8)]]);
    let size =
        |n: i64| KeyRange::prefix(crate::storage::codec::encode_key([&table.schema.columns[2]], &[int(n)]).unwrap());
    let some = Scan { range: size(1), limit: Some(2), ..scan_of(&[0], Some(1)) };
    assert_eq!(read(&txn, &table, some.clone()).await.unwrap(), [[int(1)], [int(4)]]);
    let wide = Scan { columns: vec![1, 0], ..some };
    assert_eq!(read(&txn, &table, wide).await.unwrap().len(), 2);
    let none = read(&txn, &table, scan_of(&[], None)).await.unwrap();
    assert_eq!(none, vec![vec![]; 10]);
    assert_eq!(txn.estimate(&table, Some(1), &size(1)).rows_max, 3);
    assert!(txn.split(&table, &KeyRange::all(), 4).len() <= 4);
    let mut wrong = txn.scan(&table, scan_of(&[9], None));
    assert!(futures::StreamExt::next(&mut wrong).await.unwrap().is_err());
    assert!(read(&txn, &table, scan_of(&[0], Some(9))).await.is_err());
}

#[tokio::test]
async fn rows_of_the_wrong_length_are_refused() {
    let (db, table) = Db::with_table().await;
    let txn = db.begin();
    let error = txn.put(&table, &[int(1)]).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::BadRequest, "expected a row of 3 cells, not 1"));
    assert!(txn.put_rows(&table, &[vec![int(1)], vec![int(2)]]).await.is_err());
    let error = txn.get(&table, &[]).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::BadRequest, "expected a key of 1 cells, not 0"));
    assert!(txn.delete(&table, &[int(1), int(2)]).await.is_err());
}

#[tokio::test]
async fn writes_at_one_time_keep_indexes_right() {
    let (db, table) = Db::with_table().await;
    // Without memory each of them waits for files, so that they take turns.
    let txn = db.begin_within(0);
    let names = ["a", "b", "c", "d"];
    let puts = (0..16).map(|n| {
        let (txn, table) = (&txn, &table);
        async move {
            // Most of these are refused, because another row has the name.
            let _ = txn.put(table, &row(n % 3, names[n as usize % 4], n)).await;
        }
    });
    futures::future::join_all(puts).await;
    check(&txn, &table).await;
}

#[tokio::test]
async fn a_difference_names_what_changes() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, "b", 1), row(3, "c", 1), row(4, "d", 1)]).await;
    let txn = db.begin_within(0);
    txn.put_rows(&table, &[row(1, "a", 1), row(2, "b", 2), row(5, "e", 1)]).await.unwrap();
    txn.delete(&table, &[int(3)]).await.unwrap();
    txn.put(&table, &row(6, "f", 1)).await.unwrap();
    txn.delete(&table, &[int(6)]).await.unwrap();
    let expected = TableDiff {
        name: "/t".into(),
        change: TableChange::Kept,
        inserted: vec![row(5, "e", 1)],
        updated: vec![(row(2, "b", 1), row(2, "b", 2))],
        deleted: vec![row(3, "c", 1)],
        truncated: false,
    };
    assert_eq!(txn.diff(3).await.unwrap(), [expected]);
    let diffs = txn.diff(2).await.unwrap();
    assert!(diffs[0].truncated && diffs[0].inserted.is_empty() && diffs[0].deleted.len() == 1);
    assert!(txn.diff(0).await.unwrap()[0].truncated);
}

#[tokio::test]
async fn a_difference_of_a_cleared_table_has_what_is_gone() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, "b", 1), row(3, "c", 1)]).await;
    let txn = db.begin();
    txn.clear(&table).await.unwrap();
    txn.put_rows(&table, &[row(2, "b", 1), row(3, "x", 1), row(9, None, 1)]).await.unwrap();
    let diff = txn.diff(100).await.unwrap().remove(0);
    assert_eq!(diff.deleted, [row(1, "a", 1)]);
    assert_eq!(diff.updated, [(row(3, "c", 1), row(3, "x", 1))]);
    assert_eq!(diff.inserted, [row(9, None, 1)]);
}

#[tokio::test]
async fn a_difference_has_tables_that_come_and_go() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1)]).await;
    let txn = db.begin();
    assert!(txn.drop_table("/t").await.unwrap());
    let other = txn.create_table("/u", schema()).await.unwrap();
    txn.put(&other, &row(2, "b", 2)).await.unwrap();
    txn.create_table("/v", schema()).await.unwrap();
    txn.drop_table("/v").await.unwrap();
    let diffs = txn.diff(100).await.unwrap();
    let changes: Vec<_> = diffs.iter().map(|diff| (&*diff.name, diff.change)).collect();
    assert_eq!(changes, [("/t", TableChange::Dropped), ("/u", TableChange::Created)]);
    assert_eq!((&diffs[0].deleted[..], &diffs[1].inserted[..]), (&[row(1, "a", 1)][..], &[row(2, "b", 2)][..]));
    // A table that takes the place of another one has lost all its rows.
    let again = txn.create_table("/t", schema()).await.unwrap();
    txn.put(&again, &row(1, "z", 1)).await.unwrap();
    let diffs = txn.diff(100).await.unwrap();
    assert_eq!((diffs[0].change, diffs[0].deleted.len(), diffs[0].inserted.len()), (TableChange::Altered, 1, 1));
}
