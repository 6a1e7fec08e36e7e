//! Arithmetic: promoted, checked, and never infinite by division.
//!
//! An integer result that its class cannot hold, and a zero divisor of any class, are errors. Floats otherwise follow
//! IEEE 754. Each function begins with the two pairs of classes that programs mostly use, since a JSON number is either
//! an Int64 or a Float64.

use num_complex::Complex64;

use super::cast::{cast, narrow, to_c64, to_f64, to_integer, widen};
use super::compare::is_truthy;
use super::promote::{lift, promote, result_class};
use super::{Number, NumberClass, NumberKind};
use crate::error::{Error, Result};
use crate::value::Class;

/// Promotes two numbers and evaluates to the result of the expression for the class they get, or to none if that class
/// cannot hold it. Complex operands are in double precision, so that Complex32 is rounded once.
macro_rules! by_class {
    ($l:expr, $r:expr, |$a:ident, $b:ident| {
        bool: $bool:expr, int: $int:expr, float: $float:expr, complex: $complex:expr $(,)?
    }) => {
        match promote($l, $r)? {
            (Number::Bool($a), Number::Bool($b)) => Some(Number::Bool($bool)),
            (Number::U8($a), Number::U8($b)) => $int.map(Number::U8),
            (Number::U16($a), Number::U16($b)) => $int.map(Number::U16),
            (Number::U32($a), Number::U32($b)) => $int.map(Number::U32),
            (Number::U64($a), Number::U64($b)) => $int.map(Number::U64),
            (Number::I16($a), Number::I16($b)) => $int.map(Number::I16),
            (Number::I32($a), Number::I32($b)) => $int.map(Number::I32),
            (Number::I64($a), Number::I64($b)) => $int.map(Number::I64),
            (Number::F32($a), Number::F32($b)) => Some(Number::F32($float)),
            (Number::F64($a), Number::F64($b)) => Some(Number::F64($float)),
            (Number::C32($a), Number::C32($b)) => {
                let ($a, $b) = (widen($a), widen($b));
                Some(Number::C32(narrow($complex)))
            }
            (Number::C64($a), Number::C64($b)) => Some(Number::C64($complex)),
            (l, r) => return Err(Error::internal(format!("{l} and {r} were not promoted to one class"))),
        }
    };
}

/// `l + r`; of two booleans, whether one of them is true.
///
/// # Errors
/// `BadRequest` if an integer result overflows its class.
#[inline]
pub fn add(l: Number, r: Number) -> Result<Number> {
    match (l, r) {
        (Number::I64(a), Number::I64(b)) => checked(a.checked_add(b), l, "+", r),
        (Number::F64(a), Number::F64(b)) => Ok(Number::F64(a + b)),
        _ => add_any(l, r),
    }
}

fn add_any(l: Number, r: Number) -> Result<Number> {
    let sum = by_class!(l, r, |a, b| { bool: a | b, int: a.checked_add(b), float: a + b, complex: a + b });
    sum.ok_or_else(|| overflow(l, "+", r))
}

/// `l - r`; of two booleans, whether they differ.
///
/// # Errors
/// `BadRequest` if an integer result overflows its class.
#[inline]
pub fn sub(l: Number, r: Number) -> Result<Number> {
    match (l, r) {
        (Number::I64(a), Number::I64(b)) => checked(a.checked_sub(b), l, "-", r),
        (Number::F64(a), Number::F64(b)) => Ok(Number::F64(a - b)),
        _ => sub_any(l, r),
    }
}

fn sub_any(l: Number, r: Number) -> Result<Number> {
    let difference = by_class!(l, r, |a, b| { bool: a ^ b, int: a.checked_sub(b), float: a - b, complex: a - b });
    difference.ok_or_else(|| overflow(l, "-", r))
}

/// `l * r`; of two booleans, whether both are true.
///
/// # Errors
/// `BadRequest` if an integer result overflows its class.
#[inline]
pub fn mul(l: Number, r: Number) -> Result<Number> {
    match (l, r) {
        (Number::I64(a), Number::I64(b)) => checked(a.checked_mul(b), l, "*", r),
        (Number::F64(a), Number::F64(b)) => Ok(Number::F64(a * b)),
        _ => mul_any(l, r),
    }
}

