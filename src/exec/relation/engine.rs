//! Plans and runs queries with DataFusion, within a transaction.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::config::Dialect;
use datafusion::datasource::provider_as_source;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use datafusion::prelude::SessionConfig;
use lru::LruCache;
use parking_lot::Mutex;

use super::cells::scalar;
use super::error::internal;
use super::planner::Planner;
use super::predicate::is_ordered_alike;
use super::provider::CollectionProvider;
use super::rules::{logical_rules, physical_rules};
use super::sort_key::{sort_key, sort_key_of};
use super::spill::SealedSpills;
use super::threads::Threads;
use crate::compiler::collection::Access;
use crate::error::Result;
use crate::storage::Transaction;
use crate::storage::codec::KeyRange;
use crate::value::collection::{Bound, Condition, View};
use crate::value::{Collection, Schema, State, Table, Value};

/// What all queries of a host share.
#[derive(Clone)]
pub struct Engine {
    base: Arc<SessionState>,
    /// Nothing to run queries where they are asked for.
    query_threads: Option<Threads>,
    /// Threads that one query uses.
    threads: usize,
    views: Arc<Mutex<LruCache<ViewKey, Arc<dyn ExecutionPlan>>>>,
}

/// What a plan of a view depends on: the view, and roughly how many rows its table has, as a power of [`GROWTH`].
#[derive(Clone, PartialEq, Eq, Hash)]
struct ViewKey {
    table: Arc<Table>,
    view: View,
    magnitude: u32,
}

/// Up to how many bytes or rows one thread builds the table of a hash join for all.
const BUILD_BYTES_MAX: usize = 32 << 20;
const BUILD_ROWS_MAX: usize = 1 << 20;
/// Plans of views that are kept.
const VIEWS_MAX: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");
/// By which factor the rows of a table may change before its plans are made again.
const GROWTH: u64 = 8;

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// What queries may use.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Bytes of memory for sorts, joins and aggregates of all queries together; beyond it they spill.
    pub memory_bytes: usize,
    /// Where they spill to; nothing to fail instead.
    pub spill_dir: Option<std::path::PathBuf>,
    /// Whether what they spill is encrypted.
    pub seals_spills: bool,
    /// Threads that one query uses.
    pub threads: usize,
    /// Whether queries have threads of their own, rather than those of whoever asks: for hosts that serve others.
    pub is_apart: bool,
}

impl Engine {
    /// An engine.
    ///
    /// # Errors
    /// `Internal` if its directory cannot be used.
    pub fn new(config: &EngineConfig) -> Result<Self> {
        let disk = match &config.spill_dir {
            Some(path) if config.seals_spills => DiskManagerMode::Custom(Arc::new(SealedSpills::new(path)?)),
            Some(path) => DiskManagerMode::Directories(vec![path.clone()]),
            None => DiskManagerMode::Disabled,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(config.memory_bytes)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
            .build_arc()
            .map_err(internal)?;
        let mut session = SessionConfig::new()
            .with_target_partitions(config.threads.max(1))
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false);
        let options = session.options_mut();
        options.sql_parser.dialect = Dialect::PostgreSQL;
        options.sql_parser.map_string_types_to_utf8view = true;
        options.execution.collect_statistics = true;
        // It refuses plans whose schemas differ in nothing that can be named, such as some of INTERSECT within UNION ALL.
        options.execution.skip_physical_aggregate_schema_check = true;
        // To hash the other side of a join into parts costs more than to build one table of so many rows.
        options.optimizer.hash_join_single_partition_threshold = BUILD_BYTES_MAX;
        options.optimizer.hash_join_single_partition_threshold_rows = BUILD_ROWS_MAX;
        let base = SessionStateBuilder::new()
            .with_config(session)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_query_planner(Arc::new(Planner))
            .with_optimizer_rules(logical_rules())
            .with_physical_optimizer_rules(physical_rules())
            .build();
        let query_threads = if config.is_apart { Some(Threads::new(config.threads)?) } else { None };
        let threads = config.threads.max(1);
        Ok(Self { base: Arc::new(base), query_threads, threads, views: Arc::new(Mutex::new(LruCache::new(VIEWS_MAX))) })
    }

    /// Threads that one query uses.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// The state of one query: whatever it reads, it reads in `txn`.
    pub(crate) fn session(&self, txn: &Arc<Transaction>) -> SessionState {
        let mut state = self.base.as_ref().clone();
        state.config_mut().set_extension(Arc::clone(txn));
        // What `now()` is.
        state.mark_start_execution();
        state
    }

