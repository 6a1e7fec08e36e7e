//! Shows what became of a request: the graph as it was decoded, each rule that changed it, the plan, and, once it ran,
//! what each node cost.

mod dot;
mod json;
mod svg;
mod text;

use std::collections::HashMap;

use super::{PhysicalPlan, Stage};
use crate::compiler::NodeId;
use crate::value::State;

/// What a node cost, over all times that it ran.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeStats {
    /// How often the node was computed.
    pub runs: u64,
    /// Items of the results: those of a tuple or map, else one.
    pub rows: u64,
    /// Nanoseconds, without those of its operands but with those of ops that it called.
    pub nanos: u64,
    /// Bytes that the results stand for.
    pub bytes: u64,
    /// How rows were read and written.
    pub notes: Vec<String>,
}

/// What the nodes of a plan cost.
pub type Analysis = HashMap<NodeId, NodeStats>;

/// The plan of the request, or of an op that it defines.
#[derive(Clone, Debug)]
pub struct Part {
    /// `request`, or where the op stands.
    pub title: String,
    /// The graph as decoded, and after each rule that changed it.
    pub stages: Vec<Stage>,
    pub plan: PhysicalPlan,
    /// With ANALYZE, what each node cost.
    pub analysis: Option<Analysis>,
}

/// All that is known about how a request is run.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The request first, then the ops that it defines.
    pub parts: Vec<Part>,
    /// The literals of the request, in the order of their numbers.
    pub literals: Vec<State>,
    /// With ANALYZE, the result.
    pub result: Option<State>,
}

impl Explanation {
    /// Plain text, for a terminal.
    pub fn to_text(&self) -> String {
        text::render(self)
    }

    /// A document, for a program.
    pub fn to_json(&self) -> serde_json::Value {
        json::render(self)
    }

    /// A Graphviz graph of the final plans.
    pub fn to_dot(&self) -> String {
        dot::render(self)
    }

    /// A picture of the final plans, which needs nothing else to be shown.
    pub fn to_svg(&self) -> String {
        svg::render(self)
    }
}
