//! The order of commits, and which transactions may join it.
//!
//! Transactions are serializable: each commits as if it had run, whole, at the moment when it is admitted. Its writes
//! happen then anyway, so what must hold is that it would read the same then as it did in its snapshot. The sequencer
//! remembers which keys recent commits wrote, and refuses a transaction that read one of them (validation of the read
//! set against later write sets, as in H. T. Kung and J. T. Robinson, "On Optimistic Methods for Concurrency Control",
//! 1981, section 4.1, with ranges in place of objects, so that there are no phantoms). A transaction that read nothing
//! depends on nothing, and is always admitted.
//!
//! This is pure: no I/O, no clock, no threads. The same calls give the same answers.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::codec::key::KeyRange;
use super::commit::Commit;
use super::memtable::Key;
use super::read_set::{ReadSet, Span, Spans};
use crate::value::TreeId;

/// Bytes that remembered writes may take. Past this the oldest are forgotten, and with them the chance to commit of
/// transactions that began before them.
const BYTES_MAX: usize = 64 << 20;
/// What a remembered key takes beside its bytes: its place in a map and in a queue, and the counts of its `Arc`.
const KEY_OVERHEAD: usize = 96;
/// What a remembered commit takes beside its keys.
const COMMIT_OVERHEAD: usize = 64;

/// Why a transaction cannot commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Conflict {
    /// It began so long ago that nobody knows any more what was written since.
    TooOld {
        /// The newest commit that it saw.
        snapshot: u64,
        /// The oldest one from which it could still be admitted.
        floor: u64,
    },
    /// It read `key`, which commit `seq` wrote later.
    Key { tree: TreeId, key: Key, seq: u64 },
    /// It read from a range that commit `seq` replaced as a whole later.
    Range { tree: TreeId, range: KeyRange, seq: u64 },
}

/// Numbers commits, and remembers what the recent ones wrote.
#[derive(Debug)]
pub struct Sequencer {
    /// The newest commit.
    newest: u64,
    /// What commits up to this one wrote is forgotten.
    floor: u64,
    trees: HashMap<TreeId, Recent>,
    /// The commits that are remembered, oldest first.
    commits: VecDeque<Remembered>,
    bytes: usize,
    bytes_max: usize,
}

/// A commit whose writes are remembered.
#[derive(Debug)]
struct Remembered {
    seq: u64,
    trees: Vec<TreeId>,
    bytes: usize,
}

/// What recent commits wrote in one tree.
#[derive(Debug, Default)]
struct Recent {
    /// The newest commit that wrote here.
    newest: u64,
    /// The newest commit of each key.
    keys: BTreeMap<Key, u64>,
    /// All writes of keys, oldest first.
    order: VecDeque<(u64, Key)>,
    /// Ranges that were written as a whole, oldest first.
    ranges: VecDeque<(u64, KeyRange)>,
}

impl Sequencer {
    /// A sequencer whose next commit follows `newest`.
    pub fn new(newest: u64) -> Self {
        Self::with_bytes_max(newest, BYTES_MAX)
    }

