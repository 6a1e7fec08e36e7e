//! Rows that were committed, but are in no segment yet: a sorted map in memory with every version of every key.
//!
//! One thread puts, any number of others read meanwhile. What a reader sees is decided by the number of the newest commit
//! that it may see, so rows that arrive during a scan do not disturb it. Nothing is ever removed: a memtable is frozen as
//! a whole, written to a segment, and dropped when nobody reads it any more.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_skiplist::SkipMap;
use crossbeam_skiplist::map::Entry;

use super::codec::key::KeyRange;

/// The encoded key of a row: see [`super::codec::key`].
pub type Key = Arc<[u8]>;
/// The encoded cells of a row that its key does not say: see [`super::codec::row`].
pub type Payload = Arc<[u8]>;

/// Bytes of an entry beside its key and payload: a node of the skip list with two links on average, the counters and
/// lengths of two shared allocations, and what the allocator rounds up.
const ENTRY_BYTES: u64 = 128;
/// One of this many versions is remembered by its key, which shows how the keys are distributed.
pub(super) const SAMPLE_VERSIONS: u64 = 256;
/// How many versions of one key are passed one by one before it is cheaper to search for the next key.
const STEPS_MAX: usize = 8;

/// One version of a key: versions are sorted by key, then newest first.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
struct Version {
    key: Key,
    seq: Reverse<u64>,
}

impl Version {
    fn new(key: Key, seq: u64) -> Self {
        Self { key, seq: Reverse(seq) }
    }
}

type Node<'a> = Entry<'a, Version, Option<Payload>>;

/// Versions of rows, sorted by key.
#[derive(Debug)]
pub struct Memtable {
    /// The payload of each version; none where the commit deleted the row.
    versions: SkipMap<Version, Option<Payload>>,
    /// The keys of one in [`SAMPLE_VERSIONS`] versions.
    sample: SkipMap<Key, ()>,
    len: AtomicU64,
    bytes: AtomicU64,
    newest_seq: AtomicU64,
}

impl Default for Memtable {
    fn default() -> Self {
        Self::new()
    }
}

impl Memtable {
    /// A memtable without rows.
    pub fn new() -> Self {
        Self {
            versions: SkipMap::new(),
            sample: SkipMap::new(),
            len: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            newest_seq: AtomicU64::new(0),
        }
    }

    /// Adds what commit `seq` made of the row at `key`: its payload, or nothing if it was deleted. A version that is there
    /// already is replaced.
    pub fn put(&self, key: Key, seq: u64, value: Option<Payload>) {
        let bytes = key.len() as u64 + value.as_ref().map_or(0, |payload| payload.len() as u64) + ENTRY_BYTES;
        let before = self.len.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(SAMPLE_VERSIONS) {
            self.sample.insert(Arc::clone(&key), ());
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.newest_seq.fetch_max(seq, Ordering::Relaxed);
        self.versions.insert(Version::new(key, seq), value);
    }

    /// What a reader of all commits up to `seq` finds at `key`: the commit that wrote it, and the payload, or nothing if the
    /// row was deleted.
    pub fn get(&self, key: &[u8], seq: u64) -> Option<(u64, Option<Payload>)> {
        let found = self.lower(Bound::Included(&Version::new(key.into(), seq)))?;
        let version = found.key();
        (*version.key == *key).then(|| (version.seq.0, found.value().clone()))
    }

    /// The newest version that a reader of all commits up to `seq` sees, of each key in `range`, deleted ones included.
    /// Ascending by key, or descending if `reverse`.
    pub fn range<'a>(&'a self, range: &KeyRange, seq: u64, reverse: bool) -> Visible<'a> {
        let next = if reverse {
            match &range.end {
                Bound::Unbounded => self.versions.back(),
                Bound::Included(key) => self.upper(Bound::Included(&Version::new(key.as_slice().into(), 0))),
                Bound::Excluded(key) => self.upper(Bound::Excluded(&Version::new(key.as_slice().into(), u64::MAX))),
            }
        } else {
            match &range.start {
                Bound::Unbounded => self.versions.front(),
                Bound::Included(key) => self.lower(Bound::Included(&Version::new(key.as_slice().into(), u64::MAX))),
                Bound::Excluded(key) => self.lower(Bound::Excluded(&Version::new(key.as_slice().into(), 0))),
            }
        };
        let last = if reverse { range.start.clone() } else { range.end.clone() };
        Visible { memtable: self, last, seq, reverse, next }
    }

    /// The bytes that this takes, roughly.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The number of versions that were put.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether nothing was put.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest commit that is here, unless this is empty.
    pub fn newest_seq(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.newest_seq.load(Ordering::Relaxed))
    }

    /// Keys in `range`, ascending, that divide it into parts of about [`SAMPLE_VERSIONS`] versions each.
    pub(super) fn sample(&self, range: &KeyRange) -> Vec<Key> {
        let first = match &range.start {
            Bound::Unbounded => self.sample.front(),
            Bound::Included(key) => self.sample.lower_bound(Bound::Included(key.as_slice())),
            Bound::Excluded(key) => self.sample.lower_bound(Bound::Excluded(key.as_slice())),
        };
        let entries = std::iter::successors(first, Entry::next);
        let keys = entries.map(|entry| Arc::clone(entry.key()));
        keys.take_while(|key| is_before(key, &range.end)).collect()
    }

    fn lower(&self, bound: Bound<&Version>) -> Option<Node<'_>> {
        self.versions.lower_bound(bound)
    }

    fn upper(&self, bound: Bound<&Version>) -> Option<Node<'_>> {
        self.versions.upper_bound(bound)
    }
}

