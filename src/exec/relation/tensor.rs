//! Tensors as tables of DataFusion: a row for each element, or, of a sparse tensor, for each that is not zero.
//!
//! The columns are the places along the axes, `axis_0` and so on, and `value`. What a query says of places narrows the part
//! that is read. Other than that of a collection, a provider of a tensor belongs to one transaction.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};

use super::error::{external, internal};
use super::predicate::comparisons;
use crate::error::Error;
use crate::exec::tensor::{Evaluation, span};
use crate::value::Tensor;
use crate::value::tensor::columns::column_type;
use crate::value::tensor::{AxisBound, Elements, Layout, Node, Shape, TensorSchema};

/// Elements that are read at once.
const PIECE_LEN: u64 = 64 << 10;
/// Elements of one partition that are worth a thread.
const PARTITION_LEN_MIN: u64 = 256 << 10;

/// A tensor as a table.
pub(crate) struct TensorProvider {
    tensor: Arc<Tensor>,
    evaluation: Arc<Evaluation>,
    schema: SchemaRef,
}

impl TensorProvider {
    /// The elements of a tensor that is no base, as `evaluation` computes them.
    pub(crate) fn new(tensor: Arc<Tensor>, evaluation: Evaluation) -> Self {
        let axes = (0..tensor.shape().ndim()).map(|axis| Field::new(format!("axis_{axis}"), DataType::Int64, false));
        let value = Field::new("value", column_type(tensor.dtype()), false);
        let schema = Arc::new(ArrowSchema::new(axes.chain([value]).collect::<Vec<_>>()));
        Self { tensor, evaluation: Arc::new(evaluation), schema }
    }

    /// The places that `filters`, all of which hold, leave along each axis; nothing if there is an axis without any.
    fn bounds(&self, filters: &[Expr]) -> Option<Vec<Range<u64>>> {
        // A dimension has at most 32 bits.
        let mut bounds: Vec<Range<i64>> = self.tensor.shape().dims().iter().map(|dim| 0..*dim as i64).collect();
        for (name, op, value) in comparisons(filters) {
            let axis = self.schema.index_of(name).ok().and_then(|axis| bounds.get_mut(axis));
            let (Some(bound), ScalarValue::Int64(Some(at))) = (axis, value) else { continue };
            let after = at.saturating_add(1);
            let (from, to) = match op {
                Operator::Eq => (*at, after),
                Operator::Gt => (after, i64::MAX),
                Operator::GtEq => (*at, i64::MAX),
                Operator::Lt => (i64::MIN, *at),
                Operator::LtEq => (i64::MIN, after),
                _ => continue,
            };
            *bound = bound.start.max(from)..bound.end.min(to);
        }
        let places =
            bounds.into_iter().map(|bound| (!bound.is_empty()).then_some(bound.start as u64..bound.end as u64));
        places.collect()
    }

    /// The columns at these positions, of the elements within bounds.
    fn part(&self, bounds: &[Range<u64>], columns: Vec<usize>, schema: &SchemaRef) -> crate::error::Result<Part> {
        let ranges: Vec<AxisBound> = bounds.iter().map(|bound| AxisBound::Range(bound.start, bound.end)).collect();
        let (tensor, origin, range) = match self.tensor.schema.layout {
            Layout::Sparse => {
                let (first, last) = span(self.tensor.shape(), &ranges);
                (Arc::clone(&self.tensor), vec![0u64; bounds.len()], first..last + 1)
            }
            Layout::Dense => {
                let shape = Shape::try_new(bounds.iter().map(|bound| bound.end - bound.start).collect::<Vec<_>>())?;
                let tensor = match shape == *self.tensor.shape() {
                    true => Arc::clone(&self.tensor),
                    false => {
                        let schema = TensorSchema { shape, ..self.tensor.schema.clone() };
                        let node = Node::Slice { of: Arc::clone(&self.tensor), bounds: ranges.into() };
                        Arc::new(Tensor::new(schema, node))
                    }
                };
                let range = 0..tensor.size();
                (tensor, bounds.iter().map(|bound| bound.start).collect(), range)
            }
        };
        let (evaluation, schema) = (Arc::clone(&self.evaluation), Arc::clone(schema));
        Ok(Part { evaluation, tensor, origin: origin.into(), range, columns: columns.into(), schema })
    }
}

impl fmt::Debug for TensorProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TensorProvider").field("tensor", &self.tensor.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for TensorProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let Some(bounds) = self.bounds(filters) else { return Ok(Arc::new(EmptyExec::new(schema))) };
        let ordering = ordering(&schema, &columns, self.tensor.shape().ndim());
        let part = self.part(&bounds, columns, &schema).map_err(external)?;
        let parts = part.split(state.config().target_partitions()).into_iter();
        let parts = parts.map(|part| Arc::new(part) as Arc<dyn PartitionStream>).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, parts, None, ordering, false, limit)?))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // They narrow the part that is read; what is read is filtered again.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// The order in which rows come: by the places along the axes, as far as these are read.
