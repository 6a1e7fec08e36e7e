//! Decimals: a whole number of units of ten to the power of minus `scale`.

use std::iter;

/// How many digits a decimal has at most, whatever its precision: those of any `i128`.
const DIGITS_MAX: i64 = 38;

/// The units of `10^-scale` that are nearest to the number in `text`, halves away from zero; none if the text is not a
/// decimal number, or if the result has more than `precision` digits.
///
/// Blanks around the number are skipped. It may have a sign, a point and an exponent.
pub fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let text = text.trim();
    let (is_negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if mantissa.len() <= mantissa.matches('.').count() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').skip_while(|d| *d == 0).collect();
    let shift = exponent - i64::try_from(fraction.len()).ok()? + i64::from(scale);
    let units = shifted(&digits, shift)?;
    let limit = 10i128.checked_pow(precision.into())?;
    if units >= limit {
        return None;
    }
    Some(if is_negative { -units } else { units })
}

/// The text of `units` of `10^-scale`, with exactly `scale` digits after the point.
pub fn format_decimal(units: i128, scale: i8) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let mut digits = units.unsigned_abs().to_string();
    let Ok(scale) = usize::try_from(scale) else {
        let zeros = if units == 0 { 0 } else { usize::from(scale.unsigned_abs()) };
        digits.extend(iter::repeat_n('0', zeros));
        return format!("{sign}{digits}");
    };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let missing = (scale + 1).saturating_sub(digits.len());
    digits.insert_str(0, &"0".repeat(missing));
    digits.insert(digits.len() - scale, '.');
    format!("{sign}{digits}")
}

/// An exponent, within bounds that are far beyond those of any decimal.
fn parse_exponent(text: &str) -> Option<i64> {
    text.parse::<i32>().ok().filter(|exponent| exponent.unsigned_abs() < 1_000_000).map(i64::from)
}

/// `digits`, which do not begin with a zero, times `10^shift`, rounded; none if that is too large.
fn shifted(digits: &[u8], shift: i64) -> Option<i128> {
    if digits.is_empty() {
        return Some(0);
    }
    let kept = i64::try_from(digits.len()).ok()?.checked_add(shift)?;
    if kept > DIGITS_MAX {
        return None;
    }
    let Ok(kept) = usize::try_from(kept) else { return Some(0) };
    let digit = |at: usize| i128::from(digits.get(at).copied().unwrap_or(0));
    let whole = (0..kept).fold(0i128, |whole, at| whole * 10 + digit(at));
    Some(whole + i128::from(digit(kept) >= 5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, precision: u8, scale: i8, expected: &str) {
        let units = parse_decimal(text, precision, scale);
        assert_eq!(units.map(|units| format_decimal(units, scale)).as_deref(), Some(expected), "{text}");
    }

    #[test]
    fn decimals_have_the_digits_of_their_scale() {
        check("12.5", 10, 2, "12.50");
        check(" -0.5 ", 10, 2, "-0.50");
        check("+7", 10, 2, "7.00");
        check(".5", 10, 3, "0.500");
        check("5.", 10, 0, "5");
        check("-0", 10, 2, "0.00");
        check("1e3", 10, 1, "1000.0");
        check("125e-2", 10, 2, "1.25");
        check("1250", 10, -2, "1300");
        check("0", 10, -2, "0");
        check("0000000000000000000000000000000000000000001", 3, 0, "1");
        check("99999999999999999999999999999999999999", 38, 0, "99999999999999999999999999999999999999");
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        check("0.125", 10, 2, "0.13");
        check("-0.125", 10, 2, "-0.13");
        check("0.1249999", 10, 2, "0.12");
        check("0.5", 10, 0, "1");
        check("0.49", 10, 0, "0");
        check("0.05", 10, 0, "0");
        check("1e-999999", 10, 2, "0.00");
    }

    #[test]
    fn what_does_not_fit_or_is_no_number_is_refused() {
        for (text, precision, scale) in [
            ("100", 2, 0),
            ("99.5", 2, 0),
            ("1e38", 38, 0),
            ("1e999999", 38, 0),
            ("999999999999999999999999999999999999999", 38, 0),
            ("", 5, 0),
            ("-", 5, 0),
            (".", 5, 0),
            ("1.2.3", 5, 0),
            ("1e", 5, 0),
            ("NaN", 5, 0),
            ("1 2", 5, 0),
            ("é", 5, 0),
            ("--1", 5, 0),
        ] {
            assert_eq!(parse_decimal(text, precision, scale), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_text_of_units_reads_back(units in -(10i128.pow(38) - 1)..10i128.pow(38), scale in -10i8..=38) {
            prop_assert_eq!(parse_decimal(&format_decimal(units, scale), 38, scale), Some(units));
        }
    }
}
