//! The index of the blocks of a segment, which its footer holds beside what Parquet knows of row groups.
//!
//! Parquet has the least and greatest cell of each column, which says little of keys of several columns. So the index
//! has the first and last key of every block, as encoded; the place of a filter of its keys; and a checksum of every
//! column.
//!
//! Format, all numbers little-endian: the number of blocks (u32) and of Parquet columns (u32), then for each block:
//! rows (u32), tombstones (u32), the filter's offset in the file (u64), its size (u32) and CRC-32C (u32), the CRC-32C
//! of each column chunk as it is in the file (u32 each), the size of the first key (u32), the key, the size of the last
//! key (u32), the key. It is stored as base64 in the key-value metadata of the file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A part of a segment that is read and kept as one: a row group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BlockInfo {
    /// Rows, tombstones included.
    pub rows: u32,
    /// Rows that say that a key was deleted.
    pub tombstones: u32,
    /// The first and the last key.
    pub min_key: Box<[u8]>,
    pub max_key: Box<[u8]>,
    pub(super) filter: FilterPlace,
    /// The CRC-32C of each Parquet column.
    pub(super) crcs: Box<[u32]>,
}

/// Where the filter of the keys of a block is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FilterPlace {
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes.
    pub len: u32,
    pub crc: u32,
}

impl BlockInfo {
    /// What this takes in memory.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.min_key.len() + self.max_key.len() + size_of_val(&*self.crcs)
    }
}

/// The index of `blocks`, which have `columns` Parquet columns each, as text.
pub(super) fn encode(blocks: &[BlockInfo], columns: usize) -> String {
    let mut out = vec![];
    put(&mut out, blocks.len());
    put(&mut out, columns);
    for block in blocks {
        debug_assert_eq!(block.crcs.len(), columns);
        out.extend(block.rows.to_le_bytes());
        out.extend(block.tombstones.to_le_bytes());
        out.extend(block.filter.offset.to_le_bytes());
        out.extend(block.filter.len.to_le_bytes());
        out.extend(block.filter.crc.to_le_bytes());
        out.extend(block.crcs.iter().flat_map(|crc| crc.to_le_bytes()));
        for key in [&block.min_key, &block.max_key] {
            put(&mut out, key.len());
            out.extend_from_slice(key);
        }
    }
    BASE64.encode(out)
}

/// Writes a count. Counts are bounded by the size of a block, far below 32 bits.
fn put(out: &mut Vec<u8>, count: usize) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// Reads what [`encode`] wrote: the blocks, and the number of Parquet columns of each. Nothing if it is not whole.
pub(super) fn decode(text: &str) -> Option<(Vec<BlockInfo>, usize)> {
    let bytes = BASE64.decode(text).ok()?;
    let mut rest = bytes.as_slice();
    let (count, columns) = (size(&mut rest)?, size(&mut rest)?);
    let mut blocks = vec![];
    for _ in 0..count {
        let (rows, tombstones) = (short(&mut rest)?, short(&mut rest)?);
        let filter = FilterPlace {
            offset: u64::from_le_bytes(*take(&mut rest)?),
            len: short(&mut rest)?,
            crc: short(&mut rest)?,
        };
        let crcs = (0..columns).map(|_| short(&mut rest)).collect::<Option<_>>()?;
        let (min_key, max_key) = (key(&mut rest)?, key(&mut rest)?);
        blocks.push(BlockInfo { rows, tombstones, min_key, max_key, filter, crcs });
    }
    rest.is_empty().then_some((blocks, columns))
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(first)
}

fn short(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*take(rest)?))
}

fn size(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(short(rest)?).ok()
}

fn key(rest: &mut &[u8]) -> Option<Box<[u8]>> {
    let len = size(rest)?;
    let (key, others) = rest.split_at_checked(len)?;
    *rest = others;
    Some(key.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn block(columns: usize)(
            rows in any::<u32>(), tombstones in any::<u32>(), offset in any::<u64>(), len in any::<u32>(),
            crc in any::<u32>(), crcs in prop::collection::vec(any::<u32>(), columns),
            min_key in any::<Vec<u8>>(), max_key in any::<Vec<u8>>(),
        ) -> BlockInfo {
            let filter = FilterPlace { offset, len, crc };
            BlockInfo { rows, tombstones, min_key: min_key.into(), max_key: max_key.into(), filter, crcs: crcs.into() }
        }
    }

    fn blocks() -> impl Strategy<Value = (Vec<BlockInfo>, usize)> {
        (0..4usize).prop_flat_map(|columns| (prop::collection::vec(block(columns), 0..5), Just(columns)))
    }

    proptest! {
        #[test]
        fn an_index_reads_back((blocks, columns) in blocks()) {
            let text = encode(&blocks, columns);
            prop_assert_eq!(decode(&text), Some((blocks, columns)));
        }

        #[test]
        fn an_index_that_was_cut_off_is_refused((blocks, columns) in blocks(), cut in any::<prop::sample::Index>()) {
            let bytes = BASE64.decode(encode(&blocks, columns)).unwrap();
            let text = BASE64.encode(&bytes[..cut.index(bytes.len())]);
            prop_assert_eq!(decode(&text), None);
        }

        #[test]
        fn nonsense_is_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = decode(&BASE64.encode(bytes));
        }
    }
}
