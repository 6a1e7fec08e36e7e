//! Plans of statements, and what is kept of them for the next time.
//!
//! A physical plan names tables and holds no rows ([`crate::exec::relation`]), so it serves every transaction that sees the
//! same tables. It was chosen for some amount of rows, so it is made again when that has changed much. Of a statement that
//! writes, what it does with its rows is kept beside the plan of these ([`super::write`]).

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::TableReference;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::physical_plan::{ExecutionPlan, execution_plan::reset_plan_states};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement;
use lru::LruCache;
use parking_lot::Mutex;

use super::catalog::{CATALOG, Catalogs, INFORMATION, PAST, SCHEMA, TENSORS, Tables, find};
use super::constants::Constants;
use super::lookup::Lookup;
use super::past;
use super::read::KeyedRead;
use super::tensors;
use super::write::{Source, Write};
use crate::error::Result;
use crate::exec::data::Session;
use crate::exec::relation::CollectionProvider;
use crate::exec::relation::error::internal;
use crate::storage::Transaction;
use crate::storage::codec::KeyRange;
use crate::value::Table;

/// Plans that are kept.
const PLANS_MAX: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");
/// Bytes of a text whose plan is kept.
const TEXT_MAX: usize = 16 << 10;
/// By which factor the rows of a table may change before its plans are made again.
const GROWTH_MAX: u64 = 4;

/// What scripts were run with that were asked before.
pub(crate) struct Plans {
    plans: Mutex<LruCache<Key, Kept>>,
}

/// A text, and the types of its parameters.
type Key = (String, Vec<DataType>);

#[derive(Clone)]
struct Kept {
    template: Template,
    /// What is done with the rows, if they are not those of a query.
    write: Option<Arc<Write>>,
    /// The tables that are used, with the rows that they had.
    tables: Vec<(Arc<Table>, u64)>,
}

/// Where rows come from, for whichever values of parameters.
#[derive(Clone)]
enum Template {
    /// A plan without parameters.
    Physical(Arc<dyn ExecutionPlan>),
    /// A plan with parameters, after all rules were applied: values are put in their places, and what depends on them,
    /// such as the range of keys, is chosen each time.
    Logical(Arc<LogicalPlan>),
    /// Rows that are computed without a plan.
    Constants(Arc<Constants>),
    /// The row with one key.
    Key(Arc<KeyedRead>),
}

/// What a script is about to be run with.
pub(super) struct Ready {
    pub(super) source: Source,
    /// What is done with the rows, if they are not those of a query.
    pub(super) write: Option<Arc<Write>>,
}

/// What a script was run with.
pub(super) struct Used<'a> {
    pub(super) planned: &'a Planned,
    pub(super) source: &'a Source,
    /// The plan of the source without the values of parameters, if there are any.
    pub(super) unbound: Option<&'a LogicalPlan>,
    pub(super) write: Option<&'a Arc<Write>>,
}

fn key_of(text: &str, params: &[ScalarValue]) -> Key {
    (text.to_string(), params.iter().map(ScalarValue::data_type).collect())
}

impl Plans {
    pub(crate) fn new() -> Self {
        Self { plans: Mutex::new(LruCache::new(PLANS_MAX)) }
    }

    /// What a script was run with before, if it still fits.
    pub(super) async fn find(&self, session: &Session, text: &str, params: &[ScalarValue]) -> Result<Option<Ready>> {
        let (key, txn) = (key_of(text, params), session.txn());
        let Some(kept) = self.plans.lock().get(&key).cloned() else { return Ok(None) };
        for (table, rows) in &kept.tables {
            session.will_read(&table.name).await?;
            let now = txn.table(&table.name).await?;
            if now.as_ref() != Some(table) || !kept.template.suits(*rows, || rows_of(txn, table)) {
                self.plans.lock().pop(&key);
                return Ok(None);
            }
        }
        let source = match kept.template {
            Template::Physical(plan) => Source::Plan(reset_plan_states(plan).map_err(internal)?),
            Template::Logical(plan) => {
                let Some(plan) = bound(&plan, params) else { return Ok(None) };
                let state = session.engine().session(txn);
                let planner = Arc::clone(state.query_planner());
                Source::Plan(planner.create_physical_plan(&plan, &state).await.map_err(internal)?)
            }
            Template::Constants(constants) => Source::Constants(constants),
            Template::Key(read) => Source::Key(read),
        };
        Ok(Some(Ready { source, write: kept.write }))
    }

