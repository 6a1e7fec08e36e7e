//! MERGE, and INSERT … ON CONFLICT, which is one.
//!
//! The source is joined with the table; each row of the join is given the number of the first clause that applies, and the
//! values that this clause writes. Then all of them are written.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::TableReference;
use datafusion::common::{Column as Named, JoinType};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::dml::{MergeIntoAction, MergeIntoClause, MergeIntoClauseKind, MergeIntoOp};
use datafusion::logical_expr::expr_fn::when;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{
    self, ConflictTarget, Ident, OnConflict, OnConflictAction, OnInsert, Statement, TableObject, TableWithJoins,
    UpdateTableFromKind, visit_expressions_mut,
};
use futures::TryStreamExt as _;

use super::Script;
use super::ddl::normalized;
use super::dml::declared;
use crate::error::{Error, Kind, Result};
use crate::exec::relation::CollectionProvider;
use crate::exec::relation::cells::scalar;
use crate::exec::relation::error::internal;
use crate::storage::Mode;
use crate::storage::codec::{cell, data_type, encode_key};
use crate::value::Table;
use crate::value::schema::Column;

const ACTION: &str = "__action";
const TARGET: &str = "__target";
const SOURCE: &str = "__source";
const OLD: &str = "__old_";
const NEW: &str = "__new_";
/// No clause applies.
const NONE: i64 = -1;

