//! What a node computes, and when it needs its operands.

use std::sync::Arc;

use super::NodeId;
use crate::compiler::methods::Shape;
use crate::error::{Error, Kind};
use crate::value::{Class, Id, Link, State};

/// When an operand is computed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Demand {
    /// Before the node that uses it.
    Strict,
    /// Only if, and not before, the node asks for it.
    Lazy,
}

/// What is called.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Target {
    /// Operand 0, and the path of an entry or a method below it.
    Value(Arc<[Id]>),
    /// The static method at this path.
    Static(&'static str),
    /// A class: a cast of the key.
    Cast(Class),
    /// A path of another host.
    Remote(Link),
    /// A path of this host that stands for data, or makes a collection.
    Data(Link),
}

/// What a node computes.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Op {
    /// A state that is known.
    Const(State),
    /// A literal of the request, by its index.
    Param(u32),
    /// A parameter of the op, by its index in [`inputs`](super::OpGraph::inputs).
    Input(u32),
    /// A tuple of the operands.
    Tuple,
    /// A map of the operands under these names.
    Map(Arc<[Id]>),
    /// A call. Operands: the subject, if the target is a value, then the arguments.
    Call(Target, Shape),
    /// Operands: condition, then, or else; the last two are lazy.
    If,
    /// Operands: condition, this many lazy values, one lazy case more.
    Case(u32),
    /// Operands: when, then; the latter is lazy.
    After,
    /// Operands: condition, step, state.
    While,
    /// So many rows that are put to a collection together. Operands: the collection, then key and value of each.
    WriteAll(u32),
    /// A closure. Operands: the captured states under these names, then the op.
    With(Arc<[Id]>),
    /// The operand, which must be a value since it is used as a key.
    Key,
    /// The value of a node further up the chain of demands: where a circle of names closes.
    Recall(NodeId),
    /// An error, if it is ever asked for.
    Fail(Error),
    /// Raises an error of this kind. Operands: the message, and perhaps the stack; both are lazy, because an error whose
    /// message cannot be resolved is raised all the same.
    Raise(Kind, u32),
}

impl Op {
    /// Whether the value is there without computing anything.
    pub fn is_leaf(&self) -> bool {
        matches!(self, Op::Const(_) | Op::Param(_) | Op::Input(_))
    }

    /// The number of operands of which it is known.
    pub(super) fn arity(&self) -> Option<usize> {
        Some(match self {
            Op::Const(_) | Op::Param(_) | Op::Input(_) | Op::Recall(_) | Op::Fail(_) => 0,
            Op::Tuple => return None,
            Op::Map(names) => names.len(),
            Op::Call(Target::Value(_), shape) => 1 + shape.arity(),
            Op::Call(_, shape) => shape.arity(),
            Op::If | Op::While => 3,
            Op::Case(values) => 2 + 2 * *values as usize,
            Op::After => 2,
            Op::WriteAll(rows) => 1 + 2 * *rows as usize,
            Op::With(names) => names.len() + 1,
            Op::Key => 1,
            Op::Raise(_, operands) => *operands as usize,
        })
    }

    /// When the operand at `slot` is computed.
    pub fn demand(&self, slot: usize) -> Demand {
        match self {
            Op::If | Op::After | Op::Case(_) if slot > 0 => Demand::Lazy,
            Op::Raise(..) => Demand::Lazy,
            _ => Demand::Strict,
        }
    }
}
