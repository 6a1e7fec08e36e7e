//! Encodes blocks as row groups of a Parquet file, each followed by the filter of its keys.
//!
//! Parquet allows bytes between row groups that no column claims, and readers skip them. Its own filters are for single
//! columns; ours is for whole keys, however many columns they have.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{FooterTail, KeyValue};
use parquet::file::properties::WriterProperties;

use super::footer::{BLOCKS_KEY, TAIL_BYTES};
use super::index::{self, BlockInfo, FilterPlace};
use crate::error::{Error, Result};

/// How often a filter may say that a key is there which is not. This takes a byte a key.
pub(super) const FALSE_POSITIVES: f64 = 0.03;

/// The rows of a block, before they are encoded.
pub(super) struct Pending {
    /// With the columns of the file.
    pub batches: Vec<RecordBatch>,
    pub rows: u32,
    pub tombstones: u32,
    pub min_key: Vec<u8>,
    pub max_key: Vec<u8>,
    /// Of all keys.
    pub filter: Sbbf,
}

/// The end of a file.
pub(super) struct Ending {
    /// What is left to be written.
    pub bytes: Bytes,
    /// How many of these, at the end, are the footer.
    pub footer_bytes: usize,
    pub blocks: Vec<BlockInfo>,
}

/// Turns blocks into the bytes of a file, one after the other.
pub(super) struct Encoder {
    writer: ArrowWriter<Vec<u8>>,
    /// How many bytes were given away.
    given: u64,
    blocks: Vec<BlockInfo>,
}

impl Encoder {
    /// An encoder of a file with columns of `schema`.
    pub fn try_new(schema: SchemaRef, properties: WriterProperties) -> Result<Self> {
        let writer = ArrowWriter::try_new(vec![], schema, Some(properties)).map_err(explain)?;
        Ok(Self { writer, given: 0, blocks: vec![] })
    }

    /// The next bytes of the file, with all of `block`.
    pub fn encode(&mut self, block: Pending) -> Result<Bytes> {
        let filter = self.write(&block).map_err(explain)?;
        let start = self.given;
        let bytes = self.drain();
        let group =
            self.writer.flushed_row_groups().last().ok_or_else(|| Error::internal("a block was not written"))?;
        let crc = |(offset, len): (u64, u64)| {
            let offset = usize::try_from(offset.checked_sub(start)?).ok()?;
            bytes.get(offset..offset.checked_add(usize::try_from(len).ok()?)?).map(crc32c::crc32c)
        };
        let outside = || Error::internal("a block was not written where it should be");
        let crcs = group.columns().iter().map(|column| crc(column.byte_range()).ok_or_else(outside));
        let crcs = crcs.collect::<Result<_>>()?;
        let (offset, len) = filter;
        let filter = FilterPlace { offset, len, crc: crc((offset, len.into())).ok_or_else(outside)? };
        let (min_key, max_key) = (block.min_key.into(), block.max_key.into());
        let (rows, tombstones) = (block.rows, block.tombstones);
        self.blocks.push(BlockInfo { rows, tombstones, min_key, max_key, filter, crcs });
        Ok(bytes)
    }

    /// Writes a block, and gives the place and size of its filter.
    fn write(&mut self, block: &Pending) -> parquet::errors::Result<(u64, u32)> {
        for batch in &block.batches {
            self.writer.write(batch)?;
        }
        self.writer.flush()?;
        let offset = self.writer.bytes_written() as u64;
        let mut filter = vec![];
        block.filter.write_bitset(&mut filter)?;
        self.writer.write_all(&filter)?;
        self.writer.sync()?;
        Ok((offset, u32::try_from(filter.len())?))
    }

    /// The rest of the file.
    pub fn finish(mut self) -> Result<Ending> {
        let columns = self.blocks.first().map_or(0, |block| block.crcs.len());
        let index = index::encode(&self.blocks, columns);
        self.writer.append_key_value_metadata(KeyValue::new(BLOCKS_KEY.to_string(), index));
        self.writer.finish().map_err(explain)?;
        let bytes = self.drain();
        let tail =
            bytes.last_chunk::<TAIL_BYTES>().ok_or_else(|| Error::internal("a file was written without a footer"))?;
        let footer_bytes = FooterTail::try_new(tail).map_err(explain)?.metadata_length() + TAIL_BYTES;
        Ok(Ending { bytes, footer_bytes, blocks: self.blocks })
    }

    fn drain(&mut self) -> Bytes {
        let bytes = std::mem::take(self.writer.inner_mut());
        self.given += bytes.len() as u64;
        bytes.into()
    }
}

fn explain(error: parquet::errors::ParquetError) -> Error {
    Error::internal(format!("cannot encode rows: {error}"))
}
