//! Whether transactions are serializable: random histories of them, whose outcome is checked; and a script for each
//! anomaly that there could be.
//!
//! `TINYCHAIN_HISTORIES` says how many histories, `TINYCHAIN_HISTORY_SEED` which is the first. Many:
//! `TINYCHAIN_HISTORIES=20000 cargo test --release --test it histories -- --nocapture`. A failure prints the seed of
//! its history; with that and `TINYCHAIN_HISTORIES=1`, a history of steps in one thread happens again as it was.

mod check;
mod graph;
mod record;
mod scripts;
pub mod session;
mod wrong;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tinychain::error::Kind;
use tinychain::storage::{Store, StoreConfig};

use check::{anomalies, replay};
use record::{History, Outcome, Record};
use session::{Isolation, Op, Session, create_tables, program, read_end};

/// Histories in the suite.
const HISTORIES: u64 = 120;
/// One in so many is of several threads.
const THREADED_SHARE: u64 = 10;
/// Transactions of a history in one thread.
const TRANSACTIONS: u64 = 60;
/// How many of them are under way at once.
const OPEN_MAX: usize = 5;
/// Threads, and the transactions of each.
const THREADS: u64 = 4;
const THREAD_TRANSACTIONS: u64 = 40;
/// Small memtables are written to segments during a history.
const MEMTABLE_BYTES: u64 = 8 << 10;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.replace('_', "").parse().ok()
}

