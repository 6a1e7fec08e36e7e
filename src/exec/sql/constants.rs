//! Rows that no table is read for: those of VALUES, and what is selected from nothing.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Projection};

use super::computation::{Compiler, Computation};

/// Cells of VALUES that are computed one by one; more of them are work for a plan.
const CELLS_MAX: usize = 1024;

/// Rows that depend on nothing but parameters.
pub(super) struct Constants {
    rows: usize,
    /// The cells, row by row.
    cells: Computation,
    /// The columns that the cells belong to.
    schema: SchemaRef,
    /// What projections make of these columns, the innermost first.
    steps: Vec<Computation>,
}

impl Constants {
    /// One row without columns.
    pub(super) fn one_row(compiler: &Compiler<'_>) -> Option<Self> {
        let cells = compiler.compile(&DFSchema::empty(), vec![]).ok()?;
        Some(Self { rows: 1, cells, schema: Arc::new(ArrowSchema::empty()), steps: vec![] })
    }

    /// The rows of a plan, if it reads no table. Types are those of the same plan with the values of its parameters.
    pub(super) fn new(compiler: &Compiler<'_>, plan: &LogicalPlan, typed: &LogicalPlan) -> Option<Self> {
        match (plan, typed) {
            (LogicalPlan::Values(plan), LogicalPlan::Values(typed)) => {
                Self::of_values(compiler, &plan.values, &typed.schema)
            }
            (LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema }), _)
                if schema.fields().is_empty() =>
            {
                Self::one_row(compiler)
            }
            (LogicalPlan::SubqueryAlias(plan), LogicalPlan::SubqueryAlias(typed)) => {
                Self::new(compiler, &plan.input, &typed.input)
            }
            (LogicalPlan::Projection(plan), LogicalPlan::Projection(typed)) => {
                Self::new(compiler, &plan.input, &typed.input)?.projected(compiler, plan, typed)
            }
            _ => None,
        }
    }

    fn of_values(compiler: &Compiler<'_>, values: &[Vec<Expr>], schema: &DFSchema) -> Option<Self> {
        if values.len() * schema.fields().len() > CELLS_MAX {
            return None;
        }
        // Values of several rows have a type in common.
        let types: Vec<_> = schema.fields().iter().map(|field| Some(field.data_type().clone())).collect();
        let cells = values.iter().flat_map(|row| row.iter().cloned().zip(types.iter().cloned())).collect();
        let cells = compiler.compile(&DFSchema::empty(), cells).ok()?;
        Some(Self { rows: values.len(), cells, schema: Arc::clone(schema.inner()), steps: vec![] })
    }

    fn projected(mut self, compiler: &Compiler<'_>, plan: &Projection, typed: &Projection) -> Option<Self> {
        let exprs = plan.expr.iter().map(|expr| (expr.clone(), None)).collect();
        let step = compiler.compile(typed.input.schema(), exprs).ok()?;
        let expected = typed.schema.fields().iter().map(|field| field.data_type());
        let is_expected = step.output().fields().iter().map(|field| field.data_type()).eq(expected);
        self.steps.push(step);
        is_expected.then_some(self)
    }

    /// Whether the rows are computed in some microseconds.
    pub(super) fn is_quick(&self) -> bool {
        self.cells.is_quick() && self.steps.iter().all(Computation::is_quick)
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The rows.
    ///
    /// # Errors
    /// If one cannot be computed.
    pub(super) fn batch(&self, params: &[ScalarValue]) -> Result<RecordBatch> {
        let cells = self.cells.arrays(&[], 1, params)?;
        let width = self.schema.fields().len();
        let columns = (0..width).map(|at| column(&cells, at, width)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let mut batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        for step in &self.steps {
            batch = step.batch(batch.columns(), self.rows, params)?;
        }
        Ok(batch)
    }
}

/// A column of cells, of which each row has `width`.
fn column(cells: &[ArrayRef], at: usize, width: usize) -> Result<ArrayRef> {
    if cells.len() == width {
        return Ok(Arc::clone(&cells[at]));
    }
    let cells: Vec<&dyn Array> = cells.iter().skip(at).step_by(width).map(|cell| cell.as_ref()).collect();
    Ok(concat(&cells)?)
}
