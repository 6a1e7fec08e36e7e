//! Queries for one row whose key the condition says: the row is looked up, without a plan.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;

use super::Script;
use super::catalog::path_to;
use super::computation::Compiler;
use super::constants::Constants;
use super::lookup::{Lookup, condition_on};
use super::plans::Planned;
use crate::error::Result;
use crate::exec::relation::error::internal;

/// A query for at most one row.
pub(super) struct KeyedRead {
    lookup: Lookup,
    /// One row, for which the row of the table is looked up.
    source: Constants,
    /// The columns of the result.
    schema: SchemaRef,
}

impl KeyedRead {
    /// Whether the row is found and computed in some microseconds.
    pub(super) fn is_quick(&self) -> bool {
        self.lookup.is_quick() && self.source.is_quick()
    }

    /// The rows of the query, of which there is one at most; nothing if they have to be found in another way.
    ///
    /// # Errors
    /// As reading a row by its key.
    pub(super) async fn rows(&self, script: &Script<'_>) -> Result<Option<RecordBatch>> {
        let Ok(source) = self.source.batch(script.params) else { return Ok(None) };
        let Some(found) = self.lookup.rows(script.txn(), &source, script.params).await? else { return Ok(None) };
        let options = RecordBatchOptions::new().with_row_count(Some(found.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), found.columns().to_vec(), &options);
        rows.map(Some).map_err(|error| internal(error.into()))
    }
}

impl Script<'_> {
    /// A query as a look-up, if it is one: columns of one table, of which the condition says the whole key.
    pub(super) async fn keyed_read(&self, planned: &Planned) -> Result<Option<KeyedRead>> {
        let plan = planned.unbound.as_ref().unwrap_or(&planned.plan);
        let LogicalPlan::Projection(projection) = plan else { return Ok(None) };
        let Some((condition, scanned, name)) = condition_on(&projection.input) else { return Ok(None) };
        let Ok(path) = path_to(scanned) else { return Ok(None) };
        let Some(table) = self.txn().table(&path).await? else { return Ok(None) };
        let state = self.session.engine().session(self.txn());
        let compiler = Compiler::new(&state, self.params);
        let lookup = Lookup::of_condition(&compiler, (&table, &name), condition, projection.expr.clone());
        let (Some(lookup), Some(source)) = (lookup, Constants::one_row(&compiler)) else { return Ok(None) };
        let schema = Arc::clone(planned.plan.schema().inner());
        Ok(lookup.yields(schema.fields()).then_some(KeyedRead { lookup, source, schema }))
    }
}
