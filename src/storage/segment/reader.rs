//! Reads a segment, block by block and through the cache.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::UInt64Type;
use bytes::Bytes;
use object_store::ObjectStore as _;
use parquet::bloom_filter::Sbbf;

use super::block::{Block, Wanted, partition};
use super::chunks::decode_columns;
use super::footer::{Footer, damaged};
use super::meta::SegmentMeta;
use super::store::SegmentStore;
use super::task::blocking;
use crate::error::{Error, Result};
use crate::storage::cache::{Item, Part};
use crate::storage::codec::arrow::cell;
use crate::storage::codec::{KeyColumn, KeyRange, RowBuilder, decode_cell, encode_batch_keys, is_reversible};
use crate::storage::files::{object_error, segment_path};
use crate::value::schema::{Column, Kind};
use crate::value::{Schema, State};

/// What a segment says of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The row: all columns of the schema that was asked for.
    Row(Vec<State>),
    /// The key was deleted.
    Deleted,
}

/// A segment. Its file is there for as long as this is.
///
/// Where something is in the cache, the methods here complete when they are first polled.
#[derive(Debug)]
pub struct Segment {
    store: SegmentStore,
    meta: Arc<SegmentMeta>,
    /// The schema of the tree, for its key columns, which never change.
    schema: Arc<Schema>,
    file: Arc<SegmentFile>,
}

/// The file of segments, which are the same but for what their commit is.
#[derive(Debug)]
struct SegmentFile {
    id: u64,
    store: SegmentStore,
    is_garbage: AtomicBool,
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        if self.is_garbage.load(Ordering::Acquire) {
            self.store.discard(self.id);
        }
    }
}

/// Where a key is.
struct Place {
    footer: Arc<Footer>,
    block: usize,
    row: usize,
    is_deleted: bool,
}

impl Segment {
    pub(super) fn new(store: SegmentStore, meta: SegmentMeta, schema: Arc<Schema>) -> Self {
        let file = SegmentFile { id: meta.id, store: store.clone(), is_garbage: AtomicBool::new(false) };
        Self { store, meta: Arc::new(meta), schema, file: Arc::new(file) }
    }

    /// What is known of this segment without reading it.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// The schema that it was opened with.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The keys from the first to the last.
    pub fn key_range(&self) -> KeyRange {
        self.meta.key_range()
    }

    /// The same segment, as part of the commit `seq`, which wrote all rows that came without a number of their own.
    #[must_use]
    pub fn committed(&self, seq: u64, ordinal: u32) -> Arc<Self> {
        let meta = Arc::new(SegmentMeta { seq, ordinal, ..SegmentMeta::clone(&self.meta) });
        let (store, schema) = (self.store.clone(), Arc::clone(&self.schema));
        Arc::new(Self { store, meta, schema, file: Arc::clone(&self.file) })
    }

    /// Has the file deleted as soon as nobody uses it: when this was dropped, and all segments that are the same.
    pub fn mark_garbage(&self) {
        // First, so that the file is known when it is discarded.
        self.store.doom(self.meta.id, self.meta.tree);
        self.file.is_garbage.store(true, Ordering::Release);
    }

    /// What is in the file, and where.
    ///
    /// # Errors
    /// `Internal` if the file cannot be read or is damaged. That holds for all methods that read.
    pub async fn footer(&self) -> Result<Arc<Footer>> {
        if let Some(footer) = self.cached_footer() {
            return Ok(footer);
        }
        let size = u64::from(self.meta.footer_bytes);
        let range = self.meta.bytes.saturating_sub(size)..self.meta.bytes;
        let bytes = self.fetch(&[range]).await?.pop().unwrap_or_default();
        let meta = Arc::clone(&self.meta);
        let footer = Arc::new(blocking(move || Footer::decode(&meta, &bytes)).await?);
        self.store.keep_footer(self.meta.id, Arc::clone(&footer));
        Ok(footer)
    }

    /// [`Segment::footer`], if it is at hand.
    pub fn cached_footer(&self) -> Option<Arc<Footer>> {
        match self.store.cache().get(self.meta.id, Part::Footer) {
            Some(Item::Footer(footer)) => Some(footer),
            _ => None,
        }
    }

