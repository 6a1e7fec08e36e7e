//! Programs to measure, and a kernel in this process to run them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::future::BoxFuture;
use tinychain::compiler::Program;
use tinychain::env::SystemClock;
use tinychain::error::{Error, Result};
use tinychain::exec::{Devices, Engine, EngineConfig, Gateway, Kernel, Prepared, RemoteArgs};
use tinychain::limits::Limits;
use tinychain::storage::{Store, StoreConfig};
use tinychain::txn::{Txn, TxnId};
use tinychain::value::doc::json;
use tinychain::value::{Authority, Link, State};

/// Longer than any run.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// The body of a request that adds `literal` to itself `ops` times, one step at a time. Steps are named `<prefix><n>`,
/// so another prefix makes another shape, and another literal does not.
pub fn chain(ops: usize, literal: usize, prefix: &str) -> String {
    let mut text = format!("{{\"op\":[[\"{prefix}0\",{literal}]");
    for step in 1..=ops {
        let last = step - 1;
        text.push_str(&format!(",[\"{prefix}{step}\",{{\"${prefix}{last}/add\":{{\"r\":{literal}}}}}]"));
    }
    text.push_str("]}");
    text
}

/// The result of a [`chain`].
pub fn chain_result(ops: usize, literal: usize) -> i64 {
    (literal * (ops + 1)) as i64
}

/// Decodes the body of a hypothetical request, as the host does.
pub fn decode(text: &str) -> Program {
    let doc = json::decode(text.as_bytes(), Limits::default().json_depth).expect("the text is JSON");
    Program::hypothetical(&doc).expect("the document is a program")
}

/// A kernel that has compiled nothing yet, with a transaction to run programs in.
pub struct InProcess {
    kernel: Kernel,
    txn: Txn,
}

impl InProcess {
    pub fn new() -> Self {
        let limits = Limits { compute_time: TIME_MAX, request_ttl: TIME_MAX, ..Limits::default() };
        let id = TxnId { timestamp: 1, nonce: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let store = runtime.block_on(Store::open(StoreConfig::memory())).expect("a store in memory");
        let engine =
            EngineConfig { memory_bytes: 64 << 20, spill_dir: None, seals_spills: false, threads: 2, is_apart: false };
        let engine = Engine::new(&engine).expect("an engine");
        Self {
            kernel: Kernel::new(
                limits,
                Arc::new(Nowhere),
                Arc::new(SystemClock),
                store,
                engine,
                Arc::new(Devices::cpu_only()),
            ),
            txn: Txn { id, deadline: Instant::now() + TIME_MAX, token: None, actor: None, access: None, watch: None },
        }
    }

    /// Compiles a program, or finds the code of another of its shape.
    pub fn prepare(&self, program: Program) -> Prepared {
        self.kernel.prepare(program, self.txn.deadline).expect("the program is small enough")
    }

    /// Runs a program that must succeed.
    pub fn run(&self, program: &Prepared) -> State {
        block_on(self.kernel.run(&self.txn, program)).expect("the program has a result")
    }
}

/// There are no other hosts.
pub struct Nowhere;

impl Gateway for Nowhere {
    fn is_local(&self, _authority: &Authority) -> bool {
        false
    }

    fn call<'a>(&'a self, _txn: &'a Txn, link: &'a Link, _args: RemoteArgs) -> BoxFuture<'a, Result<State>> {
        Box::pin(async move { Err(Error::bad_gateway(format!("there is no host for {link}"))) })
    }
}
