//! What is known is computed once, when the plan is made.

use crate::compiler::methods::{Bound, bind};
use crate::compiler::{NodeId, Op, OpGraph, Target};
use crate::error::Result;
use crate::planner::{Changed, Pass, Rule, RuleContext};
use crate::value::{Map, State, Tuple, cast, equal};

/// Weight of a folded constant, in bytes: beyond it, the plan would be larger than the work it saves.
const FOLDED_BYTES_MAX: u64 = 4096;

/// Computes pure nodes whose operands are constants, and takes the branch of a condition that is known:
/// `add (2, 3)` → `5`; `if (true, %1?, %2?)` → `%1`.
///
/// A computation that fails becomes an error that is raised if it is reached, as it would have been.
#[derive(Debug)]
pub(super) struct ConstantFolding;

impl Rule for ConstantFolding {
    fn name(&self) -> &'static str {
        "constant_folding"
    }

    fn describe(&self) -> &'static str {
        "computes what depends on constants only, and takes branches that are known"
    }

    fn pass<'a>(&self, _: &'a RuleContext<'a>) -> Box<dyn Pass + 'a> {
        Box::new(Fold)
    }
}

struct Fold;

impl Pass for Fold {
    fn visit(&mut self, graph: &mut OpGraph, node: NodeId) -> Result<Changed> {
        let operands = graph.operands(node);
        let constant = |slot: usize| match graph.op(operands[slot]) {
            Op::Const(state) => Some(state),
            _ => None,
        };
        let chosen = match graph.op(node) {
            Op::If => constant(0).map(|cond| match cast::to_bool(cond) {
                Ok(true) => Ok(operands[1]),
                Ok(false) => Ok(operands[2]),
                Err(error) => Err(error),
            }),
            Op::After => constant(0).map(|_| Ok(operands[1])),
            Op::Case(values) => known_case(graph, &operands, *values as usize),
            _ => None,
        };
        match chosen {
            Some(Ok(branch)) if branch != node => {
                graph.substitute(node, branch);
                return Ok(Changed::Yes);
            }
            Some(Err(error)) => {
                graph.rewrite(node, Op::Fail(error), &[]);
                return Ok(Changed::Yes);
            }
            _ => {}
        }
        let Some(states) = constants(graph, &operands) else { return Ok(Changed::No) };
        let Some(result) = evaluate(graph, node, &states) else { return Ok(Changed::No) };
        match result {
            Ok(state) if state.weight() > FOLDED_BYTES_MAX => return Ok(Changed::No),
            Ok(state) => graph.rewrite(node, Op::Const(state), &[]),
            Err(error) => graph.rewrite(node, Op::Fail(error), &[]),
        }
        Ok(Changed::Yes)
    }
}

/// The states of operands that are all constants, and small enough that computing with them takes no time.
fn constants(graph: &OpGraph, operands: &[NodeId]) -> Option<Vec<State>> {
    let constant = |id: &NodeId| match graph.op(*id) {
        Op::Const(state) if state.weight() <= FOLDED_BYTES_MAX => Some(state.clone()),
        _ => None,
    };
    operands.iter().map(constant).collect()
}

/// The case that is chosen, if the condition and the values up to the match are constants.
fn known_case(graph: &OpGraph, operands: &[NodeId], values: usize) -> Option<Result<NodeId>> {
    let Op::Const(cond) = graph.op(operands[0]) else { return None };
    for i in 0..values {
        let Op::Const(value) = graph.op(operands[1 + i]) else { return None };
        match equal::matches(cond, value) {
            Ok(true) => return Some(Ok(operands[1 + values + i])),
            Ok(false) => {}
            Err(error) => return Some(Err(error)),
        }
    }
    operands.last().copied().map(Ok)
}

/// What a pure node yields for constant operands.
fn evaluate(graph: &OpGraph, node: NodeId, states: &[State]) -> Option<Result<State>> {
    let args: Vec<&State> = states.iter().collect();
    Some(match graph.op(node) {
        Op::Tuple => Tuple::try_new(states.to_vec()).map(State::from),
        Op::Map(names) => Map::from_sorted(std::sync::Arc::clone(names), states.into()).map(State::from),
        Op::Key if states[0].is_value() => Ok(states[0].clone()),
        Op::Call(Target::Cast(class), _) => cast::cast(&states[0], *class),
        // Not the methods of paths, nor templates: what they make of a small constant can be large.
        Op::Call(Target::Value(_), shape) => match bind(graph.method(node)?, shape) {
            Ok(Bound::Loop(..) | Bound::Packed(..)) => return None,
            Ok(bound) => bound.call(args[0], &args[1..]),
            Err(_) => return None,
        },
        _ => return None,
    })
}
