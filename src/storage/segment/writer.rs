//! Writes a segment: sorted rows in, a file out, with a bounded number of rows in memory.
//!
//! Rows are collected to blocks. A full block is encoded on another thread while the caller prepares the next one and
//! what was encoded before is on its way to the disk, so that a load uses two cores and the disk at once.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use parquet::bloom_filter::Sbbf;

use super::encoder::{Encoder, Ending, FALSE_POSITIVES, Pending};
use super::footer::Footer;
use super::layout::{file_schema, properties};
use super::meta::{SegmentMeta, fences_of};
use super::store::SegmentStore;
use super::task::{Started, blocking, start};
use super::upload::Upload;
use crate::error::{Error, Result};
use crate::storage::codec::KeyColumn;
use crate::storage::files::segment_path;
use crate::value::schema::Kind;
use crate::value::{Schema, TreeId};

/// Bytes of a block with rows of a tensor. Its rows are large already, and mostly read one by one or all in order, so
/// larger blocks would only cost memory where several segments are merged.
const TENSOR_BLOCK_BYTES: usize = 1 << 20;

/// How a segment is written.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Whether rows may be tombstones.
    pub has_tombstones: bool,
    /// Rows of a block, at most. A block is what is read at once, so this is a compromise between reading one row that
    /// is not cached, for which all of its block is decoded, and the cost of each block in a scan.
    pub block_rows: usize,
    /// Bytes of a block in memory, roughly, so that wide rows make no huge blocks. A single row may be larger.
    pub block_bytes: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { has_tombstones: false, block_rows: 32 << 10, block_bytes: 8 << 20 }
    }
}

impl WriterOptions {
    /// For rows of which some may be tombstones.
    pub fn with_tombstones() -> Self {
        Self { has_tombstones: true, ..Self::default() }
    }
}

/// Writes one segment. Nothing is seen of it before it is finished, and nothing is left if this is dropped.
pub struct SegmentWriter {
    store: SegmentStore,
    id: u64,
    tree: TreeId,
    schema: Arc<Schema>,
    file_schema: SchemaRef,
    options: WriterOptions,
    /// Nothing after an error.
    encoder: Option<Stage>,
    upload: Upload,
    block: Block,
    min_key: Vec<u8>,
    last_key: Vec<u8>,
    rows: u64,
    tombstones: u64,
    seq: u64,
}

/// Where the encoder is: here, or at work on a block, whose bytes it brings back.
enum Stage {
    Idle(Box<Encoder>),
    Busy(Started<(Box<Encoder>, Bytes)>),
}

/// The block that is being filled.
struct Block {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    tombstones: u32,
    min_key: Vec<u8>,
    filter: Sbbf,
}

impl SegmentWriter {
    pub(super) fn try_new(
        store: SegmentStore,
        id: u64,
        tree: TreeId,
        schema: &Arc<Schema>,
        options: WriterOptions,
    ) -> Result<Self> {
        let block_rows = options.block_rows.clamp(1, u32::MAX as usize);
        let block_bytes = match &schema.kind {
            Kind::Tensor(_) => options.block_bytes.min(TENSOR_BLOCK_BYTES),
            Kind::BTree | Kind::Table => options.block_bytes,
        };
        let options = WriterOptions { block_rows, block_bytes, ..options };
        let file_schema = file_schema(schema, options.has_tombstones);
        let properties = properties(tree, schema, options.has_tombstones, block_rows);
        let encoder = Encoder::try_new(Arc::clone(&file_schema), properties)?;
        let upload = Upload::new(Arc::clone(store.objects()), segment_path(id));
        Ok(Self {
            store,
            id,
            tree,
            schema: Arc::clone(schema),
            file_schema,
            options,
            encoder: Some(Stage::Idle(Box::new(encoder))),
            upload,
            block: Block::try_new(block_rows)?,
            min_key: vec![],
            last_key: vec![],
            rows: 0,
            tombstones: 0,
            seq: 0,
        })
    }

    /// How many rows were pushed.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many bytes the file has so far, without the last two blocks or so. When this is enough for one file, finish
    /// it and go on with another.
    pub fn bytes(&self) -> u64 {
        self.upload.bytes()
    }