    /// What this segment says of `key`, nothing if it does not have it. Columns of `schema` that were added later are
    /// what they are by default.
    ///
    /// # Errors
    /// As [`Segment::footer`].
    pub async fn get(&self, schema: &Schema, key: &[u8]) -> Result<Option<Found>> {
        let Some(place) = self.find(key).await? else {
            return Ok(None);
        };
        if place.is_deleted {
            return Ok(Some(Found::Deleted));
        }
        let Place { footer, block, row, .. } = place;
        let is_told = |column: usize| column < schema.key_len && is_reversible(schema.columns[column].ty);
        let others = (0..schema.columns.len()).filter(|column| !is_told(*column));
        let positions: Vec<usize> = others.filter_map(|column| footer.position(schema, column)).collect();
        let mut arrays = self.columns(&footer, block, &positions, true).await?.into_iter();
        let mut rest = key;
        let mut cells = Vec::with_capacity(schema.columns.len());
        for (number, column) in schema.columns.iter().enumerate() {
            let told = if number < schema.key_len { decode_cell(column, &mut rest)? } else { State::NONE };
            let array =
                if is_told(number) { None } else { footer.position(schema, number).and_then(|_| arrays.next()) };
            cells.push(match array {
                Some(array) => cell(column, &*array, row)?,
                None if number < schema.key_len => told,
                None => column.default.clone(),
            });
        }
        Ok(Some(Found::Row(cells)))
    }

    /// Whether this segment has `key`, and if so, whether it was deleted.
    ///
    /// # Errors
    /// As [`Segment::footer`].
    pub async fn is_tombstone(&self, key: &[u8]) -> Result<Option<bool>> {
        Ok(self.find(key).await?.map(|place| place.is_deleted))
    }

    /// Reads a block, by its number in [`Footer::blocks`].
    ///
    /// # Errors
    /// As [`Segment::footer`].
    pub async fn read(&self, footer: &Arc<Footer>, number: usize, wanted: &Wanted) -> Result<Block> {
        if number >= footer.blocks().len() {
            return Err(Error::internal(format!("segment {} has no block {number}", self.meta.id)));
        }
        // The key columns are at hand then, if they are wanted too.
        let block = self.read_columns(footer, number, wanted).await?;
        let keys = if wanted.has_keys { Some(self.keys(footer, number, false).await?) } else { None };
        Ok(Block { keys, ..block })
    }

    /// Reads what is wanted of a block but its keys. There must be such a block.
    pub(super) async fn read_columns(&self, footer: &Arc<Footer>, number: usize, wanted: &Wanted) -> Result<Block> {
        let info = &footer.blocks()[number];
        let rows = info.rows as usize;
        let place = |column: &usize| footer.position(&wanted.schema, *column);
        let deleted = footer.columns().deleted().filter(|_| info.tombstones > 0);
        let mut positions: Vec<usize> = wanted.columns.iter().filter_map(place).collect();
        positions.extend(wanted.has_seqs.then(|| footer.columns().seq()));
        positions.extend(deleted);
        let mut arrays = self.columns(footer, number, &positions, true).await?.into_iter();

        let mut columns = Vec::with_capacity(wanted.columns.len());
        for column in &wanted.columns {
            columns.push(match place(column).and_then(|_| arrays.next()) {
                Some(array) => array,
                None => self.default_column(number, &wanted.schema.columns[*column], rows)?,
            });
        }
        let seqs = if wanted.has_seqs { arrays.next().map(|array| self.seqs(&array)).transpose()? } else { None };
        let deleted =
            if deleted.is_some() { arrays.next().map(|array| self.booleans(&array)).transpose()? } else { None };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let fields = Arc::clone(wanted.fields_with(deleted.is_some()));
        let batch = RecordBatch::try_new_with_options(fields, columns, &options)
            .map_err(|error| damaged(&self.meta, format!("its columns do not fit those of its tree: {error}")))?;
        Ok(Block { number, batch, deleted, seqs, keys: None, first: 0 })
    }

