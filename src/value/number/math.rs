//! Functions of one number: absolute value, rounding, exponentials, logarithms, trigonometry, and the parts of complex
//! numbers.
//!
//! Exponential and trigonometric functions of Int64, UInt64 and Float64 are Float64, those of other real numbers
//! Float32, and those of complex numbers keep the class. Everything is computed in double precision and rounded once.
//! Outside of their domain real functions are NaN or infinite, which is not an error; only the logarithm of zero is.

use std::f64::consts::LN_2;

use num_complex::Complex64;

use super::arith::div;
use super::cast::{cast, narrow, to_f64, widen};
use super::compare::is_truthy;
use super::promote::lift;
use super::{Number, NumberKind};
use crate::error::{Error, Result};
use crate::value::Class;

/// Applies a function to a number of any class.
fn apply(n: Number, real: fn(f64) -> f64, complex: fn(Complex64) -> Complex64) -> Number {
    match n {
        Number::C32(n) => Number::C32(narrow(complex(widen(n)))),
        Number::C64(n) => Number::C64(complex(n)),
        _ => cast(Number::F64(real(to_f64(n))), lift(n.class(), NumberKind::Float)),
    }
}

/// Defines functions by what they do to real and to complex numbers.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident => $real:expr, $complex:expr;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(n: Number) -> Result<Number> {
                Ok(apply(n, $real, $complex))
            }
        )*
    };
}

functions! {
    /// e to the power of `n`.
    exp => f64::exp, Complex64::exp;
    /// The natural logarithm; that of zero is negative infinity.
    ln => f64::ln, Complex64::ln;
    /// The sine of `n` radians.
    sin => f64::sin, Complex64::sin;
    /// The cosine of `n` radians.
    cos => f64::cos, Complex64::cos;
    /// The tangent of `n` radians.
    tan => f64::tan, complex_tan;
    /// The inverse of the sine.
    asin => f64::asin, complex_asin;
    /// The inverse of the cosine.
    acos => f64::acos, complex_acos;
    /// The inverse of the tangent.
    atan => f64::atan, complex_atan;
    /// The hyperbolic sine.
    sinh => f64::sinh, Complex64::sinh;
    /// The hyperbolic cosine.
    cosh => f64::cosh, Complex64::cosh;
    /// The hyperbolic tangent.
    tanh => f64::tanh, complex_tanh;
    /// The inverse of the hyperbolic sine.
    asinh => real_asinh, complex_asinh;
    /// The inverse of the hyperbolic cosine.
    acosh => real_acosh, complex_acosh;
    /// The inverse of the hyperbolic tangent.
    atanh => real_atanh, complex_atanh;
}

/// The absolute value: of a complex number its norm, a float; otherwise of the same class.
///
/// # Errors
/// `BadRequest` for the least integer of a class.
pub fn abs(n: Number) -> Result<Number> {
    let integer = match n {
        Number::I16(n) => n.checked_abs().map(Number::I16),
        Number::I32(n) => n.checked_abs().map(Number::I32),
        Number::I64(n) => n.checked_abs().map(Number::I64),
        Number::F32(n) => Some(Number::F32(n.abs())),
        Number::F64(n) => Some(Number::F64(n.abs())),
        Number::C32(n) => Some(Number::F32(n.norm())),
        Number::C64(n) => Some(Number::F64(n.norm())),
        Number::Bool(_) | Number::U8(_) | Number::U16(_) | Number::U32(_) | Number::U64(_) => Some(n),
    };
    integer.ok_or_else(|| Error::bad_request(format!("abs({n}) overflows {}", Class::from(n.class()))))
}

/// The nearest whole number of the same class; halves go away from zero. Of a complex number both parts are rounded.
///
/// # Errors
/// None.
pub fn round(n: Number) -> Result<Number> {
    Ok(match n {
        Number::F32(n) => Number::F32(n.round()),
        Number::F64(n) => Number::F64(n.round()),
        Number::C32(n) => Number::C32(num_complex::Complex32::new(n.re.round(), n.im.round())),
        Number::C64(n) => Number::C64(Complex64::new(n.re.round(), n.im.round())),
        _ => n,
    })
}

/// The logarithm to `base`, or the natural one.
///
/// # Errors
/// `BadRequest` if `n` is zero, or `base` is complex or one.
pub fn log(n: Number, base: Option<Number>) -> Result<Number> {
    if !is_truthy(n) {
        return Err(Error::bad_request("the logarithm of zero is undefined"));
    }
    let Some(base) = base else { return ln(n) };
    if base.class().kind() == NumberKind::Complex {
        return Err(Error::bad_request(format!("the base of a logarithm must be real, not {base}")));
    }
    let scale = ln(base)?;
    if !is_truthy(scale) {
        return Err(Error::bad_request(format!("the logarithm to base {base} is undefined")));
    }
    div(ln(n)?, scale)
}

