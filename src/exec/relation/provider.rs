//! Collections as tables of DataFusion.
//!
//! A provider names a table and holds no rows: the transaction whose rows a plan reads is found in the context that
//! the plan runs in. So one plan serves many requests.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraint, Constraints, DFSchema, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;

use super::cells::scalar;
use super::error::external;
use super::predicate::KeyPredicate;
use super::scan::{Access, ScanExec};
use super::statistics::column_statistics;
use crate::storage::Transaction;
use crate::storage::codec::arrow_schema;
use crate::value::{State, Table};

/// Rows of one partition that are worth a thread.
const PARTITION_ROWS_MIN: u64 = 32_768;
/// Rows from which on it is worth to look at what footers say of columns.
const STATISTICS_ROWS_MIN: u64 = 16_384;
/// An index is used if it leaves at most one row in this many: each of its rows is fetched by key.
const INDEX_SELECTIVITY: u64 = 50;

/// A collection as a table.
#[derive(Debug)]
pub(crate) struct CollectionProvider {
    table: Arc<Table>,
    /// The positions of the columns in the order in which they were declared; rows are stored with the key first.
    order: Vec<usize>,
    schema: SchemaRef,
    constraints: Constraints,
    /// What columns are where an INSERT does not name them.
    defaults: HashMap<String, Expr>,
}

impl CollectionProvider {
    /// The rows of `table`.
    pub(crate) fn new(table: Arc<Table>) -> Self {
        let columns = &table.schema.columns;
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by_key(|position| columns[*position].ordinal);
        let stored = arrow_schema(&table.schema);
        // What a field says about storage would stand in the way where columns of several queries meet.
        let plain = |position: &usize| stored.field(*position).clone().with_metadata(HashMap::new());
        let fields: Vec<Field> = order.iter().map(plain).collect();
        let schema = Arc::new(ArrowSchema::new(fields));
        let key: Vec<usize> = (0..order.len()).filter(|at| order[*at] < table.schema.key_len).collect();
        let declared = columns.iter().filter(|column| column.default != State::NONE);
        let defaults = declared
            .filter_map(|column| {
                Some((column.name.to_string(), Expr::Literal(scalar(column, &column.default).ok()?, None)))
            })
            .collect();
        let constraints = Constraints::new_unverified(match key.is_empty() {
            true => vec![],
            false => vec![Constraint::PrimaryKey(key)],
        });
        Self { table, order, schema, constraints, defaults }
    }

    /// The same table, of which it is not said what is unique.
    pub(crate) fn without_constraints(&self) -> Self {
        Self { constraints: Constraints::default(), ..Self::new(Arc::clone(&self.table)) }
    }

    /// Those of `filters` that can be checked with the statistics of what is read.
    fn predicates(&self, state: &dyn Session, filters: &[Expr]) -> Vec<Arc<dyn PhysicalExpr>> {
        let Ok(schema) = DFSchema::try_from(self.schema.as_ref().clone()) else { return vec![] };
        let predicate = |filter: &Expr| state.create_physical_expr(filter.clone(), &schema).ok();
        filters.iter().filter_map(predicate).collect()
    }

    /// The best way to the rows that may match `filters`.
    fn access(&self, txn: &Transaction, filters: &[Expr]) -> crate::error::Result<Access> {
        let schema = &self.table.schema;
        let predicate = KeyPredicate::new(schema, filters);
        let primary = predicate.range(&schema.primary_columns()[..schema.key_len])?;
        let rows = txn.estimate(&self.table, None, &primary.range).rows_max;
        let mut best = Access { index: None, range: primary.range, rows };
        for (position, index) in schema.indexes.iter().enumerate() {
            let found = predicate.range(&schema.index_columns(index))?;
            if !found.is_constrained {
                continue;
            }
            let rows = txn.estimate(&self.table, Some(position), &found.range).rows_max;
            if rows.saturating_mul(INDEX_SELECTIVITY) < best.rows {
                best = Access { index: Some(position), range: found.range, rows };
            }
        }
        Ok(best)
    }
}

#[async_trait]
impl TableProvider for CollectionProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.defaults.get(column)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let txn = transaction(state.config())?;
        let access = self.access(&txn, filters).map_err(external)?;
        let read: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.order.len()).collect());
        let schema = Arc::new(self.schema.project(&read)?);
        let columns: Vec<usize> = read.into_iter().map(|at| self.order[at]).collect();
        let partitions = match access.index {
            Some(_) => 1,
            None => {
                let most = (access.rows / PARTITION_ROWS_MIN).clamp(1, state.config().target_partitions() as u64);
                most as usize
            }
        };
        let rows = txn.estimate(&self.table, None, &access.range);
        // Filters of a limited scan would choose which rows are the first.
        let predicates = if limit.is_none() { self.predicates(state, filters) } else { vec![] };
        let table = Arc::clone(&self.table);
        let footers = match rows.rows_max >= STATISTICS_ROWS_MIN {
            true => txn.footers(&self.table).await.map_err(external)?,
            false => vec![],
        };
        let statistics = column_statistics(&self.table, &columns, &footers, rows.rows_max);
        let scan = ScanExec::new(table, &schema, columns, access, rows, partitions, limit)?;
        Ok(Arc::new(scan.pruned_by(predicates).with_statistics(statistics)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // They narrow the range of keys that is read; what is read is filtered again.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// The transaction that a plan is made for, or runs in.
pub(super) fn transaction(config: &datafusion::execution::config::SessionConfig) -> Result<Arc<Transaction>> {
    config
        .get_extension::<Transaction>()
        .ok_or_else(|| external(crate::error::Error::internal("a plan without a transaction")))
}
