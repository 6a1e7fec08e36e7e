//! Plans become code.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::unit::{Instr, Register, Site, Source, Sources, Unit};
use crate::compiler::methods::{Bound, Shape, bind};
use crate::compiler::{Demand, NodeId, Op, OpGraph, Target};
use crate::planner::{Engine, PhysicalPlan, RegionId};

/// Regions whose code stands within each other's.
const INLINE_DEPTH_MAX: usize = 64;

/// Compiles a plan; `params` is the number of literals of the request.
pub(super) fn compile(plan: PhysicalPlan, params: usize) -> Unit {
    let mut generator = Generator::new(&plan, params);
    generator.all_regions();
    let result = generator.source(plan.graph.root());
    let Generator { code, nodes, entries, consts, registers, .. } = generator;
    Unit { code, nodes, entries, consts, registers, result, plan }
}

struct Generator<'a> {
    plan: &'a PhysicalPlan,
    graph: &'a OpGraph,
    code: Vec<Instr>,
    nodes: Vec<NodeId>,
    entries: Vec<u32>,
    consts: Vec<crate::value::State>,
    const_of: HashMap<NodeId, u32>,
    register_of: HashMap<NodeId, Register>,
    registers: usize,
    /// Regions whose code stands within that of their only user.
    inlined: HashSet<RegionId>,
    /// Regions that may wait, or need one that may.
    waiting: Vec<bool>,
    /// The node whose code is being written.
    current: NodeId,
}

impl<'a> Generator<'a> {
    fn new(plan: &'a PhysicalPlan, params: usize) -> Self {
        let mut generator = Self {
            plan,
            graph: &plan.graph,
            code: vec![],
            nodes: vec![],
            entries: vec![u32::MAX; plan.regions.len()],
            consts: vec![],
            const_of: HashMap::new(),
            register_of: HashMap::new(),
            registers: plan.graph.inputs.len() + params,
            inlined: HashSet::new(),
            waiting: vec![],
            current: plan.graph.root(),
        };
        generator.inlined = generator.inlinable();
        generator.waiting = generator.find_waiting();
        generator
    }

    /// Regions that exactly one node wants, and only perhaps: the code of a branch stands in the branch. Not too many
    /// within each other, since writing their code recurses.
    fn inlinable(&self) -> HashSet<RegionId> {
        let recalled = self.graph.recalled();
        let mut depths = vec![0; self.plan.regions.len()];
        let mut inlinable = HashSet::new();
        // Regions were numbered users first, so the depth of the user is known.
        for region in 1..self.plan.regions.len() {
            let head = self.plan.regions[region].head;
            let mut users = self.graph.users(head).filter(|(user, _)| self.plan.region_of.contains_key(user));
            let (Some((user, demand)), None) = (users.next(), users.next()) else { continue };
            let is_branch = matches!(self.graph.op(user), Op::If | Op::Case(_) | Op::After);
            let depth = depths[self.plan.region_of[&user]] + 1;
            if is_branch && demand == Demand::Lazy && !recalled.contains(&head) && depth <= INLINE_DEPTH_MAX {
                depths[region] = depth;
                inlinable.insert(region);
            }
        }
        inlinable
    }

    fn find_waiting(&self) -> Vec<bool> {
        let mut waiting: Vec<bool> = self.plan.regions.iter().map(|region| region.engine != Engine::Scalar).collect();
        // Regions were numbered users first, so what a region needs was decided before it.
        for id in (0..self.plan.regions.len()).rev() {
            let needs = self.strict_regions(id);
            waiting[id] = waiting[id] || needs.into_iter().any(|needed| waiting[needed]);
        }
        waiting
    }

    /// Other regions that a region always needs, in the order of their use.
    fn strict_regions(&self, id: RegionId) -> Vec<RegionId> {
        let mut needed = Vec::new();
        let mut seen = HashSet::new();
        for node in &self.plan.regions[id].nodes {
            for (slot, operand) in self.graph.operands(*node).into_iter().enumerate() {
                let region = self.plan.region_of[&operand];
                let is_strict = self.graph.op(*node).demand(slot) == Demand::Strict;
                if is_strict && region != id && !self.is_leaf(operand) && seen.insert(region) {
                    needed.push(region);
                }
            }
        }
        needed
    }

    fn is_leaf(&self, node: NodeId) -> bool {
        self.graph.op(node).is_leaf()
    }

    fn all_regions(&mut self) {
        for region in 0..self.plan.regions.len() {
            if self.inlined.contains(&region) {
                continue;
            }
            self.entries[region] = self.code.len() as u32;
            self.current = self.plan.regions[region].head;
            self.region(region, &mut HashSet::new());
            self.emit(Instr::End);
        }
    }

    fn emit(&mut self, instr: Instr) -> usize {
        self.code.push(instr);
        self.nodes.push(self.current);
        self.code.len() - 1
    }

