//! Applies the rules.

use std::sync::Arc;

use super::rule::{Changed, Rule, RuleContext};
use super::rules;
use crate::compiler::OpGraph;
use crate::error::{Error, Result};

/// Passes over all rules. Each pass that is not the last makes the graph smaller or inlines a call, so a handful is
/// normal; the bound is against a rule that undoes another.
const PASSES_MAX: usize = 16;

/// Nodes of all stages that an explanation keeps; what comes after is left out.
const STAGE_NODES_MAX: usize = 200_000;

/// A graph as it was after the rule `name` (or `initial`) changed it.
#[derive(Clone, Debug)]
pub struct Stage {
    pub name: &'static str,
    pub graph: OpGraph,
}

/// The rules, in the order in which they are applied.
#[derive(Clone, Debug)]
pub struct Optimizer {
    rules: Vec<Arc<dyn Rule>>,
    /// Whether pure regions are merged; see [`super::physical`].
    merges_regions: bool,
    /// Whether ops are run on the columns of a stream.
    vectorizes: bool,
}

/// The name under which region merging is shown and switched off.
pub const MERGE_REGIONS: &str = "merge_regions";
/// The name under which ops that run on columns are switched off: which do is known when a stream is read.
pub const VECTORIZATION: &str = "vectorization";

impl Default for Optimizer {
    fn default() -> Self {
        Self { rules: rules::default_rules(), merges_regions: true, vectorizes: true }
    }
}

impl Optimizer {
    /// An optimizer that changes nothing.
    pub fn none() -> Self {
        Self { rules: vec![], merges_regions: false, vectorizes: false }
    }

    /// The names of all rules, and what each does.
    pub fn reference() -> Vec<(&'static str, &'static str)> {
        let merge =
            (MERGE_REGIONS, "computes what always runs together as one region, rather than each node by itself");
        let vectorize =
            (VECTORIZATION, "runs an op over the rows of a stream on whole columns, rather than row by row");
        rules::default_rules().iter().map(|rule| (rule.name(), rule.describe())).chain([merge, vectorize]).collect()
    }

    /// The names of all rules.
    pub fn names() -> Vec<&'static str> {
        Self::reference().into_iter().map(|(name, _)| name).collect()
    }

    /// An optimizer with only the rules for whose names `keep` is true.
    #[must_use]
    pub fn with_rules(keep: impl Fn(&str) -> bool) -> Self {
        let rules = rules::default_rules().into_iter().filter(|rule| keep(rule.name())).collect();
        Self { rules, merges_regions: keep(MERGE_REGIONS), vectorizes: keep(VECTORIZATION) }
    }

    /// An optimizer with all rules but those of these names.
    #[must_use]
    pub fn without(names: &[String]) -> Self {
        Self::with_rules(|rule| !names.iter().any(|name| name == rule))
    }

    /// Checks that these are names of rules.
    ///
    /// # Errors
    /// `BadRequest`, naming the one that is not, and those that are.
    pub fn check_names(names: &[String]) -> Result<()> {
        let known = Self::names();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Error::bad_request(format!("there is no rule {name:?}, only {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    /// Whether pure regions are merged.
    pub fn merges_regions(&self) -> bool {
        self.merges_regions
    }

    /// Whether ops are run on the columns of a stream.
    pub fn vectorizes(&self) -> bool {
        self.vectorizes
    }

    /// Rewrites `graph` until no rule changes it.
    ///
    /// # Errors
    /// `TooLarge` if inlining makes the graph too large; `Internal`, naming the rule, if a rule breaks an invariant.
    pub fn optimize(&self, graph: &mut OpGraph, cx: &RuleContext<'_>) -> Result<()> {
        self.run(graph, cx, |_, _| {})
    }

    /// As [`Optimizer::optimize`], and returns the graph before and after each rule that changed it.
    ///
    /// # Errors
    /// As [`Optimizer::optimize`].
    pub fn trace(&self, graph: &mut OpGraph, cx: &RuleContext<'_>) -> Result<Vec<Stage>> {
        let mut stages = vec![Stage { name: "initial", graph: graph.clone() }];
        let mut nodes = graph.node_count();
        self.run(graph, cx, |name, graph| {
            nodes += graph.node_count();
            if nodes <= STAGE_NODES_MAX {
                stages.push(Stage { name, graph: graph.clone() });
            }
        })?;
        Ok(stages)
    }

    fn run(
        &self,
        graph: &mut OpGraph,
        cx: &RuleContext<'_>,
        mut note: impl FnMut(&'static str, &OpGraph),
    ) -> Result<()> {
        debug_assert!(graph.check().is_ok());
        for _ in 0..PASSES_MAX {
            let mut changed = Changed::No;
            for rule in &self.rules {
                if apply_everywhere(rule.as_ref(), graph, cx)? == Changed::Yes {
                    changed = Changed::Yes;
                    if cfg!(debug_assertions) {
                        graph.check().map_err(|e| Error::internal(format!("rule {}: {}", rule.name(), e.message())))?;
                    }
                    note(rule.name(), graph);
                }
            }
            if changed == Changed::No {
                break;
            }
        }
        Ok(())
    }
}

/// Visits every node once, operands first. A rule never recurses by itself.
fn apply_everywhere(rule: &dyn Rule, graph: &mut OpGraph, cx: &RuleContext<'_>) -> Result<Changed> {
    let mut pass = rule.pass(cx);
    let mut changed = Changed::No;
    let mut nodes = graph.topological();
    if rule.visits_unreached() {
        nodes.extend(graph.unreached());
    }
    for node in nodes {
        cx.build.tick()?;
        if graph.contains(node) && pass.visit(graph, node)? == Changed::Yes {
            changed = Changed::Yes;
        }
    }
    if pass.finish(graph) == Changed::Yes {
        changed = Changed::Yes;
    }
    if changed == Changed::Yes {
        graph.refresh_classes();
    }
    Ok(changed)
}
