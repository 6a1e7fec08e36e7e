//! What the elements of a tensor are.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream::BoxStream;

use super::{Elements, Tensor};
use crate::error::{Error, Result};
use crate::value::{Number, Table};

/// What computes the elements of a tensor. Shapes and dtypes were checked when it was made.
#[derive(Debug)]
pub enum Node {
    /// The elements of a base as the transaction sees them when they are asked for.
    Base(Arc<Base>),
    /// The elements of a base as they were at one time.
    Stored {
        content: Arc<dyn Content>,
        initial: Arc<Initial>,
    },
    /// What a base has where nothing was written.
    Initial(Arc<Initial>),
    /// A part. There is a bound for each axis of the operand; axes with [`AxisBound::At`] are dropped.
    Slice {
        of: Arc<Tensor>,
        bounds: Box<[AxisBound]>,
    },
    /// Axis `i` of the result is axis `permutation[i]` of the operand.
    Transpose {
        of: Arc<Tensor>,
        permutation: Box<[usize]>,
    },
    /// The same elements in the same order, in another shape.
    Reshape {
        of: Arc<Tensor>,
    },
    /// The elements repeated along axes that are new, or of dimension 1 in the operand.
    Broadcast {
        of: Arc<Tensor>,
    },
    /// Every element as one of the dtype of the result, as [`crate::value::number::cast::cast`] does it.
    Cast {
        of: Arc<Tensor>,
    },
    /// The same elements in the other layout.
    Relayout {
        of: Arc<Tensor>,
    },
    Unary {
        op: Unary,
        of: Arc<Tensor>,
    },
    /// Operands broadcast to the shape of the result.
    Binary {
        op: Binary,
        l: Operand,
        r: Operand,
    },
    /// Where the condition is not zero the first choice, elsewhere the second. All three broadcast.
    Select {
        condition: Arc<Tensor>,
        then: Operand,
        or_else: Operand,
    },
    /// Over these axes, in ascending order. They are of dimension 1 in the result, or dropped.
    Reduce {
        op: Reduction,
        of: Arc<Tensor>,
        axes: Box<[usize]>,
    },
    /// Of the last two axes; the axes before broadcast. Both operands have at least two axes.
    MatMul {
        l: Arc<Tensor>,
        r: Arc<Tensor>,
    },
    /// The diagonals of the matrices in the last two axes, which are square.
    Diagonal {
        of: Arc<Tensor>,
    },
    /// One after the other along an axis.
    Concatenate {
        axis: usize,
        parts: Box<[Arc<Tensor>]>,
    },
    /// The operand repeated this often along each axis.
    Tile {
        of: Arc<Tensor>,
        multiples: Box<[u64]>,
    },
    /// The positions that sort each row along the last axis; equal elements keep their order.
    ArgSort {
        of: Arc<Tensor>,
    },
}

impl Node {
    /// The tensors that this is computed from.
    pub fn operands(&self) -> impl Iterator<Item = &Arc<Tensor>> {
        let (some, list): ([Option<&Arc<Tensor>>; 3], &[Arc<Tensor>]) = match self {
            Node::Base(_) | Node::Stored { .. } | Node::Initial(_) => ([None, None, None], &[]),
            Node::Slice { of, .. }
            | Node::Transpose { of, .. }
            | Node::Reshape { of }
            | Node::Broadcast { of }
            | Node::Cast { of }
            | Node::Relayout { of }
            | Node::Unary { of, .. }
            | Node::Reduce { of, .. }
            | Node::Diagonal { of }
            | Node::Tile { of, .. }
            | Node::ArgSort { of } => ([Some(of), None, None], &[]),
            Node::Binary { l, r, .. } => ([l.tensor(), r.tensor(), None], &[]),
            Node::Select { condition, then, or_else } => ([Some(condition), then.tensor(), or_else.tensor()], &[]),
            Node::MatMul { l, r } => ([Some(l), Some(r), None], &[]),
            Node::Concatenate { parts, .. } => ([None, None, None], parts),
        };
        some.into_iter().flatten().chain(list)
    }

