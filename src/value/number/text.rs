//! Numbers as text: how a string becomes a number in a cast or as an operand, and how a number becomes a string.
//!
//! This is not how numbers are written in replies ([`crate::value::encode`]): here whole floats have no `.0`, and no
//! float has an exponent. Finite numbers, booleans aside, read back as equal ones.

use std::fmt;

use num_complex::Complex64;

use super::Number;

/// Bytes of a text that is read as a number, so that comparing many numbers with a long text takes no time: enough for all
/// digits of any Float64.
const TEXT_BYTES_MAX: usize = 1024;

/// The number that `text` stands for, blanks around it aside.
///
/// Digits are an Int64, or a UInt64 if they only fit there; a number with a fraction or an exponent, and an integer of
/// more digits, is a Float64; `3+4i` is a Complex64. The words for NaN and infinity are not numbers.
pub fn parse(text: &str) -> Option<Number> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    if let Ok(n) = text.parse() {
        return Some(Number::I64(n));
    }
    if let Ok(n) = text.parse() {
        return Some(Number::U64(n));
    }
    parse_float(text).map(Number::F64).or_else(|| parse_complex(text).map(Number::C64))
}

/// Reads a decimal. The standard library also reads `inf` and `nan`, hence the check of the characters.
fn parse_float(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if is_decimal { text.parse().ok() } else { None }
}

/// Reads `a+bi`, or `bi`.
fn parse_complex(text: &str) -> Option<Complex64> {
    let parts = text.strip_suffix('i')?;
    let bytes = parts.as_bytes();
    let is_sign = |at: &usize| matches!(bytes[*at], b'+' | b'-') && !matches!(bytes[*at - 1], b'e' | b'E');
    match (1..bytes.len()).rev().find(is_sign) {
        Some(at) => Some(Complex64::new(parse_float(&parts[..at])?, parse_float(&parts[at..])?)),
        None => Some(Complex64::new(0.0, parse_float(parts)?)),
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Number::Bool(n) => write!(f, "{n}"),
            Number::U8(n) => write!(f, "{n}"),
            Number::U16(n) => write!(f, "{n}"),
            Number::U32(n) => write!(f, "{n}"),
            Number::U64(n) => write!(f, "{n}"),
            Number::I16(n) => write!(f, "{n}"),
            Number::I32(n) => write!(f, "{n}"),
            Number::I64(n) => write!(f, "{n}"),
            Number::F32(n) => write_float(f, n.into(), n),
            Number::F64(n) => write_float(f, n, n),
            Number::C32(n) => {
                write_float(f, n.re.into(), n.re)?;
                write_imaginary(f, n.im.into(), n.im)
            }
            Number::C64(n) => {
                write_float(f, n.re, n.re)?;
                write_imaginary(f, n.im, n.im)
            }
        }
    }
}

/// Writes `text`, the float `n` in its own precision, which is the shortest decimal that reads back.
fn write_float(f: &mut fmt::Formatter<'_>, n: f64, text: impl fmt::Display) -> fmt::Result {
    if n == f64::INFINITY {
        f.write_str("Infinity")
    } else if n == f64::NEG_INFINITY {
        f.write_str("-Infinity")
    } else {
        write!(f, "{text}")
    }
}

fn write_imaginary(f: &mut fmt::Formatter<'_>, n: f64, text: impl fmt::Display) -> fmt::Result {
    if n.is_nan() || n.is_sign_positive() {
        f.write_str("+")?;
    }
    write_float(f, n, text)?;
    f.write_str("i")
}

#[cfg(test)]
mod tests {
    use Number::*;
    use num_complex::Complex32;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Number) {
        assert_eq!(parse(text), Some(expected), "{text:?}");
    }

    #[track_caller]
    fn check_text(n: Number, expected: &str) {
        assert_eq!(n.to_string(), expected);
    }

    #[test]
    fn digits_are_integers() {
        check("5", I64(5));
        check(" 5\t", I64(5));
        check("-7", I64(-7));
        check("+7", I64(7));
        check("-9223372036854775808", I64(i64::MIN));
        check("9223372036854775808", U64(1 << 63));
        check("18446744073709551615", U64(u64::MAX));
        check("100000000000000000000", F64(1e20));
    }

    #[test]
    fn fractions_and_exponents_are_floats() {
        check("5.7", F64(5.7));
        check("5.0", F64(5.0));
        check("1e3", F64(1000.0));
        check("-1.5E-3", F64(-0.0015));
        check(".5", F64(0.5));
    }

    #[test]
    fn complex_numbers_have_two_parts() {
        check("3+4i", C64(Complex64::new(3.0, 4.0)));
        check("1-2i", C64(Complex64::new(1.0, -2.0)));
        check("-1.5e3-2e-1i", C64(Complex64::new(-1500.0, -0.2)));
        check("4i", C64(Complex64::new(0.0, 4.0)));
        check("-4i", C64(Complex64::new(0.0, -4.0)));
    }

    #[test]
    fn words_and_fragments_are_not_numbers() {
        for text in [
            "", " ", "abc", "nan", "NaN", "inf", "-inf", "Infinity", "true", "1 2", "3+", "i", "+", "-", ".", "e5",
            "1e", "0x10", "1_000", "--1", "1+-2i", "3+4i5", "3 + 4i", "1.2.3", "é", "éi", "+i",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn whole_floats_have_no_fraction_and_large_ones_no_exponent() {
        check_text(F64(5.0), "5");
        check_text(F64(1e20), "100000000000000000000");
        check_text(F64(1e-7), "0.0000001");
        check_text(F64(0.1 + 0.2), "0.30000000000000004");
        check_text(F32(0.1), "0.1");
        check_text(F64(-1.5), "-1.5");
    }

    #[test]
    fn other_numbers_as_text() {
        check_text(Bool(true), "true");
        check_text(I16(-5), "-5");
        check_text(U64(u64::MAX), "18446744073709551615");
        check_text(C64(Complex64::new(1.0, 2.0)), "1+2i");
        check_text(C64(Complex64::new(1.0, -2.0)), "1-2i");
        check_text(C32(Complex32::new(0.1, 2.5)), "0.1+2.5i");
        check_text(F64(f64::NAN), "NaN");
        check_text(F32(f32::INFINITY), "Infinity");
        check_text(F64(f64::NEG_INFINITY), "-Infinity");
        check_text(C64(Complex64::new(f64::INFINITY, f64::NAN)), "Infinity+NaNi");
    }

    #[test]
    fn text_reads_back() {
        for n in [I64(-5), U64(u64::MAX), F64(2.5), F64(5e-324), C64(Complex64::new(-1e-9, 2e30))] {
            assert_eq!(parse(&n.to_string()), Some(n));
        }
    }
}
