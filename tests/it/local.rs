//! A kernel in this process, without a network.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use tinychain::compiler::Program;
use tinychain::env::SystemClock;
use tinychain::error::{Error, Result};
use tinychain::exec::{Engine, EngineConfig, Gateway, Kernel, RemoteArgs};
use tinychain::limits::Limits;
use tinychain::planner::{Explanation, Optimizer};
use tinychain::storage::{Store, StoreConfig};
use tinychain::txn::{Txn, TxnId};
use tinychain::value::{Authority, Link, State};

/// The way to other hosts, of which there are none.
struct NoNetwork;

impl Gateway for NoNetwork {
    fn is_local(&self, _: &Authority) -> bool {
        false
    }

    fn call<'a>(&'a self, _: &'a Txn, link: &'a Link, _: RemoteArgs) -> BoxFuture<'a, Result<State>> {
        let reply: Result<State> = Err(Error::bad_gateway(format!("{link} cannot be reached")));
        Box::pin(std::future::ready(reply))
    }
}

/// A kernel, and the one thread that it runs on.
pub struct Local {
    kernel: Kernel,
    runtime: tokio::runtime::Runtime,
}

impl Local {
    pub fn new(limits: Limits, optimizer: Optimizer) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(Store::open(StoreConfig::memory())).unwrap();
        let engine =
            Engine::new(&EngineConfig { memory_bytes: 64 << 20, spill_dir: None, threads: 2, is_apart: false })
                .unwrap();
        let kernel = Kernel::new(limits, Arc::new(NoNetwork), Arc::new(SystemClock), store, engine);
        Self { kernel: kernel.with_optimizer(optimizer), runtime }
    }

    fn txn(&self) -> Txn {
        let deadline = Instant::now() + self.kernel.limits().request_ttl;
        Txn { id: TxnId { timestamp: 1, nonce: 0 }, deadline, token: None, actor: None, access: None, watch: None }
    }

    /// Runs a program.
    pub fn run(&self, program: Program) -> Result<State> {
        let txn = self.txn();
        let prepared = self.kernel.prepare(program, txn.deadline)?;
        self.runtime.block_on(self.kernel.run(&txn, &prepared))
    }

    /// Explains a program.
    pub fn explain(&self, program: Program, analyze: bool) -> Result<Explanation> {
        let txn = self.txn();
        let prepared = self.kernel.prepare(program, txn.deadline)?;
        self.runtime.block_on(self.kernel.explain(&txn, &prepared, analyze))
    }
}