    /// The keys of a block. Once they are encoded, their columns are of no more use to who looks for a key; `keeps` says
    /// whether they are to others.
    pub(super) async fn keys(&self, footer: &Arc<Footer>, block: usize, keeps: bool) -> Result<Arc<KeyColumn>> {
        if let Some(keys) = self.cached_keys(block) {
            return Ok(keys);
        }
        let positions: Vec<usize> = (0..self.schema.key_len).collect();
        let arrays = self.columns(footer, block, &positions, keeps).await?;
        let schema = Arc::clone(&self.schema);
        let encoded = blocking(move || {
            let columns: Vec<&Column> = schema.key().iter().collect();
            encode_batch_keys(&columns, &arrays)
        });
        let keys = Arc::new(encoded.await?);
        if keys.len() != footer.blocks()[block].rows as usize {
            return Err(damaged(&self.meta, format!("block {block} has {} keys", keys.len())));
        }
        let (part, bytes) = (Part::Keys(short(block)), keys.memory());
        self.store.cache().insert(self.meta.id, part, Item::Keys(Arc::clone(&keys)), bytes);
        Ok(keys)
    }

    async fn find(&self, key: &[u8]) -> Result<Option<Place>> {
        if !self.meta.may_contain(key) {
            return Ok(None);
        }
        let footer = self.footer().await?;
        let Some(block) = footer.block_of(key) else {
            return Ok(None);
        };
        let keys = match self.cached_keys(block) {
            Some(keys) => keys,
            None => {
                if !self.filter(&footer, block).await?.check(key) {
                    return Ok(None);
                }
                self.keys(&footer, block, false).await?
            }
        };
        let row = partition(&keys, 0..keys.len(), |other| other < key);
        if row == keys.len() || keys.get(row) != key {
            return Ok(None);
        }
        let is_deleted = match footer.columns().deleted() {
            Some(position) if footer.blocks()[block].tombstones > 0 => {
                let column = self.columns(&footer, block, &[position], true).await?.pop();
                column.map(|column| self.booleans(&column)).transpose()?.is_some_and(|deleted| deleted.value(row))
            }
            _ => false,
        };
        Ok(Some(Place { footer, block, row, is_deleted }))
    }

    /// The filter of the keys of a block.
    async fn filter(&self, footer: &Footer, block: usize) -> Result<Arc<Sbbf>> {
        let part = Part::Filter(short(block));
        if let Some(Item::Filter(filter)) = self.store.cache().get(self.meta.id, part) {
            return Ok(filter);
        }
        let place = footer.blocks()[block].filter;
        let range = place.offset..place.offset.saturating_add(place.len.into());
        let bytes = self.fetch(&[range]).await?.pop().unwrap_or_default();
        if crc32c::crc32c(&bytes) != place.crc || bytes.is_empty() || bytes.len() % 32 != 0 {
            return Err(damaged(&self.meta, format!("the filter of block {block} has a wrong checksum")));
        }
        let filter = Arc::new(Sbbf::new(&bytes));
        self.store.cache().insert(self.meta.id, part, Item::Filter(Arc::clone(&filter)), bytes.len());
        Ok(filter)
    }

    /// Columns of a block, by their positions in the file. What had to be read is kept for others if `keeps` says so.
    async fn columns(
        &self,
        footer: &Arc<Footer>,
        block: usize,
        positions: &[usize],
        keeps: bool,
    ) -> Result<Vec<ArrayRef>> {
        let mut arrays: Vec<_> = positions.iter().map(|position| self.cached_column(block, *position)).collect();
        let missing = positions.iter().zip(&arrays).filter(|(_, array)| array.is_none());
        let missing: Vec<usize> = missing.map(|(position, _)| *position).collect();
        if !missing.is_empty() {
            let loaded = self.load(footer, block, &missing).await?;
            for (position, array) in missing.iter().zip(&loaded).filter(|_| keeps) {
                let (part, bytes) = (Part::Column(short(block), short(*position)), array.get_array_memory_size());
                self.store.cache().insert(self.meta.id, part, Item::Column(Arc::clone(array)), bytes);
            }
            let mut loaded = loaded.into_iter();
            for array in arrays.iter_mut().filter(|array| array.is_none()) {
                *array = loaded.next();
            }
        }
        Ok(arrays.into_iter().flatten().collect())
    }

