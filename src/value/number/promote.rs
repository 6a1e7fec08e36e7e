//! Which class results from two operands, and how both are brought to it.
//!
//! The result has the higher kind of the two, and the larger width after each operand was converted to that kind.
//! Conversion keeps the value of every integer (an unsigned class becomes a signed one that is wide enough, and what
//! does not fit is an error), but may round it when the kind is a float.

use super::cast::cast;
use super::{Number, NumberClass, NumberKind};
use crate::error::{Error, Result};
use crate::value::Class;

/// The class of the result of an operation on numbers of classes `l` and `r`.
pub fn result_class(l: NumberClass, r: NumberClass) -> NumberClass {
    let kind = l.kind().max(r.kind());
    lift(l, kind).max(lift(r, kind))
}

/// The class that a number of `class` is converted to when `kind` is needed; `class` itself if its kind is not lower.
pub(super) fn lift(class: NumberClass, kind: NumberKind) -> NumberClass {
    use NumberClass::*;
    match (kind, class) {
        _ if class.kind() >= kind => class,
        (NumberKind::Bool, _) => class,
        (NumberKind::UInt, _) => U8,
        (NumberKind::Int, Bool | U8) => I16,
        (NumberKind::Int, U16) => I32,
        (NumberKind::Int, _) => I64,
        (NumberKind::Float, U64 | I64) => F64,
        (NumberKind::Float, _) => F32,
        (NumberKind::Complex, U64 | I64 | F64) => C64,
        (NumberKind::Complex, _) => C32,
    }
}

/// Both operands as numbers of [`result_class`].
///
/// # Errors
/// `BadRequest` if a UInt64 must become an Int64 and is too large.
pub fn promote(l: Number, r: Number) -> Result<(Number, Number)> {
    let class = result_class(l.class(), r.class());
    Ok((convert(l, class)?, convert(r, class)?))
}

fn convert(n: Number, class: NumberClass) -> Result<Number> {
    match n {
        Number::U64(value) if class == NumberClass::I64 && i64::try_from(value).is_err() => {
            Err(Error::bad_request(format!("{n} overflows {}", Class::from(class))))
        }
        _ => Ok(cast(n, class)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[track_caller]
    fn check(l: NumberClass, r: NumberClass, expected: NumberClass) {
        assert_eq!(result_class(l, r), expected, "{l:?}, {r:?}");
        assert_eq!(result_class(r, l), expected, "{r:?}, {l:?}");
    }

    #[test]
    fn the_result_class_is_that_of_the_table() {
        use NumberClass::*;
        const COLUMNS: [NumberClass; 9] = [Bool, U8, U64, I16, I64, F32, F64, C32, C64];
        const ROWS: [(NumberClass, [NumberClass; 9]); 11] = [
            (Bool, [Bool, U8, U64, I16, I64, F32, F64, C32, C64]),
            (U8, [U8, U8, U64, I16, I64, F32, F64, C32, C64]),
            (U32, [U32, U32, U64, I64, I64, F32, F64, C32, C64]),
            (U64, [U64, U64, U64, I64, I64, F64, F64, C64, C64]),
            (I16, [I16, I16, I64, I16, I64, F32, F64, C32, C64]),
            (I32, [I32, I32, I64, I32, I64, F32, F64, C32, C64]),
            (I64, [I64, I64, I64, I64, I64, F64, F64, C64, C64]),
            (F32, [F32, F32, F64, F32, F64, F32, F64, C32, C64]),
            (F64, [F64, F64, F64, F64, F64, F64, F64, C64, C64]),
            (C32, [C32, C32, C64, C32, C64, C32, C64, C32, C64]),
            (C64, [C64, C64, C64, C64, C64, C64, C64, C64, C64]),
        ];
        for (row, results) in ROWS {
            for (column, expected) in COLUMNS.into_iter().zip(results) {
                check(row, column, expected);
            }
        }
    }

    #[test]
    fn unsigned_classes_widen_when_they_become_signed() {
        use NumberClass::*;
        check(U16, I16, I32);
        check(U32, I32, I64);
        check(U16, U32, U32);
        check(U32, U64, U64);
    }

    #[test]
    fn both_operands_end_in_the_result_class() {
        for l in NumberClass::ALL {
            for r in NumberClass::ALL {
                let (a, b) = promote(cast(Number::I64(1), l), cast(Number::I64(1), r)).unwrap();
                assert_eq!((a.class(), b.class()), (result_class(l, r), result_class(l, r)));
                assert_eq!(a, b);
            }
        }
    }

    #[test]
    fn promotion_keeps_the_value_of_integers() {
        let promoted = promote(Number::U16(65535), Number::I16(-1)).unwrap();
        assert_eq!(promoted, (Number::I32(65535), Number::I32(-1)));
        let promoted = promote(Number::U32(u32::MAX), Number::I16(-1)).unwrap();
        assert_eq!(promoted, (Number::I64(4_294_967_295), Number::I64(-1)));
        let error = promote(Number::U64(u64::MAX), Number::I16(1)).unwrap_err();
        assert_eq!(error.kind(), Kind::BadRequest);
        assert_eq!(error.message(), "18446744073709551615 overflows int/64");
    }

    #[test]
    fn false_is_zero_among_complex_numbers() {
        let one = num_complex::Complex64::new(1.0, 0.0);
        let (l, _) = promote(Number::Bool(false), Number::C64(one)).unwrap();
        assert_eq!(l, Number::C64(num_complex::Complex64::new(0.0, 0.0)));
    }
}