    /// The physical plan of a view, which may have been made for another transaction.
    pub(crate) async fn plan_view(
        &self,
        txn: &Arc<Transaction>,
        collection: &Collection,
        access: &Access,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = txn.estimate(&collection.table, None, &KeyRange::all()).rows_max;
        let magnitude = rows.checked_ilog(GROWTH).unwrap_or_default();
        let key = ViewKey { table: Arc::clone(&collection.table), view: collection.view.clone(), magnitude };
        if let Some(plan) = self.views.lock().get(&key) {
            return reset_plan_states(Arc::clone(plan)).map_err(internal);
        }
        let state = self.session(txn);
        let plan = view_plan(collection, access)?;
        let plan = state.create_physical_plan(&plan).await.map_err(internal)?;
        self.views.lock().put(key, Arc::clone(&plan));
        Ok(plan)
    }

    /// Runs a physical plan.
    pub(crate) fn run(
        &self,
        txn: &Arc<Transaction>,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<SendableRecordBatchStream> {
        let context = self.session(txn).task_ctx();
        match &self.query_threads {
            None => execute_stream(plan, context).map_err(internal),
            Some(threads) => threads.stream(plan.schema(), move || execute_stream(plan, context)),
        }
    }

    /// Does what may take long where it holds up nobody but other queries.
    pub(crate) async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match &self.query_threads {
            None => work.await,
            Some(threads) => threads.run(work).await,
        }
    }
}

/// The logical plan of a table.
fn table_plan(table: &Arc<Table>) -> Result<LogicalPlanBuilder> {
    let provider = Arc::new(CollectionProvider::new(Arc::clone(table)));
    LogicalPlanBuilder::scan("t", provider_as_source(provider), None).map_err(internal)
}

/// The logical plan of a view: filter, order, limit, columns.
fn view_plan(collection: &Collection, access: &Access) -> Result<LogicalPlan> {
    let (schema, view) = (&collection.table.schema, &collection.view);
    let mut plan = table_plan(&collection.table)?;
    for (position, condition) in &view.filter {
        plan = plan.filter(condition_expr(schema, *position, condition)?).map_err(internal)?;
    }
    let sort = access.order.iter().map(|position| ordered(schema, *position).sort(!access.reverse, !access.reverse));
    plan = plan.sort(sort.collect::<Vec<_>>()).map_err(internal)?;
    if let Some(limit) = view.limit {
        plan = plan.limit(0, Some(usize::try_from(limit).unwrap_or(usize::MAX))).map_err(internal)?;
    }
    // SQL may have declared the columns in another order than rows are stored in.
    let stored = || (!schema.columns.is_sorted_by_key(|column| column.ordinal)).then(|| schema.primary_columns());
    if let Some(columns) = view.columns.clone().or_else(stored) {
        plan = plan.project(columns.iter().map(|position| column(schema, *position))).map_err(internal)?;
    }
    plan.build().map_err(internal)
}

fn column(schema: &Schema, position: usize) -> Expr {
    Expr::Column(Column::from_name(schema.columns[position].name.as_str()))
}

/// What orders the cells of a column.
fn ordered(schema: &Schema, position: usize) -> Expr {
    let column = column(schema, position);
    match is_ordered_alike(schema.columns[position].ty) {
        true => column,
        false => sort_key(&schema.columns[position], column),
    }
}

fn condition_expr(schema: &Schema, position: usize, condition: &Condition) -> Result<Expr> {
    let declared = &schema.columns[position];
    let literal = |state: &State| {
        let value = if is_ordered_alike(declared.ty) { scalar(declared, state) } else { sort_key_of(declared, state) };
        value.map(|value| Expr::Literal(value, None))
    };
    let cells = || ordered(schema, position);
    let (from, to) = match condition {
        Condition::Equal(State::Value(Value::None)) => return Ok(column(schema, position).is_null()),
        Condition::Equal(state) => return Ok(cells().eq(literal(state)?)),
        Condition::Range(from, to) => (from, to),
    };
    let from = match from {
        Bound::Open => None,
        Bound::Inclusive(state) => Some(cells().gt_eq(literal(state)?)),
        Bound::Exclusive(state) => Some(cells().gt(literal(state)?)),
    };
    let to = match to {
        Bound::Open => None,
        Bound::Inclusive(state) => Some(cells().lt_eq(literal(state)?)),
        Bound::Exclusive(state) => Some(cells().lt(literal(state)?)),
    };
    Ok(match (from, to) {
        (Some(from), Some(to)) => from.and(to),
        (Some(bound), None) | (None, Some(bound)) => bound,
        (None, None) => datafusion::logical_expr::lit(true),
    })
}
