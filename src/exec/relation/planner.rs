//! Physical plans.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner as _};
use tracing::debug;

/// Plans for several threads, and for one where DataFusion 55.2 refuses its own plan.
///
/// It checks the order of what several threads merge, but forgets in a projection that a column has one value only, so that
/// every order is kept.
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::default();
        let error = match planner.create_physical_plan(plan, state).await {
            Ok(plan) => return Ok(plan),
            Err(error) => error,
        };
        let Some(state) = state.as_any().downcast_ref::<SessionState>() else { return Err(error) };
        if state.config().target_partitions() == 1 {
            return Err(error);
        }
        debug!(%error, "plans for one thread");
        let mut alone = state.clone();
        alone.config_mut().options_mut().execution.target_partitions = 1;
        planner.create_physical_plan(plan, &alone).await.map_err(|_| error)
    }
}
