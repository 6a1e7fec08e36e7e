//! Conversion of states: casts to a class, and what operands, conditions, names and parameters accept.
//!
//! [`cast`] is the cast that a program writes; [`cast_literal`] reads a typed literal such as `{"…/int/32": [5]}`,
//! where a one-element list may stand for its element. They differ in nothing else but the text of bytes.

use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT as BASE64;

use super::encode::to_json;
use super::number::cast::{cast as cast_number, cast_kind, to_f64, to_integer};
use super::number::compare::is_truthy;
use super::number::text::parse as parse_number;
use super::number::{Complex32, Complex64, NumberKind};
use super::text::text;
use super::{Class, Id, Map, Number, NumberClass, State, Tuple, Value, Version};
use crate::error::{Error, Result};

/// How the text of bytes is read.
type ReadBytes = fn(&str) -> Option<Vec<u8>>;

/// `state` as an instance of `class`.
///
/// # Errors
/// `BadRequest` if there is no such conversion, or not for this state; `TooLarge` if the result is.
pub fn cast(state: &State, class: Class) -> Result<State> {
    convert(state, class, read_hex_or_base64)?.ok_or_else(|| cannot_cast(state, class))
}

/// The state that a typed literal stands for: `state` cast to `class`, or if that fails and `state` is a tuple of one
/// item, that item cast to `class`. The text of bytes is base64.
///
/// # Errors
/// As [`cast`].
pub fn cast_literal(state: &State, class: Class) -> Result<State> {
    if let Some(literal) = convert(state, class, read_base64)? {
        return Ok(literal);
    }
    let item = only_item(state).ok_or_else(|| cannot_cast(state, class))?;
    convert(item, class, read_base64)?.ok_or_else(|| cannot_cast(item, class))
}

/// The number that an operand stands for: a number, the text of one, or a tuple of one such (which is that number) or
/// of two (which are the parts of a complex number).
///
/// # Errors
/// `BadRequest` for anything else.
pub fn to_number(state: &State) -> Result<Number> {
    number_of(state).ok_or_else(|| Error::bad_request(format!("{} is not a number", show(state))))
}

/// The truth of a condition: a number, or `"true"` or `"false"`.
///
/// # Errors
/// `BadRequest` for anything else.
pub fn to_bool(state: &State) -> Result<bool> {
    let truth = match state {
        State::Value(Value::Number(number)) => Some(is_truthy(*number)),
        State::Value(Value::String(text)) => bool::from_str(text).ok(),
        _ => None,
    };
    truth.ok_or_else(|| Error::bad_request(format!("{} is neither true nor false", show(state))))
}

/// The name that a state stands for: an Id, or the text of one.
///
/// # Errors
/// `BadRequest` for anything else.
pub fn to_id(state: &State) -> Result<Id> {
    match state {
        State::Value(Value::Id(id)) => Ok(id.clone()),
        State::Value(Value::String(text)) => text.parse(),
        _ => Err(Error::bad_request(format!("{} is not a name", show(state)))),
    }
}

/// The map that a state stands for: a Map, a tuple of pairs of name and state, or an Id.
///
/// The Id `x` is the map `{x: []}`, because the two look alike on the wire.
pub fn to_map(state: &State) -> Option<Map> {
    map_of(state).ok().flatten()
}

