//! When two numbers are equal, and how they are ordered.
//!
//! Integers are compared with floats exactly, never by rounding the integer. There are two orders: [`partial_compare`]
//! is that of the methods `gt`, `ge`, `lt` and `le`, which knows neither NaN nor complex numbers; [`collate`] is that
//! of sorting and of keys, and total.

use std::cmp::Ordering;

use super::cast::{to_f64, to_integer};
use super::{Number, NumberKind};

/// Whether two numbers are numerically equal.
///
/// A Float32 is compared with a Float64 in single precision, so `Float32 0.1` equals `0.1`. NaN equals nothing. A
/// complex number equals a real one if its imaginary part is zero and the real parts are equal.
#[inline]
pub fn equal(l: Number, r: Number) -> bool {
    match (l, r) {
        (Number::I64(l), Number::I64(r)) => l == r,
        (Number::F64(l), Number::F64(r)) => l == r,
        _ => equal_parts(l, r),
    }
}

fn equal_parts(l: Number, r: Number) -> bool {
    let ((l_re, l_im), (r_re, r_im)) = (parts(l), parts(r));
    equal_real(l_re, r_re) && equal_real(l_im, r_im)
}

/// The real and the imaginary part, each as a real number.
fn parts(n: Number) -> (Number, Number) {
    match n {
        Number::C32(n) => (Number::F32(n.re), Number::F32(n.im)),
        Number::C64(n) => (Number::F64(n.re), Number::F64(n.im)),
        _ => (n, Number::Bool(false)),
    }
}

fn equal_real(l: Number, r: Number) -> bool {
    match (l, r) {
        // A finite number that is too large for single precision is not infinite.
        (Number::F32(l), Number::F64(r)) | (Number::F64(r), Number::F32(l)) => {
            l.is_finite() == r.is_finite() && l == r as f32
        }
        _ => Real::of(l).compare(Real::of(r)) == Some(Ordering::Equal),
    }
}

/// The order of two real numbers; none if one of them is NaN or complex.
#[inline]
pub fn partial_compare(l: Number, r: Number) -> Option<Ordering> {
    match (l, r) {
        (Number::I64(l), Number::I64(r)) => Some(l.cmp(&r)),
        (Number::F64(l), Number::F64(r)) => l.partial_cmp(&r),
        _ if is_complex(l) || is_complex(r) => None,
        _ => Real::of(l).compare(Real::of(r)),
    }
}

/// The order of any two numbers, for sorting and for keys.
///
/// Real numbers are in their natural order with NaN last, and -0 equals +0. Complex numbers are ordered by absolute
/// value, then real part, then imaginary part, and a real number that is not negative takes its place among them.
/// Negative real numbers come before all complex numbers: the absolute value cannot order them together with the
/// others, since -5 < 1 but |-5| > |1|.
#[inline]
pub fn collate(l: Number, r: Number) -> Ordering {
    match (l, r) {
        (Number::I64(l), Number::I64(r)) => l.cmp(&r),
        (Number::F64(l), Number::F64(r)) => Real::Float(l).collate(Real::Float(r)),
        _ => Place::of(l).compare(Place::of(r)),
    }
}

/// Whether a number counts as true: any but zero. NaN does.
pub fn is_truthy(n: Number) -> bool {
    match n {
        Number::Bool(n) => n,
        Number::F32(n) => n != 0.0,
        Number::F64(n) => n != 0.0,
        Number::C32(n) => n.re != 0.0 || n.im != 0.0,
        Number::C64(n) => n.re != 0.0 || n.im != 0.0,
        _ => to_integer(n) != Some(0),
    }
}

fn is_complex(n: Number) -> bool {
    n.class().kind() == NumberKind::Complex
}

/// A real number without loss.
#[derive(Clone, Copy)]
enum Real {
    Int(i128),
    Float(f64),
}

impl Real {
    /// The real part of `n`.
    fn of(n: Number) -> Self {
        to_integer(n).map_or_else(|| Real::Float(to_f64(n)), Real::Int)
    }

    fn is_nan(self) -> bool {
        matches!(self, Real::Float(n) if n.is_nan())
    }

