//! Where a merge is in one of its inputs.
//!
//! Inputs in memory are read in chunks, since a memtable can be searched at any time but not be borrowed for the length of
//! a scan. A segment is read block by block, and as late as possible: until its first key is the next of all, only that
//! key is known. Then its columns are read; keys only if another input has a key among those of the block.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::run::{BlockRun, OWN_SEQ, Row, Run};
use crate::error::{Error, Result};
use crate::storage::codec::KeyRange;
use crate::storage::memtable::{Key, Memtable, Payload};
use crate::storage::segment::{Block, BlockScan, Footer, Prune, Segment, Wanted};

/// Rows of the first chunk that is read of a memtable: many a scan is short.
const CHUNK_ROWS_MIN: usize = 32;
/// Rows of a chunk. It costs one search, which takes as long as to pass some dozens of rows.
const CHUNK_ROWS_MAX: usize = 1024;
/// By how much chunks grow.
const CHUNK_GROWTH: usize = 4;
/// Bytes of the rows of a chunk, roughly, so that wide rows come few at a time.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// Rows in memory.
#[derive(Debug)]
pub(super) enum Memory {
    /// The writes of a transaction.
    Writes(Arc<BTreeMap<Key, Option<Payload>>>),
    /// What a reader of all commits up to a number sees of a memtable.
    Memtable(Arc<Memtable>, u64),
}

/// The position of a merge in one input.
pub(super) struct Cursor {
    feed: Feed,
    head: Head,
    reverse: bool,
}

enum Feed {
    Memory(MemoryFeed),
    Segment(Box<SegmentFeed>),
}

/// What comes next in an input.
enum Head {
    /// Nothing.
    End,
    /// The input was not looked at. Of a segment, the first and last key are known.
    Closed,
    /// A block, by its number, that was not read.
    Unread(usize),
    /// Entries that were read, of which some are left.
    Run { run: Arc<Run>, rows: Range<usize> },
}

/// What can be done with the entries of an input that come before a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ahead {
    /// They must be read first: [`Cursor::load`].
    Load,
    /// They are of no interest to the reader, and hide nothing: [`Cursor::skip`].
    Skip,
    /// There are so many of them, or at least so many as was asked for.
    Rows(usize),
}

struct MemoryFeed {
    memory: Memory,
    /// What was not read.
    range: KeyRange,
    chunk_rows: usize,
}

/// What is read of a segment.
#[derive(Clone)]
pub(super) struct SegmentScan {
    pub segment: Arc<Segment>,
    /// Whether the transaction wrote it itself.
    pub is_own: bool,
    pub range: KeyRange,
    pub wanted: Wanted,
    /// What of a block is needed to merge it, if `wanted` does not say it.
    pub keys: Wanted,
    /// Which blocks are of no interest to the reader.
    pub prune: Option<Prune>,
}

struct SegmentFeed {
    scan: SegmentScan,
    opened: Option<Opened>,
}

struct Opened {
    footer: Arc<Footer>,
    /// Whether each block is of interest.
    kept: Vec<bool>,
    /// The blocks that were not read, in the order of the scan. The first is the head if that is unread.
    waiting: VecDeque<usize>,
    /// The blocks of interest that have rows in the range.
    blocks: BoxStream<'static, Result<Block>>,
    /// A block that came while another was expected, which has no rows in the range then.
    early: Option<Block>,
}

impl Cursor {
    /// A cursor over the rows of `range` in memory.
    pub fn memory(memory: Memory, range: KeyRange, reverse: bool) -> Self {
        let feed = Feed::Memory(MemoryFeed { memory, range, chunk_rows: CHUNK_ROWS_MIN });
        Self { feed, head: Head::Closed, reverse }
    }

    /// A cursor over a segment.
    pub fn segment(scan: SegmentScan, reverse: bool) -> Self {
        Self { feed: Feed::Segment(Box::new(SegmentFeed { scan, opened: None })), head: Head::Closed, reverse }
    }

    /// Reads what needs no waiting.
    pub fn begin(&mut self) {
        if let Feed::Memory(feed) = &mut self.feed {
            self.head = feed.next(self.reverse);
        }
    }

    /// Whether there are no more entries.
    pub fn is_over(&self) -> bool {
        matches!(self.head, Head::End)
    }

