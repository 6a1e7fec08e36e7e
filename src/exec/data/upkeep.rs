//! What is done for chains after a commit: what is old is deleted, and what was deleted is erased from files.
//!
//! Nobody waits for that. It takes longer than a request may, because files cannot be deleted while anybody reads them,
//! which the very request does that asked for it. What fails is noted by the chain ([`Erasure`]) and tried again with
//! the next job of that chain.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tracing::warn;

use crate::chain::block::Blocks;
use crate::chain::erasure::Erasure;
use crate::chain::{ChainDef, Kind};
use crate::error::Result;
use crate::storage::{Store, Transaction};
use crate::value::Table;

/// What is to be done for one chain.
#[derive(Debug)]
pub(super) struct Job {
    /// It only begets others: to use it would keep files from being deleted.
    txn: Transaction,
    subject: Arc<Table>,
    chain: Arc<ChainDef>,
}

/// Does jobs, one after the other.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// The chains whose jobs have not begun.
    waiting: Mutex<HashSet<Arc<str>>>,
    turn: tokio::sync::Mutex<()>,
}

impl Job {
    /// What is to be done after `txn`.
    pub fn new(txn: &Transaction, subject: &Arc<Table>, chain: &Arc<ChainDef>) -> Self {
        Self { txn: txn.successor(), subject: Arc::clone(subject), chain: Arc::clone(chain) }
    }

    async fn run(&self, store: &Store) -> Result<()> {
        self.compact().await?;
        let Some(erasure) = self.pending().await? else { return Ok(()) };
        store.scrub(erasure.trees()).await?;
        let txn = self.txn.successor();
        erasure.done(&txn).await?;
        txn.commit().await.map(|_| ())
    }

    /// Deletes the blocks that are old.
    async fn compact(&self) -> Result<()> {
        let Kind::Backup(backup) = &self.chain.kind else { return Ok(()) };
        let txn = self.txn.successor();
        let blocks = Blocks::open(&txn, &self.chain, &self.subject).await?;
        blocks.compact(backup, txn.id().timestamp, None).await?;
        txn.commit().await.map(|_| ())
    }

    /// What is to be erased. The transaction that finds it is over then.
    async fn pending(&self) -> Result<Option<Erasure>> {
        Erasure::pending(&self.txn.successor(), &self.subject, &self.chain).await
    }
}

impl Upkeep {
    /// Begins to do jobs. Of a chain that has one waiting, another one would do the same.
    pub fn start(self: &Arc<Self>, store: &Arc<Store>, jobs: Vec<Job>) {
        // Without a runtime there is nobody to do them; what they are about is noted.
        let Ok(runtime) = Handle::try_current() else { return };
        for job in jobs {
            if self.waiting.lock().insert(Arc::clone(&job.subject.name)) {
                let (upkeep, store) = (Arc::clone(self), Arc::clone(store));
                drop(runtime.spawn(async move { upkeep.perform(&job, &store).await }));
            }
        }
    }

    async fn perform(&self, job: &Job, store: &Store) {
        let _turn = self.turn.lock().await;
        // What is deleted from here on may not be seen by this job, and needs another.
        self.waiting.lock().remove(&job.subject.name);
        if let Err(error) = job.run(store).await {
            warn!(chain = %job.subject.name, %error, "cannot erase what was deleted; it will be tried again");
        }
    }
}
