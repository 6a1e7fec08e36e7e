//! The footer of a segment: what is in the file, and where.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};
use serde_json::{Value as Json, json};

use super::index::{self, BlockInfo};
use super::meta::SegmentMeta;
use crate::error::{Error, Result};
use crate::storage::codec::KeyRange;
use crate::value::Schema;

/// Bytes at the end of every Parquet file: the size of the metadata, and four letters.
pub(super) const TAIL_BYTES: usize = 8;

/// Keys of the metadata of the file.
pub(super) const FORMAT_KEY: &str = "tinychain:format";
pub(super) const TREE_KEY: &str = "tinychain:tree";
pub(super) const COLUMNS_KEY: &str = "tinychain:columns";
pub(super) const BLOCKS_KEY: &str = "tinychain:blocks";
/// The version of the files that this release writes.
pub(super) const FORMAT: &str = "1";

/// Which columns a file has: those of the key, then values, then the sequence numbers, then, if there are any
/// tombstones, which rows are some. Columns are known by their slots, since names may be given anew when a column is
/// dropped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Columns {
    /// The slots of the key columns.
    pub key: Vec<u32>,
    /// The slots of the value columns.
    pub values: Vec<u32>,
    /// Whether there is a column that tells tombstones.
    pub has_deleted: bool,
}

impl Columns {
    /// The columns of a file with rows of `schema`.
    pub fn of(schema: &Schema, has_deleted: bool) -> Self {
        let slots = |columns: &[crate::value::schema::Column]| columns.iter().map(|column| column.slot).collect();
        Self { key: slots(schema.key()), values: slots(schema.values()), has_deleted }
    }

    /// This as text, for the metadata of the file.
    pub fn encode(&self) -> String {
        json!({ "key": self.key, "values": self.values, "deleted": self.has_deleted }).to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let slots = |name: &str| -> Option<Vec<u32>> {
            let slots = json.get(name)?.as_array()?.iter();
            slots.map(|slot| u32::try_from(slot.as_u64()?).ok()).collect()
        };
        Some(Self { key: slots("key")?, values: slots("values")?, has_deleted: json.get("deleted")?.as_bool()? })
    }

    /// Where the sequence numbers are.
    pub fn seq(&self) -> usize {
        self.key.len() + self.values.len()
    }

    /// Where the tombstones are told.
    pub fn deleted(&self) -> Option<usize> {
        self.has_deleted.then(|| self.seq() + 1)
    }

    fn count(&self) -> usize {
        self.seq() + 1 + usize::from(self.has_deleted)
    }
}

/// The parsed footer of a segment.
#[derive(Debug)]
pub struct Footer {
    reader: ArrowReaderMetadata,
    blocks: Vec<BlockInfo>,
    columns: Columns,
    /// The slots of the value columns, ascending, and where each is.
    values: Vec<(u32, usize)>,
    /// The Parquet columns of each column.
    leaves: Vec<Range<usize>>,
}

impl Footer {
    /// Reads the last part of a file.
    ///
    /// # Errors
    /// `Internal` if it is damaged, has another format, or is not that of the segment `meta`.
    pub(super) fn decode(meta: &SegmentMeta, bytes: &[u8]) -> Result<Self> {
        if crc32c::crc32c(bytes) != meta.footer_crc {
            return Err(damaged(meta, "its footer has a wrong checksum"));
        }
        let (body, tail) =
            bytes.split_last_chunk::<TAIL_BYTES>().ok_or_else(|| damaged(meta, "its footer is cut off"))?;
        let tail = FooterTail::try_new(tail).map_err(|error| damaged(meta, error))?;
        if tail.is_encrypted_footer() || tail.metadata_length() != body.len() {
            return Err(damaged(meta, "its footer has another size"));
        }
        let metadata = ParquetMetaDataReader::decode_metadata(body).map_err(|error| damaged(meta, error))?;
        Self::try_new(meta, metadata)
    }

