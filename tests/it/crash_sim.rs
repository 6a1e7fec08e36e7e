//! A whole store on a machine whose power fails at any moment: whatever was acknowledged must be there afterwards,
//! and at most the commit that was under way in addition, as a whole.
//!
//! `TINYCHAIN_CRASH_SEEDS` says how many machines are tried, `TINYCHAIN_CRASH_SEED` which is the first. A thousand:
//! `TINYCHAIN_CRASH_SEEDS=1000 cargo test --release --test it crash_sim -- --nocapture`. A failure prints the seed of
//! its machine; with that and `TINYCHAIN_CRASH_SEEDS=1` the same happens again.

pub mod machine;
mod model;
mod purge;

use std::sync::Arc;

use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tinychain::error::{Error, Kind, Result};
use tinychain::storage::codec::RowBuilder;
use tinychain::storage::files::list_segments;
use tinychain::storage::{Loader, Mode, Store, Transaction};
use tinychain::txn::TxnId;
use tinychain::value::{State, Table};

use machine::{Failure, Machine};
use model::{Content, INDEXES, Model, cells, content, path, read};

/// Machines in the suite.
const SEEDS: u64 = 24;
/// How often each is started.
const LIVES: u64 = 5;
/// Transactions between two starts, at most; and operations of the disks, of which one is the last.
const TRANSACTIONS_MAX: u64 = 40;
const OPERATIONS_MAX: u64 = 160;
const TABLES: u64 = 4;
const OPS_MAX: u64 = 6;
const IDS: u64 = 40;
const KINDS: u64 = 5;
/// Bytes of memory of most transactions, and of those that must write what they write to segments.
const BYTES: u64 = 64 << 20;
const FEW_BYTES: u64 = 2000;
/// More rows than a load keeps in memory.
const MANY_ROWS: u64 = 50_001;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.replace('_', "").parse().ok()
}

/// A machine with a store that is used, cut off, and started again.
struct Life {
    seed: u64,
    rng: StdRng,
    machine: Machine,
    store: Option<Arc<Store>>,
    /// What was acknowledged.
    model: Model,
    /// What there is if the commit is there whose outcome nobody knows.
    in_flight: Option<Model>,
    begun: u64,
    tally: Tally,
}

