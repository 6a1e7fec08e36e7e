//! MERGE.
//!
//! Each row of the source is given the row of the table that matches it, then the number of the first clause that applies,
//! and the values that this clause writes. Then all of them are written. What matches is looked up by its key if the
//! condition says that ([`lookup`]); otherwise the source is joined with the table ([`joined`]).

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::{Column as Named, DFSchema, JoinType, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::conditional_expressions::CaseBuilder;
use datafusion::logical_expr::dml::{MergeIntoAction, MergeIntoClause, MergeIntoClauseKind, MergeIntoOp};
use datafusion::logical_expr::expr_fn::when;
use datafusion::logical_expr::{Case, Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};

use super::Script;
use super::computation::Compiler;
use super::dml::declared;
use super::lookup::{ACTION, KeyCondition, Lookup, SOURCE, TARGET};
use crate::error::{Error, Result};
use crate::exec::relation::CollectionProvider;
use crate::exec::relation::cells::scalar;
use crate::exec::relation::error::internal;
use crate::storage::Mode;
use crate::storage::codec::{cell, data_type, encode_key};
use crate::value::Table;
use crate::value::schema::Column;

/// What the names of old key columns begin with.
pub(super) const OLD: &str = "__old_";
/// What the names of new columns begin with.
pub(super) const NEW: &str = "__new_";
/// No clause applies.
pub(super) const NONE: i64 = -1;

/// What a clause does with the rows for which it is chosen.
pub(super) struct Clause {
    /// Whether it changes rows that are there, which it may do once for each.
    changes: bool,
    /// Whether the rows with the old keys go.
    deletes: bool,
    /// How the new rows are written, if there are any.
    mode: Option<Mode>,
}

impl Clause {
    /// The clauses of a MERGE, in their order.
    pub(super) fn all(table: &Table, merge: &MergeIntoOp) -> Vec<Self> {
        merge.clauses.iter().map(|clause| Self::new(table, clause)).collect()
    }

    fn new(table: &Table, clause: &MergeIntoClause) -> Self {
        let is_key = |name: &str| table.schema.key().iter().any(|key| key.name.as_str() == name);
        let (deletes, mode) = match &clause.action {
            MergeIntoAction::Delete => (true, None),
            MergeIntoAction::Insert { .. } => (false, Some(Mode::Insert)),
            MergeIntoAction::Update(assignments) => match assignments.iter().any(|(name, _)| is_key(name)) {
                true => (true, Some(Mode::Insert)),
                false => (false, Some(Mode::Upsert)),
            },
        };
        Self { changes: !clause.kind.is_not_matched_by_target(), deletes, mode }
    }
}

impl Script<'_> {
    /// Writes rows of [`outputs`]; returns how many rows that changed.
    pub(super) async fn merge(&self, table: &Table, clauses: &[Clause], rows: &[RecordBatch]) -> Result<u64> {
        let mut touched = HashSet::new();
        let mut chosen = Vec::new();
        for batch in rows {
            for (number, clause) in clauses.iter().enumerate() {
                let actions = batch.column(0).as_primitive::<Int64Type>();
                let is_chosen: BooleanArray =
                    actions.iter().map(|action| Some(action == Some(number as i64))).collect();
                let rows = filter_record_batch(batch, &is_chosen).map_err(|error| internal(error.into()))?;
                if rows.num_rows() > 0 {
                    chosen.push(Chosen::new(table, clause, &rows, &mut touched)?);
                }
            }
        }
        // What goes makes place for what comes, wherever both are.
        let mut written = 0;
        for rows in chosen.iter().filter(|rows| rows.clause.mode != Some(Mode::Upsert)) {
            let deleted = if rows.clause.deletes { self.delete_keys(table, &rows.old).await? } else { 0 };
            written += if rows.clause.mode.is_none() { deleted } else { 0 };
        }
        for rows in &chosen {
            if let Some(mode) = rows.clause.mode {
                written += self.put_rows(table, &rows.new, mode).await?;
            }
        }
        Ok(written)
    }
}

/// Rows for which a clause was chosen.
struct Chosen<'a> {
    clause: &'a Clause,
    old: RecordBatch,
    new: RecordBatch,
}

impl<'a> Chosen<'a> {
    /// # Errors
    /// `BadRequest` if a row of the table is changed a second time.
    fn new(table: &Table, clause: &'a Clause, rows: &RecordBatch, touched: &mut HashSet<Vec<u8>>) -> Result<Self> {
        let keys = table.schema.key_len;
        let part = |from: usize, to: usize| {
            rows.project(&(from..to).collect::<Vec<_>>()).map_err(|error| internal(error.into()))
        };
        let (old, new) = (part(1, 1 + keys)?, part(1 + keys, rows.num_columns())?);
        if clause.changes {
            for row in 0..old.num_rows() {
                if !touched.insert(key_of(table, &old, row)?) {
                    return Err(Error::bad_request(
                        "a statement cannot change one row twice: its source matches it twice",
                    ));
                }
            }
        }
        Ok(Self { clause, old, new })
    }
}

fn key_of(table: &Table, keys: &RecordBatch, row: usize) -> Result<Vec<u8>> {
    let columns = table.schema.key();
    let cells = columns.iter().enumerate().map(|(at, column)| cell(column, keys.column(at).as_ref(), row));
    encode_key(columns.iter(), &cells.collect::<Result<Vec<_>>>()?)
}

