//! Between elements in memory and tensors on a device.

use arrow::buffer::Buffer;
use burn::tensor::kind::Basic;
use burn::tensor::{
    AllocationProperty, Bool, BoolStore, Bytes, DType, Device, Element, Float, Int, Tensor, TensorData,
};

use super::chunk::{Chunk, burn_dtype};
use super::native::{Native, for_integer, for_real, unexpected};
use crate::error::{Error, Result};
use crate::value::number::NumberKind;
use crate::value::tensor::Elements;
use crate::value::{Number, NumberClass};

impl Chunk {
    /// These elements on a device. On the CPU nothing is copied unless it is written to, except complex numbers, whose parts are
    /// separated.
    ///
    /// # Errors
    /// `Internal` if burn does not take them.
    pub fn upload(elements: &Elements, device: &Device) -> Result<Self> {
        let (class, len) = (elements.dtype(), elements.len());
        Ok(match class.kind() {
            NumberKind::Bool => Chunk::Bool(shared(elements.bytes(), class, len, device)?),
            NumberKind::UInt | NumberKind::Int => Chunk::Int(class, shared(elements.bytes(), class, len, device)?),
            NumberKind::Float => Chunk::Float(class, shared(elements.bytes(), class, len, device)?),
            NumberKind::Complex => {
                return for_real!(class, T => {
                    let parts = elements.typed::<T>();
                    let part = |at: usize| parts.iter().skip(at).step_by(2).copied().collect::<Vec<T>>();
                    Ok(Chunk::Complex(class, floats(part(0), device), floats(part(1), device)))
                });
            }
        })
    }

    /// The elements in memory.
    ///
    /// # Errors
    /// `Internal` if the device does not give them back.
    pub fn download(self) -> Result<Elements> {
        match self {
            Chunk::Bool(tensor) => {
                let bytes = bools_in_memory(tensor)?;
                Ok(Elements::from_vec(NumberClass::Bool, bytes))
            }
            Chunk::Int(class, tensor) => {
                for_integer!(class, T => Ok(Elements::from_vec(class, in_memory::<T, Int>(tensor)?)))
            }
            Chunk::Float(class, tensor) => {
                for_real!(class, T => Ok(Elements::from_vec(class, in_memory::<T, Float>(tensor)?)))
            }
            Chunk::Complex(class, re, im) => for_real!(class, T => {
                let (re, im) = (in_memory::<T, Float>(re)?, in_memory::<T, Float>(im)?);
                let mut parts = Vec::with_capacity(2 * re.len());
                re.into_iter().zip(im).for_each(|(re, im)| parts.extend([re, im]));
                Ok(Elements::from_vec(class, parts))
            }),
        }
    }
}

/// `len` times the same element.
pub(super) fn constant(number: Number, len: usize) -> Elements {
    macro_rules! constant {
        ($($variant:ident),*) => {
            match number {
                Number::Bool(value) => Elements::from_vec(NumberClass::Bool, vec![u8::from(value); len]),
                $(Number::$variant(value) => Elements::from_vec(NumberClass::$variant, vec![value; len]),)*
                Number::C32(value) => Elements::from_vec(NumberClass::C32, [value.re, value.im].repeat(len)),
                Number::C64(value) => Elements::from_vec(NumberClass::C64, [value.re, value.im].repeat(len)),
            }
        };
    }
    constant!(U8, U16, U32, U64, I16, I32, I64, F32, F64)
}

/// The owner of bytes that a tensor reads.
struct Shared(Buffer);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// A tensor of bytes that are not copied until it is written to.
fn shared<K: Basic>(bytes: &Buffer, class: NumberClass, len: usize, device: &Device) -> Result<Tensor<1, K>> {
    let dtype = burn_dtype(class);
    let owner = bytes::Bytes::from_owner(Shared(bytes.clone()));
    let bytes = Bytes::from_shared(owner, AllocationProperty::Native);
    let data = TensorData::try_from_bytes(bytes, [len], dtype).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Tensor::from_data(data, (device, dtype)))
}

