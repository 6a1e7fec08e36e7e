//! Makes expressions. Whoever calls has checked that the operands fit; what would change nothing is left out.

use std::sync::Arc;

use crate::error::Result;
use crate::value::number::cast::cast as cast_number;
use crate::value::tensor::{Binary, Initial, Layout, Node, Operand, Reduction, Shape, TensorSchema, Unary};
use crate::value::{Number, NumberClass, Tensor};

/// What `node` computes.
pub(super) fn tensor(schema: TensorSchema, node: Node) -> Arc<Tensor> {
    Arc::new(Tensor::new(schema, node))
}

/// Every element as one of `dtype`.
pub(super) fn cast(of: &Arc<Tensor>, dtype: NumberClass) -> Arc<Tensor> {
    if of.dtype() == dtype {
        return Arc::clone(of);
    }
    tensor(TensorSchema { dtype, ..of.schema.clone() }, Node::Cast { of: Arc::clone(of) })
}

/// An operand as one of `dtype`.
pub(super) fn cast_operand(of: &Operand, dtype: NumberClass) -> Operand {
    match of {
        Operand::Tensor(of) => Operand::Tensor(cast(of, dtype)),
        Operand::Number(number) => Operand::Number(cast_number(*number, dtype)),
    }
}

/// The same elements in this layout.
pub(super) fn relayout(of: &Arc<Tensor>, layout: Layout) -> Arc<Tensor> {
    if of.schema.layout == layout {
        return Arc::clone(of);
    }
    tensor(TensorSchema { layout, ..of.schema.clone() }, Node::Relayout { of: Arc::clone(of) })
}

/// The operand of a result in this layout: where that is dense, nothing below may be sparse.
pub(super) fn operand_of(layout: Layout, of: &Operand) -> Operand {
    match (layout, of) {
        (Layout::Dense, Operand::Tensor(of)) => Operand::Tensor(relayout(of, Layout::Dense)),
        (_, of) => of.clone(),
    }
}

/// The same elements in the same order in another shape, which has as many.
pub(super) fn reshape(of: &Arc<Tensor>, shape: Shape) -> Arc<Tensor> {
    if *of.shape() == shape {
        return Arc::clone(of);
    }
    tensor(TensorSchema { shape, ..of.schema.clone() }, Node::Reshape { of: Arc::clone(of) })
}

/// The same elements repeated in a shape that theirs broadcasts to.
pub(super) fn broadcast(of: &Arc<Tensor>, shape: &Shape) -> Arc<Tensor> {
    if of.shape() == shape {
        return Arc::clone(of);
    }
    let schema = TensorSchema { shape: shape.clone(), ..of.schema.clone() };
    tensor(schema, Node::Broadcast { of: Arc::clone(of) })
}

/// The same elements with axis `permutation[i]` as axis `i`.
pub(super) fn transpose(of: &Arc<Tensor>, permutation: &[usize]) -> Result<Arc<Tensor>> {
    if permutation.iter().copied().eq(0..of.shape().ndim()) {
        return Ok(Arc::clone(of));
    }
    let shape = Shape::try_new(permutation.iter().map(|axis| of.shape().dims()[*axis]).collect::<Vec<_>>())?;
    let node = Node::Transpose { of: Arc::clone(of), permutation: permutation.into() };
    Ok(tensor(TensorSchema { shape, ..of.schema.clone() }, node))
}

/// A function of every element, with results of `dtype`.
pub(super) fn unary(op: Unary, of: &Arc<Tensor>, dtype: NumberClass) -> Arc<Tensor> {
    tensor(TensorSchema { dtype, ..of.schema.clone() }, Node::Unary { op, of: Arc::clone(of) })
}

/// A function of two elements.
pub(super) fn binary(op: Binary, l: Operand, r: Operand, schema: TensorSchema) -> Arc<Tensor> {
    tensor(schema, Node::Binary { op, l, r })
}

/// Every element to the power of a number.
pub(super) fn power(of: &Arc<Tensor>, exponent: Number) -> Arc<Tensor> {
    let r = Operand::Number(cast_number(exponent, of.dtype()));
    binary(Binary::Pow, Operand::Tensor(Arc::clone(of)), r, of.schema.clone())
}

/// What all elements along `axes`, which are in ascending order, are reduced to. Unless `keeps_axes`, one axis is left at
/// least.
///
/// # Errors
/// As [`Shape::try_new`].
pub(super) fn reduce(op: Reduction, of: &Arc<Tensor>, axes: &[usize], keeps_axes: bool) -> Result<Arc<Tensor>> {
    let of = match op {
        // How many are true.
        Reduction::Sum | Reduction::Product if of.dtype() == NumberClass::Bool => cast(of, NumberClass::I64),
        _ => Arc::clone(of),
    };
    let dims = of.shape().dims().iter().enumerate().filter_map(|(axis, dim)| match axes.contains(&axis) {
        true => keeps_axes.then_some(1),
        false => Some(*dim),
    });
    let shape = Shape::try_new(dims.collect::<Vec<u64>>())?;
    let dtype = match op {
        Reduction::All | Reduction::Any => NumberClass::Bool,
        _ => of.dtype(),
    };
    let schema = TensorSchema { layout: of.schema.layout, dtype, shape };
    Ok(tensor(schema, Node::Reduce { op, of, axes: axes.into() }))
}

/// All elements the same: a number of the dtype of `schema`, which is zero if that is sparse.
pub(super) fn fill(schema: TensorSchema, number: Number) -> Arc<Tensor> {
    tensor(schema, Node::Initial(Arc::new(Initial::Fill(number))))
}