    fn with_bytes_max(newest: u64, bytes_max: usize) -> Self {
        Self { newest, floor: newest, trees: HashMap::new(), commits: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// The newest commit.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether [`Sequencer::admit`] would admit a transaction now.
    ///
    /// # Errors
    /// As [`Sequencer::admit`].
    pub fn validate(&self, commit: &Commit) -> Result<(), Conflict> {
        self.validate_reads(commit.snapshot, &commit.reads)
    }

    /// Admits a transaction as the next commit, whose number this returns, unless something that it read has changed.
    /// The rows that it appended have that number in their keys then.
    ///
    /// # Errors
    /// The first [`Conflict`] that is found; nothing has changed then, but the transaction is of no more use.
    pub fn admit(&mut self, commit: &mut Commit) -> Result<u64, Conflict> {
        // First, because what is remembered are the keys that others read.
        commit.stamp(self.newest + 1);
        let keys = commit.writes.iter().map(|(tree, key, _)| (*tree, key));
        self.admit_writes(commit.snapshot, &commit.reads, keys, commit.spans())
    }

    fn admit_writes<'a>(
        &mut self,
        snapshot: u64,
        reads: &ReadSet,
        keys: impl Iterator<Item = (TreeId, &'a Key)>,
        ranges: Vec<(TreeId, KeyRange)>,
    ) -> Result<u64, Conflict> {
        self.validate_reads(snapshot, reads)?;
        self.newest += 1;
        self.remember(self.newest, keys, ranges);
        Ok(self.newest)
    }

    /// Forgets what commits up to `oldest` wrote: no transaction is left that began before it.
    pub fn prune(&mut self, oldest: u64) {
        let oldest = oldest.min(self.newest);
        if oldest == self.newest {
            self.trees.clear();
            self.commits.clear();
            self.bytes = 0;
        }
        while self.commits.front().is_some_and(|commit| commit.seq <= oldest) {
            self.forget_oldest();
        }
        self.floor = self.floor.max(oldest);
    }

    /// Takes back all admissions after `newest`, none of which came to anything. Nothing is remembered then, so that
    /// transactions that began before are too old.
    pub fn reset(&mut self, newest: u64) {
        *self = Self::with_bytes_max(newest, self.bytes_max);
    }

    fn validate_reads(&self, snapshot: u64, reads: &ReadSet) -> Result<(), Conflict> {
        if reads.is_empty() {
            return Ok(());
        }
        if snapshot < self.floor {
            return Err(Conflict::TooOld { snapshot, floor: self.floor });
        }
        for (tree, spans) in reads.trees() {
            if let Some(recent) = self.trees.get(&tree) {
                recent.validate(tree, snapshot, spans)?;
            }
        }
        Ok(())
    }

    fn remember<'a>(
        &mut self,
        seq: u64,
        keys: impl Iterator<Item = (TreeId, &'a Key)>,
        ranges: Vec<(TreeId, KeyRange)>,
    ) {
        let mut commit = Remembered { seq, trees: vec![], bytes: COMMIT_OVERHEAD };
        for (tree, key) in keys {
            commit.add(tree, KEY_OVERHEAD + key.len());
            let recent = self.trees.entry(tree).or_default();
            recent.newest = seq;
            recent.keys.insert(Arc::clone(key), seq);
            recent.order.push_back((seq, Arc::clone(key)));
        }
        for (tree, range) in ranges {
            commit.add(tree, KEY_OVERHEAD + bound_len(&range.start) + bound_len(&range.end));
            let recent = self.trees.entry(tree).or_default();
            recent.newest = seq;
            recent.ranges.push_back((seq, range));
        }
        self.bytes += commit.bytes;
        self.commits.push_back(commit);
        while self.bytes > self.bytes_max {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(commit) = self.commits.pop_front() else { return };
        self.bytes -= commit.bytes;
        self.floor = self.floor.max(commit.seq);
        for tree in commit.trees {
            if let Entry::Occupied(mut entry) = self.trees.entry(tree) {
                entry.get_mut().forget(commit.seq);
                if entry.get().is_empty() {
                    entry.remove();
                }
            }
        }
    }
}

impl Remembered {
    fn add(&mut self, tree: TreeId, bytes: usize) {
        self.bytes += bytes;
        // Writes come tree by tree. A tree that is here twice costs nothing but a second look.
        if self.trees.last() != Some(&tree) {
            self.trees.push(tree);
        }
    }
}

impl Recent {
    fn is_empty(&self) -> bool {
        self.order.is_empty() && self.ranges.is_empty()
    }

    /// Forgets what commits up to `seq` wrote.
    fn forget(&mut self, seq: u64) {
        while let Some((written, key)) = self.order.front()
            && *written <= seq
        {
            // A key that was written again since is still remembered for that.
            if self.keys.get(key) == Some(written) {
                self.keys.remove(key);
            }
            self.order.pop_front();
        }
        while self.ranges.front().is_some_and(|(written, _)| *written <= seq) {
            self.ranges.pop_front();
        }
    }

    /// Fails if something in `reads` was written after `snapshot`.
    fn validate(&self, tree: TreeId, snapshot: u64, reads: &Spans) -> Result<(), Conflict> {
        if self.newest <= snapshot {
            return Ok(());
        }
        let mut later = self.ranges.iter().rev().take_while(|(seq, _)| *seq > snapshot);
        if let Some((seq, range)) = later.find(|(_, range)| reads.overlaps(range)) {
            return Err(Conflict::Range { tree, range: range.clone(), seq: *seq });
        }
        match self.find(snapshot, reads) {
            Some((seq, key)) => Err(Conflict::Key { tree, key: Arc::clone(key), seq }),
            None => Ok(()),
        }
    }

    /// A key in `reads` that was written after `snapshot`, with its commit.
    fn find(&self, snapshot: u64, reads: &Spans) -> Option<(u64, &Key)> {
        let first = self.order.partition_point(|(seq, _)| *seq <= snapshot);
        if self.order.len() - first <= reads.len() {
            let found = self.order.range(first..).find(|(_, key)| reads.contains(key));
            return found.map(|(seq, key)| (*seq, key));
        }
        reads.iter().find_map(|span| self.find_within(snapshot, span, first))
    }

    /// As [`Recent::find`], for one span. `first` is the place of the first later write in `order`.
    ///
    /// The span may hold many keys that were written long before, and there may be many later writes elsewhere. So this
    /// looks at both in turns, and is done when either is.
    fn find_within(&self, snapshot: u64, span: Span<'_>, first: usize) -> Option<(u64, &Key)> {
        let end = span.end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut inside = self.keys.range::<[u8], _>((Bound::Included(span.start), end));
        let mut later = self.order.range(first..);
        loop {
            let (key, seq) = inside.next()?;
            if *seq > snapshot {
                return Some((*seq, key));
            }
            let (seq, key) = later.next()?;
            if span.contains(key) {
                return Some((*seq, key));
            }
        }
    }
}

fn bound_len(bound: &Bound<Vec<u8>>) -> usize {
    match bound {
        Bound::Unbounded => 0,
        Bound::Included(key) | Bound::Excluded(key) => key.len(),
    }
}

#[cfg(test)]
mod tests;
