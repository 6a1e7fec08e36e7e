//! Elements in memory.

use arrow::buffer::Buffer;
use arrow::datatypes::ArrowNativeType;

use crate::error::{Error, Result};
use crate::value::number::cast::cast;
use crate::value::number::{Complex32, Complex64};
use crate::value::{Number, NumberClass};

#[cfg(target_endian = "big")]
compile_error!("elements are stored and sent as they are in memory, which has to be in little-endian order");

/// Bytes of a block of a stored tensor: what is written at least when one element is.
pub const BLOCK_BYTES: usize = 64 << 10;

/// Elements of one dtype in row-major order. Cloning is cheap.
///
/// They are in little-endian byte order. A Bool is a byte, 0 or 1; a complex number is its real part and its imaginary
/// part, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Elements {
    dtype: NumberClass,
    bytes: Buffer,
}

/// Calls a macro with the variant of [`Number`] and the native type of each dtype that is a machine number.
macro_rules! each_native {
    ($call:ident) => {
        $call! { (U8, u8), (U16, u16), (U32, u32), (U64, u64), (I16, i16), (I32, i32), (I64, i64), (F32, f32), (F64, f64) }
    };
}

impl Elements {
    /// Elements in the given bytes.
    ///
    /// # Errors
    /// `Internal` if these are not a whole number of elements, or not aligned as elements are, or a Bool is neither 0 nor 1.
    pub fn try_new(dtype: NumberClass, bytes: Buffer) -> Result<Self> {
        let (width, align) = (width(dtype), align(dtype));
        if !bytes.len().is_multiple_of(width) || bytes.as_ptr().align_offset(align) != 0 {
            let message = format!("{} bytes are no elements of {width} bytes each", bytes.len());
            return Err(Error::internal(message));
        }
        if dtype == NumberClass::Bool && bytes.iter().any(|byte| *byte > 1) {
            return Err(Error::internal("an element is neither true nor false"));
        }
        Ok(Self { dtype, bytes })
    }

    /// Elements of a machine type.
    pub fn from_vec<T: ArrowNativeType>(dtype: NumberClass, elements: Vec<T>) -> Self {
        debug_assert_eq!(size_of::<T>(), part_width(dtype), "elements of another type");
        Self { dtype, bytes: Buffer::from_vec(elements) }
    }

    /// These numbers, cast to `dtype`.
    pub fn from_numbers(dtype: NumberClass, numbers: impl IntoIterator<Item = Number>) -> Self {
        let numbers = numbers.into_iter().map(|number| cast(number, dtype));
        macro_rules! collect {
            ($(($variant:ident, $native:ty)),*) => {
                match dtype {
                    NumberClass::Bool => {
                        Self::from_vec(dtype, numbers.map(|n| u8::from(n == Number::Bool(true))).collect::<Vec<u8>>())
                    }
                    $(NumberClass::$variant => {
                        let natives = numbers.map(|n| match n { Number::$variant(n) => n, _ => <$native>::default() });
                        Self::from_vec(dtype, natives.collect::<Vec<$native>>())
                    })*
                    NumberClass::C32 => {
                        let parts = numbers.flat_map(|n| match n { Number::C32(n) => [n.re, n.im], _ => [0.0; 2] });
                        Self::from_vec(dtype, parts.collect::<Vec<f32>>())
                    }
                    NumberClass::C64 => {
                        let parts = numbers.flat_map(|n| match n { Number::C64(n) => [n.re, n.im], _ => [0.0; 2] });
                        Self::from_vec(dtype, parts.collect::<Vec<f64>>())
                    }
                }
            };
        }
        each_native!(collect)
    }

    /// `len` times zero.
    pub fn zeros(dtype: NumberClass, len: usize) -> Self {
        Self { dtype, bytes: arrow::buffer::MutableBuffer::from_len_zeroed(len * width(dtype)).into() }
    }

    /// The dtype.
    pub fn dtype(&self) -> NumberClass {
        self.dtype
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / width(self.dtype)
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes.
    pub fn bytes(&self) -> &Buffer {
        &self.bytes
    }

    /// The elements as machine numbers: those of the dtype, bytes for Bool, and the parts of complex numbers.
    pub fn typed<T: ArrowNativeType>(&self) -> &[T] {
        debug_assert_eq!(size_of::<T>(), part_width(self.dtype), "elements of another type");
        self.bytes.typed_data()
    }

    /// `len` elements from `start` on, which must be there. Nothing is copied.
    #[must_use]
    pub fn slice(&self, start: usize, len: usize) -> Self {
        let width = width(self.dtype);
        Self { dtype: self.dtype, bytes: self.bytes.slice_with_length(start * width, len * width) }
    }

    /// The element at `index`, which must be there.
    pub fn get(&self, index: usize) -> Number {
        macro_rules! get {
            ($(($variant:ident, $native:ty)),*) => {
                match self.dtype {
                    NumberClass::Bool => Number::Bool(self.bytes[index] != 0),
                    $(NumberClass::$variant => Number::$variant(self.typed::<$native>()[index]),)*
                    NumberClass::C32 => {
                        let parts = self.typed::<f32>();
                        Number::C32(Complex32::new(parts[2 * index], parts[2 * index + 1]))
                    }
                    NumberClass::C64 => {
                        let parts = self.typed::<f64>();
                        Number::C64(Complex64::new(parts[2 * index], parts[2 * index + 1]))
                    }
                }
            };
        }
        each_native!(get)
    }

    /// All elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Number> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// How many elements a block of a stored tensor of this dtype has; the last one may have fewer.
    pub fn block_len(dtype: NumberClass) -> u64 {
        (BLOCK_BYTES / width(dtype)) as u64
    }
}

/// Bytes of an element.
pub fn width(dtype: NumberClass) -> usize {
    match dtype {
        NumberClass::C32 | NumberClass::C64 => 2 * part_width(dtype),
        _ => part_width(dtype),
    }
}

/// Bytes of an element, or of one part of a complex one.
fn part_width(dtype: NumberClass) -> usize {
    use NumberClass::*;
    match dtype {
        Bool | U8 => 1,
        U16 | I16 => 2,
        U32 | I32 | F32 | C32 => 4,
        U64 | I64 | F64 | C64 => 8,
    }
}

/// What the address of elements is a multiple of.
pub fn align(dtype: NumberClass) -> usize {
    part_width(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were_cast() {
        for dtype in NumberClass::ALL {
            let numbers = [Number::I64(0), Number::I64(1), Number::I64(-3), Number::F64(300.7)];
            let elements = Elements::from_numbers(dtype, numbers);
            let expected: Vec<Number> = numbers.iter().map(|number| cast(*number, dtype)).collect();
            assert_eq!(elements.iter().collect::<Vec<_>>(), expected, "{dtype:?}");
            assert_eq!(elements.len(), 4);
            assert_eq!(elements.slice(1, 2).iter().collect::<Vec<_>>(), expected[1..3]);
            let copy = Elements::try_new(dtype, elements.bytes().clone()).unwrap();
            assert_eq!(copy, elements);
        }
    }

    #[test]
    fn bytes_are_checked() {
        assert!(Elements::try_new(NumberClass::F64, Buffer::from_vec(vec![0u8; 12])).is_err());
        assert!(Elements::try_new(NumberClass::Bool, Buffer::from_vec(vec![0u8, 2])).is_err());
        let odd = Buffer::from_vec(vec![0u64; 2]).slice_with_length(1, 8);
        assert!(Elements::try_new(NumberClass::F64, odd).is_err());
    }
}
