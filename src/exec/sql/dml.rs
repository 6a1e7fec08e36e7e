//! Statements that write rows: each is a query for the rows that it writes, and a [`Write`] of what is done with them.
//!
//! Many need no query. The rows of VALUES are computed by themselves, and a row whose key a condition says is looked up
//! ([`super::lookup`]).

use std::sync::Arc;

use datafusion::common::{Column as Named, DataFusionError};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, WriteOp};
use datafusion::sql::sqlparser::ast::{self, Statement, TableObject};

use super::Script;
use super::catalog::find;
use super::computation::Compiler;
use super::constants::Constants;
use super::ddl;
use super::lookup::{LOOKUP_ROWS_MAX, Lookup, condition_on};
use super::merge::{self, Clause, OLD};
use super::plans::{self, Planned, Used};
use super::write::{Action, Source, Write, named_column, places};
use crate::error::{Error, Kind, Result};
use crate::exec::relation::error::internal;
use crate::storage::Mode;
use crate::value::Table;
use crate::value::schema::Column;

impl Script<'_> {
    /// Runs a statement that writes; returns how many rows it wrote. What it was planned as is kept if it is all that the
    /// script does.
    pub(super) async fn write(&self, statement: Statement, is_alone: bool) -> Result<u64> {
        let (statement, skips) = self.plain(statement).await?;
        let listed = match &statement {
            Statement::Insert(insert) if !skips => self.listed(insert).await?,
            _ => vec![],
        };
        let written = Box::pin(self.write_plain(statement, skips, &listed, is_alone)).await;
        written.map_err(|error| named_column(error, &listed))
    }

    async fn write_plain(&self, statement: Statement, skips: bool, listed: &[String], is_alone: bool) -> Result<u64> {
        let planned = plans::plan(self.session, statement, self.params).await?;
        let LogicalPlan::Dml(bound) = &planned.plan else {
            let shown = planned.plan.display();
            return Err(Error::internal(format!("a statement that writes is planned as {shown}")));
        };
        let unbound = match &planned.unbound {
            Some(LogicalPlan::Dml(unbound)) => Some(unbound),
            _ => None,
        };
        let table = find(self.txn(), &bound.table_name).await?;
        let change = Change { table, bound, unbound, skips, listed };
        if let Some(written) = self.write_directly(&planned, &change, is_alone).await? {
            return Ok(written);
        }
        self.write_by_query(&planned, &change, is_alone).await
    }

    /// Runs a statement without a query for all that it writes, if that is possible.
    async fn write_directly(&self, planned: &Planned, change: &Change<'_>, is_alone: bool) -> Result<Option<u64>> {
        let state = self.session.engine().session(self.txn());
        let shortcut = change.shortcut(&Compiler::new(&state, self.params));
        let Some((lookup, constants)) = shortcut else { return Ok(None) };
        let write = Arc::new(change.write(lookup)?);
        let source = match constants {
            Some(constants) => Source::Constants(Arc::new(constants)),
            None => Source::Plan(state.create_physical_plan(&change.bound.input).await.map_err(internal)?),
        };
        let written = self.perform(&write, source.clone()).await?;
        if written.is_some() && is_alone {
            let unbound = change.unbound.map(|unbound| unbound.input.as_ref());
            self.keep(&Used { planned, source: &source, unbound, write: Some(&write) });
        }
        Ok(written)
    }

    /// Runs a statement as a query for what it writes.
    async fn write_by_query(&self, planned: &Planned, change: &Change<'_>, is_alone: bool) -> Result<u64> {
        let state = self.session.engine().session(self.txn());
        let write = Arc::new(change.write(None)?);
        let query = change.query(change.bound)?;
        let source = Source::Plan(state.create_physical_plan(&query).await.map_err(internal)?);
        let written = self.perform(&write, source.clone()).await?;
        let written = written.ok_or_else(|| Error::internal("a query for rows that are not written"))?;
        if is_alone {
            let unbound = change.unbound.map(|unbound| change.query(unbound)).transpose();
            // Some plans make no sense without the values of their parameters.
            if let Ok(unbound) = unbound {
                self.keep(&Used { planned, source: &source, unbound: unbound.as_ref(), write: Some(&write) });
            }
        }
        Ok(written)
    }

    /// Deletes all rows of tables.
    pub(super) async fn truncate(&self, truncate: &ast::Truncate) -> Result<()> {
        for target in &truncate.table_names {
            match self.target(&target.name).await {
                Ok(table) => {
                    self.session.will_write(&table).await?;
                    self.txn().clear(&table).await?;
                }
                Err(error) if truncate.if_exists && error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The table whose rows a statement writes.
    pub(super) async fn target(&self, name: &ast::ObjectName) -> Result<Arc<Table>> {
        find(self.txn(), &ddl::reference(name)?).await
    }

    /// The columns that an INSERT gives values for, in the order in which it does.
    async fn listed(&self, insert: &ast::Insert) -> Result<Vec<String>> {
        if !insert.columns.is_empty() {
            return Ok(insert.columns.iter().map(ToString::to_string).collect());
        }
        let TableObject::TableName(name) = &insert.table else { return Ok(vec![]) };
        let table = self.target(name).await?;
        Ok(declared(&table).into_iter().map(|column| column.name.to_string()).collect())
    }

    /// Inserts the rows of a query, whose columns have the names in `order`, into a new table.
    pub(super) async fn fill(&self, table: &Arc<Table>, plan: LogicalPlan, order: &[String]) -> Result<u64> {
        let columns = order.iter().map(|name| Expr::Column(Named::from_name(name)));
        let plan = LogicalPlanBuilder::from(plan).project(columns).and_then(LogicalPlanBuilder::build);
        let places = places(table, order)?;
        let rows = self.stream(plan.map_err(internal)?).await?;
        self.load(table, &places, rows, Mode::Insert).await
    }
}

/// A statement that writes, after it was planned.
struct Change<'a> {
    table: Arc<Table>,
    /// With the values of its parameters.
    bound: &'a DmlStatement,
    /// Without them, if there are any.
    unbound: Option<&'a DmlStatement>,
    /// Whether rows are left as they are whose keys are there.
    skips: bool,
    listed: &'a [String],
}

impl Change<'_> {
    fn write(&self, lookup: Option<Lookup>) -> Result<Write> {
        let (table, listed) = (Arc::clone(&self.table), self.listed.to_vec());
        Ok(Write { table, listed, lookup, action: self.action()? })
    }

    fn action(&self) -> Result<Action> {
        let (table, input) = (&self.table, self.bound.input.as_ref());
        match &self.bound.op {
            WriteOp::Insert(InsertOp::Overwrite) => Err(Error::new(Kind::NotImplemented, "INSERT OVERWRITE")),
            WriteOp::Insert(_) if self.skips && table.schema.indexes.iter().any(|index| index.unique) => {
                let message = "ON CONFLICT DO NOTHING on a table with UNIQUE constraints is not supported";
                Err(Error::new(Kind::NotImplemented, message))
            }
            WriteOp::Insert(_) if self.skips => Ok(Action::InsertNew { places: places(table, &names(input))? }),
            WriteOp::Insert(op) => {
                let mode = if *op == InsertOp::Replace { Mode::Upsert } else { Mode::Insert };
                Ok(Action::Insert { places: places(table, &names(input))?, mode })
            }
            WriteOp::Update => {
                let changes_key = Update::new(table, input)?.changes_key;
                Ok(Action::Update { places: places(table, &names(input))?, changes_key })
            }
            WriteOp::Delete => Ok(Action::Delete),
            WriteOp::MergeInto(merge) => Ok(Action::Merge(Clause::all(table, merge))),
            other => Err(Error::new(Kind::NotImplemented, format!("the statement {other} is not supported"))),
        }
    }

    /// The query for what the statement writes, which is planned with or without the values of its parameters.
    fn query(&self, statement: &DmlStatement) -> Result<LogicalPlan> {
        let input = statement.input.as_ref();
        let (outputs, input) = match &statement.op {
            WriteOp::MergeInto(merge) => {
                return merge::joined(&self.table, &statement.table_name, input, merge);
            }
            WriteOp::Update => {
                let update = Update::new(&self.table, input)?;
                (update.outputs, update.input)
            }
            WriteOp::Delete => (key_columns(&self.table, input)?, input),
            _ => return Ok(input.clone()),
        };
        let query = LogicalPlanBuilder::from(input.clone()).project(outputs).and_then(LogicalPlanBuilder::build);
        query.map_err(internal)
    }

    /// How the statement is done without that query, if it can be: what looks up rows of the table, if that is needed, and
    /// the rows to begin with, unless a query is needed for these.
    fn shortcut(&self, compiler: &Compiler<'_>) -> Option<(Option<Lookup>, Option<Constants>)> {
        let (plan, typed) = (self.unbound.unwrap_or(self.bound), self.bound.input.as_ref());
        match &plan.op {
            WriteOp::Insert(_) => Some((None, Some(Constants::new(compiler, &plan.input, typed)?))),
            WriteOp::Update | WriteOp::Delete => {
                Some((Some(self.keyed(compiler, plan)?), Some(Constants::one_row(compiler)?)))
            }
            WriteOp::MergeInto(_) if typed.max_rows().is_some_and(|rows| rows > LOOKUP_ROWS_MAX) => None,
            WriteOp::MergeInto(merge) => {
                let lookup = merge::lookup(compiler, &self.table, &plan.table_name, typed.schema(), merge)?;
                Some((Some(lookup), Constants::new(compiler, &plan.input, typed)))
            }
            _ => None,
        }
    }

    /// Looks up the one row that an UPDATE or DELETE is about, if its condition says what the key of the row is.
    fn keyed(&self, compiler: &Compiler<'_>, plan: &DmlStatement) -> Option<Lookup> {
        let input = plan.input.as_ref();
        let (outputs, input) = match plan.op {
            WriteOp::Update => {
                let update = Update::new(&self.table, input).ok()?;
                (update.outputs, update.input)
            }
            _ => (key_columns(&self.table, input).ok()?, input),
        };
        let (condition, scanned, name) = condition_on(input)?;
        if *scanned != plan.table_name {
            return None;
        }
        let lookup = Lookup::of_condition(compiler, (&self.table, &name), condition, outputs)?;
        let is_expected = plan.op == WriteOp::Delete || lookup.yields(self.bound.input.schema().fields());
        is_expected.then_some(lookup)
    }
}

