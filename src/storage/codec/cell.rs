//! A cell of a known column type, on its way from one stored form to another.

use std::borrow::Cow;

use super::json;
use crate::error::{Error, Result};
use crate::value::cell::{format_date, format_decimal, format_timestamp, parse_date, parse_decimal, parse_timestamp};
use crate::value::schema::{Column, ColumnType};
use crate::value::{Class, Email, Id, Link, Number, State, Value, Version};

/// A cell. Links, versions and values of any class are text here, as they are in payloads and in Arrow arrays.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    None,
    Number(Number),
    /// The text of a String, Id, Link, Email or Version, or the JSON text of a value of any class.
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Units of the scale of the column.
    Decimal(i128),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970.
    Timestamp(i64),
}

impl<'a> Cell<'a> {
    /// The cell that a text in UTF-8 stands for.
    pub(super) fn text(bytes: Cow<'a, [u8]>) -> Result<Self> {
        let not_utf8 = || Error::internal("the text of a stored cell is not UTF-8");
        Ok(Cell::Text(match bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| not_utf8())?),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|_| not_utf8())?),
        }))
    }

    /// The cell that `state` is, which was cast to the column.
    pub(super) fn of_state(column: &Column, state: &'a State) -> Result<Self> {
        let State::Value(value) = state else {
            return match column.ty {
                ColumnType::Any => Ok(Cell::Text(json::encode(state)?.into())),
                _ => Err(mismatch(column, state.class())),
            };
        };
        Ok(match (column.ty, value) {
            (_, Value::None) => Cell::None,
            (ColumnType::Any, _) => Cell::Text(json::encode(state)?.into()),
            (ColumnType::Number(class), Value::Number(number)) if number.class() == class => Cell::Number(*number),
            (ColumnType::String, Value::String(text)) => Cell::Text(Cow::Borrowed(text)),
            (ColumnType::Bytes, Value::Bytes(bytes)) => Cell::Bytes(Cow::Borrowed(bytes)),
            (ColumnType::Id, Value::Id(id)) => Cell::Text(Cow::Borrowed(id.as_str())),
            (ColumnType::Email, Value::Email(email)) => Cell::Text(Cow::Borrowed(email.as_str())),
            (ColumnType::Link, Value::Link(link)) => Cell::Text(link.to_string().into()),
            (ColumnType::Version, Value::Version(version)) => Cell::Text(version.to_string().into()),
            (_, Value::String(text)) => {
                Self::of_text(column.ty, text).ok_or_else(|| mismatch(column, Class::String))?
            }
            _ => return Err(mismatch(column, value.class())),
        })
    }

    /// The cell of an SQL-only type that a text stands for.
    fn of_text(ty: ColumnType, text: &str) -> Option<Self> {
        match ty {
            ColumnType::Decimal { precision, scale } => parse_decimal(text, precision, scale).map(Cell::Decimal),
            ColumnType::Date => parse_date(text).map(Cell::Date),
            ColumnType::Timestamp => parse_timestamp(text).map(Cell::Timestamp),
            _ => None,
        }
    }

    /// This cell as a state.
    pub(super) fn into_state(self, column: &Column) -> Result<State> {
        Ok(match (self, column.ty) {
            (Cell::None, _) => State::NONE,
            (Cell::Number(number), _) => number.into(),
            (Cell::Text(text), ColumnType::Any) => json::decode(&text)?,
            (Cell::Text(text), ColumnType::Id) => text.parse::<Id>()?.into(),
            (Cell::Text(text), ColumnType::Link) => text.parse::<Link>()?.into(),
            (Cell::Text(text), ColumnType::Email) => Value::Email(text.parse::<Email>()?).into(),
            (Cell::Text(text), ColumnType::Version) => Value::Version(text.parse::<Version>()?).into(),
            (Cell::Text(text), _) => State::from(&*text),
            (Cell::Bytes(bytes), _) => Value::Bytes(bytes.as_ref().into()).into(),
            (Cell::Decimal(units), ColumnType::Decimal { scale, .. }) => format_decimal(units, scale).into(),
            (Cell::Decimal(_), _) => return Err(mismatch(column, Class::Number)),
            (Cell::Date(days), _) => format_date(days).into(),
            (Cell::Timestamp(micros), _) => format_timestamp(micros).into(),
        })
    }
}

/// The error for a cell of a class that does not belong in its column.
pub(super) fn mismatch(column: &Column, class: Class) -> Error {
    Error::internal(format!("a {class} is stored in column {}, which has cells of {}", column.name, column.class))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::codec::sample::{any_column, cell_of, column};
    use crate::value::NumberClass;
    use crate::value::sample::{int, string, tuple};

    #[test]
    fn what_was_not_cast_is_an_error() {
        for (ty, state) in [
            (ColumnType::String, int(1)),
            (ColumnType::Number(NumberClass::I32), int(1)),
            (ColumnType::Number(NumberClass::I64), string("1")),
            (ColumnType::Id, string("a")),
            (ColumnType::Date, string("today")),
            (ColumnType::Bytes, tuple([int(1)])),
        ] {
            assert!(Cell::of_state(&column("c", ty), &state).is_err(), "{ty:?}");
        }
    }

    proptest! {
        #[test]
        fn cells_are_the_states_that_they_were((column, state) in any_column().prop_flat_map(|column| {
            let cells = cell_of(&column);
            (Just(column), cells)
        })) {
            let cell = Cell::of_state(&column, &state).unwrap();
            prop_assert_eq!(cell.into_state(&column).unwrap(), state);
        }
    }
}
