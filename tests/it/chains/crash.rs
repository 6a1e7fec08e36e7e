//! A BackupChain on a machine whose power fails while it deletes old blocks: in turn during each operation on a file that
//! this takes, until all of it is done before the power fails.

use std::sync::Arc;
use std::time::Duration;

use tinychain::compiler::Program;
use tinychain::env::ManualClock;
use tinychain::error::Result;
use tinychain::limits::Limits;
use tinychain::planner::Optimizer;
use tinychain::storage::{StoreConfig, Transaction};
use tinychain::txn::TxnId;
use tinychain::value::doc::json;
use tinychain::value::encode::to_json;
use tinychain::value::{Doc, State, Verb};

use super::{MARKERS, NANOS, START};
use crate::crash_sim::machine::Machine;
use crate::local::Local;

const CHAIN: &str = "/service/test/chains/1.0.0/t";
const DEFINITION: &str = r#"{"/service/test/chains": {"t": {"/state/chain/backup": [
    {"/state/collection/table": [[
        [[["k", {"/state/scalar/value/number/int/64": {}}]], [["v", {"/state/scalar/value/string": {}}, 100]]], []
    ]]},
    {"max_age": 2}
]}}}"#;
/// Of the subject, when all was written.
const ROWS: &str = r#"[[2,"kept"],[3,"young"]]"#;
/// Deleting a block takes more operations than this: at least a commit, a checkpoint of each tree and manifests.
const OPERATIONS_MIN: u64 = 20;

/// A host on a machine, between two starts.
struct Life {
    machine: Machine,
    host: Local,
    clock: Arc<ManualClock>,
}

fn doc(text: &str) -> Doc {
    json::decode(text.as_bytes(), 64).unwrap()
}

impl Life {
    fn start(machine: Machine, clock: Arc<ManualClock>) -> Self {
        let config = StoreConfig { clock: Arc::<ManualClock>::clone(&clock), ..machine.config() };
        let limits = Limits { request_ttl: Duration::from_secs(60), ..Limits::default() };
        let host = Local::open(config, limits, Optimizer::default()).unwrap();
        Self { machine, host, clock }
    }

    /// A host whose chain has a block that is old by now, with the markers in it, and one that is not.
    fn with_history(seed: u64) -> Self {
        let life = Self::start(Machine::new(seed), Arc::new(ManualClock::at(START * NANOS)));
        life.execute(Verb::Put, "/service", "\"test\"", "true").unwrap();
        life.execute(Verb::Put, "/service/test", "\"chains\"", "false").unwrap();
        life.execute(Verb::Put, "/service/test/chains", "\"1.0.0\"", DEFINITION).unwrap();
        let put = |key: &str, value: &str| life.execute(Verb::Put, CHAIN, key, &format!("[\"{value}\"]")).unwrap();
        put("[1]", MARKERS[0]);
        put("[2]", MARKERS[1]);
        life.execute(Verb::Delete, CHAIN, "[1]", "null").unwrap();
        put("[2]", "kept");
        life.clock.advance(Duration::from_secs(1));
        life.compact().unwrap();
        life.clock.advance(Duration::from_millis(500));
        put("[3]", "young");
        life.clock.advance(Duration::from_secs(1));
        life
    }

    fn execute(&self, verb: Verb, link: &str, key: &str, body: &str) -> Result<State> {
        self.host.execute(Program::call(link.parse()?, verb, &doc(key), &doc(body))?)
    }

    fn get(&self, link: &str) -> State {
        self.host.run(Program::call(link.parse().unwrap(), Verb::Get, &Doc::Null, &Doc::Null).unwrap()).unwrap()
    }

    fn compact(&self) -> Result<State> {
        self.execute(Verb::Post, &format!("{CHAIN}/chain/compact"), "null", "{}")
    }

    /// Whether a block was deleted, and the chain has noted that no file has anything of it.
    async fn is_erased(&self) -> Result<bool> {
        let txn = Transaction::new(Arc::clone(self.host.store()), TxnId { timestamp: u64::MAX, nonce: 0 }, 1 << 20);
        let Some(state) = txn.table(&format!("{CHAIN}~state")).await? else { return Ok(false) };
        let row = txn.get(&state, &[State::from(0u64)]).await?;
        Ok(row.is_some_and(|row| row.last() == Some(&State::from(true))))
    }

    /// Waits until the block is deleted and erased, or the power has failed. Returns whether it has not.
    fn wait(&self) -> bool {
        self.host.wait(async || self.machine.is_off() || matches!(self.is_erased().await, Ok(true)));
        !self.machine.is_off()
    }

    /// Checks that the subject is what it was, and the chain what it should be.
    fn check(&self, count: u64) {
        let subject = to_json(&self.get(CHAIN));
        assert!(subject.ends_with(&format!("{ROWS}]}}")), "after {count} operations there is {subject}");
        assert_eq!(self.get(&format!("{CHAIN}/chain/verify")), State::from(true), "after {count} operations");
    }
}

/// Lets the power fail during the operation after `count` others. Returns whether all was done before.
fn survives(count: u64) -> bool {
    let life = Life::with_history(count);
    life.machine.cut_after(count);
    let is_done = life.compact().is_ok() && life.wait();

    let Life { machine, host, clock } = life;
    drop(host);
    let life = Life::start(machine.crash(), clock);
    life.check(count);
    // What the host was about to do is done by itself.
    life.host.resume().unwrap();
    assert!(life.wait());
    life.check(count);
    let found = MARKERS.map(|marker| life.machine.files_with(marker.as_bytes())).concat();
    assert!(found.is_empty(), "after {count} operations the markers are in {found:?}");
    is_done
}

#[test]
fn a_crash_at_any_moment_while_blocks_are_deleted_changes_nothing() {
    let count = (0..).find(|count| survives(*count)).unwrap();
    assert!(count > OPERATIONS_MIN, "all was done by {count} operations");
}
