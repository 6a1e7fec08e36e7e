//! Nodes that the result cannot need are removed.

use crate::compiler::{NodeId, OpGraph};
use crate::error::Result;
use crate::planner::{Changed, Pass, Rule, RuleContext};

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

    fn pass<'a>(&self, _: &'a RuleContext<'a>) -> Box<dyn Pass + 'a> {
        Box::new(DeadNodesPass)
    }
}

struct DeadNodesPass;

impl Pass for DeadNodesPass {
    fn visit(&mut self, graph: &mut OpGraph, node: NodeId) -> Result<Changed> {
        let mut changed = Changed::No;
        let mut candidates = vec![node];
        // Whatever only a dead node used is dead too.
        while let Some(id) = candidates.pop() {
            let is_used = !graph.contains(id) || id == graph.root() || graph.users(id).next().is_some();
            if is_used || graph.is_recalled(id) {
                continue;
            }
            candidates.extend(graph.operands(id));
            graph.remove(id);
            changed = Changed::Yes;
        }
        Ok(changed)
    }
}