fn settings() -> (u64, u64) {
    let seed = setting("TINYCHAIN_HISTORY_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let histories = setting("TINYCHAIN_HISTORIES").unwrap_or(HISTORIES);
    println!("TINYCHAIN_HISTORY_SEED={seed} TINYCHAIN_HISTORIES={histories}");
    (seed, histories)
}

/// A clock that never shows a time twice.
#[derive(Debug, Default)]
struct Moments(AtomicU64);

impl Moments {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// A history in one thread: the steps of several transactions, in an order that the seed decides.
fn interleaved(seed: u64, isolation: Isolation) -> History {
    let mut rng = StdRng::seed_from_u64(seed);
    let moments = Moments::default();
    let mut history = History::default();
    block_on(async {
        let store = Store::open(StoreConfig::memory()).await.unwrap();
        create_tables(&store).await.unwrap();
        let (mut begun, mut open): (u64, Vec<(Session, Vec<Op>)>) = (0, vec![]);
        while begun < TRANSACTIONS || !open.is_empty() {
            if begun < TRANSACTIONS && open.len() < rng.random_range(1..=OPEN_MAX) {
                begun += 1;
                let is_small = rng.random_bool(0.1);
                let session = Session::begin(&store, isolation, begun, moments.next(), is_small);
                open.push((session, program(&mut rng)));
                continue;
            }
            let at = rng.random_range(0..open.len());
            let (session, steps) = &mut open[at];
            match steps.pop() {
                Some(op) => {
                    if let Err(error) = session.step(op).await {
                        assert_eq!(error.kind(), Kind::Conflict, "seed {seed}: {op:?}: {error}");
                        let (session, _) = open.swap_remove(at);
                        history.records.push(session.refused(|| moments.next()));
                    }
                }
                // Some transactions are given up.
                None if rng.random_bool(0.05) => {
                    let (session, _) = open.swap_remove(at);
                    history.records.push(session.refused(|| moments.next()));
                }
                None => {
                    let (session, _) = open.swap_remove(at);
                    let record = session.commit(|| moments.next()).await;
                    history.records.push(record.unwrap_or_else(|error| panic!("seed {seed}: {error}")));
                }
            }
            match rng.random_range(0..60) {
                0 => store.checkpoint().await.unwrap(),
                1 => drop(store.compact().await.unwrap()),
                _ => {}
            }
        }
        read_end(&store, &mut history).await.unwrap();
    });
    history
}

/// A history of several threads, which the seed decides only in part.
fn threaded(seed: u64) -> History {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS as usize).enable_all().build();
    let runtime = runtime.unwrap();
    let (moments, numbers) = (Arc::new(Moments::default()), Arc::new(AtomicU64::new(1)));
    let mut history = History::default();
    runtime.block_on(async {
        let config = StoreConfig { inline: false, memtable_bytes: MEMTABLE_BYTES, ..StoreConfig::memory() };
        let store = Store::open(config.clone()).await.unwrap();
        create_tables(&store).await.unwrap();
        let work = |thread: u64| {
            let mut rng = StdRng::seed_from_u64(seed ^ thread.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (store, moments, numbers) = (Arc::clone(&store), Arc::clone(&moments), Arc::clone(&numbers));
            async move {
                let mut records = Vec::new();
                for _ in 0..THREAD_TRANSACTIONS {
                    records.push(transact(&store, &moments, &numbers, &mut rng).await);
                }
                records
            }
        };
        let tasks: Vec<_> = (0..THREADS).map(|thread| tokio::spawn(work(thread))).collect();
        for task in tasks {
            history.records.extend(task.await.unwrap());
        }
        store.close().await;
        drop(store);
        // What there is in the end must be there for the next host too.
        let store = Store::open(config).await.unwrap();
        read_end(&store, &mut history).await.unwrap();
        store.close().await;
    });
    history
}

/// A transaction from its beginning to its end.
async fn transact(store: &Arc<Store>, moments: &Moments, numbers: &AtomicU64, rng: &mut StdRng) -> Record {
    let number = numbers.fetch_add(1, Ordering::SeqCst);
    let is_small = rng.random_bool(0.1);
    let mut session = Session::begin(store, Isolation::Serializable, number, moments.next(), is_small);
    for op in program(rng) {
        if rng.random_bool(0.3) {
            tokio::task::yield_now().await;
        }
        if let Err(error) = session.step(op).await {
            assert_eq!(error.kind(), Kind::Conflict, "{op:?}: {error}");
            return session.refused(|| moments.next());
        }
    }
    session.commit(|| moments.next()).await.unwrap()
}

/// What histories were made of, to see that they test something.
#[derive(Debug, Default)]
struct Tally {
    committed: usize,
    refused: usize,
    events: usize,
}

impl Tally {
    fn add(&mut self, history: &History) {
        let refused = history.records.iter().filter(|record| record.outcome == Outcome::Refused).count();
        self.refused += refused;
        self.committed += history.records.len() - refused;
        self.events += history.records.iter().map(|record| record.events.len()).sum::<usize>();
    }
}

/// Fails if there is anything wrong with a history.
fn check(seed: u64, history: &History) {
    let mut faults = anomalies(history);
    faults.extend(replay(history));
    let repeat = format!("TINYCHAIN_HISTORY_SEED={seed} TINYCHAIN_HISTORIES=1");
    assert!(faults.is_empty(), "{repeat}: {} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn transactions_in_one_thread_are_serializable() {
    let (first, histories) = settings();
    let mut tally = Tally::default();
    for seed in first..first + histories {
        let history = interleaved(seed, Isolation::Serializable);
        tally.add(&history);
        check(seed, &history);
    }
    println!("{tally:?}");
    let per_history = |count: usize| count as u64 / histories.max(1);
    assert!(per_history(tally.committed) > TRANSACTIONS / 3 && tally.refused > 0, "{tally:?}");
}

#[test]
fn transactions_of_several_threads_are_serializable() {
    let (first, histories) = settings();
    let mut tally = Tally::default();
    for seed in first..first + histories.div_ceil(THREADED_SHARE) {
        let history = threaded(seed);
        tally.add(&history);
        check(seed, &history);
    }
    println!("{tally:?}");
    assert!(tally.committed > 0, "{tally:?}");
}

/// Transactions whose reads are not validated are not serializable, and both checks see it.
#[test]
fn the_checks_find_what_a_store_would_do_that_does_not_validate() {
    let (mut found, mut replayed) = (0, 0);
    for seed in 0..40 {
        let history = interleaved(seed, Isolation::Unchecked);
        found += usize::from(!anomalies(&history).is_empty());
        replayed += usize::from(!replay(&history).is_empty());
    }
    assert!(found > 20 && replayed > 20, "{found} and {replayed} of 40");
}