fn ordering(schema: &ArrowSchema, columns: &[usize], axes: usize) -> Option<LexOrdering> {
    let exprs = (0..axes).map_while(|axis| {
        let at = columns.iter().position(|column| *column == axis)?;
        let expr = Arc::new(ColumnExpr::new(schema.field(at).name(), at));
        Some(PhysicalSortExpr::new(expr, SortOptions { descending: false, nulls_first: true }))
    });
    LexOrdering::new(exprs)
}

/// Elements of a tensor that follow each other.
#[derive(Clone)]
struct Part {
    evaluation: Arc<Evaluation>,
    tensor: Arc<Tensor>,
    /// Where the tensor begins in that of which it is a part.
    origin: Arc<[u64]>,
    /// The numbers of the elements.
    range: Range<u64>,
    /// The columns that are read.
    columns: Arc<[usize]>,
    schema: SchemaRef,
}

impl Part {
    /// Parts of this one, at most `count`, which can be read at the same time.
    fn split(self, count: usize) -> Vec<Self> {
        if self.tensor.is_sparse() {
            // How many entries there are in a range is not known.
            return vec![self];
        }
        let Range { start, end } = self.range;
        let count = ((end - start) / PARTITION_LEN_MIN).clamp(1, count.max(1) as u64);
        let step = (end - start).div_ceil(PIECE_LEN).div_ceil(count).saturating_mul(PIECE_LEN);
        let starts = (0..(end - start).div_ceil(step)).map(|at| start + at * step);
        starts.map(|start| Part { range: start..end.min(start.saturating_add(step)), ..self.clone() }).collect()
    }