/// Looks up what a MERGE matches with rows of a source; nothing if it has to be found in another way.
pub(super) fn lookup(
    compiler: &Compiler<'_>,
    table: &Arc<Table>,
    name: &TableReference,
    source: &DFSchema,
    merge: &MergeIntoOp,
) -> Option<Lookup> {
    if is_about_all(merge) {
        return None;
    }
    let condition = KeyCondition::of(table, name, &merge.on).filter(|condition| condition.is_all)?;
    let outputs = outputs(table, name, merge).ok()?;
    Lookup::new(compiler, (table, name), source, condition.keys, action(merge), outputs)
}

/// Whether a MERGE also changes rows that no row of its source matches.
fn is_about_all(merge: &MergeIntoOp) -> bool {
    merge.clauses.iter().any(|clause| clause.kind == MergeIntoClauseKind::NotMatchedBySource)
}

/// The rows that a MERGE writes, by a join: see [`outputs`].
pub(super) fn joined(
    table: &Arc<Table>,
    name: &TableReference,
    source: &LogicalPlan,
    merge: &MergeIntoOp,
) -> Result<LogicalPlan> {
    let provider = provider_as_source(Arc::new(CollectionProvider::new(Arc::clone(table))));
    let target = LogicalPlanBuilder::scan(name.clone(), provider, None).and_then(|target| marked(target, TARGET));
    let target = target.and_then(LogicalPlanBuilder::build).map_err(internal)?;
    let kind = if is_about_all(merge) { JoinType::Full } else { JoinType::Left };
    let plan = marked(LogicalPlanBuilder::from(source.clone()), SOURCE)
        .and_then(|source| source.join_on(target, kind, [merge.on.clone()]))
        .map_err(internal)?;
    let everything: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let plan = plan
        .project(everything.into_iter().chain([action(merge).alias(ACTION)]))
        .and_then(|plan| plan.filter(named(ACTION).gt_eq(lit(0i64))))
        .map_err(internal)?;
    plan.project(outputs(table, name, merge)?).and_then(LogicalPlanBuilder::build).map_err(internal)
}

/// The number of the clause that applies to a row of the join.
fn action(merge: &MergeIntoOp) -> Expr {
    let clauses = merge.clauses.iter().enumerate();
    let choices = clauses.map(|(at, clause)| (Box::new(condition(clause)), Box::new(lit(at as i64))));
    Expr::Case(Case::new(None, choices.collect(), Some(Box::new(lit(NONE)))))
}

/// What is written for a row of the join: the number of the clause, the old key, the new columns.
fn outputs(table: &Table, name: &TableReference, merge: &MergeIntoOp) -> Result<Vec<Expr>> {
    let mut outputs = vec![named(ACTION)];
    for key in table.schema.key() {
        outputs.push(qualified(name, key).alias(format!("{OLD}{}", key.name)));
    }
    for column in &table.schema.columns {
        outputs.push(new_value(name, column, table, merge)?);
    }
    Ok(outputs)
}

/// A plan with a column that is null where an outer join has no row of it.
fn marked(plan: LogicalPlanBuilder, mark: &str) -> datafusion::common::Result<LogicalPlanBuilder> {
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    plan.project(columns.into_iter().chain([lit(true).alias(mark)]))
}

fn named(name: &str) -> Expr {
    Expr::Column(Named::from_name(name))
}

fn qualified(table: &TableReference, column: &Column) -> Expr {
    Expr::Column(Named::new(Some(table.clone()), column.name.as_str()))
}

/// When a clause applies, if none before it does.
fn condition(clause: &MergeIntoClause) -> Expr {
    let (target, source) = (named(TARGET), named(SOURCE));
    let kind = match clause.kind {
        MergeIntoClauseKind::Matched => target.is_not_null().and(source.is_not_null()),
        MergeIntoClauseKind::NotMatched | MergeIntoClauseKind::NotMatchedByTarget => target.is_null(),
        MergeIntoClauseKind::NotMatchedBySource => source.is_null(),
    };
    match &clause.predicate {
        Some(predicate) => kind.and(predicate.clone()),
        None => kind,
    }
}

/// What the chosen clause writes to a column, which is nothing if it deletes.
fn new_value(name: &TableReference, column: &Column, table: &Table, merge: &MergeIntoOp) -> Result<Expr> {
    let mut value: Option<CaseBuilder> = None;
    for (at, clause) in merge.clauses.iter().enumerate() {
        let written = match &clause.action {
            MergeIntoAction::Delete => continue,
            MergeIntoAction::Update(assignments) => {
                let assigned = assignments.iter().find(|(assigned, _)| assigned == column.name.as_str());
                assigned.map_or_else(|| qualified(name, column), |(_, value)| value.clone())
            }
            MergeIntoAction::Insert { columns, values } => inserted(column, table, columns, values)?,
        };
        let written = cast(written, data_type(column));
        let applies = named(ACTION).eq(lit(at as i64));
        value = Some(match value {
            None => when(applies, written),
            Some(mut value) => value.when(applies, written),
        });
    }
    let value = match value {
        Some(value) => value.end().map_err(internal)?,
        None => cast(lit(ScalarValue::Null), data_type(column)),
    };
    Ok(value.alias(format!("{NEW}{}", column.name)))
}

fn inserted(column: &Column, table: &Table, columns: &[String], values: &[Expr]) -> Result<Expr> {
    let at = match columns.is_empty() {
        true => declared(table).iter().position(|other| other.name == column.name),
        false => columns.iter().position(|name| name == column.name.as_str()),
    };
    match at.and_then(|at| values.get(at)) {
        Some(value) => Ok(value.clone()),
        None => Ok(Expr::Literal(scalar(column, &column.default)?, None)),
    }
}