fn mul_any(l: Number, r: Number) -> Result<Number> {
    let product = by_class!(l, r, |a, b| { bool: a & b, int: a.checked_mul(b), float: a * b, complex: a * b });
    product.ok_or_else(|| overflow(l, "*", r))
}

/// `l / r`, truncated toward zero if both are integers.
///
/// # Errors
/// `BadRequest` if `r` is zero, or an integer result overflows its class.
#[inline]
pub fn div(l: Number, r: Number) -> Result<Number> {
    match (l, r) {
        (Number::I64(a), Number::I64(b)) if b != 0 => checked(a.checked_div(b), l, "/", r),
        (Number::F64(a), Number::F64(b)) if b != 0.0 => Ok(Number::F64(a / b)),
        _ => div_any(l, r),
    }
}

fn div_any(l: Number, r: Number) -> Result<Number> {
    check_divisor(r)?;
    let quotient = by_class!(l, r, |a, b| {
        bool: a & b,
        int: a.checked_div(b),
        float: a / b,
        complex: div_complex(a, b),
    });
    quotient.ok_or_else(|| overflow(l, "/", r))
}

/// The remainder of `l / r`, with the sign of `l`.
///
/// Of complex numbers it is `l - q * r`, where both parts of the quotient `q` are truncated.
///
/// # Errors
/// `BadRequest` if `r` is zero.
#[inline]
pub fn rem(l: Number, r: Number) -> Result<Number> {
    match (l, r) {
        (Number::I64(a), Number::I64(b)) if b != 0 => Ok(Number::I64(a.wrapping_rem(b))),
        (Number::F64(a), Number::F64(b)) if b != 0.0 => Ok(Number::F64(a % b)),
        _ => rem_any(l, r),
    }
}

fn rem_any(l: Number, r: Number) -> Result<Number> {
    check_divisor(r)?;
    // The remainder of the least integer by -1 is zero, although the quotient overflows.
    let remainder = by_class!(l, r, |a, b| {
        bool: a & !b,
        int: Some(a.wrapping_rem(b)),
        float: a % b,
        complex: rem_complex(a, b),
    });
    remainder.ok_or_else(|| overflow(l, "mod", r))
}

/// `l` to the power of `r`.
///
/// An integer to the power of an integer that is not negative is exact and keeps its class; to a negative power it is a
/// float as wide as the base. Otherwise the result is a float, or complex if one of the operands is. It keeps the class
/// of the base as long as the exponent is an integer, or is no wider. A boolean to the power of zero is true, and
/// itself to any other power.
///
/// # Errors
/// `BadRequest` if an integer result overflows its class.
#[inline]
pub fn pow(l: Number, r: Number) -> Result<Number> {
    match (l, r) {
        (Number::I64(a), Number::I64(b)) if b >= 0 => {
            let power = pow_integer(a.into(), b.into()).and_then(|power| i64::try_from(power).ok());
            power.map(Number::I64).ok_or_else(|| overflow_of(l.class(), l, "**", r))
        }
        (Number::F64(a), Number::F64(b)) => Ok(Number::F64(a.powf(b))),
        _ => pow_any(l, r),
    }
}

fn pow_any(l: Number, r: Number) -> Result<Number> {
    let class = l.class();
    match (class.kind(), to_integer(r)) {
        (NumberKind::Bool, _) => Ok(if is_truthy(r) { l } else { Number::Bool(true) }),
        (NumberKind::UInt | NumberKind::Int, Some(exponent)) if exponent >= 0 => {
            let power = to_integer(l).and_then(|base| pow_integer(base, exponent));
            power.and_then(|power| of_class(power, class)).ok_or_else(|| overflow_of(class, l, "**", r))
        }
        _ => Ok(pow_inexact(l, r)),
    }
}

