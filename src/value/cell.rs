//! Cells of rows: what a column takes, and the text of the types that only SQL has.
//!
//! Every row that is written to a collection goes through [`cast_row`], and every value that is compared with a cell
//! through [`cast_cell`], so that the rest of the host finds in a column only what belongs there. Cells of decimals,
//! dates and timestamps are Strings in one canonical form; [`parse_decimal`], [`parse_date`] and [`parse_timestamp`]
//! say which number is stored for them.

mod decimal;
mod temporal;

pub use decimal::{format_decimal, parse_decimal};
pub use temporal::{format_date, format_timestamp, parse_date, parse_timestamp};

use super::cast::{cast, cast_literal};
use super::number::cast::to_integer;
use super::number::{Complex32, Complex64, NumberKind};
use super::schema::{Column, ColumnType, Schema};
use super::{Class, Number, NumberClass, State, Value};
use crate::error::{Error, Result};

/// `cell` as `column` stores it.
///
/// Texts of numbers become numbers and numbers become texts; floats lose their fraction and integers wrap around where
/// the column is narrower. The text of bytes is base64, as in replies.
///
/// # Errors
/// `BadRequest`, naming the column, if there is no such conversion, if the cell is None but the column is not nullable,
/// or if it is longer than the column allows.
pub fn cast_cell(column: &Column, cell: &State) -> Result<State> {
    if matches!(cell, State::Value(Value::None)) {
        return if column.nullable { Ok(State::NONE) } else { Err(refused(column, "it may not be null")) };
    }
    let cell = convert(column, cell).map_err(|error| {
        let message = format!("invalid value for column {}: {}", column.name, error.message());
        error.with_message(message)
    })?;
    match column.max_len {
        Some(max) if size(&cell) > max as usize => {
            Err(refused(column, &format!("it has {} bytes, of at most {max}", size(&cell))))
        }
        _ => Ok(cell),
    }
}

/// The cells of a row, in the order of `schema.columns`, as its columns store them.
///
/// # Errors
/// `BadRequest` if there are more or fewer cells than columns, or as [`cast_cell`].
pub fn cast_row(schema: &Schema, cells: &[State]) -> Result<Vec<State>> {
    let (expected, found) = (schema.columns.len(), cells.len());
    if expected != found {
        return Err(Error::bad_request(format!("expected a row of {expected} cells, not {found}")));
    }
    schema.columns.iter().zip(cells).map(|(column, cell)| cast_cell(column, cell)).collect()
}

/// `n` as it is stored: -0 is 0, and there is one NaN, because keys do not tell these apart.
pub fn normal_f64(n: f64) -> f64 {
    const NAN: f64 = f64::from_bits(0x7ff8 << 48);
    // The sum of -0 and 0 is 0; that of any other number and 0 is the number.
    if n.is_nan() { NAN } else { n + 0.0 }
}

/// `n` as it is stored; see [`normal_f64`].
pub fn normal_f32(n: f32) -> f32 {
    const NAN: f32 = f32::from_bits(0x7fc0 << 16);
    if n.is_nan() { NAN } else { n + 0.0 }
}

/// The absolute value of a complex number, to the same bits on every machine.
///
/// Keys contain it, so it must not depend on a system's mathematical library as `f64::hypot` does: only on the
/// operations that IEEE 754 rounds exactly.
pub fn magnitude(re: f64, im: f64) -> f64 {
    /// 2^600 and its inverse bring any number to where its square is a normal number.
    const HUGE: f64 = f64::from_bits((1023 + 600) << 52);
    const TINY: f64 = f64::from_bits((1023 - 600) << 52);
    const LARGE: f64 = f64::from_bits((1023 + 500) << 52);
    const SMALL: f64 = f64::from_bits((1023 - 500) << 52);
    let (re, im) = (re.abs(), im.abs());
    if re.is_infinite() || im.is_infinite() {
        return f64::INFINITY;
    }
    let (low, high) = if re < im { (re, im) } else { (im, re) };
    if low == 0.0 {
        return high;
    }
    let (scale, back) = if high > LARGE {
        (TINY, HUGE)
    } else if high < SMALL {
        (HUGE, TINY)
    } else {
        (1.0, 1.0)
    };
    let (low, high) = (low * scale, high * scale);
    (high * high + low * low).sqrt() * back
}

/// The error that a column cannot hold a value.
pub(crate) fn refused(column: &Column, why: &str) -> Error {
    Error::bad_request(format!("invalid value for column {}: {why}", column.name))
}