    fn try_new(meta: &SegmentMeta, metadata: ParquetMetaData) -> Result<Self> {
        let text =
            |key: &str| value_of(&metadata, key).ok_or_else(|| damaged(meta, format!("its footer has no {key}")));
        let (format, tree) = (text(FORMAT_KEY)?, text(TREE_KEY)?);
        if format != FORMAT {
            return Err(damaged(meta, format!("it has format {format}, but this release reads format {FORMAT}")));
        }
        if tree != meta.tree.0.to_string() {
            return Err(damaged(meta, format!("it has rows of tree {tree} instead of {}", meta.tree)));
        }
        let columns = Columns::decode(text(COLUMNS_KEY)?).ok_or_else(|| damaged(meta, "its columns cannot be read"))?;
        let index = index::decode(text(BLOCKS_KEY)?);
        let (blocks, leaf_count) = index.ok_or_else(|| damaged(meta, "its index cannot be read"))?;
        let leaves = leaves(&metadata);
        let sizes_agree = leaves.len() == columns.count()
            && leaf_count == metadata.file_metadata().schema_descr().num_columns()
            && blocks.len() == metadata.num_row_groups()
            && blocks.iter().zip(metadata.row_groups()).all(|(b, group)| i64::from(b.rows) == group.num_rows())
            && blocks.iter().map(|block| u64::from(block.rows)).sum::<u64>() == meta.rows;
        let is_sorted = blocks.iter().all(|block| block.min_key <= block.max_key)
            && blocks.windows(2).all(|pair| pair[0].max_key < pair[1].min_key);
        if !sizes_agree || !is_sorted {
            return Err(damaged(meta, "its index does not belong to its rows"));
        }
        let mut values: Vec<(u32, usize)> = columns.values.iter().copied().zip(columns.key.len()..).collect();
        values.sort_unstable();
        let reader = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
            .map_err(|error| damaged(meta, error))?;
        Ok(Self { reader, blocks, columns, values, leaves })
    }

    /// What Parquet says of the file. Its row groups are the blocks.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.reader.metadata()
    }

    /// The columns of the file, as Arrow has them. Names may be those of columns that were dropped since: find a column
    /// with [`Footer::position`].
    pub fn arrow_schema(&self) -> &SchemaRef {
        self.reader.schema()
    }

    /// The blocks, in the order of their keys.
    pub fn blocks(&self) -> &[BlockInfo] {
        &self.blocks
    }

    /// Where a column of `schema` is in the file, by its position there; nothing if it was added later.
    pub fn position(&self, schema: &Schema, column: usize) -> Option<usize> {
        if column < schema.key_len {
            return Some(column);
        }
        let slot = schema.columns.get(column)?.slot;
        let found = self.values.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
        Some(self.values[found].1)
    }

    /// The block that `key` would be in.
    pub fn block_of(&self, key: &[u8]) -> Option<usize> {
        let block = self.blocks.partition_point(|block| *block.max_key < *key);
        self.blocks.get(block).filter(|info| *info.min_key <= *key).map(|_| block)
    }

    /// The blocks that may have keys in `range`.
    pub fn blocks_in(&self, range: &KeyRange) -> Range<usize> {
        let first = self.blocks.partition_point(|block| range.is_after(&block.max_key));
        let end = self.blocks.partition_point(|block| !range.is_before(&block.min_key));
        first..end.max(first)
    }

    pub(super) fn reader(&self) -> &ArrowReaderMetadata {
        &self.reader
    }

    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The Parquet columns of the column at `position`.
    pub(super) fn leaves(&self, position: usize) -> Range<usize> {
        self.leaves.get(position).cloned().unwrap_or_default()
    }

    /// What this takes in memory, roughly.
    pub(super) fn memory(&self) -> usize {
        /// A field of a schema: its name, type and metadata.
        const FIELD: usize = 512;
        let blocks: usize = self.blocks.iter().map(BlockInfo::memory).sum();
        size_of::<Self>() + self.metadata().memory_size() + blocks + self.leaves.len() * FIELD
    }
}

fn value_of<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

/// The Parquet columns of each column, in order.
fn leaves(metadata: &ParquetMetaData) -> Vec<Range<usize>> {
    let schema = metadata.file_metadata().schema_descr();
    let mut leaves: Vec<Range<usize>> = vec![];
    for leaf in 0..schema.num_columns() {
        match leaves.get_mut(schema.get_column_root_idx(leaf)) {
            Some(range) => range.end = leaf + 1,
            None => leaves.push(leaf..leaf + 1),
        }
    }
    leaves
}

/// The error that the file of `meta` cannot be used.
pub(super) fn damaged(meta: &SegmentMeta, what: impl std::fmt::Display) -> Error {
    Error::internal(format!("{} is damaged: {what}", crate::storage::files::segment_path(meta.id)))
}
