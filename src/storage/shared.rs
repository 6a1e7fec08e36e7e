//! What the parts of a store share: its newest version, the committer's state, and what is known of its files.
//!
//! Locks, in the order in which they are taken where several are held: the queues of background work, the writer, the
//! newest version, the registry of snapshots. The writer is locked for as long as a group takes to become durable;
//! the newest version only for a moment, so that readers never wait for a disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::commit::Commit;
use super::compaction::plan::{Piece, depth};
use super::counters::{Counters, Stats, Written};
use super::edit::Edit;
use super::files::join_error;
use super::garbage::Garbage;
use super::log::Disk as _;
use super::manifest::Manifest;
use super::metered::MeteredDisk;
use super::pins::Pins;
use super::seal::SealedObjects;
use super::segment::{SegmentStore, Sweeper};
use super::version::{Snapshot, TreeVersion, Version};
use super::writer::Writer;
use crate::env::Clock;
use crate::error::{Error, Result};
use crate::value::TreeId;

/// Memtables may take this many times the size that they are frozen at: once what is being written to segments, and
/// once what arrives meanwhile. Past this, commits wait.
const MEMTABLES_MAX: u64 = 2;
/// The log may have this many times the bytes that memtables are frozen at, before it is cut off: commits that change
/// the same rows again and again take no more memory, but longer to replay.
const LOG_FACTOR: u64 = 4;
/// Segments that transactions have brought since the last checkpoint. They cannot be merged before the next one.
const UNLISTED_MAX: u64 = 8;
/// How many segments of a tree may overlap at one key. Past this, commits that write to the tree wait until some are
/// merged.
const OVERLAP_MAX: usize = 24;

/// The state of a store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) segments: SegmentStore,
    /// Where the segments are, if they are encrypted.
    pub(super) sealed: Option<Arc<SealedObjects>>,
    pub(super) sweeper: Arc<Sweeper>,
    pub(super) disk: Arc<MeteredDisk>,
    pub(super) clock: Arc<dyn Clock>,
    /// Where background work runs. None: everything happens where it is called.
    pub(super) runtime: Option<Handle>,
    pub(super) memtable_bytes: u64,
    pub(super) writer: Mutex<Writer>,
    newest: Mutex<Newest>,
    pins: Arc<Pins>,
    pub(super) garbage: Garbage,
    pub(super) counters: Counters,
    pub(super) load: Load,
    /// The last manifest that was attempted, and the last one that is durable.
    position: tokio::sync::Mutex<Position>,
    /// The floor of the last manifest that is durable.
    floor: AtomicU64,
    next_tree: AtomicU64,
    next_segment: AtomicU64,
    /// Held by the one checkpoint, and the one merge, that are running.
    pub(super) checkpointing: tokio::sync::Mutex<()>,
    pub(super) merging: tokio::sync::Mutex<()>,
    pub(super) signals: Signals,
}

/// What a store is made of when it is opened.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) segments: SegmentStore,
    pub(super) sealed: Option<Arc<SealedObjects>>,
    pub(super) sweeper: Arc<Sweeper>,
    pub(super) disk: Arc<MeteredDisk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Option<Handle>,
    pub(super) memtable_bytes: u64,
    pub(super) writer: Writer,
    pub(super) version: Version,
    /// The newest commit.
    pub(super) seq: u64,
    pub(super) garbage: Garbage,
    /// The number of the last manifest, and its floor.
    pub(super) manifest: u64,
    pub(super) floor: u64,
    pub(super) next_tree: u64,
    pub(super) next_segment: u64,
}

/// What new snapshots see.
#[derive(Debug)]
struct Newest {
    version: Arc<Version>,
    seq: u64,
    /// How many segments overlap in each tree, where it is more than one.
    overlaps: HashMap<TreeId, usize>,
}

#[derive(Debug)]
struct Position {
    number: u64,
    floor: u64,
}

/// What has gathered since the last checkpoint.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Bytes of the memtables that take rows, and of those that do not any more.
    pub(super) active_bytes: AtomicU64,
    pub(super) frozen_bytes: AtomicU64,
    /// Whether something was frozen, or is no longer used, that no durable manifest says so of.
    pub(super) is_unsaved: AtomicBool,
    /// Bytes that went to the log.
    pub(super) logged_bytes: AtomicU64,
    /// Segments that only the log names.
    pub(super) unlisted: AtomicU64,
}

