//! Calls of small ops that are known become their bodies.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::compiler::build::unknown;
use crate::compiler::methods::Shape;
use crate::compiler::{NodeId, Op, OpGraph, Target, Trail, build_op};
use crate::error::Result;
use crate::planner::{Changed, Pass, Rule, RuleContext};
use crate::value::{Id, OpDef, State, Verb};

/// Nodes of a body that is inlined.
const BODY_NODES_MAX: usize = 32;
/// Bytes of an op whose graph is looked at.
const BODY_BYTES_MAX: u64 = 1 << 14;
/// Nodes of a graph beyond which nothing more is inlined into it.
const GRAPH_NODES_MAX: usize = 4096;

/// Replaces a call of a small op, whose definition is a constant, by the body of the op:
/// `call get (op n → mul n 2, %1)` → `mul (%1, 2)`.
///
/// The arguments are still computed before the body, and errors still name the steps of the op and of the caller.
#[derive(Debug)]
pub(super) struct InlineOps;

impl Rule for InlineOps {
    fn name(&self) -> &'static str {
        "inline_ops"
    }

    fn describe(&self) -> &'static str {
        "replaces the call of a small op by its body"
    }

    fn pass<'a>(&self, cx: &'a RuleContext<'a>) -> Box<dyn Pass + 'a> {
        Box::new(Inline { cx, bodies: HashMap::new() })
    }
}

struct Inline<'a> {
    cx: &'a RuleContext<'a>,
    /// The graphs of the ops that were seen, by address, unless they are too large; the graph keeps the ops alive.
    bodies: HashMap<*const OpDef, Option<Rc<OpGraph>>>,
}

impl Inline<'_> {
    /// The graph of an op, if it is small.
    fn body(&mut self, op: &Arc<OpDef>) -> Option<Rc<OpGraph>> {
        let build = self.cx.build;
        let found = self.bodies.entry(Arc::as_ptr(op)).or_insert_with(|| {
            let is_small = (1..=BODY_NODES_MAX).contains(&op.steps.len()) && op.weight <= BODY_BYTES_MAX;
            // An op that cannot be compiled is an error only if it is called.
            let body = is_small.then(|| build_op(op, build).ok()).flatten();
            body.filter(|body| body.node_count() <= BODY_NODES_MAX && !body.has_recalls()).map(Rc::new)
        });
        found.clone()
    }
}

impl Pass for Inline<'_> {
    fn visit(&mut self, graph: &mut OpGraph, node: NodeId) -> Result<Changed> {
        let Op::Call(Target::Value(path), shape) = graph.op(node) else { return Ok(Changed::No) };
        if !path.is_empty() || graph.node_count() > GRAPH_NODES_MAX {
            return Ok(Changed::No);
        }
        let operands = graph.operands(node);
        let Op::Const(State::Op(op)) = graph.op(operands[0]) else { return Ok(Changed::No) };
        if op.kind.verb() != shape.verb() {
            return Ok(Changed::No);
        }
        let (op, shape) = (Arc::clone(op), shape.clone());
        let Some(body) = self.body(&op) else { return Ok(Changed::No) };
        let result = splice(graph, node, &body, &op, &shape, &operands[1..]);
        graph.replace(node, result);
        Ok(Changed::Yes)
    }
}

/// Copies `body` into `graph`, with `args` for its inputs; returns the node that replaces the call.
fn splice(graph: &mut OpGraph, call: NodeId, body: &OpGraph, op: &OpDef, shape: &Shape, args: &[NodeId]) -> NodeId {
    let caller = graph.node(call).trail.clone();
    let (args, names) = named_args(graph, op, shape, args, caller.as_ref());
    let mut copies: HashMap<NodeId, NodeId> = HashMap::new();
    for id in body.topological() {
        let node = body.node(id);
        let trail =
            node.trail.as_ref().map(|trail| Arc::new(Trail { step: trail.step.clone(), caller: caller.clone() }));
        let copy = match &node.op {
            Op::Input(index) => {
                let name = &body.inputs[*index as usize];
                match names.iter().position(|known| known == name) {
                    Some(position) => args[position],
                    None => graph.add(Op::Fail(unknown(name)), &[], trail),
                }
            }
            op => {
                let operands: Vec<NodeId> = body.operands(id).iter().map(|operand| copies[operand]).collect();
                graph.add(op.clone(), &operands, trail)
            }
        };
        copies.insert(id, copy);
    }
    let mut result = copies[&body.root()];
    if matches!(op.kind.verb(), Verb::Put | Verb::Delete) {
        let none = graph.add(Op::Const(State::NONE), &[], caller.clone());
        result = graph.add(Op::After, &[result, none], caller.clone());
    }
    // The arguments are computed first, also those that the body may not need.
    let pending: Vec<NodeId> = args.into_iter().filter(|arg| !is_known(graph, *arg)).collect();
    match pending.as_slice() {
        [] => result,
        [only] => graph.add(Op::After, &[*only, result], caller),
        several => {
            let all = graph.add(Op::Tuple, several, caller.clone());
            graph.add(Op::After, &[all, result], caller)
        }
    }
}

/// The arguments of a call with the names that the op knows them by; a key must be a value.
fn named_args(
    graph: &mut OpGraph,
    op: &OpDef,
    shape: &Shape,
    args: &[NodeId],
    caller: Option<&Arc<Trail>>,
) -> (Vec<NodeId>, Vec<Id>) {
    match shape {
        Shape::Post(names) => (args.to_vec(), names.to_vec()),
        _ => {
            let mut args = args.to_vec();
            if !graph.node(args[0]).class.is_atom() {
                args[0] = graph.add(Op::Key, &[args[0]], caller.cloned());
            }
            (args, op.kind.params().cloned().collect())
        }
    }
}

/// Whether computing a node cannot fail and has no effect.
fn is_known(graph: &OpGraph, id: NodeId) -> bool {
    matches!(graph.op(id), Op::Const(_) | Op::Param(_))
}
