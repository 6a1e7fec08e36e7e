use std::collections::BTreeSet;

use futures::executor::block_on;
use proptest::prelude::*;

use super::sample::{Host, define, get_row, key_of, read_rows, read_tables, write_catalog, write_row, write_segment};
use super::*;
use crate::error::Kind;
use crate::storage::catalog::Definition;
use crate::storage::files::list_segments;
use crate::value::schema::Table;

/// A store with an empty table.
async fn with_table(host: &Host, path: &str) -> (Arc<Store>, Arc<Definition>) {
    let store = host.open().await;
    let definition = create(host, &store, path).await;
    (store, definition)
}

async fn create(host: &Host, store: &Store, path: &str) -> Arc<Definition> {
    let definition = define(path, store.next_tree_id());
    let mut commit = host.begin(store);
    write_catalog(&mut commit, &definition, true);
    store.commit(commit).await.unwrap();
    definition
}

async fn put(host: &Host, store: &Store, table: &Table, id: i64, name: &str) -> u64 {
    let mut commit = host.begin(store);
    write_row(&mut commit, table, id, Some(name));
    store.commit(commit).await.unwrap()
}

async fn rows(store: &Store, table: &Table) -> Vec<(i64, String)> {
    read_rows(&store.snapshot(), table).await.unwrap()
}

async fn segment_files(host: &Host) -> BTreeSet<u64> {
    list_segments(&*host.objects()).await.unwrap().into_iter().collect()
}

#[test]
fn what_was_acknowledged_is_seen_and_older_snapshots_stay() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        let table = &definition.table;
        let before = store.snapshot();
        let seq = put(&host, &store, table, 1, "one").await;
        let after = store.snapshot();
        assert_eq!((before.seq, after.seq), (seq - 1, seq));
        assert_eq!(get_row(&after, table, 1).await.unwrap().as_deref(), Some("one"));
        assert_eq!(get_row(&before, table, 1).await.unwrap(), None);

        put(&host, &store, table, 1, "two").await;
        store.checkpoint().await.unwrap();
        put(&host, &store, table, 1, "three").await;
        store.checkpoint().await.unwrap();
        while store.compact().await.unwrap() {}
        assert_eq!(get_row(&after, table, 1).await.unwrap().as_deref(), Some("one"));
        assert_eq!(get_row(&store.snapshot(), table, 1).await.unwrap().as_deref(), Some("three"));
        assert!(read_rows(&before, table).await.unwrap().is_empty());
    });
}

#[test]
fn nothing_to_write_is_no_commit() {
    block_on(async {
        let host = Host::new();
        let (store, _) = with_table(&host, "/a").await;
        assert_eq!(store.commit(host.begin(&store)).await.unwrap(), 1);
        assert_eq!(store.stats().commits, 1);
    });
}

#[test]
fn a_conflict_names_the_table_and_the_key() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/city").await;
        let table = &definition.table;
        let open = store.snapshot();
        let mut commit = host.begin(&store);
        commit.reads.add_point(table.rows, &key_of(table, 42));
        write_row(&mut commit, table, 1, Some("x"));
        put(&host, &store, table, 42, "y").await;
        let error = store.commit(commit).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(error.message().contains("/city") && error.message().contains("42"), "{error}");
        assert_eq!(rows(&store, table).await, [(42, "y".to_owned())]);
        assert_eq!((store.stats().commits, store.stats().conflicts), (2, 1));
        drop(open);
    });
}

#[test]
fn definitions_and_rows_are_visible_together() {
    block_on(async {
        let host = Host::new();
        let store = host.open().await;
        let definition = define("/a", store.next_tree_id());
        let table = &definition.table;
        let before = store.snapshot();
        let mut commit = host.begin(&store);
        write_row(&mut commit, table, 2, Some("second"));
        write_catalog(&mut commit, &definition, true);
        commit.ingests.push(write_segment(&store, table, [(1, "first".into()), (2, "hidden".into())]).await.unwrap());
        store.commit(commit).await.unwrap();
        assert!(before.tree(table.rows).is_none());
        let all = [(1, "first".to_owned()), (2, "second".to_owned())];
        assert_eq!(rows(&store, table).await, all);
        let with_rows = store.snapshot();

        let mut commit = host.begin(&store);
        write_catalog(&mut commit, &definition, false);
        commit.cleared.push(table.rows);
        store.commit(commit).await.unwrap();
        assert!(store.snapshot().tree(table.rows).is_none());
        assert!(read_tables(&store.snapshot()).await.unwrap().is_empty());
        assert_eq!(read_rows(&with_rows, table).await.unwrap(), all);
    });
}

