//! The cache of what was read from segments: footers, filters, and blocks of decoded columns.
//!
//! There is one for a store, and it is the only thing that keeps data of segments in memory; what a request works on
//! lives as long as the request. Every entry is charged what it takes, and the charges never exceed `--cache_size`.
//! What is too large for that is not kept, and read again each time: slower, but just as right. So any size will do,
//! also none.
//!
//! Entries leave by frequency of use (w-TinyLFU, Einziger, Friedman and Manes 2017, by foyer), so a scan of a large
//! table does not push out what is read all the time. Each column of a block is an entry of its own, so that requests
//! for different columns share what they have in common.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::ArrayRef;
use foyer::{Cache, LfuConfig};
use futures::FutureExt as _;
use parquet::bloom_filter::Sbbf;

use crate::storage::codec::KeyColumn;
use crate::storage::segment::Footer;

/// What an entry takes beside its content: its key, links and counters.
const ENTRY_BYTES: usize = 256;
/// What a part of the cache has at least, if there are several. A part has its own lock; an entry must fit into a part.
const SHARD_BYTES_MIN: u64 = 64 << 20;
/// More parts than this do not help.
const SHARDS_MAX: u64 = 16;

/// Names an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
struct EntryKey {
    segment: u64,
    part: Part,
}

/// A part of a segment that is kept by itself. Blocks and columns are numbered as in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Part {
    Footer,
    /// The filter of the keys of a block.
    Filter(u32),
    /// The encoded keys of a block.
    Keys(u32),
    /// A column of a block.
    Column(u32, u32),
    /// A value column, by its slot, that a block does not have since it was written before the column was added.
    Default(u32, u32),
}

/// What is kept. Cloning is cheap.
#[derive(Clone)]
pub enum Item {
    Footer(Arc<Footer>),
    Filter(Arc<Sbbf>),
    Keys(Arc<KeyColumn>),
    Column(ArrayRef),
}

struct Entry {
    item: Item,
    /// Bytes.
    charge: usize,
}

/// The use of a cache.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheStats {
    /// What may be charged, and what is.
    pub bytes_max: u64,
    pub bytes: u64,
    pub entries: u64,
    /// How often something was found, and how often it was not.
    pub hits: u64,
    pub misses: u64,
}

/// A cache of a bounded number of bytes.
pub struct BlockCache {
    entries: Cache<EntryKey, Entry>,
    bytes_max: u64,
    /// What one entry may be charged.
    entry_bytes_max: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl BlockCache {
    /// A cache that is charged at most `bytes_max`.
    pub fn new(bytes_max: u64) -> Self {
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        // The library warns of a capacity below the number of shards; nothing weighs less than ENTRY_BYTES anyway.
        let capacity = usize::try_from(bytes_max).unwrap_or(usize::MAX).max(1);
        let entries = Cache::builder(capacity)
            .with_name("tinychain")
            .with_shards(usize::try_from(shards).unwrap_or(1))
            .with_eviction_config(LfuConfig::default())
            .with_weighter(|_: &EntryKey, entry: &Entry| entry.charge)
            .build();
        let entry_bytes_max = usize::try_from(bytes_max / shards).unwrap_or(usize::MAX);
        Self { entries, bytes_max, entry_bytes_max, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What is kept of a part of a segment. Ids of segments are never used twice, so it cannot be out of date.
    pub fn get(&self, segment: u64, part: Part) -> Option<Item> {
        let found = self.entries.get(&EntryKey { segment, part });
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found.map(|entry| entry.item.clone())
    }

    /// Keeps `item`, a part of a segment that takes `bytes` in memory, for as long as it is worth its place.
    pub fn insert(&self, segment: u64, part: Part, item: Item, bytes: usize) {
        let charge = bytes.saturating_add(ENTRY_BYTES);
        // The library would make room for it by dropping everything else, and keep it beyond the bound.
        if charge <= self.entry_bytes_max {
            self.entries.insert(EntryKey { segment, part }, Entry { item, charge });
        }
    }

    /// Drops all entries of a segment that is no more. This visits every entry.
    pub fn forget(&self, segment: u64) {
        // With nothing behind the cache to flush to, this is done when it is first polled.
        let _ = self.entries.flush_if(|key, _| key.segment == segment).now_or_never();
    }

    /// How this is used.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            bytes_max: self.bytes_max,
            bytes: self.entries.usage() as u64,
            entries: self.entries.entries() as u64,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockCache").field(&self.stats()).finish()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, Int64Array};
    use proptest::prelude::*;

    use super::*;

    fn column(rows: usize) -> (Item, usize) {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![1; rows]));
        let bytes = array.get_array_memory_size();
        (Item::Column(array), bytes)
    }

    fn insert(cache: &BlockCache, segment: u64, block: u32, rows: usize) {
        let (item, bytes) = column(rows);
        cache.insert(segment, Part::Column(block, 0), item, bytes);
    }

    #[test]
    fn what_was_kept_is_found_and_counted() {
        let cache = BlockCache::new(1 << 20);
        insert(&cache, 1, 0, 10);
        assert!(matches!(cache.get(1, Part::Column(0, 0)), Some(Item::Column(array)) if array.len() == 10));
        assert!(cache.get(1, Part::Column(0, 1)).is_none());
        assert!(cache.get(2, Part::Column(0, 0)).is_none());
        assert!(cache.get(1, Part::Default(0, 0)).is_none());
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.entries), (1, 3, 1));
        assert!(stats.bytes >= 80 && stats.bytes <= stats.bytes_max);
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_pushes_nothing_out() {
        let cache = BlockCache::new(5 << 10);
        insert(&cache, 1, 0, 10);
        insert(&cache, 1, 1, 100_000);
        assert!(cache.get(1, Part::Column(0, 0)).is_some());
        assert!(cache.get(1, Part::Column(1, 0)).is_none());
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let cache = BlockCache::new(0);
        insert(&cache, 1, 0, 1);
        assert!(cache.get(1, Part::Column(0, 0)).is_none());
        assert_eq!(cache.stats().bytes, 0);
    }

    #[test]
    fn a_segment_is_forgotten_and_no_other() {
        let cache = BlockCache::new(1 << 20);
        for segment in 1..=2 {
            for block in 0..10 {
                insert(&cache, segment, block, 10);
            }
        }
        cache.forget(1);
        assert!((0..10).all(|block| cache.get(1, Part::Column(block, 0)).is_none()));
        assert!((0..10).all(|block| cache.get(2, Part::Column(block, 0)).is_some()));
    }

    #[test]
    fn what_is_used_often_survives_a_scan() {
        let cache = BlockCache::new(1 << 20);
        insert(&cache, 1, 0, 1000);
        for _ in 0..20 {
            assert!(cache.get(1, Part::Column(0, 0)).is_some());
        }
        for block in 0..1000 {
            insert(&cache, 2, block, 1000);
        }
        assert!(cache.get(1, Part::Column(0, 0)).is_some());
    }

    proptest! {
        #[test]
        fn the_bound_holds_whatever_comes(sizes in prop::collection::vec((0..8u64, 0..8u32, 0..20_000usize), 1..200)) {
            let cache = BlockCache::new(100 << 10);
            for (segment, block, rows) in sizes {
                insert(&cache, segment, block, rows);
                let stats = cache.stats();
                prop_assert!(stats.bytes <= stats.bytes_max);
            }
        }
    }
}