/// Whether `key` is not past the end of a range.
fn is_before(key: &[u8], end: &Bound<Vec<u8>>) -> bool {
    match end {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= end.as_slice(),
        Bound::Excluded(end) => key < end.as_slice(),
    }
}

/// Whether `key` is not before the start of a range.
fn is_after(key: &[u8], start: &Bound<Vec<u8>>) -> bool {
    match start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start.as_slice(),
        Bound::Excluded(start) => key > start.as_slice(),
    }
}

/// The versions of a range that one reader sees: see [`Memtable::range`].
#[derive(Debug)]
pub struct Visible<'a> {
    memtable: &'a Memtable,
    /// The far end of the range.
    last: Bound<Vec<u8>>,
    seq: u64,
    reverse: bool,
    /// The first version of the next key in the direction of the scan.
    next: Option<Node<'a>>,
}

impl Iterator for Visible<'_> {
    type Item = (Key, u64, Option<Payload>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first = self.next.take()?;
            let key = &first.key().key;
            let is_inside = if self.reverse { is_after(key, &self.last) } else { is_before(key, &self.last) };
            if !is_inside {
                return None;
            }
            let found = if self.reverse { self.newest_before(&first) } else { self.newest_from(&first) };
            self.next = self.past(&first);
            if let Some(found) = found {
                let Version { key, seq: Reverse(seq) } = found.key();
                return Some((Arc::clone(key), *seq, found.value().clone()));
            }
        }
    }
}

