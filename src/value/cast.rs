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
        Class::Closure | Class::Op(_) | Class::Ref(_) | Class::Other(_) => {
            (state.class() == class).then(|| state.clone())
        }
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
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::value::sample::{bytes, email, float, id, int, link, map, string, tuple, version};
    use crate::value::{Closure, OpDef, OpKind, Verb};

    fn c64(re: f64, im: f64) -> State {
        Number::C64(Complex64::new(re, im)).into()
    }

    fn c32(re: f32, im: f32) -> State {
        Number::C32(Complex32::new(re, im)).into()
    }

    /// The class whose path ends so.
    fn class(name: &str) -> Class {
        let value = |path: &str| Class::at(&format!("/state/scalar/value{path}"));
        let class = if name.is_empty() { value("") } else { value(&format!("/{name}")) };
        class.or_else(|| value(&format!("/number/{name}"))).unwrap()
    }

    #[track_caller]
    fn check(state: State, name: &str, expected: State) {
        assert_eq!(cast(&state, class(name)), Ok(expected), "{state:?} to {name}");
    }

    #[track_caller]
    fn check_literal(state: State, name: &str, expected: State) {
        assert_eq!(cast_literal(&state, class(name)), Ok(expected), "{state:?} to {name}");
    }

    #[track_caller]
    fn check_error(state: State, name: &str) {
        assert_eq!(cast(&state, class(name)).unwrap_err().kind(), Kind::BadRequest, "{state:?} to {name}");
    }

    /// One value of each column of the table of casts.
    fn columns() -> Vec<State> {
        vec![
            true.into(),
            int(5),
            float(5.7),
            c64(1.0, 2.0),
            string("foo"),
            id("foo"),
            link("/a/b"),
            bytes(&[1, 2, 255]),
            email("a@b.co"),
            version("1.2.3"),
            tuple([int(1), int(2), int(3)]),
            State::NONE,
        ]
    }

    #[test]
    fn every_cast_that_the_table_does_not_allow_is_an_error() {
        let table = [
            ("none", "yyyyyyyyyyyy"),
            ("bool", "yyyy--------"),
            ("int", "yyyy--------"),
            ("uint/8", "yyyy--------"),
            ("float/32", "yyyy--------"),
            ("complex", "yyyy--------"),
            ("number", "yyyy--------"),
            ("string", "yyyyyyyyyy--"),
            ("id", "yy--yy---y--"),
            ("link", "------y-----"),
            ("email", "--------y---"),
            ("version", "---------yy-"),
            ("bytes", "----y--y--y-"),
            ("tuple", "----------y-"),
            ("", "yyyyyyyyyyyy"),
        ];
        // "foo" happens to be base64.
        for (name, allowed) in table {
            for (state, allowed) in columns().into_iter().zip(allowed.chars()) {
                let result = cast(&state, class(name));
                assert_eq!(result.is_ok(), allowed == 'y', "{state:?} to {name}: {result:?}");
            }
        }
    }

    #[test]
    fn numbers_become_other_numbers() {
        check(float(5.7), "int/32", Number::I32(5).into());
        check(int(70000), "int/16", Number::I16(4464).into());
        check(int(300), "uint/8", Number::U8(44).into());
        check(int(-1), "uint/8", Number::U8(255).into());
        check(int(-5), "uint/64", Number::U64(u64::MAX - 4).into());
        check(float(-5.7), "uint", Number::U64(0).into());
        check(float(1e20), "int/32", Number::I32(i32::MAX).into());
        check(true.into(), "float", Number::F32(1.0).into());
        check(c64(1.5, 2.0), "int", int(1));
        check(c32(1.5, 2.0), "float", Number::F32(1.5).into());
        check(float(0.5), "bool", true.into());
        check(int(3), "float", float(3.0));
        check(int(3), "complex", c64(3.0, 0.0));
        check(int(3), "complex/32", c32(3.0, 0.0));
    }

    #[test]
    fn text_becomes_a_number() {
        check(string(" 5 "), "int", int(5));
        check(string("5"), "number", int(5));
        check(string("1e3"), "number", float(1000.0));
        check(string("5.7"), "int/32", Number::I32(5).into());
        check(string("3+4i"), "complex", c64(3.0, 4.0));
        check(string("true"), "bool", true.into());
        check(string("false"), "bool", false.into());
        check(string("0"), "bool", false.into());
        check(id("5"), "int", int(5));
        check(id("3+4i"), "number", c64(3.0, 4.0));
        check_error(string(""), "number");
        check_error(string("abc"), "int");
        check_error(string("true"), "int");
        check_error(string("nan"), "float");
    }

    #[test]
    fn tuples_of_one_and_two_are_numbers() {
        check(tuple([int(5)]), "number", int(5));
        check(tuple([int(1), int(2)]), "number", c64(1.0, 2.0));
        check(tuple([int(1), int(2)]), "int", int(1));
        check(tuple([int(2), int(1)]), "complex", c64(2.0, 1.0));
        check(tuple([int(0), int(0)]), "bool", false.into());
        check(tuple([tuple([float(1.0), float(2.0)])]), "complex", c64(1.0, 2.0));
        check(tuple([Number::F32(1.0).into(), Number::F32(2.0).into()]), "complex", c32(1.0, 2.0));
        check_error(tuple([int(1), int(2), int(3)]), "number");
        check_error(tuple([]), "number");
        check_error(tuple([int(1), c64(1.0, 2.0)]), "number");
    }

    #[test]
    fn values_become_strings_by_their_text() {
        check(int(5), "string", string("5"));
        check(float(5.0), "string", string("5"));
        check(true.into(), "string", string("true"));
        check(c64(1.0, 2.0), "string", string("1+2i"));
        check(id("foo"), "string", string("foo"));
        check(link("/a/b"), "string", string("/a/b"));
        check(bytes(&[1, 2, 255]), "string", string("AQL/"));
        check(email("a@b.co"), "string", string("a@b.co"));
        check(version("1.2.3"), "string", string("1.2.3"));
    }

    #[test]
    fn text_becomes_what_it_is_valid_for() {
        check(string("foo"), "id", id("foo"));
        check(true.into(), "id", id("true"));
        check(int(5), "id", id("5"));
        check(int(-5), "id", id("-5"));
        check(version("1.2.3"), "id", id("1.2.3"));
        check(string("/a/b"), "link", link("/a/b"));
        check(string("a@b.co"), "email", email("a@b.co"));
        check(string("1.2.3"), "version", version("1.2.3"));
        check(id("1.2.3"), "version", version("1.2.3"));
        check(tuple([int(1), int(2), int(3)]), "version", version("1.2.3"));
        check_error(string("a b"), "id");
        check_error(string("a"), "link");
        check_error(string("nope"), "email");
        check_error(string("1.2"), "version");
        check_error(tuple([int(1), int(2), int(-3)]), "version");
        check_error(tuple([int(1), int(2), float(3.0)]), "version");
    }

    #[test]
    fn the_text_of_bytes_is_hexadecimal_or_base64_at_run_time_and_base64_in_a_literal() {
        check(string("00ff"), "bytes", bytes(&[0, 255]));
        check(string("AQL/"), "bytes", bytes(&[1, 2, 255]));
        check(string("AP8"), "bytes", bytes(&[0, 255]));
        check(string(""), "bytes", bytes(&[]));
        check(tuple([int(1), int(2), int(255)]), "bytes", bytes(&[1, 2, 255]));
        check_error(string("!"), "bytes");
        check_error(tuple([int(256)]), "bytes");
        check_error(tuple([string("1")]), "bytes");
        check_literal(string("00ff"), "bytes", bytes(&[0xd3, 0x47, 0xdf]));
        check_literal(string("Zm9v"), "bytes", bytes(b"foo"));
        check_literal(string("AQ=="), "bytes", bytes(&[1]));
        check_literal(string("AQ"), "bytes", bytes(&[1]));
        check_literal(tuple([int(1), int(2), int(255)]), "bytes", bytes(&[1, 2, 255]));
        check_literal(tuple([string("AQL/")]), "bytes", bytes(&[1, 2, 255]));
    }

    #[test]
    fn a_typed_literal_may_be_wrapped_in_a_list() {
        let five: State = Number::I32(5).into();
        for state in [int(5), tuple([int(5)]), float(5.7), string("5"), tuple([string("5")])] {
            check_literal(state, "int/32", five.clone());
        }
        check_literal(tuple([tuple([float(1.0), float(2.0)])]), "complex", c64(1.0, 2.0));
        check_literal(tuple([float(1.0), float(2.0)]), "complex", c64(1.0, 2.0));
        check_literal(tuple([tuple([int(1), int(2)])]), "number", c64(1.0, 2.0));
        check_literal(int(3), "complex/64", c64(3.0, 0.0));
        check_literal(int(3), "float", float(3.0));
        check_literal(tuple([string("x")]), "string", string("x"));
        check_literal(int(5), "string", string("5"));
        check_literal(tuple([string("foo")]), "id", id("foo"));
        check_literal(string("/a/b"), "link", link("/a/b"));
        check_literal(tuple([int(1), int(2)]), "tuple", tuple([int(1), int(2)]));
        check_literal(int(5), "", int(5));
        check_literal(State::NONE, "none", State::NONE);
        check_literal(tuple([int(1), int(2), int(3)]), "version", version("1.2.3"));
        check_literal(tuple([string("true")]), "bool", true.into());
    }

    #[test]
    fn errors_name_both_sides() {
        let int_32 = class("int/32");
        assert_eq!(cast(&string("abc"), int_32).unwrap_err().message(), "cannot cast \"abc\" to int/32");
        let error = cast_literal(&tuple([string("x")]), int_32).unwrap_err();
        assert_eq!(error.message(), "cannot cast \"x\" to int/32");
        let error = cast(&string(&"x".repeat(5000)), int_32).unwrap_err();
        assert_eq!(error.message(), "cannot cast a large string to int/32");
    }

    #[test]
    fn maps_and_tuples_of_pairs_convert_into_each_other() {
        let entries = map([("a", int(1)), ("b", string("x"))]);
        let pairs = tuple([tuple([string("a"), int(1)]), tuple([string("b"), string("x")])]);
        for (to_tuple, to_map) in [(Class::Tuple, Class::Map), (Class::ScalarTuple, Class::ScalarMap)] {
            assert_eq!(cast(&entries, to_tuple), Ok(pairs.clone()));
            assert_eq!(cast(&pairs, to_tuple), Ok(pairs.clone()));
            assert_eq!(cast(&pairs, to_map), Ok(entries.clone()));
            assert_eq!(cast(&entries, to_map), Ok(entries.clone()));
            assert_eq!(cast(&id("x"), to_map), Ok(map([("x", tuple([]))])));
            assert_eq!(cast(&tuple([tuple([id("a"), int(1)])]), to_map), Ok(map([("a", int(1))])));
            assert_eq!(cast(&tuple([]), to_map), Ok(map([])));
            for state in [State::NONE, int(1), string("a")] {
                assert!(cast(&state, to_tuple).is_err(), "{state:?}");
                assert!(cast(&state, to_map).is_err(), "{state:?}");
            }
            assert!(cast(&tuple([int(1)]), to_map).is_err());
            assert!(cast(&tuple([tuple([string("a b"), int(1)])]), to_map).is_err());
        }
    }

    #[test]
    fn what_is_not_a_value_is_only_itself() {
        let op = Arc::new(OpDef::new(OpKind::Post, vec![]));
        let context = Map::try_new(Vec::<(Id, State)>::new()).unwrap();
        let closure = State::Closure(Arc::new(Closure { context, op: Arc::clone(&op) }));
        let op = State::Op(op);
        for state in [&op, &closure, &map([("a", int(1))])] {
            assert_eq!(cast(state, Class::State).as_ref(), Ok(state));
            assert_eq!(cast(state, Class::Scalar).as_ref(), Ok(state));
            for name in ["", "none", "number", "string", "id", "tuple"] {
                check_error(state.clone(), name);
            }
        }
        assert_eq!(cast(&op, Class::Op(Verb::Post)).as_ref(), Ok(&op));
        assert_eq!(cast(&closure, Class::Closure).as_ref(), Ok(&closure));
        assert!(cast(&op, Class::Op(Verb::Get)).is_err());
        assert!(cast(&op, Class::Closure).is_err());
        assert!(cast(&int(5), Class::Closure).is_err());
        assert!(cast(&tuple([op]), Class::ValueTuple).is_err());
    }

    #[test]
    fn operands_are_numbers_or_stand_for_one() {
        assert_eq!(to_number(&int(5)), Ok(Number::I64(5)));
        assert_eq!(to_number(&string("3")), Ok(Number::I64(3)));
        assert_eq!(to_number(&tuple([int(3)])), Ok(Number::I64(3)));
        assert_eq!(to_number(&tuple([int(1), int(2)])), Ok(Number::C64(Complex64::new(1.0, 2.0))));
        for state in [string("x"), State::NONE, tuple([]), id("5"), map([])] {
            assert_eq!(to_number(&state).unwrap_err().kind(), Kind::BadRequest, "{state:?}");
        }
        assert_eq!(to_number(&string("x")).unwrap_err().message(), "\"x\" is not a number");
    }

    #[test]
    fn conditions_are_numbers_or_words() {
        for state in [true.into(), int(-1), float(0.5), string("true")] {
            assert_eq!(to_bool(&state), Ok(true), "{state:?}");
        }
        for state in [false.into(), int(0), float(0.0), string("false")] {
            assert_eq!(to_bool(&state), Ok(false), "{state:?}");
        }
        for state in [State::NONE, string("x"), string("1"), tuple([])] {
            assert_eq!(to_bool(&state).unwrap_err().kind(), Kind::BadRequest, "{state:?}");
        }
    }

    #[test]
    fn names_are_ids_or_their_text() {
        assert_eq!(to_id(&id("foo")), Ok(Id::from("foo")));
        assert_eq!(to_id(&string("foo")), Ok(Id::from("foo")));
        for state in [State::NONE, string("a b"), int(5)] {
            assert_eq!(to_id(&state).unwrap_err().kind(), Kind::BadRequest, "{state:?}");
        }
    }

    #[test]
    fn an_id_is_a_map_where_a_map_is_needed() {
        assert_eq!(to_map(&id("acc")).map(State::from), Some(map([("acc", tuple([]))])));
        assert_eq!(to_map(&map([("a", int(1))])).map(State::from), Some(map([("a", int(1))])));
        assert_eq!(to_map(&tuple([tuple([string("a"), int(1)])])).map(State::from), Some(map([("a", int(1))])));
        assert_eq!(to_map(&int(1)), None);
        assert_eq!(to_map(&tuple([int(1)])), None);
    }
}