#[test]
fn rows_for_a_table_that_is_gone_are_refused() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        let mut late = host.begin(&store);
        write_row(&mut late, &definition.table, 1, Some("x"));
        late.ingests.push(write_segment(&store, &definition.table, [(2, "y".into())]).await.unwrap());
        let mut commit = host.begin(&store);
        write_catalog(&mut commit, &definition, false);
        store.commit(commit).await.unwrap();
        assert_eq!(store.commit(late).await.unwrap_err().kind(), Kind::Conflict);
        store.checkpoint().await.unwrap();
        let stats = store.stats();
        assert_eq!(segment_files(&host).await.len() as u64, stats.segments, "{stats:?}");
    });
}

#[test]
fn the_newest_row_wins_wherever_it_is() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        let table = &definition.table;
        let load = |rows: Vec<(i64, String)>| {
            let (host, store) = (&host, &store);
            async move {
                let mut commit = host.begin(store);
                commit.ingests.push(write_segment(store, table, rows).await.unwrap());
                store.commit(commit).await.unwrap();
            }
        };
        put(&host, &store, table, 1, "old").await;
        // A segment is newer than the row in memory,
        load(vec![(1, "loaded".into()), (2, "loaded".into())]).await;
        assert_eq!(get_row(&store.snapshot(), table, 1).await.unwrap().as_deref(), Some("loaded"));
        // a row in memory newer than the segment,
        put(&host, &store, table, 2, "new").await;
        // and a later segment newer than both.
        load(vec![(3, "loaded".into())]).await;
        let expected = [(1, "loaded".to_owned()), (2, "new".to_owned()), (3, "loaded".to_owned())];
        for step in 0..4 {
            assert_eq!(rows(&store, table).await, expected, "step {step}");
            for (id, name) in &expected {
                assert_eq!(get_row(&store.snapshot(), table, *id).await.unwrap().as_ref(), Some(name));
            }
            match step {
                0 => store.checkpoint().await.unwrap(),
                1 => assert!(store.compact().await.unwrap()),
                _ => store.checkpoint().await.unwrap(),
            }
        }
        drop(store);
        assert_eq!(rows(host.open().await.as_ref(), table).await, expected);
    });
}

#[test]
fn segments_of_one_commit_follow_each_other() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        let table = &definition.table;
        let mut commit = host.begin(&store);
        for name in ["first", "second", "third"] {
            let row = [(1, name.to_owned())];
            commit.ingests.push(write_segment(&store, table, row).await.unwrap());
        }
        store.commit(commit).await.unwrap();
        let expected = [(1, "third".to_owned())];
        assert_eq!(rows(&store, table).await, expected);
        store.checkpoint().await.unwrap();
        assert!(store.compact().await.unwrap());
        assert_eq!(store.stats().segments, 2, "one of the catalog, and one of the table");
        assert_eq!(rows(&store, table).await, expected);
        assert_eq!(get_row(&store.snapshot(), table, 1).await.unwrap().as_deref(), Some("third"));
    });
}

#[test]
fn files_live_as_long_as_somebody_reads_them() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        let table = &definition.table;
        put(&host, &store, table, 1, "one").await;
        store.checkpoint().await.unwrap();
        let reader = store.snapshot();
        let files = segment_files(&host).await;

        let mut commit = host.begin(&store);
        write_catalog(&mut commit, &definition, false);
        store.commit(commit).await.unwrap();
        // Nothing durable says so but the log; then a manifest does.
        store.checkpoint().await.unwrap();
        assert!(segment_files(&host).await.is_superset(&files));
        assert_eq!(read_rows(&reader, table).await.unwrap().len(), 1);
        drop(reader);
        create(&host, &store, "/b").await;
        store.checkpoint().await.unwrap();
        let left = segment_files(&host).await;
        let of_table = files.difference(&left).count();
        assert!(of_table >= 1, "{files:?} {left:?}");
        let stats = store.stats();
        assert_eq!((left.len() as u64, stats.garbage), (stats.segments, 0), "{stats:?}");
    });
}

#[test]
fn what_a_transaction_gives_up_is_deleted_and_what_it_commits_is_not() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        let table = &definition.table;
        let given_up = write_segment(&store, table, [(1, "x".into())]).await.unwrap();
        let committed = write_segment(&store, table, [(2, "x".into())]).await.unwrap();
        assert_eq!((segment_files(&host).await.len(), store.stats().garbage), (2, 2));
        let mut commit = host.begin(&store);
        commit.ingests.push(Arc::clone(&committed));
        store.commit(commit).await.unwrap();
        store.abandon(&[given_up, committed]);
        store.checkpoint().await.unwrap();
        assert_eq!(rows(&store, table).await, [(2, "x".to_owned())]);
        let stats = store.stats();
        assert_eq!((segment_files(&host).await.len() as u64, stats.garbage), (stats.segments, 0));
    });
}

