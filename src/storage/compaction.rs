//! Merging segments, so that readers find few of them at each key.
//!
//! [`plan`] says which ones. The newest version of each row goes to new segments, which take the place of the old ones
//! in the newest version, and then in a manifest. Only segments that a manifest lists are merged: those that only the
//! log names must be there when it is replayed. They are newer than all that is merged, as are the rows in memory, so a
//! tombstone can go when no older segment remains below it.

use std::sync::Arc;

use super::checkpoint::Output;
use super::codec::KeyRange;
use super::edit::{Edit, age};
use super::merge::entries;
use super::segment::{Segment, WriterOptions};
use super::shared::{Shared, Task};
use super::version::{TreeVersion, Version};
use crate::error::Result;
use crate::value::{Schema, TreeId};

pub(super) mod plan;

use plan::{Effort, Piece, depth};

/// Bytes of a segment that is merged from others, roughly: larger than what is flushed, so that large trees have few
/// files, and small enough that a merge of a part of the keys copies little beside them.
const SEGMENT_BYTES: u64 = 256 << 20;

/// Segments of a tree that are to be merged.
#[derive(Debug)]
struct Work {
    tree: TreeId,
    schema: Arc<Schema>,
    /// Newest first.
    inputs: Vec<Arc<Segment>>,
    drops_tombstones: bool,
}

impl Shared {
    /// Merges some segments of one tree, if that is worth the effort, and returns whether it did. If another merge is
    /// running, this waits for it first.
    ///
    /// # Errors
    /// `Internal` if something cannot be read or written, or `Unavailable` if the host is stopping. Nothing is lost
    /// then.
    pub(super) async fn merge(self: &Arc<Self>, effort: Effort) -> Result<bool> {
        let running = self.merging.lock().await;
        // The floor first: what is not newer than it has left memory in every version from now on. The other way round, a
        // tombstone could go while the row that it hides was still in memory.
        let floor = self.floor();
        let Some(work) = choose(&self.version(), floor, effort) else {
            return Ok(false);
        };
        let done = self.merge_segments(work).await;
        drop(running);
        self.report(Task::Merge, &done);
        self.sweeper.sweep().await;
        done.map(|()| true)
    }

    /// Writes all rows of a tree again that a manifest lists, each in its newest version and with the columns that the
    /// tree has now. If a merge is running, this waits for it first.
    ///
    /// # Errors
    /// As [`Shared::merge`].
    pub(super) async fn rewrite(self: &Arc<Self>, tree: TreeId) -> Result<()> {
        let running = self.merging.lock().await;
        let floor = self.floor();
        let work = self.version().trees.get(&tree).and_then(|tree| whole(tree, floor));
        let done = match work {
            Some(work) => self.merge_segments(work).await,
            None => Ok(()),
        };
        drop(running);
        // There is less for readers to merge, so there may be room for commits.
        self.wake_all();
        done
    }

    async fn merge_segments(self: &Arc<Self>, work: Work) -> Result<()> {
        let Work { tree, schema, inputs, drops_tombstones } = work;
        let has_tombstones = !drops_tombstones && inputs.iter().any(|segment| segment.meta().tombstones > 0);
        let newest = inputs.iter().map(|segment| age(segment.meta())).max().unwrap_or_default();
        let output = Output {
            tree,
            schema: Arc::clone(&schema),
            options: if has_tombstones { WriterOptions::with_tombstones() } else { WriterOptions::default() },
            segment_bytes: SEGMENT_BYTES,
            seq: newest.0,
            ordinal: newest.1,
        };
        let rows = entries(vec![], inputs.clone(), Arc::clone(&schema), KeyRange::all(), drops_tombstones);
        let shared = Arc::clone(self);
        let outputs = self.run_long(async move { shared.write_segments(rows, output).await }).await?.keep();
        self.counters.merged_bytes.add(outputs.iter().map(|segment| segment.meta().bytes).sum());
        self.counters.merges.add(1);
        tracing::debug!(%tree, inputs = inputs.len(), outputs = outputs.len(), "merge");
        self.publish(vec![Edit::Merge { tree, inputs, outputs }], None);
        self.save_manifest(None).await
    }
}

/// The segments to merge next: those of the tree where most overlap.
fn choose(version: &Version, floor: u64, effort: Effort) -> Option<Work> {
    let mut trees: Vec<(usize, &TreeVersion)> = Vec::new();
    for tree in version.trees.values().filter(|tree| tree.segments.len() > 1) {
        trees.push((depth(&listed(tree, floor)), &**tree));
    }
    trees.sort_unstable_by_key(|(depth, tree)| (std::cmp::Reverse(*depth), tree.id));
    trees.into_iter().find_map(|(_, tree)| choose_in(tree, floor, effort))
}

/// All segments of a tree that a manifest with this floor lists, if there are any. Whatever else has rows of the tree
/// has only those of later commits, so a tombstone in these segments hides nothing but what is in them.
fn whole(tree: &TreeVersion, floor: u64) -> Option<Work> {
    let inputs: Vec<Arc<Segment>> =
        tree.segments.iter().filter(|segment| segment.meta().seq <= floor).cloned().collect();
    let schema = Arc::clone(&tree.schema);
    (!inputs.is_empty()).then(|| Work { tree: tree.id, schema, inputs, drops_tombstones: true })
}

/// The segments of a tree that a manifest with this floor lists.
fn listed(tree: &TreeVersion, floor: u64) -> Vec<Piece<'_>> {
    tree.segments.iter().map(|segment| segment.meta()).filter(|meta| meta.seq <= floor).map(Piece::new).collect()
}

fn choose_in(tree: &TreeVersion, floor: u64, effort: Effort) -> Option<Work> {
    let ids = plan::plan(listed(tree, floor), effort)?;
    let (inputs, others): (Vec<Arc<Segment>>, Vec<Arc<Segment>>) =
        tree.segments.iter().cloned().partition(|segment| ids.contains(&segment.meta().id));
    // Also a segment that is newer by its newest commit may have rows that are older than a tombstone here: a transaction's
    // own segment is listed at once, rows in memory of earlier commits only with the next checkpoint.
    let is_hidden = |other: &Arc<Segment>| {
        let range = other.key_range();
        inputs.iter().any(|input| range.intersects(&input.meta().min_key, &input.meta().max_key))
    };
    let drops_tombstones = !others.iter().any(is_hidden);
    Some(Work { tree: tree.id, schema: Arc::clone(&tree.schema), inputs, drops_tombstones })
}
