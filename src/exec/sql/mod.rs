//! SQL: scripts that run in one transaction.
//!
//! DataFusion parses and plans; what changes tables is done here, by the same transaction that programs use.
//!
//! 1. A statement that writes is a query for the rows to write ([`dml`], [`merge`]); [`write`](mod@write) is what is done with
//!    them. [`conflict`] says in other words what DataFusion has no plan for;
//! 2. few rows are computed without a query ([`computation`], [`constants`]), and found by their keys ([`lookup`]);
//! 3. what a script was run with is kept for the next time ([`plans`]);
//! 4. [`ddl`] changes which tables there are; [`catalog`] shows them to DataFusion, also as they were ([`past`]), and tensors
//!    ([`tensors`]).

mod catalog;
mod chains;
mod computation;
mod conflict;
mod constants;
mod ddl;
mod dml;
mod lookup;
mod merge;
mod past;
mod plans;
mod read;
mod tensors;
mod types;
mod write;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

pub(crate) use catalog::{owns, prefix as tables_prefix};
use futures::StreamExt as _;
pub(crate) use plans::Plans;

use self::plans::{Ready, Used};
use self::read::KeyedRead;
use self::write::{Source, named_column};
use super::data::Session;
use super::relation::error::internal;
use crate::error::{Error, Kind, Result};
use crate::storage::Transaction;

/// How deep expressions and queries may nest.
const DEPTH_MAX: usize = 100;

/// What a script results in: what its last statement does.
pub enum Outcome {
    /// Rows, which are computed as they are read.
    Rows(SchemaRef, SendableRecordBatchStream),
    /// The number of rows that were written.
    Affected(u64),
}

impl Outcome {
    /// The same, with all rows in memory.
    ///
    /// # Errors
    /// As reading the rows; `TooLarge` if they take more than `bytes_max`.
    pub(super) async fn collect(self, bytes_max: usize) -> Result<Self> {
        let Outcome::Rows(schema, mut rows) = self else { return Ok(self) };
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(internal)?;
            bytes += batch.get_array_memory_size();
            batches.push(batch);
            if bytes > bytes_max {
                return Err(Error::too_large(format!(
                    "the rows that a request which writes is answered with take more than {bytes_max} bytes"
                )));
            }
        }
        let rows = MemoryStream::try_new(batches, Arc::clone(&schema), None).map_err(internal)?;
        Ok(Outcome::Rows(schema, Box::pin(rows)))
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Rows(schema, _) => write!(f, "Rows({schema})"),
            Outcome::Affected(rows) => write!(f, "Affected({rows})"),
        }
    }
}

/// A script that is about to run.
pub(super) struct Script<'a> {
    session: &'a Arc<Session>,
    text: &'a str,
    params: &'a [ScalarValue],
}

/// How a script ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Commit,
    Rollback,
}

/// The statements of a text.
///
/// # Errors
/// `BadRequest` with the line and column of what was not understood.
fn parse(text: &str) -> Result<Vec<Statement>> {
    let dialect = PostgreSqlDialect {};
    let tokens = past::rewritten(chains::tokens(text, &dialect)?)?;
    let parser = DFParserBuilder::new(tokens).with_dialect(&dialect).with_recursion_limit(DEPTH_MAX).build();
    let statements = parser.and_then(|mut parser| parser.parse_statements()).map_err(internal)?;
    statements.into_iter().map(statement).collect()
}

fn statement(parsed: Parsed) -> Result<Statement> {
    match parsed {
        Parsed::Statement(statement) => Ok(*statement),
        Parsed::Explain(explain) => Ok(Statement::Explain {
            describe_alias: datafusion::sql::sqlparser::ast::DescribeAlias::Explain,
            analyze: explain.options.analyze,
            verbose: explain.options.verbose,
            query_plan: false,
            estimate: false,
            statement: Box::new(statement(*explain.statement)?),
            format: None,
            options: None,
        }),
        other => Err(Error::new(Kind::NotImplemented, format!("{other} is not supported"))),
    }
}

/// Runs a script. Whether it is committed is up to the caller, unless the script says ROLLBACK.
///
/// # Errors
/// `BadRequest` for what is not SQL or does not fit the tables; `NotFound` for a table that is not there;
/// `NotImplemented` for statements that are not supported.
pub(super) async fn run(session: &Arc<Session>, text: &str, params: &[ScalarValue]) -> Result<(Outcome, bool)> {
    let script = Script { session, text, params };
    if let Some(outcome) = Box::pin(script.again()).await? {
        return Ok((outcome, true));
    }
    let (statements, end) = block(parse(text)?)?;
    // What is rolled back is not to be kept as something that is committed.
    let is_alone = statements.len() == 1 && end == End::Commit;
    let mut outcome = Outcome::Affected(0);
    for statement in statements {
        outcome = Box::pin(script.statement(statement, is_alone)).await?;
        // So that a script of many statements is seen to be late.
        tokio::task::yield_now().await;
    }
    Ok((outcome, end == End::Commit))
}

