//! Where segments are written and opened.

use std::sync::Arc;

use object_store::ObjectStore;

use super::footer::Footer;
use super::garbage::GarbageSink;
use super::meta::SegmentMeta;
use super::reader::Segment;
use super::writer::{SegmentWriter, WriterOptions};
use crate::error::Result;
use crate::storage::cache::{BlockCache, Item, Part};
use crate::value::{Schema, TreeId};

/// What all segments of a store share. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct SegmentStore {
    objects: Arc<dyn ObjectStore>,
    cache: Arc<BlockCache>,
    garbage: Arc<dyn GarbageSink>,
}

impl SegmentStore {
    /// Segments in `objects`, read through `cache`. Files that are not needed any more go to `garbage`.
    pub fn new(objects: Arc<dyn ObjectStore>, cache: Arc<BlockCache>, garbage: Arc<dyn GarbageSink>) -> Self {
        Self { objects, cache, garbage }
    }

    /// Begins a segment named `id`, with rows of the tree `tree`, which has `schema`. An id must be new: a file of that
    /// name, left by a host that did not get to list it, is replaced.
    ///
    /// # Errors
    /// `Internal` if the schema cannot be stored.
    pub fn writer(&self, id: u64, tree: TreeId, schema: &Arc<Schema>, options: WriterOptions) -> Result<SegmentWriter> {
        SegmentWriter::try_new(self.clone(), id, tree, schema, options)
    }

    /// The segment that `meta` tells of, which is one of a tree with `schema`. Nothing is read yet.
    ///
    /// There should be one for each file, from which all others come by [`Segment::committed`], so that one of them is
    /// the last to let go of the file.
    pub fn open(&self, meta: SegmentMeta, schema: &Arc<Schema>) -> Arc<Segment> {
        Arc::new(Segment::new(self.clone(), meta, Arc::clone(schema)))
    }

    /// Where the files are.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// What was read of them lately.
    pub fn cache(&self) -> &Arc<BlockCache> {
        &self.cache
    }

    /// Notes that the file of the segment `id` of `tree` will be deleted when nobody reads it any more.
    pub fn doom(&self, id: u64, tree: TreeId) {
        self.garbage.doom(id, tree);
    }

    /// Has the file of the segment `id` deleted, which nobody reads.
    pub fn discard(&self, id: u64) {
        self.cache.forget(id);
        self.garbage.discard(id);
    }

    pub(super) fn keep_footer(&self, id: u64, footer: Arc<Footer>) {
        let bytes = footer.memory();
        self.cache.insert(id, Part::Footer, Item::Footer(footer), bytes);
    }
}
