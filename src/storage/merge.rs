//! Merges the inputs of a tree into one stream of rows, sorted by key.
//!
//! Inputs are what a transaction wrote itself, memtables and segments, each sorted by key. Of the entries of a key the one
//! of the newest commit is right; among those of one commit, that of the input that comes first. A tombstone hides the
//! others and is left out itself, unless it is wanted for writing segments.
//!
//! This is a k-way merge of *stretches* rather than rows: the input whose next key is the least gives all its entries up
//! to the next key of any other, found by [galloping](cursor) in the encoded keys. So where one input is alone, its rows
//! pass in long stretches, which become slices of its blocks; the keys of a block that no other input reaches into are
//! not even read. Only where inputs alternate are rows copied, a batch at a time: see [`gather`].
//!
//! Memory is bounded by the blocks in use, one or two for each segment that has been reached and is not passed, and by one
//! batch. A segment is opened when the scan reaches its first key, so that segments that follow each other take turns.
//!
//! Everything here keeps its place between polls, and a stream may be dropped at any time. What is in memory is there when
//! a stream is first polled; after much work it yields.

mod cursor;
mod gather;
mod run;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt64Array};
use futures::stream::{self, BoxStream, StreamExt as _};

use self::cursor::{Ahead, Cursor, Memory, SegmentScan};
use self::gather::{Gather, Shape};
use super::codec::{KeyColumn, KeyRange};
use super::memtable::{Key, Memtable, Payload};
use super::segment::{Prune, Segment, Wanted};
use crate::error::{Error, Result};
use crate::value::schema::Schema;

/// Rows that a stream passes or leaves out before it lets others run: a millisecond or a few.
const YIELD_ROWS: usize = 64 << 10;
/// Rows of a batch of entries: those of a block, so that a block that is alone is copied in one piece.
const ENTRY_ROWS: usize = 32 << 10;

/// Entries of a tree, each the newest of its key, ascending by key.
#[derive(Clone, Debug)]
pub struct EntryBatch {
    /// All columns of the schema. If `deleted` is there, those that are not in the key are nullable.
    pub batch: RecordBatch,
    /// The key of each entry.
    pub keys: KeyColumn,
    /// The commit that wrote each entry. None is null.
    pub seqs: UInt64Array,
    /// Which entries are tombstones. Nothing if none is. Their value columns are null, or what they happen to be.
    pub deleted: Option<BooleanArray>,
}

/// Entries of a tree, batch by batch.
pub type EntryStream = BoxStream<'static, Result<EntryBatch>>;

/// Something that has entries of a tree, sorted by key.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// What a transaction wrote. It is newer than all commits.
    Writes(Arc<BTreeMap<Key, Option<Payload>>>),
    /// A segment that a transaction wrote. It is newer than all commits.
    OwnSegment(Arc<Segment>),
    /// What a reader of all commits up to a number sees of a memtable.
    Memtable(Arc<Memtable>, u64),
    Segment(Arc<Segment>),
}

/// What is read of the inputs.
pub(super) struct RowScan {
    /// Where two have an entry of one commit, or of the transaction itself, the first is right.
    pub inputs: Vec<Input>,
    pub schema: Arc<Schema>,
    pub range: KeyRange,
    /// The columns of batches, by their positions in the schema; there may be none.
    pub columns: Vec<usize>,
    /// Whether rows are descending.
    pub reverse: bool,
    pub limit: Option<u64>,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Which blocks of segments have rows that are of interest. The others are left out where that hides nothing.
    pub prune: Option<Prune>,
}

/// The rows of a range.
pub(super) fn rows(scan: RowScan) -> BoxStream<'static, Result<RecordBatch>> {
    let next = |mut merge: Merge| async move {
        let batch = if merge.fill().await? { Some(merge.gather.take_rows()?) } else { None };
        Ok::<_, Error>(batch.map(|batch| (batch, merge)))
    };
    match Merge::of_rows(scan) {
        Ok(merge) => stream::try_unfold(merge, next).boxed(),
        Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
    }
}

