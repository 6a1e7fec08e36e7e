//! Checkpoints: what is in memory goes to segments, so that the log can be cut off.
//!
//! A checkpoint takes these steps, and may stop after any of them, because the log still has everything until the last:
//! 1. All memtables are frozen between two commits, the *floor* being the newest commit before.
//! 2. The frozen rows of each tree are written to segments, which are durable, and take the place of the memtables in
//!    the newest version. Only the newest version of each row is written: whoever reads older ones holds the memtable.
//! 3. A manifest with the floor lists all segments up to it. When it is durable, the store can be opened without the
//!    log up to the floor.
//! 4. The log is cut off, and files that only the manifest before named are deleted.
//!
//! Commits go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::TryStreamExt as _;

use super::codec::KeyRange;
use super::edit::Edit;
use super::garbage::Drafts;
use super::merge::{EntryStream, entries};
use super::segment::{SegmentMeta, SegmentStore, WriterOptions};
use super::shared::{Shared, Task};
use super::version::{TreeVersion, Version};
use crate::error::Result;
use crate::value::{Schema, TreeId};

/// Bytes of a segment that is written from memory, roughly. Smaller ones are merged at lower cost, larger ones cost
/// less to look for.
const SEGMENT_BYTES: u64 = 64 << 20;
/// The ordinal of segments that are written from memory: they come after those that transactions wrote themselves,
/// since what a transaction keeps in memory is newer than what it writes to segments.
const ORDINAL: u32 = u32::MAX;

impl Shared {
    /// Makes a checkpoint. If another one is running, this waits for it first.
    ///
    /// # Errors
    /// `Internal` if something cannot be written, or `Unavailable` if the host is stopping. Nothing is lost then, and
    /// the next checkpoint does what this one could not.
    pub(super) async fn checkpoint(self: &Arc<Self>) -> Result<()> {
        let running = self.checkpointing.lock().await;
        let done = self.write_checkpoint().await;
        drop(running);
        self.report(Task::Checkpoint, &done);
        self.sweeper.sweep().await;
        done
    }

    async fn write_checkpoint(self: &Arc<Self>) -> Result<()> {
        let start = self.clock.now();
        let (version, floor) = self.with_writer(|writer, shared| writer.freeze(shared)).await?;
        let trees = dirty(&version);
        // So that the memtables of each tree can go when they are written, and not with the last one.
        drop(version);
        for tree in trees {
            self.flush(tree).await?;
        }
        self.load.frozen_bytes.store(0, Ordering::Relaxed);
        if floor == self.floor() && self.garbage.unnamed(floor).is_empty() {
            self.load.is_unsaved.store(false, Ordering::Relaxed);
            return Ok(());
        }
        self.save_manifest(Some(floor)).await?;
        self.load.is_unsaved.store(false, Ordering::Relaxed);
        let truncated = self.with_writer(move |writer, shared| writer.truncate(shared, floor)).await?;
        if let Err(error) = truncated {
            // The files that are left only take space, until the next checkpoint.
            tracing::warn!(%error, "cannot delete old files of the log; trying again later");
        }
        let nanos = self.clock.now().saturating_duration_since(start).as_nanos();
        self.counters.checkpoint_nanos.set(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.counters.checkpoints.add(1);
        tracing::debug!(floor, milliseconds = nanos / 1_000_000, "checkpoint");
        Ok(())
    }

    /// Writes the frozen rows of a tree to segments, which take their place.
    async fn flush(self: &Arc<Self>, tree: Arc<TreeVersion>) -> Result<()> {
        let memtables = tree.frozen.clone();
        let Some(seq) = memtables.iter().filter_map(|memtable| memtable.newest_seq()).max() else {
            return Ok(());
        };
        // With nothing below, there is nothing that a tombstone could hide.
        let drops_tombstones = tree.segments.is_empty();
        let rows = entries(memtables.clone(), vec![], Arc::clone(&tree.schema), KeyRange::all(), drops_tombstones);
        let output = Output {
            tree: tree.id,
            schema: Arc::clone(&tree.schema),
            options: if drops_tombstones { WriterOptions::default() } else { WriterOptions::with_tombstones() },
            segment_bytes: SEGMENT_BYTES,
            seq,
            ordinal: ORDINAL,
        };
        let shared = Arc::clone(self);
        let segments = self.run_long(async move { shared.write_segments(rows, output).await }).await?.keep();
        self.counters.flushed_bytes.add(segments.iter().map(|segment| segment.meta().bytes).sum());
        self.publish(vec![Edit::Flush { tree: tree.id, memtables, segments }], None);
        if let Some(runtime) = &self.runtime {
            // To free a large memtable takes a while, which no request should wait for.
            runtime.spawn_blocking(move || drop(tree));
        }
        Ok(())
    }

    /// Writes rows to as many segments as they need.
    pub(super) async fn write_segments(&self, mut rows: EntryStream, output: Output) -> Result<Drafts> {
        let mut drafts = Drafts::default();
        let mut current = None;
        while let Some(part) = rows.try_next().await? {
            let mut writer = match current.take() {
                Some(writer) => writer,
                None => self.segments.writer(self.new_segment(), output.tree, &output.schema, output.options)?,
            };
            writer.push(part.batch, part.deleted, Some(part.seqs), &part.keys).await?;
            if writer.bytes() >= output.segment_bytes {
                drafts.add(writer.finish().await?, &self.segments, &output);
            } else {
                current = Some(writer);
            }
        }
        if let Some(writer) = current {
            drafts.add(writer.finish().await?, &self.segments, &output);
        }
        Ok(drafts)
    }
}

/// The trees that have frozen rows, in one order, so that the same commits make the same files.
fn dirty(version: &Version) -> Vec<Arc<TreeVersion>> {
    let mut dirty: Vec<_> = version.trees.values().filter(|tree| !tree.frozen.is_empty()).cloned().collect();
    dirty.sort_unstable_by_key(|tree| tree.id);
    dirty
}

/// How rows are written to segments.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) tree: TreeId,
    pub(super) schema: Arc<Schema>,
    pub(super) options: WriterOptions,
    /// Bytes of a segment, after which another one begins.
    pub(super) segment_bytes: u64,
    /// The age of all segments together, so that those of one flush or merge are one run: the newest commit and its
    /// ordinal.
    pub(super) seq: u64,
    pub(super) ordinal: u32,
}

impl Drafts {
    /// Adds a segment that was finished, if it has rows.
    fn add(&mut self, finished: Option<SegmentMeta>, store: &SegmentStore, output: &Output) {
        if let Some(meta) = finished {
            self.push(store.open(meta, &output.schema).committed(output.seq, output.ordinal));
        }
    }
}
