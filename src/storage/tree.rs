//! One tree as a transaction sees it: what is committed, under what the transaction wrote itself.
//!
//! A key is looked up where it may be, newest first, and a range is scanned by a merge of everything that may have keys in
//! it ([`super::merge`]). Which of two rows of a key is newer is told by the commits that wrote them. The order of memtables
//! and segments settles it mostly, but not always: a segment that a transaction brought along is newer than rows that are
//! in memtables since before.

mod cost;
#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use parquet::basic::Type as PhysicalType;
use parquet::file::statistics::Statistics;

use super::codec::{KeyRange, RowBuilder, decode_key, decode_row, successor};
use super::memtable::{Key, Payload};
use super::merge::{self, Input, RowScan};
use super::segment::{Footer, Found, Prune, Segment, SegmentMeta, Wanted};
use super::version::TreeVersion;
use crate::error::{Error, Result};
use crate::value::State;
use crate::value::schema::Schema;

/// Rows of a batch, unless a scan says otherwise: enough to compute column by column, few enough for the processor's cache.
pub const BATCH_ROWS: usize = 8192;

/// What one transaction wrote in one tree. Cloning is cheap, and a clone stays as it is: change `writes` by
/// [`Arc::make_mut`].
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Payloads by key; nothing where the transaction deleted the row. They are newer than `segments`.
    pub writes: Arc<BTreeMap<Key, Option<Payload>>>,
    /// What became too much for memory. Later ones are newer.
    pub segments: Vec<Arc<Segment>>,
}

/// The rows of a tree, as a transaction sees them.
#[derive(Clone, Debug)]
pub struct Source {
    /// What is committed; nothing in a tree that belongs to the transaction, or that it has emptied.
    pub tree: Option<Arc<TreeVersion>>,
    pub overlay: Overlay,
    /// The newest commit that is seen.
    pub seq: u64,
}

/// Which rows of a tree to read, and what of them.
#[derive(Clone)]
pub struct TreeScan {
    pub range: KeyRange,
    /// The columns that are wanted, by their positions in the schema, in this order; none twice. There may be none at all,
    /// to count rows.
    pub columns: Vec<usize>,
    /// Whether rows come in descending order.
    pub reverse: bool,
    /// How many rows there are at most.
    pub limit: Option<u64>,
    /// Rows of a batch at most, see [`BATCH_ROWS`].
    pub batch_rows: usize,
    /// Says which blocks of segments have no row that the reader wants. Some of their rows may come nevertheless: those of
    /// blocks that must be read, since they hide others.
    pub prune: Option<Prune>,
}

impl TreeScan {
    /// The rows in a range, of which these columns are read.
    pub fn new(range: KeyRange, columns: Vec<usize>) -> Self {
        Self { range, columns, ..Self::default() }
    }
}

impl Default for TreeScan {
    /// All rows, but none of their columns.
    fn default() -> Self {
        let (range, columns) = (KeyRange::all(), vec![]);
        Self { range, columns, reverse: false, limit: None, batch_rows: BATCH_ROWS, prune: None }
    }
}

/// How much there is in a range.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Estimate {
    /// Rows at most. Where many are in memory this is guessed on the high side, and not 0.
    pub rows_max: u64,
    /// What they take where they are stored, roughly.
    pub bytes: u64,
    /// Whether there are exactly so many rows.
    pub is_exact: bool,
}

/// What the newest entry of a key says.
enum Hit {
    /// It is in memory: a payload, or nothing if the row was deleted.
    Memory(Option<Payload>),
    Segment(Found),
}

impl Source {
    /// The cells of the row at `key`, in the order of the columns of `schema`.
    ///
    /// Completes when it is first polled if the answer is in memory or in the cache.
    ///
    /// # Errors
    /// `Internal` if a segment cannot be read or the row is damaged.
    pub async fn get(&self, schema: &Arc<Schema>, key: &[u8]) -> Result<Option<Vec<State>>> {
        match self.find(Some(schema), key).await? {
            Some(Hit::Memory(Some(payload))) => decode_row(schema, key, &payload).map(Some),
            Some(Hit::Segment(Found::Row(cells))) => Ok(Some(cells)),
            Some(Hit::Memory(None) | Hit::Segment(Found::Deleted)) | None => Ok(None),
        }
    }

    /// Whether there is a row at `key`.
    ///
    /// # Errors
    /// As [`Source::get`].
    pub async fn contains(&self, key: &[u8]) -> Result<bool> {
        let hit = self.find(None, key).await?;
        Ok(matches!(hit, Some(Hit::Memory(Some(_)) | Hit::Segment(Found::Row(_)))))
    }

