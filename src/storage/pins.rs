//! Which snapshots are open.
//!
//! The sequencer forgets what was written before the oldest of them. Files need no entry here: a segment is deleted
//! when nobody holds it any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The open snapshots of a store.
#[derive(Debug, Default)]
pub struct Pins {
    /// How many there are, by the newest commit that they see.
    open: Mutex<BTreeMap<u64, u64>>,
}

impl Pins {
    /// Registers a snapshot of all commits up to `seq`. The caller makes sure that nobody prunes past it meanwhile.
    pub fn pin(self: &Arc<Self>, seq: u64) -> Arc<Pin> {
        *self.open.lock().entry(seq).or_default() += 1;
        Arc::new(Pin { pins: Arc::clone(self), seq })
    }

    /// The newest commit that the oldest open snapshot sees.
    pub fn oldest(&self) -> Option<u64> {
        self.open.lock().keys().next().copied()
    }

    /// How many snapshots are open.
    pub fn count(&self) -> u64 {
        self.open.lock().values().sum()
    }
}

/// The registration of an open snapshot, which ends when this is dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    seq: u64,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut open = self.pins.open.lock();
        if let Some(count) = open.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.seq);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_open_until_its_last_copy_is_dropped() {
        let pins = Arc::new(Pins::default());
        assert_eq!(pins.oldest(), None);
        let (first, second, third) = (pins.pin(5), pins.pin(7), pins.pin(5));
        let copy = Arc::clone(&first);
        assert_eq!((pins.oldest(), pins.count()), (Some(5), 3));
        drop(first);
        drop(third);
        assert_eq!((pins.oldest(), pins.count()), (Some(5), 2));
        drop(copy);
        assert_eq!((pins.oldest(), pins.count()), (Some(7), 1));
        drop(second);
        assert_eq!((pins.oldest(), pins.count()), (None, 0));
    }
}
