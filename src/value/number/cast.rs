//! Conversion of a number to a class or kind, which always succeeds.
//!
//! Integers wrap around in two's complement; floats lose their fraction and saturate at the limits of the class they
//! become (NaN is 0); complex numbers lose their imaginary part. Arithmetic never converts this way where a value could
//! be lost: see [`super::promote`].

use num_complex::{Complex32, Complex64};

use super::compare::is_truthy;
use super::promote::lift;
use super::{Number, NumberClass, NumberKind};

/// Evaluates to the number as an integer of the given type.
macro_rules! to_int {
    ($number:expr, $int:ty) => {
        match $number {
            Number::Bool(n) => <$int>::from(n),
            Number::U8(n) => n as $int,
            Number::U16(n) => n as $int,
            Number::U32(n) => n as $int,
            Number::U64(n) => n as $int,
            Number::I16(n) => n as $int,
            Number::I32(n) => n as $int,
            Number::I64(n) => n as $int,
            Number::F32(n) => n as $int,
            Number::F64(n) => n as $int,
            Number::C32(n) => n.re as $int,
            Number::C64(n) => n.re as $int,
        }
    };
}

/// Evaluates to the number as a float of the given type.
macro_rules! to_float {
    ($number:expr, $float:ty) => {
        match $number {
            Number::Bool(n) => <$float>::from(u8::from(n)),
            Number::U8(n) => n as $float,
            Number::U16(n) => n as $float,
            Number::U32(n) => n as $float,
            Number::U64(n) => n as $float,
            Number::I16(n) => n as $float,
            Number::I32(n) => n as $float,
            Number::I64(n) => n as $float,
            Number::F32(n) => n as $float,
            Number::F64(n) => n as $float,
            Number::C32(n) => n.re as $float,
            Number::C64(n) => n.re as $float,
        }
    };
}

/// `n` as a number of exactly `class`.
pub fn cast(n: Number, class: NumberClass) -> Number {
    match class {
        NumberClass::Bool => Number::Bool(is_truthy(n)),
        NumberClass::U8 => Number::U8(to_int!(n, u8)),
        NumberClass::U16 => Number::U16(to_int!(n, u16)),
        NumberClass::U32 => Number::U32(to_int!(n, u32)),
        NumberClass::U64 => Number::U64(to_int!(n, u64)),
        NumberClass::I16 => Number::I16(to_int!(n, i16)),
        NumberClass::I32 => Number::I32(to_int!(n, i32)),
        NumberClass::I64 => Number::I64(to_int!(n, i64)),
        NumberClass::F32 => Number::F32(to_float!(n, f32)),
        NumberClass::F64 => Number::F64(to_f64(n)),
        NumberClass::C32 => Number::C32(to_c32(n)),
        NumberClass::C64 => Number::C64(to_c64(n)),
    }
}

/// `n` as a number of `kind`, as wide as `n` is.
///
/// A number of another kind is converted as for arithmetic if its kind is lower, and the same way backwards if it is
/// higher: Float64 becomes Int64, Complex32 becomes Float32, Int16 becomes UInt16.
pub fn cast_kind(n: Number, kind: NumberKind) -> Number {
    cast(n, class_in_kind(n.class(), kind))
}

fn class_in_kind(class: NumberClass, kind: NumberKind) -> NumberClass {
    use NumberClass::*;
    match (kind, class) {
        _ if class.kind() <= kind => lift(class, kind),
        (NumberKind::Bool, _) => Bool,
        (NumberKind::UInt, I16) => U16,
        (NumberKind::UInt, I64 | F64 | C64) => U64,
        (NumberKind::UInt, _) => U32,
        (NumberKind::Int, F64 | C64) => I64,
        (NumberKind::Int, _) => I32,
        (NumberKind::Float, C64) => F64,
        (NumberKind::Float, _) => F32,
        (NumberKind::Complex, _) => class,
    }
}

/// The value of an integer, where true counts as one; none for floats and complex numbers.
pub fn to_integer(n: Number) -> Option<i128> {
    (n.class().kind() <= NumberKind::Int).then(|| to_int!(n, i128))
}

/// The real part of `n`, rounded to double precision.
pub fn to_f64(n: Number) -> f64 {
    to_float!(n, f64)
}

/// `n` as a complex number of double precision.
pub(super) fn to_c64(n: Number) -> Complex64 {
    match n {
        Number::C32(n) => widen(n),
        Number::C64(n) => n,
        _ => Complex64::new(to_f64(n), 0.0),
    }
}

fn to_c32(n: Number) -> Complex32 {
    match n {
        Number::C32(n) => n,
        Number::C64(n) => narrow(n),
        _ => Complex32::new(to_float!(n, f32), 0.0),
    }
}

