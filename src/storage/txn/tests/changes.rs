//! What a transaction says that it has written.

use super::super::Mode;
use super::super::sample::{Db, PLENTY, batch, row, schema};
use crate::error::Kind;
use crate::storage::changes::{Changes, RowChange};
use crate::storage::load::tiny_loader;
use crate::value::State;
use crate::value::sample::int;

fn put(row: Vec<State>) -> RowChange {
    RowChange { key: row[..1].to_vec(), row: Some(row) }
}

fn gone(id: i64) -> RowChange {
    RowChange { key: vec![int(id)], row: None }
}

fn kept(rows: Vec<RowChange>) -> Changes {
    Changes { is_cleared: false, rows }
}

#[tokio::test]
async fn rows_are_named_wherever_they_are() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, "b", 1), row(3, "c", 1)]).await;
    for bytes_max in [0, PLENTY] {
        let txn = db.begin_within(bytes_max);
        assert_eq!(txn.changes(&table, 0).await.unwrap(), Changes::default());
        txn.put(&table, &row(3, "d", 2)).await.unwrap();
        txn.delete(&table, &[int(1)]).await.unwrap();
        let mut loader = tiny_loader(&txn, &table, Mode::Upsert).await.unwrap();
        loader.push(batch(&table, &[row(4, "e", 1), row(5, "f", 1)])).await.unwrap();
        loader.finish().await.unwrap();
        txn.put(&table, &row(5, "g", 1)).await.unwrap();
        // One that has come and gone is named too: what it does is what is said.
        txn.put(&table, &row(6, "h", 1)).await.unwrap();
        txn.delete(&table, &[int(6)]).await.unwrap();
        // And one that is as before.
        txn.put(&table, &row(2, "b", 1)).await.unwrap();
        let rows = [row(2, "b", 1), row(3, "d", 2), row(4, "e", 1), row(5, "g", 1)].map(put);
        let expected: Vec<_> = [gone(1)].into_iter().chain(rows).chain([gone(6)]).collect();
        assert_eq!(txn.changes(&table, 10_000).await.unwrap(), kept(expected));
        let error = txn.changes(&table, 100).await.unwrap_err();
        assert_eq!((error.kind(), error.message().contains("100 bytes of the rows of /t")), (Kind::TooLarge, true));
    }
}

#[tokio::test]
async fn a_cleared_table_has_lost_each_row() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1), row(2, "b", 1), row(3, "c", 1)]).await;
    let txn = db.begin();
    txn.put(&table, &row(9, None, 9)).await.unwrap();
    txn.clear(&table).await.unwrap();
    txn.put_rows(&table, &[row(2, "b", 1), row(4, "x", 1), row(5, "y", 1)]).await.unwrap();
    txn.delete(&table, &[int(5)]).await.unwrap();
    let rows = vec![gone(1), put(row(2, "b", 1)), gone(3), put(row(4, "x", 1))];
    assert_eq!(txn.changes(&table, 10_000).await.unwrap(), Changes { is_cleared: true, rows });
    // Another row would have to be named as well.
    db.put(&table, &[row(7, "z", 1)]).await;
    assert_eq!(txn.commit().await.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn a_table_of_the_transaction_has_lost_nothing() {
    let db = Db::new().await;
    for bytes_max in [0, PLENTY] {
        let txn = db.begin_within(bytes_max);
        let tables = [txn.create_table("/new", schema()).await.unwrap(), txn.create(schema())];
        for table in tables {
            txn.put(&table, &row(1, "a", 1)).await.unwrap();
            txn.put(&table, &row(2, "b", 1)).await.unwrap();
            txn.delete(&table, &[int(1)]).await.unwrap();
            assert_eq!(txn.changes(&table, 10_000).await.unwrap(), kept(vec![put(row(2, "b", 1))]));
            txn.clear(&table).await.unwrap();
            assert_eq!(txn.changes(&table, 10_000).await.unwrap(), Changes::default());
        }
    }
    assert_eq!(db.begin().changes(&db.begin().create(schema()), 0).await.unwrap_err().kind(), Kind::BadRequest);
}
