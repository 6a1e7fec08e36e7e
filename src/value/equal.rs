//! When two states are equal, as the methods `eq` and `ne` see it.
//!
//! This is wider than identity (`==`): numbers are equal across classes, a string equals what it is the text of, and an
//! Id equals the map that looks like it. It is not transitive, so nothing may be hashed or sorted by it.

use super::number::compare;
use super::number::text::parse;
use super::{Id, Map, State, Value};
use crate::error::{Error, Result};

/// Whether two states are equal.
///
/// Tuples are equal item by item, maps entry by entry, ops and closures if they are written the same, collections if
/// they are the same view of the same table, tensors if they are the same one, streams if they do the same to the rows of the same view.
pub fn equal(l: &State, r: &State) -> bool {
    match (l, r) {
        (State::Value(l), State::Value(r)) => equal_values(l, r),
        (State::Tuple(l), State::Tuple(r)) => equal_items(l.items(), r.items()),
        (State::Map(l), State::Map(r)) => l.keys() == r.keys() && equal_items(l.values(), r.values()),
        (State::Value(Value::Id(id)), State::Map(map)) | (State::Map(map), State::Value(Value::Id(id))) => {
            is_map_of(map, id)
        }
        (State::Op(l), State::Op(r)) => l == r,
        (State::Closure(l), State::Closure(r)) => l == r,
        (State::Collection(l), State::Collection(r)) => l == r,
        (State::Tensor(l), State::Tensor(r)) => l == r,
        (State::Stream(l), State::Stream(r)) => l == r,
        (State::Object(l), State::Object(r)) => l == r,
        _ => false,
    }
}

fn equal_items(l: &[State], r: &[State]) -> bool {
    l.len() == r.len() && l.iter().zip(r).all(|(l, r)| equal(l, r))
}

/// Whether `map` is `{id: []}`, which is written like the Id.
fn is_map_of(map: &Map, id: &Id) -> bool {
    map.len() == 1 && matches!(map.get(id.as_str()), Some(State::Tuple(tuple)) if tuple.items().is_empty())
}

fn equal_values(l: &Value, r: &Value) -> bool {
    match (l, r) {
        (Value::Number(l), Value::Number(r)) => compare::equal(*l, *r),
        (Value::String(l), Value::String(r)) => l == r,
        (Value::String(text), other) | (other, Value::String(text)) => is_text_of(text, other),
        _ => l == r,
    }
}

/// Whether a string equals a value of another class.
fn is_text_of(text: &str, value: &Value) -> bool {
    match value {
        Value::Number(number) => parse(text).is_some_and(|parsed| compare::equal(parsed, *number)),
        Value::Id(id) => id.as_str() == text,
        Value::Email(email) => email.as_str() == text,
        Value::Link(link) => link.to_string() == text,
        Value::Version(version) => version.to_string() == text,
        Value::String(string) => &**string == text,
        Value::None | Value::Bytes(_) => false,
    }
}

/// Whether one of `items` equals `item`.
pub fn contains(items: &[State], item: &State) -> bool {
    let State::Value(Value::String(text)) = item else { return items.iter().any(|other| equal(other, item)) };
    // A text is read as a number once, not for each number that it is compared with.
    let number = parse(text);
    items.iter().any(|other| match other {
        State::Value(Value::Number(other)) => number.is_some_and(|number| compare::equal(*other, number)),
        other => equal(other, item),
    })
}

