//! Segments: sorted runs of rows in Parquet files, which never change.
//!
//! A segment holds rows of one tree, one version of each key, sorted by key. Rows that say that a key was deleted are
//! tombstones: they hide older rows of that key in other segments. The files are plain Parquet, which pyarrow, DuckDB
//! and Spark read; what they need not know is in the key-value metadata of the file.
//!
//! ```text
//! file     = "PAR1" (block filter)* footer
//! block    = a row group: the columns of the tree, "_seq", and "_deleted" in files that may have tombstones
//! filter   = a split block Bloom filter of the encoded keys of the block, as its bare bits
//! footer   = Parquet's metadata with these pairs, its size (4 bytes), "PAR1"
//!   tinychain:format   "1"
//!   tinychain:tree     the id of the tree
//!   tinychain:columns  JSON: the slots of key and value columns, in their order, and whether there is "_deleted"
//!   tinychain:blocks   the index of blocks, see `index`
//! ```
//!
//! A file is trusted only after its checksums were compared: that of the footer is in [`SegmentMeta`], which manifests
//! hold under a checksum of their own; those of filters and column chunks are in the index.
//!
//! A block is the unit of reading and caching, by column: [`crate::storage::cache`]. A row is found in five steps: the
//! first and last key of the segment, those of its blocks, the filter of one block (unless its keys are at hand, which
//! say it for sure), a binary search in its keys, the cells of that row. The filter is of whole encoded keys: one of a
//! single column would say nothing about a key of several. It takes a byte a key, a tenth of the keys themselves, so
//! that to look for a key that is in no segment (as every insert does) takes little of the cache.
//!
//! Invariants: keys ascend strictly within a segment, checked when it is written. A file lives as long as a [`Segment`]
//! of it, whatever manifests say meanwhile. Nothing here knows of transactions: which segments a reader sees, and which
//! of them is newer, is its own affair.

mod block;
mod chunks;
mod encoder;
mod footer;
mod garbage;
mod index;
mod layout;
mod meta;
mod reader;
mod scan;
mod store;
mod task;
#[cfg(test)]
mod tests;
mod upload;
mod writer;

pub use block::{Block, Wanted};
pub use footer::Footer;
pub use garbage::{GarbageSink, Sweeper};
pub use index::BlockInfo;
pub use meta::{Fence, SegmentMeta};
pub use reader::{Found, Segment};
pub use scan::{BlockScan, Prune};
pub use store::SegmentStore;
pub use writer::{SegmentWriter, WriterOptions};
