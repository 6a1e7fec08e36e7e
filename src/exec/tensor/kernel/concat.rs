//! Putting pieces together.

use burn::tensor::Tensor;
use burn::tensor::kind::Basic;

use super::chunk::Chunk;
use crate::error::{Error, Result};
use crate::value::number::NumberKind;

impl Chunk {
    /// The elements of all pieces, one after the other.
    ///
    /// # Errors
    /// `Internal` if there are no pieces, or not of one class and on one device.
    pub fn concat(parts: Vec<Self>) -> Result<Self> {
        let Some(first) = parts.first() else { return Err(Error::internal("no pieces were put together")) };
        let (class, device) = (first.dtype(), first.device());
        if parts.iter().any(|part| part.dtype() != class || part.device() != device) {
            return Err(Error::internal("pieces of different kinds were put together"));
        }
        let (mut bools, mut ints, mut reals, mut imaginaries) = (vec![], vec![], vec![], vec![]);
        for part in parts {
            match part {
                Chunk::Bool(tensor) => bools.push(tensor),
                Chunk::Int(_, tensor) => ints.push(tensor),
                Chunk::Float(_, tensor) => reals.push(tensor),
                Chunk::Complex(_, re, im) => {
                    reals.push(re);
                    imaginaries.push(im);
                }
            }
        }
        Ok(match class.kind() {
            NumberKind::Bool => Chunk::Bool(joined(bools)),
            NumberKind::UInt | NumberKind::Int => Chunk::Int(class, joined(ints)),
            NumberKind::Float => Chunk::Float(class, joined(reals)),
            NumberKind::Complex => Chunk::Complex(class, joined(reals), joined(imaginaries)),
        })
    }
}

fn joined<K: Basic>(parts: Vec<Tensor<1, K>>) -> Tensor<1, K> {
    Tensor::cat(parts, 0)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{chunk, numbers};
    use super::*;
    use crate::value::tensor::Elements;
    use crate::value::{Number, NumberClass};

    #[test]
    fn pieces_are_put_together_in_order() {
        for class in NumberClass::ALL {
            let all = numbers(class);
            let both = Chunk::concat(vec![chunk(class, &all), chunk(class, &all[1..])]).unwrap().download().unwrap();
            let expected = Elements::from_numbers(class, [&all[..], &all[1..]].concat());
            assert_eq!(both.bytes(), expected.bytes(), "{class:?}");
        }
    }

    #[test]
    fn pieces_have_to_be_of_one_class() {
        assert!(Chunk::concat(vec![]).is_err());
        let (ints, bytes) = (chunk(NumberClass::I32, &[Number::I32(1)]), chunk(NumberClass::U8, &[Number::U8(1)]));
        assert!(Chunk::concat(vec![ints, bytes]).is_err());
    }
}