/// The cell as an instance of the type of the column, whatever its length.
fn convert(column: &Column, cell: &State) -> Result<State> {
    match column.ty {
        ColumnType::Number(class) => number(cell, class),
        ColumnType::String => cast(cell, Class::String),
        ColumnType::Bytes => cast_literal(cell, Class::Bytes),
        ColumnType::Id => cast(cell, Class::Id),
        ColumnType::Link => cast(cell, Class::Link),
        ColumnType::Email => cast(cell, Class::Email),
        ColumnType::Version => cast(cell, Class::Version),
        ColumnType::Any => cast(cell, column.class),
        ColumnType::Decimal { precision, scale } => {
            decimal(cell, precision, scale).ok_or_else(|| not_a(cell, &format!("decimal({precision},{scale})")))
        }
        ColumnType::Date => date(cell).ok_or_else(|| not_a(cell, "date such as 2001-02-03")),
        ColumnType::Timestamp => timestamp(cell).ok_or_else(|| not_a(cell, "timestamp such as 2001-02-03T04:05:06")),
    }
}

fn number(cell: &State, class: NumberClass) -> Result<State> {
    // A tuple of two is a complex number. A real column that took it would lose half of it in silence.
    if matches!(cell, State::Tuple(_)) && class.kind() < NumberKind::Complex {
        return Err(not_a(cell, Class::from(class).short()));
    }
    match cast(cell, Class::Exactly(class))? {
        State::Value(Value::Number(number)) => Ok(normal(number).into()),
        _ => Err(not_a(cell, Class::from(class).short())),
    }
}

/// The number as it is stored; see [`normal_f64`].
fn normal(number: Number) -> Number {
    match number {
        Number::F32(n) => Number::F32(normal_f32(n)),
        Number::F64(n) => Number::F64(normal_f64(n)),
        Number::C32(n) => Number::C32(Complex32::new(normal_f32(n.re), normal_f32(n.im))),
        Number::C64(n) => Number::C64(Complex64::new(normal_f64(n.re), normal_f64(n.im))),
        _ => number,
    }
}

fn decimal(cell: &State, precision: u8, scale: i8) -> Option<State> {
    let stored = match cell {
        State::Value(Value::String(text)) => parse_decimal(text, precision, scale),
        State::Value(Value::Number(number)) => match to_integer(*number) {
            Some(integer) => parse_decimal(&integer.to_string(), precision, scale),
            None => parse_decimal(&number.to_string(), precision, scale),
        },
        _ => None,
    };
    stored.map(|stored| format_decimal(stored, scale).into())
}

/// A date from its text, from that of a timestamp, or from a number of days since 1970.
fn date(cell: &State) -> Option<State> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let days = match cell {
        State::Value(Value::String(text)) => match parse_date(text) {
            Some(days) => Some(days),
            None => i32::try_from(parse_timestamp(text)?.div_euclid(DAY_MICROS)).ok(),
        },
        State::Value(Value::Number(number)) => i32::try_from(to_integer(*number)?).ok(),
        _ => None,
    };
    days.map(|days| format_date(days).into())
}

/// A timestamp from its text, from that of a date, or from a number of microseconds since 1970.
fn timestamp(cell: &State) -> Option<State> {
    let micros = match cell {
        State::Value(Value::String(text)) => parse_timestamp(text),
        State::Value(Value::Number(number)) => i64::try_from(to_integer(*number)?).ok(),
        _ => None,
    };
    micros.map(|micros| format_timestamp(micros).into())
}

/// How many bytes of a cell count towards the length that its column allows.
fn size(cell: &State) -> usize {
    match cell {
        State::Value(Value::Number(number)) => width(number.class()),
        State::Value(Value::String(text)) => text.len(),
        State::Value(Value::Id(id)) => id.as_str().len(),
        State::Value(Value::Link(link)) => link.to_string().len(),
        State::Value(Value::Bytes(bytes)) => bytes.len(),
        State::Value(Value::Email(email)) => email.as_str().len(),
        State::Value(Value::Version(version)) => version.to_string().len(),
        State::Tuple(tuple) => tuple.items().iter().map(size).sum(),
        _ => 0,
    }
}

/// The bytes of a number.
fn width(class: NumberClass) -> usize {
    use NumberClass::*;
    match class {
        Bool | U8 => 1,
        U16 | I16 => 2,
        U32 | I32 | F32 => 4,
        U64 | I64 | F64 | C32 => 8,
        C64 => 16,
    }
}

fn not_a(cell: &State, what: &str) -> Error {
    /// Messages repeat a cell up to this many bytes.
    const BYTES_MAX: u64 = 256;
    let shown =
        if cell.weight() <= BYTES_MAX { super::encode::to_json(cell) } else { format!("a large {}", cell.class()) };
    Error::bad_request(format!("{shown} is not a {what}"))
}

#[cfg(test)]
mod tests;