    /// Whether what is kept of a script takes no more than some microseconds to run.
    pub(crate) fn is_quick(&self, text: &str, params: &[ScalarValue]) -> bool {
        self.plans.lock().peek(&key_of(text, params)).is_some_and(|kept| {
            let lookup = kept.write.as_ref().and_then(|write| write.lookup.as_ref());
            kept.template.is_quick() && lookup.is_none_or(Lookup::is_quick)
        })
    }

    /// Keeps what a script was run with for the next time, unless it may mean something else then: the information schema,
    /// the time.
    pub(super) fn keep(&self, session: &Session, (text, params): (&str, &[ScalarValue]), used: &Used<'_>) {
        let Some(tables) = used.planned.tables.as_ref().filter(|tables| !tables.is_empty()) else { return };
        if text.len() > TEXT_MAX {
            return;
        }
        let Some(template) = Template::of(session, params, used) else { return };
        let rows = |table: &Arc<Table>| (Arc::clone(table), rows_of(session.txn(), table));
        let kept = Kept { template, write: used.write.cloned(), tables: tables.iter().map(rows).collect() };
        self.plans.lock().put(key_of(text, params), kept);
    }
}

impl Template {
    fn of(session: &Session, params: &[ScalarValue], used: &Used<'_>) -> Option<Self> {
        let plan = match (used.source, used.unbound) {
            (Source::Constants(constants), _) => return Some(Template::Constants(Arc::clone(constants))),
            (Source::Key(read), _) => return Some(Template::Key(Arc::clone(read))),
            (Source::Plan(plan), None) if has_scalar_subquery(plan) => return None,
            // Without what it remembers of being run.
            (Source::Plan(plan), None) => return reset_plan_states(Arc::clone(plan)).ok().map(Template::Physical),
            (Source::Plan(_), Some(unbound)) => session.engine().session(session.txn()).optimize(unbound).ok()?,
        };
        // Some rules need to know the values.
        bound(&plan, params).is_some().then(|| Template::Logical(Arc::new(plan)))
    }

    /// Whether it was a good choice for so many rows, and still is. There is only one way to compute constants, or to read one
    /// row.
    fn suits(&self, before: u64, now: impl FnOnce() -> u64) -> bool {
        matches!(self, Template::Constants(_) | Template::Key(_)) || is_alike(before, now())
    }

    /// Whether this takes no more than some microseconds.
    fn is_quick(&self) -> bool {
        match self {
            Template::Physical(_) | Template::Logical(_) => false,
            Template::Constants(constants) => constants.is_quick(),
            Template::Key(read) => read.is_quick(),
        }
    }
}

/// Whether a plan has a node that keeps its results when it is reset, so that two requests cannot use it at once.
fn has_scalar_subquery(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.name() == "ScalarSubqueryExec" || plan.children().into_iter().any(has_scalar_subquery)
}

/// A plan with the values of its parameters, each of the type that the plan was made for; nothing if one has another.
fn bound(plan: &LogicalPlan, params: &[ScalarValue]) -> Option<LogicalPlan> {
    let types = plan.get_parameter_types().ok()?;
    let mut values = params.to_vec();
    for (name, ty) in types {
        let number: usize = name.strip_prefix('$')?.parse().ok()?;
        let value = values.get_mut(number.checked_sub(1)?)?;
        let cast = value.cast_to(&ty?).ok()?;
        // What does not survive the cast is compared as it is, by a plan of its own.
        if cast.is_null() != value.is_null() || cast.cast_to(&value.data_type()).ok().as_ref() != Some(value) {
            return None;
        }
        *value = cast;
    }
    plan.clone().with_param_values(values).ok()
}

fn rows_of(txn: &Transaction, table: &Table) -> u64 {
    txn.estimate(table, None, &KeyRange::all()).rows_max
}

fn is_alike(before: u64, now: u64) -> bool {
    let (less, more) = (before.min(now), before.max(now));
    more <= less.saturating_mul(GROWTH_MAX).max(1024)
}

