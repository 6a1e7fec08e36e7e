use std::collections::BTreeMap;

use futures::executor::block_on;
use object_store::ObjectStoreExt as _;
use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::storage::commit::Commit;
use crate::storage::store::Store;
use crate::storage::store::sample::{Host, define, read_rows, read_tables, write_catalog, write_row, write_segment};

/// The rows of tables by path, and the trees that they are in.
#[derive(Clone, Debug, Default)]
struct Model {
    tables: BTreeMap<String, (Arc<Definition>, BTreeMap<i64, String>)>,
}

impl Model {
    fn rows(&self) -> BTreeMap<String, Vec<(i64, String)>> {
        let rows = |rows: &BTreeMap<i64, String>| rows.iter().map(|(id, name)| (*id, name.clone())).collect();
        self.tables.iter().map(|(path, (_, table))| (path.clone(), rows(table))).collect()
    }
}

/// What is done with a store.
#[derive(Clone, Debug)]
enum Action {
    /// Creates the table, or drops it if it is there.
    Define(u8),
    /// Puts rows, or deletes those without a name; clears the table first if asked to.
    Write {
        table: u8,
        clears: bool,
        loads: Vec<u8>,
        rows: BTreeMap<u8, Option<u16>>,
    },
    Checkpoint,
    Merge,
    Scrub,
    /// The host stops and is started again. It may lose what was not synced, and may fail a few operations into that.
    Restart {
        loses: bool,
        fails_after: Option<u8>,
    },
    /// All operations of the disk fail, after some more.
    Break(u8),
}

fn action() -> impl Strategy<Value = Action> {
    let rows = || prop::collection::btree_map(0u8..20, prop::option::weighted(0.7, any::<u16>()), 0..6);
    let loads = || prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(0u8..20, 1..10)];
    let write = (0u8..3, prop::bool::weighted(0.1), loads(), rows());
    let restart = (any::<bool>(), prop::option::weighted(0.3, 0u8..20));
    prop_oneof![
        2 => (0u8..3).prop_map(Action::Define),
        12 => write.prop_map(|(table, clears, loads, rows)| Action::Write { table, clears, loads, rows }),
        3 => Just(Action::Checkpoint),
        2 => Just(Action::Merge),
        1 => Just(Action::Scrub),
        2 => restart.prop_map(|(loses, fails_after)| Action::Restart { loses, fails_after }),
        1 => (0u8..40).prop_map(Action::Break),
    ]
}

/// A store beside a model of it.
struct Run {
    host: Host,
    store: Option<Arc<Store>>,
    model: Model,
    /// What may have happened instead, where it is not known.
    alternative: Option<Model>,
    is_broken: bool,
}

impl Run {
    async fn new() -> Self {
        let host = Host::new();
        let store = Some(host.open().await);
        Self { host, store, model: Model::default(), alternative: None, is_broken: false }
    }

    fn store(&self) -> Arc<Store> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    async fn step(&mut self, action: &Action) {
        match action {
            Action::Define(table) => self.define(*table).await,
            Action::Write { table, clears, loads, rows } => self.write(*table, *clears, loads, rows).await,
            Action::Checkpoint => {
                let done = self.store().checkpoint().await;
                assert!(done.is_ok() || self.is_broken, "{done:?}");
            }
            Action::Merge => {
                let done = self.store().compact().await;
                assert!(done.is_ok() || self.is_broken, "{done:?}");
            }
            Action::Scrub => {
                let trees: Vec<TreeId> = self.model.tables.values().map(|(table, _)| table.table.rows).collect();
                let done = self.store().scrub(&trees).await;
                assert!(done.is_ok() || self.is_broken, "{done:?}");
            }
            Action::Restart { loses, fails_after } => self.restart(*loses, *fails_after).await,
            Action::Break(after) => {
                self.host.budget.set((*after).into());
                self.is_broken = true;
            }
        }
        if !self.is_broken {
            let rows = read_tables(&self.store().snapshot()).await.unwrap();
            assert_eq!(rows, self.model.rows(), "after {action:?}");
        }
    }

    async fn define(&mut self, table: u8) {
        let path = format!("/table/{table}");
        let mut next = self.model.clone();
        let mut commit = self.host.begin(&self.store());
        match next.tables.remove(&path) {
            Some((definition, _)) => write_catalog(&mut commit, &definition, false),
            None => {
                let definition = define(&path, self.store().next_tree_id());
                write_catalog(&mut commit, &definition, true);
                next.tables.insert(path, (definition, BTreeMap::new()));
            }
        }
        self.commit(commit, next).await;
    }

