//! Functions of two elements.

use burn::tensor::{Bool, Device, Tensor};

use super::chunk::{Chunk, Operand, different, ordered};
use super::complex::{self, Complexes};
use super::float::{self, Reals};
use super::integer::{self, Integers};
use super::native::unexpected;
use crate::error::{Error, Result};
use crate::value::NumberClass;
use crate::value::number::NumberKind;
use crate::value::tensor::Binary;

impl Chunk {
    /// A function of the elements of both operands, one of which has to be a piece. Two pieces have to be as long as each other,
    /// on the same device, and of the same class, unless the function is a logical one; numbers are cast to that class.
    ///
    /// # Errors
    /// `BadRequest` for the order and the remainder of complex numbers; `Internal` if these are no operands of each other.
    pub fn binary(op: Binary, l: Operand, r: Operand) -> Result<Self> {
        let (class, len, device) = common(op, &l, &r)?;
        let is_logical = matches!(op, Binary::And | Binary::Or | Binary::Xor);
        match class.kind() {
            _ if is_logical => Ok(Chunk::Bool(boolean(op, truth(l, len, &device)?, truth(r, len, &device)?)?)),
            NumberKind::Bool => Ok(Chunk::Bool(boolean(op, truth(l, len, &device)?, truth(r, len, &device)?)?)),
            NumberKind::UInt | NumberKind::Int => {
                let (l, r) = (Integers::new(l, class)?, Integers::new(r, class)?);
                match op.is_predicate() {
                    true => Ok(Chunk::Bool(integer::comparison(op, class, l, r)?)),
                    false => Ok(Chunk::Int(class, integer::arithmetic(op, class, l, r)?)),
                }
            }
            NumberKind::Float => {
                let (l, r) = (Reals::new(l, class)?, Reals::new(r, class)?);
                match op.is_predicate() {
                    true => Ok(Chunk::Bool(float::comparison(op, class, l, r)?)),
                    false => Ok(Chunk::Float(class, float::arithmetic(op, class, l, r)?)),
                }
            }
            NumberKind::Complex => {
                if matches!(op, Binary::Gt | Binary::Ge | Binary::Lt | Binary::Le) {
                    ordered(class)?;
                }
                let (l, r) = (Complexes::new(l, class)?, Complexes::new(r, class)?);
                match op.is_predicate() {
                    true => Ok(Chunk::Bool(complex::comparison(op, class, l, r)?)),
                    false => complex::arithmetic(op, class, l, r),
                }
            }
        }
    }
}

/// What the operands have in common: the class, the length and the device.
fn common(op: Binary, l: &Operand, r: &Operand) -> Result<(NumberClass, usize, Device)> {
    match (l, r) {
        (Operand::Chunk(l), Operand::Chunk(r)) => {
            let (l_class, r_class) = (l.dtype(), r.dtype());
            let is_logical = matches!(op, Binary::And | Binary::Or | Binary::Xor);
            if l.len() != r.len() {
                Err(different(l.len(), r.len()))
            } else if l_class != r_class && !is_logical {
                Err(Error::internal(format!("{op:?} of {l_class:?} and {r_class:?}, which were not cast")))
            } else if l.device() != r.device() {
                Err(Error::internal("the operands of a function are on different devices"))
            } else {
                Ok((l_class, l.len(), l.device()))
            }
        }
        (Operand::Chunk(chunk), _) | (_, Operand::Chunk(chunk)) => Ok((chunk.dtype(), chunk.len(), chunk.device())),
        _ => Err(Error::internal("a function of two numbers is not computed on a device")),
    }
}

/// Whether each element of an operand is not zero.
fn truth(operand: Operand, len: usize, device: &Device) -> Result<Tensor<1, Bool>> {
    Ok(operand.into_chunk(NumberClass::Bool, len, device)?.truth())
}

/// A function of booleans. Where it is none of logic, they are integers that are cut to one bit in the end.
fn boolean(op: Binary, l: Tensor<1, Bool>, r: Tensor<1, Bool>) -> Result<Tensor<1, Bool>> {
    Ok(match op {
        Binary::Or | Binary::Add => l.bool_or(r),
        // The quotient by 0 is 0, as that of integers.
        Binary::And | Binary::Mul | Binary::Div => l.bool_and(r),
        Binary::Xor | Binary::Ne => l.bool_xor(r),
        Binary::Eq => l.bool_xor(r).bool_not(),
        // A difference is what is in the left but not in the right.
        Binary::Sub | Binary::Gt => l.bool_and(r.bool_not()),
        Binary::Lt => l.bool_not().bool_and(r),
        // Everything to the power of 0 is 1.
        Binary::Ge | Binary::Pow => l.bool_or(r.bool_not()),
        Binary::Le => l.bool_not().bool_or(r),
        // Whatever is divided by 1 leaves nothing; by 0 neither, as with integers.
        Binary::Mod => l.clone().bool_xor(l),
        Binary::LogBase => return Err(unexpected(NumberClass::Bool)),
    })
}

#[cfg(test)]
mod tests;
