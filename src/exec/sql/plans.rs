//! Plans of queries, and those that are kept for the next time.
//!
//! A physical plan names tables and holds no rows ([`crate::exec::relation`]), so it serves every transaction that sees the
//! same tables. It was chosen for some amount of rows, so it is made again when that has changed much.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::TableReference;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execution_plan::reset_plan_states};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement;
use lru::LruCache;
use parking_lot::Mutex;

use super::catalog::{CATALOG, Catalogs, SCHEMA, Tables};
use crate::error::Result;
use crate::exec::data::Session;
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

/// The plans of queries that were asked before.
pub(crate) struct Plans {
    plans: Mutex<LruCache<(String, Vec<ScalarValue>), Kept>>,
}

#[derive(Clone)]
struct Kept {
    plan: Arc<dyn ExecutionPlan>,
    /// The tables that it reads, with the rows that they had.
    tables: Vec<(Arc<Table>, u64)>,
}

impl Plans {
    pub(crate) fn new() -> Self {
        Self { plans: Mutex::new(LruCache::new(PLANS_MAX)) }
    }

    /// The plan of a query that was asked before, if it still fits.
    pub(super) async fn find(
        &self,
        txn: &Arc<Transaction>,
        text: &str,
        params: &[ScalarValue],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let key = (text.to_string(), params.to_vec());
        let Some(kept) = self.plans.lock().get(&key).cloned() else { return Ok(None) };
        for (table, rows) in &kept.tables {
            let now = txn.table(&table.name).await?;
            let is_same = now.as_ref() == Some(table) && is_alike(*rows, rows_of(txn, table));
            if !is_same {
                self.plans.lock().pop(&key);
                return Ok(None);
            }
        }
        reset_plan_states(kept.plan).map(Some).map_err(internal)
    }

    /// Keeps a plan for the next time. A query without tables may mean something else next time: the information
    /// schema, the time.
    pub(super) fn keep(
        &self,
        txn: &Arc<Transaction>,
        text: &str,
        params: &[ScalarValue],
        plan: &Arc<dyn ExecutionPlan>,
        tables: Option<Vec<Arc<Table>>>,
    ) {
        let Some(tables) = tables.filter(|tables| !tables.is_empty()) else { return };
        if text.len() > TEXT_MAX {
            return;
        }
        let tables = tables.into_iter().map(|table| {
            let rows = rows_of(txn, &table);
            (table, rows)
        });
        let kept = Kept { plan: Arc::clone(plan), tables: tables.collect() };
        self.plans.lock().put((text.to_string(), params.to_vec()), kept);
    }
}

fn rows_of(txn: &Transaction, table: &Table) -> u64 {
    txn.estimate(table, None, &KeyRange::all()).rows_max
}

fn is_alike(before: u64, now: u64) -> bool {
    let (less, more) = (before.min(now), before.max(now));
    more <= less.saturating_mul(GROWTH_MAX).max(1024)
}

/// The logical plan of a statement with the values of its parameters; and the tables that it reads, unless it means
/// something else each time.
pub(super) async fn plan(
    session: &Arc<Session>,
    statement: Statement,
    params: &[ScalarValue],
) -> Result<(LogicalPlan, Option<Vec<Arc<Table>>>)> {
    let tables = Tables::new(session.txn());
    let mut state = session.engine().session(session.txn());
    state.register_catalog_list(Arc::new(Catalogs(Arc::clone(&tables))));
    let defaults = &mut state.config_mut().options_mut().catalog;
    (defaults.default_catalog, defaults.default_schema) = (CATALOG.into(), SCHEMA.into());
    let statement = Parsed::Statement(Box::new(statement));
    let references = state.resolve_table_references(&statement).map_err(internal)?;
    let is_listed = references.iter().any(|reference| reference.schema().is_some_and(|schema| schema != SCHEMA));
    let shows =
        !matches!(&statement, Parsed::Statement(statement) if matches!(statement.as_ref(), Statement::Query(_)));
    // SHOW is a query of the information schema that only DataFusion's own has an answer to.
    state.config_mut().options_mut().catalog.information_schema = shows;
    if is_listed || shows {
        tables.list().await?;
    }
    let named = references.iter().filter(|name| !state.table_functions().contains_key(name.table()));
    if let Some(missing) = missing(session, named).await? {
        return Err(crate::error::Error::not_found(format!("table {missing}")));
    }
    let plan = state.statement_to_plan(statement).await.map_err(internal)?;
    let is_volatile = is_listed || shows || has_volatile(&plan);
    let plan = match params.is_empty() {
        true => plan,
        false => plan.with_param_values(params.to_vec()).map_err(internal)?,
    };
    Ok((plan, (!is_volatile).then(|| tables.take_found())))
}

/// A table that is named and not there, if the name cannot be that of anything else.
async fn missing<'a>(
    session: &Arc<Session>,
    references: impl Iterator<Item = &'a TableReference>,
) -> Result<Option<String>> {
    for reference in references {
        if reference.schema().is_none_or(|schema| schema == SCHEMA) {
            let table = session.txn().table(&super::catalog::path_of(reference.table())).await?;
            if table.is_none() {
                return Ok(Some(reference.table().to_string()));
            }
        }
    }
    Ok(None)
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
