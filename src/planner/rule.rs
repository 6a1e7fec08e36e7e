//! What a rewrite rule is.

use std::fmt;

use crate::compiler::{BuildContext, NodeId, OpGraph};
use crate::error::Result;

/// Whether a rule changed the graph.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Changed {
    Yes,
    No,
}

/// What a rule may know beside the graph.
pub struct RuleContext<'a> {
    /// For rules that build more of the graph.
    pub build: &'a BuildContext<'a>,
}

/// Rewrites the graph into one that yields the same result at lower cost.
///
/// "The same" includes what fails: a program whose result is a value has that value under every set of rules, and a
/// program that fails still fails, though where several parts fail a rule may change which of them is reported.
///
/// A rule has no state, since many requests are compiled at once. What it remembers belongs to a [`Pass`].
pub trait Rule: fmt::Debug + Send + Sync {
    /// Stable name, shown by EXPLAIN and usable to switch the rule off.
    fn name(&self) -> &'static str;

    /// What the rule does, for the reference.
    fn describe(&self) -> &'static str;

    /// Whether the rule also wants to see nodes that the result cannot need.
    fn visits_unreached(&self) -> bool {
        false
    }

    /// Begins a pass over one graph.
    fn pass<'a>(&self, cx: &'a RuleContext<'a>) -> Box<dyn Pass + 'a>;
}

/// One pass of a rule over one graph. A rule never recurses by itself: the optimizer visits the nodes, operands first.
pub trait Pass {
    /// Tries to rewrite at `node`; returns [`Changed::No`], having touched nothing, if the pattern is absent.
    ///
    /// # Errors
    /// `TooLarge` if the rewritten graph would be larger than is allowed, `Timeout` if there is no more time.
    fn visit(&mut self, graph: &mut OpGraph, node: NodeId) -> Result<Changed>;

    /// Does what is better done once than at each node.
    fn finish(&mut self, _graph: &mut OpGraph) -> Changed {
        Changed::No
    }
}
