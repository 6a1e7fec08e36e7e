//! The rules of DataFusion 55.2 that keep results.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

/// The rules for logical plans.
///
/// `eliminate_duplicated_expr` drops what a query sorts by where it takes the key of one table for that of a join. What it
/// does for aggregates is needed: other rules rely on groups that are given once.
pub(super) fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let sound = |rule: Arc<dyn OptimizerRule + Send + Sync>| -> Arc<dyn OptimizerRule + Send + Sync> {
        if rule.name() == "eliminate_duplicated_expr" { Arc::new(OfAggregates(rule)) } else { rule }
    };
    Optimizer::new().rules.into_iter().map(sound).collect()
}

/// The rules for physical plans.
///
/// `FilterPushdown` finds the columns of a filter by their names alone, and so moves a filter of one table of a join to
/// another (apache/datafusion#25296). What a scan needs to know of filters, it is told when it is planned. `aggregate_statistics`
/// answers from what it takes for exact, such as one value of a column that a condition names, whether or not there is a row.
pub(super) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let is_sound = |name: &str| !name.starts_with("FilterPushdown") && name != "aggregate_statistics";
    PhysicalOptimizer::new().rules.into_iter().filter(|rule| is_sound(rule.name())).collect()
}

/// A rule that is applied to aggregates only.
#[derive(Debug)]
struct OfAggregates(Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for OfAggregates {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Aggregate(_) => self.0.rewrite(plan, config),
            other => Ok(Transformed::no(other)),
        }
    }
}