/// A tensor of these integers.
pub(super) fn integers<T: Native>(elements: Vec<T>, device: &Device) -> Tensor<1, Int> {
    let len = elements.len();
    Tensor::from_data(TensorData::new(elements, [len]), (device, T::dtype()))
}

/// A tensor of these floats.
pub(super) fn floats<T: Native>(elements: Vec<T>, device: &Device) -> Tensor<1> {
    let len = elements.len();
    Tensor::from_data(TensorData::new(elements, [len]), (device, T::dtype()))
}

/// A tensor of booleans that are bytes, 0 or 1.
pub(super) fn bools(elements: Vec<u8>, device: &Device) -> Result<Tensor<1, Bool>> {
    let len = elements.len();
    let dtype = DType::Bool(BoolStore::Native);
    let data = TensorData::try_from_bytes(Bytes::from_elems(elements), [len], dtype);
    let data = data.map_err(|error| Error::internal(error.to_string()))?;
    Ok(Tensor::from_data(data, (device, dtype)))
}

/// The elements of a tensor, in its own memory if nobody else reads that.
pub(super) fn in_memory<T: Element, K: Basic>(tensor: Tensor<1, K>) -> Result<Vec<T>> {
    if tensor.dims() == [0] {
        return Ok(vec![]);
    }
    let data = tensor.try_into_data().map_err(|error| Error::internal(error.to_string()))?;
    data.try_into_vec_as().map_err(|error| Error::internal(error.to_string()))
}

/// What a function makes of the elements of a tensor, which on the CPU are read where they are.
pub(super) fn read<T: Element, K: Basic, R>(
    tensor: Tensor<1, K>,
    function: impl FnOnce(&[T]) -> Result<R>,
) -> Result<R> {
    if tensor.dims() == [0] {
        return function(&[]);
    }
    let data = tensor.try_into_data_as::<T>().map_err(|error| Error::internal(error.to_string()))?;
    function(data.as_slice().map_err(|error| Error::internal(error.to_string()))?)
}

/// The elements of a tensor of booleans as bytes, 0 or 1.
pub(super) fn bools_in_memory(tensor: Tensor<1, Bool>) -> Result<Vec<u8>> {
    Ok(in_memory::<bool, Bool>(tensor)?.into_iter().map(u8::from).collect())
}

#[cfg(test)]
mod tests {
    use super::super::sample::{device, numbers};
    use super::*;

    #[test]
    fn elements_come_back_as_they_were() {
        for class in NumberClass::ALL {
            let elements = Elements::from_numbers(class, numbers(class));
            let chunk = Chunk::upload(&elements, &device()).unwrap();
            assert_eq!((chunk.dtype(), chunk.len()), (class, elements.len()));
            // Bit by bit, as NaN does not equal itself.
            assert_eq!(chunk.clone().download().unwrap().bytes(), elements.bytes(), "{class:?}");
            // A part of elements, which begins elsewhere in the same memory.
            let part = elements.slice(1, 3);
            assert_eq!(Chunk::upload(&part, &device()).unwrap().download().unwrap().bytes(), part.bytes());
            let none = Chunk::upload(&Elements::zeros(class, 0), &device()).unwrap();
            assert!(none.download().unwrap().is_empty());
        }
    }

    #[test]
    fn what_was_uploaded_is_never_written_to() {
        let elements = Elements::from_vec(NumberClass::F32, vec![1f32, -2.0, 3.0]);
        let chunk = Chunk::upload(&elements, &device()).unwrap();
        let sum = Chunk::binary(crate::value::tensor::Binary::Add, chunk.into(), Number::F32(1.0).into());
        assert_eq!(sum.unwrap().download().unwrap().typed::<f32>(), [2.0, -1.0, 4.0]);
        assert_eq!(elements.typed::<f32>(), [1.0, -2.0, 3.0]);
    }

    #[test]
    fn constants_are_of_the_class_of_the_number() {
        for class in NumberClass::ALL {
            for number in numbers(class) {
                let elements = constant(number, 3);
                assert_eq!(elements, Elements::from_numbers(class, [number; 3]), "{number:?}");
                let filled = Chunk::fill(number, 3, &device()).unwrap();
                assert_eq!(filled.download().unwrap(), elements);
            }
        }
    }
}
