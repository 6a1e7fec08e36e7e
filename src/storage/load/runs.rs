//! Rows of one tree to sorted segments.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::error::ArrowError;

use super::drafts::Drafts;
use super::{Limits, batch_bytes};
use crate::error::{Error, Result};
use crate::storage::codec::KeyColumn;
use crate::storage::files::{join_error, run_blocking};
use crate::storage::index::{batch_keys, duplicate};
use crate::storage::segment::SegmentWriter;
use crate::storage::store::Store;
use crate::value::schema::{Schema, TreeId};

/// Rows whose keys are looked at once, and rows that are handed to a writer.
const SLICE_ROWS: usize = 32 << 10;

/// What becomes of rows with one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Equal {
    LastWins,
    /// Where it is found. Two that are in different runs are not found here.
    Refused,
}

/// Collects rows of a tree to runs, which are sorted and have no key twice, and writes these to segments.
pub(super) struct Runs {
    store: Arc<Store>,
    tree: TreeId,
    schema: Arc<Schema>,
    equal: Equal,
    limits: Limits,
    pending: Pending,
    /// The run that is being written, as long as rows come in order.
    open: Option<Open>,
    done: Drafts,
}

/// What came of all rows.
pub(super) enum Loaded {
    /// These are so few that they should stay in memory; in the order in which they came.
    Few(Option<RecordBatch>),
    /// Runs, each newer than those before.
    Many(Drafts),
}

/// Rows that are in no run yet.
struct Pending {
    batches: Vec<RecordBatch>,
    keys: Vec<KeyColumn>,
    rows: usize,
    bytes: u64,
    /// Whether the keys ascend, from the first batch to the last.
    is_sorted: bool,
}

impl Default for Pending {
    fn default() -> Self {
        Self { batches: vec![], keys: vec![], rows: 0, bytes: 0, is_sorted: true }
    }
}

struct Open {
    writer: SegmentWriter,
    last_key: Vec<u8>,
}

/// The place of a row: the beginning of its key, its batch, its row there.
type Place = (u64, u32, u32);

impl Runs {
    pub(super) fn new(store: &Arc<Store>, tree: TreeId, schema: &Arc<Schema>, equal: Equal, limits: Limits) -> Self {
        Self {
            store: Arc::clone(store),
            tree,
            schema: Arc::clone(schema),
            equal,
            limits,
            pending: Pending::default(),
            open: None,
            done: Drafts::new(store, vec![]),
        }
    }

