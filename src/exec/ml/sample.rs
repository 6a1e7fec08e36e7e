//! Networks and tensors for tests.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::compiler::collection::sample::state;
use crate::compiler::ml::Network;
use crate::compiler::ml::layer::layers;
use crate::value::tensor::Shape;

/// A network for rows of a shape.
pub fn network(text: &str, input: &[u64]) -> Network {
    Network::new(layers(&state(text)).unwrap(), Shape::try_new(input).unwrap()).unwrap()
}

pub fn tensor(elements: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(elements.to_vec(), [elements.len()]), (&Device::flex(), DType::F32))
}