    fn is_negative(self) -> bool {
        match self {
            Real::Int(n) => n < 0,
            Real::Float(n) => n < 0.0,
        }
    }

    /// The order on the real line; none for NaN.
    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Real::Int(l), Real::Int(r)) => Some(l.cmp(&r)),
            (Real::Float(l), Real::Float(r)) => l.partial_cmp(&r),
            (Real::Int(l), Real::Float(r)) => compare_mixed(l, r),
            (Real::Float(l), Real::Int(r)) => compare_mixed(r, l).map(Ordering::reverse),
        }
    }

    /// The order on the real line, with NaN after everything.
    fn collate(self, other: Self) -> Ordering {
        self.compare(other).unwrap_or_else(|| self.is_nan().cmp(&other.is_nan()))
    }
}

/// Compares an integer, which is one of at most 64 bits, with a float.
fn compare_mixed(l: i128, r: f64) -> Option<Ordering> {
    if r.is_nan() {
        return None;
    }
    // The cast saturates far beyond the range of `l`, so large floats and infinities are in order too.
    Some(l.cmp(&(r as i128)).then_with(|| 0f64.partial_cmp(&r.fract()).unwrap_or(Ordering::Equal)))
}

/// The place of a number in the order of [`collate`].
struct Place {
    /// Whether this is not a negative real number.
    is_late: bool,
    /// What is compared in turn: the absolute value (of a negative real number: the number), and both parts.
    keys: [Real; 3],
}

impl Place {
    fn of(n: Number) -> Self {
        match parts(n) {
            (re, Number::F32(im)) if is_complex(n) => Self::of_complex(to_f64(re), im.into()),
            (re, Number::F64(im)) if is_complex(n) => Self::of_complex(to_f64(re), im),
            _ => {
                let real = Real::of(n);
                Self { is_late: !real.is_negative(), keys: [real, real, Real::Int(0)] }
            }
        }
    }

    fn of_complex(re: f64, im: f64) -> Self {
        Self { is_late: true, keys: [crate::value::cell::magnitude(re, im), re, im].map(Real::Float) }
    }

