//! What is done for chains after a commit: what is old is deleted, and what was deleted is erased from files.
//!
//! Nobody waits for that. It takes longer than a request may, because files cannot be deleted while anybody reads them,
//! which the very request does that asked for it. What fails, as others write meanwhile, is tried again; the chain notes what
//! is not done ([`Erasure`]), so that it is also tried when the host starts (`Session::resume`). Only then, whoever uses a
//! chain from which something was purged waits until it is erased ([`Unerased`]).
//!
//! A chain that an op reduces is only noted as due ([`Reductions`]): the op is run elsewhere.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::reductions::Reductions;
use super::unerased::Unerased;
use crate::chain::block::Blocks;
use crate::chain::erasure::Erasure;
use crate::chain::{ChainDef, Kind, compliant};
use crate::env::Clock;
use crate::error::{Kind as ErrorKind, Result};
use crate::storage::{Store, Transaction};
use crate::value::Table;

/// Times that a job is tried, unless somebody may wait for it.
const ATTEMPTS_MAX: u32 = 12;
/// How long a job waits after it has failed for the first time, each time twice as long, and how long at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(60));
/// The same while somebody may wait for it.
const PAUSE_MAX_AWAITED: Duration = Duration::from_secs(1);
/// How long a chain that deletes what is old is left alone, at least and at most.
const IDLE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(3600));

/// What is to be done for one chain.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// It only begets others: to use it would keep files from being deleted.
    txn: Arc<Transaction>,
    subject: Arc<Table>,
    chain: Arc<ChainDef>,
}

/// Does jobs, one after the other.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// What is old is so by now, not by the time of whoever asked for a job.
    clock: Arc<dyn Clock>,
    /// The chains whose jobs have not begun.
    waiting: Mutex<HashSet<Arc<str>>>,
    /// The chains that are looked at again later.
    armed: Mutex<HashSet<Arc<str>>>,
    reductions: Reductions,
    /// The chains that may not be used before their jobs are done.
    unerased: Unerased,
    turn: tokio::sync::Mutex<()>,
}

impl Job {
    /// What is to be done after `txn`.
    pub fn new(txn: &Transaction, subject: &Arc<Table>, chain: &Arc<ChainDef>) -> Self {
        Self { txn: Arc::new(txn.successor()), subject: Arc::clone(subject), chain: Arc::clone(chain) }
    }

    async fn run(&self, store: &Store, now: u64) -> Result<()> {
        self.complete().await?;
        // Whatever comes of that, what was deleted before is to be erased.
        let compacted = self.compact(now).await;
        if let Some(erasure) = self.pending().await? {
            store.scrub(erasure.trees()).await?;
            let txn = self.txn.successor();
            erasure.done(&txn).await?;
            txn.commit().await?;
        }
        compacted
    }

    /// When the chain is to be looked at again, because what it has will be old by then.
    fn again_after(&self) -> Option<Duration> {
        let pause = match &self.chain.kind {
            Kind::Backup(backup) => Duration::try_from_secs_f64(backup.block_age).unwrap_or(IDLE.1),
            // What is due is due window by window of the next level.
            Kind::Reduce(reduce) if reduce.levels.len() > 1 => Duration::from_nanos(reduce.window(1)),
            _ => return None,
        };
        Some(pause.clamp(IDLE.0, IDLE.1))
    }

    /// Whether the chain is still there.
    async fn is_installed(&self) -> Result<bool> {
        Ok(self.txn.successor().table(&self.subject.name).await?.as_ref() == Some(&self.subject))
    }

    /// Makes what the chain lacks because an earlier release made it.
    async fn complete(&self) -> Result<()> {
        let Kind::Compliant(policy) = &self.chain.kind else { return Ok(()) };
        if self.is_complete().await? || !self.is_installed().await? {
            return Ok(());
        }
        let txn = self.txn.successor();
        compliant::complete(&txn, &self.subject, policy).await?;
        txn.commit().await.map(|_| ())
    }

    /// Whether the chain lacks nothing.
    async fn is_complete(&self) -> Result<bool> {
        match &self.chain.kind {
            Kind::Compliant(policy) => compliant::is_complete(&self.txn.successor(), &self.subject, policy).await,
            _ => Ok(true),
        }
    }

    /// Whether nobody may use the chain before this is done.
    async fn is_awaited(&self) -> Result<bool> {
        let deletes_users = matches!(self.chain.kind, Kind::Compliant(_));
        Ok(deletes_users && (self.pending().await?.is_some() || !self.is_complete().await?))
    }

