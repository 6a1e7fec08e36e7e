//! Nodes that the result cannot need are removed.

use crate::compiler::{NodeId, Op, OpGraph};
use crate::error::Result;
use crate::planner::{Changed, Rule, RuleContext};

/// Removes a node that nothing uses: `%1 = add (%0, %0)`, `%2 = 5`, result `%2` → `%2 = 5`.
///
/// The builder adds only what a step names, so such nodes are what other rules leave behind.
#[derive(Debug)]
pub(super) struct DeadNodes;

impl Rule for DeadNodes {
    fn name(&self) -> &'static str {
        "dead_nodes"
    }

    fn describe(&self) -> &'static str {
        "removes what the result cannot need"
    }

    fn visits_unreached(&self) -> bool {
        true
    }

    fn apply(&self, graph: &mut OpGraph, node: NodeId, _: &RuleContext<'_>) -> Result<Changed> {
        let mut changed = Changed::No;
        let mut candidates = vec![node];
        // Whatever only a dead node used is dead too.
        while let Some(id) = candidates.pop() {
            if !graph.contains(id) || id == graph.root() || graph.users(id).next().is_some() || is_recalled(graph, id) {
                continue;
            }
            candidates.extend(graph.operands(id));
            graph.remove(id);
            changed = Changed::Yes;
        }
        Ok(changed)
    }
}

fn is_recalled(graph: &OpGraph, id: NodeId) -> bool {
    graph.has_recalls() && graph.nodes().any(|node| *graph.op(node) == Op::Recall(id))
}
