//! What is computed twice is computed once.

use std::collections::HashMap;

use crate::compiler::{NodeId, Op, OpGraph};
use crate::error::Result;
use crate::planner::{Changed, Pass, Rule, RuleContext};
use crate::value::State;

/// Merges pure nodes that compute the same of the same operands: `add (%0, %1)` twice → once.
///
/// Steps with equal text are separate evaluations by the language, but of pure nodes nobody can tell.
#[derive(Debug)]
pub(super) struct CommonSubexpressions;

impl Rule for CommonSubexpressions {
    fn name(&self) -> &'static str {
        "common_subexpressions"
    }

    fn describe(&self) -> &'static str {
        "computes equal pure expressions once"
    }

    fn pass<'a>(&self, _: &'a RuleContext<'a>) -> Box<dyn Pass + 'a> {
        Box::new(Merge::default())
    }
}

/// Nodes that were seen, and what they are to be replaced by when all were.
#[derive(Default)]
struct Merge {
    /// The first node of each kind.
    seen: HashMap<(Op, Vec<NodeId>), NodeId>,
    /// The first node that computes the same as another.
    first: HashMap<NodeId, NodeId>,
}

impl Pass for Merge {
    fn visit(&mut self, graph: &mut OpGraph, node: NodeId) -> Result<Changed> {
        if graph.is_pure(node) && is_cheap_to_compare(graph.op(node)) {
            let operands = graph.operands(node);
            let operands = operands.into_iter().map(|id| self.first.get(&id).copied().unwrap_or(id)).collect();
            let first = *self.seen.entry((graph.op(node).clone(), operands)).or_insert(node);
            if first != node {
                self.first.insert(node, first);
            }
        }
        Ok(Changed::No)
    }

    fn finish(&mut self, graph: &mut OpGraph) -> Changed {
        if self.first.is_empty() {
            return Changed::No;
        }
        graph.replace_all(&self.first);
        Changed::Yes
    }
}

/// Large constants are cheap to have twice.
fn is_cheap_to_compare(op: &Op) -> bool {
    match op {
        Op::Const(
            State::Op(_)
            | State::Closure(_)
            | State::Collection(_)
            | State::Tensor(_)
            | State::Stream(_)
            | State::Object(_),
        ) => false,
        Op::Const(state) => state.weight() <= 1024,
        _ => true,
    }
}
