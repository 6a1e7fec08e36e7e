//! Tensors in the formats of other tools: files of NumPy ([`npy`]), and streams of Arrow ([`ipc`]).
//!
//! Both are sent piece by piece, and neither needs the tensor in memory. A body is in memory as a whole, within the limit that
//! all bodies have; its elements are not copied unless their order, their size or their place demand it.

pub(super) mod ipc;
pub(super) mod npy;

use std::sync::Arc;

use crate::error::Result;
use crate::value::Tensor;
use crate::value::tensor::{Elements, Initial, Layout, Node, Shape, TensorSchema};

/// The dense tensor of these elements, of which there are as many as the shape says.
fn dense(shape: Shape, elements: Elements) -> Arc<Tensor> {
    let schema = TensorSchema { layout: Layout::Dense, dtype: elements.dtype(), shape };
    Arc::new(Tensor::new(schema, Node::Initial(Arc::new(Initial::Elements(elements)))))
}

/// The tensor whose axis `i` is axis `permutation[i]` of `of`. Nothing is moved until elements are asked for.
fn transposed(of: Arc<Tensor>, permutation: Vec<usize>) -> Result<Arc<Tensor>> {
    if permutation.is_sorted() {
        return Ok(of);
    }
    let dims: Vec<u64> = permutation.iter().map(|axis| of.shape().dims()[*axis]).collect();
    let schema = TensorSchema { shape: Shape::try_new(dims)?, ..of.schema.clone() };
    Ok(Arc::new(Tensor::new(schema, Node::Transpose { of, permutation: permutation.into() })))
}

#[cfg(test)]
mod sample;
