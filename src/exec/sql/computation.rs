//! Expressions that are computed here, without a plan around them.
//!
//! Most statements that write are about few rows, and a plan costs more than these. What is kept of such a statement are
//! its expressions. A parameter is a column in them: its type was known when they were made ready, and only its value
//! changes from one request to the next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference, plan_datafusion_err, plan_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable as _};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, create_physical_expr};

/// What the columns that stand for parameters are qualified with.
const PARAMETERS: &str = "__parameters";
/// What their names begin with, before the position of the parameter.
const PARAMETER: &str = "__parameter_";

/// Makes expressions ready to be computed.
pub(super) struct Compiler<'a> {
    state: &'a SessionState,
    /// The types of the parameters.
    types: Vec<DataType>,
}

/// Expressions over the columns of a batch and the values of parameters.
pub(super) struct Computation {
    /// The parameters that are used, by position.
    params: Vec<usize>,
    /// Those that are cast, and the types that they are cast to.
    casts: Vec<(usize, DataType)>,
    /// The columns of the batch, then the parameters that are used.
    input: SchemaRef,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    /// What the expressions yield, named by their positions.
    output: SchemaRef,
}

impl<'a> Compiler<'a> {
    /// A compiler for a statement with parameters of the types of these.
    pub(super) fn new(state: &'a SessionState, params: &[ScalarValue]) -> Self {
        Self { state, types: params.iter().map(ScalarValue::data_type).collect() }
    }

    /// Makes expressions over rows of a schema ready; what they yield is cast to the type beside each, if there is one.
    ///
    /// # Errors
    /// If one of them cannot be computed without a plan, or makes no sense.
    pub(super) fn compile(&self, input: &DFSchema, exprs: Vec<(Expr, Option<DataType>)>) -> Result<Computation> {
        let (mut params, mut replaced) = (BTreeSet::new(), Vec::with_capacity(exprs.len()));
        for (expr, ty) in exprs {
            replaced.push((self.with_columns(expr, &mut params)?, ty));
        }
        let params: Vec<usize> = params.into_iter().collect();
        let schema = Arc::new(self.with_parameters(input, &params)?);
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&schema))
            .with_config_options(Arc::clone(self.state.config_options()))
            .with_query_execution_start_time(self.state.execution_props().query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let (mut casts, mut compiled) = (Vec::new(), Vec::with_capacity(replaced.len()));
        for (expr, ty) in replaced {
            let mut expr = simplifier.coerce(expr, &schema)?;
            if let Some(ty) = &ty {
                expr = expr.cast_to(ty, &*schema)?;
            }
            // Some functions, such as now() and coalesce(), can only be simplified, not called.
            if !matches!(expr, Expr::Column(_) | Expr::Literal(..)) {
                expr = simplifier.simplify(expr)?;
            }
            note_casts(&expr, &mut casts)?;
            let (props, context) = (self.state.execution_props(), PhysicalPlanningContext::default());
            compiled.push(create_physical_expr(&expr, &schema, props, &context)?);
        }
        Computation::new(params, casts, Arc::clone(schema.inner()), compiled)
    }

    /// The type that an expression has over rows of a schema.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub(super) fn data_type(&self, input: &DFSchema, expr: &Expr) -> Result<DataType> {
        let computation = self.compile(input, vec![(expr.clone(), None)])?;
        Ok(computation.output.field(0).data_type().clone())
    }

    /// An expression with columns in place of its parameters, which are noted.
    fn with_columns(&self, expr: Expr, params: &mut BTreeSet<usize>) -> Result<Expr> {
        let replaced = expr.transform(|expr| match expr {
            Expr::Placeholder(placeholder) => {
                let at = self.position(&placeholder.id)?;
                params.insert(at);
                Ok(Transformed::yes(Expr::Column(column_of(at))))
            }
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
                plan_err!("a subquery needs a plan")
            }
            expr => Ok(Transformed::no(expr)),
        });
        replaced.map(|replaced| replaced.data)
    }

    /// The position of a parameter such as `$1`.
    fn position(&self, id: &str) -> Result<usize> {
        let number = id.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let position = number.and_then(|number| number.checked_sub(1)).filter(|at| *at < self.types.len());
        position.ok_or_else(|| plan_datafusion_err!("there is no parameter {id}"))
    }

    /// A schema with columns for parameters after its own.
    fn with_parameters(&self, input: &DFSchema, params: &[usize]) -> Result<DFSchema> {
        let columns = input.iter().map(|(relation, field)| (relation.cloned(), Arc::clone(field)));
        let params = params.iter().map(|at| {
            let column = column_of(*at);
            (column.relation, Arc::new(Field::new(column.name, self.types[*at].clone(), true)))
        });
        DFSchema::new_with_metadata(columns.chain(params).collect(), HashMap::new())
    }
}