/// The entries of some memtables and segments of one tree: the newest of each key, in whichever of them it is, ascending.
/// This is what a segment is written from that takes their place.
///
/// Where two entries are of one commit, that in a memtable is the newer one, then that in the segment that comes first. With
/// `drop_tombstones` deleted rows are left out, which is right if nothing older than these inputs has their keys.
///
/// # Errors
/// The stream ends with an `Internal` error if a segment cannot be read or a row is damaged.
pub fn entries(
    memtables: Vec<Arc<Memtable>>,
    segments: Vec<Arc<Segment>>,
    schema: Arc<Schema>,
    range: KeyRange,
    drop_tombstones: bool,
) -> EntryStream {
    let memtables = memtables.into_iter().map(|memtable| Input::Memtable(memtable, u64::MAX));
    let inputs = memtables.chain(segments.into_iter().map(Input::Segment)).collect();
    let next = |mut merge: Merge| async move {
        let batch = if merge.fill().await? { Some(merge.gather.take_entries()?) } else { None };
        Ok::<_, Error>(batch.map(|batch| (batch, merge)))
    };
    match Merge::of_entries(inputs, &schema, &range, drop_tombstones) {
        Ok(merge) => stream::try_unfold(merge, next).boxed(),
        Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
    }
}

/// A merge on its way.
struct Merge {
    cursors: Vec<Cursor>,
    /// The cursors that are not over, by their places in `cursors`: that with the next key first. Of equal keys those come
    /// first that have yet to be read, then the newer input.
    order: Vec<usize>,
    gather: Gather,
    is_begun: bool,
    reverse: bool,
    batch_rows: usize,
    /// How many rows may still be given out.
    left: u64,
    /// Rows that were passed or left out since others were last let run.
    work: usize,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// The first cursor must read something.
    Load,
    Done,
    /// The batch is complete.
    Full,
    /// There is nothing more.
    End,
}

impl Merge {
    fn of_rows(scan: RowScan) -> Result<Self> {
        let RowScan { inputs, schema, range, columns, reverse, limit, batch_rows, prune } = scan;
        let wanted = Wanted::try_new(&schema, columns.clone())?;
        let shape = Shape::try_new(&schema, columns, reverse, false)?;
        let cursors = cursors(inputs, &schema, &range, &wanted, prune, reverse)?;
        Ok(Self::new(cursors, shape, reverse, batch_rows, limit.unwrap_or(u64::MAX)))
    }

    fn of_entries(inputs: Vec<Input>, schema: &Arc<Schema>, range: &KeyRange, drop_tombstones: bool) -> Result<Self> {
        let columns = schema.primary_columns();
        let wanted = Wanted::try_new(schema, columns.clone())?.with_keys().with_seqs();
        let shape = Shape::try_new(schema, columns, false, !drop_tombstones)?;
        let cursors = cursors(inputs, schema, range, &wanted, None, false)?;
        Ok(Self::new(cursors, shape, false, ENTRY_ROWS, u64::MAX))
    }

    fn new(cursors: Vec<Cursor>, shape: Shape, reverse: bool, batch_rows: usize, left: u64) -> Self {
        let (gather, batch_rows) = (Gather::new(shape), batch_rows.max(1));
        Self { cursors, order: vec![], gather, is_begun: false, reverse, batch_rows, left, work: 0 }
    }

