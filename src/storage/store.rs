//! A store: the durable trees of a host.
//!
//! What a transaction commits goes through the committer ([`super::writer`]) into the log and into memory; from there
//! checkpoints bring it to segments ([`super::checkpoint`]), which are merged when there are many
//! ([`super::compaction`]); and whatever happens, [`super::recovery`] finds it again. Readers take a [`Snapshot`] and
//! never wait for any of that.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::background::Background;
use super::commit::Commit;
use super::committer::Committer;
use super::compaction::plan::Effort;
use super::counters::Stats;
use super::files::{open_object_store, run_blocking};
use super::log::{Disk, LocalDisk, MemoryDisk};
use super::recovery;
use super::seal::Keys;
use super::segment::{Segment, SegmentMeta, SegmentWriter, WriterOptions};
use super::shared::{Shared, closing};
use super::version::Snapshot;
use crate::env::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::value::{Schema, TreeId};

/// Bytes of memtables that are written to segments at once, unless the configuration says otherwise.
pub const MEMTABLE_BYTES: u64 = 64 << 20;
/// Bytes of keys and payloads in a commit. A transaction that writes more does so in segments.
const COMMIT_BYTES_MAX: usize = 1 << 30;

/// Where a store is, and how much memory it uses.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The directory of the log.
    pub disk: Arc<dyn Disk>,
    /// The directory of segments and manifests. What it has acknowledged must be durable: see
    /// [`super::files::open_object_store`].
    pub objects: Arc<dyn ObjectStore>,
    /// What encrypts all that is written to both; nothing to write it as it is.
    pub keys: Option<Arc<Keys>>,
    /// Bytes of what was read of segments.
    pub cache_bytes: u64,
    /// Bytes of memtables that are written to segments at once; up to twice as much is in memory meanwhile.
    pub memtable_bytes: u64,
    pub clock: Arc<dyn Clock>,
    /// For tests that are the same each time: there are no threads and no tasks, commits happen in the task of the
    /// caller, and checkpoints and merges only when they are asked for.
    pub inline: bool,
}

impl StoreConfig {
    /// A store in the directory at `root`.
    ///
    /// # Errors
    /// `Internal` if the directory cannot be used.
    pub fn local(root: &Path, cache_bytes: u64, memtable_bytes: u64) -> Result<Self> {
        let log = root.join("log");
        let disk = LocalDisk::open(&log);
        let disk = disk.map_err(|error| Error::internal(format!("cannot use {}: {error}", log.display())))?;
        Ok(Self {
            disk: Arc::new(disk),
            objects: open_object_store(Some(&root.join("objects")))?,
            keys: None,
            cache_bytes,
            memtable_bytes,
            clock: Arc::new(SystemClock),
            inline: false,
        })
    }

    /// A store in memory, for tests. It is inline, so nothing leaves its memtables unless a checkpoint is asked for.
    pub fn memory() -> Self {
        Self {
            disk: Arc::new(MemoryDisk::new()),
            objects: Arc::new(InMemory::new()),
            keys: None,
            cache_bytes: MEMTABLE_BYTES,
            memtable_bytes: MEMTABLE_BYTES,
            clock: Arc::new(SystemClock),
            inline: true,
        }
    }
}

/// The trees of a host, open for reading and writing.
pub struct Store {
    shared: Arc<Shared>,
    /// Nothing in a store that is inline.
    threads: Option<Threads>,
}

#[derive(Debug)]
struct Threads {
    committer: Arc<Committer>,
    background: Background,
}

impl Store {
    /// Opens the store that `config` names, which is empty if there is none. Unless it is inline, this must be called
    /// in a runtime, which then does its background work.
    ///
    /// # Errors
    /// `Internal` if something that was durable is missing or damaged, if a newer release wrote it, or if the disk
    /// fails. The message names the file.
    pub async fn open(config: StoreConfig) -> Result<Arc<Self>> {
        let shared = Arc::new(recovery::open(config).await?);
        let threads = match &shared.runtime {
            None => None,
            Some(runtime) => {
                let committer = Arc::new(Committer::start(Arc::clone(&shared))?);
                Some(Threads { committer, background: Background::start(runtime, &shared) })
            }
        };
        Ok(Arc::new(Self { shared, threads }))
    }

    /// What there is now: all commits that were acknowledged to anyone before, and maybe some that will be soon.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Makes a transaction durable and visible, and returns the number of its commit. What it brings in segments
    /// belongs to the store from now on; if it is refused, the files are deleted when nobody reads them.
    ///
    /// If nothing is written, nothing is checked either: a transaction that only reads is right as of its snapshot.
    ///
    /// # Errors
    /// `Conflict` if something that it had read was changed: then the whole transaction can be tried again.
    /// `Unavailable` if the store takes no commits at the moment. `TooLarge` if it has too many bytes. `Internal` if it
    /// is not known whether it was committed, because the disk failed, or if it makes no sense.
    ///
    /// # Cancel safety
    /// If this is dropped, the transaction may be committed all the same.
    pub async fn commit(&self, commit: Commit) -> Result<u64> {
        if commit.is_empty() {
            return Ok(self.shared.seq());
        }
        if commit.log_bytes() > COMMIT_BYTES_MAX {
            self.abandon(&commit.ingests);
            let message = format!("a transaction writes at most {} MiB beside what it loads", COMMIT_BYTES_MAX >> 20);
            return Err(Error::too_large(message));
        }
        let Some(threads) = &self.threads else {
            self.shared.garbage.take_over(&commit.ingests);
            let mut outcomes = self.shared.writer.lock().commit(&self.shared, vec![commit]);
            return outcomes.pop().unwrap_or_else(|| Err(closing()));
        };
        if let Err(error) = self.shared.wait_for_room(&commit).await {
            self.abandon(&commit.ingests);
            return Err(error);
        }
        // From here on there is no way back.
        self.shared.garbage.take_over(&commit.ingests);
        let commit = match self.is_alone() {
            true => match threads.committer.commit_here(&self.shared, commit) {
                Ok(outcome) => return outcome,
                Err(commit) => *commit,
            },
            false => commit,
        };
        let reply = threads.committer.submit(commit)?;
        reply.await.unwrap_or_else(|_| {
            Err(Error::internal("whether the transaction was committed is not known: the store stopped meanwhile"))
        })
    }

