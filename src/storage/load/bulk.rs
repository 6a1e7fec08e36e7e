//! What a load does once its rows are in segments.
//!
//! The runs of a load are read back as one tree, merged: so each key is seen once, with its newest row, in order. This is
//! how repeated keys are found where they are not allowed, how the entries of indexes are made, and how the old entries of
//! replaced rows are found. None of it happens where it is not needed: rows without indexes that go where there were none,
//! in runs that do not overlap, are just there.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt as _;

use super::Limits;
use super::drafts::Drafts;
use super::runs::{Equal, Loaded, Runs};
use crate::error::{Error, Result};
use crate::storage::codec::KeyRange;
use crate::storage::cursor::{Cursor, Probe, SPARSE_ROWS};
use crate::storage::index::{Access, Index, duplicate};
use crate::storage::memtable::{Key, Payload};
use crate::storage::segment::Segment;
use crate::storage::tree::{Overlay, Source, TreeScan};
use crate::storage::txn::{Core, Mode};
use crate::storage::write_set::WriteSet;
use crate::value::schema::{Schema, Table, TreeId};

/// Bytes of old entries of an index that are collected before they go to a segment.
const GONE_BYTES: usize = 8 << 20;

/// New rows or entries of a tree, which nobody sees yet.
pub(in crate::storage) struct Staged {
    /// Newer than the segments.
    writes: BTreeMap<Key, Option<Payload>>,
    /// Of the keys in `writes`.
    bytes: usize,
    segments: Drafts,
}

impl Staged {
    fn new(core: &Core) -> Self {
        Self { writes: BTreeMap::new(), bytes: 0, segments: Drafts::new(&core.store, vec![]) }
    }

    /// Makes them part of a transaction. The tree has no other rows in memory: see [`Core::spill`].
    pub(in crate::storage) fn install(self, writes: &mut WriteSet, tree: TreeId, schema: &Arc<Schema>) {
        writes.append(tree, schema, self.segments.keep());
        for (key, payload) in self.writes {
            writes.write(tree, schema, key, payload);
        }
    }

    /// What is in a tree when these are part of it.
    fn above(&self, source: Source) -> Source {
        let mut segments = source.overlay.segments;
        segments.extend(self.segments.segments().iter().cloned());
        let writes = Arc::new(self.writes.clone());
        Source { overlay: Overlay { writes, segments }, ..source }
    }
}

/// Makes the entries of a new index of `table`, from the rows that the transaction sees. The caller holds the
/// [`Core::writer`].
///
/// # Errors
/// `BadRequest` if the index is unique, and two rows have the same cells in it.
pub(in crate::storage) async fn backfill(core: &Core, table: &Table, index: &Index) -> Result<Staged> {
    let source = {
        let mut work = core.work.lock();
        work.reads.add_range(table.rows, &KeyRange::all());
        core.source(&work, table.rows)
    };
    let staged = core.load_index(&table.schema, index, &source).await?;
    refuse_rivals_in(index, &staged, alone(&[])).await?;
    Ok(staged)
}

impl Core {
    /// Adds loaded rows to a table. The caller holds the [`Core::writer`].
    pub(super) async fn write_bulk(&self, access: &Access, loaded: Drafts, mode: Mode) -> Result<()> {
        // Older rows in memory would hide newer ones in segments.
        for (tree, _) in access.trees() {
            self.spill(tree).await?;
        }
        let (tree, schema) = (access.table.rows, &access.table.schema);
        let news = alone(loaded.segments());
        let Some(range) = span(loaded.segments()) else {
            return Ok(());
        };
        let olds = {
            let mut work = self.work.lock();
            if mode == Mode::Insert || !access.indexes.is_empty() {
                work.note_range(access, tree, &range);
            }
            self.source(&work, tree)
        };
        if mode == Mode::Insert {
            refuse_repeated(schema, &loaded, &olds, &range).await?;
        }
        let mut staged = Vec::with_capacity(access.indexes.len());
        for index in &access.indexes {
            staged.push(self.load_index(schema, index, &news).await?);
        }
        if mode == Mode::Upsert && !access.indexes.is_empty() {
            self.remove_entries(access, &news, olds, &range, &mut staged).await?;
        }
        for (index, staged) in access.indexes.iter().zip(&staged) {
            self.refuse_loaded_rivals(access, index, staged).await?;
        }
        let mut work = self.work.lock();
        work.writes.append(tree, schema, loaded.keep());
        for (index, staged) in access.indexes.iter().zip(staged) {
            staged.install(&mut work.writes, index.tree, &index.schema);
        }
        Ok(())
    }