#[test]
fn tombstones_hide_rows_until_they_are_merged_away() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        let table = &definition.table;
        for id in 0..10 {
            put(&host, &store, table, id, "x").await;
        }
        store.checkpoint().await.unwrap();
        let mut commit = host.begin(&store);
        (0..10).for_each(|id| write_row(&mut commit, table, id, None));
        store.commit(commit).await.unwrap();
        assert!(rows(&store, table).await.is_empty());
        store.checkpoint().await.unwrap();
        assert!(rows(&store, table).await.is_empty());
        assert_eq!(get_row(&store.snapshot(), table, 3).await.unwrap(), None);
        assert!(store.compact().await.unwrap());
        assert!(rows(&store, table).await.is_empty());
        let tree = Arc::clone(store.snapshot().tree(table.rows).unwrap());
        assert!(tree.segments.is_empty(), "{tree:?}");
    });
}

#[test]
fn the_log_is_cut_off_by_checkpoints() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        for id in 0..50 {
            put(&host, &store, &definition.table, id % 3, &"long".repeat(2000)).await;
        }
        let before = store.stats();
        assert!(before.log_files > 3 && before.log_bytes > 400_000 && before.memtable_bytes > 400_000, "{before:?}");
        store.checkpoint().await.unwrap();
        let after = store.stats();
        assert_eq!((after.log_files, after.memtable_bytes, after.frozen), (1, 0, 0), "{after:?}");
        assert!(after.log_bytes < before.log_bytes && after.checkpoints == 1 && after.segments == 2, "{after:?}");
        assert!(after.written.log >= 400_000 && after.written.flushed > 0 && after.written.amplification() >= 1.0);
        // A second one finds nothing to do.
        store.checkpoint().await.unwrap();
        assert_eq!(store.stats().checkpoints, 1);
    });
}

#[test]
fn after_a_failure_of_the_log_nothing_is_committed_until_it_is_opened_again() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = with_table(&host, "/a").await;
        let table = &definition.table;
        put(&host, &store, table, 1, "one").await;
        // The write works, the sync does not.
        host.budget.set(1);
        let mut commit = host.begin(&store);
        write_row(&mut commit, table, 2, Some("two"));
        let error = store.commit(commit).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
        assert!(error.message().contains("whether the transaction was committed is not known"), "{error}");
        host.budget.lift();
        let mut commit = host.begin(&store);
        write_row(&mut commit, table, 3, Some("three"));
        assert_eq!(store.commit(commit).await.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(rows(&store, table).await.len(), 1);
        drop(store);
        let store = host.open().await;
        let found = rows(&store, table).await;
        assert!(found.len() == 1 || found.len() == 2, "{found:?}");
        put(&host, &store, table, 3, "three").await;
    });
}

