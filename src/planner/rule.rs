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
pub trait Rule: fmt::Debug + Send + Sync {
    /// Stable name, shown by EXPLAIN and usable to switch the rule off.
    fn name(&self) -> &'static str;

    /// What the rule does, for the reference.
    fn describe(&self) -> &'static str;

    /// Tries to rewrite at `node`; returns [`Changed::No`], having touched nothing, if the pattern is absent.
    ///
    /// # Errors
    /// `TooLarge` if the rewritten graph would be larger than is allowed.
    fn apply(&self, graph: &mut OpGraph, node: NodeId, cx: &RuleContext<'_>) -> Result<Changed>;

    /// Whether the rule also wants to see nodes that the result cannot need.
    fn visits_unreached(&self) -> bool {
        false
    }

    /// Called before each pass over the graph, for rules that remember nodes within one pass.
    fn begin(&self) {}
}
