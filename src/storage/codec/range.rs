//! Ranges of keys.

use std::ops::Bound;

use super::key::{PRESENT, encode_cell, encode_key};
use crate::error::{Error, Result};
use crate::value::State;
use crate::value::collection::Bound as CellBound;
use crate::value::schema::Column;

/// The smallest byte string that is greater than all that start with `prefix`; none if there is no such.
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut successor = prefix[..=last].to_vec();
    successor[last] += 1;
    Some(successor)
}

/// The keys between two bounds.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct KeyRange {
    pub start: Bound<Vec<u8>>,
    pub end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// No key.
    pub fn empty() -> Self {
        Self { start: Bound::Included(vec![]), end: Bound::Excluded(vec![]) }
    }

    /// One key.
    pub fn point(key: impl Into<Vec<u8>>) -> Self {
        let key = key.into();
        Self { start: Bound::Included(key.clone()), end: Bound::Included(key) }
    }

    /// The keys that start with `prefix`.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let prefix = prefix.into();
        Self { end: successor(&prefix).map_or(Bound::Unbounded, Bound::Excluded), start: Bound::Included(prefix) }
    }

    /// Whether `key` is in this range.
    pub fn contains(&self, key: &[u8]) -> bool {
        !self.is_after(key) && !self.is_before(key)
    }

    /// Whether this whole range comes after `key`.
    pub fn is_after(&self, key: &[u8]) -> bool {
        match &self.start {
            Bound::Unbounded => false,
            Bound::Included(start) => key < start.as_slice(),
            Bound::Excluded(start) => key <= start.as_slice(),
        }
    }

    /// Whether this whole range comes before `key`.
    pub fn is_before(&self, key: &[u8]) -> bool {
        match &self.end {
            Bound::Unbounded => false,
            Bound::Included(end) => end.as_slice() < key,
            Bound::Excluded(end) => end.as_slice() <= key,
        }
    }

    /// Whether any key from `min` to `max`, both included, can be in this range, which is not empty itself.
    pub fn intersects(&self, min: &[u8], max: &[u8]) -> bool {
        !self.is_after(max) && !self.is_before(min)
    }

    /// Whether no key is in this range.
    pub fn is_empty(&self) -> bool {
        are_disjoint(&self.end, &self.start)
    }

    /// Whether any key is in both ranges.
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        !self.is_empty()
            && !other.is_empty()
            && !are_disjoint(&self.end, &other.start)
            && !are_disjoint(&other.end, &self.start)
    }

    /// The keys that are in both ranges.
    pub fn intersection(&self, other: &KeyRange) -> KeyRange {
        let start = if starts_later(&other.start, &self.start) { &other.start } else { &self.start };
        let end = if ends_earlier(&other.end, &self.end) { &other.end } else { &self.end };
        KeyRange { start: start.clone(), end: end.clone() }
    }

    /// The only key that can be in this range, if it was built from one.
    pub fn as_point(&self) -> Option<&[u8]> {
        match (&self.start, &self.end) {
            (Bound::Included(start), Bound::Included(end)) if start == end => Some(start.as_slice()),
            _ => None,
        }
    }
}

/// The keys whose first cells are `prefix`, and whose next cell is within `last`.
///
/// A range that is bounded on either side has no None in it, unless the bound itself is None.
///
/// # Errors
/// `Internal` if a cell does not belong in its column, or if there are too few columns.
pub fn range(columns: &[&Column], prefix: &[State], last: Option<(&CellBound, &CellBound)>) -> Result<KeyRange> {
    let prefix_bytes = encode_key(columns.iter().copied(), prefix)?;
    let Some((start, end)) = last else { return Ok(KeyRange::prefix(prefix_bytes)) };
    let column = *columns.get(prefix.len()).ok_or_else(|| Error::internal("a range has more cells than columns"))?;
    if (start, end) == (&CellBound::Open, &CellBound::Open) {
        return Ok(KeyRange::prefix(prefix_bytes));
    }
    let with = |cell: &State| {
        let mut bytes = prefix_bytes.clone();
        encode_cell(column, cell, &mut bytes).map(|()| bytes)
    };
    let start = match start {
        CellBound::Open if column.nullable => Bound::Included([&prefix_bytes[..], &[PRESENT]].concat()),
        CellBound::Open => Bound::Included(prefix_bytes.clone()),
        CellBound::Inclusive(cell) => Bound::Included(with(cell)?),
        CellBound::Exclusive(cell) => match successor(&with(cell)?) {
            Some(start) => Bound::Included(start),
            None => return Ok(KeyRange::empty()),
        },
    };
    let after = |bytes: &[u8]| successor(bytes).map_or(Bound::Unbounded, Bound::Excluded);
    let end = match end {
        CellBound::Open => after(&prefix_bytes),
        CellBound::Inclusive(cell) => after(&with(cell)?),
        CellBound::Exclusive(cell) => Bound::Excluded(with(cell)?),
    };
    Ok(KeyRange { start, end })
}

/// Whether what ends at `end` has no key that what starts at `start` has.
fn are_disjoint(end: &Bound<Vec<u8>>, start: &Bound<Vec<u8>>) -> bool {
    match (start, end) {
        (Bound::Unbounded, Bound::Excluded(end)) => end.is_empty(),
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start), Bound::Excluded(end)) => start >= end,
        (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        // The first key after `start` is `start` with a zero byte.
        (Bound::Excluded(start), Bound::Excluded(end)) => {
            start >= end || end.strip_prefix(&start[..]) == Some(&[0][..])
        }
    }
}

