//! Which dtype results from operands.

use crate::value::number::NumberKind;
use crate::value::number::promote::result_class;
use crate::value::tensor::Operand;
use crate::value::{NumberClass, Tensor};

/// The dtype of the result of a tensor and an operand, which both are cast to.
pub(super) fn operand(l: &Tensor, r: &Operand) -> NumberClass {
    match r {
        Operand::Tensor(r) => tensors(l.dtype(), r.dtype()),
        Operand::Number(r) => number(l.dtype(), r.class()),
    }
}

/// The dtype of the result of two tensors: the larger, in the order of the classes.
///
/// This may lose precision where a class of numbers that is wider than both would not, as of an Int64 with a Float32.
pub(super) fn tensors(l: NumberClass, r: NumberClass) -> NumberClass {
    l.max(r)
}

/// The dtype of the result of a tensor of `dtype` and a number: that of the tensor, unless the number is of a higher kind.
pub(super) fn number(dtype: NumberClass, number: NumberClass) -> NumberClass {
    match (rank(dtype), rank(number)) {
        (tensor, number) if number <= tensor => dtype,
        (_, Rank::Complex) if dtype == NumberClass::F32 => NumberClass::C32,
        (_, Rank::Complex) => NumberClass::C64,
        (_, Rank::Float) => NumberClass::F64,
        _ => NumberClass::I64,
    }
}

/// The dtype of a choice between two operands.
pub(super) fn choice(l: &Operand, r: &Operand) -> NumberClass {
    match (l, r) {
        (Operand::Tensor(l), r) => operand(l, r),
        (l, Operand::Tensor(r)) => operand(r, l),
        (Operand::Number(l), Operand::Number(r)) => result_class(l.class(), r.class()),
    }
}

/// The dtype of functions whose results are not whole: floats as wide as the integers that they are of.
pub(super) fn float(dtype: NumberClass) -> NumberClass {
    result_class(dtype, NumberClass::F32)
}

/// The dtype of the parts of complex numbers; any other as it is.
pub(super) fn real(dtype: NumberClass) -> NumberClass {
    match dtype {
        NumberClass::C32 => NumberClass::F32,
        NumberClass::C64 => NumberClass::F64,
        dtype => dtype,
    }
}

/// Whether elements of this dtype have no order.
pub(super) fn is_complex(dtype: NumberClass) -> bool {
    dtype.kind() == NumberKind::Complex
}

/// Whether elements of this dtype are whole: integers, and Bool.
pub(super) fn is_whole(dtype: NumberClass) -> bool {
    rank(dtype) <= Rank::Integer
}

/// The kinds of numbers, but for the sign of integers.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    Bool,
    Integer,
    Float,
    Complex,
}

fn rank(dtype: NumberClass) -> Rank {
    match dtype.kind() {
        NumberKind::Bool => Rank::Bool,
        NumberKind::UInt | NumberKind::Int => Rank::Integer,
        NumberKind::Float => Rank::Float,
        NumberKind::Complex => Rank::Complex,
    }
}

#[cfg(test)]
mod tests {
    use NumberClass::*;

    use super::*;

    #[test]
    fn of_two_tensors_the_larger_dtype_wins() {
        for (l, r, both) in [(U32, I16, I16), (I64, F32, F32), (F64, C32, C32), (Bool, U8, U8), (U64, U64, U64)] {
            assert_eq!((tensors(l, r), tensors(r, l)), (both, both));
        }
    }

    #[test]
    fn a_number_of_no_higher_kind_becomes_as_the_tensor() {
        for (dtype, class) in [(I32, U64), (U8, I64), (F32, F64), (F32, I64), (I16, Bool), (C32, C64), (Bool, Bool)] {
            assert_eq!(number(dtype, class), dtype);
        }
    }

    #[test]
    fn a_number_of_a_higher_kind_promotes() {
        for (dtype, class, both) in [
            (Bool, I64, I64),
            (Bool, U8, I64),
            (Bool, F32, F64),
            (I32, F64, F64),
            (U64, F32, F64),
            (F32, C64, C32),
            (F64, C32, C64),
            (I32, C32, C64),
            (Bool, C64, C64),
        ] {
            assert_eq!(number(dtype, class), both);
        }
    }

    #[test]
    fn functions_have_floats() {
        let floats = NumberClass::ALL.map(float);
        assert_eq!(floats, [F32, F32, F32, F32, F64, F32, F32, F64, F32, F64, C32, C64]);
    }
}
