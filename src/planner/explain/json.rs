//! Plans as a document, for programs.
//!
//! ```text
//! {
//!   "parts": [{
//!     "title": "request",
//!     "stages": [{"rule": "initial", "nodes": [
//!       {"id": 3, "number": 0, "op": "if", "class": "/state", "step": "x", "operands": [{"node": 1, "lazy": false}]}
//!     ]}],
//!     "regions": [{"id": 0, "engine": "scalar", "head": 3, "nodes": [3]}],
//!     "calls": [{"node": 3, "part": 1}],
//!     "analysis": [{"node": 3, "runs": 1, "rows": 1, "nanos": 90, "bytes": 32, "notes": []}]
//!   }],
//!   "literals": [5],
//!   "result": 5
//! }
//! ```
//!
//! A node has one `id` in all stages of its part, so that it can be followed through the rules; `number` is what the
//! other forms call it in that stage. `calls` says which of the `parts`, counted from 0, is the plan of the method that a
//! node calls. `step`, `recalls` (of a node), `name` (of an operand), `calls`, `analysis` and `result` are there only where
//! they say something.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Analysis, Explanation, Part};
use crate::compiler::display::{label, numbers};
use crate::compiler::{Demand, NodeId, Op, OpGraph};
use crate::planner::{PhysicalPlan, Stage};
use crate::value::State;
use crate::value::encode::to_json;

/// The document of an explanation.
pub(super) fn render(explanation: &Explanation) -> Value {
    let mut document = Map::new();
    document.insert("parts".into(), Value::Array(explanation.parts.iter().map(part).collect()));
    document.insert("literals".into(), Value::Array(explanation.literals.iter().map(state).collect()));
    if let Some(result) = &explanation.result {
        document.insert("result".into(), state(result));
    }
    Value::Object(document)
}

fn part(part: &Part) -> Value {
    let mut document = Map::new();
    document.insert("title".into(), json!(part.title));
    document.insert("stages".into(), Value::Array(part.stages.iter().map(stage).collect()));
    document.insert("regions".into(), regions(&part.plan));
    if !part.calls.is_empty() {
        let calls = part.calls.iter().map(|(node, part)| json!({"node": node.index(), "part": part}));
        document.insert("calls".into(), Value::Array(calls.collect()));
    }
    if let Some(analysis) = &part.analysis {
        document.insert("analysis".into(), costs(&part.plan.graph, analysis));
    }
    Value::Object(document)
}

fn stage(stage: &Stage) -> Value {
    let graph = &stage.graph;
    let numbers = numbers(graph);
    let nodes: Vec<Value> = graph.topological().into_iter().map(|id| node(graph, id, &numbers)).collect();
    json!({"rule": stage.name, "nodes": nodes})
}

fn node(graph: &OpGraph, id: NodeId, numbers: &HashMap<NodeId, usize>) -> Value {
    let node = graph.node(id);
    let mut document = Map::new();
    document.insert("id".into(), json!(id.index()));
    document.insert("number".into(), json!(numbers.get(&id)));
    document.insert("op".into(), json!(label(graph, &node.op)));
    document.insert("class".into(), json!(node.class.path()));
    document.insert("operands".into(), operands(graph, id));
    if let Some(trail) = &node.trail {
        document.insert("step".into(), json!(trail.step.as_str()));
    }
    if let Op::Recall(target) = &node.op {
        document.insert("recalls".into(), json!(target.index()));
    }
    Value::Object(document)
}

fn operands(graph: &OpGraph, id: NodeId) -> Value {
    let op = graph.op(id);
    let names = match op {
        Op::Map(names) | Op::With(names) => &names[..],
        _ => &[],
    };
    let operand = |(slot, operand): (usize, NodeId)| {
        let is_lazy = op.demand(slot) == Demand::Lazy;
        match names.get(slot) {
            Some(name) => json!({"node": operand.index(), "lazy": is_lazy, "name": name.as_str()}),
            None => json!({"node": operand.index(), "lazy": is_lazy}),
        }
    };
    Value::Array(graph.operands(id).into_iter().enumerate().map(operand).collect())
}