    /// The rows of a range, sorted by key, as batches of the wanted columns.
    ///
    /// # Errors
    /// The stream ends with an `Internal` error if a segment cannot be read or a row is damaged.
    pub fn scan(&self, schema: &Arc<Schema>, scan: TreeScan) -> BoxStream<'static, Result<RecordBatch>> {
        if scan.range.is_empty() || scan.limit == Some(0) {
            return stream::empty().boxed();
        }
        if let Some(key) = only_key(schema, &scan.range) {
            return self.scan_key(schema, key.into(), scan.columns);
        }
        let TreeScan { range, columns, reverse, limit, batch_rows, prune } = scan;
        let (inputs, schema) = (self.inputs(), Arc::clone(schema));
        merge::rows(RowScan { inputs, schema, range, columns, reverse, limit, batch_rows, prune })
    }

    /// A scan of one key, which is looked up: the filters of segments save more than a scan could.
    fn scan_key(&self, schema: &Arc<Schema>, key: Key, columns: Vec<usize>) -> BoxStream<'static, Result<RecordBatch>> {
        let (source, schema) = (self.clone(), Arc::clone(schema));
        let found = async move {
            let Some(row) = source.get(&schema, &key).await? else { return Ok(None) };
            let mut builder = RowBuilder::new(&schema, &columns, 1);
            builder.append_row(&row)?;
            builder.finish().map(Some)
        };
        stream::once(found).try_filter_map(|batch| ready(Ok(batch))).boxed()
    }

    /// Everything that has rows, the newest first where two have a row of one commit.
    fn inputs(&self) -> Vec<Input> {
        let mut inputs = vec![Input::Writes(Arc::clone(&self.overlay.writes))];
        inputs.extend(self.overlay.segments.iter().rev().map(|segment| Input::OwnSegment(Arc::clone(segment))));
        if let Some(tree) = &self.tree {
            inputs.extend(tree.memtables().map(|memtable| Input::Memtable(Arc::clone(memtable), self.seq)));
            inputs.extend(tree.segments.iter().map(|segment| Input::Segment(Arc::clone(segment))));
        }
        inputs
    }

    /// The newest entry of a key. Without a schema no cells are read.
    async fn find(&self, schema: Option<&Schema>, key: &[u8]) -> Result<Option<Hit>> {
        if let Some(value) = self.overlay.writes.get(key) {
            return Ok(Some(Hit::Memory(value.clone())));
        }
        for segment in self.overlay.segments.iter().rev() {
            if let Some(found) = probe(segment, schema, key).await? {
                return Ok(Some(Hit::Segment(found)));
            }
        }
        match &self.tree {
            Some(tree) => find_committed(tree, self.seq, schema, key).await,
            None => Ok(None),
        }
    }
}

/// The newest entry of a key among all commits up to `seq`.
async fn find_committed(tree: &TreeVersion, seq: u64, schema: Option<&Schema>, key: &[u8]) -> Result<Option<Hit>> {
    let in_memory = tree.memtables().find_map(|memtable| memtable.get(key, seq));
    let (mut newest, mut hit) = match in_memory {
        Some((seq, value)) => (Some(seq), Some(Hit::Memory(value))),
        None => (None, None),
    };
    let may_be_newer = |meta: &SegmentMeta, newest: Option<u64>| {
        newest.is_none_or(|newest| meta.seq > newest) && meta.may_contain(key)
    };
    for (at, segment) in tree.segments.iter().enumerate() {
        if !may_be_newer(segment.meta(), newest) {
            continue;
        }
        let Some(found) = probe(segment, schema, key).await? else { continue };
        let others = tree.segments[at + 1..].iter().map(|other| other.meta());
        let others = others.filter(|meta| may_be_newer(meta, newest)).map(|meta| meta.seq);
        // The row need not be of the newest commit of its segment, so others may be newer.
        let Some(rival) = others.chain(newest).max() else { return Ok(Some(Hit::Segment(found))) };
        let written = seq_of(segment, key, rival).await?;
        if newest.is_none_or(|newest| written > newest) {
            (newest, hit) = (Some(written), Some(Hit::Segment(found)));
        }
    }
    Ok(hit)
}

/// What a segment says of a key. Without a schema no cells are read.
async fn probe(segment: &Segment, schema: Option<&Schema>, key: &[u8]) -> Result<Option<Found>> {
    if !segment.meta().may_contain(key) {
        return Ok(None);
    }
    match schema {
        Some(schema) => segment.get(schema, key).await,
        None => {
            let found = segment.is_tombstone(key).await?;
            Ok(found.map(|is_deleted| if is_deleted { Found::Deleted } else { Found::Row(vec![]) }))
        }
    }
}

/// The commit that wrote the row at `key`, which the segment has; or, if all rows of its block are newer than commit
/// `rival`, one after that which is not newer than the row. That takes no reading.
async fn seq_of(segment: &Segment, key: &[u8], rival: u64) -> Result<u64> {
    let lost = || Error::internal(format!("segment {} has lost a row", segment.meta().id));
    let footer = segment.footer().await?;
    let number = footer.block_of(key).ok_or_else(lost)?;
    let oldest = oldest_seq(&footer, number, segment.meta().seq);
    if oldest > rival {
        return Ok(oldest);
    }
    let wanted = Wanted::try_new(segment.schema(), vec![])?.with_seqs();
    let block = segment.read_within(&footer, number, &wanted, &KeyRange::point(key)).await?;
    let seqs = block.and_then(|block| block.seqs).filter(|seqs| !seqs.is_empty()).ok_or_else(lost)?;
    Ok(seqs.value(0))
}

/// A commit that none of the rows of a block is older than. Those without a number of their own are of commit
/// `segment_seq`.
fn oldest_seq(footer: &Footer, number: usize, segment_seq: u64) -> u64 {
    let group = footer.metadata().row_group(number);
    // Numbers of commits are the last column, but for that of tombstones, which are Bools.
    let column = group.columns().iter().rev().find(|column| column.column_type() == PhysicalType::INT64);
    match column.and_then(|column| column.statistics()) {
        Some(Statistics::Int64(statistics)) => match statistics.min_opt() {
            Some(oldest) => oldest.cast_unsigned().min(segment_seq),
            None => segment_seq,
        },
        _ => 0,
    }
}

/// The one key that may be in a range: where it is the whole key of a row, there is no other that begins with it.
fn only_key<'a>(schema: &Schema, range: &'a KeyRange) -> Option<&'a [u8]> {
    if let Some(key) = range.as_point() {
        return Some(key);
    }
    let (Bound::Included(start), Bound::Excluded(end)) = (&range.start, &range.end) else { return None };
    let is_prefix = successor(start).as_ref() == Some(end);
    (is_prefix && decode_key(schema.key(), start).is_ok()).then_some(start.as_slice())
}
