//! Who owns the files of segments that are not, or no longer, part of the store.
//!
//! A segment knows when nobody reads it any more, and has its file deleted then if it was marked as garbage
//! ([`Segment::mark_garbage`]). This says when to mark it:
//! - What a transaction wrote belongs to the transaction until it commits, and is garbage if the transaction gives it
//!   up. With the commit it belongs to the store, whatever becomes of the transaction: a commit that fails halfway may
//!   be in the log all the same, which then names the file.
//! - What is replaced in the newest version is still named by the last manifest, and may be by the log, so that the
//!   store would not open without it. It is garbage once a manifest is durable that does not name it, and the log
//!   begins after the commit that brought it.
//!
//! What is left behind when a host stops is found when the store is opened.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::segment::Segment;

/// The segments of a store that are not part of its newest version.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    /// Those that belong to transactions, by their ids.
    pending: Mutex<HashSet<u64>>,
    /// Those that were replaced and are still named by something durable.
    retired: Mutex<Vec<Arc<Segment>>>,
}

impl Garbage {
    /// Notes that `segment` belongs to a transaction.
    pub(super) fn begin(&self, segment: &Segment) {
        self.pending.lock().insert(segment.meta().id);
    }

    /// Notes that segments belong to the store, if they belonged to a transaction.
    pub(super) fn take_over(&self, segments: &[Arc<Segment>]) {
        let mut pending = self.pending.lock();
        for segment in segments {
            pending.remove(&segment.meta().id);
        }
    }

    /// Gives up segments that belong to a transaction. Others are left alone.
    pub(super) fn abandon(&self, segments: &[Arc<Segment>]) {
        let mut pending = self.pending.lock();
        for segment in segments {
            if pending.remove(&segment.meta().id) {
                segment.mark_garbage();
            }
        }
    }

    /// Notes that segments are not part of the newest version any more.
    pub(super) fn retire(&self, segments: Vec<Arc<Segment>>) {
        if !segments.is_empty() {
            self.retired.lock().extend(segments);
        }
    }

    /// Whether there are segments that no version has and that something durable may still name.
    pub(super) fn has_retired(&self) -> bool {
        !self.retired.lock().is_empty()
    }

    /// The retired segments that nothing durable names once a manifest is durable that is built now, and the log is
    /// replayed from after commit `floor`.
    pub(super) fn unnamed(&self, floor: u64) -> Vec<u64> {
        let retired = self.retired.lock();
        retired.iter().map(|segment| segment.meta()).filter(|meta| meta.seq <= floor).map(|meta| meta.id).collect()
    }

    /// Has retired segments deleted, which nothing durable names.
    pub(super) fn release(&self, ids: &[u64]) {
        let mut released = Vec::new();
        self.retired.lock().retain(|segment| {
            let is_released = ids.contains(&segment.meta().id);
            if is_released {
                segment.mark_garbage();
                released.push(Arc::clone(segment));
            }
            !is_released
        });
        // Outside of the lock: the last one to let go of a file has it deleted.
        drop(released);
    }

    /// How many segments belong to transactions, or wait to be unnamed.
    pub(super) fn count(&self) -> u64 {
        (self.pending.lock().len() + self.retired.lock().len()) as u64
    }
}

/// Segments that are garbage unless they are kept: those that a flush or a merge has written, before it is done.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    segments: Vec<Arc<Segment>>,
}

impl Drafts {
    pub(super) fn push(&mut self, segment: Arc<Segment>) {
        self.segments.push(segment);
    }

    /// The segments, which are not garbage from now on.
    pub(super) fn keep(mut self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.segments)
    }
}

impl Drop for Drafts {
    fn drop(&mut self) {
        for segment in &self.segments {
            segment.mark_garbage();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::store::sample::unwritten;
    use crate::value::TreeId;

    fn segment(id: u64, seq: u64) -> Arc<Segment> {
        unwritten(TreeId(1), id, seq, [0, 1])
    }

    #[test]
    fn only_what_still_belongs_to_a_transaction_is_abandoned() {
        let garbage = Garbage::default();
        let (first, second) = (segment(1, 0), segment(2, 0));
        garbage.begin(&first);
        garbage.begin(&second);
        garbage.take_over(&[Arc::clone(&first)]);
        assert_eq!(garbage.count(), 1);
        garbage.abandon(&[first, second]);
        assert_eq!(garbage.count(), 0);
    }

    #[test]
    fn what_is_retired_waits_until_nothing_names_it() {
        let garbage = Garbage::default();
        garbage.retire(vec![segment(1, 5), segment(2, 9)]);
        assert!(garbage.unnamed(4).is_empty());
        assert_eq!(garbage.unnamed(5), [1]);
        let unnamed = garbage.unnamed(8);
        // One that came after the manifest was built waits for the next.
        garbage.retire(vec![segment(3, 1)]);
        garbage.release(&unnamed);
        assert_eq!(garbage.count(), 2);
        assert_eq!(garbage.unnamed(9), [2, 3]);
    }
}