/// The real part: of a complex number a float, of another number the number itself.
///
/// # Errors
/// None.
pub fn real(n: Number) -> Result<Number> {
    Ok(match n {
        Number::C32(n) => Number::F32(n.re),
        Number::C64(n) => Number::F64(n.re),
        _ => n,
    })
}

/// The imaginary part, a float: of a real number the Float32 zero.
///
/// # Errors
/// None.
pub fn imag(n: Number) -> Result<Number> {
    Ok(match n {
        Number::C32(n) => Number::F32(n.im),
        Number::C64(n) => Number::F64(n.im),
        _ => Number::F32(0.0),
    })
}

/// Exact near zero, where the logarithm of a sum is not.
fn real_asinh(x: f64) -> f64 {
    /// From here on `x² + 1` is `x²` in double precision.
    const LARGE: f64 = 1e9;
    let a = x.abs();
    let inverse = if a > LARGE { a.ln() + LN_2 } else { (a + a * a / (1.0 + (a * a + 1.0).sqrt())).ln_1p() };
    inverse.copysign(x)
}

/// Exact near one, where the logarithm of a sum is not.
fn real_acosh(x: f64) -> f64 {
    /// From here on `x² - 1` is `x²` in double precision.
    const LARGE: f64 = 1e9;
    let t = x - 1.0;
    if x > LARGE { x.ln() + LN_2 } else { (t + (t * (t + 2.0)).sqrt()).ln_1p() }
}

/// Computed for the absolute value, since the argument of the logarithm is exact only there.
fn real_atanh(x: f64) -> f64 {
    let a = x.abs();
    (0.5 * (2.0 * a / (1.0 - a)).ln_1p()).copysign(x)
}

// The complex functions below follow W. Kahan, "Branch Cuts for Complex Elementary Functions", in the form that
// CPython's `cmath` gives them (without its care for arguments near the limits of the range). The formulas of
// num-complex cancel for large arguments.

/// The square root with both parts exact, also where one of them is tiny.
fn complex_sqrt(z: Complex64) -> Complex64 {
    let s = ((z.re.abs() + z.re.hypot(z.im)) / 2.0).sqrt();
    if s == 0.0 {
        Complex64::new(0.0, z.im)
    } else if z.re >= 0.0 {
        Complex64::new(s, z.im / (2.0 * s))
    } else {
        Complex64::new(z.im.abs() / (2.0 * s), s.copysign(z.im))
    }
}

/// `i z`.
fn times_i(z: Complex64) -> Complex64 {
    Complex64::new(-z.im, z.re)
}

/// `z / i`.
fn over_i(z: Complex64) -> Complex64 {
    Complex64::new(z.im, -z.re)
}

fn complex_tan(z: Complex64) -> Complex64 {
    over_i(complex_tanh(times_i(z)))
}

fn complex_tanh(z: Complex64) -> Complex64 {
    /// From here on the real part is ±1 in double precision, while the functions it is the ratio of soon overflow.
    const LARGE: f64 = 20.0;
    if z.re.abs() <= LARGE {
        return z.tanh();
    }
    Complex64::new(1f64.copysign(z.re), 4.0 * z.im.sin() * z.im.cos() * (-2.0 * z.re.abs()).exp())
}

fn complex_asin(z: Complex64) -> Complex64 {
    over_i(complex_asinh(times_i(z)))
}

fn complex_acos(z: Complex64) -> Complex64 {
    let s1 = complex_sqrt(Complex64::new(1.0 - z.re, -z.im));
    let s2 = complex_sqrt(Complex64::new(1.0 + z.re, z.im));
    Complex64::new(2.0 * s1.re.atan2(s2.re), real_asinh(s2.re * s1.im - s2.im * s1.re))
}

fn complex_atan(z: Complex64) -> Complex64 {
    over_i(complex_atanh(times_i(z)))
}

fn complex_asinh(z: Complex64) -> Complex64 {
    let s1 = complex_sqrt(Complex64::new(1.0 + z.im, -z.re));
    let s2 = complex_sqrt(Complex64::new(1.0 - z.im, z.re));
    Complex64::new(real_asinh(s1.re * s2.im - s2.re * s1.im), z.im.atan2(s1.re * s2.re - s1.im * s2.im))
}

fn complex_acosh(z: Complex64) -> Complex64 {
    let s1 = complex_sqrt(Complex64::new(z.re - 1.0, z.im));
    let s2 = complex_sqrt(Complex64::new(z.re + 1.0, z.im));
    Complex64::new(real_asinh(s1.re * s2.re + s1.im * s2.im), 2.0 * s1.im.atan2(s2.re))
}