    /// Whether the transaction that commits is the only one, and other threads serve requests while this one waits for the
    /// disk: no more than one ever does, and it is told sooner than if another thread had to be woken for it.
    fn is_alone(&self) -> bool {
        let runtime = tokio::runtime::Handle::try_current();
        let has_others = runtime.is_ok_and(|runtime| runtime.metrics().num_workers() > 1);
        has_others && self.shared.open_snapshots() <= 1
    }

    /// Writes everything that is in memory to segments, and cuts off the log.
    ///
    /// # Errors
    /// `Internal` if something cannot be written; nothing is lost then, and it can be tried again.
    pub async fn checkpoint(&self) -> Result<()> {
        self.shared.checkpoint().await
    }

    /// Merges some overlapping segments, and returns whether there were any.
    ///
    /// # Errors
    /// `Internal` if something cannot be read or written; nothing is lost then, and it can be tried again.
    pub async fn compact(&self) -> Result<bool> {
        self.shared.merge(Effort::IDLE).await
    }

    /// Removes what is not visible any more of some trees from all files: the older versions of their rows, rows that
    /// were deleted, and those of trees that were dropped, as of the newest commit when this is called. The trees of a
    /// table are that of its rows and those of its indexes. What transactions have written and not committed stays.
    ///
    /// All that these trees have is written again, so this may take long. Commits go on meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if snapshots stay open that see the older rows: their files are deleted when the snapshots are
    /// dropped, and this should be called again then. Also if the store takes no commits. `Internal` if something
    /// cannot be read, written or deleted; nothing is lost then, and it can be tried again.
    ///
    /// # Cancel safety
    /// If this is dropped, something may be left in files until it is called again. Nothing else is different.
    pub async fn scrub(&self, trees: &[TreeId]) -> Result<()> {
        self.shared.scrub(trees).await
    }

    /// Writes all again that is encrypted with other keys than the newest one, so that these are not needed any more.
    /// This may take long. Commits go on meanwhile.
    ///
    /// # Errors
    /// As [`Store::scrub`]: something may need an older key then, until this is called again.
    ///
    /// # Cancel safety
    /// As that of [`Store::scrub`].
    pub async fn reseal(&self) -> Result<()> {
        self.shared.reseal().await
    }

    /// What the store holds and has done.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// An id for a tree of a table that is about to be created. It is never given again, though it may be used by
    /// nobody.
    pub fn next_tree_id(&self) -> TreeId {
        self.shared.new_tree()
    }

    /// Begins a segment with rows of `tree`, which has `schema`, for a transaction to commit. Rows may be tombstones
    /// only if `has_tombstones`.
    ///
    /// # Errors
    /// `Internal` if the schema cannot be stored.
    pub fn new_segment_writer(
        &self,
        tree: TreeId,
        schema: &Arc<Schema>,
        has_tombstones: bool,
    ) -> Result<SegmentWriter> {
        let options = if has_tombstones { WriterOptions::with_tombstones() } else { WriterOptions::default() };
        self.shared.segments.writer(self.shared.new_segment(), tree, schema, options)
    }

    /// The segment that a writer of this store has finished. It belongs to the caller, who either commits it or
    /// abandons it; otherwise its file stays until the store is opened again.
    pub fn open_segment(&self, meta: SegmentMeta, schema: &Arc<Schema>) -> Arc<Segment> {
        let segment = self.shared.segments.open(meta, schema);
        self.shared.garbage.begin(&segment);
        segment
    }

    /// Gives up segments, whose files are deleted when nobody reads them any more. Those that belong to the store by
    /// now are left alone.
    pub fn abandon(&self, segments: &[Arc<Segment>]) {
        self.shared.garbage.abandon(segments);
    }

    /// Stops taking commits, commits those that wait, makes a checkpoint and ends all threads and tasks of the store.
    /// What goes wrong is logged; nothing is lost by it.
    pub async fn close(&self) {
        if let Some(Threads { committer, background }) = &self.threads {
            self.shared.close_background();
            // Those who wait for room would wait for ever.
            self.shared.wake_all();
            background.join().await;
            committer.close();
            let committer = Arc::clone(committer);
            if run_blocking(move || committer.join()).await.is_err() {
                tracing::error!("could not wait for the last commits");
            }
        }
        if let Err(error) = self.checkpoint().await {
            tracing::error!(%error, "cannot make a last checkpoint; the log is replayed at the next start");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(threads) = &self.threads {
            self.shared.close_background();
            threads.committer.close();
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("seq", &self.shared.seq()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;