    /// Reads and decodes columns of a block.
    async fn load(&self, footer: &Arc<Footer>, block: usize, positions: &[usize]) -> Result<Vec<ArrayRef>> {
        let group = footer.metadata().row_group(block);
        let leaves: Vec<usize> = positions.iter().flat_map(|position| footer.leaves(*position)).collect();
        let place = |leaf: &usize| {
            let (start, len) = group.column(*leaf).byte_range();
            start..start + len
        };
        let ranges: Vec<Range<u64>> = leaves.iter().map(place).collect();
        let bytes = self.fetch(&ranges).await?;
        let chunks: Vec<(usize, Bytes)> = leaves.into_iter().zip(bytes).collect();
        let (meta, footer, positions) = (Arc::clone(&self.meta), Arc::clone(footer), positions.to_vec());
        blocking(move || decode_columns(&meta, &footer, block, &positions, chunks)).await
    }

    async fn fetch(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = segment_path(self.meta.id);
        let read = self.store.objects().get_ranges(&path, ranges).await;
        read.map_err(|error| object_error("read", &path, error))
    }

    fn cached_keys(&self, block: usize) -> Option<Arc<KeyColumn>> {
        match self.store.cache().get(self.meta.id, Part::Keys(short(block))) {
            Some(Item::Keys(keys)) => Some(keys),
            _ => None,
        }
    }

    fn cached_column(&self, block: usize, position: usize) -> Option<ArrayRef> {
        match self.store.cache().get(self.meta.id, Part::Column(short(block), short(position))) {
            Some(Item::Column(array)) => Some(array),
            _ => None,
        }
    }

    /// A column that the rows of this block do not have, since it was added later.
    fn default_column(&self, block: usize, column: &Column, rows: usize) -> Result<ArrayRef> {
        let part = Part::Default(short(block), column.slot);
        if let Some(Item::Column(array)) = self.store.cache().get(self.meta.id, part) {
            return Ok(array);
        }
        let array = repeated(column, rows)?;
        let bytes = array.get_array_memory_size();
        self.store.cache().insert(self.meta.id, part, Item::Column(Arc::clone(&array)), bytes);
        Ok(array)
    }

    fn booleans(&self, array: &ArrayRef) -> Result<BooleanArray> {
        let array = array.as_boolean_opt().cloned();
        array.ok_or_else(|| damaged(&self.meta, "its tombstones are not told by a column of Bools"))
    }

    /// Sequence numbers, with that of the segment where rows have none of their own.
    fn seqs(&self, array: &ArrayRef) -> Result<UInt64Array> {
        let seqs = array.as_primitive_opt::<UInt64Type>();
        let seqs = seqs.ok_or_else(|| damaged(&self.meta, "its sequence numbers are not numbers"))?;
        if seqs.null_count() == 0 {
            return Ok(seqs.clone());
        }
        Ok(UInt64Array::from_iter_values(seqs.iter().map(|seq| seq.unwrap_or(self.meta.seq))))
    }
}

/// A number in a key of the cache. Files have fewer than 2^15 blocks.
fn short(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// A column with the default of `column` in each row.
fn repeated(column: &Column, rows: usize) -> Result<ArrayRef> {
    let columns = vec![Column { slot: 0, ..column.clone() }];
    let schema = Arc::new(Schema { kind: Kind::Table, columns, key_len: 0, indexes: vec![] });
    let mut builder = RowBuilder::new(&schema, &[0], 1);
    builder.append_row(std::slice::from_ref(&column.default))?;
    let one = builder.finish()?;
    let rows = arrow::array::UInt32Array::from(vec![0; rows]);
    arrow::compute::take(one.column(0), &rows, None)
        .map_err(|error| Error::internal(format!("cannot repeat the default of column {}: {error}", column.name)))
}