/// What happened, to see that the test tests something.
#[derive(Debug, Default)]
struct Tally {
    commits: u64,
    /// Commits that were under way when the power failed, and how many of these were there afterwards.
    in_flight: u64,
    kept: u64,
    checkpoints: u64,
    merges: u64,
    scrubs: u64,
    starts_cut_off: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            machine: Machine::new(seed),
            store: None,
            model: Model::default(),
            in_flight: None,
            begun: 0,
            tally: Tally::default(),
        }
    }

    /// Fails with what a store should not have said.
    fn unexpected(&self, what: &str, error: &Error) -> ! {
        panic!("TINYCHAIN_CRASH_SEED={} TINYCHAIN_CRASH_SEEDS=1: {what}: {error}", self.seed)
    }

    /// Whether an error may be, because the power failed or something else did.
    fn is_excused(&self) -> bool {
        self.machine.is_off() || self.machine.take_failure()
    }

    fn crash(&mut self) {
        self.store = None;
        self.machine = self.machine.crash();
    }

    /// Starts the store, which may take several attempts, and compares what it holds with what it should.
    fn start(&mut self) {
        let mut cuts = self.rng.random_range(0..4);
        let store = loop {
            if cuts > 0 {
                cuts -= 1;
                self.machine.cut_after(self.rng.random_range(0..12));
            } else {
                self.machine.keep_on();
            }
            match block_on(Store::open(self.machine.config())) {
                Ok(store) if !self.machine.is_off() => break store,
                Ok(_) => {}
                Err(error) if !self.is_excused() => self.unexpected("open", &error),
                Err(_) => {}
            }
            self.tally.starts_cut_off += 1;
            self.crash();
        };
        self.machine.keep_on();
        self.compare(&store);
        self.store = Some(store);
    }

    fn compare(&mut self, store: &Arc<Store>) {
        let found = block_on(read(store)).unwrap_or_else(|error| self.unexpected("read", &error));
        if let Some(other) = self.in_flight.take() {
            self.tally.in_flight += 1;
            if found == other && other != self.model {
                self.tally.kept += 1;
                self.model = other;
            }
        }
        assert!(found == self.model, "seed {}: there is\n{found:#?}\nin place of\n{:#?}", self.seed, self.model);
        // Every file is owned by somebody.
        let stats = store.stats();
        let files = block_on(list_segments(self.machine.objects())).unwrap().len() as u64;
        assert_eq!(stats.segments + stats.garbage, files, "seed {}: {stats:?}", self.seed);
    }

    /// Stops the host, in one way or another, and starts it twice: what was there once must stay.
    fn restart(&mut self) {
        let is_clean = !self.machine.is_off() && self.rng.random_bool(0.2);
        if let Some(store) = self.store.take().filter(|_| is_clean) {
            block_on(store.close());
            drop(store);
        } else {
            self.crash();
        }
        self.start();
        let seq = self.store().snapshot().seq;
        self.crash();
        self.start();
        assert_eq!(self.store().snapshot().seq, seq, "seed {}", self.seed);
    }

    fn store(&self) -> Arc<Store> {
        Arc::clone(self.store.as_ref().expect("it was started"))
    }

    /// Uses the store until the power fails, or the store takes no more commits.
    fn run(&mut self) {
        self.machine.cut_after(self.rng.random_range(0..OPERATIONS_MAX));
        for failure in [Failure::Write, Failure::Sync, Failure::Put] {
            if self.rng.random_bool(0.1) {
                self.machine.fail_after(failure, self.rng.random_range(0..20));
            }
        }
        let mut left = self.rng.random_range(0..TRANSACTIONS_MAX);
        while left > 0 && !self.machine.is_off() && self.in_flight.is_none() {
            left -= 1;
            let store = self.store();
            let (what, done) = match self.rng.random_range(0..12) {
                0 => {
                    self.tally.checkpoints += 1;
                    ("checkpoint", block_on(store.checkpoint()))
                }
                1 => {
                    self.tally.merges += 1;
                    ("merge", block_on(store.compact()).map(drop))
                }
                2 => {
                    self.tally.scrubs += 1;
                    let mut trees: Vec<_> = store.snapshot().version.trees.keys().copied().collect();
                    trees.sort_unstable();
                    ("scrub", block_on(store.scrub(&trees)))
                }
                _ => ("transaction", self.transact(&store)),
            };
            if let Err(error) = done
                && !self.is_excused()
                // It says so again and again after the log has failed.
                && error.kind() != Kind::Unavailable
            {
                self.unexpected(what, &error);
            }
        }
    }

    fn begin(&mut self, store: &Arc<Store>, bytes: u64) -> Transaction {
        self.begun += 1;
        Transaction::new(Arc::clone(store), TxnId { timestamp: self.begun, nonce: 0 }, bytes)
    }

    /// Makes a transaction.
    fn transact(&mut self, store: &Arc<Store>) -> Result<()> {
        let bytes = if self.rng.random_bool(0.2) { FEW_BYTES } else { BYTES };
        let txn = self.begin(store, bytes);
        let mut pending = self.model.clone();
        for _ in 0..self.rng.random_range(1..=OPS_MAX) {
            block_on(self.step(&txn, &mut pending))?;
        }
        if self.rng.random_bool(0.1) {
            // It is given up, with what it has written to files.
            return Ok(());
        }
        self.commit(&txn, pending)
    }

    fn commit(&mut self, txn: &Transaction, pending: Model) -> Result<()> {
        match block_on(txn.commit()) {
            Ok(_) => {
                self.tally.commits += 1;
                self.model = pending;
                Ok(())
            }
            Err(error) => {
                // Nothing was written if the store takes no commits.
                if error.kind() != Kind::Unavailable {
                    self.in_flight = Some(pending);
                }
                Err(error)
            }
        }
    }

    /// Changes something, in the transaction and in the model.
    async fn step(&mut self, txn: &Transaction, pending: &mut Model) -> Result<()> {
        let path = path(self.rng.random_range(0..TABLES));
        let Some(there) = pending.tables.get_mut(&path) else {
            let new = Content::new(self.rng.random_range(0..12));
            txn.create_table(&path, new.schema()).await?;
            pending.tables.insert(path, new);
            return Ok(());
        };
        let table = txn.table(&path).await?.expect("the model has it");
        match self.rng.random_range(0..100) {
            0..40 => {
                let (key, row) = draw_row(&mut self.rng, there);
                txn.put(&table, &row).await?;
                there.rows.insert(key, row);
            }
            40..48 => {
                let (key, row) = draw_row(&mut self.rng, there);
                let is_new = txn.insert(&table, &row).await?;
                assert_eq!(is_new, !there.rows.contains_key(&key), "seed {}: insert of {key:?}", self.seed);
                there.rows.entry(key).or_insert(row);
            }
            48..60 => {
                let (key, _) = draw_row(&mut self.rng, there);
                let was_there = txn.delete(&table, &cells(&key)).await?;
                assert_eq!(was_there, there.rows.remove(&key).is_some(), "seed {}: delete of {key:?}", self.seed);
            }
            60..70 => {
                let rows: Vec<_> = (0..self.rng.random_range(1..40)).map(|_| draw_row(&mut self.rng, there)).collect();
                let states: Vec<Vec<State>> = rows.iter().map(|(_, row)| row.clone()).collect();
                if self.rng.random_bool(0.5) {
                    txn.put_rows(&table, &states).await?;
                } else {
                    load(txn, &table, &states).await?;
                }
                there.rows.extend(rows);
            }
            70..74 => {
                txn.clear(&table).await?;
                there.rows.clear();
            }
            74..78 => {
                txn.drop_table(&path).await?;
                pending.tables.remove(&path);
            }
            78..86 => {
                let (name, _) = INDEXES[self.rng.random_range(0..INDEXES.len())];
                if !there.indexes.remove(name) {
                    there.indexes.insert(name);
                }
                txn.alter_table(&path, there.schema()).await?;
            }
            86..92 => {
                there.toggle_extra();
                txn.alter_table(&path, there.schema()).await?;
            }
            _ => {
                let seen = content(txn, &table).await?;
                assert!(seen == *there, "seed {}: {path} is seen as\n{seen:#?}\nin place of\n{there:#?}", self.seed);
            }
        }
        Ok(())
    }
}

