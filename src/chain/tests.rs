//! Chains over a store in memory.

use std::sync::Arc;

use futures::executor::block_on;

use super::block::Blocks;
use super::compliant::Author;
use super::erasure::Erasure;
use super::policy::{Backup, Level, Reduce};
use super::rebuild::Tally;
use super::record;
use super::reduce::{Due, Levels, Summary, Taken};
use super::replay::replay;
use super::rows::{self, Rows, numbers, table, texts};
use super::{ChainDef, Kind, Subject, base, block};
use crate::error::{Kind as ErrorKind, Result};
use crate::storage::codec::KeyRange;
use crate::storage::{Store, StoreConfig, Transaction};
use crate::txn::TxnId;
use crate::value::hash_collection::CollectionHasher;
use crate::value::number::cast::to_f64;
use crate::value::{State, Table, Tuple, Value};

mod compliant;

const BYTES: u64 = 1 << 30;

/// The transaction that begins at this second.
fn id(second: u64) -> TxnId {
    TxnId { timestamp: nanos(second), nonce: 7 }
}

fn nanos(second: u64) -> u64 {
    second * 1_000_000_000
}

/// A chain of rows `id; user, text`.
struct Chain {
    store: Arc<Store>,
    def: ChainDef,
    subject: Arc<Table>,
}

impl Chain {
    async fn new(kind: Kind) -> Self {
        let schema = table(vec![numbers("id"), texts("user"), texts("text")], 1);
        let def = ChainDef { kind, subject: Subject::Collection(schema.clone()) };
        let store = Store::open(StoreConfig::memory()).await.unwrap();
        let txn = Transaction::new(Arc::clone(&store), id(0), BYTES);
        let subject = txn.create_table("/service/a", schema).await.unwrap();
        record::create(&txn, &subject, &def).await.unwrap();
        txn.commit().await.unwrap();
        Self { store, def, subject }
    }

    fn begin(&self, second: u64) -> Transaction {
        Transaction::new(Arc::clone(&self.store), id(second), BYTES)
    }

    async fn blocks<'a>(&'a self, txn: &'a Transaction) -> Blocks<'a> {
        Blocks::open(txn, &self.def, &self.subject).await.unwrap()
    }

    async fn commit(&self, txn: &Transaction, purged: &[State]) {
        self.commit_by(None, txn, purged).await.unwrap();
    }

    async fn commit_by(&self, actor: Option<&State>, txn: &Transaction, purged: &[State]) -> Result<()> {
        record::append(txn, &self.subject, &self.def, Author { actor, purged }).await?;
        txn.commit().await.map(|_| ())
    }

    async fn put(&self, second: u64, key: u64, user: &str, text: &str) {
        let txn = self.begin(second);
        txn.put(&self.subject, &row(key, user, text)).await.unwrap();
        self.commit(&txn, &[]).await;
    }

    async fn verify(&self) {
        let txn = self.begin(99);
        self.blocks(&txn).await.verify().await.unwrap();
    }

    async fn is_erased(&self) -> bool {
        Erasure::pending(&self.begin(99), &self.subject, &self.def).await.unwrap().is_none()
    }
}

fn row(key: u64, user: &str, text: &str) -> Vec<State> {
    vec![key.into(), user.into(), text.into()]
}

async fn all(txn: &Transaction, table: &Arc<Table>) -> Vec<Vec<State>> {
    let (mut rows, mut found) = (vec![], Rows::new(txn, table, KeyRange::all()));
    while let Some(row) = found.next().await.unwrap() {
        rows.push(row);
    }
    rows
}

