//! Which segments of a tree to merge.
//!
//! What costs readers is how many segments overlap at a key: there they must merge row by row, while a segment that is
//! alone passes through whole. What costs writers is how often a row is written again. So:
//! - Segments that overlap no other are left alone, as when keys arrive in order. Only many small ones in a row are
//!   joined.
//! - Where segments overlap, they are sorted runs of different ages: a flush, a load, an earlier merge. Some runs that
//!   follow each other in age are merged as soon as each is about as large as all the newer ones together ("universal",
//!   or size-tiered, compaction), so that a row is written again a number of times that grows with the logarithm of the
//!   size of the tree.
//!
//! Runs that follow each other, and no others: then a merge never lifts a row above a newer one, even if both have the
//! same commit.
//!
//! This is pure: it knows sizes and ranges of keys, nothing of files.

use std::cmp::Reverse;
use std::ops::Range;

use crate::storage::segment::SegmentMeta;

/// Segments smaller than this are joined with their neighbours.
const SMALL_BYTES: u64 = 8 << 20;
/// How many small neighbours are joined.
const SMALL_COUNT_MIN: usize = 8;

/// Runs that are merged at once: each has two blocks in memory.
const FAN_IN_MAX: usize = 16;

/// When merging is worth its cost.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Effort {
    /// How many segments overlap at least where something is merged.
    depth_min: usize,
    /// The next older run is merged too if it is not larger than this many percent of the newer ones together.
    growth_percent: u64,
    /// With more runs than this, the newest are merged whatever their sizes.
    runs_max: usize,
}

impl Effort {
    /// While there is other work: readers are kept from having to merge many segments.
    pub(in crate::storage) const BUSY: Self = Self { depth_min: 4, growth_percent: 150, runs_max: 10 };
    /// While there is nothing else to do, or when somebody asks: also few overlapping segments are merged.
    pub(in crate::storage) const IDLE: Self = Self { depth_min: 2, growth_percent: 400, runs_max: 4 };
}

/// What a plan knows of a segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Piece<'a> {
    pub(in crate::storage) id: u64,
    /// Sorts by age: the newest commit, then the ordinal, then the id.
    pub(in crate::storage) age: (u64, u32, u64),
    pub(in crate::storage) bytes: u64,
    pub(in crate::storage) min_key: &'a [u8],
    pub(in crate::storage) max_key: &'a [u8],
}

impl<'a> Piece<'a> {
    pub(in crate::storage) fn new(meta: &'a SegmentMeta) -> Self {
        let age = (meta.seq, meta.ordinal, meta.id);
        Self { id: meta.id, age, bytes: meta.bytes, min_key: &meta.min_key, max_key: &meta.max_key }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.min_key <= other.max_key && other.min_key <= self.max_key
    }
}