    /// The tensor that this, or the base that it is, was copied from.
    pub(super) fn copied(&self) -> Option<&Arc<Tensor>> {
        let initial = match self {
            Node::Initial(initial) | Node::Stored { initial, .. } => initial,
            Node::Base(base) => &base.initial,
            _ => return None,
        };
        match initial.as_ref() {
            Initial::Copy(of) => Some(of),
            _ => None,
        }
    }

    /// The same function of other operands, which have the same schemas.
    ///
    /// # Errors
    /// Those of `other`.
    pub fn with_operands(&self, mut other: impl FnMut(&Arc<Tensor>) -> Result<Arc<Tensor>>) -> Result<Self> {
        let mut operand = |operand: &Operand| match operand {
            Operand::Tensor(tensor) => other(tensor).map(Operand::Tensor),
            Operand::Number(number) => Ok(Operand::Number(*number)),
        };
        let mut tensor = |tensor: &Arc<Tensor>| match operand(&Operand::Tensor(Arc::clone(tensor)))? {
            Operand::Tensor(tensor) => Ok(tensor),
            Operand::Number(_) => Err(Error::internal("a tensor became a number")),
        };
        Ok(match self {
            Node::Base(base) => Node::Base(Arc::clone(base)),
            Node::Stored { content, initial } => {
                Node::Stored { content: Arc::clone(content), initial: Arc::clone(initial) }
            }
            Node::Initial(initial) => Node::Initial(Arc::clone(initial)),
            Node::Slice { of, bounds } => Node::Slice { of: tensor(of)?, bounds: bounds.clone() },
            Node::Transpose { of, permutation } => {
                Node::Transpose { of: tensor(of)?, permutation: permutation.clone() }
            }
            Node::Reshape { of } => Node::Reshape { of: tensor(of)? },
            Node::Broadcast { of } => Node::Broadcast { of: tensor(of)? },
            Node::Cast { of } => Node::Cast { of: tensor(of)? },
            Node::Relayout { of } => Node::Relayout { of: tensor(of)? },
            Node::Unary { op, of } => Node::Unary { op: *op, of: tensor(of)? },
            Node::Reduce { op, of, axes } => Node::Reduce { op: *op, of: tensor(of)?, axes: axes.clone() },
            Node::MatMul { l, r } => Node::MatMul { l: tensor(l)?, r: tensor(r)? },
            Node::Diagonal { of } => Node::Diagonal { of: tensor(of)? },
            Node::Concatenate { axis, parts } => {
                let parts = parts.iter().map(tensor).collect::<Result<_>>()?;
                Node::Concatenate { axis: *axis, parts }
            }
            Node::Tile { of, multiples } => Node::Tile { of: tensor(of)?, multiples: multiples.clone() },
            Node::ArgSort { of } => Node::ArgSort { of: tensor(of)? },
            Node::Select { condition, then, or_else } => {
                let condition = tensor(condition)?;
                Node::Select { condition, then: operand(then)?, or_else: operand(or_else)? }
            }
            Node::Binary { op, l, r } => Node::Binary { op: *op, l: operand(l)?, r: operand(r)? },
        })
    }

    /// How many bytes of elements this holds in memory.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Node::Initial(initial) => initial.weight(),
            Node::Base(base) => base.initial.weight(),
            _ => 0,
        }
    }
}

/// A tensor that can be written to: what was written, over what it was made of.
#[derive(Debug)]
pub struct Base {
    /// What was written: the blocks of a dense tensor, or the entries of a sparse one.
    pub table: Arc<Table>,
    pub initial: Arc<Initial>,
}

/// The elements where nothing was written.
#[derive(Debug)]
pub enum Initial {
    /// All the same; the number is of the dtype of the tensor. Zero is the only one that is sparse.
    Fill(Number),
    /// Element `i` is `start + i·(stop − start)/size`, computed in F64 for floats and exactly, truncated, for integers.
    Range { start: Number, stop: Number },
    /// Independent samples of a distribution. Element `i` is a function of the seed and `i`.
    Random { seed: u64, distribution: Distribution },
    /// These elements, in row-major order.
    Elements(Elements),
    /// These entries; in a dense tensor, among zeros.
    Entries(Entries),
    /// Ones on the diagonal of a sparse square matrix.
    Eye,
    /// Those of another tensor of the same schema, which is no [`Node::Base`].
    Copy(Arc<Tensor>),
}

