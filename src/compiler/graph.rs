//! The graph of a program: what depends on what, and how urgently.
//!
//! A node computes one state from its operands. An edge runs from an operand to the node that uses it, and says at which
//! place ([`Edge::slot`]) and when: a *strict* operand is computed before the node, a *lazy* one only if the node asks
//! for it (the branches of an `if`, what follows in an `after`). So the order that `after` promises is an edge like
//! any other, and a branch that is not taken never runs.
//!
//! Invariants, checked by [`OpGraph::check`]: the graph has no cycle; a node has as many operands as its op takes, in
//! slots without gaps. A program whose steps refer to each other in a circle has an [`Op::Recall`] where the circle
//! closes, which is no edge.

mod known;
mod op;
mod trail;

use std::fmt;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::stable_graph::{EdgeIndex, NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;

pub use self::known::created_class;
pub use self::op::{Demand, Op, Target};
pub use self::trail::{Trail, join_contexts};
use crate::error::{Error, Result};
use crate::value::{Class, Id, State};

/// Identifies a node of one graph.
pub type NodeId = NodeIndex<u32>;

/// An edge from an operand to the node that uses it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Edge {
    pub slot: u32,
    pub demand: Demand,
}

/// One computation.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    /// The most specific class of the result that is known.
    pub class: Class,
    pub trail: Option<Arc<Trail>>,
}

/// The graph of one program or op.
#[derive(Clone, Debug)]
pub struct OpGraph {
    graph: StableDiGraph<Node, Edge>,
    root: NodeId,
    /// The names of the parameters, in the order of [`Op::Input`].
    pub inputs: Vec<Id>,
    /// All nodes that recall another; there are seldom any.
    recalls: Vec<NodeId>,
}

impl OpGraph {
    /// A graph whose result is None.
    pub fn new() -> Self {
        let mut graph = StableDiGraph::new();
        let root = graph.add_node(Node { op: Op::Const(State::NONE), class: Class::None, trail: None });
        Self { graph, root, inputs: Vec::new(), recalls: Vec::new() }
    }

    /// The node whose value is the result.
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// Makes `root` the result.
    pub fn set_root(&mut self, root: NodeId) {
        self.root = root;
    }

    /// The number of nodes.
    pub fn node_count(&self) -> usize {
        self.graph.node_count()
    }

