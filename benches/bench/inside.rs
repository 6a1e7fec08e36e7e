//! A store and a kernel in this process, on a directory that a host could open.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use futures::StreamExt as _;
use tinychain::compiler::Program;
use tinychain::env::SystemClock;
use tinychain::exec::sql::Outcome;
use tinychain::exec::{Devices, Engine, EngineConfig, Kernel, SqlReply};
use tinychain::limits::Limits;
use tinychain::storage::codec::cast_batch;
use tinychain::storage::{DataDir, Loader, Mode, Store, StoreConfig, Transaction};
use tinychain::txn::{Txn, TxnId};
use tinychain::value::State;
use tokio::runtime::Runtime;

use crate::program::Nowhere;
use crate::queries::definition;
use crate::server::WORKERS;

/// What a host has by default (`--cache_size`, `--query_memory`, `--max_request_memory`, `--memtable_size`).
const CACHE_BYTES: u64 = 1_000_000_000;
const QUERY_BYTES: usize = 1_000_000_000;
const REQUEST_BYTES: u64 = 1_000_000_000;
pub const MEMTABLE_BYTES: u64 = 64_000_000;

/// Longer than any request.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// A store with all that a host needs to run requests in it.
pub struct Inside {
    pub store: Arc<Store>,
    kernel: Kernel,
    /// The same, but ops are run row by row.
    by_rows: Kernel,
    /// Counts transactions.
    next: AtomicU64,
    runtime: Runtime,
    /// Locked as long as the store is open.
    _data: DataDir,
}

impl Inside {
    /// Opens the store of a host that has its data in `dir`, with so many bytes of rows in memory before they go to
    /// segments.
    pub fn open(dir: &Path, memtable_bytes: u64) -> Self {
        Self::open_on(dir, memtable_bytes, Arc::new(Devices::cpu_only()))
    }

    /// The same, with tensors computed by these devices.
    pub fn open_on(dir: &Path, memtable_bytes: u64, devices: Arc<Devices>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(WORKERS).build();
        let runtime = runtime.expect("a runtime can be built");
        let data = DataDir::open(&dir.join("data")).expect("the directory is free");
        let config = StoreConfig::local(data.path(), CACHE_BYTES, memtable_bytes).expect("the directory can be used");
        let store = runtime.block_on(Box::pin(Store::open(config))).expect("the store is whole");
        let spill_dir = Some(dir.join("spill"));
        let (threads, seals_spills) = (threads(), false);
        let engine = EngineConfig { memory_bytes: QUERY_BYTES, spill_dir, seals_spills, threads, is_apart: true };
        let engine = Engine::new(&engine).expect("the directory can be used");
        let limits = Limits { compute_time: TIME_MAX, request_ttl: TIME_MAX, ..Limits::default() };
        let kernel = Kernel::new(limits, Arc::new(Nowhere), Arc::new(SystemClock), Arc::clone(&store), engine, devices);
        let by_rows = kernel.without_rules(&["vectorization".into()]);
        Self { store, kernel, by_rows, next: AtomicU64::new(1), runtime, _data: data }
    }

    /// Runs something that needs tasks, and waits for it.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A transaction.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.store), self.id(), REQUEST_BYTES)
    }

    /// Runs a statement; returns its rows.
    pub fn sql(&self, text: &str) -> Vec<RecordBatch> {
        let txn = self.txn();
        self.block_on(async {
            let reply = Box::pin(self.kernel.sql(&txn, text, &[], false)).await;
            let reply = reply.unwrap_or_else(|error| panic!("{error}, in {text}"));
            let SqlReply::Done(Outcome::Rows(_, mut rows)) = reply else { return vec![] };
            let mut batches = Vec::new();
            while let Some(batch) = rows.next().await {
                batches.push(batch.unwrap_or_else(|error| panic!("{error}, in {text}")));
            }
            batches
        })
    }

    /// Runs a program that only reads, as a request does. What it reads must be in memory.
    pub fn run(&self, program: Program) -> State {
        let txn = self.txn();
        let prepared = self.kernel.prepare(program, txn.deadline).expect("the program is small");
        futures::executor::block_on(Box::pin(self.kernel.run(&txn, &prepared))).expect("the program has a result")
    }

    /// Runs a program that only reads, on whole columns where that can be done, or row by row.
    pub fn run_on(&self, program: Program, columns: bool) -> State {
        let txn = self.txn();
        let kernel = if columns { &self.kernel } else { &self.by_rows };
        let prepared = kernel.prepare(program, txn.deadline).expect("the program is small");
        self.block_on(Box::pin(kernel.run(&txn, &prepared))).expect("the program has a result")
    }

    /// Makes a table of tables.sql.
    pub fn create(&self, table: &str) {
        self.sql(definition(table));
    }

    /// Inserts batches into a table and commits them; returns the number of rows.
    pub fn load(&self, table: &str, batches: impl IntoIterator<Item = RecordBatch>) -> u64 {
        self.block_on(Box::pin(async {
            let txn = self.transaction();
            let table = txn.table(&path(table)).await.expect("the catalog can be read").expect("there is the table");
            let mut loader = Loader::new(&txn, &table, Mode::Insert).await.expect("the table can be written");
            let mut order: Option<Vec<usize>> = None;
            for batch in batches {
                // Rows are stored with the key first.
                let order = order.get_or_insert_with(|| {
                    let columns = table.schema.columns.iter();
                    let place = |name: &str| batch.schema().index_of(name).expect("the batch has all columns");
                    columns.map(|column| place(column.name.as_str())).collect()
                });
                let batch = batch.project(order).expect("the columns were found");
                let batch = cast_batch(&table.schema, &batch).expect("the rows fit");
                loader.push(batch).await.expect("rows can be written");
            }
            let rows = loader.finish().await.expect("no key repeats");
            txn.commit().await.expect("nobody else writes");
            rows
        }))
    }

    /// Writes everything to segments, and merges those that should be.
    pub fn settle(&self) {
        self.block_on(Box::pin(async {
            self.store.checkpoint().await.expect("segments can be written");
            while self.store.compact().await.expect("segments can be merged") {}
        }));
    }

    /// Closes the store as a host does that is asked to stop.
    pub fn close(self) {
        self.runtime.block_on(Box::pin(self.store.close()));
    }

    fn txn(&self) -> Txn {
        Txn { id: self.id(), deadline: Instant::now() + TIME_MAX, token: None, actor: None, access: None, watch: None }
    }

    fn id(&self) -> TxnId {
        TxnId { timestamp: self.next.fetch_add(1, Ordering::Relaxed), nonce: 0 }
    }
}

/// The path of a table that SQL made.
pub fn path(table: &str) -> String {
    format!("/service/sql/public/0.0.0/{table}")
}

/// Threads that a query uses.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
