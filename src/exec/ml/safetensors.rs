//! Files of tensors in the format of safetensors: the length of a header, the header, which is JSON, and the elements.

use std::borrow::Cow;
use std::sync::Arc;

use ::safetensors::{Dtype, SafeTensors, View, serialize};
use arrow::buffer::Buffer;
use half::{bf16, f16};

use super::{Learning, apart, map_of};
use crate::compiler::ml::Network;
use crate::error::{Error, Result};
use crate::value::tensor::elements::width;
use crate::value::tensor::{Elements, Initial, Layout, Node, Shape, TensorSchema};
use crate::value::{Id, NumberClass, State, Tensor};

/// Bytes of a file that is made.
const FILE_BYTES: u64 = 256 << 20;

impl Learning {
    /// The tensors in a file, which may have to be the parameters of a network.
    pub(super) async fn load(&self, file: &Arc<[u8]>, network: Option<&Network>) -> Result<State> {
        let file = Arc::clone(file);
        let tensors = map_of(apart(move || read(&file)).await?)?;
        match network {
            None => Ok(tensors.into()),
            Some(network) => {
                let names = network.parameters().iter().map(|parameter| parameter.name.clone());
                Ok(map_of(names.zip(network.arrange(&tensors)?))?.into())
            }
        }
    }

    /// A file with these tensors.
    pub(super) async fn save(&self, tensors: Vec<(Id, Arc<Tensor>)>) -> Result<Arc<[u8]>> {
        let bytes = |tensor: &Tensor| tensor.size().saturating_mul(width(tensor.dtype()) as u64);
        let size = tensors.iter().fold(0u64, |sum, (_, tensor)| sum.saturating_add(bytes(tensor)));
        if size > FILE_BYTES {
            let message = format!("a file of these tensors would have {size} bytes, and {FILE_BYTES} are possible");
            return Err(Error::too_large(message));
        }
        let mut saved = Vec::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            let dtype = dtype_of(tensor.dtype()).ok_or_else(|| {
                Error::bad_request(format!("{name} is of {:?}, which files of safetensors do not have", tensor.dtype()))
            })?;
            let dense = match tensor.is_sparse() {
                true => {
                    let schema = TensorSchema { layout: Layout::Dense, ..tensor.schema.clone() };
                    Arc::new(Tensor::new(schema, Node::Relayout { of: Arc::clone(&tensor) }))
                }
                false => Arc::clone(&tensor),
            };
            let elements = self.evaluation.elements(&dense).await?;
            let dims = tensor.shape().dims().iter().map(|dim| usize::try_from(*dim).unwrap_or(usize::MAX));
            saved.push((name.to_string(), Saved { dtype, shape: dims.collect(), elements }));
        }
        apart(move || {
            let file = serialize(saved, None).map_err(|error| Error::internal(format!("no file was made: {error}")))?;
            Ok(file.into())
        })
        .await
    }
}

/// A tensor in a file.
struct Saved {
    dtype: Dtype,
    shape: Vec<usize>,
    elements: Elements,
}

impl View for Saved {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.elements.bytes().as_slice().into()
    }

    fn data_len(&self) -> usize {
        self.elements.bytes().len()
    }
}

/// How files call a class of elements. They have only one class of complex numbers.
fn dtype_of(class: NumberClass) -> Option<Dtype> {
    Some(match class {
        NumberClass::Bool => Dtype::BOOL,
        NumberClass::U8 => Dtype::U8,
        NumberClass::U16 => Dtype::U16,
        NumberClass::U32 => Dtype::U32,
        NumberClass::U64 => Dtype::U64,
        NumberClass::I16 => Dtype::I16,
        NumberClass::I32 => Dtype::I32,
        NumberClass::I64 => Dtype::I64,
        NumberClass::F32 => Dtype::F32,
        NumberClass::F64 => Dtype::F64,
        NumberClass::C32 => Dtype::C64,
        NumberClass::C64 => return None,
    })
}

/// The tensors in a file, by their names.
fn read(file: &[u8]) -> Result<Vec<(Id, Arc<Tensor>)>> {
    let tensors = SafeTensors::deserialize(file)
        .map_err(|error| Error::bad_request(format!("this is no file of safetensors: {error}")))?;
    let read = tensors.iter().map(|(name, view)| {
        let in_tensor = |error: Error| Error::bad_request(format!("the tensor {name:?}: {}", error.message()));
        let name: Id = name.parse().map_err(in_tensor)?;
        let elements = elements(view.dtype(), view.data()).map_err(in_tensor)?;
        // A scalar is a tensor of one element here.
        let dims: Vec<u64> = match view.shape() {
            [] => vec![1],
            shape => shape.iter().map(|dim| *dim as u64).collect(),
        };
        let shape = Shape::try_new(dims).map_err(in_tensor)?;
        let schema = TensorSchema { layout: Layout::Dense, dtype: elements.dtype(), shape };
        let node = Node::Initial(Arc::new(Initial::Elements(elements)));
        Ok((name, Arc::new(Tensor::new(schema, node))))
    });
    read.collect()
}