/// How many pieces overlap at most at one key.
pub(in crate::storage) fn depth(pieces: &[Piece<'_>]) -> usize {
    let mut starts: Vec<&[u8]> = pieces.iter().map(|piece| piece.min_key).collect();
    let mut ends: Vec<&[u8]> = pieces.iter().map(|piece| piece.max_key).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let (mut depth, mut ended) = (0, 0);
    for (begun, start) in (1..).zip(starts) {
        while ends.get(ended).is_some_and(|end| *end < start) {
            ended += 1;
        }
        depth = depth.max(begun - ended);
    }
    depth
}

/// The ids of the segments of a tree to merge into one run, at least two; nothing if all is well.
pub(in crate::storage) fn plan(mut pieces: Vec<Piece<'_>>, effort: Effort) -> Option<Vec<u64>> {
    pieces.sort_unstable_by_key(|piece| (piece.min_key, piece.max_key, piece.id));
    let groups = connected(&pieces);
    let mut deep: Vec<(usize, &[Piece<'_>])> =
        groups.iter().map(|group| &pieces[group.clone()]).map(|group| (depth(group), group)).collect();
    deep.retain(|(depth, _)| *depth >= effort.depth_min);
    deep.sort_by_key(|(depth, _)| Reverse(*depth));
    let overlapping = deep.into_iter().find_map(|(_, group)| merge(group, effort));
    overlapping.or_else(|| join(&pieces, &groups))
}

/// The pieces, sorted by their first keys, cut where no piece reaches across.
fn connected(pieces: &[Piece<'_>]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut last: &[u8] = &[];
    for (at, piece) in pieces.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if piece.min_key <= last => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
        last = last.max(piece.max_key);
    }
    groups
}

/// What to merge of pieces that overlap.
fn merge(group: &[Piece<'_>], effort: Effort) -> Option<Vec<u64>> {
    let runs = runs(group);
    let sizes: Vec<u64> = runs.iter().map(|run| run.iter().map(|piece| piece.bytes).sum()).collect();
    let window = window(&sizes, effort)?;
    let chosen: Vec<Piece<'_>> = runs[window].concat();
    // What meets none of the others would only be copied.
    let is_alone = |piece: &&Piece<'_>| chosen.iter().all(|other| other.id == piece.id || !other.overlaps(piece));
    let ids: Vec<u64> = chosen.iter().filter(|piece| !is_alone(piece)).map(|piece| piece.id).collect();
    (ids.len() > 1).then_some(ids)
}

/// The pieces as runs, newest first: pieces that follow each other in age and do not overlap are one.
fn runs<'a>(group: &[Piece<'a>]) -> Vec<Vec<Piece<'a>>> {
    let mut pieces = group.to_vec();
    pieces.sort_unstable_by_key(|piece| Reverse(piece.age));
    let mut runs: Vec<Vec<Piece<'a>>> = Vec::new();
    for piece in pieces {
        match runs.last_mut() {
            Some(run) if !run.iter().any(|other| other.overlaps(&piece)) => run.push(piece),
            _ => runs.push(vec![piece]),
        }
    }
    runs
}

/// Which of the runs to merge, given their sizes, newest first.
fn window(sizes: &[u64], effort: Effort) -> Option<Range<usize>> {
    for start in 0..sizes.len() {
        let (mut sum, mut end) = (sizes[start], start + 1);
        while end < sizes.len()
            && end - start < FAN_IN_MAX
            && sizes[end] <= sum.saturating_mul(effort.growth_percent) / 100
        {
            sum = sum.saturating_add(sizes[end]);
            end += 1;
        }
        if end - start >= effort.depth_min {
            return Some(start..end);
        }
    }
    // Each is much larger than all that are newer.
    (sizes.len() > effort.runs_max).then(|| 0..(sizes.len() - effort.runs_max + 1).min(FAN_IN_MAX))
}

/// Small neighbours that overlap nothing.
fn join(pieces: &[Piece<'_>], groups: &[Range<usize>]) -> Option<Vec<u64>> {
    let is_small = |group: &Range<usize>| group.len() == 1 && pieces[group.start].bytes < SMALL_BYTES;
    let mut start = 0;
    while start < groups.len() {
        let count = groups[start..].iter().take_while(|group| is_small(group)).count();
        let sizes: Vec<u64> = groups[start..start + count].iter().map(|group| pieces[group.start].bytes).collect();
        if let Some(window) = similar(&sizes) {
            let chosen = &groups[start + window.start..start + window.end];
            return Some(chosen.iter().map(|group| pieces[group.start].id).collect());
        }
        start += count + 1;
    }
    None
}

/// Some that follow each other, none of which is as large as all the others together: then each time that something
/// is copied it becomes at least twice as large.
fn similar(sizes: &[u64]) -> Option<Range<usize>> {
    let fits = |window: &Range<usize>| {
        let sizes = &sizes[window.clone()];
        let (sum, max) = (sizes.iter().sum::<u64>(), sizes.iter().copied().max().unwrap_or_default());
        max <= sum - max
    };
    let most = 0..sizes.len();
    if most.len() < SMALL_COUNT_MIN {
        return None;
    }
    if fits(&most) {
        return Some(most);
    }
    (0..=sizes.len() - SMALL_COUNT_MIN).map(|start| start..start + SMALL_COUNT_MIN).find(fits)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// A segment with the number of its commit, its keys and its size in MiB.
    #[derive(Clone, Debug)]
    struct Sample {
        seq: u64,
        min_key: Vec<u8>,
        max_key: Vec<u8>,
        mib: u64,
    }

    fn sample(seq: u64, min: u8, max: u8, mib: u64) -> Sample {
        Sample { seq, min_key: vec![min], max_key: vec![max], mib }
    }

    fn pieces(samples: &[Sample]) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        for (id, Sample { seq, min_key, max_key, mib }) in (1..).zip(samples) {
            pieces.push(Piece { id, age: (*seq, 0, id), bytes: mib << 20, min_key, max_key });
        }
        pieces
    }

    /// The chosen segments, by their places in `samples` from 1.
    #[track_caller]
    fn check(samples: &[Sample], effort: Effort, expected: Option<&[u64]>) {
        let mut ids = plan(pieces(samples), effort);
        ids.iter_mut().for_each(|ids| ids.sort_unstable());
        assert_eq!(ids.as_deref(), expected);
    }

    #[test]
    fn what_does_not_overlap_is_left_alone() {
        let samples: Vec<Sample> = (0..100).map(|n| sample(n, n as u8 * 2, n as u8 * 2 + 1, 64)).collect();
        check(&samples, Effort::IDLE, None);
        assert_eq!(depth(&pieces(&samples)), 1);
        check(&[], Effort::IDLE, None);
    }

    #[test]
    fn flushes_over_all_keys_are_merged_when_there_are_four() {
        let flush = |seq| sample(seq, 0, 255, 64);
        check(&[flush(1), flush(2), flush(3)], Effort::BUSY, None);
        check(&[flush(1), flush(2), flush(3), flush(4)], Effort::BUSY, Some(&[1, 2, 3, 4]));
        check(&[flush(1), flush(2)], Effort::IDLE, Some(&[1, 2]));
    }

    #[test]
    fn what_is_much_larger_waits() {
        let base = sample(1, 0, 255, 10_000);
        let flush = |seq| sample(seq, 0, 255, 64);
        let samples = [base, flush(2), flush(3), flush(4), flush(5)];
        check(&samples, Effort::BUSY, Some(&[2, 3, 4, 5]));
        check(&samples[..4], Effort::BUSY, None);
        check(&samples[..2], Effort::IDLE, None);
    }

    #[test]
    fn a_run_of_several_pieces_counts_as_one() {
        // One large merge in four pieces, and three flushes that lie across all of them.
        let mut samples: Vec<Sample> = (0..4).map(|n| sample(9, n * 64, n * 64 + 63, 200)).collect();
        samples.extend((10..13).map(|seq| sample(seq, 0, 255, 64)));
        assert_eq!(depth(&pieces(&samples)), 4);
        check(&samples, Effort::BUSY, None);
        samples.push(sample(13, 0, 255, 64));
        check(&samples, Effort::BUSY, Some(&[5, 6, 7, 8]));
    }

    #[test]
    fn a_piece_that_meets_nothing_of_what_is_merged_is_not_copied() {
        // The second piece of the oldest run is held by a large one only.
        let samples = [
            sample(1, 0, 255, 10_000),
            sample(2, 0, 10, 64),
            sample(2, 200, 210, 64),
            sample(3, 0, 10, 64),
            sample(4, 0, 10, 64),
            sample(5, 0, 10, 64),
        ];
        check(&samples, Effort::BUSY, Some(&[2, 4, 5, 6]));
    }

    #[test]
    fn too_many_runs_are_merged_whatever_their_sizes() {
        let samples: Vec<Sample> = (0..12).map(|n| sample(100 - n, 0, 255, 4u64.pow(n as u32))).collect();
        check(&samples[..10], Effort::BUSY, None);
        check(&samples[..11], Effort::BUSY, Some(&[1, 2]));
        check(&samples, Effort::BUSY, Some(&[1, 2, 3]));
    }

    #[test]
    fn small_neighbours_are_joined() {
        let mut samples: Vec<Sample> = (0..8).map(|n| sample(n, n as u8 * 2, n as u8 * 2 + 1, 1)).collect();
        check(&samples[..7], Effort::BUSY, None);
        check(&samples, Effort::BUSY, Some(&[1, 2, 3, 4, 5, 6, 7, 8]));
        // A large one between them, and then one that is much larger than the others.
        samples[4].mib = 64;
        check(&samples, Effort::BUSY, None);
        samples[4].mib = 1;
        samples[0].mib = 8;
        check(&samples, Effort::BUSY, None);
    }

    #[test]
    fn all_that_is_written_is_written_again_a_few_times_only() {
        // The newest first, as sizes; every flush is of one unit, and merges happen as soon as they are planned.
        let (mut runs, mut written, mut next) = (BTreeMap::<u64, u64>::new(), 0, 1);
        let mut depth_max = 0;
        for _ in 0..1000 {
            runs.insert(next, 64);
            next += 1;
            loop {
                let samples: Vec<Sample> = runs.iter().map(|(seq, mib)| sample(*seq, 0, 255, *mib)).collect();
                let seqs: Vec<u64> = runs.keys().copied().collect();
                let Some(ids) = plan(pieces(&samples), Effort::BUSY) else { break };
                let merged: Vec<u64> = ids.iter().map(|id| seqs[*id as usize - 1]).collect();
                let size: u64 = merged.iter().filter_map(|seq| runs.remove(seq)).sum();
                written += size;
                runs.insert(*merged.iter().max().unwrap(), size);
            }
            depth_max = depth_max.max(runs.len());
        }
        assert!(depth_max <= Effort::BUSY.runs_max, "{depth_max}");
        assert!(written <= 6 * 64 * 1000, "{written}");
    }

    proptest! {
        #[test]
        fn plans_are_sound(
            samples in prop::collection::vec((0u64..20, 0u8..40, 0u8..40, 1u64..100), 0..25),
            is_idle in any::<bool>(),
        ) {
            let samples: Vec<Sample> =
                samples.into_iter().map(|(seq, a, b, mib)| sample(seq, a.min(b), a.max(b), mib)).collect();
            let pieces = pieces(&samples);
            let deepest = (0..40u8)
                .map(|key| samples.iter().filter(|s| s.min_key[0] <= key && key <= s.max_key[0]).count())
                .max();
            prop_assert_eq!(Some(depth(&pieces)), deepest);
            let Some(ids) = plan(pieces.clone(), if is_idle { Effort::IDLE } else { Effort::BUSY }) else {
                return Ok(());
            };
            let chosen: BTreeSet<u64> = ids.iter().copied().collect();
            prop_assert!(ids.len() == chosen.len() && ids.len() > 1, "{:?}", ids);
            // A segment that overlaps one of those that are merged is newer than all of them, or older. So no row is
            // lifted above a newer one.
            let (inside, outside): (Vec<Piece<'_>>, Vec<Piece<'_>>) =
                pieces.into_iter().partition(|piece| chosen.contains(&piece.id));
            for other in outside.iter().filter(|other| inside.iter().any(|piece| piece.overlaps(other))) {
                let is_newest = inside.iter().all(|piece| piece.age < other.age);
                let is_oldest = inside.iter().all(|piece| piece.age > other.age);
                prop_assert!(is_newest || is_oldest, "{:?} between {:?}", other, inside);
            }
        }
    }
}
