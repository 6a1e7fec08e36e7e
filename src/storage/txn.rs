//! Transactions: what one request reads and writes, from its snapshot to its commit.
//!
//! A [`Transaction`] sees the commits up to its first use, and its own writes above them. What it writes stays with it
//! until [`Transaction::commit`] hands everything to the store at once; what it has read goes along as ranges of keys, so
//! that the store can refuse it if another transaction changed any of that meanwhile. Every use of a durable table counts
//! as a read of its entry in the catalog.
//!
//! It may be used from several tasks. Reads never wait for each other; writes are made one after the other
//! ([`Core::writer`]), because an index is right only if nothing comes between reading the old row and writing the new
//! one. A stream keeps what it saw when it was opened.
//!
//! What was done is told by [`Transaction::commit`], as a number that orders all commits. A table may have these
//! numbers in its keys: see [`Transaction::append`].
//!
//! Collections of the transaction itself, which nobody else can see, are read and written by the same methods. They have
//! no entry in the catalog, and what is read of them is not recorded.

mod alter;
mod append;
mod batch;
mod ddl;
mod frozen;
#[cfg(test)]
pub(super) mod sample;
mod scan;
mod spill;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::MutexGuard;

pub use scan::Scan;
pub(super) use spill::memtable;

use super::catalog::{self, CATALOG};
use super::codec::{KeyRange, encode_key};
use super::commit::Commit;
use super::index::Access;
use super::load::Drafts;
use super::read_set::ReadSet;
use super::store::Store;
use super::tree::Source;
use super::version::Snapshot;
use super::write_set::{Parts, WriteSet};
use crate::error::{Error, Result};
use crate::txn::TxnId;
use crate::value::State;
use crate::value::schema::{Schema, Table, TreeId};

/// What happens to a row whose key is there already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// It is replaced.
    Upsert,
    /// The new row is refused.
    Insert,
}

/// A transaction. If it is dropped, nothing remains of what it wrote and did not commit.
pub struct Transaction {
    core: Arc<Core>,
}

/// What a transaction shares with its streams and loads.
pub(super) struct Core {
    pub(super) store: Arc<Store>,
    id: TxnId,
    /// Bytes of memory for writes, beyond which they go to segments.
    bytes_max: u64,
    snapshot: OnceLock<Snapshot>,
    pub(super) work: Mutex<Work>,
    /// Held while something is written.
    writing: tokio::sync::Mutex<()>,
}

/// What a transaction has done so far.
#[derive(Default)]
pub(super) struct Work {
    pub(super) writes: WriteSet,
    pub(super) reads: ReadSet,
    /// The tables that were used, by the trees of their rows.
    used: HashMap<TreeId, Arc<Access>>,
    /// The tables that were created, changed or dropped, by path.
    changed: BTreeMap<Arc<str>, Changed>,
    /// How many collections of its own there are.
    own_len: u64,
    /// Whether the transaction was committed, or failed to be.
    is_over: bool,
}

/// A table before and after a transaction.
#[derive(Clone)]
pub(super) struct Changed {
    pub(super) before: Option<Arc<Table>>,
    pub(super) after: Option<Arc<Table>>,
}

impl Transaction {
    /// A transaction in `store`. Its snapshot is taken when something durable is first used.
    ///
    /// Rows that it writes take up to `bytes_max` bytes of memory, roughly; beyond that they go to files.
    pub fn new(store: Arc<Store>, id: TxnId, bytes_max: u64) -> Self {
        let core = Core {
            store,
            id,
            bytes_max,
            snapshot: OnceLock::new(),
            work: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        };
        Self { core: Arc::new(core) }
    }

    /// The id.
    pub fn id(&self) -> TxnId {
        self.core.id
    }

    /// The last commit that the transaction sees.
    pub fn snapshot_seq(&self) -> u64 {
        self.core.snapshot().seq
    }