/// `base` to the power of `exponent`, which must not be negative; none if it overflows.
fn pow_integer(mut base: i128, mut exponent: i128) -> Option<i128> {
    let mut power = 1i128;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power.checked_mul(base)?;
        }
        exponent >>= 1;
        // The last square is not needed and might overflow.
        if exponent > 0 {
            base = base.checked_mul(base)?;
        }
    }
    Some(power)
}

/// `n` as an integer of `class`, if it fits.
fn of_class(n: i128, class: NumberClass) -> Option<Number> {
    match class {
        NumberClass::U8 => n.try_into().ok().map(Number::U8),
        NumberClass::U16 => n.try_into().ok().map(Number::U16),
        NumberClass::U32 => n.try_into().ok().map(Number::U32),
        NumberClass::U64 => n.try_into().ok().map(Number::U64),
        NumberClass::I16 => n.try_into().ok().map(Number::I16),
        NumberClass::I32 => n.try_into().ok().map(Number::I32),
        NumberClass::I64 => n.try_into().ok().map(Number::I64),
        _ => None,
    }
}

/// `l` to the power of `r` as a float or complex number.
fn pow_inexact(l: Number, r: Number) -> Number {
    let class = if r.class().kind() >= NumberKind::Float {
        result_class(l.class(), r.class())
    } else {
        lift(l.class(), NumberKind::Float)
    };
    if class.kind() == NumberKind::Complex {
        cast(Number::C64(pow_complex(to_c64(l), to_c64(r))), class)
    } else {
        cast(Number::F64(to_f64(l).powf(to_f64(r))), class)
    }
}

fn pow_complex(base: Complex64, exponent: Complex64) -> Complex64 {
    /// Up to this exponent multiplying is more exact than logarithms.
    const MULTIPLIED_MAX: f64 = 64.0;
    let zero = Complex64::new(0.0, 0.0);
    if base == zero && exponent.re > 0.0 {
        zero
    } else if exponent.im != 0.0 {
        base.powc(exponent)
    } else if exponent.re.fract() == 0.0 && exponent.re.abs() <= MULTIPLIED_MAX {
        base.powi(exponent.re as i32)
    } else {
        base.powf(exponent.re)
    }
}

fn div_complex(l: Complex64, r: Complex64) -> Complex64 {
    // The plain quotient is more exact, but divides by the square of the norm, which may leave the range of floats.
    if r.norm_sqr().is_normal() { l / r } else { l.fdiv(r) }
}

fn rem_complex(l: Complex64, r: Complex64) -> Complex64 {
    let quotient = div_complex(l, r);
    l - Complex64::new(quotient.re.trunc(), quotient.im.trunc()) * r
}

fn check_divisor(n: Number) -> Result<()> {
    if is_truthy(n) { Ok(()) } else { Err(Error::bad_request("cannot divide by zero")) }
}

/// The result of a checked operation on two Int64.
#[inline]
fn checked(result: Option<i64>, l: Number, sign: &str, r: Number) -> Result<Number> {
    result.map(Number::I64).ok_or_else(|| overflow(l, sign, r))
}

#[cold]
fn overflow(l: Number, sign: &str, r: Number) -> Error {
    overflow_of(result_class(l.class(), r.class()), l, sign, r)
}

#[cold]
fn overflow_of(class: NumberClass, l: Number, sign: &str, r: Number) -> Error {
    Error::bad_request(format!("{l} {sign} {r} overflows {}", Class::from(class)))
}

#[cfg(test)]
mod tests {
    use Number::*;
    use num_complex::Complex32;

    use super::*;
    use crate::error::Kind;

    type Operation = fn(Number, Number) -> Result<Number>;

    fn c64(re: f64, im: f64) -> Number {
        C64(Complex64::new(re, im))
    }

    fn c32(re: f32, im: f32) -> Number {
        C32(Complex32::new(re, im))
    }

    #[track_caller]
    fn check(op: Operation, l: Number, r: Number, expected: Number) {
        assert_eq!(op(l, r), Ok(expected), "{l:?}, {r:?}");
    }