/// Runs a script with what is kept of it. If nothing is, or it does not fit, nothing was done.
///
/// # Errors
/// As [`run`].
pub(super) async fn again(session: &Arc<Session>, text: &str, params: &[ScalarValue]) -> Result<Option<Outcome>> {
    Script { session, text, params }.again().await
}

/// The statements of a script without BEGIN and COMMIT, which may stand around all of them.
fn block(mut statements: Vec<Statement>) -> Result<(Vec<Statement>, End)> {
    let begins = match statements.first() {
        Some(Statement::StartTransaction { modes, .. }) if !modes.is_empty() => {
            return Err(Error::new(
                Kind::NotImplemented,
                "BEGIN with modes is not supported: every script is serializable",
            ));
        }
        first => matches!(first, Some(Statement::StartTransaction { .. })),
    };
    let end = match statements.last() {
        Some(Statement::Commit { chain: false, .. }) => Some(End::Commit),
        Some(Statement::Rollback { chain: false, savepoint: None }) => Some(End::Rollback),
        _ => None,
    };
    match (begins, end) {
        (true, Some(_)) => {
            statements.pop();
            statements.remove(0);
        }
        (true, None) => {
            return Err(Error::bad_request("the script has a BEGIN but does not end with COMMIT or ROLLBACK"));
        }
        (false, Some(_)) => return Err(Error::bad_request("the script ends a transaction that it did not begin")),
        (false, None) => {}
    }
    let is_control = |statement: &Statement| {
        matches!(
            statement,
            Statement::StartTransaction { .. }
                | Statement::Commit { .. }
                | Statement::Rollback { .. }
                | Statement::Savepoint { .. }
                | Statement::ReleaseSavepoint { .. }
        )
    };
    match statements.iter().find(|statement| is_control(statement)) {
        Some(statement) => {
            Err(Error::bad_request(format!("a script is one transaction: {statement} can only stand around all of it")))
        }
        None if statements.is_empty() && !begins => Err(Error::bad_request("the script has no statement")),
        None => Ok((statements, end.unwrap_or(End::Commit))),
    }
}

