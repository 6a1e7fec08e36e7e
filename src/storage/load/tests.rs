use arrow::array::{Int64Array, StringViewArray};

use super::*;
use crate::error::Kind;
use crate::storage::txn::sample::{Db, all, batch, check, read, row, scan_of, schema};
use crate::value::State;
use crate::value::collate::collate;
use crate::value::sample::int;
use crate::value::schema::Schema;

/// A database with the table `/plain`, which has no indexes.
async fn plain() -> (Db, Arc<Table>) {
    let db = Db::new().await;
    let txn = db.begin();
    let table = txn.create_table("/plain", Schema { indexes: vec![], ..schema() }).await.unwrap();
    txn.commit().await.unwrap();
    drop(txn);
    (db, table)
}

fn numbered(ids: impl IntoIterator<Item = i64>) -> Vec<Vec<State>> {
    ids.into_iter().map(|id| row(id, None, id % 7)).collect()
}

fn segments_len(txn: &Transaction) -> usize {
    txn.core().work.lock().writes.segments_len()
}

async fn load(txn: &Transaction, table: &Table, mode: Mode, batches: &[Vec<Vec<State>>]) -> Result<u64> {
    let mut loader = tiny_loader(txn, table, mode).await?;
    for rows in batches {
        loader.push(batch(table, rows)).await?;
    }
    loader.finish().await
}

#[tokio::test]
async fn rows_in_order_become_one_segment() {
    let (db, table) = plain().await;
    let txn = db.begin();
    let batches = [numbered(0..3), numbered(3..5), numbered(5..9)];
    assert_eq!(load(&txn, &table, Mode::Insert, &batches).await.unwrap(), 9);
    assert_eq!(segments_len(&txn), 1);
    assert_eq!(all(&txn, &table).await, numbered(0..9));
    txn.commit().await.unwrap();
    drop(txn);
    let db = db.reopen().await;
    assert_eq!(db.rows(&table).await, numbered(0..9));
}

#[tokio::test]
async fn rows_out_of_order_become_runs() {
    let (db, table) = plain().await;
    let txn = db.begin();
    let batches = [numbered(5..9), numbered([3, 1, 2]), numbered(6..7), vec![row(1, "new", 0)]];
    assert_eq!(load(&txn, &table, Mode::Upsert, &batches).await.unwrap(), 9);
    assert_eq!(segments_len(&txn), 4);
    let mut expected = numbered([1, 2, 3, 5, 6, 7, 8]);
    expected[0] = row(1, "new", 0);
    assert_eq!(all(&txn, &table).await, expected);
    // What is written later is newer, in memory and in segments.
    txn.put(&table, &row(2, "newer", 0)).await.unwrap();
    load(&txn, &table, Mode::Upsert, &[numbered([2]), vec![row(3, "newest", 0)]]).await.unwrap();
    assert_eq!(txn.get(&table, &[int(2)]).await.unwrap(), Some(row(2, None, 2)));
    assert_eq!(txn.get(&table, &[int(3)]).await.unwrap(), Some(row(3, "newest", 0)));
}

#[tokio::test]
async fn few_rows_stay_in_memory() {
    let (db, table) = plain().await;
    let txn = db.begin();
    let mut loader = Loader::new(&txn, &table, Mode::Insert).await.unwrap();
    loader.push(batch(&table, &numbered(0..3))).await.unwrap();
    loader.push(batch(&table, &[])).await.unwrap();
    loader.push(batch(&table, &numbered(3..5))).await.unwrap();
    assert_eq!(loader.finish().await.unwrap(), 5);
    assert_eq!(segments_len(&txn), 0);
    assert_eq!(all(&txn, &table).await, numbered(0..5));
    assert_eq!(Loader::new(&txn, &table, Mode::Insert).await.unwrap().finish().await.unwrap(), 0);
}

#[tokio::test]
async fn keys_that_are_there_are_refused_wherever_they_are() {
    let (db, table) = plain().await;
    db.put(&table, &numbered([100])).await;
    #[track_caller]
    fn check(outcome: Result<u64>, key: i64) {
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::BadRequest, &*format!("there is already a row with the key [{key}]"))
        );
    }
    let txn = db.begin();
    // In one batch, in one run, in two runs, where they were before, and in memory.
    check(load(&txn, &table, Mode::Insert, &[numbered([2, 1, 2])]).await, 2);
    check(load(&txn, &table, Mode::Insert, &[numbered([1, 2]), numbered([2, 3])]).await, 2);
    check(load(&txn, &table, Mode::Insert, &[numbered([3, 1]), numbered([4, 2]), numbered([5, 3])]).await, 3);
    check(load(&txn, &table, Mode::Insert, &[numbered([99, 100])]).await, 100);
    txn.put(&table, &row(50, None, 1)).await.unwrap();
    check(load(&txn, &table, Mode::Insert, &[numbered([40, 50, 60])]).await, 50);
    assert_eq!(all(&txn, &table).await.len(), 2);
    load(&txn, &table, Mode::Insert, &[numbered([40, 60]), numbered([20, 30])]).await.unwrap();
    assert_eq!(all(&txn, &table).await.len(), 6);
}

