//! The table of casts, cell by cell.

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