#[test]
fn a_full_disk_refuses_commits_and_nothing_else() {
    block_on(async {
        let host = Host::new();
        let store = host.open().await;
        let definition = define("/a", store.next_tree_id());
        let mut commit = host.begin(&store);
        write_catalog(&mut commit, &definition, true);
        // No file can be made for the log.
        host.budget.set(0);
        assert_eq!(store.commit(commit).await.unwrap_err().kind(), Kind::Unavailable);
        host.budget.lift();
        assert_eq!(store.snapshot().seq, 0);
        // The definition was not kept either.
        let mut commit = host.begin(&store);
        write_row(&mut commit, &definition.table, 1, Some("x"));
        assert_eq!(store.commit(commit).await.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(create(&host, &store, "/a").await.table.name, definition.table.name);
        assert_eq!(store.snapshot().seq, 1);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_committed_in_groups_and_survive() {
    const CLIENTS: i64 = 16;
    const COMMITS: i64 = 50;
    let host = Arc::new(Host::new());
    let store = Store::open(host.config(false)).await.unwrap();
    let definition = create(&host, &store, "/a").await;
    let clients = (0..CLIENTS).map(|client| {
        let (host, store, definition) = (Arc::clone(&host), Arc::clone(&store), Arc::clone(&definition));
        tokio::spawn(async move {
            let name = "name".repeat(300);
            for at in 0..COMMITS {
                let id = client * COMMITS + at;
                let seq = put(&host, &store, &definition.table, id, &name).await;
                let snapshot = store.snapshot();
                assert!(snapshot.seq >= seq);
                assert!(get_row(&snapshot, &definition.table, id).await.unwrap().is_some());
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.commits, stats.seq), (801, 801));
    assert!(stats.groups <= stats.commits && stats.log_syncs >= stats.groups, "{stats:?}");
    store.close().await;
    assert_eq!(store.stats().memtable_bytes, 0);
    let mut late = host.begin(&store);
    write_row(&mut late, &definition.table, 1, None);
    assert_eq!(store.commit(late).await.unwrap_err().kind(), Kind::Unavailable);
    drop(store);
    host.crash();
    let store = host.open().await;
    assert_eq!(rows(&store, &definition.table).await.len() as i64, CLIENTS * COMMITS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_while_commits_come_faster_than_segments_are_written() {
    let host = Arc::new(Host::new());
    let config = StoreConfig { memtable_bytes: 64 << 10, ..host.config(false) };
    let store = Store::open(config).await.unwrap();
    let definition = create(&host, &store, "/a").await;
    let name = "name".repeat(2000);
    for id in 0..200 {
        put(&host, &store, &definition.table, id, &name).await;
        let stats = store.stats();
        // Twice what is frozen at, and the last commit.
        assert!(stats.memtable_bytes < 3 * (64 << 10), "{stats:?}");
    }
    assert!(store.stats().checkpoints > 3);
    store.close().await;
    drop(store);
    let store = host.open().await;
    assert_eq!(rows(&store, &definition.table).await.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_does_not_undo_a_commit() {
    let host = Host::new();
    let store = Store::open(host.config(false)).await.unwrap();
    let definition = create(&host, &store, "/a").await;
    let mut commit = host.begin(&store);
    write_row(&mut commit, &definition.table, 1, Some("x"));
    // Polled once: it is handed over, and nobody waits.
    let mut pending = Box::pin(store.commit(commit));
    let _ = futures::poll!(&mut pending);
    drop(pending);
    store.close().await;
    assert_eq!(rows(&store, &definition.table).await.len(), 1);
}

/// What is done with one table, by whatever way rows may take.
#[derive(Clone, Debug)]
enum Action {
    Put(u8, u8),
    Delete(u8),
    Load(BTreeSet<u8>),
    Clear,
    Checkpoint,
    Merge,
    /// Remembers a snapshot, and what it must see from now on.
    Look,
    Forget,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0u8..30, any::<u8>()).prop_map(|(id, name)| Action::Put(id, name)),
        4 => (0u8..30).prop_map(Action::Delete),
        3 => prop::collection::btree_set(0u8..30, 1..10).prop_map(Action::Load),
        1 => Just(Action::Clear),
        3 => Just(Action::Checkpoint),
        3 => Just(Action::Merge),
        2 => Just(Action::Look),
        1 => Just(Action::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_snapshot_sees_what_was_there_when_it_was_opened(actions in prop::collection::vec(action(), 1..60)) {
        block_on(async {
            let host = Host::new();
            let (store, definition) = with_table(&host, "/a").await;
            let table = &definition.table;
            let mut model = std::collections::BTreeMap::<i64, String>::new();
            let mut snapshots = Vec::new();
            for (at, action) in actions.iter().enumerate() {
                let mut commit = host.begin(&store);
                match action {
                    Action::Put(id, name) => {
                        write_row(&mut commit, table, (*id).into(), Some(&name.to_string()));
                        model.insert((*id).into(), name.to_string());
                    }
                    Action::Delete(id) => {
                        write_row(&mut commit, table, (*id).into(), None);
                        model.remove(&i64::from(*id));
                    }
                    Action::Load(ids) => {
                        let row = |id: &u8| (i64::from(*id), format!("by {at}"));
                        let rows: Vec<(i64, String)> = ids.iter().map(row).collect();
                        model.extend(rows.iter().cloned());
                        commit.ingests.push(write_segment(&store, table, rows).await.unwrap());
                    }
                    Action::Clear => {
                        commit.cleared.push(table.rows);
                        model.clear();
                    }
                    Action::Checkpoint => store.checkpoint().await.unwrap(),
                    Action::Merge => {
                        store.compact().await.unwrap();
                    }
                    Action::Look => snapshots.push((store.snapshot(), model.clone())),
                    Action::Forget => drop(snapshots.pop()),
                }
                store.commit(commit).await.unwrap();
                let now = (store.snapshot(), model.clone());
                for (snapshot, expected) in snapshots.iter().chain([&now]) {
                    let expected: Vec<(i64, String)> = expected.clone().into_iter().collect();
                    prop_assert_eq!(read_rows(snapshot, table).await.unwrap(), expected);
                }
                for id in 0..30 {
                    let found = get_row(&now.0, table, id).await.unwrap();
                    prop_assert_eq!(found.as_ref(), model.get(&id), "row {}", id);
                }
            }
            Ok(())
        })?;
    }
}