impl Script<'_> {
    /// Runs a MERGE into `table`, whose columns are qualified with `name`; returns how many rows it wrote.
    pub(super) async fn merge(
        &self,
        table: &Arc<Table>,
        name: &TableReference,
        source: &LogicalPlan,
        merge: &MergeIntoOp,
    ) -> Result<u64> {
        let plan = joined(table, name, source, merge)?;
        let batches: Vec<RecordBatch> = self.stream(plan).await?.try_collect().await.map_err(internal)?;
        let mut touched = HashSet::new();
        let mut chosen = Vec::new();
        for batch in &batches {
            for (number, clause) in merge.clauses.iter().enumerate() {
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
        for rows in chosen.iter().filter(|rows| rows.mode != Some(Mode::Upsert)) {
            let deleted = if rows.deletes { self.delete_keys(table, &rows.old).await? } else { 0 };
            written += if rows.mode.is_none() { deleted } else { 0 };
        }
        for rows in &chosen {
            if let Some(mode) = rows.mode {
                written += self.put_rows(table, &rows.new, mode).await?;
            }
        }
        Ok(written)
    }
}

/// Rows for which a clause was chosen.
struct Chosen {
    /// Whether the rows with the old keys go.
    deletes: bool,
    /// How the new rows are written, if there are any.
    mode: Option<Mode>,
    old: RecordBatch,
    new: RecordBatch,
}

impl Chosen {
    /// # Errors
    /// `BadRequest` if a row of the table is changed a second time.
    fn new(
        table: &Table,
        clause: &MergeIntoClause,
        rows: &RecordBatch,
        touched: &mut HashSet<Vec<u8>>,
    ) -> Result<Self> {
        let keys = table.schema.key_len;
        let part = |from: usize, to: usize| {
            rows.project(&(from..to).collect::<Vec<_>>()).map_err(|error| internal(error.into()))
        };
        let (old, new) = (part(1, 1 + keys)?, part(1 + keys, rows.num_columns())?);
        if clause.kind == MergeIntoClauseKind::Matched || clause.kind == MergeIntoClauseKind::NotMatchedBySource {
            for row in 0..old.num_rows() {
                if !touched.insert(key_of(table, &old, row)?) {
                    return Err(Error::bad_request(
                        "a statement cannot change one row twice: its source matches it twice",
                    ));
                }
            }
        }
        let is_key = |name: &str| table.schema.key().iter().any(|key| key.name.as_str() == name);
        let (deletes, mode) = match &clause.action {
            MergeIntoAction::Delete => (true, None),
            MergeIntoAction::Insert { .. } => (false, Some(Mode::Insert)),
            MergeIntoAction::Update(assignments) => match assignments.iter().any(|(name, _)| is_key(name)) {
                true => (true, Some(Mode::Insert)),
                false => (false, Some(Mode::Upsert)),
            },
        };
        Ok(Self { deletes, mode, old, new })
    }
}

fn key_of(table: &Table, keys: &RecordBatch, row: usize) -> Result<Vec<u8>> {
    let columns = table.schema.key();
    let cells = columns.iter().enumerate().map(|(at, column)| cell(column, keys.column(at).as_ref(), row));
    encode_key(columns.iter(), &cells.collect::<Result<Vec<_>>>()?)
}

/// The rows that a MERGE writes: the number of the clause, the old key, the new columns.
fn joined(table: &Arc<Table>, name: &TableReference, source: &LogicalPlan, merge: &MergeIntoOp) -> Result<LogicalPlan> {
    let provider = provider_as_source(Arc::new(CollectionProvider::new(Arc::clone(table))));
    let target = LogicalPlanBuilder::scan(name.clone(), provider, None).and_then(|target| marked(target, TARGET));
    let target = target.and_then(LogicalPlanBuilder::build).map_err(internal)?;
    let all = merge.clauses.iter().any(|clause| clause.kind == MergeIntoClauseKind::NotMatchedBySource);
    let kind = if all { JoinType::Full } else { JoinType::Left };
    let plan = marked(LogicalPlanBuilder::from(source.clone()), SOURCE)
        .and_then(|source| source.join_on(target, kind, [merge.on.clone()]))
        .map_err(internal)?;

    let mut number = Expr::Case(datafusion::logical_expr::Case::new(None, vec![], Some(Box::new(lit(NONE)))));
    if let Expr::Case(case) = &mut number {
        for (at, clause) in merge.clauses.iter().enumerate() {
            case.when_then_expr.push((Box::new(condition(clause)), Box::new(lit(at as i64))));
        }
    }
    let everything: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let plan = plan
        .project(everything.into_iter().chain([number.alias(ACTION)]))
        .and_then(|plan| plan.filter(named(ACTION).gt_eq(lit(0i64))))
        .map_err(internal)?;

    let mut outputs = vec![named(ACTION)];
    for key in table.schema.key() {
        outputs.push(qualified(name, key).alias(format!("{OLD}{}", key.name)));
    }
    for column in &table.schema.columns {
        outputs.push(new_value(name, column, table, merge)?);
    }
    plan.project(outputs).and_then(LogicalPlanBuilder::build).map_err(internal)
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
    let mut value: Option<datafusion::logical_expr::conditional_expressions::CaseBuilder> = None;
    for (at, clause) in merge.clauses.iter().enumerate() {
        let written = match &clause.action {
            MergeIntoAction::Delete => continue,
            MergeIntoAction::Update(assignments) => {
                let assigned = assignments.iter().find(|(assigned, _)| assigned == column.name.as_str());
                assigned.map_or_else(|| qualified(name, column), |(_, value)| value.clone())
            }
            MergeIntoAction::Insert { columns, values } => inserted(column, table, columns, values)?,
        };
        let written = datafusion::logical_expr::cast(written, data_type(column));
        let applies = named(ACTION).eq(lit(at as i64));
        value = Some(match value {
            None => when(applies, written),
            Some(mut value) => value.when(applies, written),
        });
    }
    let value = match value {
        Some(value) => value.end().map_err(internal)?,
        None => datafusion::logical_expr::cast(lit(datafusion::common::ScalarValue::Null), data_type(column)),
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

/// Whether an INSERT leaves rows as they are whose keys are there.
///
/// # Errors
/// `NotImplemented` for a conflict that is not one of the primary key.
pub(super) fn does_nothing(insert: &ast::Insert) -> Result<bool> {
    match &insert.on {
        Some(OnInsert::OnConflict(OnConflict { conflict_target: None, action: OnConflictAction::DoNothing })) => {
            match insert.returning.is_some() || insert.or.is_some() {
                true => Err(Error::new(Kind::NotImplemented, "RETURNING with ON CONFLICT is not supported")),
                false => Ok(true),
            }
        }
        _ => Ok(false),
    }
}

/// The MERGE that does what an INSERT with ON CONFLICT … DO UPDATE does.
pub(super) async fn of_insert(script: &Script<'_>, insert: &ast::Insert) -> Result<Statement> {
    let unsupported = |what: &str| Error::new(Kind::NotImplemented, format!("{what} is not supported"));
    if insert.returning.is_some() || insert.or.is_some() {
        return Err(unsupported("RETURNING, or INSERT OR, with ON CONFLICT"));
    }
    let (TableObject::TableName(name), Some(source)) = (&insert.table, &insert.source) else {
        return Err(unsupported("ON CONFLICT without a table and a source"));
    };
    let Some(OnInsert::OnConflict(OnConflict { conflict_target, action })) = &insert.on else {
        return Err(unsupported("ON DUPLICATE KEY"));
    };
    let table = script.table(name).await?;
    check_target(&table, conflict_target.as_ref())?;
    let columns: Vec<String> = match insert.columns.is_empty() {
        true => declared(&table).iter().map(|column| column.name.to_string()).collect(),
        false => insert.columns.iter().map(column_name).collect::<Result<_>>()?,
    };
    let quote = |name: &str| Ident::with_quote('"', name).to_string();
    let new = |name: &str| quote(&format!("{NEW}{name}"));
    let join = |items: Vec<String>| items.join(", ");
    let target = insert.table_alias.as_ref().map_or_else(|| name.to_string(), |alias| alias.alias.to_string());
    let mut text = format!("MERGE INTO {name}");
    if let Some(alias) = &insert.table_alias {
        let _ = write!(text, " AS {}", alias.alias);
    }
    let _ = write!(text, " USING ({source}) AS excluded({})", join(columns.iter().map(|name| new(name)).collect()));
    let matches = table.schema.key().iter().map(|key| {
        let key = key.name.as_str();
        format!("{target}.{} = excluded.{}", quote(key), new(key))
    });
    let _ = write!(text, " ON {}", matches.collect::<Vec<_>>().join(" AND "));
    if let OnConflictAction::DoUpdate(update) = action {
        let mut update = update.clone();
        let _ = visit_expressions_mut(&mut update.assignments, rename_excluded);
        let _ = visit_expressions_mut(&mut update.selection, rename_excluded);
        text.push_str(" WHEN MATCHED");
        if let Some(selection) = &update.selection {
            let _ = write!(text, " AND ({selection})");
        }
        let assignments = update.assignments.iter().map(ToString::to_string).collect();
        let _ = write!(text, " THEN UPDATE SET {}", join(assignments));
    }
    let _ = write!(
        text,
        " WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
        join(columns.iter().map(|name| quote(name)).collect()),
        join(columns.iter().map(|name| format!("excluded.{}", new(name))).collect())
    );
    super::parse(&text)?.into_iter().next().ok_or_else(|| Error::internal("a MERGE that is no statement"))
}

/// The MERGE that does what an UPDATE with FROM does.
pub(super) fn of_update(update: &ast::Update) -> Result<Statement> {
    if update.returning.is_some() || update.limit.is_some() || !update.order_by.is_empty() || update.or.is_some() {
        let message = "UPDATE with FROM and RETURNING, LIMIT, ORDER BY or OR is not supported";
        return Err(Error::new(Kind::NotImplemented, message));
    }
    let from = match &update.from {
        Some(UpdateTableFromKind::AfterSet(from) | UpdateTableFromKind::BeforeSet(from)) => from.as_slice(),
        None => &[],
    };
    let ([TableWithJoins { relation, joins }], true) = (from, update.table.joins.is_empty()) else {
        return Err(Error::new(Kind::NotImplemented, "UPDATE with several tables in FROM is not supported"));
    };
    if !joins.is_empty() {
        return Err(Error::new(Kind::NotImplemented, "UPDATE with a join in FROM is not supported"));
    }
    let condition = update.selection.as_ref().map_or_else(|| "TRUE".into(), ToString::to_string);
    let assignments: Vec<String> = update.assignments.iter().map(ToString::to_string).collect();
    let text = format!(
        "MERGE INTO {} USING {relation} ON {condition} WHEN MATCHED THEN UPDATE SET {}",
        update.table,
        assignments.join(", ")
    );
    super::parse(&text)?.into_iter().next().ok_or_else(|| Error::internal("a MERGE that is no statement"))
}

fn column_name(name: &ast::ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(normalized),
        _ => None,
    }
    .ok_or_else(|| Error::bad_request(format!("{name} is not the name of a column")))
}

/// Conflicts are those of the primary key.
fn check_target(table: &Table, target: Option<&ConflictTarget>) -> Result<()> {
    let columns = match target {
        None => return Ok(()),
        Some(ConflictTarget::Columns(columns)) => columns,
        Some(ConflictTarget::OnConstraint(name)) => {
            let message = format!("ON CONFLICT ON CONSTRAINT {name} is not supported");
            return Err(Error::new(Kind::NotImplemented, message));
        }
    };
    let mut named: Vec<String> = columns.iter().map(normalized).collect();
    let mut key: Vec<String> = table.schema.key().iter().map(|key| key.name.to_string()).collect();
    named.sort();
    key.sort();
    match named == key {
        true => Ok(()),
        false => Err(Error::new(
            Kind::NotImplemented,
            format!("ON CONFLICT ({}), which is not the primary key, is not supported", named.join(", ")),
        )),
    }
}

/// The columns of `excluded` have names of their own, so that a bare name is one of the table.
fn rename_excluded(expr: &mut ast::Expr) -> ControlFlow<()> {
    if let ast::Expr::CompoundIdentifier(parts) = expr
        && let [table, column] = parts.as_mut_slice()
        && normalized(table) == "excluded"
    {
        *column = Ident::with_quote('"', format!("{NEW}{}", normalized(column)));
    }
    ControlFlow::Continue(())
}
