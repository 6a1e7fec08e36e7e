//! The order in which rows are learned from.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// Rows in an order that is new in each epoch, if they are shuffled.
///
/// What does not fit in memory is read in *windows* of rows that follow each other. These come in any order, and so do the rows of
/// each; where one window is enough, that is any order of all rows.
pub(super) struct Order {
    rows: u64,
    /// Rows of a batch.
    batch: usize,
    /// Rows of a window, the last of which may have fewer.
    window: u64,
    shuffle: Option<StdRng>,
    /// The windows that are left in this epoch, the next one at the end.
    windows: Vec<u64>,
    /// The window that is being gone through.
    current: Range<u64>,
    /// The rows of that, counted from its first, and how many of them are done.
    picked: Vec<u32>,
    done: usize,
}

impl Order {
    /// An order of `rows`, of which about `window` are in memory together; with a generator they are shuffled.
    pub fn new(rows: u64, batch: usize, window: u64, shuffle: Option<StdRng>) -> Self {
        let batch_rows = batch as u64;
        // Whole batches, so that only the last one of a window can have fewer rows if it is the last of all.
        let window = (window.min(u64::from(u32::MAX)) / batch_rows).max(1) * batch_rows;
        Self { rows, batch, window, shuffle, windows: vec![], current: 0..0, picked: vec![], done: 0 }
    }

    /// Begins an epoch.
    pub fn begin(&mut self) {
        self.windows = (0..self.rows.div_ceil(self.window)).rev().collect();
        if let Some(rng) = &mut self.shuffle {
            self.windows.shuffle(rng);
        }
        (self.picked, self.done) = (vec![], 0);
    }

    /// The window that the next batch is in, and its rows there; nothing at the end of the epoch.
    pub fn next(&mut self) -> Option<(Range<u64>, Vec<u32>)> {
        if self.done == self.picked.len() {
            let first = self.windows.pop()? * self.window;
            self.current = first..(first + self.window).min(self.rows);
            let rows = self.current.end - self.current.start;
            self.picked = (0..).take(rows as usize).collect();
            if let Some(rng) = &mut self.shuffle {
                self.picked.shuffle(rng);
            }
            self.done = 0;
        }
        let start = self.done;
        self.done = (start + self.batch).min(self.picked.len());
        Some((self.current.clone(), self.picked[start..self.done].to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::generator;
    use super::*;

    /// The rows of each batch of an epoch.
    fn epoch(order: &mut Order) -> Vec<Vec<u64>> {
        order.begin();
        let mut batches = Vec::new();
        while let Some((window, rows)) = order.next() {
            batches.push(rows.iter().map(|row| window.start + u64::from(*row)).collect());
        }
        batches
    }

    fn sorted(batches: &[Vec<u64>]) -> Vec<u64> {
        let mut rows = batches.concat();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn rows_keep_their_order_unless_they_are_shuffled() {
        let mut order = Order::new(7, 2, 5, None);
        let expected = [vec![0, 1], vec![2, 3], vec![4, 5], vec![6]];
        assert_eq!(epoch(&mut order), expected);
        assert_eq!(epoch(&mut order), expected);
    }

    #[test]
    fn every_row_comes_once_in_an_epoch() {
        for (rows, batch, window) in [(10, 3, 100), (10, 3, 4), (10, 10, 1), (1, 1, 1), (100, 7, 20)] {
            let mut order = Order::new(rows, batch, window, Some(generator(1, 0)));
            for _ in 0..3 {
                let batches = epoch(&mut order);
                assert_eq!(sorted(&batches), (0..rows).collect::<Vec<_>>());
                assert!(batches.iter().all(|rows| (1..=batch).contains(&rows.len())));
                assert_eq!(batches.len() as u64, rows.div_ceil(batch as u64));
            }
        }
    }

    #[test]
    fn orders_are_new_each_time_and_the_same_with_the_same_seed() {
        let orders = |seed| {
            let mut order = Order::new(50, 5, 20, Some(generator(seed, 0)));
            (epoch(&mut order), epoch(&mut order))
        };
        let (first, second) = orders(3);
        assert_ne!(first, second);
        assert_eq!(orders(3), (first.clone(), second));
        assert_ne!(orders(4).0, first);
    }
}
