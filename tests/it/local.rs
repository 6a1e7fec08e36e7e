//! A kernel in this process, without a network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tinychain::compiler::Program;
use tinychain::env::{Clock, ManualClock, TxnClock};
use tinychain::error::{Error, Result};
use tinychain::exec::{Devices, Engine, EngineConfig, Gateway, Kernel, RemoteArgs};
use tinychain::limits::Limits;
use tinychain::planner::{Explanation, Optimizer};
use tinychain::storage::{Store, StoreConfig};
use tinychain::txn::Txn;
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

/// How long what runs beside requests may take.
const WAIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// A kernel, and the one thread that it runs on.
pub struct Local {
    kernel: Kernel,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    mint: TxnClock,
    runtime: tokio::runtime::Runtime,
}

impl Local {
    /// A kernel on a store in memory.
    pub fn new(limits: Limits, optimizer: Optimizer) -> Self {
        let config = StoreConfig { clock: Arc::new(ManualClock::at(1)), ..StoreConfig::memory() };
        Self::open(config, limits, optimizer).unwrap()
    }

    /// A kernel on a store, with the clock of that.
    pub fn open(config: StoreConfig, limits: Limits, optimizer: Optimizer) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (clock, mint) = (Arc::clone(&config.clock), TxnClock::new(0));
        let store = runtime.block_on(Store::open(config))?;
        let engine = Engine::new(&EngineConfig {
            memory_bytes: 64 << 20,
            spill_dir: None,
            seals_spills: false,
            threads: 2,
            is_apart: false,
        })?;
        let kernel = Kernel::new(
            limits,
            Arc::new(NoNetwork),
            Arc::clone(&clock),
            Arc::clone(&store),
            engine,
            Arc::new(Devices::cpu_only()),
        );
        Ok(Self { kernel: kernel.with_optimizer(optimizer), store, clock, mint, runtime })
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    fn txn(&self) -> Txn {
        let deadline = Instant::now() + self.kernel.limits().request_ttl;
        Txn { id: self.mint.mint(&*self.clock), deadline, token: None, actor: None, access: None, watch: None }
    }

    /// Begins to do what chains had not finished when the store was closed.
    pub fn resume(&self) -> Result<()> {
        self.runtime.block_on(self.kernel.resume(&self.txn()))
    }

    /// Lets what runs beside requests go on until something is so.
    pub fn wait(&self, is_so: impl AsyncFn() -> bool) {
        let end = Instant::now() + WAIT;
        self.runtime.block_on(async {
            while !is_so().await {
                assert!(Instant::now() < end, "gave up after {WAIT:?}");
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// Runs a program, and commits what it wrote.
    pub fn execute(&self, program: Program) -> Result<State> {
        let txn = self.txn();
        let prepared = self.kernel.prepare(program, txn.deadline)?;
        self.runtime.block_on(self.kernel.execute(&txn, &prepared))
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
