//! Reductions of all elements to one number.

use num_complex::Complex64;

use super::chunk::{Chunk, is_cpu, unordered};
use super::complex;
use super::native::{Integer, Real, for_integer, for_real, unexpected};
use super::reduce::{in_lanes, largest, smallest, sum};
use super::transfer::read;
use crate::error::{Error, Result};
use crate::value::number::Complex32;
use crate::value::number::compare::{is_truthy, partial_compare};
use crate::value::tensor::Reduction;
use crate::value::{Number, NumberClass};

impl Chunk {
    /// What all elements are reduced to: integers in 64 bits, where they wrap around, and Bool counted. The results of several
    /// pieces are put together by [`combine`].
    ///
    /// # Errors
    /// `BadRequest` for the largest and the smallest of complex numbers; `Internal` if there are no elements.
    pub fn fold(self, op: Reduction) -> Result<Number> {
        if self.len() == 0 {
            return Err(Error::internal("a reduction of no elements"));
        }
        match (op, self) {
            (Reduction::All, chunk) => Ok(Number::Bool(one_bool(chunk, op)?)),
            (Reduction::Any, chunk) => Ok(Number::Bool(one_bool(chunk, op)?)),
            (Reduction::Max, chunk @ Chunk::Bool(_)) => Ok(Number::Bool(one_bool(chunk, Reduction::Any)?)),
            (Reduction::Min, chunk @ Chunk::Bool(_)) => Ok(Number::Bool(one_bool(chunk, Reduction::All)?)),
            (op, chunk @ Chunk::Bool(_)) => chunk.cast(NumberClass::I64)?.fold(op),
            (op, Chunk::Int(class, tensor)) => {
                for_integer!(class, T => read(tensor, |elements: &[T]| integers(op, elements)))
            }
            (op, chunk @ Chunk::Float(..)) if !is_cpu(&chunk.device()) => {
                let len = chunk.len();
                let one = chunk.reduce(op, 1, len, 1)?.download()?;
                Ok(one.get(0))
            }
            (op, Chunk::Float(class, tensor)) => {
                for_real!(class, T => read(tensor, |elements: &[T]| reals(op, elements)))
            }
            (op, Chunk::Complex(class, re, im)) => complexes(op, class, &complex::numbers(class, re, im)?),
        }
    }
}

/// What two folds are together.
///
/// # Errors
/// `Internal` if these are not the results of one reduction.
pub fn combine(op: Reduction, l: Number, r: Number) -> Result<Number> {
    let pick = |wanted| match partial_compare(r, l) {
        _ if partial_compare(l, l).is_none() => l,
        None => r,
        Some(order) if order == wanted => r,
        _ => l,
    };
    Ok(match (op, l, r) {
        (Reduction::All, l, r) => Number::Bool(is_truthy(l) && is_truthy(r)),
        (Reduction::Any, l, r) => Number::Bool(is_truthy(l) || is_truthy(r)),
        (Reduction::Max, ..) => pick(std::cmp::Ordering::Greater),
        (Reduction::Min, ..) => pick(std::cmp::Ordering::Less),
        (Reduction::Sum, Number::I64(l), Number::I64(r)) => Number::I64(l.wrapping_add(r)),
        (Reduction::Sum, Number::U64(l), Number::U64(r)) => Number::U64(l.wrapping_add(r)),
        (Reduction::Sum, Number::F32(l), Number::F32(r)) => Number::F32(l + r),
        (Reduction::Sum, Number::F64(l), Number::F64(r)) => Number::F64(l + r),
        (Reduction::Sum, Number::C32(l), Number::C32(r)) => Number::C32(l + r),
        (Reduction::Sum, Number::C64(l), Number::C64(r)) => Number::C64(l + r),
        (Reduction::Product, Number::I64(l), Number::I64(r)) => Number::I64(l.wrapping_mul(r)),
        (Reduction::Product, Number::U64(l), Number::U64(r)) => Number::U64(l.wrapping_mul(r)),
        (Reduction::Product, Number::F32(l), Number::F32(r)) => Number::F32(l * r),
        (Reduction::Product, Number::F64(l), Number::F64(r)) => Number::F64(l * r),
        (Reduction::Product, Number::C32(l), Number::C32(r)) => Number::C32(l * r),
        (Reduction::Product, Number::C64(l), Number::C64(r)) => Number::C64(l * r),
        _ => return Err(Error::internal(format!("{l:?} and {r:?} are not of one reduction"))),
    })
}

/// Whether all elements, or one of them, are not zero.
fn one_bool(chunk: Chunk, op: Reduction) -> Result<bool> {
    let len = chunk.len();
    let one = chunk.reduce(op, 1, len, 1)?.download()?;
    Ok(is_truthy(one.get(0)))
}

fn integers<T: Integer>(op: Reduction, elements: &[T]) -> Result<Number> {
    let extreme = match op {
        Reduction::Sum => {
            return Ok(T::from_bits(elements.iter().fold(0u64, |sum, element| sum.wrapping_add(element.bits()))));
        }
        Reduction::Product => {
            let product = elements.iter().fold(1u64, |product, element| product.wrapping_mul(element.bits()));
            return Ok(T::from_bits(product));
        }
        Reduction::Max => elements.iter().max(),
        Reduction::Min => elements.iter().min(),
        Reduction::All | Reduction::Any => None,
    };
    extreme.map(|element| element.number()).ok_or_else(|| Error::internal("a reduction of no integers"))
}

fn reals<T: Real>(op: Reduction, elements: &[T]) -> Result<Number> {
    let folded = match op {
        Reduction::Sum => T::narrow(sum(elements, T::wide)),
        Reduction::Product => T::narrow(elements.iter().fold(1f64, |product, element| product * element.wide())),
        Reduction::Max => in_lanes(elements, T::narrow(f64::NEG_INFINITY), largest),
        Reduction::Min => in_lanes(elements, T::INFINITY, smallest),
        Reduction::All | Reduction::Any => return Err(Error::internal("a reduction of no floats")),
    };
    Ok(folded.number())
}