    /// A transaction of its own for what is to be done once this one is committed.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self::new(Arc::clone(&self.core.store), self.core.id, self.core.bytes_max)
    }

    /// Makes an empty collection that lives as long as the transaction.
    pub fn create(&self, schema: Schema) -> Arc<Table> {
        let schema = Arc::new(alter::numbered(schema));
        let mut work = self.core.work.lock();
        let trees = 1 + schema.indexes.len() as u64;
        let first = TreeId::EPHEMERAL + work.own_len;
        work.own_len += trees;
        let indexes = (first + 1..first + trees).map(TreeId).collect();
        let table = Arc::new(Table { name: "".into(), schema, rows: TreeId(first), indexes });
        work.used.insert(table.rows, Arc::new(Access::new(&table)));
        table
    }

    /// The row with the key `key`, whose cells were cast to their columns.
    ///
    /// Completes when it is first polled if the row is in memory or in cached blocks.
    ///
    /// # Errors
    /// `BadRequest` if there are more or fewer cells than key columns; as [`Transaction::scan`].
    pub async fn get(&self, table: &Table, key: &[State]) -> Result<Option<Vec<State>>> {
        let (key, source) = self.point(table, key)?;
        source.get(&table.schema, &key).await
    }

    /// Whether there is a row with the key `key`.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn contains(&self, table: &Table, key: &[State]) -> Result<bool> {
        let (key, source) = self.point(table, key)?;
        source.contains(&key).await
    }

    fn point(&self, table: &Table, key: &[State]) -> Result<(Vec<u8>, Source)> {
        let key = key_bytes(&table.schema, key)?;
        let mut work = self.core.work.lock();
        let access = self.core.access(&mut work, table)?;
        work.note_point(&access, &key);
        let source = self.core.source(&work, table.rows);
        Ok((key, source))
    }

    /// Notes that all rows of a table were read, e.g. because they were counted by [`Transaction::estimate`].
    pub fn note_read(&self, table: &Table) {
        let mut work = self.core.work.lock();
        // A table that cannot be used was not read.
        if let Ok(access) = self.core.access(&mut work, table) {
            work.note_range(&access, table.rows, &KeyRange::all());
        }
    }

    /// Whether anything was written that a commit would keep.
    pub fn has_writes(&self) -> bool {
        self.core.work.lock().writes.is_durable()
    }

    /// Makes durable what was written, and returns the number of the commit; none if nothing was written.
    ///
    /// The transaction is over then, whatever comes of it. If the caller goes away meanwhile, it may be committed all the
    /// same.
    ///
    /// # Errors
    /// `Conflict` if another transaction has changed meanwhile what this one read; `BadRequest` if it is over already;
    /// otherwise as [`Store::commit`].
    pub async fn commit(&self) -> Result<Option<u64>> {
        let core = &self.core;
        let _writing = core.writer().await;
        let (reads, parts) = {
            let mut work = core.work.lock();
            if std::mem::replace(&mut work.is_over, true) {
                return Err(over());
            }
            if !work.writes.is_durable() {
                return Ok(None);
            }
            (std::mem::take(&mut work.reads), work.writes.take_durable())
        };
        // If the store does not take them over, they are garbage.
        let _drafts = Drafts::new(&core.store, parts.ingests.clone());
        let (txn, snapshot) = (core.id, core.snapshot().seq);
        let Parts { cleared, ingests, writes, stamped } = parts;
        core.store.commit(Commit { txn, snapshot, reads, cleared, ingests, writes, stamped }).await.map(Some)
    }

    /// What loads and differences need.
    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("id", &self.core.id).finish_non_exhaustive()
    }
}

