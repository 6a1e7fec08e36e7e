//! The leaf of a plan: reads the rows of a table in key order.

use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Result, Statistics, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
};
use futures::TryStreamExt as _;
use futures::stream::StreamExt as _;

use super::error::external;
use super::predicate::is_ordered_alike;
use super::provider::transaction;
use super::pruning::row_group_filter;
use crate::storage::codec::KeyRange;
use crate::storage::{Estimate, Scan};
use crate::value::Table;

/// Which rows are read, in which order.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// The index whose order they are read in; nothing for the primary order.
    pub index: Option<usize>,
    pub range: KeyRange,
    /// How many there are at most.
    pub rows: u64,
}

/// Reads rows of a table, some of its columns.
#[derive(Clone, Debug)]
pub(super) struct ScanExec {
    table: Arc<Table>,
    /// The columns that are read, by their positions.
    columns: Vec<usize>,
    access: Access,
    estimate: Estimate,
    /// What may be guessed of each column.
    statistics: Vec<ColumnStatistics>,
    limit: Option<usize>,
    /// What the nodes above will filter by: row groups without a match are not read.
    predicates: Vec<Arc<dyn PhysicalExpr>>,
    /// The range of each partition, cut once for each run: what it is guessed from changes meanwhile, and partitions that
    /// were cut differently would overlap.
    cuts: Arc<OnceLock<Vec<KeyRange>>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    pub(super) fn new(
        table: Arc<Table>,
        schema: &SchemaRef,
        columns: Vec<usize>,
        access: Access,
        estimate: Estimate,
        partitions: usize,
        limit: Option<usize>,
    ) -> Result<Self> {
        let properties = properties(&table, schema, &columns, &access, partitions);
        let metrics = ExecutionPlanMetricsSet::new();
        let statistics = vec![ColumnStatistics::new_unknown(); columns.len()];
        Ok(Self {
            table,
            columns,
            access,
            estimate,
            statistics,
            limit,
            predicates: vec![],
            cuts: Arc::default(),
            properties: Arc::new(properties),
            metrics,
        })
    }

    /// The same scan, which leaves out what cannot meet the predicates.
    pub(super) fn pruned_by(self, predicates: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { predicates, ..self }
    }

    /// The same scan, of whose columns more is known.
    pub(super) fn with_statistics(self, statistics: Vec<ColumnStatistics>) -> Self {
        Self { statistics, ..self }
    }

    /// The same scan with another limit and other predicates, not yet run.
    fn anew(&self, limit: Option<usize>, predicates: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { limit, predicates, cuts: Arc::default(), metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }
}

fn properties(
    table: &Table,
    schema: &SchemaRef,
    columns: &[usize],
    access: &Access,
    partitions: usize,
) -> PlanProperties {
    let ordering = ordering(table, schema, columns, access);
    let equivalences = match ordering {
        Some(ordering) => EquivalenceProperties::new_with_orderings(Arc::clone(schema), [ordering]),
        None => EquivalenceProperties::new(Arc::clone(schema)),
    };
    PlanProperties::new(
        equivalences,
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    )
    .with_scheduling_type(SchedulingType::Cooperative)
}

/// The order in which rows come: that of the key, as far as its columns are read.
fn ordering(table: &Table, schema: &ArrowSchema, columns: &[usize], access: &Access) -> Option<Vec<PhysicalSortExpr>> {
    let key = match access.index {
        Some(index) => table.schema.index_columns(&table.schema.indexes[index]),
        None => (0..table.schema.key_len).collect(),
    };
    let exprs = key.into_iter().map_while(|position| {
        let column = &table.schema.columns[position];
        let at = columns.iter().position(|read| *read == position)?;
        let expr = Arc::new(ColumnExpr::new(schema.field(at).name(), at));
        is_ordered_alike(column.ty)
            .then(|| PhysicalSortExpr::new(expr, SortOptions { descending: false, nulls_first: true }))
    });
    LexOrdering::new(exprs).map(|ordering| ordering.into_iter().collect())
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = &self.table.schema;
        let name = if self.table.name.is_empty() { "(of this transaction)" } else { &self.table.name };
        let columns: Vec<&str> = self.columns.iter().map(|column| schema.columns[*column].name.as_str()).collect();
        write!(f, "ScanExec: table={name}, columns=[{}]", columns.join(", "))?;
        match self.access.index {
            Some(index) => write!(f, ", index={}", schema.indexes[index].name)?,
            None => write!(f, ", index=primary")?,
        }
        write!(f, ", range={}", show_range(&self.access.range))?;
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        for predicate in &self.predicates {
            write!(f, ", prune={predicate}")?;
        }
        Ok(())
    }
}

/// A range of keys in hexadecimal, e.g. `[8003, 8005)`.
fn show_range(range: &KeyRange) -> String {
    let from = match &range.start {
        Bound::Unbounded => "(".into(),
        Bound::Included(key) => format!("[{}", hex::encode(key)),
        Bound::Excluded(key) => format!("({}", hex::encode(key)),
    };
    match &range.end {
        Bound::Unbounded if range.start == Bound::Unbounded => "all".into(),
        Bound::Unbounded => format!("{from}, )"),
        Bound::Included(key) => format!("{from}, {}]", hex::encode(key)),
        Bound::Excluded(key) => format!("{from}, {})", hex::encode(key)),
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no inputs") }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for predicate in &self.predicates {
            if let TreeNodeRecursion::Stop = f(predicate)? {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.anew(self.limit, self.predicates.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let txn = transaction(context.session_config())?;
        let schema = self.schema();
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let ranges = self.cuts.get_or_init(|| match self.partitions() {
            1 => vec![self.access.range.clone()],
            parts => txn.split(&self.table, &self.access.range, parts),
        });
        let range = ranges.get(partition).cloned().unwrap_or_else(KeyRange::empty);
        let scan = Scan {
            index: self.access.index,
            range,
            columns: self.columns.clone(),
            reverse: false,
            limit: self.limit.map(|limit| limit as u64),
            prune: row_group_filter(&self.table, &self.predicates),
        };
        let expected = Arc::clone(&schema);
        let rows = txn.scan(&self.table, scan).map_err(external).map(move |batch| {
            let batch = batch?;
            let _timer = baseline.elapsed_compute().timer();
            baseline.record_output(batch.num_rows());
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&expected), batch.columns().to_vec(), &options)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let parts = match args.partition() {
            Some(_) => self.partitions(),
            None => 1,
        };
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.column_statistics.clone_from(&self.statistics);
        let rows = usize::try_from(self.estimate.rows_max).unwrap_or(usize::MAX) / parts;
        // Never exact: the planner would answer from it, which a plan that outlives its snapshot must not do, and nobody
        // would note that something was read.
        statistics.num_rows = Precision::Inexact(rows);
        let bytes = usize::try_from(self.estimate.bytes).unwrap_or(usize::MAX) / parts;
        let share = self.columns.len().max(1) as f64 / self.table.schema.columns.len().max(1) as f64;
        statistics.total_byte_size = Precision::Inexact((bytes as f64 * share) as usize);
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        // Filters must not choose which rows are the first.
        let predicates = if limit.is_some() { vec![] } else { self.predicates.clone() };
        Some(Arc::new(self.anew(limit, predicates)))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }
}
