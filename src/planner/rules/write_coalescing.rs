//! Independent writes to one collection become one batch.

use std::collections::{BTreeMap, HashMap};

use crate::compiler::methods::Shape;
use crate::compiler::{Demand, NodeId, Op, OpGraph, Target};
use crate::error::Result;
use crate::planner::{Changed, Pass, Rule, RuleContext};
use crate::value::Class;

/// Fewer writes than this are as fast one by one.
const WRITES_MIN: usize = 4;

/// Replaces rows that are put to one collection, all always and for the same step, by one node that puts them all:
/// `tuple (%1 = put (%0, k, v), %2 = put (%0, l, w), …)` → `tuple (%1, %1, …)`, `%1 = write 2 (%0, k, v, l, w, …)`.
///
/// Keys and values must not depend on anything that may wait or write: then nothing could have told in which order they
/// were written. A put yields None, and so does the batch.
#[derive(Debug)]
pub(super) struct WriteCoalescing;

impl Rule for WriteCoalescing {
    fn name(&self) -> &'static str {
        "write_coalescing"
    }

    fn describe(&self) -> &'static str {
        "writes rows together that are put to one collection independently"
    }

    fn pass<'a>(&self, _: &'a RuleContext<'a>) -> Box<dyn Pass + 'a> {
        Box::new(Coalesce { is_plain: HashMap::new() })
    }
}

struct Coalesce {
    /// Whether a node and all that it depends on are pure.
    is_plain: HashMap<NodeId, bool>,
}

impl Pass for Coalesce {
    fn visit(&mut self, graph: &mut OpGraph, node: NodeId) -> Result<Changed> {
        let mut batches: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        let operands = graph.operands(node);
        if operands.len() < WRITES_MIN {
            return Ok(Changed::No);
        }
        for (slot, put) in operands.iter().enumerate() {
            if graph.op(node).demand(slot) == Demand::Strict
                && let Some(subject) = self.written(graph, node, *put)
            {
                batches.entry(subject).or_default().push(*put);
            }
        }
        let mut changed = Changed::No;
        for (subject, puts) in batches {
            if puts.len() < WRITES_MIN {
                continue;
            }
            let mut all = vec![subject];
            puts.iter().for_each(|put| all.extend(&graph.operands(*put)[1..]));
            let trail = graph.node(node).trail.clone();
            let batch = graph.add(Op::WriteAll(puts.len() as u32), &all, trail);
            let replaced = puts.into_iter().map(|put| (put, batch)).collect();
            graph.replace_all(&replaced);
            changed = Changed::Yes;
        }
        Ok(changed)
    }
}

impl Coalesce {
    /// The collection that `put` writes a row to, if only `node` needs it and nothing tells when it is done.
    fn written(&mut self, graph: &OpGraph, node: NodeId, put: NodeId) -> Option<NodeId> {
        let Op::Call(Target::Value(path), Shape::Put) = graph.op(put) else { return None };
        let operands = graph.operands(put);
        let is_collection = matches!(graph.node(operands[0]).class, Class::BTree | Class::Table);
        let is_alone = graph.users(put).all(|(user, _)| user == node) && graph.users(put).count() == 1;
        let is_row = path.is_empty() && is_collection && is_alone && !graph.is_recalled(put);
        (is_row && operands[1..].iter().all(|operand| self.is_plain(graph, *operand))).then_some(operands[0])
    }

    /// Whether a node depends on nothing that may wait, fail on purpose, or write.
    fn is_plain(&mut self, graph: &OpGraph, node: NodeId) -> bool {
        let mut stack = vec![(node, false)];
        while let Some((id, expanded)) = stack.pop() {
            if self.is_plain.contains_key(&id) {
                continue;
            }
            let operands = graph.operands(id);
            if expanded {
                let is_plain =
                    graph.is_pure(id) && operands.iter().all(|operand| self.is_plain.get(operand) == Some(&true));
                self.is_plain.insert(id, is_plain);
            } else {
                stack.push((id, true));
                stack.extend(operands.into_iter().map(|operand| (operand, false)));
            }
        }
        self.is_plain.get(&node) == Some(&true)
    }
}