impl<'a> Visible<'a> {
    /// The newest visible version of a key whose newest version is `first`.
    fn newest_from(&self, first: &Node<'a>) -> Option<Node<'a>> {
        let key = &first.key().key;
        let mut found = first.clone();
        for _ in 0..STEPS_MAX {
            if found.key().seq.0 <= self.seq {
                return Some(found);
            }
            found = found.next().filter(|next| next.key().key == *key)?;
        }
        self.newest(key)
    }

    /// The newest visible version of a key whose oldest version is `first`.
    fn newest_before(&self, first: &Node<'a>) -> Option<Node<'a>> {
        if first.key().seq.0 > self.seq {
            return None;
        }
        let key = &first.key().key;
        let mut found = first.clone();
        for _ in 0..STEPS_MAX {
            match found.prev().filter(|newer| newer.key().key == *key && newer.key().seq.0 <= self.seq) {
                Some(newer) => found = newer,
                None => return Some(found),
            }
        }
        self.newest(key)
    }

    /// The newest visible version of `key`, by searching.
    fn newest(&self, key: &Key) -> Option<Node<'a>> {
        let probe = Version::new(Arc::clone(key), self.seq);
        self.memtable.lower(Bound::Included(&probe)).filter(|found| found.key().key == *key)
    }

    /// The first version of the next key.
    fn past(&self, first: &Node<'a>) -> Option<Node<'a>> {
        let key = &first.key().key;
        let mut node = first.clone();
        for _ in 0..STEPS_MAX {
            node = if self.reverse { node.prev()? } else { node.next()? };
            if node.key().key != *key {
                return Some(node);
            }
        }
        if self.reverse {
            self.memtable.upper(Bound::Excluded(&Version::new(Arc::clone(key), u64::MAX)))
        } else {
            self.memtable.lower(Bound::Excluded(&Version::new(Arc::clone(key), 0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Key {
        Arc::from([byte].as_slice())
    }

    fn payload(seq: u64) -> Payload {
        Arc::from(seq.to_be_bytes().as_slice())
    }

    /// What a reader at `seq` should see, ascending.
    fn model(puts: &[(u8, bool)], range: &KeyRange, seq: u64) -> Vec<(Key, u64, Option<Payload>)> {
        let mut rows = BTreeMap::new();
        for (at, (byte, is_put)) in (1..=seq).zip(puts) {
            rows.insert(key(*byte), (at, is_put.then(|| payload(at))));
        }
        let rows = rows.into_iter().filter(|(key, _)| is_after(key, &range.start) && is_before(key, &range.end));
        rows.map(|(key, (seq, value))| (key, seq, value)).collect()
    }

    fn filled(puts: &[(u8, bool)]) -> Memtable {
        let memtable = Memtable::new();
        for (seq, (byte, is_put)) in (1..).zip(puts) {
            memtable.put(key(*byte), seq, is_put.then(|| payload(seq)));
        }
        memtable
    }

    #[test]
    fn a_reader_sees_the_newest_version_that_it_may_see() {
        let memtable = filled(&[(1, true), (2, true), (1, false), (1, true)]);
        assert_eq!(memtable.get(&[1], 1), Some((1, Some(payload(1)))));
        assert_eq!(memtable.get(&[1], 2), Some((1, Some(payload(1)))));
        assert_eq!(memtable.get(&[1], 3), Some((3, None)));
        assert_eq!(memtable.get(&[1], 9), Some((4, Some(payload(4)))));
        assert_eq!(memtable.get(&[2], 1), None);
        assert_eq!(memtable.get(&[3], 9), None);
        assert_eq!((memtable.newest_seq(), memtable.len()), (Some(4), 4));
    }

    #[test]
    fn an_empty_memtable_has_no_commits() {
        let memtable = Memtable::new();
        assert_eq!((memtable.newest_seq(), memtable.bytes()), (None, 0));
        assert!(memtable.is_empty() && memtable.range(&KeyRange::all(), 9, false).next().is_none());
    }

    #[test]
    fn bytes_count_keys_and_payloads() {
        let memtable = Memtable::new();
        memtable.put(Arc::from([0; 10].as_slice()), 1, Some(Arc::from([0; 1000].as_slice())));
        memtable.put(Arc::from([0; 10].as_slice()), 2, None);
        assert_eq!(memtable.bytes(), 1020 + 2 * ENTRY_BYTES);
    }

    #[test]
    fn a_key_with_many_versions_is_passed_quickly_and_rightly() {
        let memtable = Memtable::new();
        memtable.put(key(1), 1, Some(payload(1)));
        for seq in 2..1000 {
            memtable.put(key(2), seq, Some(payload(seq)));
        }
        memtable.put(key(3), 1000, Some(payload(1000)));
        for (seq, expected) in [(1000, vec![1, 999, 1000]), (500, vec![1, 500]), (1, vec![1])] {
            let seen = |reverse| memtable.range(&KeyRange::all(), seq, reverse).map(|(_, seq, _)| seq);
            assert_eq!(seen(false).collect::<Vec<_>>(), expected);
            assert_eq!(seen(true).collect::<Vec<_>>(), expected.iter().rev().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_sample_follows_the_distribution() {
        let memtable = Memtable::new();
        for at in 0..100_000_u32 {
            // Not in order, so that the sample has to sort.
            let key = at.wrapping_mul(2_654_435_761).to_be_bytes();
            memtable.put(Arc::from(key.as_slice()), 1, None);
        }
        let half = KeyRange { start: Bound::Unbounded, end: Bound::Excluded(vec![0x80]) };
        let estimate = memtable.sample(&half).len() as u64 * SAMPLE_VERSIONS;
        assert!((40_000..60_000).contains(&estimate), "{estimate}");
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![
            Just(Bound::Unbounded),
            (0..12_u8).prop_map(|byte| Bound::Included(vec![byte])),
            (0..12_u8).prop_map(|byte| Bound::Excluded(vec![byte])),
        ]
    }

    proptest! {
        #[test]
        fn ranges_are_those_of_the_model(
            puts in prop::collection::vec((0..12_u8, any::<bool>()), 0..120),
            start in bound(),
            end in bound(),
            seq in 0..130_u64,
        ) {
            let (memtable, range) = (filled(&puts), KeyRange { start, end });
            let mut expected = model(&puts, &range, seq.min(puts.len() as u64));
            prop_assert_eq!(memtable.range(&range, seq, false).collect::<Vec<_>>(), expected.clone());
            expected.reverse();
            prop_assert_eq!(memtable.range(&range, seq, true).collect::<Vec<_>>(), expected);
        }
    }
}
