//! What the log holds.

use std::sync::Arc;

use crate::txn::TxnId;
use crate::value::TreeId;

/// What one commit changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The commit. The first one ever is 1, and each is one more than the one before.
    pub seq: u64,
    /// The transaction that was committed.
    pub txn: TxnId,
    /// In the order in which they apply.
    pub writes: Vec<Write>,
}

/// A change of one tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Write {
    pub tree: TreeId,
    /// The key that is put or deleted; empty for what concerns the tree as a whole.
    pub key: Arc<[u8]>,
    pub value: WriteValue,
}

/// What becomes of a key, or of a tree as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteValue {
    /// The key has this payload from now on.
    Put(Arc<[u8]>),
    /// The key is gone.
    Delete,
    /// A segment file is part of the tree from now on: the JSON of what describes it.
    Ingest(Arc<[u8]>),
    /// Everything older in the tree is gone.
    Truncate,
    /// The tree is gone.
    DropTree,
}

/// The `op` of the row that stands for an entry without writes.
pub(super) const OP_NOTHING: u8 = 0;
const OP_PUT: u8 = 1;
const OP_DELETE: u8 = 2;
const OP_INGEST: u8 = 3;
const OP_TRUNCATE: u8 = 4;
const OP_DROP_TREE: u8 = 5;

impl WriteValue {
    /// The number of this variant in a log file.
    pub(super) fn op(&self) -> u8 {
        match self {
            WriteValue::Put(_) => OP_PUT,
            WriteValue::Delete => OP_DELETE,
            WriteValue::Ingest(_) => OP_INGEST,
            WriteValue::Truncate => OP_TRUNCATE,
            WriteValue::DropTree => OP_DROP_TREE,
        }
    }

    /// The bytes that go with the number.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            WriteValue::Put(bytes) | WriteValue::Ingest(bytes) => bytes,
            WriteValue::Delete | WriteValue::Truncate | WriteValue::DropTree => &[],
        }
    }

    /// The variant with a number, if there is one.
    pub(super) fn new(op: u8, bytes: &[u8]) -> Option<Self> {
        Some(match op {
            OP_PUT => WriteValue::Put(Arc::from(bytes)),
            OP_DELETE => WriteValue::Delete,
            OP_INGEST => WriteValue::Ingest(Arc::from(bytes)),
            OP_TRUNCATE => WriteValue::Truncate,
            OP_DROP_TREE => WriteValue::DropTree,
            _ => return None,
        })
    }
}

impl Entry {
    /// Bytes of all keys, and bytes of all values.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let add = |(keys, values): (usize, usize), write: &Write| {
            (keys.saturating_add(write.key.len()), values.saturating_add(write.value.bytes().len()))
        };
        self.writes.iter().fold((0, 0), add)
    }
}