    fn compare(&self, other: Self) -> Ordering {
        let mut order = self.is_late.cmp(&other.is_late);
        for (l, r) in self.keys.into_iter().zip(other.keys) {
            order = order.then_with(|| l.collate(r));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use Number::*;
    use num_complex::{Complex32, Complex64};

    use super::*;

    fn c64(re: f64, im: f64) -> Number {
        C64(Complex64::new(re, im))
    }

    fn c32(re: f32, im: f32) -> Number {
        C32(Complex32::new(re, im))
    }

    #[track_caller]
    fn check(l: Number, r: Number, expected: bool) {
        assert_eq!(equal(l, r), expected, "{l:?} eq {r:?}");
        assert_eq!(equal(r, l), expected, "{r:?} eq {l:?}");
    }

    #[test]
    fn equality_is_exact() {
        check(I64(5), F64(5.7), false);
        check(I64(5), F64(5.0), true);
        check(I64((1 << 53) + 1), F64(9_007_199_254_740_992.0), false);
        check(I64(i64::MAX), F64(9_223_372_036_854_775_808.0), false);
        check(U64(1 << 63), F64(9_223_372_036_854_775_808.0), true);
        check(I64(-1), U64(u64::MAX), false);
        check(I32(16_777_217), F32(16_777_216.0), false);
        check(U8(1), I16(1), true);
        check(I64(0), F64(f64::INFINITY), false);
        check(I64(0), F64(-0.0), true);
    }

    #[test]
    fn single_precision_is_compared_in_single_precision() {
        check(F32(0.1), F64(0.1), true);
        check(F32(0.1), F64(0.2), false);
        check(F32(f32::INFINITY), F64(1e300), false);
        check(F32(f32::INFINITY), F64(f64::INFINITY), true);
        check(c32(0.1, 0.0), F64(0.1), true);
    }

    #[test]
    fn booleans_and_complex_numbers_equal_the_numbers_they_stand_for() {
        check(Bool(true), I64(1), true);
        check(I64(2), Bool(true), false);
        check(Bool(false), c64(0.0, 0.0), true);
        check(c64(5.0, 0.0), I64(5), true);
        check(c64(5.0, 1.0), I64(5), false);
        check(c64(1.0, 2.0), c32(1.0, 2.0), true);
    }

    #[test]
    fn nan_equals_nothing() {
        check(F64(f64::NAN), F64(f64::NAN), false);
        check(F32(f32::NAN), F64(f64::NAN), false);
        check(F64(f64::NAN), I64(0), false);
        check(c64(f64::NAN, 0.0), c64(f64::NAN, 0.0), false);
    }

    #[track_caller]
    fn check_order(l: Number, r: Number, expected: Option<Ordering>) {
        assert_eq!(partial_compare(l, r), expected, "{l:?}, {r:?}");
        assert_eq!(partial_compare(r, l), expected.map(Ordering::reverse), "{r:?}, {l:?}");
    }

    #[test]
    fn real_numbers_compare_exactly() {
        use Ordering::*;
        check_order(U8(1), I64(-1), Some(Greater));
        check_order(U64(u64::MAX), I64(-1), Some(Greater));
        check_order(I64(5), F64(5.5), Some(Less));
        check_order(I64(-5), F64(-5.5), Some(Greater));
        check_order(I64(5), F64(5.0), Some(Equal));
        check_order(I64((1 << 53) + 1), F64(9_007_199_254_740_992.0), Some(Greater));
        check_order(I64(i64::MAX), F64(f64::INFINITY), Some(Less));
        check_order(I64(i64::MIN), F64(f64::NEG_INFINITY), Some(Greater));
        check_order(F64(-0.0), F64(0.0), Some(Equal));
        check_order(Bool(true), F32(0.5), Some(Greater));
    }

    #[test]
    fn neither_nan_nor_complex_numbers_compare() {
        check_order(c64(1.0, 2.0), I64(1), None);
        check_order(c64(1.0, 0.0), c64(1.0, 0.0), None);
        check_order(F64(f64::NAN), I64(1), None);
        check_order(F64(f64::NAN), F32(f32::NAN), None);
    }

    #[test]
    fn collation_is_total() {
        let sorted = [
            F64(f64::NEG_INFINITY),
            I64(i64::MIN),
            F64(-5.5),
            I64(-5),
            I64(0),
            c64(0.0, 0.5),
            F64(0.5),
            c64(-1.0, 0.0),
            c64(0.0, -1.0),
            c64(0.0, 1.0),
            U8(1),
            F64(1.5),
            c64(-3.0, 4.0),
            c64(3.0, -4.0),
            c64(3.0, 4.0),
            I64(5),
            I64(i64::MAX),
            F64(9_223_372_036_854_775_808.0),
            U64(u64::MAX),
            F64(f64::INFINITY),
            F64(f64::NAN),
        ];
        for (i, l) in sorted.into_iter().enumerate() {
            for (j, r) in sorted.into_iter().enumerate() {
                assert_eq!(collate(l, r), i.cmp(&j), "{l:?}, {r:?}");
            }
        }
    }

    #[test]
    fn numbers_of_different_classes_can_share_a_place() {
        for (l, r) in [
            (F64(-0.0), F64(0.0)),
            (F64(f64::NAN), F32(f32::NAN)),
            (Bool(true), F64(1.0)),
            (I64(5), c64(5.0, 0.0)),
            (c32(3.0, 4.0), c64(3.0, 4.0)),
            (c64(f64::NAN, 1.0), c64(f64::NAN, 1.0)),
        ] {
            assert_eq!(collate(l, r), Ordering::Equal, "{l:?}, {r:?}");
            assert_eq!(collate(r, l), Ordering::Equal, "{r:?}, {l:?}");
        }
    }

    #[test]
    fn all_but_zero_is_true() {
        for n in [Bool(false), U64(0), I64(0), F32(0.0), F64(-0.0), c64(0.0, 0.0)] {
            assert!(!is_truthy(n), "{n:?}");
        }
        for n in [Bool(true), U8(1), I64(-1), F32(0.1), F64(f64::NAN), c64(0.0, 1.0), c32(1.0, 0.0)] {
            assert!(is_truthy(n), "{n:?}");
        }
    }
}