    /// The code of a region; `done` are the other regions that were computed on the way here.
    fn region(&mut self, region: RegionId, done: &mut HashSet<RegionId>) {
        let waiting: Vec<RegionId> =
            self.strict_regions(region).into_iter().filter(|needed| self.waiting[*needed]).collect();
        if waiting.len() > 1 {
            self.read_before_writes(&waiting);
            for needed in waiting {
                let head = self.register(self.plan.regions[needed].head);
                self.emit(Instr::Start { region: needed as u32, head });
            }
        }
        for node in &self.plan.regions[region].nodes {
            if !self.is_leaf(*node) {
                self.node(*node, region, done);
            }
        }
    }

    /// Computes what several writes need before any of them is done. So two rows can be swapped, where each write needs a
    /// copy of what the other one replaces.
    fn read_before_writes(&mut self, waiting: &[RegionId]) {
        let mut reads = Vec::new();
        for write in waiting.iter().filter(|region| self.is_write(**region)) {
            for read in self.strict_regions(*write) {
                let is_first = !waiting.contains(&read) && !reads.contains(&read);
                if is_first && self.waiting[read] && !self.is_write(read) {
                    reads.push(read);
                }
            }
        }
        for read in &reads {
            let head = self.register(self.plan.regions[*read].head);
            self.emit(Instr::Start { region: *read as u32, head });
        }
        for read in reads {
            let head = self.register(self.plan.regions[read].head);
            self.emit(Instr::Force { region: read as u32, head, rescue: None });
        }
    }

    fn is_write(&self, region: RegionId) -> bool {
        match self.graph.op(self.plan.regions[region].head) {
            Op::Call(_, shape) => matches!(shape, Shape::Put | Shape::Delete),
            op => matches!(op, Op::WriteAll(_)),
        }
    }

    /// Makes sure that an operand from another region is computed.
    fn force(&mut self, operand: NodeId, region: RegionId, done: &mut HashSet<RegionId>) {
        let needed = self.plan.region_of[&operand];
        if needed != region && !self.is_leaf(operand) && done.insert(needed) {
            let head = self.register(operand);
            self.emit(Instr::Force { region: needed as u32, head, rescue: None });
        }
    }

    /// Computes a lazy operand where it is wanted.
    fn demand(&mut self, operand: NodeId, done: &HashSet<RegionId>) -> Source {
        let region = self.plan.region_of[&operand];
        if !self.is_leaf(operand) && !done.contains(&region) {
            if self.inlined.contains(&region) {
                let current = self.current;
                self.region(region, &mut done.clone());
                self.current = current;
            } else {
                let head = self.register(operand);
                self.emit(Instr::Force { region: region as u32, head, rescue: None });
            }
        }
        self.source(operand)
    }

    fn register(&mut self, node: NodeId) -> Register {
        if let Some(register) = self.register_of.get(&node) {
            return *register;
        }
        let register = match self.graph.op(node) {
            Op::Input(index) => *index,
            Op::Param(index) => self.graph.inputs.len() as u32 + index,
            _ => {
                self.registers += 1;
                (self.registers - 1) as Register
            }
        };
        self.register_of.insert(node, register);
        register
    }

    fn source(&mut self, node: NodeId) -> Source {
        if let Op::Const(state) = self.graph.op(node) {
            let next = self.consts.len() as u32;
            let index = *self.const_of.entry(node).or_insert(next);
            if index == next {
                self.consts.push(state.clone());
            }
            return Source::Const(index);
        }
        Source::Register(self.register(node))
    }

    fn sources(&mut self, nodes: &[NodeId]) -> Sources {
        nodes.iter().map(|node| self.source(*node)).collect()
    }

    fn node(&mut self, node: NodeId, region: RegionId, done: &mut HashSet<RegionId>) {
        self.current = node;
        let graph = self.graph;
        let operands = graph.operands(node);
        let op = graph.op(node);
        for (slot, operand) in operands.iter().enumerate() {
            if op.demand(slot) == Demand::Strict {
                self.force(*operand, region, done);
            }
        }
        let dst = self.register(node);
        match op {
            Op::Const(_) | Op::Param(_) | Op::Input(_) => {}
            Op::Tuple => {
                let items = self.sources(&operands);
                self.emit(Instr::Tuple { dst, items });
            }
            Op::Map(names) => {
                let values = self.sources(&operands);
                self.emit(Instr::Map { dst, names: Arc::clone(names), values });
            }
            Op::With(names) => {
                let sources = self.sources(&operands);
                self.emit(Instr::With { dst, names: Arc::clone(names), sources });
            }
            Op::Key => {
                let source = self.source(operands[0]);
                self.emit(Instr::Key { dst, source });
            }
            Op::While => {
                let sources = self.sources(&operands);
                self.emit(Instr::While { dst, cond: sources[0], step: sources[1], state: sources[2] });
            }
            Op::WriteAll(_) => {
                let (subject, args) = (self.source(operands[0]), self.sources(&operands[1..]).into_vec());
                self.emit(Instr::WriteAll { dst, subject, args });
            }
            Op::Fail(error) => {
                self.emit(Instr::Fail { error: Box::new(error.clone()) });
            }
            Op::Recall(target) => {
                let head = self.register(*target);
                let recalled = self.plan.region_of[target] as u32;
                if !self.is_leaf(*target) {
                    self.emit(Instr::Force { region: recalled, head, rescue: None });
                }
                let source = self.source(*target);
                self.emit(Instr::Copy { dst, source });
            }
            Op::Raise(kind, _) => self.raise(*kind, &operands),
            Op::After => {
                let source = self.demand(operands[1], done);
                self.emit(Instr::Copy { dst, source });
            }
            Op::If => self.branch(dst, &operands, done),
            Op::Case(values) => self.case(dst, &operands, *values as usize, done),
            Op::Call(target, shape) => self.call(node, dst, target, shape, &operands),
        }
    }

