//! A tree that is built step by step, beside a model of what should be in it, for tests.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt as _;
use futures::executor::block_on;
use proptest::prelude::*;

use super::{Overlay, Source, TreeScan};
use crate::storage::cache::BlockCache;
use crate::storage::codec::sample::{column, nullable, schema};
use crate::storage::codec::{KeyRange, encode_key, encode_payload, rows};
use crate::storage::files::open_object_store;
use crate::storage::memtable::{Key, Memtable, Payload};
use crate::storage::merge::{EntryStream, entries};
use crate::storage::segment::{Segment, SegmentStore, Sweeper, WriterOptions};
use crate::storage::version::TreeVersion;
use crate::value::schema::{Column, ColumnType, Schema, TreeId};
use crate::value::{NumberClass, State};

const TREE: TreeId = TreeId(5);
/// The ordinal of segments that are written from memory, as in [`crate::storage::checkpoint`].
const FLUSHED: u32 = u32::MAX;

/// Writes of a commit: the number of a key, and whether a row is put there or deleted.
pub(in crate::storage) type Writes = Vec<(u16, bool)>;

/// The rows of a tree by their keys.
pub(in crate::storage) type Rows = BTreeMap<Vec<u8>, Vec<State>>;

/// A tree, what a transaction wrote in it, and what a reader should find.
pub(in crate::storage) struct World {
    pub schema: Arc<Schema>,
    pub store: SegmentStore,
    pub tree: TreeVersion,
    pub overlay: Overlay,
    pub seq: u64,
    /// The newest commit of each key, and its row, unless that was deleted.
    pub committed: BTreeMap<Vec<u8>, (u64, Option<Vec<State>>)>,
    /// The writes of the transaction.
    pub own: BTreeMap<Vec<u8>, Option<Vec<State>>>,
    options: WriterOptions,
    next_segment: u64,
    next_row: i64,
}

/// Something that happens to a tree.
#[derive(Clone, Debug)]
pub(in crate::storage) enum Event {
    Commit(Writes),
    /// The active memtable takes no more rows.
    Freeze,
    /// Frozen memtables are written to a segment.
    Flush,
    /// A transaction commits a segment, and rows in memory, which are newer.
    Ingest(Writes, Writes),
    /// Two segments that follow each other in age become one.
    Merge(usize),
    /// The transaction writes.
    Write(Writes),
    /// The transaction writes what it has in memory to a segment.
    Spill,
}

/// Numbers of keys are below this.
pub(in crate::storage) const KEYS: u16 = 40;

fn writes() -> impl Strategy<Value = Writes> {
    prop::collection::vec((0..KEYS, prop::bool::weighted(0.7)), 0..16)
}

/// Anything that may happen.
pub(in crate::storage) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => writes().prop_map(Event::Commit),
        2 => Just(Event::Freeze),
        2 => Just(Event::Flush),
        2 => (writes(), writes()).prop_map(|(segment, memory)| Event::Ingest(segment, memory)),
        1 => any::<usize>().prop_map(Event::Merge),
        2 => writes().prop_map(Event::Write),
        1 => Just(Event::Spill),
    ]
}

/// A table with keys of two parts, and one whose keys are of any class.
pub(in crate::storage) fn schemas() -> [Arc<Schema>; 2] {
    let int = ColumnType::Number(NumberClass::I64);
    let pairs = schema(
        vec![column("n", int), nullable("s", ColumnType::String)],
        vec![nullable("text", ColumnType::String), column("number", int)],
    );
    [pairs, schema(vec![column("key", ColumnType::Any)], vec![column("number", int)])].map(Arc::new)
}

/// Some columns of a schema, or none, in any order.
pub(in crate::storage) fn columns(schema: &Schema) -> impl Strategy<Value = Vec<usize>> + use<> {
    let all = schema.primary_columns();
    let count = 0..=all.len();
    prop::sample::subsequence(all, count).prop_shuffle()
}

