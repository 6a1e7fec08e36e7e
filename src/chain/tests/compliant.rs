//! CompliantChains over a store in memory.

use futures::executor::block_on;

use super::{Chain, all, id, row, told};
use crate::chain::compliant::{self, user};
use crate::chain::owners::{Held, Owners};
use crate::chain::policy::{Compliant, Owner};
use crate::chain::replay::replay;
use crate::chain::{Kind, holders, record, rows};
use crate::error::Kind as ErrorKind;
use crate::storage::Transaction;
use crate::value::{Schema, State};

impl Chain {
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
        chain.commit_by(Some(&ann), &txn, &[bob, ann.clone()]).await.unwrap();
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
