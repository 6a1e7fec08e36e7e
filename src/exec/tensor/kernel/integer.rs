//! Functions of two integers.

use burn::tensor::{Bool, Device, Int, Tensor};

use super::chunk::{Chunk, Operand};
use super::native::{Integer as _, Native as _, Side, for_integer, unexpected, zip};
use super::transfer::{in_memory, integers};
use crate::error::Result;
use crate::value::number::NumberKind;
use crate::value::number::cast::cast;
use crate::value::tensor::Binary;
use crate::value::{Number, NumberClass};

/// Integers, or one that stands for as many as the other operand has.
#[allow(clippy::large_enum_variant, reason = "there are few of these at a time, and a box for each would cost more")]
pub(super) enum Integers {
    Many(Tensor<1, Int>),
    One(Number),
}

impl Integers {
    pub fn new(operand: Operand, class: NumberClass) -> Result<Self> {
        match operand {
            Operand::Chunk(Chunk::Int(_, tensor)) => Ok(Integers::Many(tensor)),
            Operand::Number(number) => Ok(Integers::One(cast(number, class))),
            Operand::Chunk(_) => Err(unexpected(class)),
        }
    }
}

/// Calls a method of a tensor of integers with a number as the machine type that burn has such numbers in.
macro_rules! with_number {
    ($tensor:ident . $method:ident ( $number:ident )) => {
        match ($number.class().kind(), cast($number, NumberClass::I64), cast($number, NumberClass::U64)) {
            (NumberKind::Int, Number::I64(number), _) => $tensor.$method(number),
            (_, _, Number::U64(number)) => $tensor.$method(number),
            _ => return Err(unexpected($number.class())),
        }
    };
}

/// An arithmetic function. One of the operands is [`Integers::Many`].
pub(super) fn arithmetic(op: Binary, class: NumberClass, l: Integers, r: Integers) -> Result<Tensor<1, Int>> {
    use Integers::{Many, One};
    Ok(match (op, l, r) {
        (Binary::Add, Many(l), Many(r)) => l.add(r),
        (Binary::Add, Many(many), One(one)) | (Binary::Add, One(one), Many(many)) => {
            with_number!(many.add_scalar(one))
        }
        (Binary::Sub, Many(l), Many(r)) => l.sub(r),
        (Binary::Sub, Many(l), One(r)) => with_number!(l.sub_scalar(r)),
        (Binary::Sub, One(l), Many(r)) => {
            let negated = r.neg();
            with_number!(negated.add_scalar(l))
        }
        (Binary::Mul, Many(l), Many(r)) => l.mul(r),
        (Binary::Mul, Many(many), One(one)) | (Binary::Mul, One(one), Many(many)) => {
            with_number!(many.mul_scalar(one))
        }
        // burn panics where a divisor is 0, and where a quotient overflows; of exponents it takes the last 32 bits.
        (Binary::Div | Binary::Mod | Binary::Pow, l, r) => return in_loops(op, class, l, r),
        _ => return Err(unexpected(class)),
    })
}

/// A comparison. One of the operands is [`Integers::Many`].
pub(super) fn comparison(op: Binary, class: NumberClass, l: Integers, r: Integers) -> Result<Tensor<1, Bool>> {
    use Integers::{Many, One};
    Ok(match (op, l, r) {
        (Binary::Eq, Many(l), Many(r)) => l.equal(r),
        (Binary::Ne, Many(l), Many(r)) => l.not_equal(r),
        (Binary::Gt, Many(l), Many(r)) => l.greater(r),
        (Binary::Ge, Many(l), Many(r)) => l.greater_equal(r),
        (Binary::Lt, Many(l), Many(r)) => l.lower(r),
        (Binary::Le, Many(l), Many(r)) => l.lower_equal(r),
        (Binary::Eq, Many(many), One(one)) | (Binary::Eq, One(one), Many(many)) => {
            with_number!(many.equal_scalar(one))
        }
        (Binary::Ne, Many(many), One(one)) | (Binary::Ne, One(one), Many(many)) => {
            with_number!(many.not_equal_scalar(one))
        }
        (Binary::Gt, Many(many), One(one)) | (Binary::Lt, One(one), Many(many)) => {
            with_number!(many.greater_scalar(one))
        }
        (Binary::Ge, Many(many), One(one)) | (Binary::Le, One(one), Many(many)) => {
            with_number!(many.greater_equal_scalar(one))
        }
        (Binary::Lt, Many(many), One(one)) | (Binary::Gt, One(one), Many(many)) => {
            with_number!(many.lower_scalar(one))
        }
        (Binary::Le, Many(many), One(one)) | (Binary::Ge, One(one), Many(many)) => {
            with_number!(many.lower_equal_scalar(one))
        }
        _ => return Err(unexpected(class)),
    })
}

/// Quotients, remainders and powers.
fn in_loops(op: Binary, class: NumberClass, l: Integers, r: Integers) -> Result<Tensor<1, Int>> {
    let device = device(&l, &r, class)?;
    for_integer!(class, T => {
        let side = |side: Integers| -> Result<Side<T>> {
            Ok(match side {
                Integers::Many(tensor) => Side::Many(in_memory::<T, Int>(tensor)?),
                Integers::One(number) => Side::One(T::of(number)),
            })
        };
        let (l, r) = (side(l)?, side(r)?);
        let elements = match op {
            Binary::Div => zip(l, r, |l, r| l.quotient(r)),
            Binary::Mod => zip(l, r, |l, r| l.modulo(r)),
            Binary::Pow => zip(l, r, |l, r| l.power(r)),
            _ => return Err(unexpected(class)),
        };
        Ok(integers(elements, &device))
    })
}

fn device(l: &Integers, r: &Integers, class: NumberClass) -> Result<Device> {
    match (l, r) {
        (Integers::Many(tensor), _) | (_, Integers::Many(tensor)) => Ok(tensor.device()),
        _ => Err(unexpected(class)),
    }
}
