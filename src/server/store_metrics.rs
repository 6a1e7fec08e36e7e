//! Measurements of the store of a host: copied from its own counts when somebody asks.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::storage::StoreStats;

type Read = fn(&StoreStats) -> u64;

/// Counts that only grow while a host runs.
const COUNTERS: [(&str, &str, Read); 13] = [
    ("store_commits", "Transactions that were committed", |stats| stats.commits),
    ("store_groups", "Groups of transactions that were written to the log together", |stats| stats.groups),
    ("store_conflicts", "Transactions that were refused because of others", |stats| stats.conflicts),
    ("store_log_syncs", "Times that the log was synced", |stats| stats.log_syncs),
    ("store_accepted_bytes", "Bytes of keys and rows that were committed", |stats| stats.written.accepted),
    ("store_log_written_bytes", "Bytes that were written to the log", |stats| stats.written.log),
    ("store_ingested_bytes", "Bytes of segments that transactions wrote", |stats| stats.written.ingested),
    ("store_flushed_bytes", "Bytes of segments that were written from memory", |stats| stats.written.flushed),
    ("store_merged_bytes", "Bytes of segments that were merged from others", |stats| stats.written.merged),
    ("store_checkpoints", "Checkpoints", |stats| stats.checkpoints),
    ("store_merges", "Merges of segments", |stats| stats.merges),
    ("store_cache_hits", "Blocks and footers that were found in the cache", |stats| stats.cache.hits),
    ("store_cache_misses", "Blocks and footers that had to be read", |stats| stats.cache.misses),
];

/// What there is now.
const GAUGES: [(&str, &str, Read); 13] = [
    ("store_log_bytes", "Bytes of the log", |stats| stats.log_bytes),
    ("store_log_files", "Files of the log", |stats| stats.log_files),
    ("store_memtable_bytes", "Bytes of rows that are in memory only", |stats| stats.memtable_bytes),
    ("store_frozen_bytes", "Those of them that are being written to segments", |stats| stats.frozen_bytes),
    ("store_trees", "Sorted trees: tables and indexes", |stats| stats.trees),
    ("store_segments", "Segments", |stats| stats.segments),
    ("store_segment_bytes", "Bytes of segments", |stats| stats.segment_bytes),
    ("store_overlap", "Segments of one tree that overlap at one key, at most", |stats| stats.overlap),
    ("store_cache_bytes", "Bytes in the cache", |stats| stats.cache.bytes),
    ("store_snapshots", "Open snapshots", |stats| stats.snapshots),
    ("store_seq", "The number of the newest commit", |stats| stats.seq),
    ("store_oldest_snapshot", "The newest commit that the oldest open snapshot sees", |stats| {
        stats.oldest_snapshot.unwrap_or(stats.seq)
    }),
    ("store_checkpoint_micros", "Duration of the last checkpoint, in microseconds", |stats| {
        u64::try_from(stats.checkpoint_time.as_micros()).unwrap_or(u64::MAX)
    }),
];

/// The measurements of one store.
#[derive(Debug)]
pub(super) struct StoreMetrics {
    counters: Vec<Counter>,
    gauges: Vec<Gauge>,
}

impl StoreMetrics {
    /// Adds the measurements to `registry`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let counters = COUNTERS.map(|(name, help, _)| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        });
        let gauges = GAUGES.map(|(name, help, _)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        });
        Self { counters: counters.into(), gauges: gauges.into() }
    }

    /// Copies what the store says.
    pub(super) fn set(&self, stats: &StoreStats) {
        for (counter, (_, _, read)) in self.counters.iter().zip(COUNTERS) {
            counter.inner().store(read(stats), Ordering::Relaxed);
        }
        for (gauge, (_, _, read)) in self.gauges.iter().zip(GAUGES) {
            gauge.set(i64::try_from(read(stats)).unwrap_or(i64::MAX));
        }
    }
}
