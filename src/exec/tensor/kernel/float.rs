//! Functions of two floats.

use burn::tensor::{Bool, Device, Float, Tensor};

use super::chunk::{Chunk, Operand};
use super::native::{Native as _, Real as _, Side, for_real, unexpected, zip};
use super::transfer::{floats, in_memory};
use crate::error::Result;
use crate::value::number::cast::{cast, to_f64};
use crate::value::tensor::Binary;
use crate::value::{Number, NumberClass};

/// Floats, or one that stands for as many as the other operand has.
#[allow(clippy::large_enum_variant, reason = "there are few of these at a time, and a box for each would cost more")]
#[derive(Clone)]
pub(super) enum Reals {
    Many(Tensor<1>),
    One(f64),
}

impl Reals {
    pub fn new(operand: Operand, class: NumberClass) -> Result<Self> {
        match operand {
            Operand::Chunk(Chunk::Float(_, tensor)) => Ok(Reals::Many(tensor)),
            Operand::Number(number) => Ok(Reals::One(to_f64(cast(number, class)))),
            Operand::Chunk(_) => Err(unexpected(class)),
        }
    }

    /// The floats themselves, `len` of them.
    pub fn many(self, class: NumberClass, len: usize, device: &Device) -> Result<Tensor<1>> {
        match self {
            Reals::Many(tensor) => Ok(tensor),
            Reals::One(number) => match Chunk::fill(cast(Number::F64(number), class), len, device)? {
                Chunk::Float(_, tensor) => Ok(tensor),
                _ => Err(unexpected(class)),
            },
        }
    }
}

/// An arithmetic function. One of the operands is [`Reals::Many`].
pub(super) fn arithmetic(op: Binary, class: NumberClass, l: Reals, r: Reals) -> Result<Tensor<1>> {
    use Reals::{Many, One};
    Ok(match (op, l, r) {
        (Binary::Add, Many(l), Many(r)) => l.add(r),
        (Binary::Add, Many(many), One(one)) | (Binary::Add, One(one), Many(many)) => many.add_scalar(one),
        (Binary::Sub, Many(l), Many(r)) => l.sub(r),
        (Binary::Sub, Many(l), One(r)) => l.sub_scalar(r),
        (Binary::Sub, One(l), Many(r)) => r.neg().add_scalar(l),
        (Binary::Mul, Many(l), Many(r)) => l.mul(r),
        (Binary::Mul, Many(many), One(one)) | (Binary::Mul, One(one), Many(many)) => many.mul_scalar(one),
        (Binary::Div, Many(l), Many(r)) => l.div(r),
        (Binary::Div, Many(l), One(r)) => l.div_scalar(r),
        (Binary::Pow, Many(l), Many(r)) => l.powf(r),
        (Binary::Pow, Many(l), One(r)) => return power(class, l, r),
        (Binary::Mod, l, r) => return modulo(class, l, r),
        (Binary::LogBase, Many(l), Many(r)) => l.log().div(r.log()),
        (Binary::LogBase, Many(l), One(r)) => l.log().div_scalar(r.ln()),
        // The number is on the left of a function that is not symmetric.
        (Binary::Div | Binary::Pow | Binary::LogBase, l @ One(_), Many(r)) => {
            let [len] = r.dims();
            let l = l.many(class, len, &r.device())?;
            return arithmetic(op, class, Many(l), Many(r));
        }
        _ => return Err(unexpected(class)),
    })
}

/// A comparison. One of the operands is [`Reals::Many`].
pub(super) fn comparison(op: Binary, class: NumberClass, l: Reals, r: Reals) -> Result<Tensor<1, Bool>> {
    use Reals::{Many, One};
    Ok(match (op, l, r) {
        (Binary::Eq, Many(l), Many(r)) => l.equal(r),
        (Binary::Ne, Many(l), Many(r)) => l.not_equal(r),
        (Binary::Gt, Many(l), Many(r)) => l.greater(r),
        (Binary::Ge, Many(l), Many(r)) => l.greater_equal(r),
        (Binary::Lt, Many(l), Many(r)) => l.lower(r),
        (Binary::Le, Many(l), Many(r)) => l.lower_equal(r),
        (Binary::Eq, Many(many), One(one)) | (Binary::Eq, One(one), Many(many)) => many.equal_scalar(one),
        (Binary::Ne, Many(many), One(one)) | (Binary::Ne, One(one), Many(many)) => many.not_equal_scalar(one),
        (Binary::Gt, Many(many), One(one)) | (Binary::Lt, One(one), Many(many)) => many.greater_scalar(one),
        (Binary::Ge, Many(many), One(one)) | (Binary::Le, One(one), Many(many)) => many.greater_equal_scalar(one),
        (Binary::Lt, Many(many), One(one)) | (Binary::Gt, One(one), Many(many)) => many.lower_scalar(one),
        (Binary::Le, Many(many), One(one)) | (Binary::Ge, One(one), Many(many)) => many.lower_equal_scalar(one),
        _ => return Err(unexpected(class)),
    })
}

/// To the power of a number. burn has a function for that, which panics if the number is infinite, or too large for 64 bits.
fn power(class: NumberClass, base: Tensor<1>, exponent: f64) -> Result<Tensor<1>> {
    let [len] = base.dims();
    let fill = |number| Reals::One(number).many(class, len, &base.device());
    Ok(if exponent == 1.0 {
        base
    } else if exponent == 2.0 {
        base.clone().mul(base)
    } else if exponent == 0.5 {
        base.sqrt()
    } else if exponent == -1.0 {
        fill(1.0)?.div(base)
    } else {
        let exponent = fill(exponent)?;
        base.powf(exponent)
    })
}

/// The remainder with the sign of the divisor. That of burn is zero with the sign of the dividend.
fn modulo(class: NumberClass, l: Reals, r: Reals) -> Result<Tensor<1>> {
    let device = match (&l, &r) {
        (Reals::Many(tensor), _) | (_, Reals::Many(tensor)) => tensor.device(),
        _ => return Err(unexpected(class)),
    };
    for_real!(class, T => {
        let side = |reals: Reals| -> Result<Side<T>> {
            Ok(match reals {
                Reals::Many(tensor) => Side::Many(in_memory::<T, Float>(tensor)?),
                Reals::One(number) => Side::One(T::of(Number::F64(number))),
            })
        };
        Ok(floats(zip(side(l)?, side(r)?, |l, r| l.modulo(r)), &device))
    })
}
