//! Shows what became of a request: the graph as it was decoded, each rule that changed it, the plan, and, once it ran,
//! what each node cost.

mod dot;
mod json;
mod svg;
mod text;

use std::collections::{BTreeMap, HashMap};

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

/// The plan of the request, of an op that it defines, or of a method that it calls.
#[derive(Clone, Debug)]
pub struct Part {
    /// `request`, where the op stands, or the verb and the path of the method.
    pub title: String,
    /// The graph as decoded, and after each rule that changed it.
    pub stages: Vec<Stage>,
    pub plan: PhysicalPlan,
    /// The nodes that call methods, each with the index in [`Explanation::parts`] of the plan of the method.
    pub calls: BTreeMap<NodeId, usize>,
    /// With ANALYZE, what each node cost.
    pub analysis: Option<Analysis>,
}

impl Part {
    /// The title of the method that a node calls, if its plan is one of `parts`.
    fn called<'a>(&self, node: NodeId, parts: &'a [Part]) -> Option<&'a str> {
        parts.get(*self.calls.get(&node)?).map(|part| part.title.as_str())
    }
}

/// All that is known about how a request is run.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The request first, then the ops that it defines and the methods that it calls, each once.
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