fn complex_atanh(z: Complex64) -> Complex64 {
    if z.re.is_sign_negative() {
        return -complex_atanh(-z);
    }
    let (x, y) = (z.re, z.im);
    if x == 1.0 && y == 0.0 {
        return Complex64::new(f64::INFINITY, y);
    }
    let re = (4.0 * x / ((1.0 - x) * (1.0 - x) + y * y)).ln_1p() / 4.0;
    let im = -(-2.0 * y).atan2((1.0 - x) * (1.0 + x) - y * y) / 2.0;
    Complex64::new(re, im)
}

#[cfg(test)]
mod tests {
    use Number::*;
    use num_complex::Complex32;

    use super::super::cast::to_c64;
    use super::*;
    use crate::error::Kind;

    type Function = fn(Number) -> Result<Number>;

    fn c64(re: f64, im: f64) -> Number {
        C64(Complex64::new(re, im))
    }

    fn c32(re: f32, im: f32) -> Number {
        C32(Complex32::new(re, im))
    }

    #[track_caller]
    fn check(function: Function, n: Number, expected: Number) {
        assert_eq!(function(n), Ok(expected), "{n:?}");
    }

    #[track_caller]
    fn assert_close(result: Number, expected: Number) {
        assert_eq!(result.class(), expected.class());
        let distance = (to_c64(result) - to_c64(expected)).norm();
        assert!(distance <= 1e-14 * to_c64(expected).norm(), "{result} is not close to {expected}");
    }

    #[track_caller]
    fn check_close(function: Function, n: Number, expected: Number) {
        assert_close(function(n).unwrap(), expected);
    }

    #[test]
    fn the_class_of_a_function_depends_on_the_width() {
        check_close(exp, I64(1), F64(std::f64::consts::E));
        check_close(sin, I64(1), F64(0.8414709848078965));
        check_close(sin, U64(1), F64(0.8414709848078965));
        check(sin, F32(1.0), F32(0.84147096));
        check(sin, I32(1), F32(0.84147096));
        check(sin, U8(1), F32(0.84147096));
        check(sin, Bool(true), F32(0.84147096));
        check(cos, c32(0.0, 0.0), c32(1.0, -0.0));
    }

    #[test]
    fn real_functions_match_the_standard_library() {
        type Real = fn(f64) -> f64;
        let functions: [(Function, Real); 13] = [
            (exp, f64::exp),
            (ln, f64::ln),
            (sin, f64::sin),
            (cos, f64::cos),
            (tan, f64::tan),
            (asin, f64::asin),
            (acos, f64::acos),
            (atan, f64::atan),
            (sinh, f64::sinh),
            (cosh, f64::cosh),
            (tanh, f64::tanh),
            (asinh, f64::asinh),
            (atanh, f64::atanh),
        ];
        for (function, expected) in functions {
            for x in [0.1, 0.3, 0.5, 0.9] {
                check_close(function, F64(x), F64(expected(x)));
            }
        }
    }

    #[test]
    fn inverse_hyperbolic_functions_are_exact_at_the_ends_of_their_domains() {
        check_close(asinh, F64(1e-10), F64(1e-10));
        check_close(asinh, F64(-2.5), F64(-1.6472311463710958));
        check_close(asinh, F64(1e300), F64(691.4686750787736));
        check_close(acosh, F64(1.0 + 1e-10), F64(1.4142136208675862e-05));
        check_close(acosh, F64(1.5), F64(0.9624236501192069));
        check_close(acosh, F64(1e300), F64(691.4686750787736));
        check_close(atanh, F64(-0.9999999), F64(-8.40562139102231));
        check_close(atanh, F64(0.3), F64(0.30951960420311175));
        check(acosh, F64(1.0), F64(0.0));
        check(atanh, I64(1), F64(f64::INFINITY));
        check(asinh, F64(f64::NEG_INFINITY), F64(f64::NEG_INFINITY));
        check(acosh, F64(f64::INFINITY), F64(f64::INFINITY));
    }

    #[test]
    fn outside_of_their_domain_functions_are_nan_or_infinite() {
        check(ln, I64(0), F64(f64::NEG_INFINITY));
        check(exp, I64(1000), F64(f64::INFINITY));
        let undefined: [(Function, f64); 5] = [(ln, -1.0), (asin, 2.0), (acos, -2.0), (acosh, 0.5), (atanh, 2.0)];
        for (function, x) in undefined {
            let Ok(F64(result)) = function(F64(x)) else { panic!("not a Float64") };
            assert!(result.is_nan(), "{x}");
        }
    }