impl Script<'_> {
    fn txn(&self) -> &Arc<Transaction> {
        self.session.txn()
    }

    /// Runs the script with what is kept of it. If nothing is, or it does not fit, nothing was done.
    async fn again(&self) -> Result<Option<Outcome>> {
        let ready = self.session.plans().find(self.session, self.text, self.params).await?;
        match ready {
            Some(Ready { source, write: Some(write) }) => {
                let written = self.perform(&write, source).await;
                let written = written.map_err(|error| named_column(error, &write.listed))?;
                Ok(written.map(Outcome::Affected))
            }
            Some(Ready { source: Source::Plan(plan), write: None }) => {
                let rows = self.session.engine().run(self.txn(), plan)?;
                Ok(Some(Outcome::Rows(rows.schema(), rows)))
            }
            Some(Ready { source: Source::Key(read), write: None }) => self.reply(&read).await,
            Some(Ready { source: Source::Constants(_), write: None }) | None => Ok(None),
        }
    }

    /// The row of a query that reads one, if it can be looked up.
    async fn reply(&self, read: &KeyedRead) -> Result<Option<Outcome>> {
        let Some(rows) = read.rows(self).await? else { return Ok(None) };
        let schema = rows.schema();
        let rows = MemoryStream::try_new(vec![rows], Arc::clone(&schema), None).map_err(internal)?;
        Ok(Some(Outcome::Rows(schema, Box::pin(rows))))
    }

    /// Keeps what the script was run with for the next time.
    fn keep(&self, used: &Used<'_>) {
        self.session.plans().keep(self.session, (self.text, self.params), used);
    }

    async fn statement(&self, statement: Statement, is_alone: bool) -> Result<Outcome> {
        match statement {
            Statement::CreateTable(create) => self.create_table(&create).await.map(|()| Outcome::Affected(0)),
            Statement::CreateIndex(create) => self.create_index(&create).await.map(|()| Outcome::Affected(0)),
            Statement::AlterTable(alter) => self.alter_table(&alter).await.map(|()| Outcome::Affected(0)),
            Statement::Drop { object_type, names, if_exists, .. } => {
                self.drop(object_type, &names, if_exists).await.map(|()| Outcome::Affected(0))
            }
            Statement::Truncate(truncate) => self.truncate(&truncate).await.map(|()| Outcome::Affected(0)),
            statement @ (Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_)) => {
                Box::pin(self.write(statement, is_alone)).await.map(Outcome::Affected)
            }
            Statement::Query(query) if !query.locks.is_empty() => {
                Err(Error::new(Kind::NotImplemented, "SELECT with FOR UPDATE or FOR SHARE is not supported"))
            }
            statement @ (Statement::Query(_) | Statement::ShowTables { .. } | Statement::ShowColumns { .. }) => {
                self.query(statement, is_alone).await
            }
            Statement::Explain { analyze, verbose, statement, .. } => {
                Box::pin(self.explain(*statement, analyze, verbose)).await
            }
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                Err(Error::new(Kind::NotImplemented, format!("the statement {} is not supported", words.join(" "))))
            }
        }
    }

    /// The plan of a statement, with the values of its parameters.
    async fn plan(&self, statement: Statement) -> Result<LogicalPlan> {
        plans::plan(self.session, statement, self.params).await.map(|planned| planned.plan)
    }

    /// The rows of a plan.
    async fn stream(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let state = self.session.engine().session(self.txn());
        let plan = state.create_physical_plan(&plan).await.map_err(internal)?;
        self.session.engine().run(self.txn(), plan)
    }

    async fn query(&self, statement: Statement, is_alone: bool) -> Result<Outcome> {
        let planned = plans::plan(self.session, statement, self.params).await?;
        if let Some(read) = self.keyed_read(&planned).await? {
            let read = Arc::new(read);
            if let Some(outcome) = self.reply(&read).await? {
                if is_alone {
                    self.keep(&Used { planned: &planned, source: &Source::Key(read), unbound: None, write: None });
                }
                return Ok(outcome);
            }
        }
        let state = self.session.engine().session(self.txn());
        let plan = state.create_physical_plan(&planned.plan).await.map_err(internal)?;
        if is_alone {
            let source = Source::Plan(Arc::clone(&plan));
            self.keep(&Used { planned: &planned, source: &source, unbound: planned.unbound.as_ref(), write: None });
        }
        let rows = self.session.engine().run(self.txn(), plan)?;
        Ok(Outcome::Rows(rows.schema(), rows))
    }

    /// The plan of a statement, or for a statement that writes, of the query for the rows that it would write. What looks up a
    /// row by its key does without that plan.
    async fn explain(&self, statement: Statement, analyze: bool, verbose: bool) -> Result<Outcome> {
        let plan = match self.plan(statement).await? {
            LogicalPlan::Dml(dml) => dml.input.as_ref().clone(),
            plan => plan,
        };
        let explained = datafusion::logical_expr::LogicalPlanBuilder::from(plan)
            .explain(verbose, analyze)
            .and_then(datafusion::logical_expr::LogicalPlanBuilder::build)
            .map_err(internal)?;
        let rows = self.stream(explained).await?;
        Ok(Outcome::Rows(rows.schema(), rows))
    }
}

/// The parameters of a script, of whatever JSON has.
///
/// # Errors
/// `BadRequest` for a list or an object.
pub fn parameters(params: &[serde_json::Value]) -> Result<Vec<ScalarValue>> {
    params.iter().enumerate().map(|(at, value)| parameter(at, value)).collect()
}

fn parameter(at: usize, value: &serde_json::Value) -> Result<ScalarValue> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::Null => ScalarValue::Null,
        Json::Bool(value) => ScalarValue::Boolean(Some(*value)),
        Json::String(text) => ScalarValue::Utf8View(Some(text.clone())),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => ScalarValue::Int64(Some(value)),
            (None, Some(value), _) => ScalarValue::UInt64(Some(value)),
            (None, None, value) => ScalarValue::Float64(value),
        },
        Json::Array(_) | Json::Object(_) => {
            return Err(Error::bad_request(format!("the parameter ${} is not a scalar", at + 1)));
        }
    })
}

/// An error while rows were being read.
pub fn stream_error(error: datafusion::common::DataFusionError) -> Error {
    internal(error)
}

/// An error while rows were being written.
pub fn write_error(error: ArrowError) -> Error {
    internal(error.into())
}