impl Initial {
    fn weight(&self) -> u64 {
        match self {
            Initial::Elements(elements) => elements.bytes().len() as u64,
            Initial::Entries(entries) => entries.weight(),
            _ => 0,
        }
    }
}

/// What random numbers are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// From 0, which is included, to 1, which is not.
    Uniform,
    Normal {
        mean: f64,
        deviation: f64,
    },
}

/// Entries of a sparse tensor: the numbers of its elements that are not zero, in ascending order, and these elements.
#[derive(Clone, Debug)]
pub struct Entries {
    pub offsets: Arc<[u64]>,
    pub values: Elements,
}

impl Entries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub fn weight(&self) -> u64 {
        (size_of_val(&*self.offsets) + self.values.bytes().len()) as u64
    }
}

/// What was written to a base, as it was at one time.
///
/// Rows have a number as their key. Of a dense tensor, that is the number of a block of [`Elements::block_len`] elements, and
/// the value is the bytes of these elements; blocks that are not there are as the base was made. Of a sparse tensor, the key is the number of an element and the value is
/// the element; zero hides what the base was made of.
pub trait Content: fmt::Debug + Send + Sync {
    /// The rows with these keys, in ascending order: the key as UInt64, and the value.
    fn read(&self, keys: Range<u64>) -> BoxStream<'static, Result<RecordBatch>>;

    /// Whether there are no rows, without reading any; if in doubt, false.
    fn is_empty(&self) -> bool;
}

/// What is meant along one axis. Positions were checked against the dimension and count from its start.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum AxisBound {
    /// One position; the axis is dropped.
    At(u64),
    /// From the first position, which is included, to the last, which is not; at least one.
    Range(u64, u64),
    /// These positions, in this order. At most one axis has them.
    Positions(Arc<[u64]>),
}

/// An operand: a tensor, or a number that stands for a tensor of any shape.
#[derive(Clone, Debug)]
pub enum Operand {
    Tensor(Arc<Tensor>),
    Number(Number),
}

impl Operand {
    pub fn tensor(&self) -> Option<&Arc<Tensor>> {
        match self {
            Operand::Tensor(tensor) => Some(tensor),
            Operand::Number(_) => None,
        }
    }
}

/// Functions of one element. Where the protocol gives integers a float result, the operand was cast before.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Unary {
    /// Of a complex number, the magnitude, which is real.
    Abs,
    Exp,
    /// The natural logarithm.
    Log,
    /// To the next integer, halves away from zero.
    Round,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    /// Whether the element is zero.
    Not,
}

/// Functions of two elements. Both operands of an arithmetic function have the dtype of the result; those of a comparison
/// have the same dtype; those of a logical function may be anything, and count as true unless they are zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Binary {
    /// Integers wrap around; for Bool this is "or".
    Add,
    /// Integers wrap around; for Bool, left and not right.
    Sub,
    /// Integers wrap around; for Bool this is "and".
    Mul,
    /// Of integers truncated toward zero, and 0 where the divisor is 0.
    Div,
    /// Of integers by a negative exponent truncated, and 0 for base 0; otherwise they wrap around.
    Pow,
    /// The remainder with the sign of the divisor; of integers 0 where the divisor is 0.
    Mod,
    /// The logarithm of the left to the base of the right; floats only.
    LogBase,
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    And,
    Or,
    Xor,
}

impl Binary {
    /// Whether the result is Bool whatever the operands are.
    pub fn is_predicate(self) -> bool {
        use Binary::*;
        matches!(self, Eq | Ne | Gt | Ge | Lt | Le | And | Or | Xor)
    }
}

/// Functions of many elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Reduction {
    /// Along axes integers wrap around; Bool was cast before.
    Sum,
    /// As [`Reduction::Sum`].
    Product,
    Max,
    Min,
    /// Whether none is zero.
    All,
    /// Whether one is not zero.
    Any,
}