impl World {
    /// A tree without rows, whose segments have small blocks.
    pub fn new(schema: &Arc<Schema>, block_rows: usize, cache_bytes: u64) -> Self {
        let objects = open_object_store(None).unwrap();
        let sweeper = Sweeper::new(Arc::clone(&objects));
        Self {
            schema: Arc::clone(schema),
            store: SegmentStore::new(objects, Arc::new(BlockCache::new(cache_bytes)), sweeper),
            tree: TreeVersion::new(TREE, Arc::clone(schema)),
            overlay: Overlay::default(),
            seq: 0,
            committed: BTreeMap::new(),
            own: BTreeMap::new(),
            options: WriterOptions { block_rows, ..WriterOptions::with_tombstones() },
            next_segment: 1,
            next_row: 0,
        }
    }

    /// The key with a number. Keys are in the order of their numbers.
    pub fn key(&self, n: u16) -> Vec<u8> {
        encode_key(self.schema.key(), &self.key_cells(n)).unwrap()
    }

    fn key_cells(&self, n: u16) -> Vec<State> {
        let text = || State::from(format!("{n:05}"));
        match self.schema.key_len {
            1 if n < KEYS / 2 => vec![State::from(i64::from(n))],
            1 => vec![text()],
            _ => vec![State::from(i64::from(n / 3)), if n.is_multiple_of(3) { State::NONE } else { text() }],
        }
    }

    /// A row with the key `n`, which differs from all others.
    pub fn row(&mut self, n: u16) -> Vec<State> {
        self.next_row += 1;
        let mut row = self.key_cells(n);
        if self.schema.key_len > 1 {
            let text =
                if self.next_row % 4 == 0 { State::NONE } else { State::from("long ".repeat(usize::from(n % 8))) };
            row.push(text);
        }
        row.push(State::from(self.next_row));
        row
    }

    pub fn happen(&mut self, event: &Event) {
        match event {
            Event::Commit(writes) => self.commit(writes),
            Event::Freeze => self.freeze(),
            Event::Flush => self.flush(),
            Event::Ingest(segment, memory) => self.ingest(segment, memory),
            Event::Merge(at) if self.tree.segments.len() > 1 => self.merge(at % (self.tree.segments.len() - 1)),
            Event::Merge(_) => {}
            Event::Write(writes) => self.write(writes),
            Event::Spill => self.spill(),
        }
    }

    pub fn commit(&mut self, writes: &[(u16, bool)]) {
        self.seq += 1;
        self.put(writes);
    }

    /// Puts rows into the active memtable, as part of the newest commit.
    fn put(&mut self, writes: &[(u16, bool)]) {
        for (key, row) in self.prepare(writes) {
            let payload = self.payload(row.as_deref());
            self.tree.active.put(key.as_slice().into(), self.seq, payload);
            self.committed.insert(key, (self.seq, row));
        }
    }

    /// The last row for each key.
    fn prepare(&mut self, writes: &[(u16, bool)]) -> BTreeMap<Vec<u8>, Option<Vec<State>>> {
        writes.iter().map(|(n, is_put)| (self.key(*n), is_put.then(|| self.row(*n)))).collect()
    }

    fn payload(&self, row: Option<&[State]>) -> Option<Payload> {
        row.map(|row| encode_payload(&self.schema, row).unwrap().into())
    }

    pub fn freeze(&mut self) {
        if !self.tree.active.is_empty() {
            let frozen = std::mem::take(&mut self.tree.active);
            self.tree.frozen.insert(0, frozen);
        }
    }

    pub fn flush(&mut self) {
        let frozen = std::mem::take(&mut self.tree.frozen);
        let Some(seq) = frozen.iter().filter_map(|memtable| memtable.newest_seq()).max() else { return };
        let rows = entries(frozen, vec![], Arc::clone(&self.schema), KeyRange::all(), false);
        if let Some(segment) = self.segment(rows, true) {
            self.add(segment.committed(seq, FLUSHED));
        }
    }

    pub fn ingest(&mut self, segment: &[(u16, bool)], memory: &[(u16, bool)]) {
        self.seq += 1;
        let rows = self.prepare(segment);
        if let Some(segment) = self.segment_of(&rows) {
            self.add(segment.committed(self.seq, 0));
        }
        let seq = self.seq;
        self.committed.extend(rows.into_iter().map(|(key, row)| (key, (seq, row))));
        self.put(memory);
    }

