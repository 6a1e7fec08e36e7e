//! Tensors for the tests.

use crate::value::tensor::{Elements, Initial, Layout, Node, Shape, TensorSchema};
use crate::value::{NumberClass, Tensor};

pub fn schema(layout: Layout, dtype: NumberClass, dims: &[u64]) -> TensorSchema {
    TensorSchema { layout, dtype, shape: Shape::try_new(dims).unwrap() }
}

/// The elements of a dense tensor that was read.
pub fn elements_of(tensor: &Tensor) -> &Elements {
    match &tensor.node {
        Node::Initial(initial) => match initial.as_ref() {
            Initial::Elements(elements) => elements,
            other => panic!("{other:?} are no elements"),
        },
        other => panic!("{other:?} has no elements in memory"),
    }
}