    /// Whether something must be read before entries can be compared with those of other inputs.
    pub fn is_pending(&self) -> bool {
        match &self.head {
            Head::End => false,
            Head::Closed | Head::Unread(_) => true,
            Head::Run { run, .. } => !run.has_keys(),
        }
    }

    /// The next key, or, while that was not read, one that none of the entries comes before in the direction of the scan.
    pub fn key(&self) -> Option<&[u8]> {
        match (&self.head, &self.feed) {
            (Head::Closed, Feed::Segment(feed)) => {
                let meta = feed.scan.segment.meta();
                Some(if self.reverse { meta.max_key.as_slice() } else { meta.min_key.as_slice() })
            }
            (Head::Unread(number), Feed::Segment(feed)) => feed.first_key(*number, self.reverse),
            (Head::Run { run, rows }, feed) => match (&**run, feed) {
                (Run::Block(block), Feed::Segment(feed)) if !run.has_keys() => {
                    feed.first_key(block.block.number, self.reverse)
                }
                _ => Some(run.key(self.row(rows, 0))),
            },
            _ => None,
        }
    }

    /// The commit that wrote the next entry, if that was read with its key.
    pub fn seq(&self) -> u64 {
        match &self.head {
            Head::Run { run, rows } => run.seq(self.row(rows, 0)),
            _ => 0,
        }
    }

    /// What can be done with the entries before `bound`, which is not before the next one; with all, if there is none. Of
    /// more than `rows_max` entries no more are counted.
    pub fn ahead(&self, bound: Option<&[u8]>, rows_max: usize) -> Ahead {
        match (&self.head, &self.feed) {
            (Head::Unread(number), Feed::Segment(feed)) => {
                let is_skipped = !feed.is_kept(*number) && feed.is_alone(*number, bound, self.reverse);
                if is_skipped { Ahead::Skip } else { Ahead::Load }
            }
            (Head::Run { run, rows }, feed) => {
                let len = rows.len().min(rows_max);
                match (bound, &**run, feed) {
                    (None, ..) => Ahead::Rows(len),
                    (_, Run::Block(block), Feed::Segment(feed)) if !run.has_keys() => {
                        let is_alone = feed.is_alone(block.block.number, bound, self.reverse);
                        if is_alone { Ahead::Rows(len) } else { Ahead::Load }
                    }
                    (Some(bound), ..) if self.reverse => {
                        Ahead::Rows(gallop(len, |nth| run.key(self.row(rows, nth)) > bound))
                    }
                    (Some(bound), ..) => Ahead::Rows(gallop(len, |nth| run.key(self.row(rows, nth)) < bound)),
                }
            }
            _ => Ahead::Load,
        }
    }

    /// The next `count` entries, of which there must be so many in memory: a run, and which of its rows.
    pub fn front(&self, count: usize) -> Option<(&Arc<Run>, Range<usize>)> {
        let Head::Run { run, rows } = &self.head else { return None };
        let count = count.min(rows.len());
        let front = if self.reverse { rows.end - count..rows.end } else { rows.start..rows.start + count };
        Some((run, front))
    }

    /// Leaves the next `count` entries behind. Returns the run that they were in if nothing is left of it.
    pub fn advance(&mut self, count: usize) -> Option<Arc<Run>> {
        let Head::Run { run, rows } = &mut self.head else { return None };
        let count = count.min(rows.len());
        if self.reverse {
            rows.end -= count;
        } else {
            rows.start += count;
        }
        if rows.start < rows.end {
            return None;
        }
        let used = Arc::clone(run);
        self.head = match &mut self.feed {
            Feed::Memory(feed) => feed.next(self.reverse),
            Feed::Segment(feed) => feed.next(),
        };
        Some(used)
    }

    /// Leaves a block behind that was not read.
    pub fn skip(&mut self) {
        if let Feed::Segment(feed) = &mut self.feed {
            feed.pass();
            self.head = feed.next();
        }
    }

    /// Takes the next step towards entries that can be compared: opens a segment, reads a block, or reads its keys.
    ///
    /// # Errors
    /// `Internal` if a segment cannot be read.
    pub async fn load(&mut self) -> Result<()> {
        let Feed::Segment(feed) = &mut self.feed else {
            self.begin();
            return Ok(());
        };
        self.head = match std::mem::replace(&mut self.head, Head::End) {
            Head::End => Head::End,
            Head::Closed => feed.open(self.reverse).await?,
            Head::Unread(number) => feed.read(number).await?,
            Head::Run { run, rows } => Head::Run { run: feed.with_keys(&run).await?, rows },
        };
        Ok(())
    }

