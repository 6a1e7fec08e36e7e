//! Segments that nobody has committed yet.

use std::sync::Arc;

use crate::storage::segment::Segment;
use crate::storage::store::Store;

/// Segments of a transaction whose files are deleted when this is dropped, unless they are kept, or have become part of the
/// store.
pub(in crate::storage) struct Drafts {
    store: Arc<Store>,
    segments: Vec<Arc<Segment>>,
}

impl Drafts {
    pub(in crate::storage) fn new(store: &Arc<Store>, segments: Vec<Arc<Segment>>) -> Self {
        Self { store: Arc::clone(store), segments }
    }

    /// The segments, in the order in which they were added.
    pub(in crate::storage) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Adds a segment.
    pub(in crate::storage) fn push(&mut self, segment: Arc<Segment>) {
        self.segments.push(segment);
    }

    /// The segments, which somebody else takes care of from now on.
    pub(in crate::storage) fn keep(mut self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.segments)
    }
}

impl Drop for Drafts {
    fn drop(&mut self) {
        if !self.segments.is_empty() {
            self.store.abandon(&self.segments);
        }
    }
}