    /// The entries of all rows of `source` in an index of their table, which has `schema`.
    async fn load_index(&self, schema: &Arc<Schema>, index: &Index, source: &Source) -> Result<Staged> {
        let limits = Limits::of(index.tree);
        // A row has one entry, so no two entries are equal.
        let mut runs = Runs::new(&self.store, index.tree, &index.schema, Equal::LastWins, limits);
        let mut batches = source.scan(schema, TreeScan::new(KeyRange::all(), index.columns.clone()));
        while let Some(batch) = batches.next().await {
            runs.push(batch?).await?;
        }
        let mut staged = Staged::new(self);
        match runs.finish().await? {
            Loaded::Many(segments) => staged.segments = segments,
            Loaded::Few(Some(batch)) => staged.writes = entries(index, &batch)?,
            Loaded::Few(None) => {}
        }
        Ok(staged)
    }

    /// Adds to what is staged for each index that the entries of replaced rows go away.
    async fn remove_entries(
        &self,
        access: &Access,
        news: &Source,
        olds: Source,
        range: &KeyRange,
        staged: &mut [Staged],
    ) -> Result<()> {
        let schema = &access.table.schema;
        let columns = access.indexed_columns();
        let rows = news.estimate(range).rows_max;
        let Some(mut probe) = Probe::new(olds, schema, range, columns.iter().copied(), rows) else {
            return Ok(());
        };
        let mut cursor = Cursor::new(news, schema, range, columns);
        while let Some(key) = cursor.key().await? {
            if let Some(old) = probe.find(key).await? {
                let new = cursor.row()?;
                for (index, staged) in access.indexes.iter().zip(staged.iter_mut()) {
                    let (old, new) = (index.entry(&old)?.key, index.entry(&new)?.key);
                    if old != new {
                        self.remove_entry(index, old, staged).await?;
                    }
                }
            }
            cursor.advance();
        }
        Ok(())
    }

    async fn remove_entry(&self, index: &Index, key: Key, staged: &mut Staged) -> Result<()> {
        staged.bytes += key.len();
        staged.writes.insert(key, None);
        if staged.bytes > GONE_BYTES {
            staged.bytes = 0;
            let writes = std::mem::take(&mut staged.writes);
            let segment = self.segment_of(index.tree, &index.schema, &writes).await?;
            segment.into_iter().for_each(|segment| staged.segments.push(segment));
        }
        Ok(())
    }

    /// Checks that a unique index has no two entries with the same declared cells when those that are staged are in it.
    async fn refuse_loaded_rivals(&self, access: &Access, index: &Index, staged: &Staged) -> Result<()> {
        let Some(range) = rivals(index, staged)? else {
            return Ok(());
        };
        let source = {
            let mut work = self.work.lock();
            work.note_range(access, index.tree, &range);
            self.source(&work, index.tree)
        };
        refuse_rivals_in(index, staged, source).await
    }
}

/// As [`Core::refuse_loaded_rivals`], where `source` is what is in the index.
async fn refuse_rivals_in(index: &Index, staged: &Staged, source: Source) -> Result<()> {
    let Some(range) = rivals(index, staged)? else {
        return Ok(());
    };
    let (news, all) = (staged.above(alone(&[])), staged.above(source));
    let (added, rows) = (news.estimate(&range).rows_max, all.estimate(&range).rows_max);
    if rows / SPARSE_ROWS <= added {
        return refuse_neighbours(index, &all, &range).await;
    }
    let mut entries = Cursor::new(&news, &index.schema, &range, []);
    while let Some(key) = entries.key().await? {
        if let Some(prefix) = index.prefix(key)? {
            refuse_neighbours(index, &all, &KeyRange::prefix(prefix)).await?;
        }
        entries.advance();
    }
    Ok(())
}

