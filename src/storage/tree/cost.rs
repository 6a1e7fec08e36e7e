//! How much there is in a range, and how to divide it. Nothing is read for that.

use std::ops::Bound;
use std::sync::Arc;

use super::{Estimate, Source};
use crate::storage::codec::KeyRange;
use crate::storage::memtable::{Key, Memtable, Payload, SAMPLE_VERSIONS};
use crate::storage::segment::{Fence, Segment};

/// Up to this many rows in memory are counted one by one, which takes some microseconds.
const COUNT_MAX: usize = 128;
/// How many rows of the writes of a transaction lie between two places where they may be divided.
const WRITES_STEP: usize = 256;

/// What one memtable, segment or set of writes has in a range.
#[derive(Clone, Debug)]
struct Share {
    /// Rows at most, without tombstones.
    rows_max: u64,
    bytes: u64,
    /// The first and the last key, tombstones included, if there are exactly so many rows.
    exact: Option<(Vec<u8>, Vec<u8>)>,
}

/// A place where a range may be divided, and how many rows there are from there to the next one of the same input.
type Place = (Vec<u8>, u64);

impl Source {
    /// How many rows there are in a range.
    pub fn estimate(&self, range: &KeyRange) -> Estimate {
        let shares = self.shares(range);
        let estimate = shares.iter().fold(Estimate::default(), |sum, share| Estimate {
            rows_max: sum.rows_max.saturating_add(share.rows_max),
            bytes: sum.bytes.saturating_add(share.bytes),
            is_exact: false,
        });
        Estimate { is_exact: are_disjoint(shares), ..estimate }
    }

    /// Divides a range into at most `parts` ranges with about equally many rows: disjoint, in order, and together the whole
    /// range. There are fewer where too little is known to divide it, and at least one.
    pub fn split(&self, range: &KeyRange, parts: usize) -> Vec<KeyRange> {
        let parts = u64::try_from(parts).unwrap_or(u64::MAX).max(1);
        let mut places = self.places(range);
        places.sort_unstable();
        let total: u64 = places.iter().map(|(_, rows)| rows).sum();
        let (mut ranges, mut start, mut passed) = (Vec::new(), range.start.clone(), 0);
        for (key, rows) in places {
            let goal = share_of(total, ranges.len() as u64 + 1, parts);
            let cut = KeyRange { start: start.clone(), end: Bound::Excluded(key.clone()) };
            if passed >= goal && passed > 0 && range.contains(&key) && !cut.is_empty() {
                ranges.push(cut);
                start = Bound::Included(key);
            }
            passed += rows;
        }
        ranges.push(KeyRange { start, end: range.end.clone() });
        ranges
    }

    /// What each input has in a range, without those that have nothing there.
    fn shares(&self, range: &KeyRange) -> Vec<Share> {
        if range.is_empty() {
            return vec![];
        }
        let mut shares = Vec::new();
        shares.extend(of_writes(self, range));
        shares.extend(self.overlay.segments.iter().filter_map(|segment| of_segment(segment, range)));
        if let Some(tree) = &self.tree {
            shares.extend(tree.memtables().filter_map(|memtable| of_memtable(memtable, self.seq, range)));
            shares.extend(tree.segments.iter().filter_map(|segment| of_segment(segment, range)));
        }
        shares
    }

    /// Where a range may be divided: between blocks of segments; or, if most of it is in memory, there.
    fn places(&self, range: &KeyRange) -> Vec<Place> {
        let committed = self.tree.iter().flat_map(|tree| &tree.segments);
        let segments = self.overlay.segments.iter().chain(committed);
        let in_segments: Vec<Place> = segments.flat_map(|segment| places_of_segment(segment, range)).collect();
        let mut in_memory = places_of_writes(self, range);
        for memtable in self.tree.iter().flat_map(|tree| tree.memtables()) {
            in_memory.extend(memtable.sample(range).iter().map(|key| (key.to_vec(), SAMPLE_VERSIONS)));
        }
        let rows = |places: &[Place]| places.iter().map(|(_, rows)| rows).sum::<u64>();
        // Where parts divide a block, both have to read it.
        if rows(&in_segments) >= rows(&in_memory) {
            in_segments
        } else {
            in_segments.into_iter().chain(in_memory).collect()
        }
    }
}

