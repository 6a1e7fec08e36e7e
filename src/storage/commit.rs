//! What a transaction hands to the store when it commits.

use std::sync::Arc;

use super::codec::key::{KeyRange, stamp};
use super::memtable::{Key, Payload};
use super::read_set::ReadSet;
use super::segment::Segment;
use crate::txn::TxnId;
use crate::value::TreeId;

/// Everything that a transaction read and wrote. Its parts apply in this order: `cleared`, `ingests`, `writes`.
#[derive(Debug)]
pub struct Commit {
    pub txn: TxnId,
    /// The newest commit that the transaction saw. The snapshot must still be open.
    pub snapshot: u64,
    /// What the outcome depends on. A transaction that read nothing never conflicts.
    pub reads: ReadSet,
    /// Trees that lose all their older rows first: those that were truncated. Those of dropped tables may be among
    /// them; they vanish with their definition.
    pub cleared: Vec<TreeId>,
    /// Segments that [`super::store::Store::new_segment_writer`] wrote; where two hold the same key, the later one
    /// wins.
    pub ingests: Vec<Arc<Segment>>,
    /// Rows by tree and key, none for a deleted row; each key at most once. They win over `ingests`.
    pub writes: Vec<(TreeId, Key, Option<Payload>)>,
    /// Trees to which rows, or entries of these, were appended. Their keys in `writes` that have
    /// [`super::codec::UNSTAMPED`] as the last cell but one get the number of the commit in its place.
    pub stamped: Vec<TreeId>,
}

impl Commit {
    /// Whether this changes nothing.
    pub fn is_empty(&self) -> bool {
        self.cleared.is_empty() && self.ingests.is_empty() && self.writes.is_empty()
    }

    /// Gives the rows that were appended the number of the commit.
    pub(super) fn stamp(&mut self, seq: u64) {
        if self.stamped.is_empty() {
            return;
        }
        for (tree, key, _) in &mut self.writes {
            if self.stamped.contains(tree) {
                stamp(key, seq);
            }
        }
    }

    /// The ranges that are written as a whole: everything in a cleared tree, and what an ingested segment may hold.
    pub(super) fn spans(&self) -> Vec<(TreeId, KeyRange)> {
        let cleared = self.cleared.iter().map(|tree| (*tree, KeyRange::all()));
        let ingested = self.ingests.iter().map(|segment| (segment.meta().tree, segment.meta().key_range()));
        cleared.chain(ingested).collect()
    }

    /// The trees that are written to.
    pub(super) fn trees(&self) -> impl Iterator<Item = TreeId> {
        let ingested = self.ingests.iter().map(|segment| segment.meta().tree);
        self.cleared.iter().copied().chain(ingested).chain(self.writes.iter().map(|(tree, _, _)| *tree))
    }

    /// The bytes that this takes in the log, roughly.
    pub(super) fn log_bytes(&self) -> usize {
        /// The columns of fixed width, and the offsets of the others.
        const ROW: usize = 48;
        /// The JSON of a segment, beside its keys.
        const SEGMENT: usize = 512;
        let writes = self.writes.iter().map(|(_, key, value)| ROW + key.len() + value.as_ref().map_or(0, |v| v.len()));
        let ingests = self.ingests.iter().map(|segment| {
            let meta = segment.meta();
            // Keys are hexadecimal there.
            SEGMENT + 2 * (meta.min_key.len() + meta.max_key.len())
        });
        self.cleared.len() * ROW + writes.sum::<usize>() + ingests.sum::<usize>()
    }
}