/// What an UPDATE computes, of the rows that it changes.
struct Update<'a> {
    /// The columns of the table and, if keys change, the old keys.
    outputs: Vec<Expr>,
    input: &'a LogicalPlan,
    changes_key: bool,
}

impl<'a> Update<'a> {
    /// # Errors
    /// `Internal` if that is not how an UPDATE is planned.
    fn new(table: &Table, input: &'a LogicalPlan) -> Result<Self> {
        let LogicalPlan::Projection(projection) = input else {
            return Err(Error::internal("an UPDATE that is no projection"));
        };
        let order = names(input);
        let (mut outputs, input) = (projection.expr.clone(), projection.input.as_ref());
        let changes_key = table.schema.key().iter().any(|key| {
            let output = order.iter().position(|name| name == key.name.as_str()).map(|at| &outputs[at]);
            !matches!(output.map(unaliased), Some(Expr::Column(column)) if column.name == key.name.as_str())
        });
        if changes_key {
            for key in table.schema.key() {
                outputs.push(old_column(input, &outputs, key.name.as_str())?.alias(format!("{OLD}{}", key.name)));
            }
        }
        Ok(Self { outputs, input, changes_key })
    }
}

/// The key columns of a table among the columns of a plan.
fn key_columns(table: &Table, input: &LogicalPlan) -> Result<Vec<Expr>> {
    table.schema.key().iter().map(|key| old_column(input, &[], key.name.as_str())).collect()
}

/// The names of the columns of a plan.
fn names(plan: &LogicalPlan) -> Vec<String> {
    plan.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// The columns of a table in the order in which they were declared.
pub(super) fn declared(table: &Table) -> Vec<&Column> {
    let mut columns: Vec<&Column> = table.schema.columns.iter().collect();
    columns.sort_by_key(|column| column.ordinal);
    columns
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        expr => expr,
    }
}

/// The column of the table that a statement writes to, among those of its input. Where several tables have a column of
/// that name, the one whose other columns stay as they are is the table's.
fn old_column(input: &LogicalPlan, exprs: &[Expr], name: &str) -> Result<Expr> {
    let kept = exprs.iter().find_map(|expr| match unaliased(expr) {
        Expr::Column(column) => column.relation.clone(),
        _ => None,
    });
    let schema = input.schema();
    let found = match kept {
        Some(relation) => schema.qualified_field_with_name(Some(&relation), name),
        None => schema.qualified_field_with_unqualified_name(name),
    };
    let (relation, field) = found.map_err(|error: DataFusionError| internal(error))?;
    Ok(Expr::Column(Named::new(relation.cloned(), field.name())))
}