#[tokio::test]
async fn replaced_rows_lose_their_entries() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, "b", 2), row(3, "c", 3)]).await;
    let txn = db.begin();
    txn.put(&table, &row(4, "d", 4)).await.unwrap();
    let batches = [vec![row(4, "a", 9), row(1, "d", 1)], vec![row(2, "b", 8), row(9, "e", 1)], vec![row(2, "b", 7)]];
    load(&txn, &table, Mode::Upsert, &batches).await.unwrap();
    check(&txn, &table).await;
    let expected = [row(1, "d", 1), row(2, "b", 7), row(3, "c", 3), row(4, "a", 9), row(9, "e", 1)];
    assert_eq!(all(&txn, &table).await, expected);
    txn.commit().await.unwrap();
    assert_eq!(db.rows(&table).await, expected);
}

#[tokio::test]
async fn a_load_that_breaks_a_rule_leaves_nothing_behind() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1)]).await;
    let txn = db.begin();
    for batches in [[vec![row(2, "b", 1)], vec![row(3, "b", 1)]], [vec![row(3, "c", 1)], vec![row(2, "a", 1)]]] {
        let error = load(&txn, &table, Mode::Upsert, &batches).await.unwrap_err();
        assert!(error.message().starts_with("index by_name is unique"), "{error}");
    }
    db.store.checkpoint().await.unwrap();
    assert_eq!((segments_len(&txn), db.store.stats().garbage), (0, 0));
    assert_eq!(all(&txn, &table).await, [row(1, "a", 1)]);
    let mut dropped = tiny_loader(&txn, &table, Mode::Upsert).await.unwrap();
    dropped.push(batch(&table, &numbered([3, 2]))).await.unwrap();
    drop(dropped);
    db.store.checkpoint().await.unwrap();
    assert_eq!(db.store.stats().garbage, 0);
    load(&txn, &table, Mode::Upsert, &[vec![row(1, "b", 1)], vec![row(2, "a", 1)]]).await.unwrap();
    check(&txn, &table).await;
    drop(txn);
    db.store.checkpoint().await.unwrap();
    assert_eq!(db.store.stats().garbage, 0);
    assert_eq!(db.rows(&table).await, [row(1, "a", 1)]);
}

#[tokio::test]
async fn a_load_notices_that_its_table_has_changed() {
    let (db, table) = Db::with_table().await;
    let txn = db.begin();
    let mut loader = tiny_loader(&txn, &table, Mode::Upsert).await.unwrap();
    loader.push(batch(&table, &numbered([1]))).await.unwrap();
    txn.drop_table("/t").await.unwrap();
    assert_eq!(loader.finish().await.unwrap_err().message(), "/t was changed or dropped in this transaction");
}

/// More rows than stay in memory, so that the entries of indexes go to segments too.
#[tokio::test]
async fn large_batches_go_to_segments_with_their_indexes() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(7, "old", 99), row(-1, "kept", 99)]).await;
    let count = Limits::DURABLE.few_rows as i64 + 10;
    // Descending, so that it has to be sorted; without names, but for one that moves to another row.
    let ids: Vec<i64> = (0..count).rev().collect();
    let names: Vec<Option<&str>> = ids.iter().map(|id| (*id == 8).then_some("old")).collect();
    let sizes: Vec<i64> = ids.iter().map(|id| id % 5).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids)),
        Arc::new(StringViewArray::from(names)),
        Arc::new(Int64Array::from(sizes)),
    ];
    let rows = RecordBatch::try_new(crate::storage::codec::arrow_schema(&table.schema), columns).unwrap();
    assert!(is_large(&table, &rows));
    let txn = db.begin();
    assert_eq!(txn.put_batch(&table, &rows, Mode::Upsert).await.unwrap(), count as u64);
    assert_eq!(segments_len(&txn), 3);
    assert_eq!(txn.get(&table, &[int(7)]).await.unwrap(), Some(row(7, None, 2)));
    for (index, columns) in [(0, [1, 0]), (1, [2, 0])] {
        let entries = read(&txn, &table, scan_of(&columns, Some(index))).await.unwrap();
        let mut expected: Vec<_> =
            all(&txn, &table).await.iter().map(|row| columns.map(|at| row[at].clone())).collect();
        expected.sort_by(|l, r| collate(&l[0], &r[0]).then_with(|| collate(&l[1], &r[1])));
        assert_eq!(entries, expected);
    }
    txn.commit().await.unwrap();
    let found = all(&db.begin(), &table).await;
    assert_eq!((found.len() as i64, &found[0]), (count + 1, &row(-1, "kept", 99)));
    let again = db.begin();
    let error = again.put_batch(&table, &rows, Mode::Insert).await.unwrap_err();
    assert_eq!(error.message(), "there is already a row with the key [0]");
}

#[test]
fn the_bytes_of_a_slice_are_its_own() {
    let texts = StringViewArray::from(vec!["a text that is too long for a view"; 100]);
    let numbers = Int64Array::from(vec![1; 100]);
    let columns: [ArrayRef; 2] = [Arc::new(texts), Arc::new(numbers)];
    assert_eq!(columns.iter().map(column_bytes).collect::<Vec<_>>(), [100 * (16 + 34), 800]);
    let sliced = columns.iter().map(|column| column_bytes(&column.slice(10, 2))).collect::<Vec<_>>();
    assert_eq!(sliced, [2 * (16 + 34), 16]);
}
