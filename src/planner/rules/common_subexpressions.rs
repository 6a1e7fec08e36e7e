//! What is computed twice is computed once.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::compiler::{NodeId, Op, OpGraph};
use crate::error::Result;
use crate::planner::{Changed, Rule, RuleContext};

/// Merges pure nodes that compute the same of the same operands: `add (%0, %1)` twice → once.
///
/// Steps with equal text are separate evaluations by the language, but of pure nodes nobody can tell.
#[derive(Debug, Default)]
pub(super) struct CommonSubexpressions {
    /// The first node of each kind in this pass.
    seen: Mutex<HashMap<(Op, Vec<NodeId>), NodeId>>,
}

impl Rule for CommonSubexpressions {
    fn name(&self) -> &'static str {
        "common_subexpressions"
    }

    fn describe(&self) -> &'static str {
        "computes equal pure expressions once"
    }

    fn begin(&self) {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    fn apply(&self, graph: &mut OpGraph, node: NodeId, _: &RuleContext<'_>) -> Result<Changed> {
        if !graph.is_pure(node) || is_op(graph, node) {
            return Ok(Changed::No);
        }
        let key = (graph.op(node).clone(), graph.operands(node));
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first = *seen.entry(key).or_insert(node);
        if first == node {
            return Ok(Changed::No);
        }
        graph.replace(node, first);
        Ok(Changed::Yes)
    }
}

/// Op definitions are large to compare and cheap to have twice.
fn is_op(graph: &OpGraph, node: NodeId) -> bool {
    matches!(graph.op(node), Op::Const(crate::value::State::Op(_) | crate::value::State::Closure(_)))
}
