//! What a store consists of at one moment: which memtables and segments make up each tree.
//!
//! A [`Version`] never changes. Whoever freezes a memtable or writes a segment publishes another one, and who still reads
//! the old one keeps its memtables and segments alive by holding it.

use std::collections::HashMap;
use std::sync::Arc;

use super::memtable::Memtable;
use super::pins::Pin;
use super::segment::Segment;
use super::tree::{Overlay, Source};
use crate::value::schema::{Schema, TreeId};

/// The parts of one tree. Where two of them have the same key, the newer one is right.
#[derive(Clone, Debug)]
pub struct TreeVersion {
    pub id: TreeId,
    /// The columns as they were when this version was published.
    pub schema: Arc<Schema>,
    /// Where commits put their rows.
    pub active: Arc<Memtable>,
    /// Those that take no more rows and wait to be written to segments, newest first.
    pub frozen: Vec<Arc<Memtable>>,
    /// Newest first.
    pub segments: Vec<Arc<Segment>>,
}

impl TreeVersion {
    /// A tree without rows.
    pub fn new(id: TreeId, schema: Arc<Schema>) -> Self {
        Self { id, schema, active: Arc::default(), frozen: vec![], segments: vec![] }
    }

    /// The memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.frozen)
    }
}

/// The trees of a store at one moment.
#[derive(Clone, Debug, Default)]
pub struct Version {
    pub trees: HashMap<TreeId, Arc<TreeVersion>>,
}

/// What a transaction sees: all commits up to [`Snapshot::seq`]. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub version: Arc<Version>,
    /// The newest commit that is seen. Memtables may hold newer ones.
    pub seq: u64,
    /// Nobody reads this: it is the registration itself, which ends with the last clone.
    #[allow(dead_code, reason = "it is held, not read")]
    pub(super) pin: Arc<Pin>,
}

impl Snapshot {
    /// The tree `id`, if there is one at this moment.
    pub fn tree(&self, id: TreeId) -> Option<&Arc<TreeVersion>> {
        self.version.trees.get(&id)
    }

    /// The rows of the tree `id` under a transaction's own writes. A tree that is not there has no other rows.
    pub fn source(&self, id: TreeId, overlay: Overlay) -> Source {
        Source { tree: self.tree(id).cloned(), overlay, seq: self.seq }
    }
}
