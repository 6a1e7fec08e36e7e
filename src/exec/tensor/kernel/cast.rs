//! Elements of one class as elements of another.

use burn::tensor::{Bool, Tensor};

use super::chunk::{Chunk, float_dtype, int_dtype, part_class};
use super::native::unexpected;
use crate::error::Result;
use crate::value::number::NumberKind;
use crate::value::number::cast::cast;
use crate::value::{Number, NumberClass};

impl Chunk {
    /// Every element as one of `class`, as [`cast`] does it.
    ///
    /// burn does it the same way, at least on the CPU: integers wrap around, floats are truncated and saturate, NaN is 0.
    ///
    /// # Errors
    /// `Internal` if burn does not take what is made.
    pub fn cast(self, class: NumberClass) -> Result<Self> {
        if self.dtype() == class {
            return Ok(self);
        }
        match class.kind() {
            NumberKind::Bool => Ok(Chunk::Bool(self.truth())),
            NumberKind::UInt | NumberKind::Int => {
                let dtype = int_dtype(class)?;
                Ok(Chunk::Int(
                    class,
                    match self {
                        Chunk::Bool(tensor) => tensor.cast(dtype),
                        Chunk::Int(_, tensor) => tensor.cast(dtype),
                        Chunk::Float(_, tensor) | Chunk::Complex(_, tensor, _) => tensor.cast(dtype),
                    },
                ))
            }
            NumberKind::Float => {
                let dtype = float_dtype(class)?;
                Ok(Chunk::Float(
                    class,
                    match self {
                        Chunk::Bool(tensor) => tensor.cast(dtype),
                        Chunk::Int(_, tensor) => tensor.cast(dtype),
                        Chunk::Float(_, tensor) | Chunk::Complex(_, tensor, _) => tensor.cast(dtype),
                    },
                ))
            }
            NumberKind::Complex => self.complex(class),
        }
    }

    /// Whether each element is not zero.
    pub(super) fn truth(self) -> Tensor<1, Bool> {
        match self {
            Chunk::Bool(tensor) => tensor,
            Chunk::Int(_, tensor) => tensor.not_equal_scalar(0i64),
            Chunk::Float(_, tensor) => tensor.not_equal_scalar(0f64),
            Chunk::Complex(_, re, im) => re.not_equal_scalar(0f64).bool_or(im.not_equal_scalar(0f64)),
        }
    }

    fn complex(self, class: NumberClass) -> Result<Self> {
        let dtype = float_dtype(class)?;
        if let Chunk::Complex(_, re, im) = self {
            return Ok(Chunk::Complex(class, re.cast(dtype), im.cast(dtype)));
        }
        let part = part_class(class);
        let zero = Chunk::fill(cast(Number::F64(0.0), part), self.len(), &self.device())?;
        match (self.cast(part)?, zero) {
            (Chunk::Float(_, re), Chunk::Float(_, im)) => Ok(Chunk::Complex(class, re, im)),
            _ => Err(unexpected(class)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{device, numbers};
    use super::*;
    use crate::value::tensor::Elements;

    #[test]
    fn elements_are_cast_like_numbers() {
        for from in NumberClass::ALL {
            let elements = Elements::from_numbers(from, numbers(from));
            for to in NumberClass::ALL {
                let chunk = Chunk::upload(&elements, &device()).unwrap().cast(to).unwrap();
                assert_eq!(chunk.dtype(), to);
                let expected: Vec<Number> = numbers(from).into_iter().map(|number| cast(number, to)).collect();
                for (found, expected) in chunk.download().unwrap().iter().zip(expected) {
                    assert!(super::super::sample::same(found, expected), "{from:?}: {found:?}, not {expected:?}");
                }
            }
        }
    }

    #[test]
    fn casts_wrap_truncate_and_saturate() {
        let cast = |numbers: Vec<f64>, from, to| {
            let elements = Elements::from_numbers(from, numbers.into_iter().map(Number::F64));
            let chunk = Chunk::upload(&elements, &device()).unwrap().cast(to).unwrap();
            chunk.download().unwrap().iter().collect::<Vec<_>>()
        };
        use NumberClass::{Bool, F64, I32, U8};
        assert_eq!(cast(vec![0.0, -2.0, 300.0], I32, U8), [Number::U8(0), Number::U8(254), Number::U8(44)]);
        assert_eq!(cast(vec![0.0, -2.0, 300.0], I32, Bool), [false, true, true].map(Number::Bool));
        assert_eq!(cast(vec![1.5, -1.5, 300.7], F64, I32), [1, -1, 300].map(Number::I32));
        let limits = vec![f64::NAN, f64::INFINITY, -1e20];
        assert_eq!(cast(limits, F64, I32), [0, i32::MAX, i32::MIN].map(Number::I32));
    }
}