/// How the parts of a store wake each other.
#[derive(Debug)]
pub(super) struct Signals {
    /// There may be something to write to segments, or to merge.
    pub(super) checkpoint: Notify,
    pub(super) merge: Notify,
    /// Something was written or merged, or could not be.
    progress: watch::Sender<()>,
    /// Why not, if the last attempt failed.
    failures: Mutex<HashMap<Task, String>>,
    pub(super) is_closing: AtomicBool,
}

/// What is done in the background.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub(super) enum Task {
    Checkpoint,
    Merge,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        let overlaps = overlaps(parts.version.trees.values());
        let newest = Newest { version: Arc::new(parts.version), seq: parts.seq, overlaps };
        Self {
            segments: parts.segments,
            sealed: parts.sealed,
            sweeper: parts.sweeper,
            disk: parts.disk,
            clock: parts.clock,
            runtime: parts.runtime,
            memtable_bytes: parts.memtable_bytes.max(1),
            writer: Mutex::new(parts.writer),
            newest: Mutex::new(newest),
            pins: Arc::default(),
            garbage: parts.garbage,
            counters: Counters::default(),
            load: Load::default(),
            position: tokio::sync::Mutex::new(Position { number: parts.manifest, floor: parts.floor }),
            floor: AtomicU64::new(parts.floor),
            next_tree: AtomicU64::new(parts.next_tree),
            next_segment: AtomicU64::new(parts.next_segment),
            checkpointing: tokio::sync::Mutex::new(()),
            merging: tokio::sync::Mutex::new(()),
            signals: Signals {
                checkpoint: Notify::new(),
                merge: Notify::new(),
                progress: watch::Sender::new(()),
                failures: Mutex::default(),
                is_closing: AtomicBool::new(false),
            },
        }
    }

    /// The newest version.
    pub(super) fn version(&self) -> Arc<Version> {
        Arc::clone(&self.newest.lock().version)
    }

    /// The newest commit.
    pub(super) fn seq(&self) -> u64 {
        self.newest.lock().seq
    }

    /// The newest version and the newest commit in it.
    pub(super) fn newest(&self) -> (Arc<Version>, u64) {
        let newest = self.newest.lock();
        (Arc::clone(&newest.version), newest.seq)
    }

    /// Opens a snapshot of the newest commit.
    pub(super) fn snapshot(&self) -> Snapshot {
        let newest = self.newest.lock();
        // Under the lock, so that nobody can think meanwhile that no snapshot is this old.
        let pin = self.pins.pin(newest.seq);
        Snapshot { version: Arc::clone(&newest.version), seq: newest.seq, pin }
    }

    /// How many snapshots are open.
    pub(super) fn open_snapshots(&self) -> u64 {
        self.pins.count()
    }

    /// The newest commit that every open snapshot sees, also each that may be opened from now on.
    pub(super) fn oldest(&self) -> u64 {
        let newest = self.newest.lock();
        self.pins.oldest().map_or(newest.seq, |oldest| oldest.min(newest.seq))
    }

    /// Publishes edits of the newest version, and a newer commit, if there is one, to all snapshots from now on.
    pub(super) fn publish(&self, edits: Vec<Edit>, seq: Option<u64>) {
        let touched: BTreeSet<TreeId> = edits.iter().map(Edit::tree).collect();
        let mut retired = Vec::new();
        let mut newest = self.newest.lock();
        let mut replaced = None;
        if !edits.is_empty() {
            let version = newest.version.edit(edits, &mut retired);
            let trees = touched.iter().filter_map(|tree| version.trees.get(tree));
            let overlaps = overlaps(trees);
            newest.overlaps.retain(|tree, _| !touched.contains(tree));
            newest.overlaps.extend(overlaps);
            replaced = Some(std::mem::replace(&mut newest.version, Arc::new(version)));
        }
        if let Some(seq) = seq {
            newest.seq = seq;
        }
        // Under the lock, so that a manifest either lists these or knows that they are retired.
        self.garbage.retire(retired);
        drop(newest);
        // Where nobody waits: this may be the end of large memtables.
        drop(replaced);
    }

    /// The floor of the last manifest that is durable: what is not newer is in the segments that it lists.
    pub(super) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    /// Makes a manifest durable that has everything up to commit `floor`, or up to the last floor. Then what only the
    /// last manifest named is garbage.
    ///
    /// All rows of commits up to `floor` must be in segments of the newest version.
    pub(super) async fn save_manifest(&self, floor: Option<u64>) -> Result<()> {
        let mut position = self.position.lock().await;
        let floor = floor.unwrap_or_default().max(position.floor);
        // Counted first: of an attempt that fails it is not known whether there is such a manifest now.
        position.number += 1;
        let (manifest, unnamed) = self.describe(position.number, floor);
        let objects = self.segments.objects();
        manifest.save(&**objects).await?;
        position.floor = floor;
        self.floor.store(floor, Ordering::Release);
        self.garbage.release(&unnamed);
        if let Err(error) = Manifest::prune(&**objects).await {
            tracing::warn!(%error, "cannot delete old manifests; trying again with the next one");
        }
        Ok(())
    }

    /// The manifest of the newest version as far as it does not come from the log, which is replayed from `floor` on;
    /// and the retired segments that are named by nothing else once it is durable.
    fn describe(&self, number: u64, floor: u64) -> (Manifest, Vec<u64>) {
        let newest = self.newest.lock();
        let segments = newest.version.trees.values().flat_map(|tree| &tree.segments);
        let listed = segments.map(|segment| segment.meta()).filter(|meta| meta.seq <= floor).cloned().collect();
        let manifest = Manifest {
            number,
            floor_seq: floor,
            next_tree: self.next_tree.load(Ordering::Relaxed),
            next_segment: self.next_segment.load(Ordering::Relaxed),
            segments: listed,
        };
        (manifest, self.garbage.unnamed(floor))
    }

    /// An id for a new tree.
    pub(super) fn new_tree(&self) -> TreeId {
        TreeId(self.next_tree.fetch_add(1, Ordering::Relaxed))
    }

    /// An id for a new segment.
    pub(super) fn new_segment(&self) -> u64 {
        self.next_segment.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs something with the writer, where it may wait for a disk.
    pub(super) async fn with_writer<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Writer, &Shared) -> T + Send + 'static,
    ) -> Result<T> {
        let Some(runtime) = &self.runtime else {
            return Ok(work(&mut self.writer.lock(), self));
        };
        let shared = Arc::clone(self);
        let done = runtime.spawn_blocking(move || work(&mut shared.writer.lock(), &shared));
        done.await.map_err(|error| join_error(&error))
    }

    /// Runs something that computes for long, where it keeps no request waiting.
    pub(super) async fn run_long<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Some(runtime) = &self.runtime else {
            return work.await;
        };
        let inner = runtime.clone();
        runtime.spawn_blocking(move || inner.block_on(work)).await.map_err(|error| join_error(&error))?
    }

    /// Whether memtables should be written to segments, or the log should be cut off.
    pub(super) fn needs_checkpoint(&self) -> bool {
        let load = &self.load;
        load.active_bytes.load(Ordering::Relaxed) >= self.memtable_bytes
            // Left by a checkpoint that failed.
            || load.is_unsaved.load(Ordering::Relaxed)
            || load.logged_bytes.load(Ordering::Relaxed) >= self.memtable_bytes.saturating_mul(LOG_FACTOR)
            || load.unlisted.load(Ordering::Relaxed) >= UNLISTED_MAX
    }

    /// Waits until there is room for a commit. Cancelling this changes nothing.
    ///
    /// # Errors
    /// `Unavailable` if nobody can make room.
    pub(super) async fn wait_for_room(&self, commit: &Commit) -> Result<()> {
        // Before the first look, so that no progress in between is missed.
        let mut progress = self.signals.progress.subscribe();
        while let Some(task) = self.what_makes_room(commit) {
            let failure = self.signals.failures.lock().get(&task).cloned();
            if let Some(why) = failure {
                return Err(Error::unavailable(format!("the store cannot take more rows at the moment: {why}")));
            }
            if self.signals.is_closing.load(Ordering::Acquire) {
                return Err(closing());
            }
            // The merge may have to wait for a checkpoint, which lists the segments that it needs.
            self.signals.checkpoint.notify_one();
            self.signals.merge.notify_one();
            // The sender is ours, so this ends with progress only.
            let _ = progress.changed().await;
        }
        Ok(())
    }

    /// What must be done before a commit can be taken, if anything must.
    fn what_makes_room(&self, commit: &Commit) -> Option<Task> {
        let load = &self.load;
        let bytes = load.active_bytes.load(Ordering::Relaxed) + load.frozen_bytes.load(Ordering::Relaxed);
        if bytes > self.memtable_bytes.saturating_mul(MEMTABLES_MAX) {
            return Some(Task::Checkpoint);
        }
        let newest = self.newest.lock();
        let is_deep = |overlap: &usize| *overlap >= OVERLAP_MAX;
        let is_slow = newest.overlaps.values().any(is_deep)
            && commit.trees().any(|tree| newest.overlaps.get(&tree).is_some_and(is_deep));
        is_slow.then_some(Task::Merge)
    }

    /// Tells those who wait that there was progress, or why there is none.
    pub(super) fn report(&self, task: Task, done: &Result<()>) {
        let mut failures = self.signals.failures.lock();
        match done {
            Ok(()) => failures.remove(&task),
            Err(error) => failures.insert(task, error.message().to_owned()),
        };
        drop(failures);
        self.wake_all();
    }

    /// Has everyone who waits for room look again.
    pub(super) fn wake_all(&self) {
        self.signals.progress.send_replace(());
    }

    /// The state of this store.
    pub(super) fn stats(&self) -> Stats {
        let (version, seq) = self.newest();
        let mut stats = Stats { seq, trees: version.trees.len() as u64, ..Stats::default() };
        for tree in version.trees.values() {
            stats.memtable_bytes += tree.memtables().map(|memtable| memtable.bytes()).sum::<u64>();
            stats.frozen_bytes += tree.frozen.iter().map(|memtable| memtable.bytes()).sum::<u64>();
            stats.frozen += tree.frozen.len() as u64;
            stats.segments += tree.segments.len() as u64;
            stats.segment_bytes += tree.segments.iter().map(|segment| segment.meta().bytes).sum::<u64>();
        }
        let deepest = self.newest.lock().overlaps.values().copied().max().unwrap_or(1);
        stats.overlap = (deepest as u64).min(stats.segments);
        let counters = &self.counters;
        stats.commits = counters.commits.get();
        stats.groups = counters.groups.get();
        stats.conflicts = counters.conflicts.get();
        stats.log_bytes = counters.log_bytes.get();
        // A name that cannot be listed now is counted the next time.
        stats.log_files = self.disk.list().unwrap_or_default().iter().filter(|name| is_log_file(name)).count() as u64;
        stats.log_syncs = self.disk.syncs();
        stats.garbage = self.garbage.count() + self.sweeper.waiting() as u64;
        stats.cache = self.segments.cache().stats();
        stats.written = Written {
            accepted: counters.accepted_bytes.get(),
            log: self.disk.bytes(),
            ingested: counters.ingested_bytes.get(),
            flushed: counters.flushed_bytes.get(),
            merged: counters.merged_bytes.get(),
        };
        stats.checkpoints = counters.checkpoints.get();
        stats.merges = counters.merges.get();
        stats.checkpoint_time = std::time::Duration::from_nanos(counters.checkpoint_nanos.get());
        stats.snapshots = self.pins.count();
        stats.oldest_snapshot = self.pins.oldest();
        stats
    }
}