fn starts_later(l: &Bound<Vec<u8>>, r: &Bound<Vec<u8>>) -> bool {
    match (l, r) {
        (Bound::Unbounded, _) => false,
        (_, Bound::Unbounded) => true,
        (Bound::Excluded(l), Bound::Included(r)) => l >= r,
        (Bound::Included(l) | Bound::Excluded(l), Bound::Included(r) | Bound::Excluded(r)) => l > r,
    }
}

fn ends_earlier(l: &Bound<Vec<u8>>, r: &Bound<Vec<u8>>) -> bool {
    match (l, r) {
        (Bound::Unbounded, _) => false,
        (_, Bound::Unbounded) => true,
        (Bound::Excluded(l), Bound::Included(r)) => l <= r,
        (Bound::Included(l) | Bound::Excluded(l), Bound::Included(r) | Bound::Excluded(r)) => l < r,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::codec::sample::{any_column, cell_of, column, nullable};
    use crate::value::NumberClass;
    use crate::value::sample::string;
    use crate::value::schema::ColumnType;

    #[test]
    fn a_successor_is_above_all_with_the_prefix() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(&[255]), None);
        assert_eq!(successor(&[]), None);
    }

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        let key = |key: &str| key.as_bytes().to_vec();
        let low = KeyRange { start: Bound::Unbounded, end: Bound::Excluded(key("b")) };
        let high = KeyRange { start: Bound::Included(key("b")), end: Bound::Unbounded };
        assert!(!low.overlaps(&high) && !high.overlaps(&low));
        assert!(low.intersection(&high).is_empty());
        assert!(high.overlaps(&KeyRange::point("b")) && !low.overlaps(&KeyRange::point("b")));
        assert!(KeyRange::all().overlaps(&low) && !KeyRange::empty().overlaps(&KeyRange::all()));
        assert!(low.intersects(b"a", b"a") && !low.intersects(b"b", b"c"));
        assert_eq!(KeyRange::point("b").as_point(), Some(&b"b"[..]));
        let between = KeyRange { start: Bound::Excluded(key("a")), end: Bound::Excluded(key("a\0")) };
        assert!(between.is_empty());
    }

    #[test]
    fn none_is_only_in_ranges_that_name_it() {
        let (int, text) = (column("n", ColumnType::Number(NumberClass::U8)), nullable("s", ColumnType::String));
        let columns = [&int, &text];
        let one = State::from(crate::value::Number::U8(1));
        let none = encode_key(columns, &[one.clone(), State::NONE]).unwrap();
        let (open, bound) = (CellBound::Open, CellBound::Inclusive(string("a")));
        let at = |last| range(&columns, std::slice::from_ref(&one), last).unwrap();
        assert!(at(None).contains(&none));
        assert!(at(Some((&open, &open))).contains(&none));
        assert!(!at(Some((&open, &bound))).contains(&none));
        assert!(!at(Some((&bound, &open))).contains(&none));
        let from_none = CellBound::Inclusive(State::NONE);
        assert!(at(Some((&from_none, &bound))).contains(&none));
        assert!(at(Some((&open, &from_none))).is_empty());
    }

    fn bound(bytes: Vec<u8>, kind: u8) -> Bound<Vec<u8>> {
        match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(bytes),
            _ => Bound::Excluded(bytes),
        }
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0u8..2, 0..4)
    }

    fn any_range() -> impl Strategy<Value = KeyRange> {
        (any_bytes(), 0u8..3, any_bytes(), 0u8..3).prop_map(|(start, start_kind, end, end_kind)| KeyRange {
            start: bound(start, start_kind),
            end: bound(end, end_kind),
        })
    }

    proptest! {
        #[test]
        fn a_key_in_both_ranges_is_in_their_intersection(l in any_range(), r in any_range(), key in any_bytes()) {
            let is_in_both = l.contains(&key) && r.contains(&key);
            prop_assert_eq!(l.intersection(&r).contains(&key), is_in_both);
            if is_in_both {
                prop_assert!(l.overlaps(&r) && r.overlaps(&l));
            }
            prop_assert_eq!(l.intersects(&key, &key), l.contains(&key));
            prop_assert!(!(l.is_empty() && l.contains(&key)));
        }

        #[test]
        fn a_prefix_range_has_the_keys_with_the_prefix(prefix in any_bytes(), key in any_bytes()) {
            prop_assert_eq!(KeyRange::prefix(prefix.clone()).contains(&key), key.starts_with(&prefix));
        }

        #[test]
        fn a_range_of_cells_has_the_keys_of_those_cells(
            (column, cells) in any_column().prop_flat_map(|column| {
                let cells = [cell_of(&column), cell_of(&column), cell_of(&column)];
                (Just(column), cells)
            }),
            is_start_inclusive: bool,
            is_end_inclusive: bool,
        ) {
            let [start, end, cell] = cells;
            prop_assume!(![&start, &end, &cell].contains(&&State::NONE));
            let key = |cell: &State| encode_key([&column], std::slice::from_ref(cell)).unwrap();
            let bound = |cell: &State, is_inclusive| {
                if is_inclusive { CellBound::Inclusive(cell.clone()) } else { CellBound::Exclusive(cell.clone()) }
            };
            let range = range(
                &[&column],
                &[],
                Some((&bound(&start, is_start_inclusive), &bound(&end, is_end_inclusive))),
            ).unwrap();
            let (start, end, cell) = (key(&start), key(&end), key(&cell));
            let is_after_start = if is_start_inclusive { start <= cell } else { start < cell };
            let is_before_end = if is_end_inclusive { cell <= end } else { cell < end };
            prop_assert_eq!(range.contains(&cell), is_after_start && is_before_end);
            let longer = [cell, vec![1, 2]].concat();
            prop_assert_eq!(range.contains(&longer), is_after_start && is_before_end);
        }
    }
}