    /// Chooses the rows of the next batch. Returns whether there are any.
    async fn fill(&mut self) -> Result<bool> {
        self.begin();
        let rows_max = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.batch_rows);
        while self.gather.len() < rows_max && !self.gather.is_heavy() {
            if self.work >= YIELD_ROWS {
                self.work = 0;
                tokio::task::yield_now().await;
            }
            match self.step(rows_max) {
                Step::Done => {}
                Step::Full | Step::End => break,
                Step::Load => {
                    if let Some(first) = self.order.first() {
                        self.cursors[*first].load().await?;
                        self.settle(0);
                    }
                }
            }
        }
        self.left -= self.gather.len() as u64;
        Ok(!self.gather.is_empty())
    }

    fn begin(&mut self) {
        if self.is_begun {
            return;
        }
        self.is_begun = true;
        self.cursors.iter_mut().for_each(Cursor::begin);
        let mut order: Vec<usize> = (0..self.cursors.len()).filter(|at| !self.cursors[*at].is_over()).collect();
        order.sort_by(|l, r| self.compare(*l, *r));
        self.order = order;
    }

    /// Adds to the batch, which is to have `rows_max` rows at most and has fewer.
    fn step(&mut self, rows_max: usize) -> Step {
        let Some(first) = self.order.first().copied() else { return Step::End };
        let bound = self.order.get(1).and_then(|second| self.cursors[*second].key());
        let count = match self.cursors[first].ahead(bound, rows_max) {
            Ahead::Load => return Step::Load,
            Ahead::Skip => {
                self.cursors[first].skip();
                self.settle(0);
                return Step::Done;
            }
            Ahead::Rows(0) => {
                self.choose();
                return Step::Done;
            }
            Ahead::Rows(count) => count,
        };
        let passes = self.cursors[first].front(1).is_some_and(|(run, _)| self.gather.passes(run));
        // A long stretch is a batch of its own, so that it need not be copied.
        let is_batch = passes && count >= rows_max.div_ceil(2);
        if is_batch && !self.gather.is_empty() {
            return Step::Full;
        }
        self.take(first, count.min(rows_max - self.gather.len()));
        self.settle(0);
        // It may have been tombstones, all of them.
        if is_batch && !self.gather.is_empty() { Step::Full } else { Step::Done }
    }

    /// Adds the newest entry of a key that several inputs have next, and leaves the others behind.
    fn choose(&mut self) {
        let Some(key) = self.order.first().and_then(|first| self.cursors[*first].key()) else { return };
        let tied = self.order.iter().take_while(|at| self.cursors[**at].key() == Some(key)).count();
        // Of several greatest the last one is given, so this looks at the newest input last.
        let newest = (0..tied).rev().max_by_key(|place| self.cursors[self.order[*place]].seq());
        if let Some((run, rows)) = newest.and_then(|place| self.cursors[self.order[place]].front(1)) {
            self.gather.push(run, rows);
        }
        for place in (0..tied).rev() {
            self.advance(self.order[place], 1);
            self.settle(place);
        }
    }

    /// Adds the next entries of a cursor.
    fn take(&mut self, at: usize, count: usize) {
        if let Some((run, rows)) = self.cursors[at].front(count) {
            self.gather.push(run, rows);
        }
        self.advance(at, count);
    }

    fn advance(&mut self, at: usize, count: usize) {
        self.work += count;
        if let Some(used) = self.cursors[at].advance(count) {
            self.gather.charge(&used);
        }
    }

    /// Moves a cursor that has gone on to its new place in the order. Those after it are in order.
    fn settle(&mut self, mut place: usize) {
        let Some(moved) = self.order.get(place).copied() else { return };
        if self.cursors[moved].is_over() {
            self.order.remove(place);
            return;
        }
        while let Some(next) = self.order.get(place + 1).copied().filter(|next| self.compare(*next, moved).is_lt()) {
            self.order[place] = next;
            place += 1;
        }
        self.order[place] = moved;
    }

    fn compare(&self, l: usize, r: usize) -> Ordering {
        let (left, right) = (&self.cursors[l], &self.cursors[r]);
        let by_key = if self.reverse { right.key().cmp(&left.key()) } else { left.key().cmp(&right.key()) };
        by_key.then_with(|| right.is_pending().cmp(&left.is_pending())).then(l.cmp(&r))
    }
}

/// Cursors over those of the inputs that may have rows in `range`.
fn cursors(
    inputs: Vec<Input>,
    schema: &Arc<Schema>,
    range: &KeyRange,
    wanted: &Wanted,
    prune: Option<Prune>,
    reverse: bool,
) -> Result<Vec<Cursor>> {
    // A transaction's own segments need no commits: none is newer.
    let own_keys = Wanted::try_new(schema, vec![])?.with_keys();
    let keys = own_keys.clone().with_seqs();
    let is_reached = |segment: &Segment| range.intersects(&segment.meta().min_key, &segment.meta().max_key);
    let of_segment = |segment: Arc<Segment>, is_own: bool| {
        let keys = if is_own { &own_keys } else { &keys };
        let (range, wanted, keys, prune) = (range.clone(), wanted.clone(), keys.clone(), prune.clone());
        let scan = SegmentScan { segment, is_own, range, wanted, keys, prune };
        is_reached(&scan.segment).then(|| Cursor::segment(scan, reverse))
    };
    let of_memory = |memory: Memory| Some(Cursor::memory(memory, range.clone(), reverse));
    let cursors = inputs.into_iter().filter_map(|input| match input {
        Input::Writes(writes) if writes.is_empty() => None,
        Input::Writes(writes) => of_memory(Memory::Writes(writes)),
        Input::OwnSegment(segment) => of_segment(segment, true),
        Input::Memtable(memtable, _) if memtable.is_empty() => None,
        Input::Memtable(memtable, seq) => of_memory(Memory::Memtable(memtable, seq)),
        Input::Segment(segment) => of_segment(segment, false),
    });
    Ok(cursors.collect())
}