    /// Merges the segment at a place in the order of ages with the next older one.
    pub fn merge(&mut self, at: usize) {
        let inputs: Vec<Arc<Segment>> = self.tree.segments.drain(at..at + 2).collect();
        let (seq, ordinal) = (inputs[0].meta().seq, inputs[0].meta().ordinal);
        let rows = entries(vec![], inputs, Arc::clone(&self.schema), KeyRange::all(), false);
        if let Some(segment) = self.segment(rows, true) {
            self.add(segment.committed(seq, ordinal));
        }
    }

    pub fn write(&mut self, writes: &[(u16, bool)]) {
        for (key, row) in self.prepare(writes) {
            let payload = self.payload(row.as_deref());
            Arc::make_mut(&mut self.overlay.writes).insert(key.as_slice().into(), payload);
            self.own.insert(key, row);
        }
    }

    pub fn spill(&mut self) {
        let writes = std::mem::take(&mut self.overlay.writes);
        let segment = self.segment_of_payloads(writes.iter().map(|(key, payload)| (Arc::clone(key), payload.clone())));
        self.overlay.segments.extend(segment);
    }

    fn segment_of(&mut self, rows: &BTreeMap<Vec<u8>, Option<Vec<State>>>) -> Option<Arc<Segment>> {
        let payloads: Vec<(Key, Option<Payload>)> =
            rows.iter().map(|(key, row)| (key.as_slice().into(), self.payload(row.as_deref()))).collect();
        self.segment_of_payloads(payloads)
    }

    fn segment_of_payloads(&mut self, rows: impl IntoIterator<Item = (Key, Option<Payload>)>) -> Option<Arc<Segment>> {
        let memtable = Memtable::new();
        rows.into_iter().for_each(|(key, payload)| memtable.put(key, 1, payload));
        let rows = entries(vec![Arc::new(memtable)], vec![], Arc::clone(&self.schema), KeyRange::all(), false);
        self.segment(rows, false)
    }

    fn segment(&mut self, mut rows: EntryStream, has_seqs: bool) -> Option<Arc<Segment>> {
        let id = self.next_segment;
        self.next_segment += 1;
        block_on(async {
            let mut writer = self.store.writer(id, TREE, &self.schema, self.options).unwrap();
            while let Some(part) = rows.try_next().await.unwrap() {
                writer.push(part.batch, part.deleted, has_seqs.then_some(part.seqs), &part.keys).await.unwrap();
            }
            let meta = writer.finish().await.unwrap()?;
            Some(self.store.open(meta, &self.schema))
        })
    }

    fn add(&mut self, segment: Arc<Segment>) {
        let age = |segment: &Arc<Segment>| (segment.meta().seq, segment.meta().ordinal, segment.meta().id);
        self.tree.segments.push(segment);
        self.tree.segments.sort_by_key(|segment| std::cmp::Reverse(age(segment)));
    }

    /// What the transaction reads, as of now.
    pub fn source(&self) -> Source {
        Source { tree: Some(Arc::new(self.tree.clone())), overlay: self.overlay.clone(), seq: self.seq }
    }

    /// What it should find.
    pub fn rows(&self) -> Rows {
        let mut rows: Rows =
            self.committed.iter().filter_map(|(key, (_, row))| Some((key.clone(), row.clone()?))).collect();
        for (key, row) in &self.own {
            match row {
                Some(row) => rows.insert(key.clone(), row.clone()),
                None => rows.remove(key),
            };
        }
        rows
    }

    /// The rows of a scan.
    pub fn scan(&self, source: &Source, scan: TreeScan) -> Vec<Vec<State>> {
        let columns = scan.columns.clone();
        let batches: Vec<RecordBatch> = block_on(source.scan(&self.schema, scan).try_collect()).unwrap();
        batches.iter().flat_map(|batch| self.cells(&columns, batch)).collect()
    }

    /// The cells of a batch with the given columns.
    pub fn cells(&self, columns: &[usize], batch: &RecordBatch) -> Vec<Vec<State>> {
        let columns: Vec<&Column> = columns.iter().map(|at| &self.schema.columns[*at]).collect();
        rows(&columns, batch).unwrap()
    }

    /// Bounds at a key, or within one.
    pub fn bound(&self, (n, kind, is_cut): (u16, u8, bool)) -> Bound<Vec<u8>> {
        let mut key = self.key(n);
        if is_cut {
            key.pop();
        }
        match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        }
    }
}
