//! Segments as a whole: what was written is what is read, in every order, with any cache, and after every accident.

mod damage;
mod reading;
mod writing;

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, BooleanArray, Float64Array, RecordBatch, StringViewArray, UInt64Array};
use futures::TryStreamExt as _;
use object_store::ObjectStore;

use super::*;
use crate::error::Result;
use crate::storage::cache::BlockCache;
use crate::storage::codec::sample::{column, nullable, schema};
use crate::storage::codec::{KeyColumn, KeyRange, arrow_schema, encode_batch_keys, encode_key, rows};
use crate::storage::files::open_object_store;
use crate::value::schema::{Column, ColumnType};
use crate::value::{NumberClass, Schema, State, TreeId};

const TREE: TreeId = TreeId(3);
const LARGE: u64 = 64 << 20;

/// A key, a text and a number that may be None.
fn people() -> Arc<Schema> {
    let values = vec![column("name", ColumnType::String), nullable("score", ColumnType::Number(NumberClass::F64))];
    Arc::new(schema(vec![column("id", ColumnType::Number(NumberClass::U64))], values))
}

/// The row of [`people`] with the key `id`.
fn person(id: u64) -> Vec<State> {
    let score = if id.is_multiple_of(3) { State::NONE } else { State::from(id as f64 / 2.0) };
    vec![State::from(id), State::from(name(id)), score]
}

fn name(id: u64) -> String {
    // Some short, some long, some often.
    if id.is_multiple_of(5) { "somebody".to_string() } else { format!("the person with the number {id}") }
}

fn batch(ids: &[u64]) -> RecordBatch {
    let scores = ids.iter().map(|id| (!id.is_multiple_of(3)).then_some(*id as f64 / 2.0));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(ids.to_vec())),
        Arc::new(StringViewArray::from_iter_values(ids.iter().map(|id| name(*id)))),
        Arc::new(Float64Array::from_iter(scores)),
    ];
    RecordBatch::try_new(arrow_schema(&people()), columns).unwrap()
}

fn keys(schema: &Schema, batch: &RecordBatch) -> KeyColumn {
    let columns: Vec<&Column> = schema.key().iter().collect();
    encode_batch_keys(&columns, &batch.columns()[..schema.key_len]).unwrap()
}

fn key(id: u64) -> Vec<u8> {
    encode_key(people().key(), &[State::from(id)]).unwrap()
}

fn range(start: u64, end: u64) -> KeyRange {
    KeyRange { start: Bound::Included(key(start)), end: Bound::Excluded(key(end)) }
}

fn store_on(objects: &Arc<dyn ObjectStore>, cache_bytes: u64) -> SegmentStore {
    let sweeper = Sweeper::new(Arc::clone(objects));
    SegmentStore::new(Arc::clone(objects), Arc::new(BlockCache::new(cache_bytes)), sweeper)
}

fn store(cache_bytes: u64) -> SegmentStore {
    store_on(&open_object_store(None).unwrap(), cache_bytes)
}

/// Small blocks, so that there are several of them.
fn small(block_rows: usize) -> WriterOptions {
    WriterOptions { block_rows, ..WriterOptions::default() }
}

/// Writes the people with the given ids, in batches of a size that does not divide that of blocks.
async fn write(store: &SegmentStore, id: u64, ids: &[u64], options: WriterOptions) -> Arc<Segment> {
    let schema = people();
    let mut writer = store.writer(id, TREE, &schema, options).unwrap();
    for ids in ids.chunks(77) {
        let batch = batch(ids);
        let keys = keys(&schema, &batch);
        writer.push(batch, None, None, &keys).await.unwrap();
    }
    store.open(writer.finish().await.unwrap().unwrap(), &schema)
}

fn all_of(schema: &Arc<Schema>) -> Wanted {
    Wanted::try_new(schema, (0..schema.columns.len()).collect()).unwrap()
}

async fn collect(segment: &Arc<Segment>, scan: BlockScan) -> Result<Vec<Block>> {
    segment.blocks(scan).try_collect().await
}

/// The cells of a batch with the given columns.
fn cells(schema: &Schema, columns: &[usize], batch: &RecordBatch) -> Vec<Vec<State>> {
    let columns: Vec<&Column> = columns.iter().map(|column| &schema.columns[*column]).collect();
    rows(&columns, batch).unwrap()
}

/// The ids of the people in some blocks, whose first column is the key.
fn ids(blocks: &[Block]) -> Vec<u64> {
    let ids = blocks.iter().flat_map(|block| {
        let column = block.batch.column(0).as_any().downcast_ref::<UInt64Array>().unwrap();
        column.values().to_vec()
    });
    ids.collect()
}
