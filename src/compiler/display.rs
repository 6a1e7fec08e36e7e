//! Graphs as text: a numbered list, inputs first and shared nodes once.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::graph::{Demand, NodeId, Op, OpGraph, Target};
use super::methods::Shape;
use crate::value::encode::to_json_within;

/// Longest text of a constant in a listing, in characters.
const CONST_CHARS_MAX: usize = 60;

/// The numbers of the nodes in a listing.
pub fn numbers(graph: &OpGraph) -> HashMap<NodeId, usize> {
    listed(graph).into_iter().enumerate().map(|(number, id)| (id, number)).collect()
}

/// The nodes of a listing: those that the result may need, then the others.
fn listed(graph: &OpGraph) -> Vec<NodeId> {
    let mut nodes = graph.topological();
    nodes.extend(graph.unreached());
    nodes
}

/// One line a node: number, what it computes, of what, and the class of the result. Lazy operands have a `?`.
pub fn listing(graph: &OpGraph) -> String {
    let numbers = numbers(graph);
    let mut text = String::new();
    let unreached: std::collections::HashSet<NodeId> = graph.unreached().into_iter().collect();
    for id in listed(graph) {
        let class = graph.node(id).class;
        let line = format!("%{} = {}", numbers[&id], describe(graph, id, &numbers));
        let note = if unreached.contains(&id) { "  (not needed)" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line:<56} : {class}{note}");
    }
    text
}

/// What a node computes, with its operands by number.
pub fn describe(graph: &OpGraph, id: NodeId, numbers: &HashMap<NodeId, usize>) -> String {
    let op = graph.op(id);
    let operands: Vec<String> = graph
        .operands(id)
        .into_iter()
        .enumerate()
        .map(|(slot, operand)| {
            let lazy = if op.demand(slot) == Demand::Lazy { "?" } else { "" };
            format!("%{}{lazy}", numbers.get(&operand).copied().unwrap_or_default())
        })
        .collect();
    let name = match op {
        Op::Recall(target) => format!("recall %{}", numbers.get(target).copied().unwrap_or_default()),
        op => label(graph, op),
    };
    match op {
        Op::Map(names) | Op::With(names) => {
            let named = names.iter().map(ToString::to_string).chain([String::from("op")]).zip(&operands);
            let named: Vec<String> = named.map(|(name, operand)| format!("{name}: {operand}")).collect();
            format!("{name} ({})", named.join(", "))
        }
        _ if operands.is_empty() => name,
        _ => format!("{name} ({})", operands.join(", ")),
    }
}

/// What a node computes, without its operands.
pub fn label(graph: &OpGraph, op: &Op) -> String {
    match op {
        Op::Const(state) => shorten(&to_json_within(state, 10 * CONST_CHARS_MAX)),
        Op::Param(index) => format!("literal {index}"),
        Op::Input(index) => format!("parameter {}", graph.inputs[*index as usize]),
        Op::Tuple => "tuple".into(),
        Op::Map(_) => "map".into(),
        Op::Call(target, shape) => {
            let verb = match shape {
                Shape::Post(names) => {
                    format!("post[{}]", names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "))
                }
                shape => shape.verb().name().into(),
            };
            match target {
                Target::Value(path) if path.is_empty() => format!("call {verb}"),
                Target::Value(path) => {
                    let path: Vec<&str> = path.iter().map(|segment| segment.as_str()).collect();
                    match shape {
                        Shape::Get => path.join("/"),
                        _ => format!("{} {verb}", path.join("/")),
                    }
                }
                Target::Static(path) => (*path).into(),
                Target::Cast(class) => format!("cast {class}"),
                Target::Remote(link) | Target::Data(link) => format!("{verb} {link}"),
            }
        }
        Op::If => "if".into(),
        Op::Case(_) => "case".into(),
        Op::After => "after".into(),
        Op::While => "while".into(),
        Op::WriteAll(rows) => format!("write {rows} rows"),
        Op::With(_) => "with".into(),
        Op::Key => "key".into(),
        Op::Recall(_) => "recall".into(),
        Op::Fail(error) => format!("fail {}", shorten(&error.to_string())),
        Op::Raise(kind, _) => format!("raise {}", kind.name()),
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= CONST_CHARS_MAX {
        return text.to_string();
    }
    text.chars().take(CONST_CHARS_MAX - 1).chain(['…']).collect()
}