    /// The row that is the `nth` of those that are left, in the direction of the scan.
    fn row(&self, rows: &Range<usize>, nth: usize) -> usize {
        if self.reverse { rows.end - 1 - nth } else { rows.start + nth }
    }
}

impl MemoryFeed {
    fn next(&mut self, reverse: bool) -> Head {
        // A range without keys may be one that a map panics at.
        if self.range.is_empty() {
            return Head::End;
        }
        let (mut rows, is_last) = self.memory.chunk(&self.range, reverse, self.chunk_rows);
        match rows.last().filter(|_| !is_last).map(|last| last.key.to_vec()) {
            Some(last) if reverse => self.range.end = Bound::Excluded(last),
            Some(last) => self.range.start = Bound::Excluded(last),
            None => self.range = KeyRange::empty(),
        }
        self.chunk_rows = (self.chunk_rows * CHUNK_GROWTH).min(CHUNK_ROWS_MAX);
        if reverse {
            rows.reverse();
        }
        Head::of_run(Run::Rows(rows))
    }
}

impl Memory {
    /// The first rows of `range` in the direction of the scan, and whether these are all.
    fn chunk(&self, range: &KeyRange, reverse: bool, rows_max: usize) -> (Vec<Row>, bool) {
        match self {
            Memory::Memtable(memtable, seq) => {
                let rows = memtable.range(range, *seq, reverse);
                first(rows.map(|(key, seq, payload)| Row { key, seq, payload }), rows_max)
            }
            Memory::Writes(writes) => {
                let bounds = (range.start.as_ref().map(Vec::as_slice), range.end.as_ref().map(Vec::as_slice));
                let found = writes.range::<[u8], _>(bounds);
                let row = |(key, payload): (&Key, &Option<Payload>)| Row {
                    key: Arc::clone(key),
                    seq: OWN_SEQ,
                    payload: payload.clone(),
                };
                if reverse { first(found.rev().map(row), rows_max) } else { first(found.map(row), rows_max) }
            }
        }
    }
}

/// The first rows, up to `rows_max` or until they are many bytes, and whether these are all.
fn first(mut rows: impl Iterator<Item = Row>, rows_max: usize) -> (Vec<Row>, bool) {
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < rows_max && bytes < CHUNK_BYTES_MAX {
        let Some(row) = rows.next() else { return (found, true) };
        bytes += row.bytes();
        found.push(row);
    }
    (found, false)
}

impl Head {
    fn of_run(run: Run) -> Self {
        match run.len() {
            0 => Head::End,
            len => Head::Run { run: Arc::new(run), rows: 0..len },
        }
    }
}

impl SegmentFeed {
    /// The end of a block at which the scan meets it.
    fn first_key(&self, number: usize, reverse: bool) -> Option<&[u8]> {
        let block = self.opened.as_ref()?.footer.blocks().get(number)?;
        Some(if reverse { &*block.max_key } else { &*block.min_key })
    }

    /// Whether all keys of a block come before `bound`.
    fn is_alone(&self, number: usize, bound: Option<&[u8]>, reverse: bool) -> bool {
        let block = self.opened.as_ref().and_then(|opened| opened.footer.blocks().get(number));
        match (block, bound) {
            (_, None) => true,
            (Some(block), Some(bound)) if reverse => *block.min_key > *bound,
            (Some(block), Some(bound)) => *block.max_key < *bound,
            (None, _) => false,
        }
    }

    fn is_kept(&self, number: usize) -> bool {
        self.opened.as_ref().is_none_or(|opened| opened.kept.get(number).copied().unwrap_or(true))
    }

    /// What follows the blocks that were read.
    fn next(&self) -> Head {
        let waiting = self.opened.as_ref().and_then(|opened| opened.waiting.front());
        waiting.map_or(Head::End, |number| Head::Unread(*number))
    }