    #[test]
    fn complex_functions_match_python() {
        let (a, b) = (c64(0.5, 0.25), c64(-2.0, 3.0));
        let table: [(Function, Number, Number); 14] = [
            (exp, c64(1.5974665191199127, 0.4079001700783598), c64(-0.13398091492954262, 0.019098516261135196)),
            (ln, c64(-0.5815754049028404, 0.4636476090008061), c64(1.2824746787307684, 2.158798930342464)),
            (sin, c64(0.494485780933195, 0.22168816414957482), c64(-9.15449914691143, -4.168906959966565)),
            (cos, c64(0.9051501505596068, -0.12110879604381165), c64(-4.189625690968807, 9.109227893755337)),
            (tan, c64(0.504500702698564, 0.31242069250258875), c64(0.003764025641504249, 1.00323862735361)),
            (asin, c64(0.5016088532755008, 0.28139605624529274), c64(-0.5706527843210994, 1.9833870299165355)),
            (acos, c64(1.069187473519396, -0.28139605624529274), c64(2.141449111115996, -1.9833870299165355)),
            (atan, c64(0.4842544903299662, 0.20058661813123432), c64(-1.4099210495965755, 0.22907268296853878)),
            (sinh, c64(0.504895714387995, 0.2789791283502615), c64(3.59056458998578, 0.5309210862485197)),
            (cosh, c64(1.0925708047319176, 0.12892104172809826), c64(-3.7245455049153224, -0.5118225699873846)),
            (tanh, c64(0.4854872810241353, 0.19805544995134958), c64(-0.965385879022133, -0.009884375038322495)),
            (asinh, c64(0.4926756834207706, 0.2243284526346675), c64(-1.9686379257930964, 0.9646585044076028)),
            (acosh, c64(0.28139605624529274, 1.069187473519396), c64(1.9833870299165355, 2.141449111115996)),
            (atanh, c64(0.5003700000525311, 0.3143981432077165), c64(-0.14694666622552977, 1.3389725222944935)),
        ];
        for (function, of_a, of_b) in table {
            check_close(function, a, of_a);
            check_close(function, b, of_b);
        }
    }

    #[test]
    fn complex_functions_survive_large_arguments() {
        check_close(asin, c64(0.0, 1e10), c64(0.0, 23.7189981105004));
        check_close(tan, c64(1.0, 400.0), c64(0.0, 1.0));
        check_close(tanh, c64(400.0, 1.0), c64(1.0, 0.0));
    }

    #[test]
    fn absolute_values() {
        check(abs, c64(3.0, 4.0), F64(5.0));
        check(abs, c32(3.0, 4.0), F32(5.0));
        check(abs, I16(-3), I16(3));
        check(abs, F64(-1.5), F64(1.5));
        check(abs, U64(u64::MAX), U64(u64::MAX));
        check(abs, Bool(true), Bool(true));
        let error = abs(I64(i64::MIN)).unwrap_err();
        assert_eq!(error.kind(), Kind::BadRequest);
        assert_eq!(error.message(), "abs(-9223372036854775808) overflows int/64");
    }

    #[test]
    fn halves_round_away_from_zero_and_the_class_stays() {
        check(round, F64(2.5), F64(3.0));
        check(round, F64(-2.5), F64(-3.0));
        check(round, F64(2.4), F64(2.0));
        check(round, F32(0.5), F32(1.0));
        check(round, c64(2.5, -1.4), c64(3.0, -1.0));
        check(round, I64(5), I64(5));
    }

    #[test]
    fn logarithms_have_a_real_base() {
        assert_close(log(I64(8), Some(I64(2))).unwrap(), F64(3.0));
        assert_close(log(I64(1), Some(I64(10))).unwrap(), F64(0.0));
        assert_close(log(c64(1.0, 1.0), None).unwrap(), c64(0.3465735902799727, std::f64::consts::FRAC_PI_4));
        for (n, base) in [
            (I64(0), None),
            (F64(0.0), Some(I64(2))),
            (c64(0.0, 0.0), None),
            (I64(2), Some(c64(1.0, 2.0))),
            (I64(2), Some(I64(1))),
        ] {
            assert_eq!(log(n, base).unwrap_err().kind(), Kind::BadRequest, "{n:?}, {base:?}");
        }
    }

    #[test]
    fn parts() {
        check(real, c64(1.0, 2.0), F64(1.0));
        check(imag, c64(1.0, 2.0), F64(2.0));
        check(imag, c32(1.0, 2.0), F32(2.0));
        check(real, I64(5), I64(5));
        check(imag, I64(5), F32(0.0));
    }
}
