//! Tensors as states: a schema, and what the elements are.
//!
//! A tensor that was made by a constructor, or that a service keeps, is a *base*: it can be written to, and a state that
//! stands for it shows what the transaction has written. Everything else is an expression over others: a slice, a sum,
//! a product. It shows what was written to bases below it, too. Expressions are small; they are computed when something asks for their
//! elements, piece by piece, so that a tensor may be larger than memory.
//!
//! Elements are numbered from 0 in row-major order.

pub mod columns;
pub mod elements;
pub mod node;
mod rows;
pub mod shape;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use elements::Elements;
pub use node::{AxisBound, Base, Binary, Content, Distribution, Entries, Initial, Node, Operand, Reduction, Unary};
pub use shape::Shape;

use super::{Class, NumberClass};

/// How the elements are kept and replied.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Layout {
    /// All of them.
    Dense,
    /// Those that are not zero, with their coordinates.
    Sparse,
}

impl Layout {
    /// The class of tensors of this layout.
    pub fn class(self) -> Class {
        match self {
            Layout::Dense => Class::Dense,
            Layout::Sparse => Class::Sparse,
        }
    }
}

/// What a tensor looks like from outside.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct TensorSchema {
    pub layout: Layout,
    pub dtype: NumberClass,
    pub shape: Shape,
}

/// A tensor.
///
/// Two tensors are equal if they are the same one; their elements are compared by programs.
#[derive(Debug)]
pub struct Tensor {
    pub schema: TensorSchema,
    pub node: Node,
    /// How many expressions are below this one, at most.
    depth: u16,
    /// Whether the elements may change, as bases are written to that they are computed from.
    is_live: bool,
}

impl Tensor {
    /// How deep expressions may nest. Whoever makes a deeper one computes its operands first, so that neither computing nor
    /// dropping it takes much of the stack.
    pub const DEPTH_MAX: u16 = 64;

    /// A tensor that is computed by `node`.
    pub fn new(schema: TensorSchema, node: Node) -> Self {
        let depth = node.operands().chain(node.copied()).map(|operand| operand.depth).max();
        let depth = depth.map_or(0, |depth| depth.saturating_add(1));
        let is_live = matches!(node, Node::Base(_)) || node.operands().any(|operand| operand.is_live);
        Self { schema, node, depth, is_live }
    }

    /// The class.
    pub fn class(&self) -> Class {
        self.schema.layout.class()
    }

    /// How many expressions are below this one, at most.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// Whether this is a base, or is computed from one: so that it shows what is written to that.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    pub fn dtype(&self) -> NumberClass {
        self.schema.dtype
    }

    pub fn shape(&self) -> &Shape {
        &self.schema.shape
    }

    /// The number of elements, zeros included.
    pub fn size(&self) -> u64 {
        self.schema.shape.size()
    }

    pub fn is_sparse(&self) -> bool {
        self.schema.layout == Layout::Sparse
    }

    /// The base that this stands for, which can be written to.
    pub fn base(&self) -> Option<&Arc<Base>> {
        match &self.node {
            Node::Base(base) => Some(base),
            _ => None,
        }
    }

    /// How many bytes this stands for, roughly: those of the elements that are in memory.
    pub fn weight(&self) -> u64 {
        size_of::<Self>() as u64 + self.node.weight()
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Tensor {}

impl Hash for Tensor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self).hash(state);
    }
}
