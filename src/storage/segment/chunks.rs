//! Decodes columns of a block from the bytes of their chunks.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use bytes::{Buf as _, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::footer::{Footer, damaged};
use super::meta::SegmentMeta;
use crate::error::Result;

/// The parts of a file that were read, as if they were the file.
struct Chunks {
    /// Where each begins, and its bytes.
    parts: Vec<(u64, Bytes)>,
    len: u64,
}

impl Chunks {
    /// The bytes from `start` to the end of the part that it is in.
    fn rest(&self, start: u64) -> Option<Bytes> {
        self.parts.iter().find_map(|(first, bytes)| {
            let offset = usize::try_from(start.checked_sub(*first)?).ok()?;
            (offset < bytes.len()).then(|| bytes.slice(offset..))
        })
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.rest(start).ok_or_else(|| outside(start))?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let rest = self.rest(start).filter(|rest| length <= rest.len()).ok_or_else(|| outside(start))?;
        Ok(rest.slice(..length))
    }
}

fn outside(start: u64) -> ParquetError {
    ParquetError::EOF(format!("byte {start} is in no column that was read"))
}

/// Decodes the columns of the block `block` at `positions` from `chunks`, the bytes of each of their Parquet columns.
///
/// # Errors
/// `Internal` if the bytes are damaged, naming the file.
pub(super) fn decode_columns(
    meta: &SegmentMeta,
    footer: &Footer,
    block: usize,
    positions: &[usize],
    chunks: Vec<(usize, Bytes)>,
) -> Result<Vec<ArrayRef>> {
    let info = &footer.blocks()[block];
    let group = footer.metadata().row_group(block);
    let mut parts = Vec::with_capacity(chunks.len());
    for (leaf, bytes) in chunks {
        if info.crcs.get(leaf) != Some(&crc32c::crc32c(&bytes)) {
            let name = group.column(leaf).column_path().string();
            return Err(damaged(meta, format!("column {name} of block {block} has a wrong checksum")));
        }
        parts.push((group.column(leaf).byte_range().0, bytes));
    }
    let rows = info.rows as usize;
    let chunks = Chunks { parts, len: meta.bytes };
    let batch = read(footer, block, positions, chunks, rows).map_err(|error| damaged(meta, error))?;
    if batch.num_rows() != rows {
        return Err(damaged(meta, format!("block {block} has {} rows instead of {rows}", batch.num_rows())));
    }
    // The reader gives the columns in the order of the file.
    let mut sorted = positions.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let column = |position: &usize| batch.columns().get(sorted.partition_point(|other| other < position)).cloned();
    let columns: Option<Vec<ArrayRef>> = positions.iter().map(column).collect();
    columns.ok_or_else(|| damaged(meta, format!("block {block} has too few columns")))
}

fn read(
    footer: &Footer,
    block: usize,
    positions: &[usize],
    chunks: Chunks,
    rows: usize,
) -> parquet::errors::Result<RecordBatch> {
    let schema = footer.metadata().file_metadata().schema_descr();
    let mask = ProjectionMask::roots(schema, positions.iter().copied());
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, footer.reader().clone())
        .with_row_groups(vec![block])
        .with_projection(mask)
        .with_batch_size(rows)
        .build()?;
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let mut batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
    match batches.len() {
        1 => Ok(batches.remove(0)),
        _ => Ok(concat_batches(&schema, &batches)?),
    }
}