impl Computation {
    fn new(
        params: Vec<usize>,
        casts: Vec<(usize, DataType)>,
        input: SchemaRef,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Self> {
        let field = |(at, expr): (usize, &Arc<dyn PhysicalExpr>)| {
            expr.data_type(&input).map(|ty| Field::new(at.to_string(), ty, true))
        };
        let fields = exprs.iter().enumerate().map(field).collect::<Result<Vec<_>>>()?;
        let output = Arc::new(ArrowSchema::new(fields));
        Ok(Self { params, casts, input, exprs, output })
    }

    /// What the expressions yield, in their order.
    pub(super) fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Whether few expressions are computed, and no functions are called, which may take any time.
    pub(super) fn is_quick(&self) -> bool {
        /// Nodes of all expressions.
        const NODES_MAX: usize = 256;
        let mut nodes = 0;
        let mut calls = false;
        for expr in &self.exprs {
            let visited = expr.apply(|node| {
                nodes += 1;
                calls |= node.downcast_ref::<ScalarFunctionExpr>().is_some();
                Ok(if nodes > NODES_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            });
            calls |= visited.is_err();
        }
        nodes <= NODES_MAX && !calls
    }

    /// Checks that all parameters can be cast that are cast anywhere. A plan does that before it is run, so that such a
    /// mistake is one also where no row needs the value.
    ///
    /// # Errors
    /// If one cannot be cast, or is missing.
    pub(super) fn check(&self, params: &[ScalarValue]) -> Result<()> {
        for (at, ty) in &self.casts {
            parameter(params, *at)?.cast_to(ty)?;
        }
        Ok(())
    }

    /// The values of the expressions for so many rows, whose columns these are.
    ///
    /// # Errors
    /// If a value cannot be computed, or the columns are other ones than were expected.
    pub(super) fn arrays(&self, columns: &[ArrayRef], rows: usize, params: &[ScalarValue]) -> Result<Vec<ArrayRef>> {
        self.check(params)?;
        let mut all = Vec::with_capacity(columns.len() + self.params.len());
        all.extend_from_slice(columns);
        for at in &self.params {
            all.push(parameter(params, *at)?.to_array_of_size(rows)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.input), all, &options)?;
        self.exprs.iter().map(|expr| expr.evaluate(&batch)?.into_array_of_size(rows)).collect()
    }

    /// The same as a batch.
    ///
    /// # Errors
    /// As [`Computation::arrays`].
    pub(super) fn batch(&self, columns: &[ArrayRef], rows: usize, params: &[ScalarValue]) -> Result<RecordBatch> {
        let arrays = self.arrays(columns, rows, params)?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.output), arrays, &options)?)
    }
}

/// The column that stands for a parameter.
fn column_of(at: usize) -> Column {
    Column::new(Some(TableReference::bare(PARAMETERS)), format!("{PARAMETER}{at}"))
}

/// The parameter that a column stands for.
fn parameter_of(column: &Column) -> Option<usize> {
    let is_parameter = column.relation.as_ref().is_some_and(|relation| relation.table() == PARAMETERS);
    if is_parameter { column.name.strip_prefix(PARAMETER)?.parse().ok() } else { None }
}

fn parameter(params: &[ScalarValue], at: usize) -> Result<&ScalarValue> {
    params.get(at).ok_or_else(|| plan_datafusion_err!("there is no parameter ${}", at + 1))
}

/// Notes the parameters that an expression casts, wherever in it.
fn note_casts(expr: &Expr, casts: &mut Vec<(usize, DataType)>) -> Result<()> {
    let visited = expr.apply(|expr| {
        if let Expr::Cast(Cast { expr, field }) = expr
            && let Expr::Column(column) = expr.as_ref()
            && let Some(at) = parameter_of(column)
        {
            casts.push((at, field.data_type().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.map(drop)
}