impl Core {
    /// Waits until nobody else writes in this transaction, and keeps others from it.
    pub(super) async fn writer(&self) -> MutexGuard<'_, ()> {
        // At once if it is free: a task that has used up its turn would otherwise be sent to the end of the queue.
        match self.writing.try_lock() {
            Ok(guard) => guard,
            Err(_) => self.writing.lock().await,
        }
    }

    /// What the transaction sees beside its own writes.
    pub(super) fn snapshot(&self) -> &Snapshot {
        self.snapshot.get_or_init(|| self.store.snapshot())
    }

    /// The rows of a tree as the transaction sees them now.
    pub(super) fn source(&self, work: &Work, tree: TreeId) -> Source {
        let (overlay, is_alone) = work.writes.overlay(tree);
        if tree.is_ephemeral() {
            return Source { tree: None, overlay, seq: 0 };
        }
        let snapshot = self.snapshot();
        let base = if is_alone { None } else { snapshot.tree(tree).cloned() };
        Source { tree: base, overlay, seq: snapshot.seq }
    }

    /// What is needed to use `table`, which counts as a read of its definition.
    ///
    /// # Errors
    /// `BadRequest` if the transaction is over, if it has changed or dropped the table, or if it is a collection of
    /// another transaction. `Conflict` if the table was defined otherwise when the snapshot was taken.
    pub(super) fn access(&self, work: &mut Work, table: &Table) -> Result<Arc<Access>> {
        if work.is_over && !table.rows.is_ephemeral() {
            return Err(over());
        }
        let changed = || Error::bad_request(format!("{} was changed or dropped in this transaction", table.name));
        match work.used.get(&table.rows) {
            Some(access) if access.is_of(table) => return Ok(Arc::clone(access)),
            Some(_) => return Err(changed()),
            None if work.changed.contains_key(&table.name) => return Err(changed()),
            None if table.rows.is_ephemeral() => {
                return Err(Error::bad_request("the collection belongs to another transaction"));
            }
            None => {}
        }
        let (access, snapshot) = (Arc::new(Access::new(table)), self.snapshot());
        let is_current =
            access.trees().all(|(id, schema)| snapshot.tree(id).is_some_and(|tree| tree.schema == *schema));
        if !is_current {
            let message = format!("{} was changed or dropped meanwhile: retry the transaction", table.name);
            return Err(Error::conflict(message));
        }
        work.reads.add_point(CATALOG, &catalog::key(&table.name)?);
        work.used.insert(table.rows, Arc::clone(&access));
        Ok(access)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let segments = self.work.get_mut().writes.take_segments();
        drop(Drafts::new(&self.store, segments));
    }
}

impl Work {
    /// Notes that a row of a table was read, whether there is one or not.
    pub(super) fn note_point(&mut self, access: &Access, key: &[u8]) {
        if access.is_durable() {
            self.reads.add_point(access.table.rows, key);
        }
    }

    /// Notes that a range of the rows of a table, or of one of its indexes, was read.
    pub(super) fn note_range(&mut self, access: &Access, tree: TreeId, range: &KeyRange) {
        if access.is_durable() {
            self.reads.add_range(tree, range);
        }
    }

    /// The durable tables that were created, changed or dropped, or whose rows were written, by path.
    pub(super) fn written(&self) -> BTreeMap<Arc<str>, Changed> {
        let mut written = self.changed.clone();
        for access in self.used.values().filter(|access| access.is_durable()) {
            let table = &access.table;
            if self.writes.changes(table.rows) {
                let same = || Changed { before: Some(Arc::clone(table)), after: Some(Arc::clone(table)) };
                written.entry(Arc::clone(&table.name)).or_insert_with(same);
            }
        }
        written
    }
}

fn over() -> Error {
    Error::bad_request("the transaction is over")
}

/// The bytes of a whole key.
fn key_bytes(schema: &Schema, key: &[State]) -> Result<Vec<u8>> {
    if key.len() != schema.key_len {
        let (expected, found) = (schema.key_len, key.len());
        return Err(Error::bad_request(format!("expected a key of {expected} cells, not {found}")));
    }
    encode_key(schema.key(), key)
}