    /// Deletes the blocks that are old.
    async fn compact(&self, now: u64) -> Result<()> {
        let Kind::Backup(backup) = &self.chain.kind else { return Ok(()) };
        let txn = self.txn.successor();
        let blocks = Blocks::open(&txn, &self.chain, &self.subject).await?;
        blocks.compact(backup, now, None).await?;
        txn.commit().await.map(|_| ())
    }

    /// What is to be erased. The transaction that finds it is over then.
    async fn pending(&self) -> Result<Option<Erasure>> {
        Erasure::pending(&self.txn.successor(), &self.subject, &self.chain).await
    }
}

impl Upkeep {
    /// Nothing to do yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            waiting: Mutex::default(),
            armed: Mutex::default(),
            reductions: Reductions::default(),
            unerased: Unerased::new(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The chains that an op is to reduce.
    pub fn reductions(&self) -> &Reductions {
        &self.reductions
    }

    /// The chains that may not be used yet.
    pub fn unerased(&self) -> &Unerased {
        &self.unerased
    }

    /// Begins to do what was left undone when the host stopped. When this returns, nobody can use a chain before it is
    /// rid of what was purged.
    ///
    /// # Errors
    /// As [`Erasure::pending`].
    pub async fn resume(self: &Arc<Self>, store: &Arc<Store>, jobs: Vec<Job>) -> Result<()> {
        let (mut first, mut others) = (Vec::new(), Vec::new());
        for job in jobs {
            if job.is_awaited().await? {
                self.unerased.add(&job.subject.name);
                first.push(job);
            } else {
                others.push(job);
            }
        }
        self.start(store, first);
        self.start(store, others);
        Ok(())
    }

    /// Begins to do jobs. Of a chain that has one waiting, another one would do the same.
    pub fn start(self: &Arc<Self>, store: &Arc<Store>, jobs: Vec<Job>) {
        // Without a runtime there is nobody to do them; what they are about is noted.
        let Ok(runtime) = Handle::try_current() else { return };
        for job in jobs {
            self.arm(store, job.clone());
            if self.waiting.lock().insert(Arc::clone(&job.subject.name)) {
                let (upkeep, store) = (Arc::clone(self), Arc::clone(store));
                drop(runtime.spawn(async move { upkeep.perform(&job, &store).await }));
            }
        }
    }

    async fn perform(&self, job: &Job, store: &Store) {
        let (mut pause, name) = (PAUSE.0, &*job.subject.name);
        for attempt in 1u32.. {
            let turn = self.turn.lock().await;
            // What is deleted from here on may not be seen by this job, and needs another.
            self.waiting.lock().remove(name);
            let outcome = job.run(store, self.clock.unix_nanos()).await;
            // Others have their turns while this one waits.
            drop(turn);
            match outcome {
                Ok(()) => return self.unerased.remove(name),
                Err(error) if attempt >= ATTEMPTS_MAX || error.kind() == ErrorKind::NotFound => {
                    warn!(chain = name, %error, attempt, "cannot erase what was deleted");
                    if !self.unerased.has(name) {
                        return;
                    }
                }
                Err(error) => debug!(chain = name, %error, attempt, "erases later what was deleted"),
            }
            sleep(pause).await;
            let longest = if self.unerased.has(name) { PAUSE_MAX_AWAITED } else { PAUSE.1 };
            pause = (pause * 2).min(longest);
        }
    }

    /// Looks at a chain again when what it has is old, as long as it is there.
    fn arm(self: &Arc<Self>, store: &Arc<Store>, job: Job) {
        let Some(pause) = job.again_after() else { return };
        if !self.armed.lock().insert(Arc::clone(&job.subject.name)) {
            return;
        }
        let (upkeep, store) = (Arc::clone(self), Arc::clone(store));
        drop(tokio::spawn(async move {
            while matches!(job.is_installed().await, Ok(true)) {
                if let Kind::Reduce(_) = &job.chain.kind {
                    upkeep.reductions.add(&job.subject.name);
                }
                sleep(pause).await;
                upkeep.perform(&job, &store).await;
            }
            upkeep.armed.lock().remove(&job.subject.name);
        }));
    }
}

/// Whether a chain deletes anything, so that files may have what it has deleted.
pub(super) fn deletes(chain: &ChainDef) -> bool {
    matches!(chain.kind, Kind::Backup(_) | Kind::Compliant(_) | Kind::Reduce(_))
}