    /// The rows, some at a time.
    fn batches(self) -> BoxStream<'static, crate::error::Result<RecordBatch>> {
        let part = Arc::new(self);
        if part.tensor.is_sparse() {
            let entries = part.evaluation.entry_pieces(&part.tensor, part.range.clone());
            return entries
                .map(move |entries| entries.and_then(|entries| part.batch(&entries.offsets, Some(&entries.values))))
                .boxed();
        }
        let starts = (part.range.start..part.range.end).step_by(PIECE_LEN as usize);
        let piece = move |start: u64| {
            let part = Arc::clone(&part);
            async move { part.dense(start..part.range.end.min(start.saturating_add(PIECE_LEN))).await }
        };
        stream::iter(starts).then(piece).boxed()
    }

    /// The rows of the elements with these numbers.
    async fn dense(&self, range: Range<u64>) -> crate::error::Result<RecordBatch> {
        let offsets: Vec<u64> = range.clone().collect();
        match self.columns.contains(&self.tensor.shape().ndim()) {
            true => self.batch(&offsets, Some(&self.evaluation.piece(&self.tensor, range).await?)),
            false => self.batch(&offsets, None),
        }
    }

    /// Rows of the elements with these numbers, with their values if these are read.
    fn batch(&self, offsets: &[u64], values: Option<&Elements>) -> crate::error::Result<RecordBatch> {
        let shape = self.tensor.shape();
        let strides = shape.strides();
        let column = |column: &usize| -> crate::error::Result<ArrayRef> {
            match (shape.dims().get(*column), values) {
                (Some(dim), _) => {
                    let (stride, first) = (strides[*column], self.origin[*column]);
                    let places = offsets.iter().map(|offset| (offset / stride % dim + first) as i64);
                    Ok(Arc::new(Int64Array::from_iter_values(places)))
                }
                (None, Some(values)) => values.to_column(),
                (None, None) => Err(Error::internal("the elements of a tensor were not read")),
            }
        };
        let columns = self.columns.iter().map(column).collect::<crate::error::Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(offsets.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| internal(error.into()))
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("range", &self.range).finish_non_exhaustive()
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = context.session_config().batch_size().max(1);
        let cut = move |batch: RecordBatch| {
            let starts = (0..batch.num_rows()).step_by(rows);
            let cut = move |start: usize| Ok::<_, Error>(batch.slice(start, rows.min(batch.num_rows() - start)));
            stream::iter(starts.map(cut))
        };
        let batches = self.clone().batches().map_ok(cut).try_flatten().map_err(external);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray as _;
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::logical_expr::{col, lit};
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::exec::tensor::device::Devices;
    use crate::storage::{Store, StoreConfig, Transaction};
    use crate::txn::TxnId;
    use crate::value::tensor::Initial;
    use crate::value::{Number, NumberClass};

    async fn provider(layout: Layout, dims: &[u64], initial: Initial) -> TensorProvider {
        let schema = TensorSchema { layout, dtype: NumberClass::I64, shape: Shape::try_new(dims).unwrap() };
        let store = Store::open(StoreConfig::memory()).await.unwrap();
        let txn = Arc::new(Transaction::new(store, TxnId { timestamp: 1, nonce: 0 }, 1 << 20));
        let evaluation = Evaluation::new(&Arc::new(Devices::cpu_only()), &txn, Arc::default());
        TensorProvider::new(Arc::new(Tensor::new(schema, Node::Initial(initial.into()))), evaluation)
    }

    /// A tensor whose elements are ten times their numbers.
    async fn counted(dims: &[u64]) -> TensorProvider {
        let len = dims.iter().product::<u64>() as i64;
        let elements = Elements::from_numbers(NumberClass::I64, (0..len).map(|at| Number::I64(10 * at)));
        provider(Layout::Dense, dims, Initial::Elements(elements)).await
    }

    /// Some columns of the rows that filters leave.
    async fn rows(provider: &TensorProvider, columns: &[usize], filters: &[Expr]) -> Vec<Vec<i64>> {
        let state = SessionContext::new().state();
        let plan = provider.scan(&state, Some(&columns.to_vec()), filters, None).await.unwrap();
        let mut rows = vec![];
        for batch in collect(plan, state.task_ctx()).await.unwrap() {
            let cells =
                |row: usize| batch.columns().iter().map(move |cells| cells.as_primitive::<Int64Type>().value(row));
            rows.extend((0..batch.num_rows()).map(|row| cells(row).collect::<Vec<i64>>()));
        }
        rows
    }

    #[tokio::test]
    async fn elements_are_rows() {
        let tensor = counted(&[2, 3]).await;
        let all = [[0, 0, 0], [0, 1, 10], [0, 2, 20], [1, 0, 30], [1, 1, 40], [1, 2, 50]];
        assert_eq!(rows(&tensor, &[0, 1, 2], &[]).await, all);
        assert_eq!(rows(&tensor, &[2, 0], &[]).await, all.map(|[row, _, value]| [value, row]));
        assert_eq!(rows(&tensor, &[1], &[]).await, all.map(|[_, column, _]| [column]));
        assert_eq!(tensor.schema().field(2).data_type(), &DataType::Int64);
    }

    #[tokio::test]
    async fn what_is_said_of_places_narrows_what_is_read() {
        let tensor = counted(&[2, 3]).await;
        let (row, column) = (|| col("axis_0"), || col("axis_1"));
        let of = async |filters: &[Expr]| rows(&tensor, &[0, 1, 2], filters).await;
        assert_eq!(of(&[column().eq(lit(1i64))]).await, [[0, 1, 10], [1, 1, 40]]);
        assert_eq!(of(&[row().gt(lit(0i64)).and(column().lt_eq(lit(1i64)))]).await, [[1, 0, 30], [1, 1, 40]]);
        assert_eq!(of(&[lit(2i64).lt_eq(column()), row().lt(lit(1i64))]).await, [[0, 2, 20]]);
        assert_eq!(of(&[row().between(lit(1i64), lit(i64::MAX)), column().eq(lit(2i64))]).await, [[1, 2, 50]]);
        let none: [[i64; 3]; 0] = [];
        for impossible in [row().eq(lit(-1i64)), column().gt_eq(lit(3i64)), row().lt(lit(i64::MIN))] {
            assert_eq!(of(&[impossible]).await, none);
        }
        // What says nothing about places is left to whoever asks.
        assert_eq!(of(&[col("value").eq(lit(30i64))]).await.len(), 6);
    }

    #[tokio::test]
    async fn entries_are_rows() {
        let tensor = provider(Layout::Sparse, &[1 << 20, 1 << 20], Initial::Eye).await;
        let first = rows(&tensor, &[1, 2], &[col("axis_0").lt(lit(3i64))]).await;
        assert_eq!(first, [[0, 1], [1, 1], [2, 1]]);
    }

    #[tokio::test]
    async fn large_tensors_are_read_in_parts() {
        let fill = Initial::Fill(Number::I64(1));
        let tensor = provider(Layout::Dense, &[1 << 10, 1 << 10], fill).await;
        assert_eq!(rows(&tensor, &[], &[]).await.len(), 1 << 20);
        let bounds = tensor.bounds(&[]).unwrap();
        let parts = tensor.part(&bounds, vec![0, 1, 2], &tensor.schema).unwrap().split(3);
        let ranges: Vec<Range<u64>> = parts.iter().map(|part| part.range.clone()).collect();
        assert_eq!(ranges, [0..6 * PIECE_LEN, 6 * PIECE_LEN..12 * PIECE_LEN, 12 * PIECE_LEN..1 << 20]);
        let batch = parts[2].clone().batches().next().await.unwrap().unwrap();
        assert_eq!(batch.num_rows() as u64, PIECE_LEN);
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 768);
    }
}