/// Elements as they are in a file. Those of classes that this host does not have become such of a wider class.
fn elements(dtype: Dtype, bytes: &[u8]) -> Result<Elements> {
    let halves = |widen: fn([u8; 2]) -> f32| {
        let (halves, _) = bytes.as_chunks::<2>();
        Ok(Elements::from_vec(NumberClass::F32, halves.iter().map(|half| widen(*half)).collect::<Vec<f32>>()))
    };
    match dtype {
        Dtype::F16 => return halves(|half| f16::from_le_bytes(half).to_f32()),
        Dtype::BF16 => return halves(|half| bf16::from_le_bytes(half).to_f32()),
        Dtype::I8 => {
            let wide: Vec<i16> = bytes.iter().map(|byte| i16::from(byte.cast_signed())).collect();
            return Ok(Elements::from_vec(NumberClass::I16, wide));
        }
        _ => {}
    }
    let class = NumberClass::ALL.into_iter().find(|class| dtype_of(*class) == Some(dtype));
    let class = class.ok_or_else(|| Error::bad_request(format!("this host has no elements of {dtype}")))?;
    Elements::try_new(class, Buffer::from_slice_ref(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::value::Number;

    /// A file as PyTorch writes it: a header of JSON, padded with blanks, and the elements.
    fn file(header: &str, elements: &[u8]) -> Vec<u8> {
        let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(elements);
        file
    }

    fn bytes(elements: &[f32]) -> Vec<u8> {
        elements.iter().flat_map(|element| element.to_le_bytes()).collect()
    }

    fn of(tensor: &Tensor) -> &Elements {
        match &tensor.node {
            Node::Initial(initial) => match initial.as_ref() {
                Initial::Elements(elements) => elements,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn sorted(file: &[u8]) -> Vec<(Id, Arc<Tensor>)> {
        let mut tensors = read(file).unwrap();
        tensors.sort_by(|(l, _), (r, _)| l.cmp(r));
        tensors
    }

    #[test]
    fn a_file_of_pytorch_is_read() {
        let header = r#"{"0.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"0.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},"__metadata__":{"format":"pt"}}"#;
        let file = file(header, &bytes(&[10.0, 20.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let tensors = sorted(&file);
        let found: Vec<(&str, String)> =
            tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape().to_string())).collect();
        assert_eq!(found, [("0.bias", "[2]".to_string()), ("0.weight", "[2, 3]".to_string())]);
        assert_eq!(of(&tensors[0].1).typed::<f32>(), [10.0, 20.0]);
        assert_eq!(of(&tensors[1].1).typed::<f32>(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn elements_of_other_classes_are_widened() {
        let header = |dtype: &str, len: usize, bytes: usize| {
            format!(r#"{{"x":{{"dtype":"{dtype}","shape":[{len}],"data_offsets":[0,{bytes}]}}}}"#)
        };
        let numbers = |dtype: &str, len: usize, elements: &[u8]| -> Vec<Number> {
            let tensors = read(&file(&header(dtype, len, elements.len()), elements)).unwrap();
            of(&tensors[0].1).iter().collect()
        };
        // 1.5 and −2 as half floats.
        let expected = [1.5, -2.0].map(Number::F32);
        assert_eq!(numbers("F16", 2, &[0x00, 0x3e, 0x00, 0xc0]), expected);
        assert_eq!(numbers("BF16", 2, &[0xc0, 0x3f, 0x00, 0xc0]), expected);
        assert_eq!(numbers("I8", 2, &[5, 0xfb]), [5, -5].map(Number::I16));
        assert_eq!(numbers("I64", 1, &(-7i64).to_le_bytes()), [Number::I64(-7)]);
        assert_eq!(numbers("BOOL", 2, &[1, 0]), [true, false].map(Number::Bool));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let original = file(
            r#"{"b":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}}"#,
            &[2.5f64.to_le_bytes().to_vec(), bytes(&[1.0, -1.0])].concat(),
        );
        let tensors = sorted(&original);
        let saved = tensors.iter().map(|(name, tensor)| {
            let shape = tensor.shape().dims().iter().map(|dim| *dim as usize).collect();
            let dtype = dtype_of(tensor.dtype()).unwrap();
            (name.to_string(), Saved { dtype, shape, elements: of(tensor).clone() })
        });
        let written = serialize(saved.collect::<Vec<_>>(), None).unwrap();
        let again = sorted(&written);
        assert_eq!(again.len(), 2);
        for ((l_name, l), (r_name, r)) in tensors.iter().zip(&again) {
            assert_eq!((l_name, &l.schema), (r_name, &r.schema));
            assert_eq!(of(l), of(r));
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let refuse = |file: &[u8], message: &str| {
            let error = read(file).unwrap_err();
            assert_eq!(error.kind(), Kind::BadRequest);
            assert!(error.message().starts_with(message), "{}", error.message());
        };
        refuse(b"", "this is no file of safetensors: ");
        refuse(b"not a file of tensors", "this is no file of safetensors: ");
        let one = |name: &str, dtype: &str, shape: &str, bytes: usize| {
            let header = format!(r#"{{"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{bytes}]}}}}"#);
            file(&header, &vec![2; bytes])
        };
        refuse(&one("x", "F32", "[3]", 8), "this is no file of safetensors: ");
        refuse(&one("a b", "F32", "[2]", 8), r#"the tensor "a b": "a b" is not a valid name"#);
        refuse(&one("x", "F32", "[0]", 0), r#"the tensor "x": 0 is no dimension of a tensor"#);
        refuse(&one("x", "F8_E4M3", "[4]", 4), r#"the tensor "x": this host has no elements of F8_E4M3"#);
        refuse(&one("x", "BOOL", "[4]", 4), r#"the tensor "x": an element is neither true nor false"#);
    }
}
