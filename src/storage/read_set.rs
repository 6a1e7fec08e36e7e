//! What a transaction has read: ranges of keys, tree by tree.
//!
//! The sequencer refuses a transaction if a later commit wrote inside one of its ranges. So a set may claim more than
//! was read, at the price of conflicts that are none, but never less. That is how it stays small: when it has too many
//! ranges, neighbours become one range with everything between them.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::codec::key::KeyRange;
use crate::value::TreeId;

/// Ranges of one tree. A transaction that reads this many rows by their keys has read a good part of its table.
const SPANS_MAX: usize = 16 << 10;
/// Bytes of the keys that bound the ranges of one tree.
const BYTES_MAX: usize = 4 << 20;

/// The ranges of keys that a transaction has read.
#[derive(Clone, Debug, Default)]
pub struct ReadSet {
    trees: BTreeMap<TreeId, Spans>,
}

impl ReadSet {
    /// Adds one key, whether there was a row or not.
    pub fn add_point(&mut self, tree: TreeId, key: &[u8]) {
        self.trees.entry(tree).or_default().add(key.to_vec(), Some(successor(key)));
    }

    /// Adds all keys of `range`.
    pub fn add_range(&mut self, tree: TreeId, range: &KeyRange) {
        let (start, end) = half_open(range);
        self.trees.entry(tree).or_default().add(start, end);
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &ReadSet) {
        for (tree, spans) in &other.trees {
            let mine = self.trees.entry(*tree).or_default();
            for (start, end) in &spans.spans {
                mine.add(start.clone(), end.clone());
            }
        }
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.trees.values().all(|spans| spans.spans.is_empty())
    }

    /// The bytes that the set takes, roughly.
    pub fn bytes(&self) -> usize {
        self.trees.values().map(|spans| spans.bytes + spans.spans.len() * size_of::<(Vec<u8>, Option<Vec<u8>>)>()).sum()
    }

    /// Whether `key` counts as read.
    pub fn contains(&self, tree: TreeId, key: &[u8]) -> bool {
        self.trees.get(&tree).is_some_and(|spans| spans.contains(key))
    }

    /// The ranges, disjoint and in order in each tree.
    pub fn ranges(&self) -> impl Iterator<Item = (TreeId, KeyRange)> {
        self.trees.iter().flat_map(|(tree, spans)| spans.iter().map(|span| (*tree, span.to_range())))
    }

    /// The spans of each tree.
    pub(super) fn trees(&self) -> impl Iterator<Item = (TreeId, &Spans)> {
        self.trees.iter().map(|(tree, spans)| (*tree, spans))
    }
}

/// Disjoint spans of one tree that do not touch.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans {
    /// The end of each, not included, by its start, included; none for a span without end.
    spans: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Of all starts and ends.
    bytes: usize,
}

/// The keys from `start` on that are before `end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    pub(super) start: &'a [u8],
    /// None: all from `start` on.
    pub(super) end: Option<&'a [u8]>,
}

impl Span<'_> {
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.start <= key && self.end.is_none_or(|end| key < end)
    }

    fn to_range(self) -> KeyRange {
        let end = match self.end {
            None => Bound::Unbounded,
            // The one key of a point reads better than a range that holds only it.
            Some(end) if end == successor(self.start) => Bound::Included(self.start.to_vec()),
            Some(end) => Bound::Excluded(end.to_vec()),
        };
        KeyRange { start: Bound::Included(self.start.to_vec()), end }
    }
}