/// `part` of `parts` parts of a total.
fn share_of(total: u64, part: u64, parts: u64) -> u64 {
    let share = u128::from(total) * u128::from(part) / u128::from(parts);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Whether all numbers are exact, and no two inputs can have rows of one key.
fn are_disjoint(shares: Vec<Share>) -> bool {
    let spans: Option<Vec<(Vec<u8>, Vec<u8>)>> = shares.into_iter().map(|share| share.exact).collect();
    spans.is_some_and(|mut spans| {
        spans.sort_unstable();
        spans.windows(2).all(|pair| pair[0].1 < pair[1].0)
    })
}

fn of_segment(segment: &Arc<Segment>, range: &KeyRange) -> Option<Share> {
    let meta = segment.meta();
    if !range.intersects(&meta.min_key, &meta.max_key) {
        return None;
    }
    let is_within = |min: &[u8], max: &[u8]| range.contains(min) && range.contains(max);
    let (rows, keys) = if is_within(&meta.min_key, &meta.max_key) {
        (meta.rows - meta.tombstones, Some((meta.min_key.clone(), meta.max_key.clone())))
    } else if let Some(footer) = segment.cached_footer() {
        let blocks = footer.blocks().get(footer.blocks_in(range)).unwrap_or_default();
        let (first, last) = (blocks.first()?, blocks.last()?);
        let rows: u64 = blocks.iter().map(|block| u64::from(block.rows - block.tombstones)).sum();
        let keys = is_within(&first.min_key, &last.max_key);
        (rows, keys.then(|| (first.min_key.to_vec(), last.max_key.to_vec())))
    } else {
        (meta.rows_max_in(range), None)
    };
    Some(Share { rows_max: rows, bytes: portion(meta.bytes, rows, meta.rows), exact: keys })
}

fn of_memtable(memtable: &Memtable, seq: u64, range: &KeyRange) -> Option<Share> {
    let entries = memtable.range(range, seq, false).map(|(key, _, payload)| (key, payload));
    let guess = || 2 * SAMPLE_VERSIONS * (memtable.sample(range).len() as u64 + 2);
    of_memory(entries, memtable.len(), memtable.bytes(), guess)
}

fn of_writes(source: &Source, range: &KeyRange) -> Option<Share> {
    let writes = &source.overlay.writes;
    let bytes =
        |(key, payload): (&Key, &Option<Payload>)| key.len() + payload.as_ref().map_or(0, |payload| payload.len());
    // All are about as large as the first ones.
    let sampled: usize = writes.iter().take(COUNT_MAX).map(bytes).sum();
    let bytes = portion(sampled as u64, writes.len() as u64, writes.len().min(COUNT_MAX) as u64);
    let entries = writes.range::<[u8], _>(bounds(range)).map(|(key, payload)| (Arc::clone(key), payload.clone()));
    let len = writes.len() as u64;
    of_memory(entries, len, bytes, || len)
}

/// What there is of an input in memory that has `len` entries with `bytes` bytes in all, given those in the range. If they
/// are many, `guess` says how many they may be.
fn of_memory(
    mut entries: impl Iterator<Item = (Key, Option<Payload>)>,
    len: u64,
    bytes: u64,
    guess: impl FnOnce() -> u64,
) -> Option<Share> {
    let (first, payload) = entries.next()?;
    let (mut last, mut live, mut count) = (Arc::clone(&first), u64::from(payload.is_some()), 1);
    for (key, payload) in entries.by_ref().take(COUNT_MAX) {
        last = key;
        live += u64::from(payload.is_some());
        count += 1;
    }
    if count <= COUNT_MAX {
        let exact = Some((first.to_vec(), last.to_vec()));
        return Some(Share { rows_max: live, bytes: portion(bytes, live, len), exact });
    }
    let rows_max = guess().min(len);
    Some(Share { rows_max, bytes: portion(bytes, rows_max, len), exact: None })
}

/// What `rows` of `len` rows take that take `bytes` together.
fn portion(bytes: u64, rows: u64, len: u64) -> u64 {
    share_of(bytes, rows, len.max(1))
}

fn places_of_segment(segment: &Arc<Segment>, range: &KeyRange) -> Vec<Place> {
    let meta = segment.meta();
    if !range.intersects(&meta.min_key, &meta.max_key) {
        return vec![];
    }
    if let Some(footer) = segment.cached_footer() {
        let blocks = footer.blocks().get(footer.blocks_in(range)).unwrap_or_default();
        return blocks.iter().map(|block| (block.min_key.to_vec(), u64::from(block.rows))).collect();
    }
    let ends = meta.fences.iter().skip(1).map(|fence| fence.row).chain([meta.rows]);
    let rows = |(fence, end): (&Fence, u64)| (fence.key.clone(), end.saturating_sub(fence.row));
    let fences: Vec<Place> = meta.fences.iter().zip(ends).map(rows).collect();
    // The last fence before the range is where its first rows are.
    let before = fences.iter().rposition(|(key, _)| range.is_after(key)).unwrap_or(0);
    fences.into_iter().skip(before).take_while(|(key, _)| !range.is_before(key)).collect()
}

fn places_of_writes(source: &Source, range: &KeyRange) -> Vec<Place> {
    if range.is_empty() {
        return vec![];
    }
    let keys = source.overlay.writes.range::<[u8], _>(bounds(range)).map(|(key, _)| key);
    keys.step_by(WRITES_STEP).map(|key| (key.to_vec(), WRITES_STEP as u64)).collect()
}

fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (range.start.as_ref().map(Vec::as_slice), range.end.as_ref().map(Vec::as_slice))
}