    #[track_caller]
    fn check_error(op: Operation, l: Number, r: Number, message: &str) {
        let error = op(l, r).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::BadRequest, message));
    }

    #[track_caller]
    fn check_close(op: Operation, l: Number, r: Number, expected: Number) {
        let result = op(l, r).unwrap();
        assert_eq!(result.class(), expected.class());
        let distance = (to_c64(result) - to_c64(expected)).norm();
        assert!(distance <= 1e-6 * to_c64(expected).norm(), "{result} is not close to {expected}");
    }

    #[test]
    fn results_have_the_promoted_class() {
        check(add, I64(5), I64(3), I64(8));
        check(add, I64(5), F64(0.5), F64(5.5));
        check(add, F32(0.5), I64(1), F64(1.5));
        check(add, F32(0.5), I16(1), F32(1.5));
        check(add, U8(1), Bool(true), U8(2));
        check(add, I64(5), c64(1.0, 2.0), c64(6.0, 2.0));
        check(add, Bool(false), c32(1.0, 2.0), c32(1.0, 2.0));
        check(sub, U32(70000), U64(1), U64(69999));
        check(sub, U16(40000), I16(1), I32(39999));
        check(mul, F64(1.5), F64(2.0), F64(3.0));
        check(mul, c64(1.0, 2.0), c64(3.0, -1.0), c64(5.0, 5.0));
        check(rem, U32(10), U64(4), U64(2));
    }

    #[test]
    fn integers_do_not_wrap_around() {
        check_error(add, I64(i64::MAX), I64(1), "9223372036854775807 + 1 overflows int/64");
        check_error(add, U8(255), U8(1), "255 + 1 overflows uint/8");
        check_error(sub, U8(0), U8(1), "0 - 1 overflows uint/8");
        check_error(sub, U16(1), U32(70000), "1 - 70000 overflows uint/32");
        check_error(mul, I16(300), I16(300), "300 * 300 overflows int/16");
        check_error(div, I64(i64::MIN), I64(-1), "-9223372036854775808 / -1 overflows int/64");
        check_error(add, U64(u64::MAX), I64(-1), "18446744073709551615 overflows int/64");
    }

    #[test]
    fn arithmetic_on_booleans_is_logic() {
        for (l, r) in [(false, false), (false, true), (true, false), (true, true)] {
            check(add, Bool(l), Bool(r), Bool(l || r));
            check(sub, Bool(l), Bool(r), Bool(l != r));
            check(mul, Bool(l), Bool(r), Bool(l && r));
        }
        check(div, Bool(true), Bool(true), Bool(true));
        check(div, Bool(false), Bool(true), Bool(false));
        check(rem, Bool(true), Bool(true), Bool(false));
    }

    #[test]
    fn integer_division_truncates() {
        check(div, I64(5), I64(2), I64(2));
        check(div, I64(-5), I64(2), I64(-2));
        check(div, I64(5), F64(2.0), F64(2.5));
        check(div, U8(7), I16(-2), I16(-3));
    }

    #[test]
    fn a_remainder_has_the_sign_of_the_dividend() {
        check(rem, I64(-7), I64(3), I64(-1));
        check(rem, I64(7), I64(-3), I64(1));
        check(rem, F64(-7.5), I64(2), F64(-1.5));
        check(rem, F32(7.5), F32(2.0), F32(1.5));
        check(rem, I64(i64::MIN), I64(-1), I64(0));
        check(rem, I16(i16::MIN), I16(-1), I16(0));
    }

    #[test]
    fn complex_numbers_divide() {
        check(div, c64(5.0, 5.0), c64(1.0, 2.0), c64(3.0, -1.0));
        check(div, c64(2.0, 4.0), I64(2), c64(1.0, 2.0));
        check_close(div, c64(1e200, 1e200), c64(1e200, 1e200), c64(1.0, 0.0));
        check_close(div, c64(1e-200, 0.0), c64(0.0, 1e-200), c64(0.0, -1.0));
        check(rem, c64(5.0, 5.0), c64(2.0, 2.0), c64(1.0, 1.0));
        check(rem, c32(5.0, 5.0), c32(2.0, 2.0), c32(1.0, 1.0));
        check(rem, c64(5.0, 5.0), I64(2), c64(1.0, 1.0));
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let zeros = [Bool(false), U8(0), U64(0), I64(0), F32(0.0), F64(0.0), F64(-0.0), c32(0.0, 0.0), c64(0.0, 0.0)];
        for l in [Bool(true), U64(1), I64(5), F64(5.0), c64(1.0, 2.0)] {
            for r in zeros {
                check_error(div, l, r, "cannot divide by zero");
                check_error(rem, l, r, "cannot divide by zero");
            }
        }
    }

    #[test]
    fn an_integer_power_is_exact_and_keeps_the_class_of_the_base() {
        check(pow, I64(2), I64(3), I64(8));
        check(pow, I64(0), I64(0), I64(1));
        check(pow, I64(-2), I64(63), I64(i64::MIN));
        check(pow, I64(3), I64(39), I64(4_052_555_153_018_976_267));
        check(pow, I64(-1), U64(u64::MAX), I64(-1));
        check(pow, I64(1), I64(i64::MAX), I64(1));
        check(pow, I64(7), Bool(true), I64(7));
        check(pow, U8(2), I64(7), U8(128));
        check(pow, U64(2), I64(63), U64(1 << 63));
        check_error(pow, I64(2), I64(100), "2 ** 100 overflows int/64");
        check_error(pow, I64(2), I64(i64::MAX), "2 ** 9223372036854775807 overflows int/64");
        check_error(pow, U8(2), I64(8), "2 ** 8 overflows uint/8");
    }

    #[test]
    fn other_powers_of_integers_are_floats() {
        check(pow, I64(2), I64(-1), F64(0.5));
        check(pow, I16(2), I64(-1), F32(0.5));
        check(pow, U32(2), I16(-2), F32(0.25));
        check(pow, I64(2), F64(0.5), F64(std::f64::consts::SQRT_2));
        check(pow, I64(2), F32(2.0), F64(4.0));
        check(pow, I16(2), F32(2.0), F32(4.0));
    }

    #[test]
    fn a_power_of_a_float_is_as_wide_as_base_and_exponent() {
        check(pow, F64(2.0), I64(-1), F64(0.5));
        check(pow, F64(2.0), F64(3.0), F64(8.0));
        check(pow, F32(2.0), I64(3), F32(8.0));
        check(pow, F32(2.0), F64(3.0), F64(8.0));
        check(pow, F64(2.0), F32(3.0), F64(8.0));
        let Ok(F64(power)) = pow(F64(-8.0), F64(0.333)) else { panic!("not a Float64") };
        assert!(power.is_nan());
    }

    #[test]
    fn powers_of_and_by_complex_numbers() {
        check_close(pow, c64(1.0, 2.0), I64(2), c64(-3.0, 4.0));
        check_close(pow, c64(1.0, 2.0), I64(-1), c64(0.2, -0.4));
        check_close(pow, c64(0.0, 2.0), F64(0.5), c64(1.0, 1.0));
        check_close(pow, c32(1.0, 2.0), I64(2), c32(-3.0, 4.0));
        check_close(pow, c32(1.0, 2.0), F64(2.0), c64(-3.0, 4.0));
        check_close(pow, I64(2), c64(2.0, 0.0), c64(4.0, 0.0));
        check_close(pow, F64(std::f64::consts::E), c64(0.0, std::f64::consts::PI), c64(-1.0, 0.0));
        check_close(pow, I16(-4), c32(0.5, 0.0), c32(0.0, 2.0));
        check(pow, I64(0), c64(1.0, 1.0), c64(0.0, 0.0));
        check(pow, I64(0), c64(0.0, 0.0), c64(1.0, 0.0));
    }

    #[test]
    fn a_power_of_a_boolean_is_a_boolean() {
        check(pow, Bool(false), I64(0), Bool(true));
        check(pow, Bool(false), I64(2), Bool(false));
        check(pow, Bool(true), F64(2.5), Bool(true));
    }
}