/// The conversion, or none if there is no such.
fn convert(state: &State, class: Class, read_bytes: ReadBytes) -> Result<Option<State>> {
    Ok(match class {
        Class::State | Class::Scalar => Some(state.clone()),
        Class::Value => state.is_value().then(|| state.clone()),
        Class::None => state.is_value().then_some(State::NONE),
        Class::Number | Class::UInt | Class::Int | Class::Float | Class::Complex | Class::Exactly(_) => {
            number_of_class(state, class).map(State::from)
        }
        Class::Tuple | Class::ScalarTuple => tuple_of(state)?.map(State::from),
        Class::Map | Class::ScalarMap => map_of(state)?.map(State::from),
        Class::ValueTuple => {
            let is_tuple = matches!(state, State::Tuple(_)) && state.is_value();
            is_tuple.then(|| state.clone())
        }
        Class::String | Class::Id | Class::Link | Class::Bytes | Class::Email | Class::Version => {
            value_of_class(state, class, read_bytes).map(State::Value)
        }
        Class::Closure
        | Class::Stream
        | Class::Op(_)
        | Class::Ref(_)
        | Class::BTree
        | Class::Dense
        | Class::Sparse
        | Class::Table
        | Class::Other(_) => (state.class() == class).then(|| state.clone()),
    })
}

/// The conversion to a class of values that are neither None nor numbers.
fn value_of_class(state: &State, class: Class, read_bytes: ReadBytes) -> Option<Value> {
    match class {
        Class::String => text(state).map(|text| Value::String(text.into())),
        Class::Id => id_of(state).map(Value::Id),
        Class::Bytes => bytes_of(state, read_bytes).map(Value::Bytes),
        Class::Version => version_of(state).map(Value::Version),
        Class::Link => match state {
            State::Value(Value::Link(link)) => Some(Value::Link(link.clone())),
            State::Value(Value::String(text)) => text.parse().ok().map(Value::Link),
            _ => None,
        },
        Class::Email => match state {
            State::Value(Value::Email(email)) => Some(Value::Email(email.clone())),
            _ => plain_text(state).and_then(|text| text.parse().ok()).map(Value::Email),
        },
        _ => None,
    }
}

/// The conversion to a class of numbers; abstract classes keep the width.
fn number_of_class(state: &State, class: Class) -> Option<Number> {
    if let (Class::Exactly(NumberClass::Bool), State::Value(Value::String(text))) = (class, state)
        && let Ok(truth) = bool::from_str(text)
    {
        return Some(Number::Bool(truth));
    }
    let number = match state {
        State::Value(Value::Id(id)) => parse_number(id.as_str())?,
        _ => number_of(state)?,
    };
    match class {
        Class::Number => Some(number),
        Class::UInt => Some(cast_kind(number, NumberKind::UInt)),
        Class::Int => Some(cast_kind(number, NumberKind::Int)),
        Class::Float => Some(cast_kind(number, NumberKind::Float)),
        Class::Complex => Some(cast_kind(number, NumberKind::Complex)),
        Class::Exactly(class) => Some(cast_number(number, class)),
        _ => None,
    }
}

fn number_of(state: &State) -> Option<Number> {
    match state {
        State::Value(Value::Number(number)) => Some(*number),
        State::Value(Value::String(text)) => parse_number(text),
        State::Tuple(tuple) => match tuple.items() {
            [item] => number_of(item),
            [re, im] => Some(complex(real_of(re)?, real_of(im)?)),
            _ => None,
        },
        _ => None,
    }
}

fn real_of(state: &State) -> Option<Number> {
    number_of(state).filter(|number| number.class().kind() < NumberKind::Complex)
}

/// The complex number with the given parts: a Complex32 if both are Float32, else a Complex64.
fn complex(re: Number, im: Number) -> Number {
    match (re, im) {
        (Number::F32(re), Number::F32(im)) => Number::C32(Complex32::new(re, im)),
        _ => Number::C64(Complex64::new(to_f64(re), to_f64(im))),
    }
}

fn id_of(state: &State) -> Option<Id> {
    match state {
        State::Value(Value::Id(id)) => Some(id.clone()),
        State::Value(Value::String(text)) => text.parse().ok(),
        State::Value(Value::Version(version)) => version.to_string().parse().ok(),
        State::Value(Value::Number(number)) if number.class().kind() <= NumberKind::Int => {
            number.to_string().parse().ok()
        }
        _ => None,
    }
}