    /// Notes that the next block was read, or will not be.
    fn pass(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.waiting.pop_front();
        }
    }

    async fn open(&mut self, reverse: bool) -> Result<Head> {
        let SegmentScan { segment, range, wanted, prune, .. } = &self.scan;
        let footer = segment.footer().await?;
        let found = footer.blocks_in(range);
        let waiting = if reverse { found.rev().collect() } else { found.collect() };
        let kept = prune.as_ref().map(|prune| prune(&footer)).unwrap_or_default();
        let prune = prune.as_ref().map(|_| {
            let kept = kept.clone();
            Arc::new(move |_: &Footer| kept.clone()) as Prune
        });
        let scan = BlockScan { range: range.clone(), wanted: wanted.clone(), is_reverse: reverse, prune };
        let blocks = segment.blocks(scan);
        self.opened = Some(Opened { footer, kept, waiting, blocks, early: None });
        Ok(self.next())
    }

    /// Reads the block `number`, which is the next one.
    async fn read(&mut self, number: usize) -> Result<Head> {
        let is_kept = self.is_kept(number);
        let Some(opened) = &mut self.opened else { return Ok(Head::End) };
        let block = if is_kept {
            let next = match opened.early.take() {
                Some(block) => Some(block),
                None => opened.blocks.next().await.transpose()?,
            };
            // Where there is another one, this one has no rows in the range.
            opened.early = next;
            opened.early.take_if(|block| block.number == number)
        } else {
            let SegmentScan { segment, range, wanted, .. } = &self.scan;
            segment.read_within(&opened.footer, number, wanted, range).await?
        };
        self.pass();
        match block {
            Some(block) if block.rows() > 0 => {
                Ok(Head::of_run(Run::Block(Box::new(BlockRun::new(block, None, self.scan.is_own)))))
            }
            _ => Ok(self.next()),
        }
    }

    /// The same rows, with their keys.
    async fn with_keys(&mut self, run: &Run) -> Result<Arc<Run>> {
        let footer = self.opened.as_ref().map(|opened| Arc::clone(&opened.footer));
        let SegmentScan { segment, range, keys, is_own, .. } = &self.scan;
        let no_block = || Error::internal(format!("segment {} has lost a block", segment.meta().id));
        let (Run::Block(run), Some(footer)) = (run, footer) else { return Err(no_block()) };
        let block = &run.block;
        let read = segment.read_within(&footer, block.number, keys, range).await?;
        let keys = read.filter(|keys| keys.rows() == block.rows()).ok_or_else(no_block)?;
        let run = Run::Block(Box::new(BlockRun::new(block.clone(), Some(keys), *is_own)));
        // Otherwise the merge would ask for them again and again.
        if run.has_keys() { Ok(Arc::new(run)) } else { Err(no_block()) }
    }
}

/// How many of `len` items come first for which `is_first` holds, by exponential search (J. L. Bentley and A. C. Yao, "An
/// Almost Optimal Algorithm for Unbounded Searching", 1976): in time that grows with the logarithm of the result.
fn gallop(len: usize, is_first: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut probe) = (0, 1);
    while probe <= len && is_first(probe - 1) {
        low = probe;
        probe *= 2;
    }
    let mut high = len.min(probe - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_first(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn galloping_finds_the_end_of_a_stretch_in_few_steps() {
        for len in 0..40 {
            for end in 0..=len {
                assert_eq!(gallop(len, |at| at < end), end, "{len}");
            }
        }
        let probes = Cell::new(0);
        let count = gallop(1 << 20, |at| {
            probes.set(probes.get() + 1);
            at < 5
        });
        assert_eq!(count, 5);
        assert!(probes.get() < 8, "{}", probes.get());
    }

    #[test]
    fn chunks_of_memory_follow_each_other_without_gaps() {
        let key = |n: u16| -> Key { Arc::from(n.to_be_bytes().as_slice()) };
        let memtable = Arc::new(Memtable::new());
        (0..3000).for_each(|n| memtable.put(key(n), 1, None));
        let writes: BTreeMap<Key, Option<Payload>> = (0..3000).map(|n| (key(n), None)).collect();
        let writes = Arc::new(writes);
        for reverse in [false, true] {
            let memories = [Memory::Memtable(Arc::clone(&memtable), 1), Memory::Writes(Arc::clone(&writes))];
            for memory in memories {
                let mut cursor = Cursor::memory(memory, KeyRange::all(), reverse);
                cursor.begin();
                let mut keys = vec![];
                while let Some(key) = cursor.key() {
                    keys.push(u16::from_be_bytes(key.try_into().unwrap()));
                    cursor.advance(1);
                }
                let mut expected: Vec<u16> = (0..3000).collect();
                if reverse {
                    expected.reverse();
                }
                assert_eq!(keys, expected);
                assert!(cursor.is_over());
            }
        }
    }
}