impl Load {
    /// Notes that everything so far is on its way to segments.
    pub(super) fn freeze(&self) {
        let active = self.active_bytes.swap(0, Ordering::Relaxed);
        self.frozen_bytes.fetch_add(active, Ordering::Relaxed);
        self.is_unsaved.store(true, Ordering::Relaxed);
        self.logged_bytes.store(0, Ordering::Relaxed);
        self.unlisted.store(0, Ordering::Relaxed);
    }

    /// Notes what is found when a store is opened: how much memtables have grown by what the log has, how many bytes
    /// that is, and how many segments only it names.
    pub(super) fn restore(&self, grown: i64, logged: u64, unlisted: u64) {
        self.grow(grown);
        self.logged_bytes.store(logged, Ordering::Relaxed);
        self.unlisted.store(unlisted, Ordering::Relaxed);
    }

    /// Notes that active memtables have grown, or shrunk, by `bytes`. Only who has the writer does this.
    pub(super) fn grow(&self, bytes: i64) {
        let active = self.active_bytes.load(Ordering::Relaxed);
        self.active_bytes.store(active.saturating_add_signed(bytes), Ordering::Relaxed);
    }
}

/// The error that a store takes no more commits because it is being closed.
pub(super) fn closing() -> Error {
    Error::unavailable("this host is stopping")
}

/// Whether a file is one of the log's that has entries: its name is a number.
fn is_log_file(name: &str) -> bool {
    name.strip_suffix(".arrow").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// How many segments overlap in each of these trees, where it is more than one.
fn overlaps<'a>(trees: impl IntoIterator<Item = &'a Arc<TreeVersion>>) -> HashMap<TreeId, usize> {
    let overlap = |tree: &Arc<TreeVersion>| {
        let pieces: Vec<Piece<'_>> = tree.segments.iter().map(|segment| Piece::new(segment.meta())).collect();
        (tree.id, depth(&pieces))
    };
    trees.into_iter().filter(|tree| tree.segments.len() > 1).map(overlap).filter(|(_, depth)| *depth > 1).collect()
}
