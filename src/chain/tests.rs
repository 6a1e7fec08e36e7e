//! Chains over a store in memory.

use std::sync::Arc;

use futures::executor::block_on;

use super::block::Blocks;
use super::compliant::{self, Author, user};
use super::erasure::Erasure;
use super::holders;
use super::owners::{Held, Owners};
use super::policy::{Backup, Compliant, Level, Owner, Reduce};
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
use crate::value::{Schema, State, Table, Tuple, Value};

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

    /// Puts rows for a user, or deletes those without a text.
    async fn write_by(&self, actor: Option<&State>, second: u64, rows: &[(u64, Option<&str>)]) {
        let txn = self.begin(second);
        for (key, text) in rows {
            match text {
                Some(text) => txn.put(&self.subject, &row(*key, "", text)).await.unwrap(),
                None => assert!(txn.delete(&self.subject, &[(*key).into()]).await.unwrap()),
            }
        }
        self.commit_by(actor, &txn, &[]).await.unwrap();
    }

    /// Purges a user in a transaction, which is not committed yet.
    async fn purge(&self, txn: &Transaction, owner: &State, author: Option<&State>) -> Held {
        let blocks = self.blocks(txn).await;
        let owners = Owners::open(&blocks).await.unwrap().unwrap();
        owners.purge(owner, author).await.unwrap()
    }

    async fn held(&self, owner: &State) -> Held {
        let txn = self.begin(99);
        let blocks = self.blocks(&txn).await;
        Owners::open(&blocks).await.unwrap().unwrap().held(owner).await.unwrap()
    }

    /// The keys and texts of the rows of the subject.
    async fn rows(&self) -> Vec<(u64, String)> {
        let txn = self.begin(99);
        let rows = all(&txn, &self.subject).await;
        rows.iter().map(|row| (rows::number(row, 0).unwrap(), rows::text(row, 2).unwrap().to_string())).collect()
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
fn a_purge_takes_everything_of_a_user_and_nothing_else() {
    let policy = Compliant { owner: Owner::Column("user".into()), purge_subject: true };
    block_on(async {
        let chain = Chain::new(Kind::Compliant(policy)).await;
        chain.put(1, 1, "ann", "a").await;
        chain.put(2, 2, "bob", "b").await;
        chain.put(3, 3, "ann", "c").await;
        // Ann's row becomes Bob's.
        chain.put(4, 1, "bob", "d").await;
        // A row that was there for nobody else leaves no trace.
        let txn = chain.begin(5);
        txn.put(&chain.subject, &row(9, "ann", "e")).await.unwrap();
        txn.delete(&chain.subject, &[9u64.into()]).await.unwrap();
        chain.commit(&txn, &[]).await;
        chain.verify().await;

        let txn = chain.begin(6);
        let ann = State::from("ann");
        {
            let blocks = chain.blocks(&txn).await;
            let owners = Owners::open(&blocks).await.unwrap().unwrap();
            assert!(owners.named(&State::NONE).is_err());
            // Two puts, and the delete when the row changed hands.
            assert_eq!(owners.held(&ann).await.unwrap(), Held { records: 3, rows: 1 });
            assert_eq!(owners.purge(&ann, None).await.unwrap(), Held { records: 3, rows: 1 });
            assert_eq!(owners.purge(&ann, None).await.unwrap(), Held::default());
        }
        chain.commit(&txn, std::slice::from_ref(&ann)).await;
        chain.verify().await;
        assert!(!chain.is_erased().await);

        let txn = chain.begin(7);
        let blocks = chain.blocks(&txn).await;
        let owners = Owners::open(&blocks).await.unwrap().unwrap();
        assert_eq!(owners.held(&ann).await.unwrap(), Held::default());
        assert_eq!(owners.held(&"bob".into()).await.unwrap(), Held { records: 2, rows: 2 });
        let purges = owners.purges().await.unwrap();
        assert_eq!(purges.iter().map(|purge| purge.records).collect::<Vec<_>>(), [3]);
        for row in all(&txn, blocks.records()).await {
            assert!(!row.contains(&ann) && !row.contains(&"a".into()), "{row:?}");
        }
        // Of that time, too, only what is not purged is known.
        let then = replay(&blocks, Some(id(3))).await.unwrap();
        assert_eq!(all(&txn, &then).await, [row(2, "bob", "b")]);
        assert_eq!(all(&txn, &chain.subject).await, [row(1, "bob", "d"), row(2, "bob", "b")]);
        // Ann may come back.
        chain.put(8, 3, "ann", "f").await;
        chain.verify().await;
    });
}

#[test]
fn rows_may_outlive_their_records() {
    let policy = Compliant { owner: Owner::Column("user".into()), purge_subject: false };
    block_on(async {
        let chain = Chain::new(Kind::Compliant(policy)).await;
        chain.put(1, 1, "ann", "a").await;
        chain.put(2, 2, "bob", "b").await;
        let txn = chain.begin(3);
        {
            let blocks = chain.blocks(&txn).await;
            let owners = Owners::open(&blocks).await.unwrap().unwrap();
            assert_eq!(owners.purge(&"ann".into(), None).await.unwrap(), Held { records: 1, rows: 0 });
        }
        chain.commit(&txn, &["ann".into()]).await;
        chain.verify().await;
        // A row that nobody wrote is still found.
        let txn = chain.begin(4);
        txn.put(&chain.subject, &row(3, "bob", "c")).await.unwrap();
        txn.commit().await.unwrap();
        let txn = chain.begin(5);
        assert!(chain.blocks(&txn).await.verify().await.is_err());
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
            assert_eq!(error.message(), "block 2: it does not follow the block before it");
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

#[test]
fn rows_that_outlive_their_records_are_kept() {
    let policy = Compliant { owner: Owner::Column("user".into()), purge_subject: false };
    block_on(async {
        let chain = Chain::new(Kind::Compliant(policy)).await;
        chain.put(1, 1, "ann", "a").await;
        chain.put(2, 2, "bob", "b").await;
        let txn = chain.begin(3);
        assert_eq!(chain.purge(&txn, &"ann".into(), None).await, Held { records: 1, rows: 0 });
        chain.commit(&txn, &["ann".into()]).await;
        let txn = chain.begin(4);
        txn.delete(&chain.subject, &[2u64.into()]).await.unwrap();
        txn.commit().await.unwrap();

        let txn = chain.begin(5);
        let blocks = chain.blocks(&txn).await;
        let rebuilt = blocks.rebuild().await.unwrap();
        assert_eq!(told(&rebuilt.report.missing), (1, vec![2u64.into()]));
        assert_eq!(rebuilt.report.extra.count, 0);
        assert_eq!(rebuilt.write().await.unwrap(), 2);
        txn.commit().await.unwrap();
        let txn = chain.begin(6);
        assert_eq!(all(&txn, &chain.subject).await, [row(1, "ann", "a"), row(2, "bob", "b")]);
        chain.verify().await;
    });
}

#[test]
fn a_purge_conflicts_only_with_writes_of_the_same_user() {
    let policy = Compliant { owner: Owner::Column("user".into()), purge_subject: true };
    block_on(async {
        let chain = Chain::new(Kind::Compliant(policy)).await;
        let ann = State::from("ann");
        chain.put(1, 1, "ann", "a").await;
        chain.put(2, 2, "ann", "b").await;
        // Bob has one that was Ann's.
        chain.put(3, 2, "bob", "c").await;
        let (first, second) = (chain.begin(4), chain.begin(5));
        assert_eq!(chain.purge(&first, &ann, None).await, Held { records: 3, rows: 1 });
        assert_eq!(chain.purge(&second, &ann, None).await, Held { records: 3, rows: 1 });
        chain.put(6, 2, "bob", "d").await;
        chain.put(7, 3, "cid", "e").await;
        chain.commit_by(None, &first, std::slice::from_ref(&ann)).await.unwrap();
        let error = chain.commit_by(None, &second, std::slice::from_ref(&ann)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        chain.verify().await;
        assert_eq!(chain.rows().await, [(2, "d".to_string()), (3, "e".to_string())]);

        let third = chain.begin(8);
        assert_eq!(chain.purge(&third, &State::from("cid"), None).await, Held { records: 1, rows: 1 });
        chain.put(9, 4, "cid", "f").await;
        let error = chain.commit_by(None, &third, &["cid".into()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(chain.held(&"cid".into()).await, Held { records: 2, rows: 2 });
    });
}

#[test]
fn a_purge_takes_what_its_own_transaction_has_written() {
    let policy = Compliant { owner: Owner::Column("user".into()), purge_subject: true };
    block_on(async {
        let chain = Chain::new(Kind::Compliant(policy)).await;
        let ann = State::from("ann");
        for key in 1..=3 {
            chain.put(key, key, "ann", "a").await;
        }
        let txn = chain.begin(4);
        txn.put(&chain.subject, &row(1, "bob", "b")).await.unwrap();
        txn.delete(&chain.subject, &[2u64.into()]).await.unwrap();
        txn.put(&chain.subject, &row(4, "ann", "c")).await.unwrap();
        assert_eq!(chain.purge(&txn, &ann, None).await, Held { records: 3, rows: 2 });
        chain.commit(&txn, std::slice::from_ref(&ann)).await;
        assert_eq!(chain.rows().await, [(1, "b".to_string())]);
        assert_eq!(chain.held(&ann).await, Held::default());
        chain.verify().await;
    });
}

fn token_user(name: &str) -> State {
    user(&format!("/user/{name}").parse().unwrap(), &"key".into()).unwrap()
}

#[test]
fn rows_are_held_by_whoever_wrote_them_last() {
    let policy = Compliant { owner: Owner::Token, purge_subject: true };
    block_on(async {
        let chain = Chain::new(Kind::Compliant(policy)).await;
        let (ann, bob) = (token_user("ann"), token_user("bob"));
        chain.write_by(Some(&ann), 1, &[(1, Some("a")), (2, Some("b")), (3, Some("c"))]).await;
        chain.write_by(Some(&bob), 2, &[(2, Some("d")), (4, Some("e")), (5, Some("f"))]).await;
        chain.write_by(None, 3, &[(3, Some("g")), (6, Some("h"))]).await;
        // Ann takes one of Bob's, deletes another, and takes one of nobody's.
        chain.write_by(Some(&ann), 4, &[(4, Some("i")), (5, None), (6, Some("j"))]).await;
        chain.verify().await;
        // Her puts, and that two of her rows went to others.
        assert_eq!(chain.held(&ann).await, Held { records: 7, rows: 3 });
        assert_eq!(chain.held(&bob).await, Held { records: 5, rows: 1 });

        let txn = chain.begin(5);
        assert_eq!(chain.purge(&txn, &ann, Some(&bob)).await, Held { records: 7, rows: 3 });
        chain.commit_by(Some(&bob), &txn, std::slice::from_ref(&ann)).await.unwrap();
        assert_eq!(chain.rows().await, [(2, "d".to_string()), (3, "g".to_string())]);
        assert_eq!((chain.held(&ann).await, chain.held(&bob).await), (Held::default(), Held { records: 5, rows: 1 }));
        chain.verify().await;

        // One who purges herself also loses what she writes before that in the same transaction.
        let txn = chain.begin(6);
        txn.put(&chain.subject, &row(7, "", "k")).await.unwrap();
        assert_eq!(chain.purge(&txn, &bob, Some(&ann)).await, Held { records: 5, rows: 1 });
        assert_eq!(chain.purge(&txn, &ann, Some(&ann)).await, Held { records: 0, rows: 1 });
        chain.commit_by(Some(&ann), &txn, &[bob, ann]).await.unwrap();
        assert_eq!(chain.rows().await, [(3, "g".to_string())]);
        chain.verify().await;
    });
}

#[test]
fn rows_that_are_held_may_outlive_their_records() {
    let policy = Compliant { owner: Owner::Token, purge_subject: false };
    block_on(async {
        let chain = Chain::new(Kind::Compliant(policy)).await;
        let ann = token_user("ann");
        chain.write_by(Some(&ann), 1, &[(1, Some("a"))]).await;
        chain.write_by(None, 2, &[(2, Some("b"))]).await;
        let txn = chain.begin(3);
        assert_eq!(chain.purge(&txn, &ann, None).await, Held { records: 1, rows: 0 });
        chain.commit_by(None, &txn, std::slice::from_ref(&ann)).await.unwrap();
        assert_eq!(chain.held(&ann).await, Held { records: 0, rows: 1 });
        chain.verify().await;
        // A row of nobody's that nobody wrote is still found.
        let txn = chain.begin(4);
        txn.put(&chain.subject, &row(3, "", "c")).await.unwrap();
        txn.commit().await.unwrap();
        let txn = chain.begin(5);
        assert!(chain.blocks(&txn).await.verify().await.is_err());
    });
}

#[test]
fn rows_are_noted_as_those_of_whom_the_records_name() {
    let policy = Compliant { owner: Owner::Token, purge_subject: false };
    block_on(async {
        let chain = Chain::new(Kind::Compliant(policy)).await;
        let (ann, bob) = (token_user("ann"), token_user("bob"));
        chain.write_by(Some(&ann), 1, &[(1, Some("a"))]).await;
        chain.write_by(Some(&bob), 2, &[(2, Some("b")), (3, Some("c")), (4, Some("d"))]).await;
        chain.write_by(None, 3, &[(4, Some("e"))]).await;
        let txn = chain.begin(4);
        assert_eq!(chain.purge(&txn, &ann, None).await, Held { records: 1, rows: 0 });
        chain.commit(&txn, std::slice::from_ref(&ann)).await;
        chain.verify().await;
        let held = [Held { records: 0, rows: 1 }, Held { records: 4, rows: 2 }];
        assert_eq!([chain.held(&ann).await, chain.held(&bob).await], held);

        // Damage: the second row is nobody's, the third is somebody else's, the fourth is Bob's again; and a row is lost.
        let txn = chain.begin(5);
        let noted = txn.table(&holders::path("/service/a")).await.unwrap().unwrap();
        txn.delete(&noted, &[2u64.into()]).await.unwrap();
        txn.put(&noted, &[3u64.into(), "eve".into()]).await.unwrap();
        txn.put(&noted, &[4u64.into(), bob.clone()]).await.unwrap();
        txn.commit().await.unwrap();
        let txn = chain.begin(6);
        assert!(chain.blocks(&txn).await.verify().await.unwrap_err().message().contains("of whom the records name"));
        let txn = chain.begin(7);
        txn.delete(&chain.subject, &[3u64.into()]).await.unwrap();
        txn.commit().await.unwrap();

        let txn = chain.begin(8);
        {
            let blocks = chain.blocks(&txn).await;
            let rebuilt = blocks.rebuild().await.unwrap();
            assert_eq!(told(&rebuilt.report.owner), (3, (2u64..5).map(State::from).collect()));
            assert_eq!(told(&rebuilt.report.missing), (1, vec![3u64.into()]));
            assert_eq!((rebuilt.report.changed.count, rebuilt.report.extra.count), (0, 0));
            assert_eq!(rebuilt.write().await.unwrap(), 4);
        }
        txn.commit().await.unwrap();
        chain.verify().await;
        assert_eq!([chain.held(&ann).await, chain.held(&bob).await], held);
        let rows = [(1, "a"), (2, "b"), (3, "c"), (4, "e")].map(|(key, text)| (key, text.to_string()));
        assert_eq!(chain.rows().await, rows);
    });
}

#[test]
fn a_chain_without_an_index_gets_one() {
    for owner in [Owner::Column("user".into()), Owner::Token] {
        let policy = Compliant { owner, purge_subject: true };
        block_on(async {
            let chain = Chain::new(Kind::Compliant(policy.clone())).await;
            let ann = match policy.owner {
                Owner::Column(_) => State::from("ann"),
                Owner::Token => token_user("ann"),
            };
            let put = async |second: u64| {
                let txn = chain.begin(second);
                txn.put(&chain.subject, &row(second, "ann", "a")).await.unwrap();
                chain.commit_by(Some(&ann), &txn, &[]).await.unwrap();
            };
            put(1).await;
            // As an earlier release would have made it.
            let txn = chain.begin(2);
            let records = txn.table(&record::path("/service/a")).await.unwrap().unwrap();
            let schema = Schema { indexes: vec![], ..Schema::clone(&records.schema) };
            txn.alter_table(&records.name, schema).await.unwrap();
            txn.drop_table(&holders::path("/service/a")).await.unwrap();
            txn.commit().await.unwrap();
            let is_complete = async || {
                let txn = chain.begin(99);
                compliant::is_complete(&txn, &chain.subject, &policy).await.unwrap()
            };
            assert!(!is_complete().await);
            for second in 3..5 {
                let txn = chain.begin(second);
                compliant::complete(&txn, &chain.subject, &policy).await.unwrap();
                txn.commit().await.unwrap();
                assert!(is_complete().await);
            }
            put(5).await;
            // Nobody knows any more who held the first row.
            let rows = if policy.owner == Owner::Token { 1 } else { 2 };
            assert_eq!(chain.held(&ann).await, Held { records: 2, rows });
            let txn = chain.begin(6);
            assert_eq!(chain.purge(&txn, &ann, None).await, Held { records: 2, rows: 2 });
            chain.commit_by(None, &txn, &[ann]).await.unwrap();
            assert!(chain.rows().await.is_empty());
        });
    }
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