    async fn write(&mut self, table: u8, clears: bool, loads: &[u8], rows: &BTreeMap<u8, Option<u16>>) {
        let mut next = self.model.clone();
        let Some((definition, content)) = next.tables.get_mut(&format!("/table/{table}")) else {
            return;
        };
        let table = &definition.table;
        let mut commit = self.host.begin(&self.store());
        if clears {
            commit.cleared.push(table.rows);
            content.clear();
        }
        // Each in a segment of its own, so that those of one key must be told apart.
        for (number, id) in loads.iter().enumerate() {
            let row = (i64::from(*id), format!("loaded {} of {:?}", number, commit.txn));
            match write_segment(&self.store(), table, [row.clone()]).await {
                Ok(segment) => commit.ingests.push(segment),
                Err(error) => {
                    assert!(self.is_broken, "{error}");
                    return self.store().abandon(&commit.ingests);
                }
            }
            content.insert(row.0, row.1);
        }
        for (id, name) in rows {
            let (id, name) = (i64::from(*id), name.map(|name| name.to_string()));
            write_row(&mut commit, table, id, name.as_deref());
            match name {
                Some(name) => content.insert(id, name),
                None => content.remove(&id),
            };
        }
        self.commit(commit, next).await;
    }

    async fn commit(&mut self, commit: Commit, next: Model) {
        if commit.is_empty() {
            return;
        }
        match self.store().commit(commit).await {
            Ok(_) => {
                assert!(self.alternative.is_none(), "a store that has failed took a commit");
                self.model = next;
            }
            Err(error) => {
                assert!(self.is_broken, "{error}");
                match error.kind() {
                    Kind::Unavailable => {}
                    Kind::Internal => assert!(self.alternative.replace(next).is_none()),
                    other => panic!("{other:?}: {error}"),
                }
            }
        }
    }

    async fn restart(&mut self, loses: bool, fails_after: Option<u8>) {
        self.store = None;
        if loses {
            self.host.crash();
        }
        if let Some(after) = fails_after {
            self.host.budget.set(after.into());
            if let Ok(store) = Store::open(self.host.config(true)).await {
                // It got this far; what it does next may fail.
                let _ = store.checkpoint().await;
            }
            if loses {
                self.host.crash();
            }
        }
        self.host.budget.lift();
        self.is_broken = false;
        let store = self.host.open().await;
        let rows = read_tables(&store.snapshot()).await.unwrap();
        if let Some(other) = self.alternative.take()
            && rows != self.model.rows()
        {
            self.model = other;
        }
        assert_eq!(rows, self.model.rows(), "after a restart");
        // Definitions come back with their trees.
        for (definition, rows) in self.model.tables.values() {
            let found = read_rows(&store.snapshot(), &definition.table).await.unwrap();
            assert_eq!(found.len(), rows.len());
        }
        let stats = store.stats();
        let files = list_segments(&*self.host.objects()).await.unwrap().len() as u64;
        assert_eq!(stats.segments + stats.garbage, files, "{stats:?}");
        self.store = Some(store);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn a_store_is_what_was_acknowledged_whatever_happens(actions in prop::collection::vec(action(), 1..40)) {
        block_on(async {
            let mut run = Run::new().await;
            for action in &actions {
                run.step(action).await;
            }
            run.restart(true, None).await;
            run.restart(false, None).await;
        });
    }
}

/// A store with a table of these rows, each in a commit of its own.
async fn filled(host: &Host, path: &str, ids: std::ops::Range<i64>) -> (Arc<Store>, Arc<Definition>) {
    let store = host.open().await;
    let definition = define(path, store.next_tree_id());
    let mut commit = host.begin(&store);
    write_catalog(&mut commit, &definition, true);
    store.commit(commit).await.unwrap();
    for id in ids {
        let mut commit = host.begin(&store);
        write_row(&mut commit, &definition.table, id, Some("x"));
        store.commit(commit).await.unwrap();
    }
    (store, definition)
}

#[test]
fn every_step_of_a_checkpoint_may_be_the_last() {
    for steps in 0..60 {
        block_on(async {
            let host = Host::new();
            let (store, definition) = filled(&host, "/a", 0..5).await;
            store.checkpoint().await.unwrap();
            let mut commit = host.begin(&store);
            write_row(&mut commit, &definition.table, 2, None);
            write_row(&mut commit, &definition.table, 9, Some("y"));
            store.commit(commit).await.unwrap();
            host.budget.set(steps);
            let _ = store.checkpoint().await;
            let _ = store.compact().await;
            drop(store);
            host.crash();
            let store = host.open().await;
            let ids = read_rows(&store.snapshot(), &definition.table).await.unwrap();
            assert_eq!(ids.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 1, 3, 4, 9], "after {steps} steps");
            // And it goes on.
            let mut commit = host.begin(&store);
            write_row(&mut commit, &definition.table, 2, Some("z"));
            store.commit(commit).await.unwrap();
            store.checkpoint().await.unwrap();
            drop(store);
            let store = host.open().await;
            assert_eq!(read_rows(&store.snapshot(), &definition.table).await.unwrap().len(), 6);
        });
    }
}

