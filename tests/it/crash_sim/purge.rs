//! A purge on a machine whose power fails while it is made, or while files are rid of what was purged. Once it is
//! acknowledged, or can be seen, nothing is left of it in any file when what was left undone has been done.

use std::sync::Arc;

use futures::executor::block_on;
use tinychain::chain::block::Blocks;
use tinychain::chain::compliant::Author;
use tinychain::chain::erasure::Erasure;
use tinychain::chain::owners::{Held, Owners};
use tinychain::chain::policy::{Compliant, Owner};
use tinychain::chain::{ChainDef, Kind, Subject, record};
use tinychain::error::Result;
use tinychain::storage::{Store, Transaction};
use tinychain::txn::TxnId;
use tinychain::value::{State, Table};

use super::machine::Machine;
use super::{BYTES, setting};
use crate::histories::session::{int, integer, string, table_of};

const PATH: &str = "/service/a";
/// No part of it is there twice, so that it stands in files as it is, also where they are compressed.
const MARKER: &str = "w8Qz3nKy1RfV6cTm9XgB4pLs7JdH2aUe";
/// Operations of the disks after which the power fails, at most: a purge and what is done then take fewer.
const OPERATIONS_MAX: u64 = 64;

/// A chain on a machine that is switched on.
struct Host {
    store: Arc<Store>,
    def: ChainDef,
}

impl Host {
    fn start(machine: &Machine) -> Result<Self> {
        let schema = table_of(vec![integer("id"), string("user"), string("text")], 1, vec![]);
        let policy = Compliant { owner: Owner::Column("user".into()), purge_subject: true };
        let def = ChainDef { kind: Kind::Compliant(policy), subject: Subject::Collection(schema) };
        Ok(Self { store: block_on(Store::open(machine.config()))?, def })
    }

    fn begin(&self, timestamp: u64) -> Transaction {
        Transaction::new(Arc::clone(&self.store), TxnId { timestamp, nonce: 0 }, BYTES)
    }

    async fn subject(&self, txn: &Transaction) -> Result<Arc<Table>> {
        Ok(txn.table(PATH).await?.expect("it was made"))
    }

    async fn create(&self) -> Result<()> {
        let txn = self.begin(1);
        let subject = txn.create_table(PATH, record::subject_schema(&self.def.subject)).await?;
        record::create(&txn, &subject, &self.def).await?;
        txn.commit().await.map(drop)
    }

    async fn commit(&self, txn: &Transaction, purged: &[State]) -> Result<()> {
        let subject = self.subject(txn).await?;
        record::append(txn, &subject, &self.def, Author { actor: None, purged }).await?;
        txn.commit().await.map(drop)
    }

    async fn put(&self, key: u64, user: &str, text: &str) -> Result<()> {
        let txn = self.begin(10 + key);
        let subject = self.subject(&txn).await?;
        txn.put(&subject, &[int(key), user.into(), text.into()]).await?;
        self.commit(&txn, &[]).await
    }

    async fn purge(&self, user: State) -> Result<()> {
        let txn = self.begin(50);
        let subject = self.subject(&txn).await?;
        {
            let blocks = Blocks::open(&txn, &self.def, &subject).await?;
            let owners = Owners::open(&blocks).await?.expect("the chain has owners");
            owners.purge(&user, None).await?;
        }
        self.commit(&txn, &[user]).await
    }

    /// Does what a host does after a purge, and when it starts.
    async fn erase(&self) -> Result<()> {
        let pending = {
            let txn = self.begin(60);
            Erasure::pending(&txn, &self.subject(&txn).await?, &self.def).await?
        };
        let Some(erasure) = pending else { return Ok(()) };
        self.store.scrub(erasure.trees()).await?;
        let txn = self.begin(61);
        erasure.done(&txn).await?;
        txn.commit().await.map(drop)
    }

    /// How much there is of two users, in a chain that is as it should be.
    async fn held(&self, users: [&str; 2]) -> Result<[Held; 2]> {
        let txn = self.begin(70);
        let subject = self.subject(&txn).await?;
        let blocks = Blocks::open(&txn, &self.def, &subject).await?;
        blocks.verify().await?;
        let owners = Owners::open(&blocks).await?.expect("the chain has owners");
        let [first, second] = users.map(State::from);
        Ok([owners.held(&first).await?, owners.held(&second).await?])
    }
}

/// The files of a machine that have the marker.
fn found(machine: &Machine) -> Vec<String> {
    machine.files_with(MARKER.as_bytes())
}

#[test]
fn nothing_of_what_was_purged_survives_any_crash() {
    let first = setting("TINYCHAIN_CRASH_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("TINYCHAIN_CRASH_SEED={first}");
    let (mut acknowledged, mut seen, mut kept) = (0, 0, 0);
    for count in 0..OPERATIONS_MAX {
        let context = format!("TINYCHAIN_CRASH_SEED={first}, cut after {count}");
        // Those with odd seeds are encrypted, so that nothing could be found in their files.
        let machine = Machine::new(first.wrapping_add(count).wrapping_mul(2));
        let host = Host::start(&machine).unwrap();
        block_on(async {
            host.create().await.unwrap();
            host.put(1, "ann", MARKER).await.unwrap();
            host.put(2, "bob", "b").await.unwrap();
            if count.is_multiple_of(2) {
                host.store.checkpoint().await.unwrap();
            }
            host.put(3, "ann", MARKER).await.unwrap();
        });
        assert!(!found(&machine).is_empty(), "{context}: nothing would be tested");

        machine.cut_after(count);
        let is_acknowledged = block_on(host.purge("ann".into())).is_ok();
        if let Err(error) = block_on(host.erase()) {
            assert!(machine.is_off(), "{context}: {error}");
        }
        drop(host);
        // The next start may be cut off too.
        let machine = machine.crash();
        machine.cut_after((count * 7) % OPERATIONS_MAX);
        if let Ok(host) = Host::start(&machine) {
            let erased = block_on(host.erase());
            assert!(erased.is_ok() || machine.is_off(), "{context}: {erased:?}");
        }
        let machine = machine.crash();
        let host = Host::start(&machine).unwrap_or_else(|error| panic!("{context}: {error}"));
        block_on(host.erase()).unwrap_or_else(|error| panic!("{context}: {error}"));

        let held = block_on(host.held(["ann", "bob"])).unwrap_or_else(|error| panic!("{context}: {error}"));
        let [ann, bob] = held;
        assert_eq!(bob, Held { records: 1, rows: 1 }, "{context}");
        acknowledged += u64::from(is_acknowledged);
        if ann == Held::default() {
            seen += 1;
            assert_eq!(found(&machine), [""; 0], "{context}");
        } else {
            kept += 1;
            assert_eq!((ann, is_acknowledged), (Held { records: 2, rows: 2 }, false), "{context}");
        }
    }
    println!("{acknowledged} acknowledged, {seen} seen, {kept} not made");
    assert!(acknowledged > 0 && seen >= acknowledged, "{acknowledged}, {seen}");
}