fn draw_row(rng: &mut StdRng, table: &Content) -> (Vec<u64>, Vec<State>) {
    let (id, kind) = (rng.random_range(0..IDS), rng.random_range(0..KINDS));
    // Now and then one that takes a good part of a file of the log.
    let lens = [0, 5, 5, 5, 60, 60, 3000];
    let note = "x".repeat(lens[rng.random_range(0..lens.len())]) + &rng.random_range(0..1000).to_string();
    let extra = rng.random_bool(0.7).then(|| rng.random_range(0..100));
    table.row(id, kind, note, extra)
}

/// Loads rows as a statement does that writes many.
async fn load(txn: &Transaction, table: &Arc<Table>, rows: &[Vec<State>]) -> Result<()> {
    let mut builder = RowBuilder::new(&table.schema, &table.schema.primary_columns(), rows.len());
    for row in rows {
        builder.append_row(row)?;
    }
    let mut loader = Loader::new(txn, table, Mode::Upsert).await?;
    loader.push(builder.finish()?).await?;
    loader.finish().await.map(drop)
}

#[test]
fn whatever_was_acknowledged_survives_any_crash() {
    let first = setting("TINYCHAIN_CRASH_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let seeds = setting("TINYCHAIN_CRASH_SEEDS").unwrap_or(SEEDS);
    println!("TINYCHAIN_CRASH_SEED={first} TINYCHAIN_CRASH_SEEDS={seeds}");
    let mut sum = Tally::default();
    for seed in first..first + seeds {
        let mut life = Life::new(seed);
        life.start();
        for _ in 0..LIVES {
            life.run();
            life.restart();
        }
        let Tally { commits, in_flight, kept, checkpoints, merges, scrubs, starts_cut_off } = life.tally;
        sum.commits += commits;
        sum.in_flight += in_flight;
        sum.kept += kept;
        sum.checkpoints += checkpoints;
        sum.merges += merges;
        sum.scrubs += scrubs;
        sum.starts_cut_off += starts_cut_off;
    }
    println!("{sum:?}");
    assert!(sum.commits > 10 * seeds && sum.starts_cut_off > 0, "{sum:?}");
}

/// A load of many rows is written to segments before it is committed. It is there as a whole or not at all, and no
/// files of it are left if it is not.
#[test]
fn a_load_of_many_rows_that_is_cut_off() {
    let (mut without, mut with) = (0, 0);
    for count in [0, 1, 2, 3, 1000] {
        let mut life = Life::new(count);
        life.start();
        let store = life.store();
        let txn = life.begin(&store, BYTES);
        let path = path(1);
        let table = Content { indexes: ["by_kind"].into(), ..Content::new(1) };
        let made = block_on(txn.create_table(&path, table.schema())).unwrap();
        life.model.tables.insert(path.clone(), table.clone());
        let model = life.model.clone();
        life.commit(&txn, model).unwrap();

        let rows: Vec<_> = (0..MANY_ROWS).map(|id| table.row(id, id % 3, String::new(), None)).collect();
        let states: Vec<Vec<State>> = rows.iter().map(|(_, row)| row.clone()).collect();
        let mut pending = life.model.clone();
        pending.tables.get_mut(&path).expect("it was made").rows.extend(rows);
        life.machine.cut_after(count);
        let txn = life.begin(&store, BYTES);
        if block_on(load(&txn, &made, &states)).is_ok() {
            let _ = life.commit(&txn, pending);
        }
        drop((txn, store));
        life.crash();
        life.start();
        match life.model.tables[&path].rows.len() {
            0 => without += 1,
            _ => with += 1,
        }
    }
    assert!(without > 0 && with > 0, "{without} without, {with} with the rows");
}
