use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use futures::executor::block_on;
use object_store::{ObjectMeta, ObjectStoreExt as _};

use super::*;
use crate::error::Kind;
use crate::storage::catalog::Definition;
use crate::storage::codec::sample::{column, schema};
use crate::storage::log::Disk as _;
use crate::storage::store::sample::{Host, define, read_rows, write_catalog, write_row, write_segment};
use crate::storage::store::{Store, StoreConfig};
use crate::storage::txn::sample::{Db, INT};
use crate::value::sample::{int, string};
use crate::value::schema::{ColumnType, Table};

/// No part of it is there twice, so that it stands in files as it is, also where they are compressed.
const MARKER: &str = "q7Zk2mXw9LcV4bTn8RgY1pHs6JdF3aUe";

/// Whether the marker is there, or as hexadecimal digits, as keys are in manifests.
fn has_marker(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains(MARKER) || text.contains(&hex::encode(MARKER))
}

/// The files below a folder that have the marker.
fn found_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_below(&path));
        } else if std::fs::read(&path).is_ok_and(|bytes| has_marker(&bytes)) {
            // A file that is missing has been deleted in the background since it was listed.
            found.push(path);
        }
    }
    found
}

/// The files of a host that have the marker.
async fn found_on(host: &Host) -> Vec<String> {
    let mut found = host.disk.list().unwrap();
    found.retain(|name| has_marker(&host.disk.read(name).unwrap()));
    let objects = host.objects();
    let metas: Vec<ObjectMeta> = objects.list(None).try_collect().await.unwrap();
    for meta in metas {
        let bytes = objects.get(&meta.location).await.unwrap().bytes().await.unwrap();
        if has_marker(&bytes) {
            found.push(meta.location.to_string());
        }
    }
    found
}

async fn create(host: &Host, store: &Store, path: &str) -> Arc<Definition> {
    let definition = define(path, store.next_tree_id());
    let mut commit = host.begin(store);
    write_catalog(&mut commit, &definition, true);
    store.commit(commit).await.unwrap();
    definition
}

/// Puts a row, or deletes it if there is no name.
async fn put(host: &Host, store: &Store, table: &Table, id: i64, name: Option<&str>) {
    let mut commit = host.begin(store);
    write_row(&mut commit, table, id, name);
    store.commit(commit).await.unwrap();
}

/// Checks that the marker is in files, and is not when the tree of a table was scrubbed.
async fn check_scrub(store: &Store, table: &Table, root: &Path) {
    assert!(!found_below(root).is_empty(), "nothing would be tested");
    store.scrub(&[table.rows]).await.unwrap();
    let found = found_below(root);
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_in_files_of_what_is_no_more() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::new();
    let config = || StoreConfig::local(root.path(), 16 << 20, 1 << 20).unwrap();
    let store = Store::open(config()).await.unwrap();
    let (kept, dropped) = (create(&host, &store, "/kept").await, create(&host, &store, "/dropped").await);
    let table = &kept.table;
    for id in 10..20 {
        put(&host, &store, table, id, Some("something else")).await;
    }
    // In a segment, and replaced by another row in memory.
    put(&host, &store, table, 1, Some(MARKER)).await;
    store.checkpoint().await.unwrap();
    put(&host, &store, table, 1, Some("replaced")).await;
    check_scrub(&store, table, root.path()).await;
    // In memory all the time.
    put(&host, &store, table, 2, Some(MARKER)).await;
    put(&host, &store, table, 2, None).await;
    check_scrub(&store, table, root.path()).await;
    // Loaded, and hidden by a tombstone in another segment.
    let mut commit = host.begin(&store);
    commit.ingests.push(write_segment(&store, table, [(3, MARKER.to_owned())]).await.unwrap());
    store.commit(commit).await.unwrap();
    put(&host, &store, table, 3, None).await;
    store.checkpoint().await.unwrap();
    check_scrub(&store, table, root.path()).await;
    // Gone with its table, in a segment and in memory.
    put(&host, &store, &dropped.table, 4, Some(MARKER)).await;
    store.checkpoint().await.unwrap();
    put(&host, &store, &dropped.table, 5, Some(MARKER)).await;
    let mut commit = host.begin(&store);
    write_catalog(&mut commit, &dropped, false);
    store.commit(commit).await.unwrap();
    check_scrub(&store, &dropped.table, root.path()).await;

    let mut expected: Vec<(i64, String)> = (10..20).map(|id| (id, "something else".to_owned())).collect();
    expected.insert(0, (1, "replaced".to_owned()));
    assert_eq!(read_rows(&store.snapshot(), table).await.unwrap(), expected);
    // What is left of the log is enough.
    store.close().await;
    drop(store);
    let store = Store::open(config()).await.unwrap();
    assert_eq!(read_rows(&store.snapshot(), table).await.unwrap(), expected);
    put(&host, &store, table, 30, Some("new")).await;
    store.close().await;
    drop(store);
    let store = Store::open(config()).await.unwrap();
    assert_eq!(read_rows(&store.snapshot(), table).await.unwrap().len(), expected.len() + 1);
    assert!(found_below(root.path()).is_empty());
    store.close().await;
}

