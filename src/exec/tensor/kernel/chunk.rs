//! Elements on a device.

use burn::tensor::{Bool, BoolStore, DType, Device, FloatDType, Int, IntDType, Tensor};

use super::native::unexpected;
use super::transfer::constant;
use crate::error::{Error, Result};
use crate::value::number::NumberKind;
use crate::value::number::cast::cast;
use crate::value::{Number, NumberClass};

/// Elements of one dtype on one device, in a row. Cloning is cheap.
#[allow(clippy::large_enum_variant, reason = "there are few of these at a time, and a box for each would cost more")]
#[derive(Clone, Debug)]
pub enum Chunk {
    Bool(Tensor<1, Bool>),
    Int(NumberClass, Tensor<1, Int>),
    Float(NumberClass, Tensor<1>),
    /// The real and the imaginary parts.
    Complex(NumberClass, Tensor<1>, Tensor<1>),
}

/// An operand of a function: elements, or a number that stands for as many as there are in the other operands.
#[allow(clippy::large_enum_variant, reason = "there are few of these at a time, and a box for each would cost more")]
#[derive(Clone, Debug)]
pub enum Operand {
    Chunk(Chunk),
    Number(Number),
}

impl From<Chunk> for Operand {
    fn from(chunk: Chunk) -> Self {
        Operand::Chunk(chunk)
    }
}

impl From<Number> for Operand {
    fn from(number: Number) -> Self {
        Operand::Number(number)
    }
}

impl Operand {
    /// The elements; as many as `len` if this is a number. Both are cast to `class`.
    pub(super) fn into_chunk(self, class: NumberClass, len: usize, device: &Device) -> Result<Chunk> {
        match self {
            Operand::Chunk(chunk) if chunk.len() == len => chunk.cast(class),
            Operand::Chunk(chunk) => Err(different(chunk.len(), len)),
            Operand::Number(number) => Chunk::fill(cast(number, class), len, device),
        }
    }
}

impl Chunk {
    /// `len` times the same element, of the class of the number.
    ///
    /// # Errors
    /// `Internal` if burn does not take them.
    pub fn fill(number: Number, len: usize, device: &Device) -> Result<Self> {
        if is_cpu(device) || len <= 1 {
            return Self::upload(&constant(number, len), device);
        }
        // A view of one element: nothing but this is brought to the device.
        let one = Self::upload(&constant(number, 1), device)?;
        Ok(match one {
            Chunk::Bool(tensor) => Chunk::Bool(tensor.expand([len])),
            Chunk::Int(class, tensor) => Chunk::Int(class, tensor.expand([len])),
            Chunk::Float(class, tensor) => Chunk::Float(class, tensor.expand([len])),
            Chunk::Complex(class, re, im) => Chunk::Complex(class, re.expand([len]), im.expand([len])),
        })
    }

    /// The class of the elements.
    pub fn dtype(&self) -> NumberClass {
        match self {
            Chunk::Bool(_) => NumberClass::Bool,
            Chunk::Int(class, _) | Chunk::Float(class, _) | Chunk::Complex(class, ..) => *class,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        let [len] = match self {
            Chunk::Bool(tensor) => tensor.dims(),
            Chunk::Int(_, tensor) => tensor.dims(),
            Chunk::Float(_, tensor) | Chunk::Complex(_, tensor, _) => tensor.dims(),
        };
        len
    }

    /// Where the elements are.
    pub fn device(&self) -> Device {
        match self {
            Chunk::Bool(tensor) => tensor.device(),
            Chunk::Int(_, tensor) => tensor.device(),
            Chunk::Float(_, tensor) | Chunk::Complex(_, tensor, _) => tensor.device(),
        }
    }
}

/// Whether the elements of tensors on this device are in memory.
pub fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// The class of the parts of a complex class.
pub(super) fn part_class(class: NumberClass) -> NumberClass {
    match class {
        NumberClass::C32 => NumberClass::F32,
        NumberClass::C64 => NumberClass::F64,
        _ => class,
    }
}

/// How burn calls a class; a complex one is its parts. Of Bool this is how it is in memory, which devices convert.
pub fn burn_dtype(class: NumberClass) -> DType {
    match class {
        NumberClass::Bool => DType::Bool(BoolStore::Native),
        NumberClass::U8 => DType::U8,
        NumberClass::U16 => DType::U16,
        NumberClass::U32 => DType::U32,
        NumberClass::U64 => DType::U64,
        NumberClass::I16 => DType::I16,
        NumberClass::I32 => DType::I32,
        NumberClass::I64 => DType::I64,
        NumberClass::F32 | NumberClass::C32 => DType::F32,
        NumberClass::F64 | NumberClass::C64 => DType::F64,
    }
}

/// How burn calls a class of integers.
pub(super) fn int_dtype(class: NumberClass) -> Result<IntDType> {
    Ok(match class {
        NumberClass::U8 => IntDType::U8,
        NumberClass::U16 => IntDType::U16,
        NumberClass::U32 => IntDType::U32,
        NumberClass::U64 => IntDType::U64,
        NumberClass::I16 => IntDType::I16,
        NumberClass::I32 => IntDType::I32,
        NumberClass::I64 => IntDType::I64,
        _ => return Err(unexpected(class)),
    })
}

/// How burn calls a class of floats, or the parts of a complex one.
pub(super) fn float_dtype(class: NumberClass) -> Result<FloatDType> {
    match class {
        NumberClass::F32 | NumberClass::C32 => Ok(FloatDType::F32),
        NumberClass::F64 | NumberClass::C64 => Ok(FloatDType::F64),
        _ => Err(unexpected(class)),
    }
}

/// An error for operands that have to be as long as each other.
#[cold]
pub(super) fn different(l: usize, r: usize) -> Error {
    Error::internal(format!("pieces of {l} and {r} elements are no operands of each other"))
}

/// An error for a function that is not defined for complex numbers.
#[cold]
pub(super) fn unordered() -> Error {
    Error::bad_request("complex numbers have no order")
}

/// Fails for complex numbers.
pub(super) fn ordered(class: NumberClass) -> Result<()> {
    if class.kind() == NumberKind::Complex { Err(unordered()) } else { Ok(()) }
}