    /// The node `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.graph[id]
    }

    /// What the node `id` computes.
    pub fn op(&self, id: NodeId) -> &Op {
        &self.graph[id].op
    }

    /// Whether there is a node `id`.
    pub fn contains(&self, id: NodeId) -> bool {
        self.graph.contains_node(id)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.graph.node_indices()
    }

    /// The petgraph graph, for layout and traversal.
    pub fn inner(&self) -> &StableDiGraph<Node, Edge> {
        &self.graph
    }

    /// The operands of a node, in order of their slots.
    pub fn operands(&self, id: NodeId) -> Vec<NodeId> {
        let mut operands: Vec<(u32, NodeId)> = self
            .graph
            .edges_directed(id, Direction::Incoming)
            .map(|edge| (edge.weight().slot, edge.source()))
            .collect();
        operands.sort_unstable_by_key(|(slot, _)| *slot);
        operands.into_iter().map(|(_, node)| node).collect()
    }

    /// The nodes that use a node, and when they need it.
    pub fn users(&self, id: NodeId) -> impl Iterator<Item = (NodeId, Demand)> + '_ {
        self.graph.edges_directed(id, Direction::Outgoing).map(|edge| (edge.target(), edge.weight().demand))
    }

    /// Adds a node.
    pub fn add(&mut self, op: Op, operands: &[NodeId], trail: Option<Arc<Trail>>) -> NodeId {
        let class = self.infer(&op, operands);
        let is_recall = matches!(op, Op::Recall(_));
        let id = self.graph.add_node(Node { op, class, trail });
        if is_recall {
            self.recalls.push(id);
        }
        self.connect(id, operands);
        id
    }

    fn connect(&mut self, id: NodeId, operands: &[NodeId]) {
        for (slot, operand) in operands.iter().enumerate() {
            let demand = self.graph[id].op.demand(slot);
            self.graph.add_edge(*operand, id, Edge { slot: slot as u32, demand });
        }
    }

    /// Makes the node `id` compute `op` of `operands` instead; its users stay.
    pub fn rewrite(&mut self, id: NodeId, op: Op, operands: &[NodeId]) {
        let edges: Vec<EdgeIndex> = self.graph.edges_directed(id, Direction::Incoming).map(|edge| edge.id()).collect();
        for edge in edges {
            self.graph.remove_edge(edge);
        }
        let class = self.infer(&op, operands);
        self.recalls.retain(|recall| *recall != id);
        if matches!(op, Op::Recall(_)) {
            self.recalls.push(id);
        }
        self.graph[id].op = op;
        self.graph[id].class = class;
        self.connect(id, operands);
    }

    /// Makes every user of `old` use `new` instead.
    pub fn replace(&mut self, old: NodeId, new: NodeId) {
        if old == new {
            return;
        }
        let edges: Vec<(EdgeIndex, NodeId, Edge)> = self
            .graph
            .edges_directed(old, Direction::Outgoing)
            .map(|edge| (edge.id(), edge.target(), *edge.weight()))
            .collect();
        for (id, user, edge) in edges {
            self.graph.remove_edge(id);
            self.graph.add_edge(new, user, edge);
        }
        if self.root == old {
            self.root = new;
        }
        for recall in &self.recalls {
            if self.graph[*recall].op == Op::Recall(old) {
                self.graph[*recall].op = Op::Recall(new);
            }
        }
    }

    /// Makes the users of each key of `new` use its value instead. Values must not be keys.
    pub fn replace_all(&mut self, new: &std::collections::HashMap<NodeId, NodeId>) {
        let renamed = |id: NodeId| new.get(&id).copied().unwrap_or(id);
        let users: std::collections::BTreeSet<NodeId> =
            new.keys().flat_map(|old| self.users(*old).map(|(user, _)| user).collect::<Vec<_>>()).collect();
        for user in users {
            let operands: Vec<NodeId> = self.operands(user).into_iter().map(renamed).collect();
            let op = self.op(user).clone();
            let class = self.node(user).class;
            self.rewrite(user, op, &operands);
            self.graph[user].class = class;
        }
        self.root = renamed(self.root);
        for recall in self.recalls.clone() {
            if let Op::Recall(target) = self.op(recall) {
                self.graph[recall].op = Op::Recall(renamed(*target));
            }
        }
    }

    /// Makes `node` yield what `other`, an operand of it, yields. Where only `node` uses `other`, it becomes what that is,
    /// which leaves the users of `node` alone, however many operands they have.
    pub fn substitute(&mut self, node: NodeId, other: NodeId) {
        let is_only_user = self.users(other).all(|(user, _)| user == node);
        if is_only_user && !matches!(self.op(other), Op::Recall(_)) && !self.is_recalled(other) {
            let (op, operands, class) = (self.op(other).clone(), self.operands(other), self.node(other).class);
            let trail = Trail::joined(self.node(other).trail.as_ref(), self.node(node).trail.as_ref());
            self.rewrite(node, op, &operands);
            self.graph[node].class = class;
            self.graph[node].trail = trail;
        } else {
            self.replace(node, other);
        }
    }

    /// Whether a circle of names closes at this node.
    pub fn is_recalled(&self, id: NodeId) -> bool {
        self.recalls.iter().any(|recall| self.graph[*recall].op == Op::Recall(id))
    }

    /// The nodes at which circles of names close.
    pub fn recalled(&self) -> std::collections::HashSet<NodeId> {
        let target = |recall: &NodeId| if let Op::Recall(target) = self.op(*recall) { Some(*target) } else { None };
        self.recalls.iter().filter_map(target).collect()
    }

    /// Removes a node that nothing uses.
    pub fn remove(&mut self, id: NodeId) {
        debug_assert!(id != self.root && self.users(id).next().is_none());
        self.recalls.retain(|recall| *recall != id);
        self.graph.remove_node(id);
    }

    /// The index of the parameter `name`, which is added if it is new.
    pub fn input(&mut self, name: &Id) -> u32 {
        let index = self.inputs.iter().position(|input| input == name).unwrap_or_else(|| {
            self.inputs.push(name.clone());
            self.inputs.len() - 1
        });
        index as u32
    }

    /// The nodes that the result may need, each after its operands, in an order that depends on nothing but the graph.
    pub fn topological(&self) -> Vec<NodeId> {
        let mut done = vec![false; self.graph.node_indices().map(|id| id.index() + 1).max().unwrap_or(0)];
        let mut order = Vec::with_capacity(self.node_count());
        let mut stack = vec![(self.root, false)];
        while let Some((id, expanded)) = stack.pop() {
            if expanded {
                order.push(id);
            } else if !std::mem::replace(&mut done[id.index()], true) {
                stack.push((id, true));
                if let Op::Recall(target) = self.op(id) {
                    stack.push((*target, false));
                }
                stack.extend(self.operands(id).into_iter().rev().map(|operand| (operand, false)));
            }
        }
        order
    }

    /// The nodes that the result cannot need.
    pub fn unreached(&self) -> Vec<NodeId> {
        let reached: std::collections::HashSet<NodeId> = self.topological().into_iter().collect();
        self.graph.node_indices().filter(|id| !reached.contains(id)).collect()
    }

    /// Infers the classes of all nodes again, after operands were replaced by others of which more is known.
    pub fn refresh_classes(&mut self) {
        for id in self.topological() {
            if !matches!(self.op(id), Op::Param(_)) {
                let class = self.infer(self.op(id), &self.operands(id));
                self.graph[id].class = class;
            }
        }
    }

    /// Notes that a literal of the request has the given class.
    pub fn set_class(&mut self, id: NodeId, class: Class) {
        self.graph[id].class = class;
    }

    /// Whether a circle of names closes somewhere.
    pub fn has_recalls(&self) -> bool {
        !self.recalls.is_empty()
    }

    /// Checks the invariants.
    ///
    /// # Errors
    /// `Internal`, naming the node.
    pub fn check(&self) -> Result<()> {
        for id in self.graph.node_indices() {
            let mut slots: Vec<u32> =
                self.graph.edges_directed(id, Direction::Incoming).map(|edge| edge.weight().slot).collect();
            slots.sort_unstable();
            let gapless = slots.iter().enumerate().all(|(i, slot)| i as u32 == *slot);
            if !gapless || self.op(id).arity().is_some_and(|arity| arity != slots.len()) {
                return Err(Error::internal(format!("node {} has the wrong operands", id.index())));
            }
        }
        if petgraph::algo::toposort(&self.graph, None).is_err() {
            return Err(Error::internal("the graph has a cycle"));
        }
        if !self.contains(self.root) {
            return Err(Error::internal("the graph has no result"));
        }
        Ok(())
    }
}

impl Default for OpGraph {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for OpGraph {
    /// The listing that EXPLAIN shows; see [`super::display`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::display::listing(self))
    }
}
