//! What was computed where, counted in pieces: a piece is what a device computes in one go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::placement::Why;

/// Counts what one device computes, for as long as a host runs.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pieces: AtomicU64,
    nanos: AtomicU64,
}

/// What a device has computed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    pub pieces: u64,
    /// The sum over all threads, with what it takes to bring elements there and back.
    pub time: Duration,
}

impl Counts {
    /// Counts a piece.
    pub fn add(&self, time: Duration) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn usage(&self) -> Usage {
        let [pieces, nanos] = [&self.pieces, &self.nanos].map(|count| count.load(Ordering::Relaxed));
        Usage { pieces, time: Duration::from_nanos(nanos) }
    }
}

/// Why the pieces of one evaluation were computed where they were.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Vec<(Why, u64)>>);

impl Tally {
    /// Counts a piece.
    pub(super) fn add(&self, why: Why) {
        let mut counts = self.0.lock();
        // There are few reasons, as there are few functions.
        match counts.iter_mut().find(|(known, _)| *known == why) {
            Some((_, pieces)) => *pieces += 1,
            None => counts.push((why, 1)),
        }
    }

    /// The reasons, with the number of pieces of each, in the order in which they came up.
    pub(super) fn counts(&self) -> Vec<(Why, u64)> {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_counted_by_their_reasons() {
        let tally = Tally::default();
        [Why::Faster, Why::Alone, Why::Faster].into_iter().for_each(|why| tally.add(why));
        assert_eq!(tally.counts(), [(Why::Faster, 2), (Why::Alone, 1)]);
    }

    #[test]
    fn times_add_up() {
        let counts = Counts::default();
        [3, 4].into_iter().for_each(|millis| counts.add(Duration::from_millis(millis)));
        assert_eq!(counts.usage(), Usage { pieces: 2, time: Duration::from_millis(7) });
    }
}