    fn raise(&mut self, kind: crate::error::Kind, operands: &[NodeId]) {
        for operand in operands {
            if !self.is_leaf(*operand) {
                let region = self.plan.region_of[operand] as u32;
                let head = self.register(*operand);
                self.emit(Instr::Force { region, head, rescue: Some(kind) });
            }
        }
        let sources = self.sources(operands);
        self.emit(Instr::Raise { kind, message: sources[0], stack: sources.get(1).copied() });
    }

    fn branch(&mut self, dst: Register, operands: &[NodeId], done: &HashSet<RegionId>) {
        let cond = self.source(operands[0]);
        let branch = self.emit(Instr::Branch { cond, otherwise: 0 });
        let source = self.demand(operands[1], done);
        self.emit(Instr::Copy { dst, source });
        let jump = self.emit(Instr::Jump { to: 0 });
        self.land(branch);
        let source = self.demand(operands[2], done);
        self.emit(Instr::Copy { dst, source });
        self.land(jump);
    }

    fn case(&mut self, dst: Register, operands: &[NodeId], values: usize, done: &HashSet<RegionId>) {
        let cond = self.source(operands[0]);
        let mut jumps = Vec::with_capacity(values);
        for i in 0..values {
            // Values are computed in order, so that of two equal ones the second is never computed.
            let value = self.demand(operands[1 + i], done);
            let branch = self.emit(Instr::Match { l: cond, r: value, otherwise: 0 });
            let source = self.demand(operands[1 + values + i], done);
            self.emit(Instr::Copy { dst, source });
            jumps.push(self.emit(Instr::Jump { to: 0 }));
            self.land(branch);
        }
        let source = self.demand(operands[1 + 2 * values], done);
        self.emit(Instr::Copy { dst, source });
        for jump in jumps {
            self.land(jump);
        }
    }

    /// Makes the jump at `from` lead here.
    fn land(&mut self, from: usize) {
        let here = self.code.len() as u32;
        match &mut self.code[from] {
            Instr::Branch { otherwise, .. } | Instr::Match { otherwise, .. } => *otherwise = here,
            Instr::Jump { to } => *to = here,
            _ => {}
        }
    }

    fn call(&mut self, node: NodeId, dst: Register, target: &Target, shape: &Shape, operands: &[NodeId]) {
        let sources = self.sources(operands);
        let bound = self.graph.method(node).map(|method| bind(method, shape));
        let instr = match (target, bound) {
            (Target::Static(_), Some(Err(error))) => Instr::Fail { error: Box::new(error) },
            (Target::Value(_), Some(Ok(bound))) if !matches!(bound, Bound::Data) => bound_call(dst, bound, &sources),
            (Target::Static(_), Some(Ok(Bound::Static(body, l, r)))) => {
                Instr::Binary { dst, body, l: sources[l], r: sources[r] }
            }
            (Target::Static(_), Some(Ok(Bound::Unary(body)))) => Instr::Unary { dst, body, source: sources[0] },
            // Also if the call does not fit the method: then the machine finds out whether it can be read otherwise.
            (Target::Value(path), _) => {
                let site = Box::new(Site::new(Arc::clone(path), shape.clone()));
                Instr::Call { dst, site, subject: sources[0], args: sources[1..].into() }
            }
            (Target::Cast(class), _) => Instr::Cast { dst, class: *class, key: sources[0] },
            (Target::Data(link), _) => Instr::Data { dst, link: link.clone(), shape: shape.clone(), args: sources },
            (Target::Remote(link), _) => Instr::Remote { dst, link: link.clone(), shape: shape.clone(), args: sources },
            (Target::Static(path), _) => {
                Instr::Fail { error: Box::new(crate::error::Error::internal(format!("{path} is malformed"))) }
            }
        };
        self.emit(instr);
    }
}

/// A call of a method that is known.
fn bound_call(dst: Register, bound: Bound, sources: &[Source]) -> Instr {
    let subject = sources[0];
    match bound {
        Bound::Unary(body) => Instr::Unary { dst, body, source: subject },
        Bound::Binary(body, index) => Instr::Binary { dst, body, l: subject, r: sources[1 + index] },
        Bound::Loop(kind, indices) => {
            Instr::Loop { dst, kind, receiver: subject, args: indices.iter().map(|index| sources[1 + index]).collect() }
        }
        bound => Instr::Method { dst, bound: Box::new(bound), subject, args: sources[1..].into() },
    }
}
