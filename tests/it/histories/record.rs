//! What is known of a history: what each transaction saw and did, and what there was in the end.
//!
//! Transactions append to *lists*, whose content tells in which order they did, and insert into *sets*, which say
//! nothing of order but can be searched by ranges and indexes. Every element is written once in a history, so it
//! tells who wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Which table a set is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Place {
    /// The key of a row is the group, then the element: a set is a range of keys. There are no indexes, so inserting
    /// reads nothing.
    Ordered,
    /// The key of a row is the element: a set is a range of an index.
    Tagged,
}

/// The elements of one group.
pub type Set = (Place, u64);

/// One step of a transaction.
#[derive(Clone, Debug)]
pub enum Event {
    Read {
        list: u64,
        seen: Vec<u64>,
    },
    /// Follows a read of the same list.
    Append {
        list: u64,
        element: u64,
    },
    Insert {
        set: Set,
        element: u64,
    },
    /// A search that finds all elements of the set that are `within` this range.
    Look {
        set: Set,
        within: RangeInclusive<u64>,
        seen: BTreeSet<u64>,
    },
    /// The number of elements of all sets at a place.
    Count {
        place: Place,
        seen: u64,
    },
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was committed, with this number if it wrote anything.
    Committed(Option<u64>),
    /// It was refused. What it saw must have been consistent all the same.
    Refused,
}

/// A transaction of a history.
#[derive(Clone, Debug)]
pub struct Record {
    pub events: Vec<Event>,
    pub outcome: Outcome,
    /// Before its first step, and after its outcome was known, on one clock that never shows a time twice.
    pub began: u64,
    pub ended: u64,
}

/// A history.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub records: Vec<Record>,
    /// What there was in the end.
    pub lists: BTreeMap<u64, Vec<u64>>,
    pub sets: BTreeMap<Set, BTreeSet<u64>>,
}

impl Record {
    pub fn is_committed(&self) -> bool {
        self.outcome != Outcome::Refused
    }

    /// The elements that this appended to a list, in order.
    pub fn appended(&self, to: u64) -> impl Iterator<Item = u64> {
        self.events.iter().filter_map(move |event| match event {
            Event::Append { list, element } if *list == to => Some(*element),
            _ => None,
        })
    }
}
