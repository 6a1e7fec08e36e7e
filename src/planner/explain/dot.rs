//! Plans as a Graphviz graph: a cluster for each part, within it a cluster for each region.
//!
//! An edge runs from an operand to its user, dashed if the operand is lazy. Where a circle of names closes, a dotted edge
//! runs from the node that is recalled; it takes no part in the layout. A bold edge runs from the result of a method to the
//! node that calls it.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::text::{cost_text, shorten};
use super::{Explanation, Part};
use crate::compiler::display::{label, numbers};
use crate::compiler::{Demand, NodeId, Op};
use crate::planner::{Engine, Region};

/// Longest line of a label, in characters: wider boxes make the layout unreadable.
const LABEL_CHARS_MAX: usize = 60;

const HEADER: &str = r##"digraph explain {
  graph [rankdir=TB, fontname="Helvetica", fontsize=12, bgcolor="white", nodesep=0.3, ranksep=0.45];
  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, color="#5b8fc7", fillcolor="#dbeafe"];
  edge [color="#64748b", arrowsize=0.7];
"##;

/// The graph of an explanation, in the language of Graphviz.
pub(super) fn render(explanation: &Explanation) -> String {
    let mut dot = String::from(HEADER);
    for (index, part) in explanation.parts.iter().enumerate() {
        render_part(&mut dot, index, part);
    }
    for (index, part) in explanation.parts.iter().enumerate() {
        render_calls(&mut dot, index, part, &explanation.parts);
    }
    dot.push_str("}\n");
    dot
}

fn render_part(dot: &mut String, index: usize, part: &Part) {
    let numbers = numbers(&part.plan.graph);
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(dot, "  subgraph \"cluster_{index}\" {{");
    let _ = writeln!(dot, "    label={}; labeljust=l; color=\"#94a3b8\"; style=rounded;", quoted(&part.title));
    for (region_index, region) in part.plan.regions.iter().enumerate() {
        let _ = writeln!(dot, "    subgraph \"cluster_{index}_{region_index}\" {{");
        let _ = writeln!(dot, "      label={}; color=\"#cbd5e1\"; fontsize=10;", quoted(region.engine.name()));
        for id in &region.nodes {
            render_node(dot, index, part, region, *id, &numbers);
        }
        dot.push_str("    }\n");
    }
    render_edges(dot, index, part, &numbers);
    dot.push_str("  }\n");
}

fn render_node(
    dot: &mut String,
    index: usize,
    part: &Part,
    region: &Region,
    id: NodeId,
    numbers: &HashMap<NodeId, usize>,
) {
    let graph = &part.plan.graph;
    let node = graph.node(id);
    let mut lines = vec![shorten(&label(graph, &node.op), LABEL_CHARS_MAX)];
    lines.push(match &node.trail {
        Some(trail) => format!("{} · {}", node.class, trail.step),
        None => node.class.to_string(),
    });
    if let Some(stats) = part.analysis.as_ref().and_then(|analysis| analysis.get(&id)) {
        lines.push(cost_text(stats));
    }
    let look = match region.engine {
        Engine::Scalar => "",
        Engine::Data => ", color=\"#3a8f6b\", fillcolor=\"#dcf3e6\"",
        Engine::Call => ", color=\"#d08b3a\", fillcolor=\"#fde8cc\"",
    };
    let emphasis = if id == graph.root() { ", penwidth=3" } else { "" };
    let name = name(index, id, numbers);
    let _ = writeln!(dot, "      {name} [label={}{look}{emphasis}];", quoted(&lines.join("\n")));
}

fn render_edges(dot: &mut String, index: usize, part: &Part, numbers: &HashMap<NodeId, usize>) {
    let graph = &part.plan.graph;
    for id in graph.topological() {
        let op = graph.op(id);
        let user = name(index, id, numbers);
        for (slot, operand) in graph.operands(id).into_iter().enumerate() {
            let style = if op.demand(slot) == Demand::Lazy { " [style=dashed]" } else { "" };
            let _ = writeln!(dot, "    {} -> {user}{style};", name(index, operand, numbers));
        }
        if let Op::Recall(target) = op {
            let _ = writeln!(dot, "    {} -> {user} [style=dotted, constraint=false];", name(index, *target, numbers));
        }
    }
}

fn render_calls(dot: &mut String, index: usize, part: &Part, parts: &[Part]) {
    let callers = numbers(&part.plan.graph);
    for (caller, called) in &part.calls {
        let Some(graph) = parts.get(*called).map(|part| &part.plan.graph) else { continue };
        let result = name(*called, graph.root(), &numbers(graph));
        let _ = writeln!(dot, "  {result} -> {} [style=bold, color=\"#d08b3a\"];", name(index, *caller, &callers));
    }
}

/// The name of a node: its part, and its number in the listing.
fn name(part: usize, id: NodeId, numbers: &HashMap<NodeId, usize>) -> String {
    format!("p{part}n{}", numbers.get(&id).copied().unwrap_or_default())
}

/// A quoted string. Graphviz expands backslashes and, as HTML does, ampersands.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '&' => quoted.push_str("&amp;"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{analyzed, calling, sample};
    use super::*;

    #[test]
    fn lazy_edges_are_dashed() {
        let dot = render(&sample());
        assert!(dot.contains("    p0n3 -> p0n4;\n"), "{dot}");
        assert!(dot.contains("    p0n2 -> p0n4 [style=dashed];\n"), "{dot}");
    }

    #[test]
    fn the_result_is_emphasised_and_only_the_result() {
        let dot = render(&sample());
        assert!(dot.contains("p0n4 [label=\"if\\nstate\", penwidth=3];"), "{dot}");
        assert_eq!(dot.matches("penwidth").count(), 1);
    }

    #[test]
    fn a_label_may_hold_any_character() {
        assert_eq!(quoted("a \"b\" \\N &lt;\nc\u{0}"), r#""a \"b\" \\N &amp;lt;\nc ""#);
    }

    #[test]
    fn costs_are_a_line_of_the_label() {
        assert!(render(&analyzed()).contains("if\\nstate\\nruns 1 · rows 3 · 1.5 µs · 2.0 KiB"));
    }

    #[test]
    fn bold_edges_lead_from_methods_to_their_calls() {
        let dot = render(&calling());
        assert!(dot.contains("  p1n4 -> p0n4 [style=bold, color=\"#d08b3a\"];\n"), "{dot}");
        assert!(dot.contains("  p1n4 -> p1n4 [style=bold"), "{dot}");
        assert_eq!(dot.matches("style=bold").count(), 2);
    }

    #[test]
    fn braces_are_balanced() {
        let dot = render(&calling());
        assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    }
}
