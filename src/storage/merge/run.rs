//! Entries of one input, in memory.

use crate::storage::memtable::{Key, Payload};
use crate::storage::segment::Block;

/// The version of an entry that no commit can be newer than: what the transaction wrote itself.
pub(super) const OWN_SEQ: u64 = u64::MAX;

/// An entry as memory has it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub key: Key,
    /// The commit that wrote it.
    pub seq: u64,
    /// Nothing if the row was deleted.
    pub payload: Option<Payload>,
}

impl Row {
    /// The bytes of the key and of the payload.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.payload.as_ref().map_or(0, |payload| payload.len())
    }
}

/// Entries that follow each other in one input, ascending by key.
#[derive(Debug)]
pub(super) enum Run {
    Rows(Vec<Row>),
    Block(Box<BlockRun>),
}

/// Entries of a segment.
#[derive(Debug)]
pub(super) struct BlockRun {
    /// The columns that are wanted.
    pub block: Block,
    /// The keys and commits of the same rows, if they were read later.
    keys: Option<Block>,
    /// Whether the transaction wrote the segment itself.
    is_own: bool,
    has_keys: bool,
}

impl Run {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        match self {
            Run::Rows(rows) => rows.len(),
            Run::Block(run) => run.block.rows(),
        }
    }

    /// Whether keys and commits are known.
    pub fn has_keys(&self) -> bool {
        match self {
            Run::Rows(_) => true,
            Run::Block(run) => run.has_keys,
        }
    }

    /// The key of an entry, if keys are known.
    pub fn key(&self, at: usize) -> &[u8] {
        match self {
            Run::Rows(rows) => &rows[at].key,
            Run::Block(run) => run.key_block().key(at).unwrap_or_default(),
        }
    }

    /// The commit that wrote an entry, if keys are known.
    pub fn seq(&self, at: usize) -> u64 {
        match self {
            Run::Rows(rows) => rows[at].seq,
            Run::Block(run) if run.is_own => OWN_SEQ,
            Run::Block(run) => run.key_block().seqs.as_ref().map_or(0, |seqs| seqs.value(at)),
        }
    }

    /// The bytes that this keeps in memory, beside those that a memtable keeps anyway.
    pub fn bytes(&self) -> usize {
        match self {
            Run::Rows(_) => 0,
            Run::Block(run) => run.block.batch.get_array_memory_size(),
        }
    }
}

impl BlockRun {
    /// The rows of `block`. If that has not their keys and commits, `keys` has, or nobody knows them yet. Commits are of no
    /// interest where the transaction wrote the segment itself.
    pub fn new(block: Block, keys: Option<Block>, is_own: bool) -> Self {
        let known = keys.as_ref().unwrap_or(&block);
        let has_keys = known.key(0).is_some() && (is_own || known.seqs.is_some());
        Self { block, keys, is_own, has_keys }
    }

    fn key_block(&self) -> &Block {
        self.keys.as_ref().unwrap_or(&self.block)
    }
}
