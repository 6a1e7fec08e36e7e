//! Rows: what a program's calls on collections, and on paths that stand for collections, read and write.
//!
//! [`call`](mod@call) turns a call into an action, with the help of [`crate::compiler::collection`], and performs it in
//! the transaction of the request; [`cluster`] finds what is at the paths of libraries, services and classes, and
//! [`chain`] what chains keep, with [`policy`] for what only some of them do, [`reduce`] for what reduces them and
//! [`reductions`] for when, and [`upkeep`] for what they do after a commit, which some wait for after a restart
//! ([`unerased`]); [`trust`] is what services let each other do; [`read`] finds the rows of views, and [`reader`] the
//! items of streams; [`contents`] is what is sent as it is read, of which [`batches`] are the rows; [`tensor`] computes and
//! writes tensors, and [`matrix`] makes them of columns and columns of them. Before SQL writes to what belongs to a service,
//! it asks [`write`](mod@write).

mod batches;
mod call;
mod chain;
mod cluster;
mod contents;
mod matrix;
mod policy;
mod read;
mod reader;
mod reduce;
mod reductions;
mod tensor;
mod trust;
mod unerased;
mod upkeep;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tracing::error;

pub(super) use chain::OpenBlocks;
use chain::Tracked;
pub use contents::{Contents, TensorReader};
pub(super) use reader::{Reader, Received};
pub(super) use reduce::Reducer;
pub(super) use reductions::reduce_link;
use upkeep::Job;

use super::call::{Caller, Invocation};
use super::relation::Engine;
use super::sql::{Outcome, Plans};
use super::tensor::Memo;
use super::tensor::device::Devices;
use crate::chain::record;
use crate::cluster::{Chains, Description, Placed, registry};
use crate::compiler::methods::Shape;
use crate::error::Result;
use crate::limits::Limits;
use crate::storage::{Store, TableDiff, Transaction};
use crate::txn::{Access, Txn, Watch};
use crate::value::{Collection, Id, Link, State, Tensor, Verb};

/// What a script of SQL is answered with.
#[derive(Debug)]
pub enum SqlReply {
    /// What its last statement results in.
    Done(Outcome),
    /// That, and what the script would have changed.
    Hypothetical(Outcome, Vec<TableDiff>),
}

/// A call that needs rows.
pub(super) enum DataCall {
    /// Of a collection, or of a method of it.
    Method { collection: Arc<Collection>, path: Arc<[Id]>, shape: Shape, args: Vec<State> },
    /// Of a tensor, or of a method of it.
    Tensor { tensor: Arc<Tensor>, path: Arc<[Id]>, shape: Shape, args: Vec<State> },
    /// Of a collection, with the rows that are put to it: key and value of each.
    WriteAll { collection: Arc<Collection>, args: Vec<State> },
    /// Of a path of this host.
    Path { link: Link, shape: Shape, args: Vec<State> },
}

/// A transaction, from the first request for rows to the commit.
pub struct Session {
    txn: Arc<Transaction>,
    store: Arc<Store>,
    /// Whose the request is, if that is known.
    actor: Option<State>,
    engine: Engine,
    plans: Arc<Plans>,
    devices: Arc<Devices>,
    /// What was computed of tensors since something was last written to one.
    memo: Mutex<Arc<Memo>>,
    chains: Tracked,
    open_blocks: Arc<OpenBlocks>,
    /// What the request may call.
    access: Option<Arc<dyn Access>>,
    /// What watches the calls that it makes.
    watch: Option<Arc<dyn Watch>>,
    /// What is to be done once the transaction is committed.
    jobs: Mutex<Vec<Job>>,
    /// The chain that the transaction would have used and may not yet, if there is one.
    unerased: Mutex<Option<Arc<str>>>,
    /// Nodes that the graph of an op may have which is installed.
    nodes_max: usize,
    /// Whether another host was called.
    was_told: AtomicBool,
    /// Whether what is written is to be committed.
    commits: AtomicBool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("was_told", &self.was_told).finish_non_exhaustive()
    }
}