fn bytes_of(state: &State, read: ReadBytes) -> Option<Arc<[u8]>> {
    match state {
        State::Value(Value::Bytes(bytes)) => Some(Arc::clone(bytes)),
        State::Value(Value::String(text)) => read(text).map(Into::into),
        State::Tuple(tuple) => tuple.items().iter().map(|item| u8::try_from(integer_of(item)?).ok()).collect(),
        _ => None,
    }
}

fn version_of(state: &State) -> Option<Version> {
    match state {
        State::Value(Value::Version(version)) => Some(*version),
        State::Tuple(tuple) => {
            let [major, minor, patch] = tuple.items() else { return None };
            let part = |item: &State| integer_of(item).and_then(|n| u32::try_from(n).ok());
            Some(Version { major: part(major)?, minor: part(minor)?, patch: part(patch)? })
        }
        _ => plain_text(state)?.parse().ok(),
    }
}

/// The text of a String or an Id.
fn plain_text(state: &State) -> Option<&str> {
    match state {
        State::Value(Value::String(text)) => Some(text),
        State::Value(Value::Id(id)) => Some(id.as_str()),
        _ => None,
    }
}

/// The value of an integer that is not a boolean.
fn integer_of(state: &State) -> Option<i128> {
    match state {
        State::Value(Value::Number(number)) if number.class() != NumberClass::Bool => to_integer(*number),
        _ => None,
    }
}

fn read_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

fn read_hex_or_base64(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().or_else(|| read_base64(text))
}

/// A tuple as it is, or the entries of a map as pairs.
fn tuple_of(state: &State) -> Result<Option<Tuple>> {
    match state {
        State::Tuple(tuple) => Ok(Some(tuple.clone())),
        State::Map(map) => {
            let pairs = map.iter().map(|(name, value)| {
                let name = State::Value(Value::String(Arc::clone(name.shared())));
                Tuple::try_new([name, value.clone()]).map(State::from)
            });
            Tuple::try_new(pairs.collect::<Result<Vec<State>>>()?).map(Some)
        }
        _ => Ok(None),
    }
}

/// See [`to_map`].
fn map_of(state: &State) -> Result<Option<Map>> {
    match state {
        State::Map(map) => Ok(Some(map.clone())),
        State::Value(Value::Id(id)) => {
            let empty = Tuple::try_new(Vec::<State>::new())?;
            Map::try_new([(id.clone(), empty.into())]).map(Some)
        }
        State::Tuple(tuple) => {
            let entries: Option<Vec<(Id, State)>> = tuple.items().iter().map(entry_of).collect();
            entries.map(Map::try_new).transpose()
        }
        _ => Ok(None),
    }
}

/// The map entry that a pair of name and state stands for.
fn entry_of(state: &State) -> Option<(Id, State)> {
    let State::Tuple(pair) = state else { return None };
    let [name, value] = pair.items() else { return None };
    Some((to_id(name).ok()?, value.clone()))
}

/// The item of a tuple of one.
fn only_item(state: &State) -> Option<&State> {
    match state {
        State::Tuple(tuple) => match tuple.items() {
            [item] => Some(item),
            _ => None,
        },
        _ => None,
    }
}

fn cannot_cast(state: &State, class: Class) -> Error {
    Error::bad_request(format!("cannot cast {} to {class}", show(state)))
}

/// The JSON text of a state for a message, or only its class if that text is long.
fn show(state: &State) -> String {
    /// Messages repeat states up to this weight in bytes, so that an error stays small whatever caused it.
    const WEIGHT_MAX: u64 = 1024;
    if state.weight() <= WEIGHT_MAX { to_json(state) } else { format!("a large {}", state.class()) }
}

/// A number as an index: any fraction is dropped.
///
/// # Errors
/// As [`to_number`].
pub fn to_index(state: &State) -> Result<i64> {
    let number = cast_number(to_number(state)?, NumberClass::I64);
    Ok(if let Number::I64(index) = number { index } else { 0 })
}

#[cfg(test)]
mod tests;
