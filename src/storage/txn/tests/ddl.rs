use super::super::sample::{Db, INT, all, check, read, row, scan_of, schema};
use crate::error::Kind;
use crate::storage::codec::sample::{column, nullable};
use crate::value::State;
use crate::value::sample::{int, string};
use crate::value::schema::{Column, ColumnType, Index};

#[tokio::test]
async fn tables_are_found_by_their_paths() {
    let db = Db::new().await;
    let txn = db.begin();
    for path in ["/a/c", "/a/b", "/b"] {
        txn.create_table(path, schema()).await.unwrap();
    }
    let error = txn.create_table("/b", schema()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::BadRequest, "there is already a table at /b"));
    let names = |tables: Vec<(String, _)>| tables.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(names(txn.tables("/a/").await.unwrap()), ["/a/b", "/a/c"]);
    txn.drop_table("/a/b").await.unwrap();
    assert!(!txn.drop_table("/a/b").await.unwrap());
    txn.commit().await.unwrap();
    drop(txn);
    let db = db.reopen().await;
    let txn = db.begin();
    assert_eq!(names(txn.tables("").await.unwrap()), ["/a/c", "/b"]);
    let (first, second) = (txn.table("/b").await.unwrap().unwrap(), txn.table("/b").await.unwrap().unwrap());
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert_eq!(&*first.name, "/b");
    assert_eq!(txn.table("/a/b").await.unwrap(), None);
}

#[tokio::test]
async fn a_table_is_gone_with_its_rows() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1)]).await;
    let txn = db.begin();
    txn.put(&table, &row(2, "b", 1)).await.unwrap();
    assert!(txn.drop_table("/t").await.unwrap());
    let error = txn.put(&table, &row(3, "c", 1)).await.unwrap_err();
    assert_eq!(error.message(), "/t was changed or dropped in this transaction");
    let again = txn.create_table("/t", schema()).await.unwrap();
    assert_ne!(again.rows, table.rows);
    txn.put(&again, &row(4, "a", 1)).await.unwrap();
    assert_eq!(all(&txn, &again).await, [row(4, "a", 1)]);
    txn.commit().await.unwrap();
    assert_eq!(db.rows(&again).await, [row(4, "a", 1)]);
    drop(txn);
    let db = db.reopen().await;
    assert_eq!(db.rows(&again).await, [row(4, "a", 1)]);
}

#[tokio::test]
async fn a_schema_that_makes_no_sense_is_refused() {
    let db = Db::new().await;
    let txn = db.begin();
    let mut keyless = schema();
    keyless.key_len = 0;
    assert_eq!(txn.create_table("/t", keyless).await.unwrap_err().kind(), Kind::BadRequest);
    assert_eq!(txn.table("/t").await.unwrap(), None);
    assert_eq!(txn.alter_table("/t", schema()).await.unwrap_err().message(), "there is no table at /t");
}

#[tokio::test]
async fn columns_come_and_go_without_rewriting_rows() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 1)]).await;
    db.store.checkpoint().await.unwrap();
    db.put(&table, &[row(2, "b", 2)]).await;
    let txn = db.begin();
    txn.put(&table, &row(3, "c", 3)).await.unwrap();
    let mut wanted = table.schema.as_ref().clone();
    wanted.columns.push(Column { default: int(7), ..column("age", INT) });
    wanted.columns.push(nullable("note", ColumnType::String));
    let wide = txn.alter_table("/t", wanted).await.unwrap();
    let with = |cells: Vec<State>, age: i64, note: State| [cells, vec![int(age), note]].concat();
    txn.put(&wide, &with(row(4, "d", 4), 9, string("x"))).await.unwrap();
    let expected = [
        with(row(1, "a", 1), 7, State::NONE),
        with(row(2, "b", 2), 7, State::NONE),
        with(row(3, "c", 3), 7, State::NONE),
        with(row(4, "d", 4), 9, string("x")),
    ];
    assert_eq!(all(&txn, &wide).await, expected);
    assert!(txn.put(&table, &row(5, "e", 5)).await.is_err());
    txn.commit().await.unwrap();
    assert_eq!(db.rows(&wide).await, expected);

    let txn = db.begin();
    let mut wanted = wide.schema.as_ref().clone();
    wanted.columns.remove(3);
    let narrow = txn.alter_table("/t", wanted).await.unwrap();
    assert_eq!(all(&txn, &narrow).await[3], [row(4, "d", 4), vec![string("x")]].concat());
    // A column of the same name is another one.
    let mut wanted = narrow.schema.as_ref().clone();
    wanted.columns.push(nullable("age", INT));
    let again = txn.alter_table("/t", wanted).await.unwrap();
    assert_eq!(all(&txn, &again).await[3], [row(4, "d", 4), vec![string("x"), State::NONE]].concat());
    txn.commit().await.unwrap();
    db.store.checkpoint().await.unwrap();
    drop(txn);
    let db = db.reopen().await;
    assert_eq!(db.rows(&again).await[3], [row(4, "d", 4), vec![string("x"), State::NONE]].concat());
}

#[tokio::test]
async fn a_new_index_has_the_rows_that_are_there() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 3), row(2, "b", 2)]).await;
    let txn = db.begin();
    txn.put(&table, &row(3, "c", 1)).await.unwrap();
    let mut wanted = table.schema.as_ref().clone();
    wanted.indexes.remove(0);
    wanted.indexes.push(Index { name: "by_both".into(), columns: vec![2, 1], unique: true });
    let altered = txn.alter_table("/t", wanted).await.unwrap();
    assert_eq!(altered.indexes[0], table.indexes[1]);
    check(&txn, &altered).await;
    // The name alone is not unique any more.
    txn.put(&altered, &row(4, "a", 4)).await.unwrap();
    assert!(txn.put(&altered, &row(5, "a", 4)).await.is_err());
    txn.commit().await.unwrap();
    let ids = read(&db.begin(), &altered, scan_of(&[0], Some(1))).await.unwrap();
    assert_eq!(ids, [[int(3)], [int(2)], [int(1)], [int(4)]]);
    drop(txn);
    let db = db.reopen().await;
    assert_eq!(db.rows(&altered).await.len(), 4);
}

#[tokio::test]
async fn a_unique_index_needs_rows_that_agree_with_it() {
    let (db, table) = Db::with_table().await;
    db.put(&table, &[row(1, "a", 3), row(2, None, 3)]).await;
    let txn = db.begin();
    let mut wanted = table.schema.as_ref().clone();
    wanted.indexes.push(Index { name: "one_size".into(), columns: vec![2], unique: true });
    let error = txn.alter_table("/t", wanted).await.unwrap_err();
    assert_eq!(error.message(), "index one_size is unique, and two rows would have [3] in it");
    // The table is what it was.
    txn.put(&table, &row(2, None, 4)).await.unwrap();
    check(&txn, &table).await;
}
