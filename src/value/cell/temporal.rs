//! Dates and timestamps of the proleptic Gregorian calendar, without time zones.
//!
//! The conversion between days and dates is that of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
//! `days_from_civil` and `civil_from_days`.

const DAY_MICROS: i64 = 86_400_000_000;
const SECOND_MICROS: i64 = 1_000_000;

/// The days from 1970-01-01 to the date in `text`, such as `2001-02-03`; none if it is not one.
///
/// Years beyond 9999 and before 0 have a sign, as in ISO 8601.
pub fn parse_date(text: &str) -> Option<i32> {
    let (days, rest) = take_date(text.trim())?;
    if rest.is_empty() { i32::try_from(days).ok() } else { None }
}

/// The date that is `days` after 1970-01-01.
pub fn format_date(days: i32) -> String {
    format_days(days.into())
}

/// The microseconds from 1970-01-01T00:00 to the moment in `text`, such as `2001-02-03T04:05:06.789`; none if it is not
/// one.
///
/// A blank may stand for the `T`, and the time or its seconds may be missing. Digits after the sixth of a fraction are
/// dropped. A time with an offset from UTC is converted to UTC.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (days, rest) = take_date(text.trim())?;
    let of_day = match rest.as_bytes().first() {
        None => 0,
        Some(b'T' | b't' | b' ') => parse_time(&rest[1..])?,
        Some(_) => return None,
    };
    // The first day that a timestamp can be in begins before the first timestamp.
    i64::try_from(i128::from(days) * i128::from(DAY_MICROS) + i128::from(of_day)).ok()
}

/// The moment that is `micros` microseconds after 1970-01-01T00:00. A fraction has three digits, or six where needed.
pub fn format_timestamp(micros: i64) -> String {
    let (days, of_day) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
    let (seconds, fraction) = (of_day / SECOND_MICROS, of_day % SECOND_MICROS);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let date = format_days(days);
    match fraction {
        0 => format!("{date}T{hour:02}:{minute:02}:{second:02}"),
        _ if fraction % 1000 == 0 => format!("{date}T{hour:02}:{minute:02}:{second:02}.{:03}", fraction / 1000),
        _ => format!("{date}T{hour:02}:{minute:02}:{second:02}.{fraction:06}"),
    }
}

fn format_days(days: i64) -> String {
    let (year, month, day) = civil_of(days);
    if (0..=9999).contains(&year) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:+05}-{month:02}-{day:02}")
    }
}

/// Reads a date, and gives its days and the text after it.
fn take_date(text: &str) -> Option<(i64, &str)> {
    let (sign, digits_max, text) = match text.as_bytes().first()? {
        b'-' => (-1, 7, &text[1..]),
        b'+' => (1, 7, &text[1..]),
        _ => (1, 4, text),
    };
    let (year, text) = take_digits(text, 4, digits_max)?;
    let (month, text) = take_digits(text.strip_prefix('-')?, 2, 2)?;
    let (day, text) = take_digits(text.strip_prefix('-')?, 2, 2)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = sign * year;
    let days = days_of(year, month, day);
    // The 31st of a shorter month would be a day of the next one.
    if civil_of(days) == (year, month, day) { Some((days, text)) } else { None }
}