impl Spans {
    /// How many spans there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The spans in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Span<'_>> {
        self.spans.iter().map(|(start, end)| Span { start, end: end.as_deref() })
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let before = self.spans.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        before.is_some_and(|(start, end)| Span { start, end: end.as_deref() }.contains(key))
    }

    /// Whether some key is in both this and `range`.
    pub(super) fn overlaps(&self, range: &KeyRange) -> bool {
        let (start, end) = half_open(range);
        if end.as_ref().is_some_and(|end| *end <= start) {
            return false;
        }
        let last = match &end {
            None => self.spans.iter().next_back(),
            Some(end) => self.spans.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(end.as_slice()))).next_back(),
        };
        // Of the spans that begin before the range ends, the last one also ends last.
        last.is_some_and(|(_, end)| end.as_ref().is_none_or(|end| *end > start))
    }

    fn add(&mut self, mut start: Vec<u8>, mut end: Option<Vec<u8>>) {
        if end.as_ref().is_some_and(|end| *end <= start) {
            return;
        }
        let before = self.spans.range::<[u8], _>((Bound::Unbounded, Bound::Included(start.as_slice()))).next_back();
        if let Some((first, last)) = before
            && last.as_ref().is_none_or(|last| *last >= start)
        {
            if is_before_or_at(end.as_deref(), last.as_deref()) {
                return;
            }
            start = first.clone();
            self.remove(&start);
        }
        while let Some(next) = self.first_within(&start, end.as_deref()) {
            let last = self.remove(&next);
            if is_before_or_at(end.as_deref(), last.as_deref()) {
                end = last;
            }
        }
        self.insert(start, end);
        if self.spans.len() > SPANS_MAX || self.bytes > BYTES_MAX {
            self.coarsen();
        }
    }

    /// The start of the first span that begins between `start` and `end`, both included.
    fn first_within(&self, start: &[u8], end: Option<&[u8]>) -> Option<Vec<u8>> {
        let upper = end.map_or(Bound::Unbounded, Bound::Included);
        self.spans.range::<[u8], _>((Bound::Included(start), upper)).next().map(|(start, _)| start.clone())
    }

    fn insert(&mut self, start: Vec<u8>, end: Option<Vec<u8>>) {
        self.bytes += start.len() + end.as_ref().map_or(0, Vec::len);
        self.spans.insert(start, end);
    }

    fn remove(&mut self, start: &[u8]) -> Option<Vec<u8>> {
        let end = self.spans.remove(start)?;
        self.bytes -= start.len() + end.as_ref().map_or(0, Vec::len);
        end
    }

    /// Makes one span of every two neighbours, until there is room for as many again.
    fn coarsen(&mut self) {
        while self.spans.len() > 1 && (self.spans.len() > SPANS_MAX / 2 || self.bytes > BYTES_MAX / 2) {
            self.bytes = 0;
            let mut spans = std::mem::take(&mut self.spans).into_iter();
            while let Some((start, end)) = spans.next() {
                let end = spans.next().map_or(end, |(_, end)| end);
                self.insert(start, end);
            }
        }
    }
}

/// Whether a span that ends at `l` ends no later than one that ends at `r`.
fn is_before_or_at(l: Option<&[u8]>, r: Option<&[u8]>) -> bool {
    match (l, r) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(l), Some(r)) => l <= r,
    }
}