impl Session {
    /// A transaction that may take what `limits` say.
    pub(super) fn new(
        store: &Arc<Store>,
        engine: &Engine,
        plans: &Arc<Plans>,
        devices: &Arc<Devices>,
        open_blocks: &Arc<OpenBlocks>,
        txn: &Txn,
        limits: &Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            txn: Arc::new(Transaction::new(Arc::clone(store), txn.id, limits.request_bytes)),
            store: Arc::clone(store),
            actor: txn.actor.clone(),
            engine: engine.clone(),
            plans: Arc::clone(plans),
            devices: Arc::clone(devices),
            memo: Mutex::default(),
            chains: Tracked::default(),
            open_blocks: Arc::clone(open_blocks),
            access: txn.access.clone(),
            watch: txn.watch.clone(),
            jobs: Mutex::default(),
            unerased: Mutex::default(),
            nodes_max: limits.graph_nodes,
            was_told: AtomicBool::new(false),
            commits: AtomicBool::new(false),
        })
    }

    pub(crate) fn txn(&self) -> &Arc<Transaction> {
        &self.txn
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.plans
    }

    /// What was computed of tensors.
    fn memo(&self) -> Arc<Memo> {
        let mut memo = self.memo.lock();
        if memo.is_full() {
            *memo = Arc::default();
        }
        Arc::clone(&memo)
    }

    /// Forgets what was computed of tensors, because one of them was written to.
    fn forget_computed(&self) {
        *self.memo.lock() = Arc::default();
    }

    /// Notes that another host is called, so that the request cannot be run a second time unnoticed.
    pub(super) fn tell(&self) {
        self.was_told.store(true, Ordering::Relaxed);
    }

    /// What watches the calls that the request makes, if anything does.
    pub(super) fn watch(&self) -> Option<&Arc<dyn Watch>> {
        self.watch.as_ref()
    }

    /// Says that what is written is to be committed.
    pub(super) fn will_commit(&self) {
        self.commits.store(true, Ordering::Relaxed);
    }

    fn commits(&self) -> bool {
        self.commits.load(Ordering::Relaxed)
    }

    /// Whether another host was called.
    pub fn was_told(&self) -> bool {
        self.was_told.load(Ordering::Relaxed)
    }

    /// Commits what was written.
    ///
    /// # Errors
    /// `Conflict` if another transaction wrote what this one read; `Unavailable` if the disk failed.
    pub async fn commit(&self) -> Result<()> {
        if self.chains.is_empty() {
            return self.txn.commit().await.map(|_| ());
        }
        Box::pin(self.commit_with_records()).await
    }

    async fn commit_with_records(&self) -> Result<()> {
        let grown = self.chains.append(&self.txn, self.actor.as_ref()).await?;
        self.txn.commit().await?;
        let mut jobs = std::mem::take(&mut *self.jobs.lock());
        jobs.extend(self.open_blocks.close(&self.txn, grown).await);
        self.open_blocks.upkeep().start(&self.store, jobs);
        Ok(())
    }

    /// Begins to do what chains had not finished when the host stopped. From then on, those from which something was
    /// purged cannot be used before files are rid of it.
    ///
    /// # Errors
    /// `Internal` if what is installed cannot be read.
    pub async fn resume(&self) -> Result<()> {
        let (mut chains, mut jobs) = (Chains::all(&self.txn), Vec::new());
        while let Some(Placed { path, chain }) = chains.next().await? {
            if upkeep::deletes(&chain)
                && let Some(subject) = self.txn.table(&path).await?
            {
                jobs.push(Job::new(&self.txn, &subject, &chain));
            }
        }
        self.open_blocks.upkeep().resume(&self.store, jobs).await
    }

    /// Looks at all chains, and logs which of them have a history that is broken.
    ///
    /// # Errors
    /// `Internal` if what is installed cannot be read.
    pub async fn check_histories(&self) -> Result<()> {
        let mut chains = Chains::all(&self.txn);
        while let Some(Placed { path, chain }) = chains.next().await? {
            let Some(subject) = self.txn.table(&path).await?.filter(|_| chain.kind.has_records()) else { continue };
            if let Err(error) = Box::pin(self.blocks(&chain, &subject)).await {
                error!(chain = %path, %error, "the history of a chain is broken");
            }
        }
        Ok(())
    }

    /// Checks that the table at a path may be used: see [`Session::unerased`].
    ///
    /// # Errors
    /// `Unavailable` if what was purged from it before the host stopped is not erased yet.
    pub(super) fn check_erased(&self, path: &str) -> Result<()> {
        self.open_blocks.upkeep().unerased().check(path).inspect_err(|_| {
            *self.unerased.lock() = Some(record::subject_of(path).into());
        })
    }

    /// The path of what a chain records that the transaction would have used and may not yet, if there is one.
    pub(super) fn unerased(&self) -> Option<Arc<str>> {
        self.unerased.lock().clone()
    }

    /// Has something done for a chain once the transaction is committed.
    fn upkeep_after(&self, job: Job) {
        self.jobs.lock().push(job);
    }

    /// Has something done for a chain that does not depend on the transaction.
    fn upkeep_now(&self, job: Job) {
        self.open_blocks.upkeep().start(&self.store, vec![job]);
    }

    /// Performs a call. What is in memory is there when this is first polled. If `notes` are given, how it is done is
    /// added to them.
    pub(super) fn call(
        self: &Arc<Self>,
        call: DataCall,
        caller: Caller,
        notes: Option<Arc<Notes>>,
    ) -> BoxFuture<'static, Result<Invocation>> {
        let session = Arc::clone(self);
        async move { Worker { session: &session, caller, notes: notes.as_deref() }.perform(call).await }.boxed()
    }

    /// What the transaction would change in the tables that others can read and write: of each up to `rows_max` rows.
    ///
    /// # Errors
    /// As [`Transaction::diff`].
    pub(super) async fn diff(&self, rows_max: usize) -> Result<Vec<TableDiff>> {
        let mut diff = self.txn.diff(rows_max).await?;
        diff.retain(|table| !registry::owns(&table.name) && !record::is_path(&table.name));
        // A method may change what whoever calls it may not read.
        let (worker, mut shown) = (Worker::of(self), Vec::with_capacity(diff.len()));
        for table in diff {
            if worker.check_permitted(&table.name, &Shape::Get).await.is_ok() {
                shown.push(table);
            }
        }
        Ok(shown)
    }

    /// What is at the path of a directory, an item or a version.
    ///
    /// # Errors
    /// `NotFound` if there is nothing, `BadRequest` below a version.
    pub(super) async fn describe(&self, link: &Link) -> Result<Description> {
        Worker::of(self).describe(link).await
    }

    /// Whether a service trusts somebody who has granted a call of it to whoever makes the request.
    ///
    /// # Errors
    /// `Internal` if what is installed cannot be read.
    pub(super) async fn trusts(&self, verb: Verb, link: &Link) -> Result<bool> {
        Worker::of(self).trusts(verb, link).await
    }

    /// `state` with the rows of the collections in it, and the elements of tensors. If `notes` are given, it is added to them
    /// how these were computed.
    ///
    /// # Errors
    /// `TooLarge` if they take more than `bytes_max`.
    pub(super) async fn read_all(&self, state: State, bytes_max: usize, notes: Option<&Notes>) -> Result<State> {
        if !state.contains(is_collection) {
            return Ok(state);
        }
        let (worker, mut left, mut filled) = (Worker::of(self), bytes_max as u64, Vec::new());
        for found in state.find(is_collection) {
            let read = match found {
                State::Collection(collection) => {
                    let rows = read::tuples(Box::pin(worker.read(collection, left)).await?)?;
                    State::from(Collection { rows: Some(rows), ..collection.as_ref().clone() })
                }
                State::Tensor(tensor) => {
                    let worker = Worker { session: self, caller: Caller::default(), notes };
                    Box::pin(worker.filled_tensor(tensor, left)).await?.into()
                }
                _ => continue,
            };
            left = left.saturating_sub(read.weight());
            filled.push(read);
        }
        state.replace(is_collection, &mut filled.into_iter())
    }

    /// What a call of a path would run, as far as that is known before anything is done. Nothing for who may not read it;
    /// `home` is the version whose code makes the call.
    ///
    /// # Errors
    /// `Internal` if what is installed cannot be read.
    pub(super) async fn find(
        &self,
        link: &Link,
        shape: &Shape,
        args: Vec<State>,
        home: Option<Link>,
    ) -> Result<Option<Invocation>> {
        let caller = Caller { home, ..Caller::default() };
        Box::pin(Worker { session: self, caller, notes: None }.find(link, shape, args)).await
    }
}

/// How rows were read and written, in words, for EXPLAIN ANALYZE.
pub(super) type Notes = Mutex<Vec<String>>;

/// Performs one call.
struct Worker<'a> {
    session: &'a Session,
    /// Who makes it.
    caller: Caller,
    notes: Option<&'a Notes>,
}

impl<'a> Worker<'a> {
    /// One for what a request does itself.
    fn of(session: &'a Session) -> Self {
        Self { session, caller: Caller::default(), notes: None }
    }
}

impl Worker<'_> {
    /// What this call may call; nothing where nobody asks.
    fn access(&self) -> Option<&dyn Access> {
        let granted = self.caller.granted.as_ref().map(|granted| &granted.access);
        granted.or(self.session.access.as_ref()).map(|access| &**access)
    }

    fn txn(&self) -> &Arc<Transaction> {
        &self.session.txn
    }

    fn note(&self, text: impl FnOnce() -> String) {
        if let Some(notes) = self.notes {
            notes.lock().push(text());
        }
    }
}

/// Whether a state stands for rows or elements that have to be read.
fn is_collection(state: &State) -> bool {
    matches!(state, State::Collection(_) | State::Tensor(_))
}