/// The microseconds of a day at the time in `text`, less the offset from UTC.
fn parse_time(text: &str) -> Option<i64> {
    let (hour, text) = take_digits(text, 2, 2)?;
    let (minute, mut text) = take_digits(text.strip_prefix(':')?, 2, 2)?;
    let (mut second, mut fraction) = (0, 0);
    if let Some(rest) = text.strip_prefix(':') {
        (second, text) = take_digits(rest, 2, 2)?;
        if let Some(rest) = text.strip_prefix('.') {
            (fraction, text) = take_fraction(rest)?;
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = hour * 3600 + minute * 60 + second - parse_offset(text)?;
    Some(seconds * SECOND_MICROS + fraction)
}

/// The seconds by which a time zone is ahead of UTC.
fn parse_offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let digits = text[1..].replacen(':', "", 1);
    // Of what is no digit, the rest is not empty.
    let (hours, minutes) = digits.split_at_checked(2)?;
    let (hours, rest) = take_digits(hours, 2, 2)?;
    let (minutes, rest) = if minutes.is_empty() { (0, rest) } else { take_digits(minutes, 2, 2)? };
    let is_offset = rest.is_empty() && hours <= 23 && minutes <= 59;
    is_offset.then_some(sign * (hours * 3600 + minutes * 60))
}

/// Reads a fraction of a second, in microseconds.
fn take_fraction(text: &str) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let (fraction, rest) = text.split_at(digits);
    let micros = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    Some((micros.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0')), rest))
}

/// Reads a number of `min` to `max` digits, and gives it and the text after it.
fn take_digits(text: &str, min: usize, max: usize) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(min..=max).contains(&digits) {
        return None;
    }
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

/// The days from 1970-01-01 to a date.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // A year begins in March here, so that a leap day is the last of its year.
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of the date that is `days` after 1970-01-01.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_count_days_from_1970() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2001-02-03", 11_356),
            ("0000-01-01", -719_528),
            ("-0001-12-31", -719_529),
            ("9999-12-31", 2_932_896),
            ("+10000-01-01", 2_932_897),
        ] {
            assert_eq!(parse_date(text), Some(days), "{text}");
            assert_eq!(format_date(days), text);
        }
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        for text in [
            "",
            "2001",
            "2001-02",
            "2001-2-3",
            "2001-02-30",
            "2001-02-29",
            "1900-02-29",
            "2001-13-01",
            "2001-00-01",
            "2001-01-00",
            "20010203",
            "10000-01-01",
            "2001-02-03x",
            "2001-02-03T04:05",
            "é001-01-01",
            "-",
            "+1-01-01",
        ] {
            assert_eq!(parse_date(text), None, "{text:?}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse_timestamp(text).map(format_timestamp).as_deref(), Some(expected), "{text}");
    }

    #[test]
    fn timestamps_have_one_canonical_text() {
        check("2001-02-03T04:05:06.789", "2001-02-03T04:05:06.789");
        check("2001-02-03 04:05:06", "2001-02-03T04:05:06");
        check("2001-02-03t04:05", "2001-02-03T04:05:00");
        check("2001-02-03", "2001-02-03T00:00:00");
        check("2001-02-03T04:05:06.7", "2001-02-03T04:05:06.700");
        check("2001-02-03T04:05:06.0000019", "2001-02-03T04:05:06.000001");
        check("1969-12-31T23:59:59.999999", "1969-12-31T23:59:59.999999");
        check("2001-02-03T04:05:06Z", "2001-02-03T04:05:06");
        check("2001-02-03T04:05:06+05:30", "2001-02-02T22:35:06");
        check("2001-02-03T23:05:06-0100", "2001-02-04T00:05:06");
        check("2001-02-03T04:05:06+01", "2001-02-03T03:05:06");
        assert_eq!(parse_timestamp("1970-01-01T00:00:00.000001"), Some(1));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59.999999"), Some(-1));
    }

    #[test]
    fn what_is_not_a_timestamp_is_refused() {
        for text in [
            "2001-02-03T",
            "2001-02-03T4:05",
            "2001-02-03T24:00",
            "2001-02-03T23:60",
            "2001-02-03T23:59:60",
            "2001-02-03T04:05:06.",
            "2001-02-03x04:05",
            "2001-02-03T04:05+1",
            "2001-02-03T04:05+24:00",
            "2001-02-03T04:05+01:0é",
            "+9999999-01-01T00:00",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_text_of_any_date_reads_back(days: i32) {
            prop_assert_eq!(parse_date(&format_date(days)), Some(days));
        }

        #[test]
        fn the_text_of_any_timestamp_reads_back(micros: i64) {
            prop_assert_eq!(parse_timestamp(&format_timestamp(micros)), Some(micros));
        }

        #[test]
        fn the_next_day_is_the_day_after(days in -1_000_000i64..1_000_000) {
            let ((year, month, day), next) = (civil_of(days), civil_of(days + 1));
            prop_assert!(next == (year, month, day + 1) || next == (year, month + 1, 1) || next == (year + 1, 1, 1));
        }
    }
}