#[test]
fn ids_are_never_used_twice() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = filled(&host, "/a", 0..1).await;
        let unused = store.next_tree_id();
        assert!(unused > definition.table.rows);
        let mut commit = host.begin(&store);
        write_catalog(&mut commit, &definition, false);
        store.commit(commit).await.unwrap();
        drop(store);
        // Also when the tree is gone, and only the log tells that it was there.
        let store = host.open().await;
        assert!(store.next_tree_id() > definition.table.rows);
        store.checkpoint().await.unwrap();
        drop(store);
        assert!(host.open().await.next_tree_id() > definition.table.rows);
    });
}

#[test]
fn files_that_nothing_names_are_deleted_and_those_that_the_log_names_are_not() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = filled(&host, "/a", 0..3).await;
        let table = &definition.table;
        let row = |id: i64| [(id, "loaded".to_owned())];
        let given_up = write_segment(&store, table, row(5)).await.unwrap();
        let mut commit = host.begin(&store);
        commit.ingests.push(write_segment(&store, table, row(6)).await.unwrap());
        let kept = commit.ingests[0].meta().id;
        store.commit(commit).await.unwrap();
        drop(store);

        let store = host.open().await;
        assert_eq!(list_segments(&*host.objects()).await.unwrap(), [kept]);
        assert_eq!(read_rows(&store.snapshot(), table).await.unwrap().len(), 4);
        drop(given_up);

        // The table is emptied, but the log still names the segment, so it must be there when the store is opened.
        let mut commit = host.begin(&store);
        commit.cleared.push(table.rows);
        store.commit(commit).await.unwrap();
        assert!(!store.compact().await.unwrap());
        drop(store);
        let store = host.open().await;
        assert!(read_rows(&store.snapshot(), table).await.unwrap().is_empty());
        assert_eq!(list_segments(&*host.objects()).await.unwrap(), [kept]);
        store.checkpoint().await.unwrap();
        let files = list_segments(&*host.objects()).await.unwrap();
        assert!(!files.contains(&kept), "{files:?}");
    });
}

#[test]
fn what_is_missing_is_named() {
    block_on(async {
        let host = Host::new();
        let (store, _) = filled(&host, "/a", 0..3).await;
        store.checkpoint().await.unwrap();
        drop(store);
        let first = list_segments(&*host.objects()).await.unwrap()[0];
        host.objects().delete(&segment_path(first)).await.unwrap();
        let error = Store::open(host.config(true)).await.unwrap_err();
        let expected = format!("{} is missing, which manifest 1 lists", segment_path(first));
        assert_eq!((error.kind(), error.message()), (Kind::Internal, expected.as_str()));
    });
}

#[test]
fn a_log_without_its_manifest_is_refused() {
    block_on(async {
        let host = Host::new();
        let (store, definition) = filled(&host, "/a", 0..3).await;
        store.checkpoint().await.unwrap();
        // Enough for another file of the log, so that the first one is deleted.
        for _ in 0..20 {
            let mut commit = host.begin(&store);
            write_row(&mut commit, &definition.table, 1, Some(&"long ".repeat(4000)));
            store.commit(commit).await.unwrap();
        }
        store.checkpoint().await.unwrap();
        drop(store);
        let config =
            StoreConfig { objects: crate::storage::files::open_object_store(None).unwrap(), ..host.config(true) };
        let error = Store::open(config).await.unwrap_err();
        assert!(error.message().contains("commit 1 is missing"), "{error}");
    });
}