fn complexes(op: Reduction, class: NumberClass, numbers: &[Complex64]) -> Result<Number> {
    let folded = match op {
        Reduction::Sum => Complex64::new(sum(numbers, |number| number.re), sum(numbers, |number| number.im)),
        Reduction::Product => numbers.iter().product(),
        _ => return Err(unordered()),
    };
    Ok(match class {
        NumberClass::C32 => Number::C32(Complex32::new(folded.re as f32, folded.im as f32)),
        _ => Number::C64(folded),
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{chunk, numbers};
    use super::*;
    use crate::error::Kind;
    use crate::value::number::NumberKind;
    use crate::value::number::cast::{cast, to_f64};

    fn fold(op: Reduction, class: NumberClass, elements: &[f64]) -> Number {
        let elements: Vec<Number> = elements.iter().map(|element| cast(Number::F64(*element), class)).collect();
        chunk(class, &elements).fold(op).unwrap()
    }

    #[test]
    fn integers_are_summed_in_64_bits() {
        use NumberClass::*;
        assert_eq!(fold(Reduction::Sum, U8, &[200.0, 200.0]), Number::U64(400));
        assert_eq!(fold(Reduction::Sum, I16, &[-200.0, -30000.0, -30000.0]), Number::I64(-60200));
        assert_eq!(fold(Reduction::Product, I32, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Number::I64(720));
        assert_eq!(fold(Reduction::Product, I16, &[-30000.0, 30000.0]), Number::I64(-900_000_000));
        assert_eq!(fold(Reduction::Sum, Bool, &[1.0, 1.0, 0.0]), Number::I64(2));
        let most = [Number::U64(u64::MAX), Number::U64(2)];
        assert_eq!(chunk(U64, &most).fold(Reduction::Sum).unwrap(), Number::U64(1));
        let most = [Number::I64(i64::MAX), Number::I64(1)];
        assert_eq!(chunk(I64, &most).fold(Reduction::Sum).unwrap(), Number::I64(i64::MIN));
    }

    #[test]
    fn extremes_keep_the_class_and_nan_is_both() {
        use NumberClass::*;
        assert_eq!(fold(Reduction::Max, I16, &[1.0, -5.0, 4.0]), Number::I16(4));
        assert_eq!(fold(Reduction::Min, U8, &[3.0, 9.0]), Number::U8(3));
        assert_eq!(fold(Reduction::Max, Bool, &[0.0, 1.0]), Number::Bool(true));
        assert_eq!(fold(Reduction::Min, Bool, &[0.0, 1.0]), Number::Bool(false));
        assert_eq!(fold(Reduction::Min, F32, &[2.5, -0.5]), Number::F32(-0.5));
        for op in [Reduction::Max, Reduction::Min] {
            for elements in [[f64::NAN, 1.0, 2.0], [1.0, f64::NAN, 2.0], [1.0, 2.0, f64::NAN]] {
                assert!(to_f64(fold(op, F64, &elements)).is_nan());
            }
        }
        let most = [Number::U64(u64::MAX), Number::U64(1)];
        assert_eq!(chunk(U64, &most).fold(Reduction::Max).unwrap(), Number::U64(u64::MAX));
    }

    #[test]
    fn all_and_any_count_what_is_not_zero() {
        for class in NumberClass::ALL {
            assert_eq!(fold(Reduction::All, class, &[1.0, 2.0]), Number::Bool(true), "{class:?}");
            assert_eq!(fold(Reduction::All, class, &[1.0, 0.0]), Number::Bool(false));
            assert_eq!(fold(Reduction::Any, class, &[0.0, 0.0]), Number::Bool(false));
            assert_eq!(fold(Reduction::Any, class, &[0.0, 1.0]), Number::Bool(true));
        }
    }

    #[test]
    fn complex_numbers_are_summed_but_have_no_order() {
        let numbers = [Number::C64(Complex64::new(1.0, 2.0)), Number::C64(Complex64::new(3.0, -1.0))];
        let fold = |op| chunk(NumberClass::C64, &numbers).fold(op);
        assert_eq!(fold(Reduction::Sum), Ok(Number::C64(Complex64::new(4.0, 1.0))));
        assert_eq!(fold(Reduction::Product), Ok(Number::C64(Complex64::new(5.0, 5.0))));
        assert_eq!(fold(Reduction::Max).unwrap_err().kind(), Kind::BadRequest);
    }

    #[test]
    fn folds_of_parts_are_folds_of_the_whole() {
        for class in NumberClass::ALL.into_iter().filter(|class| class.kind() < NumberKind::Float) {
            let all = numbers(class);
            for op in
                [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min, Reduction::All, Reduction::Any]
            {
                let (l, r) = all.split_at(all.len() / 3);
                let parts = combine(op, chunk(class, l).fold(op).unwrap(), chunk(class, r).fold(op).unwrap());
                assert_eq!(parts, chunk(class, &all).fold(op), "{op:?} of {class:?}");
            }
        }
        assert_eq!(combine(Reduction::Max, Number::F64(1.0), Number::F64(2.0)), Ok(Number::F64(2.0)));
        assert!(to_f64(combine(Reduction::Min, Number::F64(f64::NAN), Number::F64(2.0)).unwrap()).is_nan());
        assert_eq!(combine(Reduction::Sum, Number::F32(1.5), Number::F32(2.0)), Ok(Number::F32(3.5)));
        assert!(combine(Reduction::Sum, Number::I64(1), Number::F64(2.0)).is_err());
    }
}