/// The logical plan of a statement.
pub(super) struct Planned {
    /// With the values of its parameters.
    pub(super) plan: LogicalPlan,
    /// Without them, if it has any.
    pub(super) unbound: Option<LogicalPlan>,
    /// The tables that it uses, unless it means something else each time.
    tables: Option<Vec<Arc<Table>>>,
}

/// Plans a statement.
pub(super) async fn plan(session: &Arc<Session>, mut statement: Statement, params: &[ScalarValue]) -> Result<Planned> {
    let past = Box::pin(past::replace(session, &mut statement, params)).await?;
    let tensors = Box::pin(tensors::replace(session, &mut statement, params)).await?;
    // These are of this session alone.
    let has_own = !past.is_empty() || !tensors.is_empty();
    let tables = Tables::new(session.txn(), past, tensors);
    let mut state = session.engine().session(session.txn());
    state.register_catalog_list(Arc::new(Catalogs(Arc::clone(&tables))));
    let defaults = &mut state.config_mut().options_mut().catalog;
    (defaults.default_catalog, defaults.default_schema) = (CATALOG.into(), SCHEMA.into());
    let statement = Parsed::Statement(Box::new(statement));
    let references = state.resolve_table_references(&statement).map_err(internal)?;
    let is_listed = references.iter().any(asks_what_there_is);
    let shows = matches!(
        &statement,
        Parsed::Statement(statement)
            if matches!(statement.as_ref(), Statement::ShowTables { .. } | Statement::ShowColumns { .. })
    );
    // SHOW is a query of the information schema that only DataFusion's own has an answer to.
    state.config_mut().options_mut().catalog.information_schema = shows;
    if is_listed || shows {
        tables.list(session).await?;
    }
    let is_table = |name: &&TableReference| {
        let is_function = state.table_functions().contains_key(name.table());
        !is_function && !asks_what_there_is(name) && !matches!(name.schema(), Some(PAST | TENSORS))
    };
    for name in references.iter().filter(is_table) {
        session.will_read(&find(session.txn(), name).await?.name).await?;
    }
    let plan = match state.statement_to_plan(statement.clone()).await {
        Ok(plan) => plan,
        // Perhaps it groups by a key, and names columns that the key determines. Where it does not, DataFusion would group by
        // all of these.
        Err(_) => {
            tables.say_keys();
            state.statement_to_plan(statement).await.and_then(without_constraints).map_err(internal)?
        }
    };
    let is_volatile = is_listed || shows || has_own || has_volatile(&plan);
    let tables = (!is_volatile).then(|| tables.take_found());
    if params.is_empty() {
        return Ok(Planned { plan, unbound: None, tables });
    }
    let with_values = plan.clone().with_param_values(params.to_vec()).map_err(internal)?;
    Ok(Planned { plan: with_values, unbound: Some(plan), tables })
}

/// A plan that does not know what is unique in a table. DataFusion 55.2 takes the key of one table of a join for that of the
/// join, and leaves out columns to group and sort by. By now it has allowed the columns that a GROUP BY of a key determines.
fn without_constraints(plan: LogicalPlan) -> datafusion::common::Result<LogicalPlan> {
    let plain = |node: LogicalPlan| match node {
        LogicalPlan::TableScan(mut scan) => {
            let provider = source_as_provider(&scan.source)?;
            let Some(table) = provider.downcast_ref::<CollectionProvider>() else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            scan.source = provider_as_source(Arc::new(table.without_constraints()));
            let plain = TableScanBuilder::new(scan.table_name, scan.source)
                .with_projection(scan.projection)
                .with_filters(scan.filters)
                .with_fetch(scan.fetch)
                .build()?;
            Ok(Transformed::yes(LogicalPlan::TableScan(plain)))
        }
        node => node.recompute_schema().map(Transformed::yes),
    };
    plan.transform_up_with_subqueries(plain).map(|transformed| transformed.data)
}

/// Whether what a statement names is about all tables.
fn asks_what_there_is(name: &TableReference) -> bool {
    name.schema() == Some(INFORMATION)
}

/// Whether a plan calls functions whose value belongs to the moment at which it was made.
fn has_volatile(plan: &LogicalPlan) -> bool {
    use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
    use datafusion::logical_expr::{Expr, Volatility};
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr {
                    found |= call.func.signature().volatility != Volatility::Immutable;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found || visited.is_err()
}
