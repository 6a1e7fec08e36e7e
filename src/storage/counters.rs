//! What a store has done and holds, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::cache::CacheStats;

/// A count that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a store has done since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: Counter,
    pub(super) groups: Counter,
    pub(super) conflicts: Counter,
    /// Bytes of keys and payloads, and of ingested segments.
    pub(super) accepted_bytes: Counter,
    pub(super) ingested_bytes: Counter,
    pub(super) flushed_bytes: Counter,
    pub(super) merged_bytes: Counter,
    pub(super) checkpoints: Counter,
    pub(super) merges: Counter,
    pub(super) checkpoint_nanos: Counter,
    /// Bytes in the log now.
    pub(super) log_bytes: Counter,
}

/// The state of a store, and what it has done since it was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// The newest commit.
    pub seq: u64,
    /// Transactions that were committed, the groups that they were written in, and those that were refused because
    /// something that they had read was changed.
    pub commits: u64,
    pub groups: u64,
    pub conflicts: u64,
    /// Bytes and files of the log, as they are on disk now.
    pub log_bytes: u64,
    pub log_files: u64,
    /// How often the log was synced.
    pub log_syncs: u64,
    /// Memtables: bytes of all, and of those that wait to be written to segments, and how many these are.
    pub memtable_bytes: u64,
    pub frozen_bytes: u64,
    pub frozen: u64,
    /// Trees, their segments, and the bytes of their files.
    pub trees: u64,
    pub segments: u64,
    pub segment_bytes: u64,
    /// How many segments of a tree overlap at one key, at most.
    pub overlap: u64,
    /// Segments that belong to open transactions, or wait to be deleted.
    pub garbage: u64,
    pub cache: CacheStats,
    /// What was written, which tells how often each byte is written again.
    pub written: Written,
    /// Checkpoints and merges that were done, and how long the last checkpoint took.
    pub checkpoints: u64,
    pub merges: u64,
    pub checkpoint_time: Duration,
    /// Open snapshots, and the newest commit that the oldest of them sees.
    pub snapshots: u64,
    pub oldest_snapshot: Option<u64>,
}

/// Bytes that were written since a store was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// What transactions committed: keys and payloads, and segments of their own.
    pub accepted: u64,
    /// To the log.
    pub log: u64,
    /// To segments: by transactions, from memtables, and from other segments.
    pub ingested: u64,
    pub flushed: u64,
    pub merged: u64,
}

impl Written {
    /// How many bytes were written for each byte that was committed.
    pub fn amplification(&self) -> f64 {
        let written = self.log + self.ingested + self.flushed + self.merged;
        written as f64 / self.accepted.max(1) as f64
    }
}