fn regions(plan: &PhysicalPlan) -> Value {
    let regions = plan.regions.iter().enumerate().map(|(id, region)| {
        let nodes: Vec<usize> = region.nodes.iter().map(|node| node.index()).collect();
        json!({"id": id, "engine": region.engine.name(), "head": region.head.index(), "nodes": nodes})
    });
    Value::Array(regions.collect())
}

/// What each node that ran cost, in the order of the listing.
fn costs(graph: &OpGraph, analysis: &Analysis) -> Value {
    let costs = graph.topological().into_iter().filter_map(|id| {
        let stats = analysis.get(&id)?;
        Some(json!({
            "node": id.index(),
            "runs": stats.runs,
            "rows": stats.rows,
            "nanos": stats.nanos,
            "bytes": stats.bytes,
            "notes": stats.notes,
        }))
    });
    Value::Array(costs.collect())
}

/// Bytes of a literal or a result that is shown as it is.
const STATE_BYTES_MAX: u64 = 1 << 16;

/// A state as it is replied to a client; as text where JSON has no such value, e.g. `NaN`, or where it is too large to be
/// looked at.
fn state(state: &State) -> Value {
    if state.weight() > STATE_BYTES_MAX {
        return Value::String(format!("a {} of {} bytes", state.class(), state.weight()));
    }
    let text = to_json(state);
    match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(_) => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{analyzed, calling, sample};
    use super::*;

    #[test]
    fn operands_say_whether_they_are_lazy() {
        let document = render(&sample());
        let nodes = document["parts"][0]["stages"][0]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 5);
        assert_eq!(nodes[4]["op"], "if");
        assert_eq!(nodes[4]["class"], "/state");
        let lazy: Vec<&Value> = nodes[4]["operands"].as_array().unwrap().iter().map(|o| &o["lazy"]).collect();
        assert_eq!(lazy, [&json!(false), &json!(true), &json!(true)]);
        assert_eq!(nodes[2]["step"], "sum");
        assert_eq!(nodes[1].get("step"), None);
    }

    #[test]
    fn every_node_that_is_computed_is_in_one_region() {
        let document = render(&sample());
        let part = &document["parts"][0];
        let ids = |nodes: &Value, key: Option<&str>| -> Vec<u64> {
            nodes.as_array().unwrap().iter().map(|n| key.map_or(n, |key| &n[key]).as_u64().unwrap()).collect()
        };
        // Not the constant and the parameter: there is nothing to compute.
        let mut all = ids(&part["stages"][0]["nodes"], Some("id")).split_off(2);
        let mut in_regions: Vec<u64> =
            part["regions"].as_array().unwrap().iter().flat_map(|region| ids(&region["nodes"], None)).collect();
        all.sort_unstable();
        in_regions.sort_unstable();
        assert_eq!(all, in_regions);
    }

    #[test]
    fn calls_say_where_the_plans_of_methods_are() {
        let document = render(&calling());
        assert_eq!(document["parts"][1]["title"], "GET /lib/a/b/1.0.0/<m>");
        let calls = json!([{"node": calling().parts[0].plan.graph.root().index(), "part": 1}]);
        assert_eq!([&document["parts"][0]["calls"], &document["parts"][1]["calls"]], [&calls; 2]);
        assert_eq!(render(&sample())["parts"][0].get("calls"), None);
    }

    #[test]
    fn costs_and_result_are_there_only_after_a_run() {
        let document = render(&sample());
        assert_eq!(document.get("result"), None);
        assert_eq!(document["parts"][0].get("analysis"), None);
        let document = render(&analyzed());
        assert_eq!(document["result"], "done");
        assert_eq!(document["parts"][0]["analysis"][0]["nanos"], 1_500);
    }

    #[test]
    fn what_json_cannot_say_becomes_text() {
        assert_eq!(state(&State::from(f64::NAN)), json!("NaN"));
        assert_eq!(state(&State::from(5_i64)), json!(5));
    }
}