#[test]
fn old_blocks_are_replaced_by_what_they_made() {
    let backup = Backup { max_age: 10.0, block_age: 1.0 };
    block_on(async {
        let chain = Chain::new(Kind::Backup(backup)).await;
        let compact = async |second: u64| {
            let txn = chain.begin(second);
            let compacted = chain.blocks(&txn).await.compact(&backup, nanos(second), None).await.unwrap();
            txn.commit().await.unwrap();
            (compacted.deleted, compacted.cutoff)
        };
        chain.put(1, 1, "ann", "a").await;
        chain.put(2, 2, "bob", "b").await;
        assert_eq!(compact(5).await, (0, None));
        chain.put(6, 1, "ann", "c").await;
        chain.verify().await;
        assert!(chain.is_erased().await);
        // The block of 6 is closed now, and too young.
        assert_eq!(compact(13).await, (1, Some(id(2))));
        assert_eq!(compact(13).await, (0, Some(id(2))));
        chain.verify().await;

        let txn = chain.begin(14);
        let blocks = chain.blocks(&txn).await;
        assert_eq!(blocks.ordinals().await.unwrap(), 1..=2);
        assert_eq!(blocks.form(0).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(blocks.ends().await.unwrap(), (Some(id(6)), Some(id(6))));
        for (second, expected) in [(1, "older than what the chain keeps"), (3, "no record of a transaction")] {
            let error = replay(&blocks, Some(id(second))).await.unwrap_err();
            assert!(error.kind() == ErrorKind::BadRequest && error.message().contains(expected), "{error}");
        }
        let base = replay(&blocks, Some(id(2))).await.unwrap();
        assert_eq!(all(&txn, &base).await, [row(1, "ann", "a"), row(2, "bob", "b")]);
        let now = replay(&blocks, None).await.unwrap();
        assert_eq!(all(&txn, &now).await, [row(1, "ann", "c"), row(2, "bob", "b")]);

        let erasure = Erasure::pending(&txn, &chain.subject, &chain.def).await.unwrap().unwrap();
        assert!(erasure.trees().contains(&chain.subject.rows));
        let txn = chain.begin(15);
        erasure.done(&txn).await.unwrap();
        txn.commit().await.unwrap();
        assert!(chain.is_erased().await);

        // What comes later goes on from there, also once no record is left.
        assert_eq!(compact(20).await, (1, Some(id(6))));
        assert!(!chain.is_erased().await);
        let txn = chain.begin(21);
        assert_eq!(chain.blocks(&txn).await.ends().await.unwrap(), (None, Some(id(6))));
        chain.put(22, 3, "cid", "d").await;
        chain.verify().await;
    });
}

/// A table of a chain with its only row, or the first.
async fn first_row(txn: &Transaction, path: &str) -> (Arc<Table>, Vec<State>) {
    let table = txn.table(path).await.unwrap().unwrap();
    let row = all(txn, &table).await.swap_remove(0);
    (table, row)
}

#[test]
fn the_first_block_that_is_left_names_what_took_the_place_of_the_others() {
    let backup = Backup { max_age: 10.0, block_age: 1.0 };
    block_on(async {
        let chain = Chain::new(Kind::Backup(backup)).await;
        let subject = &*chain.subject.name;
        chain.put(1, 1, "ann", "a").await;
        for second in [5, 13] {
            let txn = chain.begin(second);
            chain.blocks(&txn).await.compact(&backup, nanos(second), None).await.unwrap();
            txn.commit().await.unwrap();
            chain.put(second, second, "bob", "b").await;
        }
        // Block 0 is deleted, block 1 is closed, and so is block 2 now.
        let txn = chain.begin(14);
        chain.blocks(&txn).await.close(nanos(14)).await.unwrap();
        txn.commit().await.unwrap();
        chain.verify().await;
        let txn = chain.begin(15);
        let blocks = chain.blocks(&txn).await;
        let (replaced, head) = (blocks.replaced().unwrap(), blocks.head().await.unwrap());
        assert_eq!(blocks.span(1).await.unwrap().2, replaced.link());
        assert_eq!(blocks.ordinals().await.unwrap(), 1..=3);

        // A base that somebody has changed, with its hash.
        let txn = chain.begin(16);
        let (base, _) = first_row(&txn, &base::path(subject)).await;
        let other = row(1, "eve", "x");
        let mut hasher = CollectionHasher::new(&base.schema);
        hasher.row(&other);
        let (state, mut cutoff) = first_row(&txn, &base::state_path(subject)).await;
        cutoff[5] = hex::encode(hasher.finish()).into();
        txn.put(&base, &other).await.unwrap();
        txn.put(&state, &cutoff).await.unwrap();
        {
            let blocks = chain.blocks(&txn).await;
            let error = blocks.verify().await.unwrap_err();
            assert!(error.message().starts_with("block 1: it does not follow"), "{error}");
            assert_ne!(blocks.head().await.unwrap(), head);
        }
        drop(txn);
        chain.verify().await;

        // Earlier releases named the block itself.
        let txn = chain.begin(17);
        let (blocks, mut block) = first_row(&txn, &block::path(subject)).await;
        block[3] = hex::encode(replaced.block).into();
        txn.put(&blocks, &block).await.unwrap();
        txn.commit().await.unwrap();
        chain.verify().await;
    });
}

#[test]
fn each_commit_under_one_id_is_shown() {
    block_on(async {
        let chain = Chain::new(Kind::Block).await;
        for (second, text) in [(1, "a"), (1, "b"), (2, "c"), (1, "d")] {
            chain.put(second, 1, "ann", text).await;
        }
        let txn = chain.begin(9);
        let blocks = chain.blocks(&txn).await;
        let commits: Vec<u64> =
            all(&txn, blocks.records()).await.iter().map(|record| rows::number(record, 0).unwrap()).collect();
        let form = blocks.form(0).await.unwrap();
        let [_, State::Map(transactions)] = items(&form) else { panic!("{form:?}") };
        let texts: Vec<(String, State)> = transactions
            .iter()
            .map(|(name, mutations)| {
                let [mutation] = items(mutations) else { panic!("{mutations:?}") };
                (name.to_string(), items(&items(mutation)[1])[1].clone())
            })
            .collect();
        let (first, second) = (id(1), id(2));
        let mut expected = [
            (first.to_string(), State::from("a")),
            (format!("{first}.{}", commits[1]), "b".into()),
            (second.to_string(), "c".into()),
            (format!("{first}.{}", commits[3]), "d".into()),
        ];
        expected.sort_by(|l, r| l.0.cmp(&r.0));
        assert_eq!(texts, expected);

        // A transaction is over with its last commit.
        for (second, text) in [(1, "d"), (2, "c")] {
            let then = replay(&blocks, Some(id(second))).await.unwrap();
            assert_eq!(all(&txn, &then).await, [row(1, "ann", text)]);
        }
        chain.verify().await;
    });
}

#[test]
fn a_block_that_is_lost_is_missed_without_reading_the_others() {
    block_on(async {
        let chain = Chain::new(Kind::Block).await;
        for second in 1..=3 {
            chain.put(second, second, "ann", "a").await;
            let txn = chain.begin(second);
            chain.blocks(&txn).await.close(u64::MAX).await.unwrap();
            txn.commit().await.unwrap();
        }
        let txn = chain.begin(4);
        let blocks = chain.blocks(&txn).await;
        assert_eq!(blocks.count().await.unwrap(), 4);
        blocks.check_links().await.unwrap();
        txn.delete(&blocks.blocks, &[1u64.into()]).await.unwrap();
        for error in [blocks.check_links().await.unwrap_err(), blocks.verify().await.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert_eq!(
                error.message(),
                "block 2: it does not follow the block before it, or what took the place of that"
            );
        }
    });
}

/// How many rows differ, and the first cells of their keys.
fn told(tally: &Tally) -> (u64, Vec<State>) {
    (tally.count, tally.keys.iter().flatten().cloned().collect())
}

#[test]
fn a_subject_becomes_what_its_records_say() {
    block_on(async {
        let chain = Chain::new(Kind::Block).await;
        for key in 1..=3 {
            chain.put(key, key, "ann", "a").await;
        }
        let txn = chain.begin(4);
        txn.delete(&chain.subject, &[1u64.into()]).await.unwrap();
        txn.put(&chain.subject, &row(2, "ann", "b")).await.unwrap();
        for key in 10..20 {
            txn.put(&chain.subject, &row(key, "ann", "c")).await.unwrap();
        }
        txn.commit().await.unwrap();

        let txn = chain.begin(5);
        let blocks = chain.blocks(&txn).await;
        let rebuilt = blocks.rebuild().await.unwrap();
        let report = &rebuilt.report;
        assert!(!report.is_clean() && report.unreadable.is_none());
        assert_eq!(told(&report.missing), (1, vec![1u64.into()]));
        assert_eq!(told(&report.changed), (1, vec![2u64.into()]));
        assert_eq!(told(&report.extra), (10, (10u64..15).map(State::from).collect()));
        assert_eq!(rebuilt.write().await.unwrap(), 3);
        txn.commit().await.unwrap();

        chain.verify().await;
        let txn = chain.begin(6);
        let blocks = chain.blocks(&txn).await;
        assert_eq!(all(&txn, &chain.subject).await, [1, 2, 3].map(|key| row(key, "ann", "a")));
        // Nobody wrote that, so it is not recorded.
        assert_eq!(blocks.records_len().await.unwrap(), 3);
        assert!(blocks.rebuild().await.unwrap().report.is_clean());

        // Nothing is made of records that are not what they were.
        blocks.close(u64::MAX).await.unwrap();
        let records = all(&txn, blocks.records()).await;
        txn.delete(blocks.records(), &records[1][..2]).await.unwrap();
        assert!(blocks.rebuild().await.err().unwrap().message().starts_with("block 0: "));
    });
}

fn items(state: &State) -> &[State] {
    match state {
        State::Tuple(tuple) => tuple.items(),
        other => panic!("expected a tuple, found {other:?}"),
    }
}

/// What an op returns that counts: an item that is no count itself counts once.
fn counted(due: &Due) -> Summary {
    let count: u64 = due.items.items().iter().map(|item| rows::number(items(item), 2).unwrap_or(1)).sum();
    let row = Tuple::try_new([State::from("n"), count.into()]).unwrap();
    due.summary(&"/count", &Tuple::try_new([State::from(row)]).unwrap().into()).unwrap()
}

/// The windows of a level: their starts in seconds, and how many records they count.
async fn counts(blocks: &Blocks<'_>, level: u64) -> Vec<(f64, u64)> {
    let count = |row: &State| rows::number(items(row), 1).unwrap_or(1);
    let window = |window: &State| match items(window) {
        [State::Value(Value::Number(start)), rows] => (to_f64(*start), items(rows).iter().map(count).sum::<u64>()),
        other => panic!("expected a window, found {other:?}"),
    };
    let levels = Levels::open(blocks).await.unwrap().unwrap();
    items(&levels.form(level).await.unwrap()).iter().map(window).collect()
}

#[test]
fn old_records_are_replaced_by_what_they_are_reduced_to() {
    let level = |window, keep| Level { window, keep };
    let levels = vec![level(1.0, Some(10.0)), level(10.0, Some(100.0)), level(100.0, None)];
    let policy = Reduce { op: "count".into(), levels, apply: false };
    block_on(async {
        let chain = Chain::new(Kind::Reduce(policy)).await;
        // Returns how many items of a level are reduced at some time.
        let reduce = async |level: usize, second: u64| {
            let txn = chain.begin(second);
            let blocks = chain.blocks(&txn).await;
            let levels = Levels::open(&blocks).await.unwrap().unwrap();
            let Taken { count, windows } = levels.take(level).await.unwrap();
            levels.add(level + 1, windows.iter().map(counted).collect()).await.unwrap();
            txn.commit().await.unwrap();
            chain.verify().await;
            count
        };
        let all_counts = async || {
            let txn = chain.begin(99);
            let blocks = chain.blocks(&txn).await;
            [counts(&blocks, 0).await, counts(&blocks, 1).await, counts(&blocks, 2).await]
        };
        chain.put(1, 1, "ann", "a").await;
        chain.put(5, 2, "bob", "b").await;
        chain.put(12, 1, "ann", "c").await;
        assert_eq!(reduce(0, 19).await, 0);
        assert!(chain.is_erased().await);
        assert_eq!(reduce(0, 20).await, 2);
        assert!(!chain.is_erased().await);
        assert_eq!(all_counts().await, [vec![(12.0, 1)], vec![(0.0, 2)], vec![]]);

        // What comes late goes with what it comes after, and to the window that it belongs to.
        chain.put(3, 3, "cid", "d").await;
        assert_eq!(reduce(0, 22).await, 0);
        assert_eq!(all_counts().await, [vec![(3.0, 1), (12.0, 1)], vec![(0.0, 2)], vec![]]);
        assert_eq!(reduce(0, 30).await, 2);
        assert_eq!(all_counts().await, [vec![], vec![(0.0, 3), (10.0, 1)], vec![]]);
        chain.put(31, 2, "bob", "e").await;

        let txn = chain.begin(32);
        let blocks = chain.blocks(&txn).await;
        assert_eq!(blocks.ordinals().await.unwrap(), 2..=2);
        assert_eq!(replay(&blocks, Some(id(1))).await.unwrap_err().kind(), ErrorKind::BadRequest);
        // The last transaction of what was reduced is the late one.
        let base = replay(&blocks, Some(id(3))).await.unwrap();
        assert_eq!(all(&txn, &base).await, [row(1, "ann", "c"), row(2, "bob", "b"), row(3, "cid", "d")]);

        assert_eq!(reduce(1, 199).await, 0);
        assert_eq!(reduce(1, 200).await, 2);
        assert_eq!(reduce(2, 999).await, 0);
        assert_eq!(all_counts().await, [vec![(31.0, 1)], vec![], vec![(0.0, 4)]]);
    });
}

/// What an op returns that makes one row of a window, whose key is the second at which it starts.
fn merged(due: &Due) -> Summary {
    let tuple = |cells: Vec<State>| State::from(Tuple::try_new(cells).unwrap());
    let (start, count) = (due.args(10.0)[1].clone(), due.items.items().len());
    let row = tuple(vec![tuple(vec![start]), tuple(vec!["all".into(), count.to_string().into()])]);
    due.summary(&"/merge", &tuple(vec![row])).unwrap()
}

#[test]
fn a_reduction_can_change_the_subject() {
    let levels = vec![Level { window: 1.0, keep: Some(10.0) }, Level { window: 10.0, keep: None }];
    let policy = Reduce { op: "merge".into(), levels, apply: true };
    block_on(async {
        let chain = Chain::new(Kind::Reduce(policy)).await;
        let reduce = async |second: u64| {
            let txn = chain.begin(second);
            let blocks = chain.blocks(&txn).await;
            let levels = Levels::open(&blocks).await.unwrap().unwrap();
            let windows = levels.take(0).await.unwrap().windows;
            levels.add(1, windows.iter().map(merged).collect()).await.unwrap();
            txn.commit().await.unwrap();
            chain.verify().await;
            all(&chain.begin(99), &chain.subject).await
        };
        chain.put(1, 1, "ann", "a").await;
        chain.put(5, 5, "bob", "b").await;
        chain.put(12, 12, "ann", "c").await;
        // This row is newer than what is reduced first.
        chain.put(13, 5, "bob", "d").await;
        assert_eq!(reduce(20).await, [row(0, "all", "2"), row(5, "bob", "d"), row(12, "ann", "c")]);
        assert_eq!(reduce(30).await, [row(0, "all", "2"), row(10, "all", "2")]);
        // What comes late goes to its window, with the row that is there.
        chain.put(3, 3, "cid", "e").await;
        chain.put(4, 4, "cid", "f").await;
        assert_eq!(reduce(31).await, [row(0, "all", "3"), row(10, "all", "2")]);

        // What is no row of the subject is refused.
        chain.put(32, 32, "dan", "g").await;
        let txn = chain.begin(60);
        let blocks = chain.blocks(&txn).await;
        let levels = Levels::open(&blocks).await.unwrap().unwrap();
        let windows = levels.take(0).await.unwrap().windows;
        let error = levels.add(1, windows.iter().map(counted).collect()).await.unwrap_err();
        assert!(error.kind() == ErrorKind::BadRequest && error.message().starts_with("what merge returns"), "{error}");
    });
}