    /// Appends rows whose keys follow those of all rows before.
    ///
    /// `batch` has the columns of the schema; where `deleted` is true, those that are not in the key may be null.
    /// `seqs` has the sequence numbers of the commits that wrote the rows; without it, or where it is null, that is the
    /// commit which the segment is part of. `keys` are the keys of the rows.
    ///
    /// # Errors
    /// `Internal` if the rows are not in order or do not fit the schema, or if they cannot be written. The segment
    /// cannot be finished then.
    pub async fn push(
        &mut self,
        batch: RecordBatch,
        deleted: Option<BooleanArray>,
        seqs: Option<UInt64Array>,
        keys: &KeyColumn,
    ) -> Result<()> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(());
        }
        let deleted = deleted.filter(|deleted| deleted.true_count() > 0);
        self.check(rows, deleted.as_ref(), keys)?;
        if let Some(newest) = seqs.as_ref().and_then(arrow::compute::max) {
            self.seq = self.seq.max(newest);
        }
        let stored = self.stored(&batch, deleted.as_ref(), seqs)?;
        let row_bytes = batch_bytes(&stored).div_ceil(rows).max(1);
        let mut at = 0;
        while at < rows {
            let room = self.block.room(&self.options, row_bytes);
            if room == 0 {
                self.seal().await?;
                continue;
            }
            let end = rows.min(at.saturating_add(room));
            self.append(&stored, deleted.as_ref(), keys, at..end, row_bytes)?;
            at = end;
        }
        // A full block is encoded while the caller prepares more rows.
        if self.block.room(&self.options, row_bytes) == 0 {
            self.seal().await?;
        }
        Ok(())
    }

    /// Completes the file, which is durable then. There is none if no row was pushed.
    ///
    /// The number of the newest commit is 0 if no row came with one: see [`super::Segment::committed`].
    ///
    /// # Errors
    /// `Internal` if the file cannot be written.
    pub async fn finish(mut self) -> Result<Option<SegmentMeta>> {
        if self.rows == 0 {
            return Ok(None);
        }
        if self.block.rows > 0 {
            self.seal().await?;
        }
        let (encoder, bytes) = self.encoder().await?;
        self.upload.add(bytes).await?;
        let Ending { bytes, footer_bytes, blocks } = blocking(move || encoder.finish()).await?;
        let footer = bytes.slice(bytes.len().saturating_sub(footer_bytes)..);
        self.upload.add(bytes).await?;
        let fences = fences_of(blocks.iter().map(|block| (&*block.min_key, u64::from(block.rows))));
        let meta = SegmentMeta {
            id: self.id,
            tree: self.tree,
            seq: self.seq,
            ordinal: 0,
            rows: self.rows,
            tombstones: self.tombstones,
            bytes: self.upload.bytes(),
            footer_bytes: u32::try_from(footer.len())
                .map_err(|_| Error::internal("the footer of a segment is too large"))?,
            footer_crc: crc32c::crc32c(&footer),
            min_key: self.min_key,
            max_key: self.last_key,
            slots: self.schema.values().iter().map(|column| column.slot).collect(),
            fences,
        };
        // Read as a reader will read it, so that no file is completed which cannot be read.
        let footer = Footer::decode(&meta, &footer)?;
        self.upload.finish().await?;
        self.store.keep_footer(meta.id, Arc::new(footer));
        Ok(Some(meta))
    }

    /// Gives up what was written. Dropping a writer is enough where files are on a local disk.
    pub async fn abort(self) {
        self.upload.abort().await;
    }

    fn check(&self, rows: usize, deleted: Option<&BooleanArray>, keys: &KeyColumn) -> Result<()> {
        if keys.len() != rows || deleted.is_some_and(|deleted| deleted.len() != rows) {
            return Err(Error::internal(format!("{rows} rows of tree {} came with {} keys", self.tree, keys.len())));
        }
        if deleted.is_some() && !self.options.has_tombstones {
            return Err(Error::internal(format!("a tombstone came for a segment of tree {} without any", self.tree)));
        }
        Ok(())
    }

    /// The rows with the columns of the file.
    fn stored(
        &self,
        batch: &RecordBatch,
        deleted: Option<&BooleanArray>,
        seqs: Option<UInt64Array>,
    ) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.push(Arc::new(seqs.unwrap_or_else(|| UInt64Array::new_null(rows))));
        if self.options.has_tombstones {
            let none = || BooleanArray::new(BooleanBuffer::new_unset(rows), None);
            columns.push(Arc::new(deleted.cloned().unwrap_or_else(none)));
        }
        RecordBatch::try_new(Arc::clone(&self.file_schema), columns)
            .map_err(|error| Error::internal(format!("rows do not fit tree {}: {error}", self.tree)))
    }

    /// Adds some rows to the current block.
    fn append(
        &mut self,
        stored: &RecordBatch,
        deleted: Option<&BooleanArray>,
        keys: &KeyColumn,
        range: Range<usize>,
        row_bytes: usize,
    ) -> Result<()> {
        let (count, first) = (range.len(), range.start);
        let mut last: Option<&[u8]> = (self.rows > 0).then_some(self.last_key.as_slice());
        for row in range {
            let key = keys.get(row);
            if last.is_some_and(|last| last >= key) {
                let message = format!("rows of tree {} are not in the order of their keys", self.tree);
                return Err(Error::internal(message));
            }
            self.block.filter.insert(key);
            last = Some(key);
        }
        let last = last.map(<[u8]>::to_vec).unwrap_or_default();
        if self.block.rows == 0 {
            self.block.min_key = keys.get(first).to_vec();
        }
        if self.rows == 0 {
            self.min_key.clone_from(&self.block.min_key);
        }
        let tombstones = deleted.map_or(0, |deleted| deleted.slice(first, count).true_count());
        self.last_key = last;
        self.rows += count as u64;
        self.tombstones += tombstones as u64;
        self.block.batches.push(stored.slice(first, count));
        self.block.rows += count;
        self.block.bytes = self.block.bytes.saturating_add(row_bytes.saturating_mul(count));
        self.block.tombstones = self.block.tombstones.saturating_add(u32::try_from(tombstones).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Sends the current block to the encoder, and begins another.
    async fn seal(&mut self) -> Result<()> {
        let next = Block::try_new(self.options.block_rows)?;
        let block = std::mem::replace(&mut self.block, next).into_pending(self.last_key.clone());
        let (mut encoder, bytes) = self.encoder().await?;
        let work = blocking(move || {
            let bytes = encoder.encode(block)?;
            Ok((encoder, bytes))
        });
        self.encoder = Some(Stage::Busy(start(work)));
        self.upload.add(bytes).await
    }

    /// The encoder, when it is done with the last block, and that block.
    async fn encoder(&mut self) -> Result<(Box<Encoder>, Bytes)> {
        match self.encoder.take() {
            Some(Stage::Idle(encoder)) => Ok((encoder, Bytes::new())),
            Some(Stage::Busy(started)) => started.wait().await,
            None => Err(Error::internal(format!("segment {} could not be written", self.id))),
        }
    }
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("SegmentWriter");
        debug.field("id", &self.id).field("tree", &self.tree).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Block {
    fn try_new(rows_max: usize) -> Result<Self> {
        let filter = Sbbf::new_with_ndv_fpp(rows_max as u64, FALSE_POSITIVES);
        let filter = filter.map_err(|error| Error::internal(format!("cannot make a filter: {error}")))?;
        Ok(Self { batches: vec![], rows: 0, bytes: 0, tombstones: 0, min_key: vec![], filter })
    }

    /// How many more rows of this size there is room for; at least one in an empty block.
    fn room(&self, options: &WriterOptions, row_bytes: usize) -> usize {
        let by_bytes = options.block_bytes.saturating_sub(self.bytes) / row_bytes;
        let by_bytes = if self.rows == 0 { by_bytes.max(1) } else { by_bytes };
        by_bytes.min(options.block_rows.saturating_sub(self.rows))
    }

    fn into_pending(self, max_key: Vec<u8>) -> Pending {
        let Self { batches, rows, tombstones, min_key, mut filter, .. } = self;
        // A block that was not filled needs no filter of full size.
        filter.fold_to_target_fpp(FALSE_POSITIVES);
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Pending { batches, rows, tombstones, min_key, max_key, filter }
    }
}

/// What the rows of `batch` take in memory. What Arrow counts itself is the buffers, which slices share.
fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|array| array_bytes(array)).sum()
}

fn array_bytes(array: &dyn Array) -> usize {
    /// A view, beside what it points to.
    const VIEW: usize = 16;
    let viewed = |views: &[u128]| views.iter().map(|view| VIEW + (*view as u32) as usize).sum::<usize>();
    match array.data_type() {
        DataType::Utf8View => viewed(array.as_string_view().views()),
        DataType::BinaryView => viewed(array.as_binary_view().views()),
        data_type => match data_type.primitive_width() {
            Some(width) => width * array.len(),
            None => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
        },
    }
}
