//! Functions of one element.

use burn::tensor::{Float, Tensor};

use super::chunk::Chunk;
use super::complex;
use super::native::{Native as _, Real as _, for_real, unexpected};
use super::transfer::{floats, in_memory};
use crate::error::{Error, Result};
use crate::value::number::{NumberKind, math};
use crate::value::tensor::Unary;
use crate::value::{Number, NumberClass};

impl Chunk {
    /// A function of every element. Only absolute values and rounding are defined for integers and Bool, and whether they are
    /// zero.
    ///
    /// # Errors
    /// `Internal` for other functions of integers, which have to be cast before.
    pub fn unary(self, op: Unary) -> Result<Self> {
        match (op, self) {
            (Unary::Not, chunk) => Ok(Chunk::Bool(chunk.truth().bool_not())),
            (Unary::Abs | Unary::Round, Chunk::Bool(tensor)) => Ok(Chunk::Bool(tensor)),
            // The least integer has no counterpart: it stays as it is, as in numpy.
            (Unary::Abs, Chunk::Int(class, tensor)) if class.kind() == NumberKind::Int => {
                Ok(Chunk::Int(class, tensor.abs()))
            }
            (Unary::Abs | Unary::Round, Chunk::Int(class, tensor)) => Ok(Chunk::Int(class, tensor)),
            (op, Chunk::Float(class, tensor)) => Ok(Chunk::Float(class, real(op, class, tensor)?)),
            (op, Chunk::Complex(class, re, im)) => complex::unary(op, class, re, im),
            (op, chunk) => Err(Error::internal(format!("{op:?} of a piece of {:?}", chunk.dtype()))),
        }
    }
}

/// A function of floats.
fn real(op: Unary, class: NumberClass, tensor: Tensor<1>) -> Result<Tensor<1>> {
    Ok(match op {
        Unary::Abs => tensor.abs(),
        Unary::Exp => tensor.exp(),
        Unary::Log => tensor.log(),
        Unary::Sin => tensor.sin(),
        Unary::Cos => tensor.cos(),
        Unary::Tan => tensor.tan(),
        Unary::Asin => tensor.asin(),
        Unary::Acos => tensor.acos(),
        Unary::Atan => tensor.atan(),
        Unary::Sinh => tensor.sinh(),
        Unary::Cosh => tensor.cosh(),
        Unary::Tanh => tensor.tanh(),
        Unary::Round => return rounded(class, tensor),
        // Those of the standard library, which burn takes, lose digits near the ends of their domains.
        Unary::Asinh | Unary::Acosh | Unary::Atanh => return by_number(class, tensor, function(op)),
        Unary::Not => return Err(unexpected(class)),
    })
}

/// Floats rounded, halves away from zero. burn rounds halves to even.
pub(super) fn rounded(class: NumberClass, tensor: Tensor<1>) -> Result<Tensor<1>> {
    for_real!(class, T => {
        let device = tensor.device();
        let mut elements = in_memory::<T, Float>(tensor)?;
        elements.iter_mut().for_each(|element| *element = element.nearest());
        Ok(floats(elements, &device))
    })
}

/// A function of numbers, applied to floats.
fn by_number(class: NumberClass, tensor: Tensor<1>, f: fn(Number) -> Result<Number>) -> Result<Tensor<1>> {
    for_real!(class, T => {
        let device = tensor.device();
        let mut elements = in_memory::<T, Float>(tensor)?;
        for element in &mut elements {
            *element = T::of(f(element.number())?);
        }
        Ok(floats(elements, &device))
    })
}

/// The function of one number.
pub(super) fn function(op: Unary) -> fn(Number) -> Result<Number> {
    match op {
        Unary::Abs => math::abs,
        Unary::Exp => math::exp,
        Unary::Log => math::ln,
        Unary::Round => math::round,
        Unary::Sin => math::sin,
        Unary::Cos => math::cos,
        Unary::Tan => math::tan,
        Unary::Asin => math::asin,
        Unary::Acos => math::acos,
        Unary::Atan => math::atan,
        Unary::Sinh => math::sinh,
        Unary::Cosh => math::cosh,
        Unary::Tanh => math::tanh,
        Unary::Asinh => math::asinh,
        Unary::Acosh => math::acosh,
        Unary::Atanh => math::atanh,
        Unary::Not => |number| Ok(Number::Bool(!crate::value::number::compare::is_truthy(number))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_close, assert_same, chunk, numbers, unary_ops};
    use super::*;
    use crate::error::Kind;

    #[test]
    fn functions_are_those_of_numbers() {
        for class in NumberClass::ALL {
            for op in unary_ops() {
                let is_exact = matches!(op, Unary::Abs | Unary::Round | Unary::Not);
                if class.kind() < NumberKind::Float && !is_exact {
                    let error = chunk(class, &numbers(class)).unary(op).unwrap_err();
                    assert_eq!(error.kind(), Kind::Internal, "{op:?} of {class:?}");
                    continue;
                }
                // The least integer is a case of its own, below.
                let all = numbers(class).into_iter().filter(|number| function(op)(*number).is_ok());
                let all: Vec<Number> = all.collect();
                let expected: Vec<Number> = all.iter().map(|number| function(op)(*number).unwrap()).collect();
                let found = chunk(class, &all).unary(op).unwrap().download().unwrap();
                for ((found, expected), of) in found.iter().zip(expected).zip(all) {
                    match is_exact && class.kind() < NumberKind::Complex {
                        true => assert_same(found, expected, &(op, of)),
                        false => assert_close(found, expected, &(op, of)),
                    }
                }
            }
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let halves = [0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 0.499_999_999_999_999_94].map(Number::F64);
        let rounded = chunk(NumberClass::F64, &halves).unary(Unary::Round).unwrap().download().unwrap();
        assert_eq!(rounded.typed::<f64>(), [1.0, 2.0, 3.0, -1.0, -2.0, 2.0, 0.0]);
    }

    #[test]
    fn the_least_integer_has_no_absolute_value() {
        let least = [Number::I32(i32::MIN), Number::I32(-5)];
        let values = chunk(NumberClass::I32, &least).unary(Unary::Abs).unwrap().download().unwrap();
        assert_eq!(values.typed::<i32>(), [i32::MIN, 5]);
    }

    #[test]
    fn functions_are_not_defined_everywhere() {
        let log = chunk(NumberClass::F64, &[1.0, 0.0, -1.0].map(Number::F64)).unary(Unary::Log).unwrap();
        let log = log.download().unwrap();
        assert_eq!(log.typed::<f64>()[..2], [0.0, f64::NEG_INFINITY]);
        assert!(log.typed::<f64>()[2].is_nan());
        let exp = chunk(NumberClass::F64, &[Number::F64(1000.0)]).unary(Unary::Exp).unwrap().download().unwrap();
        assert_eq!(exp.typed::<f64>(), [f64::INFINITY]);
    }
}