    #[cfg(test)]
    pub(super) fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Adds rows, which have the columns of the schema.
    ///
    /// # Errors
    /// `BadRequest` if two rows have one key and that is refused; `Internal` if rows cannot be written.
    pub(super) async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        for start in (0..batch.num_rows()).step_by(SLICE_ROWS) {
            self.push_slice(batch.slice(start, SLICE_ROWS.min(batch.num_rows() - start))).await?;
        }
        Ok(())
    }

    /// Completes all runs.
    ///
    /// # Errors
    /// As [`Runs::push`].
    pub(super) async fn finish(mut self) -> Result<Loaded> {
        if self.done.segments().is_empty() && self.open.is_none() && self.are_few() {
            let Some(first) = self.pending.batches.first() else {
                return Ok(Loaded::Few(None));
            };
            return Ok(Loaded::Few(Some(concat_batches(&first.schema(), &self.pending.batches).map_err(unfit)?)));
        }
        if self.open.is_none() {
            self.write_pending().await?;
        }
        self.close().await?;
        Ok(Loaded::Many(self.done))
    }

    async fn push_slice(&mut self, batch: RecordBatch) -> Result<()> {
        let keys = batch_keys(&self.schema, &batch)?;
        let is_sorted = is_ascending(&keys);
        if let Some(open) = &mut self.open {
            if is_sorted && open.last_key.as_slice() < keys.get(0) {
                return open.push(batch, &keys).await;
            }
            self.close().await?;
        }
        self.pending.push(batch, keys, is_sorted);
        if self.pending.bytes >= self.limits.run_bytes || (self.pending.is_sorted && !self.are_few()) {
            self.write_pending().await?;
        }
        Ok(())
    }

    /// Whether the rows that are pending are few.
    fn are_few(&self) -> bool {
        self.limits.are_few(self.pending.rows, self.pending.bytes)
    }

    /// Writes a run of what is pending. If it came in order, the run stays open for more.
    async fn write_pending(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let Pending { batches, keys, is_sorted, .. } = &pending;
        if batches.is_empty() {
            return Ok(());
        }
        let writer = self.store.new_segment_writer(self.tree, &self.schema, false)?;
        let mut open = Open { writer, last_key: vec![] };
        if *is_sorted {
            for (batch, keys) in batches.iter().zip(keys) {
                open.push(batch.clone(), keys).await?;
            }
            self.open = Some(open);
            return Ok(());
        }
        let (pending, order) = run_blocking(move || sorted(pending)).await.map_err(|error| join_error(&error))?;
        let order = self.distinct(&pending, order)?;
        let batches: Vec<&RecordBatch> = pending.batches.iter().collect();
        for places in order.chunks(SLICE_ROWS) {
            let rows: Vec<(usize, usize)> =
                places.iter().map(|(_, batch, row)| (*batch as usize, *row as usize)).collect();
            let mut keys = KeyColumn::with_capacity(rows.len(), rows.len() * 16);
            places.iter().for_each(|place| keys.push(pending.key(place)));
            open.push(interleave_record_batch(&batches, &rows).map_err(unfit)?, &keys).await?;
        }
        self.open = Some(open);
        self.close().await
    }

    /// The rows of a sorted run, of those with one key the last.
    fn distinct(&self, pending: &Pending, mut order: Vec<Place>) -> Result<Vec<Place>> {
        let mut refused = None;
        order.dedup_by(|next, last| {
            let is_equal = next.0 == last.0 && pending.key(next) == pending.key(last);
            if is_equal {
                refused = Some(*next);
                *last = *next;
            }
            is_equal
        });
        match refused {
            Some(place) if self.equal == Equal::Refused => Err(duplicate(&self.schema, pending.key(&place))),
            _ => Ok(order),
        }
    }

    /// Completes the run that is being written.
    async fn close(&mut self) -> Result<()> {
        if let Some(open) = self.open.take() {
            let meta = open.writer.finish().await?;
            if let Some(meta) = meta {
                self.done.push(self.store.open_segment(meta, &self.schema));
            }
        }
        Ok(())
    }
}

impl Open {
    async fn push(&mut self, batch: RecordBatch, keys: &KeyColumn) -> Result<()> {
        self.writer.push(batch, None, None, keys).await?;
        if let Some(last) = keys.len().checked_sub(1) {
            self.last_key.clear();
            self.last_key.extend_from_slice(keys.get(last));
        }
        Ok(())
    }
}

impl Pending {
    fn push(&mut self, batch: RecordBatch, keys: KeyColumn, is_sorted: bool) {
        let last = self.keys.last().filter(|last| !last.is_empty());
        let follows = last.is_none_or(|last| last.get(last.len() - 1) < keys.get(0));
        self.is_sorted &= is_sorted && follows;
        self.rows += batch.num_rows();
        self.bytes += batch_bytes(&batch);
        self.batches.push(batch);
        self.keys.push(keys);
    }

    fn key(&self, (_, batch, row): &Place) -> &[u8] {
        self.keys[*batch as usize].get(*row as usize)
    }
}

/// The places of pending rows in the order of their keys; of equal keys in the order in which they came.
fn sorted(pending: Pending) -> (Pending, Vec<Place>) {
    let mut order = Vec::with_capacity(pending.rows);
    for (batch, keys) in (0..).zip(&pending.keys) {
        order.extend((0..).zip(keys.iter()).map(|(row, key)| (beginning(key), batch, row)));
    }
    // The beginning mostly decides, without a look at the key itself, which is elsewhere in memory.
    order.sort_unstable_by(|l, r| {
        l.0.cmp(&r.0).then_with(|| pending.key(l).cmp(pending.key(r))).then_with(|| (l.1, l.2).cmp(&(r.1, r.2)))
    });
    (pending, order)
}

/// The first bytes of a key, as a number that compares like them.
fn beginning(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(bytes.len());
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

fn is_ascending(keys: &KeyColumn) -> bool {
    (1..keys.len()).all(|row| keys.get(row - 1) < keys.get(row))
}

fn unfit(error: ArrowError) -> Error {
    Error::internal(format!("the batches of a load do not fit together: {error}"))
}
