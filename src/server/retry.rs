//! Which calls of other hosts are tried again, and when.
//!
//! What only reads is tried again if the connection failed or the host says that it cannot answer now; what writes only
//! if nothing was sent. A host that could not answer because of one that it called itself has tried that again, so
//! nobody tries again what is further down, or the calls would multiply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::header::{HeaderMap, RETRY_AFTER};
use prometheus_client::metrics::counter::Counter;

use crate::error::{Error, Kind};
use crate::value::Verb;

/// Times that a call is made, at most.
const ATTEMPTS_MAX: u32 = 4;
/// The pause after the first attempt, at most; each of the others is twice that of the one before.
const PAUSE: Duration = Duration::from_millis(10);
/// What a host says in the stack of an error of a call that it made.
pub(super) const CALLING: &str = "while calling ";

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) cause: Cause,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    /// There is no connection, so nothing was sent.
    Unconnected,
    /// The connection failed when something may have been sent.
    Connection,
    /// The host replied that it cannot answer now, but perhaps after a while.
    Passing(Duration),
    /// It replied anything else, or the call cannot be made.
    Final,
}

/// Says when to try again, and counts.
#[derive(Debug, Default)]
pub(super) struct Retry {
    /// The state of the numbers by which pauses differ, so that hosts that failed together do not return together.
    state: AtomicU64,
    count: Counter,
}

impl Retry {
    /// Pauses differ by `seed`; attempts after the first are counted by `count`.
    pub(super) fn new(seed: u64, count: Counter) -> Self {
        Self { state: AtomicU64::new(seed), count }
    }

    /// How long to wait before a call is tried again that failed in its attempt of this number, from 0; nothing if it
    /// is not to be tried again.
    pub(super) fn pause(&self, verb: Verb, attempt: u32, cause: Cause) -> Option<Duration> {
        if attempt + 1 >= ATTEMPTS_MAX {
            return None;
        }
        let least = match cause {
            Cause::Unconnected => Duration::ZERO,
            Cause::Connection if verb == Verb::Get => Duration::ZERO,
            Cause::Passing(least) if verb == Verb::Get => least,
            Cause::Connection | Cause::Passing(_) | Cause::Final => return None,
        };
        let most = PAUSE * (1 << attempt);
        Some(least.max(most / 2 + (most / 2).mul_f64(self.fraction())))
    }

    /// Counts an attempt that is not the first.
    pub(super) fn note(&self) {
        self.count.inc();
    }

    /// A number from 0 up to 1: the next of the generator splitmix64.
    fn fraction(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from((z >> 40) as u32) / f64::from(1_u32 << 24)
    }
}

/// What the reply of a host with an error says about trying again; its error has this stack.
pub(super) fn cause_of(status: u16, headers: &HeaderMap, stack: &[String]) -> Cause {
    let is_passing = [Kind::Unavailable.status(), Kind::BadGateway.status()].contains(&status);
    if !is_passing || stack.iter().any(|context| context.starts_with(CALLING)) {
        return Cause::Final;
    }
    // A date, which the header may be too, is no reason to wait longer than usual.
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    Cause::Passing(Duration::from_secs(seconds.unwrap_or_default().into()))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let retry = Retry::new(7, Counter::default());
        for attempt in 0..3 {
            let most = Duration::from_millis(10 << attempt);
            let pause = retry.pause(Verb::Get, attempt, Cause::Connection).unwrap();
            assert!(pause >= most / 2 && pause <= most, "{attempt}: {pause:?}");
        }
        assert_eq!(retry.pause(Verb::Get, 3, Cause::Connection), None);
    }

    #[test]
    fn what_writes_is_tried_again_only_if_nothing_was_sent() {
        let retry = Retry::default();
        for verb in [Verb::Put, Verb::Post, Verb::Delete] {
            assert!(retry.pause(verb, 0, Cause::Unconnected).is_some());
            assert_eq!(retry.pause(verb, 0, Cause::Connection), None);
            assert_eq!(retry.pause(verb, 0, Cause::Passing(Duration::ZERO)), None);
        }
        assert_eq!(retry.pause(Verb::Get, 0, Cause::Final), None);
    }

    #[test]
    fn a_host_says_how_long_to_wait() {
        let mut headers = HeaderMap::new();
        assert_eq!(cause_of(503, &headers, &[]), Cause::Passing(Duration::ZERO));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        assert_eq!(cause_of(503, &headers, &[]), Cause::Passing(Duration::from_secs(2)));
        let pause = Retry::default().pause(Verb::Get, 0, cause_of(502, &headers, &[]));
        assert_eq!(pause, Some(Duration::from_secs(2)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT"));
        assert_eq!(cause_of(503, &headers, &[]), Cause::Passing(Duration::ZERO));
    }

    #[test]
    fn what_failed_further_down_is_not_tried_again() {
        let headers = HeaderMap::new();
        let stack = ["while calling http://c/a".to_string(), "while resolving x".to_string()];
        assert_eq!(cause_of(502, &headers, &stack), Cause::Final);
        assert_eq!(cause_of(502, &headers, &stack[1..]), Cause::Passing(Duration::ZERO));
        assert_eq!(cause_of(500, &headers, &[]), Cause::Final);
        assert_eq!(cause_of(409, &headers, &[]), Cause::Final);
    }
}
