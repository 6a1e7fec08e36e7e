//! Compiled code: one unit for a program or an op.
//!
//! A unit's code is that of its regions, one after the other. Each activation of a unit has its own registers: the inputs,
//! then the literals of the request, then one for each computed node. A register that is still empty tells that its node
//! was not computed, which is how a region is computed at most once.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use crate::compiler::graph::join_contexts;
use crate::compiler::methods::{self, Bound, LoopKind, Receiver, Shape};
use crate::compiler::{NodeId, OpGraph};
use crate::error::{Error, Kind, Result};
use crate::planner::PhysicalPlan;
use crate::value::{Class, Id, Link, State};

/// The index of a register.
pub(super) type Register = u32;

/// Where an operand is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    Register(Register),
    Const(u32),
}

/// Sources of the arguments of a call.
pub(super) type Sources = SmallVec<[Source; 3]>;

/// One instruction.
pub(super) enum Instr {
    /// `dst := body(source)`
    Unary {
        dst: Register,
        body: fn(&State) -> Result<State>,
        source: Source,
    },
    /// `dst := body(l, r)`
    Binary {
        dst: Register,
        body: fn(&State, &State) -> Result<State>,
        l: Source,
        r: Source,
    },
    /// `dst := method(subject, args)`
    Method {
        dst: Register,
        bound: Box<Bound>,
        subject: Source,
        args: Sources,
    },
    /// `dst := class(key)`
    Cast {
        dst: Register,
        class: Class,
        key: Source,
    },
    /// `dst :=` whatever the subject makes of the call.
    Call {
        dst: Register,
        site: Box<Site>,
        subject: Source,
        args: Sources,
    },
    /// `dst :=` the reply of another host.
    Remote {
        dst: Register,
        link: Link,
        shape: Shape,
        args: Sources,
    },
    /// `dst :=` what a path of this host makes of its data.
    Data {
        dst: Register,
        link: Link,
        shape: Shape,
        args: Sources,
    },
    /// Puts rows to a collection: key and value of each.
    WriteAll {
        dst: Register,
        subject: Source,
        args: Vec<Source>,
    },
    /// `dst :=` the result of calling an op for each item of the receiver.
    Loop {
        dst: Register,
        kind: LoopKind,
        receiver: Source,
        args: Sources,
    },
    /// `dst :=` the state for which the condition no longer holds.
    While {
        dst: Register,
        cond: Source,
        step: Source,
        state: Source,
    },
    Tuple {
        dst: Register,
        items: Sources,
    },
    Map {
        dst: Register,
        names: Arc<[Id]>,
        values: Sources,
    },
    /// A closure of the last source over the others.
    With {
        dst: Register,
        names: Arc<[Id]>,
        sources: Sources,
    },
    /// `dst := source`, which must be a value.
    Key {
        dst: Register,
        source: Source,
    },
    Copy {
        dst: Register,
        source: Source,
    },
    /// Goes on at `otherwise` unless `cond` is true.
    Branch {
        cond: Source,
        otherwise: u32,
    },
    /// Goes on at `otherwise` unless `l` equals `r`.
    Match {
        l: Source,
        r: Source,
        otherwise: u32,
    },
    Jump {
        to: u32,
    },
    /// Computes a region, unless it was computed already. If that fails and `rescue` is given, the error becomes one of
    /// that kind.
    Force {
        region: u32,
        head: Register,
        rescue: Option<Kind>,
    },
    /// As [`Instr::Force`], but does not wait if the region has to.
    Start {
        region: u32,
        head: Register,
    },
    Raise {
        kind: Kind,
        message: Source,
        stack: Option<Source>,
    },
    Fail {
        error: Box<Error>,
    },
    /// The region is computed.
    End,
}

impl Instr {
    /// The register that this writes.
    pub fn dst(&self) -> Option<Register> {
        match self {
            Instr::Unary { dst, .. }
            | Instr::Binary { dst, .. }
            | Instr::Method { dst, .. }
            | Instr::Cast { dst, .. }
            | Instr::Call { dst, .. }
            | Instr::Remote { dst, .. }
            | Instr::Data { dst, .. }
            | Instr::WriteAll { dst, .. }
            | Instr::Loop { dst, .. }
            | Instr::While { dst, .. }
            | Instr::Tuple { dst, .. }
            | Instr::Map { dst, .. }
            | Instr::With { dst, .. }
            | Instr::Key { dst, .. }
            | Instr::Copy { dst, .. } => Some(*dst),
            Instr::Branch { .. }
            | Instr::Match { .. }
            | Instr::Jump { .. }
            | Instr::Force { .. }
            | Instr::Start { .. }
            | Instr::Raise { .. }
            | Instr::Fail { .. }
            | Instr::End => None,
        }
    }
}

/// A call whose method is chosen by the class of its subject at run time.
pub(super) struct Site {
    pub path: Arc<[Id]>,
    pub shape: Shape,
    bound: [OnceLock<Result<Bound>>; Receiver::ALL.len()],
}

impl Site {
    pub fn new(path: Arc<[Id]>, shape: Shape) -> Self {
        Self { path, shape, bound: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// The last segment of the path as a method of `receiver`.
    pub fn method(&self, receiver: Receiver) -> &Result<Bound> {
        self.bound[receiver as usize].get_or_init(|| {
            let name = self.path.last().map_or("", Id::as_str);
            let method = methods::find(receiver, name)
                .ok_or_else(|| Error::not_found(format!("{} has no method or entry {name}", receiver.name())))?;
            methods::bind(method, &self.shape)
        })
    }
}

/// A compiled program or op.
pub(crate) struct Unit {
    /// What was compiled; kept for error contexts and EXPLAIN.
    pub plan: PhysicalPlan,
    pub(super) code: Vec<Instr>,
    /// The node that each instruction belongs to.
    pub(super) nodes: Vec<NodeId>,
    /// Where the code of each region begins, or `u32::MAX` if it only stands within another's.
    pub(super) entries: Vec<u32>,
    pub(super) consts: Vec<State>,
    pub(super) registers: usize,
    /// Where the result is found.
    pub(super) result: Source,
}

impl Unit {
    /// The graph that was compiled.
    pub fn graph(&self) -> &OpGraph {
        &self.plan.graph
    }

    /// The names of the inputs, which are the first registers.
    pub fn inputs(&self) -> &[Id] {
        &self.plan.graph.inputs
    }

    /// What was being resolved at the instruction `pc` of the region that began at `entry`, innermost first.
    pub(super) fn contexts(&self, pc: u32, region: u32) -> Vec<String> {
        let graph = self.graph();
        let head = self.plan.regions[region as usize].head;
        let mut contexts: Vec<String> = Vec::new();
        let mut node = self.nodes[pc as usize];
        // Users lead to the head of the region, since whatever was computed was needed for it.
        for _ in 0..graph.node_count() {
            if let Some(trail) = &graph.node(node).trail {
                join_contexts(&mut contexts, trail.contexts().collect());
            }
            if node == head {
                break;
            }
            let Some((user, _)) = graph.users(node).find(|(user, _)| self.plan.region_of.contains_key(user)) else {
                break;
            };
            node = user;
        }
        contexts
    }
}