/// The smallest byte string above `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// The start, included, and the end, not included, of the keys of `range`.
fn half_open(range: &KeyRange) -> (Vec<u8>, Option<Vec<u8>>) {
    let start = match &range.start {
        Bound::Unbounded => vec![],
        Bound::Included(key) => key.clone(),
        Bound::Excluded(key) => successor(key),
    };
    let end = match &range.end {
        Bound::Unbounded => None,
        Bound::Included(key) => Some(successor(key)),
        Bound::Excluded(key) => Some(key.clone()),
    };
    (start, end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TREE: TreeId = TreeId(1);

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0u8..4, 0..3)
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![
            1 => Just(Bound::Unbounded),
            4 => key().prop_map(Bound::Included),
            4 => key().prop_map(Bound::Excluded),
        ]
    }

    fn range() -> impl Strategy<Value = KeyRange> {
        (bound(), bound()).prop_map(|(start, end)| KeyRange { start, end })
    }

    fn holds(range: &KeyRange, key: &[u8]) -> bool {
        let above = match &range.start {
            Bound::Unbounded => true,
            Bound::Included(start) => start.as_slice() <= key,
            Bound::Excluded(start) => start.as_slice() < key,
        };
        let below = match &range.end {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= end.as_slice(),
            Bound::Excluded(end) => key < end.as_slice(),
        };
        above && below
    }

    /// All keys of at most three bytes below 4, and some of four.
    fn keys() -> Vec<Vec<u8>> {
        let mut keys = vec![vec![]];
        for length in 0..3 {
            let longer: Vec<Vec<u8>> = keys
                .iter()
                .filter(|key| key.len() == length)
                .flat_map(|key| (0..4).map(move |byte| [key.as_slice(), &[byte]].concat()))
                .collect();
            keys.extend(longer);
        }
        keys
    }

    proptest! {
        #[test]
        fn a_set_holds_exactly_what_was_added(ranges in prop::collection::vec(range(), 0..8), probe in range()) {
            let mut set = ReadSet::default();
            for range in &ranges {
                set.add_range(TREE, range);
            }
            for key in keys() {
                let expected = ranges.iter().any(|range| holds(range, &key));
                prop_assert_eq!(set.contains(TREE, &key), expected, "{:?}", key);
            }
            let spans: Vec<(Vec<u8>, Option<Vec<u8>>)> = set.ranges().map(|(_, range)| half_open(&range)).collect();
            for pair in spans.windows(2) {
                prop_assert!(pair[0].1.as_ref().is_some_and(|end| *end < pair[1].0), "{:?}", spans);
            }
            // Byte strings are dense enough that keys of three bytes tell whether two such ranges meet.
            let meets = keys().iter().any(|key| holds(&probe, key) && set.contains(TREE, key));
            let overlaps = set.trees().any(|(_, spans)| spans.overlaps(&probe));
            prop_assert_eq!(overlaps, meets);
        }
    }

    #[test]
    fn points_are_points_and_neighbours_join() {
        let mut set = ReadSet::default();
        assert!(set.is_empty());
        set.add_point(TREE, b"b");
        set.add_point(TREE, b"d");
        assert!(set.contains(TREE, b"b") && !set.contains(TREE, b"c") && !set.contains(TreeId(2), b"b"));
        let ranges: Vec<KeyRange> = set.ranges().map(|(_, range)| range).collect();
        assert_eq!(ranges[0].start, Bound::Included(b"b".to_vec()));
        assert_eq!(ranges[0].end, Bound::Included(b"b".to_vec()));
        set.add_range(TREE, &KeyRange { start: Bound::Included(b"b".to_vec()), end: Bound::Excluded(b"d".to_vec()) });
        assert_eq!(set.ranges().count(), 1);
    }

    #[test]
    fn a_set_that_is_full_claims_more_and_never_less() {
        let mut set = ReadSet::default();
        let key = |number: usize| (number as u64 * 2).to_be_bytes();
        for number in 0..10 * SPANS_MAX {
            set.add_point(TREE, &key(number));
        }
        assert!(set.ranges().count() <= SPANS_MAX);
        assert!((0..10 * SPANS_MAX).all(|number| set.contains(TREE, &key(number))));
        assert!(!set.contains(TREE, &key(20 * SPANS_MAX)));

        let long = |number: u64| [number.to_be_bytes().as_slice(), &[7; 64 << 10]].concat();
        let mut set = ReadSet::default();
        for number in 0..100 {
            set.add_point(TREE, &long(number));
        }
        assert!(set.bytes() <= 2 * BYTES_MAX, "{}", set.bytes());
        assert!((0..100).all(|number| set.contains(TREE, &long(number))));
    }

    #[test]
    fn sets_are_merged() {
        let (mut l, mut r) = (ReadSet::default(), ReadSet::default());
        l.add_point(TREE, b"a");
        r.add_point(TREE, b"b");
        r.add_point(TreeId(2), b"c");
        l.merge(&r);
        assert!(l.contains(TREE, b"a") && l.contains(TREE, b"b") && l.contains(TreeId(2), b"c"));
    }
}
