//! What is known of a node before it is computed: its class, the method that it calls, and whether it may wait.

use super::{NodeId, Op, OpGraph, Target};
use crate::compiler::methods::{self, Method, Receiver, Shape};
use crate::value::{Class, Id, Link};

impl OpGraph {
    /// Whether a node computes the same each time, touches nothing else and cannot wait.
    pub fn is_pure(&self, id: NodeId) -> bool {
        match self.op(id) {
            Op::Call(Target::Cast(_), _) => true,
            Op::Call(..) => self.method(id).is_some_and(|method| !method.may_wait()),
            Op::While | Op::WriteAll(_) | Op::Recall(_) | Op::Fail(_) | Op::Raise(..) => false,
            _ => true,
        }
    }

    /// Whether a node may wait for something outside this process, or run an op that does.
    pub fn may_wait(&self, id: NodeId) -> bool {
        match self.op(id) {
            Op::Call(Target::Remote(_) | Target::Data(_), _) | Op::While | Op::WriteAll(_) => true,
            Op::Call(Target::Value(path), _) => {
                let subject = self.node(self.operands(id)[0]).class;
                match (self.method(id), path.last()) {
                    (Some(method), _) => method.may_wait(),
                    // Items and entries are there.
                    (None, None) => !subject.is_atom() && !matches!(subject, Class::Tuple | Class::Map),
                    (None, Some(name)) => methods::may_wait(name.as_str()),
                }
            }
            _ => false,
        }
    }

    /// Whether a node reads or writes rows.
    pub fn is_data(&self, id: NodeId) -> bool {
        match self.op(id) {
            Op::WriteAll(_) | Op::Call(Target::Data(_), _) => true,
            Op::Call(Target::Value(_), _) => {
                use Class::{BTree, Dense, Sparse, Stream, Table};
                matches!(self.node(self.operands(id)[0]).class, BTree | Table | Dense | Sparse | Stream)
            }
            _ => false,
        }
    }

    /// The method that a call calls, if the class of its subject is known and has it.
    pub fn method(&self, id: NodeId) -> Option<&'static Method> {
        match self.op(id) {
            Op::Call(Target::Value(path), _) => method_of(self.node(self.operands(id)[0]).class, path),
            Op::Call(Target::Static(path), _) => methods::find_static(path),
            _ => None,
        }
    }

    /// The class of what `op` computes, as far as it is known.
    pub(super) fn infer(&self, op: &Op, operands: &[NodeId]) -> Class {
        let class = |slot: usize| self.graph[operands[slot]].class;
        match op {
            Op::Const(state) => state.class(),
            Op::Param(_) | Op::Input(_) | Op::While | Op::Recall(_) | Op::Fail(_) | Op::Raise(..) => Class::State,
            Op::Tuple => Class::Tuple,
            Op::Map(_) => Class::Map,
            Op::WriteAll(_) => Class::None,
            Op::With(_) => Class::Closure,
            Op::Key => class(0),
            Op::After => class(1),
            Op::If if class(1) == class(2) => class(1),
            Op::If | Op::Case(_) => Class::State,
            Op::Call(Target::Value(path), shape) => match method_of(class(0), path) {
                Some(_) if matches!(shape, Shape::Put | Shape::Delete) => Class::None,
                Some(method) => {
                    let argument = (shape.arity() == 1).then(|| class(1));
                    methods::result_class(method, class(0), argument)
                }
                None => Class::State,
            },
            Op::Call(Target::Static(path), _) => methods::find_static(path)
                .map_or(Class::State, |method| methods::result_class(method, Class::State, None)),
            Op::Call(Target::Cast(class), _) if class.is_atom() => *class,
            Op::Call(Target::Cast(Class::Tuple | Class::ScalarTuple | Class::ValueTuple), _) => Class::Tuple,
            Op::Call(Target::Cast(Class::Map | Class::ScalarMap), _) => Class::Map,
            Op::Call(Target::Cast(_), _) => Class::State,
            Op::Call(Target::Data(link), _) => created_class(link),
            Op::Call(Target::Remote(_), _) => Class::State,
        }
    }
}

/// The class of the collection that a path of this host makes; that of any state if it makes none.
pub fn created_class(link: &Link) -> Class {
    match link.path() {
        [state, collection, class, ..] if state.as_str() == "state" && collection.as_str() == "collection" => {
            match class.as_str() {
                "btree" => Class::BTree,
                "table" => Class::Table,
                "tensor" => match link.path().get(3).map(Id::as_str) {
                    Some("dense") => Class::Dense,
                    Some("sparse") => Class::Sparse,
                    // That depends on the arguments.
                    _ => Class::State,
                },
                _ => Class::State,
            }
        }
        _ => Class::State,
    }
}

/// The method at a path below a subject of the given class. An entry of a map, or an item of a tuple, hides a method.
fn method_of(subject: Class, path: &[Id]) -> Option<&'static Method> {
    let [name] = path else { return None };
    let is_item = subject == Class::Tuple && name.as_index().is_some();
    if subject == Class::Map || is_item {
        return None;
    }
    methods::find(Receiver::of_class(subject)?, name.as_str())
}