/// Whether a case with this condition chooses the case of `value`.
///
/// # Errors
/// `BadRequest` unless both are values.
pub fn matches(cond: &State, value: &State) -> Result<bool> {
    match [cond, value].into_iter().find(|state| !state.is_value()) {
        Some(state) => Err(Error::bad_request(format!("a case compares values, not a {}", state.class()))),
        None => Ok(equal(cond, value)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::value::number::Complex64;
    use crate::value::sample::{email, float, id, int, link, map, string, tuple, version};
    use crate::value::{Closure, Expr, Number, OpDef, OpKind, Step};

    fn op(value: i64) -> Arc<OpDef> {
        let step = Step { name: "a".into(), expr: Expr::Literal(int(value)) };
        Arc::new(OpDef::new(OpKind::Post, vec![step]))
    }

    fn closure(context: State, value: i64) -> State {
        let State::Map(context) = context else { panic!("not a map") };
        State::Closure(Arc::new(Closure { context, op: op(value) }))
    }

    #[track_caller]
    fn check(l: State, r: State, expected: bool) {
        assert_eq!(equal(&l, &r), expected, "{l:?} eq {r:?}");
        assert_eq!(equal(&r, &l), expected, "{r:?} eq {l:?}");
    }

    #[test]
    fn values_of_one_class() {
        check(State::NONE, State::NONE, true);
        check(string("a"), string("a"), true);
        check(string("5"), string("5.0"), false);
        check(id("a"), id("b"), false);
        check(link("/a"), link("/a"), true);
        check(version("1.2.3"), version("1.2.4"), false);
        check(email("a@b.co"), email("a@b.co"), true);
        check(Value::Bytes([1u8].as_slice().into()).into(), Value::Bytes([1u8].as_slice().into()).into(), true);
    }

    #[test]
    fn numbers_are_equal_across_classes() {
        check(int(5), float(5.7), false);
        check(int(5), float(5.0), true);
        check(true.into(), int(1), true);
        check(false.into(), Number::C64(Complex64::new(0.0, 0.0)).into(), true);
        check(float(f64::NAN), float(f64::NAN), false);
    }

    #[test]
    fn a_string_equals_what_it_is_the_text_of() {
        check(string("5"), int(5), true);
        check(string("5.0"), int(5), true);
        check(string("x"), int(5), false);
        check(string("true"), true.into(), false);
        check(string("1.2.3"), version("1.2.3"), true);
        check(string("a@b.co"), email("a@b.co"), true);
        check(string("/a/b"), link("/a/b"), true);
        check(string("foo"), id("foo"), true);
        check(string("bar"), id("foo"), false);
        check(string("AQ=="), Value::Bytes([1u8].as_slice().into()).into(), false);
        check(string(""), State::NONE, false);
    }

    #[test]
    fn other_classes_differ() {
        check(int(5), State::NONE, false);
        check(int(5), tuple([int(5)]), false);
        check(id("a"), link("/a"), false);
        check(tuple([]), map([]), false);
        check(tuple([]), State::NONE, false);
    }

    #[test]
    fn containers_are_equal_part_by_part() {
        check(tuple([int(1), int(2)]), tuple([float(1.0), string("2")]), true);
        check(tuple([int(1)]), tuple([int(1), int(2)]), false);
        check(map([("a", int(1)), ("b", int(2))]), map([("b", float(2.0)), ("a", int(1))]), true);
        check(map([("a", int(1))]), map([("a", int(2))]), false);
        check(map([("a", int(1))]), map([("b", int(1))]), false);
        check(map([("a", map([("b", int(1))]))]), map([("a", map([("b", string("1"))]))]), true);
    }

    #[test]
    fn an_id_equals_the_map_that_looks_like_it() {
        check(id("x"), map([("x", tuple([]))]), true);
        check(id("x"), map([("y", tuple([]))]), false);
        check(id("x"), map([("x", int(1))]), false);
        check(id("x"), map([]), false);
        check(id("x"), map([("x", tuple([])), ("y", tuple([]))]), false);
    }

    #[test]
    fn ops_and_closures_are_equal_if_written_the_same() {
        check(State::Op(op(1)), State::Op(op(1)), true);
        check(State::Op(op(1)), State::Op(op(2)), false);
        check(closure(map([("x", int(1))]), 1), closure(map([("x", int(1))]), 1), true);
        check(closure(map([("x", int(1))]), 1), closure(map([("x", int(2))]), 1), false);
        check(closure(map([]), 1), State::Op(op(1)), false);
    }
}
