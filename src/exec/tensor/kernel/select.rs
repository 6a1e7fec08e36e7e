//! Choosing elements.

use burn::tensor::{Bool, Tensor};

use super::chunk::{Chunk, Operand};
use super::native::unexpected;
use crate::error::{Error, Result};
use crate::value::number::NumberKind;
use crate::value::number::cast::{cast, to_f64};
use crate::value::{Number, NumberClass};

impl Chunk {
    /// Where the condition is not zero the elements of the first choice, elsewhere those of the second. Both are cast to `class`.
    ///
    /// # Errors
    /// `Internal` if these are not as many as each other, or not on one device.
    pub fn select(condition: Self, then: Operand, or_else: Operand, class: NumberClass) -> Result<Self> {
        let (len, device) = (condition.len(), condition.device());
        for operand in [&then, &or_else] {
            if matches!(operand, Operand::Chunk(chunk) if chunk.device() != device) {
                return Err(Error::internal("the operands of a choice are on different devices"));
            }
        }
        let mask = condition.truth();
        match (then, or_else) {
            // A number is filled in where it is chosen.
            (Operand::Number(number), or_else @ Operand::Chunk(_)) if class.kind() != NumberKind::Complex => {
                or_else.into_chunk(class, len, &device)?.filled(mask, number)
            }
            (then @ Operand::Chunk(_), Operand::Number(number)) if class.kind() != NumberKind::Complex => {
                then.into_chunk(class, len, &device)?.filled(mask.bool_not(), number)
            }
            (then, or_else) => {
                let then = then.into_chunk(class, len, &device)?;
                then.chosen(mask, or_else.into_chunk(class, len, &device)?)
            }
        }
    }

    /// These elements where `mask` is true, and those of `other` elsewhere.
    fn chosen(self, mask: Tensor<1, Bool>, other: Self) -> Result<Self> {
        Ok(match (self, other) {
            (Chunk::Bool(then), Chunk::Bool(or_else)) => Chunk::Bool(or_else.mask_where(mask, then)),
            (Chunk::Int(class, then), Chunk::Int(_, or_else)) => Chunk::Int(class, or_else.mask_where(mask, then)),
            (Chunk::Float(class, then), Chunk::Float(_, or_else)) => {
                Chunk::Float(class, or_else.mask_where(mask, then))
            }
            (Chunk::Complex(class, re, im), Chunk::Complex(_, other_re, other_im)) => {
                let re = other_re.mask_where(mask.clone(), re);
                Chunk::Complex(class, re, other_im.mask_where(mask, im))
            }
            (then, _) => return Err(unexpected(then.dtype())),
        })
    }

    /// A number where `mask` is true, these elements elsewhere.
    fn filled(self, mask: Tensor<1, Bool>, number: Number) -> Result<Self> {
        let number = cast(number, self.dtype());
        Ok(match (self, number) {
            (Chunk::Bool(tensor), Number::Bool(number)) => Chunk::Bool(tensor.mask_fill(mask, number)),
            (Chunk::Int(class, tensor), number) if class.kind() == NumberKind::UInt => {
                match cast(number, NumberClass::U64) {
                    Number::U64(number) => Chunk::Int(class, tensor.mask_fill(mask, number)),
                    _ => return Err(unexpected(class)),
                }
            }
            (Chunk::Int(class, tensor), number) => match cast(number, NumberClass::I64) {
                Number::I64(number) => Chunk::Int(class, tensor.mask_fill(mask, number)),
                _ => return Err(unexpected(class)),
            },
            (Chunk::Float(class, tensor), number) => Chunk::Float(class, tensor.mask_fill(mask, to_f64(number))),
            (chunk, _) => return Err(unexpected(chunk.dtype())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_same, chunk, numbers};
    use super::*;

    #[test]
    fn elements_are_chosen_one_by_one() {
        for class in NumberClass::ALL {
            let then = numbers(class);
            let or_else: Vec<Number> = then.iter().rev().copied().collect();
            let conditions: Vec<Number> = (0..then.len()).map(|at| Number::U8((at % 3) as u8)).collect();
            // Of each choice, the elements, and one of them as a number.
            for then_is_number in [false, true] {
                for or_else_is_number in [false, true] {
                    let operand = |elements: &[Number], is_number| match is_number {
                        true => Operand::Number(elements[1]),
                        false => Operand::Chunk(chunk(class, elements)),
                    };
                    let condition = chunk(NumberClass::U8, &conditions);
                    let (l, r) = (operand(&then, then_is_number), operand(&or_else, or_else_is_number));
                    let found = Chunk::select(condition, l, r, class).unwrap().download().unwrap();
                    for (at, found) in found.iter().enumerate() {
                        let of = |elements: &[Number], is_number| elements[if is_number { 1 } else { at }];
                        let expected = match at % 3 {
                            0 => of(&or_else, or_else_is_number),
                            _ => of(&then, then_is_number),
                        };
                        assert_same(found, expected, &(class, at));
                    }
                }
            }
        }
    }

    #[test]
    fn choices_are_cast() {
        let condition = chunk(NumberClass::Bool, &[Number::Bool(true), Number::Bool(false)]);
        let then = chunk(NumberClass::I32, &[Number::I32(3), Number::I32(4)]);
        let found = Chunk::select(condition, then.into(), Number::F64(0.5).into(), NumberClass::F64).unwrap();
        assert_eq!(found.download().unwrap().typed::<f64>(), [3.0, 0.5]);
    }
}
