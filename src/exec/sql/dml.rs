//! Statements that write rows: each is a query for the rows that it writes.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{Column as Named, DataFusionError};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, WriteOp};
use datafusion::sql::sqlparser::ast::{self, Statement, TableObject};
use futures::{StreamExt as _, TryStreamExt as _};

use super::Script;
use super::catalog::path_of;
use crate::error::{Error, Kind, Result};
use crate::exec::relation::error::internal;
use crate::storage::codec::{cast_batch, cell, rows};
use crate::storage::{Loader, Mode};
use crate::value::encode::to_json;
use crate::value::schema::Column;
use crate::value::{State, Table, Tuple};

/// What the old key columns are called beside the new values of an UPDATE.
const OLD: &str = "__old_";

impl Script<'_> {
    /// Runs a statement that writes; returns how many rows it wrote.
    pub(super) async fn write(&self, statement: Statement) -> Result<u64> {
        if let Statement::Insert(insert) = &statement
            && super::merge::does_nothing(insert)?
        {
            let mut plain = insert.clone();
            plain.on = None;
            return self.insert_new(Statement::Insert(plain)).await;
        }
        if let Statement::Insert(insert) = &statement
            && insert.on.is_some()
        {
            let merge = super::merge::of_insert(self, insert).await?;
            return Box::pin(self.write(merge)).await;
        }
        if let Statement::Update(update) = &statement
            && update.from.is_some()
        {
            let merge = super::merge::of_update(update)?;
            return Box::pin(self.write(merge)).await;
        }
        let listed = match &statement {
            Statement::Insert(insert) => self.listed(insert).await?,
            _ => vec![],
        };
        let written = match self.plan(statement).await? {
            LogicalPlan::Dml(dml) => self.dml(dml).await,
            other => Err(Error::internal(format!("a statement that writes is planned as {}", other.display()))),
        };
        written.map_err(|error| named_column(error, &listed))
    }

    /// Inserts the rows whose keys are not there yet; returns how many.
    async fn insert_new(&self, statement: Statement) -> Result<u64> {
        let LogicalPlan::Dml(dml) = self.plan(statement).await? else {
            return Err(Error::internal("an INSERT that is planned as something else"));
        };
        let name = dml.table_name.table().to_string();
        let table = self.txn().table(&path_of(&name)).await?;
        let table = table.ok_or_else(|| Error::not_found(format!("table {name}")))?;
        if table.schema.indexes.iter().any(|index| index.unique) {
            let message = "ON CONFLICT DO NOTHING on a table with UNIQUE constraints is not supported";
            return Err(Error::new(Kind::NotImplemented, message));
        }
        let order: Vec<String> = dml.input.schema().fields().iter().map(|field| field.name().clone()).collect();
        let places = places(&table, &order)?;
        let found: Vec<RecordBatch> =
            self.stream(dml.input.as_ref().clone()).await?.try_collect().await.map_err(internal)?;
        let mut inserted = 0;
        for batch in found {
            let batch = batch.project(&places).map_err(|error| internal(error.into()))?;
            let batch = cast_batch(&table.schema, &batch)?;
            for row in rows(&table.schema.columns.iter().collect::<Vec<_>>(), &batch)? {
                inserted += u64::from(self.txn().insert(&table, &row).await?);
            }
        }
        Ok(inserted)
    }

    /// The columns that an INSERT gives values for, in the order in which it does.
    async fn listed(&self, insert: &ast::Insert) -> Result<Vec<String>> {
        if !insert.columns.is_empty() {
            return Ok(insert.columns.iter().map(ToString::to_string).collect());
        }
        let TableObject::TableName(name) = &insert.table else { return Ok(vec![]) };
        let table = self.table(name).await?;
        Ok(declared(&table).into_iter().map(|column| column.name.to_string()).collect())
    }

    async fn dml(&self, dml: DmlStatement) -> Result<u64> {
        let name = dml.table_name.table().to_string();
        let table = self.txn().table(&path_of(&name)).await?;
        let table = table.ok_or_else(|| Error::not_found(format!("table {name}")))?;
        match dml.op {
            WriteOp::Insert(op) => {
                let mode = match op {
                    InsertOp::Append => Mode::Insert,
                    InsertOp::Replace => Mode::Upsert,
                    InsertOp::Overwrite => return Err(Error::new(Kind::NotImplemented, "INSERT OVERWRITE")),
                };
                let plan = dml.input.as_ref().clone();
                let order = plan.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
                self.load(&table, plan, &order, mode).await
            }
            WriteOp::Update => self.update(&table, dml.input.as_ref()).await,
            WriteOp::Delete => self.delete(&table, dml.input.as_ref()).await,
            WriteOp::MergeInto(merge) => self.merge(&table, &dml.table_name, dml.input.as_ref(), &merge).await,
            other => Err(Error::new(Kind::NotImplemented, format!("the statement {other} is not supported"))),
        }
    }

    /// Inserts the rows of a query, whose columns have the names in `order`, into a new table.
    pub(super) async fn fill(&self, table: &Arc<Table>, plan: LogicalPlan, order: &[String]) -> Result<u64> {
        let columns = order.iter().map(|name| Expr::Column(Named::from_name(name)));
        let plan = LogicalPlanBuilder::from(plan).project(columns).and_then(LogicalPlanBuilder::build);
        self.load(table, plan.map_err(internal)?, order, Mode::Insert).await
    }

    /// Writes the rows of a query, whose columns have the names in `order`.
    async fn load(&self, table: &Arc<Table>, plan: LogicalPlan, order: &[String], mode: Mode) -> Result<u64> {
        let places = places(table, order)?;
        let mut batches = self.stream(plan).await?;
        let mut loader = Loader::new(self.txn(), table, mode).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(internal)?;
            let batch = batch.project(&places).map_err(|error| internal(error.into()))?;
            loader.push(cast_batch(&table.schema, &batch)?).await?;
        }
        loader.finish().await
    }

    /// Replaces rows by those of a query, whose columns are those of the table.
    async fn update(&self, table: &Arc<Table>, input: &LogicalPlan) -> Result<u64> {
        let LogicalPlan::Projection(projection) = input else {
            return Err(Error::internal("an UPDATE that is no projection"));
        };
        let child = projection.input.as_ref();
        let order: Vec<String> = input.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut exprs = projection.expr.clone();
        let changes_key = table.schema.key().iter().any(|key| {
            let expr = order.iter().position(|name| name == key.name.as_str()).map(|at| &exprs[at]);
            !matches!(expr.map(unaliased), Some(Expr::Column(column)) if column.name == key.name.as_str())
        });
        if changes_key {
            for key in table.schema.key() {
                exprs.push(old_column(child, &exprs, key.name.as_str())?.alias(format!("{OLD}{}", key.name)));
            }
        }
        let plan = LogicalPlanBuilder::from(child.clone()).project(exprs).and_then(LogicalPlanBuilder::build);
        let changed = self.stream(plan.map_err(internal)?).await?;
        let changed: Vec<RecordBatch> = changed.try_collect().await.map_err(internal)?;
        let places = places(table, &order)?;
        if changes_key {
            for batch in &changed {
                let old: Vec<usize> = (order.len()..batch.num_columns()).collect();
                self.delete_keys(table, &batch.project(&old).map_err(|error| internal(error.into()))?).await?;
            }
        }
        let mode = if changes_key { Mode::Insert } else { Mode::Upsert };
        let mut loader = Loader::new(self.txn(), table, mode).await?;
        for batch in &changed {
            let batch = batch.project(&places).map_err(|error| internal(error.into()))?;
            loader.push(cast_batch(&table.schema, &batch)?).await?;
        }
        loader.finish().await
    }

    /// Deletes the rows of a query that has the columns of the table.
    async fn delete(&self, table: &Arc<Table>, input: &LogicalPlan) -> Result<u64> {
        let keys = table.schema.key().iter().map(|key| old_column(input, &[], key.name.as_str()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlanBuilder::from(input.clone()).project(keys).and_then(LogicalPlanBuilder::build);
        // All of them are found before the first is deleted.
        let found: Vec<RecordBatch> =
            self.stream(plan.map_err(internal)?).await?.try_collect().await.map_err(internal)?;
        let mut deleted = 0;
        for keys in &found {
            deleted += self.delete_keys(table, keys).await?;
        }
        Ok(deleted)
    }

    /// Deletes the rows whose keys are the columns of a batch; returns how many there were.
    pub(super) async fn delete_keys(&self, table: &Arc<Table>, keys: &RecordBatch) -> Result<u64> {
        let mut deleted = 0;
        for row in 0..keys.num_rows() {
            let key: Vec<State> = (table.schema.key().iter().enumerate())
                .map(|(at, column)| cell(column, keys.column(at).as_ref(), row))
                .collect::<Result<_>>()?;
            deleted += u64::from(self.txn().delete(table, &key).await?);
        }
        Ok(deleted)
    }

    /// Writes the rows of a batch that has the columns of the table.
    pub(super) async fn put_rows(&self, table: &Arc<Table>, batch: &RecordBatch, mode: Mode) -> Result<u64> {
        let batch = cast_batch(&table.schema, batch)?;
        for row in rows(&table.schema.columns.iter().collect::<Vec<_>>(), &batch)? {
            match mode {
                Mode::Upsert => self.txn().put(table, &row).await?,
                Mode::Insert => {
                    if !self.txn().insert(table, &row).await? {
                        let key = Tuple::try_new(&row[..table.schema.key_len])?;
                        return Err(Error::bad_request(format!(
                            "there is already a row with the key {}",
                            to_json(&key.into())
                        )));
                    }
                }
            }
        }
        Ok(batch.num_rows() as u64)
    }
}

/// The columns of a table in the order in which they were declared.
pub(super) fn declared(table: &Table) -> Vec<&Column> {
    let mut columns: Vec<&Column> = table.schema.columns.iter().collect();
    columns.sort_by_key(|column| column.ordinal);
    columns
}

/// An error about a list of VALUES, where columns are only numbered, with the name of the column.
fn named_column(error: Error, listed: &[String]) -> Error {
    let number = error.message().split_once("Column 'column").and_then(|(_, rest)| {
        let (digits, rest) = rest.split_once('\'')?;
        rest.contains("non-nullable").then(|| digits.parse::<usize>().ok()).flatten()
    });
    match number.and_then(|number| listed.get(number.checked_sub(1)?)) {
        Some(name) => Error::bad_request(format!("the column {name} cannot be null")),
        None => error,
    }
}

/// The place of each column of the table among columns with the names in `order`.
fn places(table: &Table, order: &[String]) -> Result<Vec<usize>> {
    let place = |name: &str| order.iter().position(|other| other == name);
    let missing = |name: &str| Error::internal(format!("a row without {name}"));
    let columns = table.schema.columns.iter();
    columns.map(|column| place(column.name.as_str()).ok_or_else(|| missing(column.name.as_str()))).collect()
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
