//! Time and randomness, injected so that tests can step them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::txn::TxnId;

/// A source of time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// A time that never goes back, for deadlines and durations.
    fn now(&self) -> Instant;
    /// Nanoseconds since the Unix epoch.
    fn unix_nanos(&self) -> u64;
}

/// The clock of the machine.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    fn unix_nanos(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock for tests, whose date stands still until the test moves it. The time of deadlines and durations goes on.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at a time, in nanoseconds since the Unix epoch.
    pub fn at(unix_nanos: u64) -> Self {
        Self(AtomicU64::new(unix_nanos))
    }

    /// Moves the clock to a time, in nanoseconds since the Unix epoch.
    pub fn set(&self, unix_nanos: u64) {
        self.0.store(unix_nanos, Ordering::Relaxed);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        SystemClock.now()
    }

    fn unix_nanos(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// 32 bytes that nobody can guess: a key, or what is hashed with something that must not be found by trying.
#[expect(clippy::disallowed_methods, reason = "this is where secrets come from")]
pub fn secret() -> [u8; 32] {
    rand::random()
}

/// Mints transaction ids: never one timestamp twice, never behind an id that was seen (a hybrid logical clock).
#[derive(Debug)]
pub struct TxnClock {
    last: AtomicU64,
    nonce: u16,
}

impl TxnClock {
    /// A mint whose ids carry `nonce`, which tells this host's ids from those of others.
    pub fn new(nonce: u16) -> Self {
        Self { last: AtomicU64::new(0), nonce }
    }

    /// A new id, later than any minted or seen before.
    pub fn mint(&self, clock: &dyn Clock) -> TxnId {
        let now = clock.unix_nanos();
        let bump = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, bump).unwrap_or(now);
        TxnId { timestamp: now.max(last.saturating_add(1)), nonce: self.nonce }
    }

    /// Notes an id that came from elsewhere.
    pub fn observe(&self, id: TxnId) {
        self.last.fetch_max(id.timestamp, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_though_the_clock_stands_still() {
        let (mint, clock) = (TxnClock::new(7), ManualClock::at(1000));
        assert_eq!(mint.mint(&clock).timestamp, 1000);
        assert_eq!(mint.mint(&clock).timestamp, 1001);
        mint.observe(TxnId { timestamp: 5000, nonce: 1 });
        assert_eq!(mint.mint(&clock).timestamp, 5001);
        clock.advance(Duration::from_micros(5));
        assert_eq!(mint.mint(&clock).timestamp, 6000);
        clock.set(9000);
        assert_eq!(mint.mint(&clock).timestamp, 9000);
    }
}
