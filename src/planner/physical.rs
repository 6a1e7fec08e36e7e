//! Cuts a graph into regions.
//!
//! A region is a set of nodes that are computed together, in one go, when the value of its *head* is wanted. Every node
//! that may be wanted by different parties, or only perhaps, heads a region of its own; the executor computes a region
//! at most once. The rule `merge_regions` puts a node that does not wait into the region of its user, if there is only one
//! and that always needs it; without the rule, each node is a region.

use std::collections::HashMap;

use crate::compiler::{Demand, NodeId, OpGraph};

/// What runs a region.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Engine {
    /// A register program, inline.
    Scalar,
    /// Rows of collections: by key and range, or through DataFusion, whichever suits what is found when it runs.
    Data,
    /// A call that may wait: of another host, or of an op, which may call one.
    Call,
}

impl Engine {
    /// The name of this engine in plans.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Scalar => "scalar",
            Engine::Data => "data",
            Engine::Call => "call",
        }
    }
}

/// The index of a region in [`PhysicalPlan::regions`].
pub type RegionId = usize;

/// Nodes that are computed together.
#[derive(Clone, Debug)]
pub struct Region {
    /// The node whose value the region is computed for.
    pub head: NodeId,
    /// All nodes, each after its operands; the head is the last. Constants and parameters are there without a region.
    pub nodes: Vec<NodeId>,
    pub engine: Engine,
}

/// A graph with its regions.
#[derive(Clone, Debug)]
pub struct PhysicalPlan {
    pub graph: OpGraph,
    /// Region 0 is that of the result.
    pub regions: Vec<Region>,
    /// The region of each node that the result may need.
    pub region_of: HashMap<NodeId, RegionId>,
}

impl PhysicalPlan {
    /// Cuts `graph` into regions, merged or not.
    pub fn new(graph: OpGraph, merges_regions: bool) -> Self {
        let order = graph.topological();
        let recalled = graph.recalled();
        let mut regions: Vec<Region> = Vec::new();
        let mut region_of: HashMap<NodeId, RegionId> = HashMap::new();
        // Users come before what they use.
        for id in order.iter().rev() {
            if let Some(region) = free(&graph, *id, &region_of) {
                region_of.insert(*id, region);
                continue;
            }
            let may_merge = merges_regions && !recalled.contains(id) && !graph.may_wait(*id);
            let region = match may_merge.then(|| only_region(&graph, *id, &region_of)).flatten() {
                Some(region) => region,
                None => {
                    regions.push(Region { head: *id, nodes: vec![], engine: Engine::Scalar });
                    regions.len() - 1
                }
            };
            region_of.insert(*id, region);
            regions[region].nodes.push(*id);
            if graph.may_wait(*id) {
                regions[region].engine = if graph.is_data(*id) { Engine::Data } else { Engine::Call };
            }
        }
        for region in &mut regions {
            region.nodes.reverse();
        }
        Self { graph, regions, region_of }
    }
}

/// The one region whose nodes all need `id`, and always.
fn only_region(graph: &OpGraph, id: NodeId, region_of: &HashMap<NodeId, RegionId>) -> Option<RegionId> {
    let mut found = None;
    for (user, demand) in graph.users(id) {
        let Some(region) = region_of.get(&user) else { continue };
        if demand == Demand::Lazy || found.is_some_and(|found| found != *region) {
            return None;
        }
        found = Some(*region);
    }
    found
}

/// The region of any user of a node that costs nothing, since its value is already there.
fn free(graph: &OpGraph, id: NodeId, region_of: &HashMap<NodeId, RegionId>) -> Option<RegionId> {
    if graph.op(id).is_leaf() { graph.users(id).find_map(|(user, _)| region_of.get(&user).copied()) } else { None }
}