/// Checks that no two entries of a unique index that follow each other in a range have the same declared cells.
async fn refuse_neighbours(index: &Index, source: &Source, range: &KeyRange) -> Result<()> {
    let mut entries = Cursor::new(source, &index.schema, range, []);
    let mut last: Option<Vec<u8>> = None;
    while let Some(key) = entries.key().await? {
        let prefix = index.prefix(key)?;
        if prefix.is_some() && prefix == last.as_deref() {
            return Err(index.violation(key));
        }
        last = prefix.map(<[u8]>::to_vec);
        entries.advance();
    }
    Ok(())
}

/// Checks that loaded rows have keys that no other row has, neither among them nor among those that were there.
async fn refuse_repeated(schema: &Arc<Schema>, loaded: &Drafts, olds: &Source, range: &KeyRange) -> Result<()> {
    let segments = loaded.segments();
    let rows: u64 = segments.iter().map(|segment| segment.meta().rows).sum();
    let mut probe = Probe::new(olds.clone(), schema, range, [], rows);
    if probe.is_none() && !do_overlap(segments) {
        return Ok(());
    }
    let (mut news, mut distinct) = (Cursor::new(&alone(segments), schema, range, []), 0);
    while let Some(key) = news.key().await? {
        if let Some(probe) = &mut probe
            && probe.contains(key).await?
        {
            return Err(duplicate(schema, key));
        }
        distinct += 1;
        news.advance();
    }
    if distinct == rows { Ok(()) } else { Err(repeated(schema, segments).await?) }
}

/// The error that names a key which two of these segments have.
async fn repeated(schema: &Arc<Schema>, segments: &[Arc<Segment>]) -> Result<Error> {
    for (at, segment) in segments.iter().enumerate().skip(1) {
        let (range, rows) = (segment.key_range(), segment.meta().rows);
        let mut news = Cursor::new(&alone(std::slice::from_ref(segment)), schema, &range, []);
        let Some(mut before) = Probe::new(alone(&segments[..at]), schema, &range, [], rows) else {
            continue;
        };
        while let Some(key) = news.key().await? {
            if before.contains(key).await? {
                return Ok(duplicate(schema, key));
            }
            news.advance();
        }
    }
    Ok(Error::bad_request("two rows have the same key"))
}

/// Some segments of a transaction as a tree of their own.
fn alone(segments: &[Arc<Segment>]) -> Source {
    Source { tree: None, overlay: Overlay { segments: segments.to_vec(), ..Overlay::default() }, seq: 0 }
}

/// The keys from the first to the last of some segments.
fn span(segments: &[Arc<Segment>]) -> Option<KeyRange> {
    let min = segments.iter().map(|segment| &segment.meta().min_key).min()?;
    let max = segments.iter().map(|segment| &segment.meta().max_key).max()?;
    Some(KeyRange { start: Bound::Included(min.clone()), end: Bound::Included(max.clone()) })
}

/// Whether any two segments may have the same key.
fn do_overlap(segments: &[Arc<Segment>]) -> bool {
    let mut spans: Vec<_> = segments.iter().map(|segment| segment.meta()).map(|m| (&m.min_key, &m.max_key)).collect();
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[0].1 >= pair[1].0)
}

/// The keys of a unique index that can be rivals of those that are staged; nothing if there are none.
fn rivals(index: &Index, staged: &Staged) -> Result<Option<KeyRange>> {
    if !index.is_unique {
        return Ok(None);
    }
    let segments = staged.segments.segments().iter().map(|segment| segment.meta());
    let min = segments.clone().map(|meta| meta.min_key.as_slice()).chain(staged.writes.keys().next().map(|key| &**key));
    let max = segments.map(|meta| meta.max_key.as_slice()).chain(staged.writes.keys().next_back().map(|key| &**key));
    match min.min().zip(max.max()) {
        Some((min, max)) => index.rivals(min, max).map(Some),
        None => Ok(None),
    }
}

fn entries(index: &Index, batch: &RecordBatch) -> Result<BTreeMap<Key, Option<Payload>>> {
    let entries = index.entries(batch)?;
    let payloads = entries.payloads.iter().map(|payload| Some(Payload::from(payload)));
    Ok(entries.keys.iter().map(Key::from).zip(payloads).collect())
}