/// The same complex number in double precision.
pub(super) fn widen(n: Complex32) -> Complex64 {
    Complex64::new(n.re.into(), n.im.into())
}

/// A complex number rounded to single precision.
pub(super) fn narrow(n: Complex64) -> Complex32 {
    Complex32::new(n.re as f32, n.im as f32)
}

#[cfg(test)]
mod tests {
    use Number::*;

    use super::NumberClass as Class;
    use super::*;

    #[track_caller]
    fn check(n: Number, expected: Number) {
        assert_eq!(cast(n, expected.class()), expected, "{n:?}");
    }

    #[track_caller]
    fn check_kind(n: Number, kind: NumberKind, expected: Number) {
        assert_eq!(cast_kind(n, kind), expected, "{n:?} as {kind:?}");
    }

    #[test]
    fn integers_wrap_around() {
        check(I64(70000), I16(4464));
        check(I64(300), U8(44));
        check(I64(-1), U8(255));
        check(I64(-5), U64(u64::MAX - 4));
        check(U64(u64::MAX), I64(-1));
    }

    #[test]
    fn floats_are_truncated_and_saturate_at_the_limits_of_the_target() {
        check(F64(5.7), I64(5));
        check(F64(-5.7), I64(-5));
        check(F64(-5.7), U64(0));
        check(F64(1e20), I32(i32::MAX));
        check(F64(1e20), I64(i64::MAX));
        check(F64(-1e20), I16(i16::MIN));
        check(F64(300.0), U8(255));
        check(F64(f64::NAN), I64(0));
        check(F32(f32::INFINITY), U16(u16::MAX));
    }

    #[test]
    fn complex_numbers_lose_their_imaginary_part_except_as_booleans() {
        let n = C64(Complex64::new(1.5, 2.0));
        check(n, I64(1));
        check(n, F32(1.5));
        check(n, C32(Complex32::new(1.5, 2.0)));
        check(C64(Complex64::new(0.0, 2.0)), Bool(true));
        check(C32(Complex32::new(0.0, 0.0)), Bool(false));
    }

    #[test]
    fn booleans_are_zero_and_one() {
        check(Bool(true), I16(1));
        check(Bool(true), F64(1.0));
        check(Bool(false), C64(Complex64::new(0.0, 0.0)));
        check(I64(-3), Bool(true));
        check(F64(0.0), Bool(false));
        check(F64(f64::NAN), Bool(true));
    }

    #[test]
    fn abstract_kinds_keep_the_width() {
        check_kind(F64(5.7), NumberKind::Int, I64(5));
        check_kind(F32(5.7), NumberKind::Int, I32(5));
        check_kind(I64(3), NumberKind::Float, F64(3.0));
        check_kind(I32(3), NumberKind::Float, F32(3.0));
        check_kind(I64(3), NumberKind::Complex, C64(Complex64::new(3.0, 0.0)));
        check_kind(C32(Complex32::new(1.0, 2.0)), NumberKind::Float, F32(1.0));
        check_kind(C64(Complex64::new(1.0, 2.0)), NumberKind::Int, I64(1));
        check_kind(C64(Complex64::new(1.0, 2.0)), NumberKind::UInt, U64(1));
        check_kind(I16(-1), NumberKind::UInt, U16(65535));
        check_kind(I64(-5), NumberKind::UInt, U64(u64::MAX - 4));
        check_kind(F64(-5.7), NumberKind::UInt, U64(0));
        check_kind(F32(3.5), NumberKind::UInt, U32(3));
        check_kind(U64(u64::MAX), NumberKind::Int, I64(-1));
        check_kind(Bool(true), NumberKind::UInt, U8(1));
        check_kind(I64(7), NumberKind::Bool, Bool(true));
    }

    #[test]
    fn a_cast_to_any_class_or_kind_yields_it() {
        for from in Class::ALL {
            let n = cast(I64(1), from);
            for to in Class::ALL {
                assert_eq!(cast(n, to), cast(I64(1), to));
                assert_eq!(cast_kind(n, to.kind()).class().kind(), to.kind());
            }
            assert_eq!(cast_kind(n, from.kind()), n);
        }
    }

    #[test]
    fn only_integers_have_an_integer_value() {
        assert_eq!(to_integer(I64(i64::MIN)), Some(i128::from(i64::MIN)));
        assert_eq!(to_integer(U64(u64::MAX)), Some(i128::from(u64::MAX)));
        assert_eq!(to_integer(Bool(true)), Some(1));
        assert_eq!(to_integer(F64(1.0)), None);
    }
}