#[test]
fn keys_are_gone_from_manifests_too() {
    block_on(async {
        let db = Db::new().await;
        let txn = db.begin();
        let names = schema(vec![column("name", ColumnType::String)], vec![column("size", INT)]);
        let table = txn.create_table("/names", names).await.unwrap();
        txn.put_rows(&table, &[vec![string(MARKER), int(1)], vec![string("a"), int(2)]]).await.unwrap();
        txn.commit().await.unwrap();
        drop(txn);
        db.store.checkpoint().await.unwrap();
        let txn = db.begin();
        assert!(txn.delete(&table, &[string(MARKER)]).await.unwrap());
        txn.commit().await.unwrap();
        drop(txn);
        assert!(found_on(&db.host).await.iter().any(|name| name.starts_with("manifest/")));
        db.store.scrub(&[table.rows]).await.unwrap();
        assert_eq!(found_on(&db.host).await, [""; 0]);
        assert_eq!(db.rows(&table).await, [[string("a"), int(2)]]);
        // What was deleted does not come back when the power fails.
        drop(db.store);
        db.host.crash();
        let store = db.host.open().await;
        assert_eq!(found_on(&db.host).await, [""; 0]);
        assert_eq!(store.stats().segments, 2, "one of the catalog, and one of the table");
    });
}

#[test]
fn a_scrub_of_nothing_changes_nothing() {
    block_on(async {
        let host = Host::new();
        let store = host.open().await;
        store.scrub(&[]).await.unwrap();
        let definition = create(&host, &store, "/a").await;
        for _ in 0..3 {
            store.scrub(&[definition.table.rows, TreeId(999)]).await.unwrap();
        }
        put(&host, &store, &definition.table, 1, Some("one")).await;
        store.scrub(&[definition.table.rows]).await.unwrap();
        let stats = store.stats();
        assert_eq!((stats.log_files, stats.log_bytes, stats.garbage, stats.segments), (0, 0, 0, 2), "{stats:?}");
        put(&host, &store, &definition.table, 2, Some("two")).await;
        drop(store);
        let store = host.open().await;
        assert_eq!(read_rows(&store.snapshot(), &definition.table).await.unwrap().len(), 2);
    });
}

#[test]
fn files_that_somebody_reads_are_an_error_and_gone_later() {
    block_on(async {
        let host = Host::new();
        let store = host.open().await;
        let definition = create(&host, &store, "/a").await;
        let table = &definition.table;
        put(&host, &store, table, 1, Some(MARKER)).await;
        store.checkpoint().await.unwrap();
        let reader = store.snapshot();
        put(&host, &store, table, 1, None).await;
        for _ in 0..2 {
            let error = store.scrub(&[table.rows]).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.message().starts_with("1 files with rows that were deleted"), "{error}");
        }
        assert_eq!(read_rows(&reader, table).await.unwrap(), [(1, MARKER.to_owned())]);
        assert_eq!(found_on(&host).await.len(), 1);
        // It is of no concern to others.
        store.scrub(&[TreeId(999)]).await.unwrap();
        drop(reader);
        store.scrub(&[table.rows]).await.unwrap();
        assert_eq!(found_on(&host).await, [""; 0]);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_waited_for() {
    let host = Host::new();
    let store = Store::open(host.config(false)).await.unwrap();
    let definition = create(&host, &store, "/a").await;
    put(&host, &store, &definition.table, 1, Some(MARKER)).await;
    store.checkpoint().await.unwrap();
    let reader = store.snapshot();
    put(&host, &store, &definition.table, 1, None).await;
    let (tree, theirs) = (definition.table.rows, Arc::clone(&store));
    let scrub = tokio::spawn(async move { theirs.scrub(&[tree]).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!scrub.is_finished());
    drop(reader);
    scrub.await.unwrap().unwrap();
    assert_eq!(found_on(&host).await, [""; 0]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_go_on_meanwhile() {
    let host = Arc::new(Host::new());
    let store = Store::open(host.config(false)).await.unwrap();
    let definition = create(&host, &store, "/a").await;
    let writes = {
        let (host, store, definition) = (Arc::clone(&host), Arc::clone(&store), Arc::clone(&definition));
        tokio::spawn(async move {
            for id in 0..300 {
                put(&host, &store, &definition.table, id, Some("x")).await;
                put(&host, &store, &definition.table, id / 2, Some("y")).await;
            }
        })
    };
    for _ in 0..5 {
        store.scrub(&[definition.table.rows]).await.unwrap();
    }
    writes.await.unwrap();
    store.scrub(&[definition.table.rows]).await.unwrap();
    store.close().await;
    drop(store);
    host.crash();
    let store = host.open().await;
    assert_eq!(read_rows(&store.snapshot(), &definition.table).await.unwrap().len(), 300);
}

#[test]
fn every_step_may_be_the_last() {
    for steps in 0..60 {
        block_on(async {
            let host = Host::new();
            let store = host.open().await;
            let definition = create(&host, &store, "/a").await;
            let table = &definition.table;
            put(&host, &store, table, 1, Some(MARKER)).await;
            put(&host, &store, table, 2, Some("two")).await;
            store.checkpoint().await.unwrap();
            put(&host, &store, table, 1, None).await;
            put(&host, &store, table, 3, Some("three")).await;
            host.budget.set(steps);
            let done = store.scrub(&[table.rows]).await;
            drop(store);
            host.crash();
            if done.is_ok() {
                assert_eq!(found_on(&host).await, [""; 0], "after {steps} steps");
            }
            let store = host.open().await;
            let expected = [(2, "two".to_owned()), (3, "three".to_owned())];
            assert_eq!(read_rows(&store.snapshot(), table).await.unwrap(), expected, "after {steps} steps");
            // And it goes on.
            store.scrub(&[table.rows]).await.unwrap();
            assert_eq!(found_on(&host).await, [""; 0], "after {steps} steps");
            put(&host, &store, table, 4, Some("four")).await;
            drop(store);
            host.crash();
            let store = host.open().await;
            assert_eq!(read_rows(&store.snapshot(), table).await.unwrap().len(), 3);
        });
    }
}
