//! The total order of states, for sorting and for keys of collections.
//!
//! Values are ordered by class, then within the class: None < Version < Number < Bytes < Id < Email < String < Link <
//! Tuple. What is not a value comes after all values, so that the order is total; no collection has such keys.

use std::cmp::Ordering;

use super::encode::to_json;
use super::number::compare;
use super::{Map, State, Value, Verb};

/// The order of two states.
///
/// Numbers of all classes are compared numerically, texts by code point, bytes lexicographically, versions and links
/// part by part, tuples item by item with a prefix first, and maps entry by entry. Ops and closures are compared by
/// their JSON text.
pub fn collate(l: &State, r: &State) -> Ordering {
    match (l, r) {
        (State::Value(l), State::Value(r)) => collate_values(l, r),
        (State::Tuple(l), State::Tuple(r)) => collate_items(l.items(), r.items()),
        (State::Map(l), State::Map(r)) => collate_maps(l, r),
        _ => rank(l).cmp(&rank(r)).then_with(|| to_json(l).cmp(&to_json(r))),
    }
}

/// The place of the class of a state in the order of classes.
fn rank(state: &State) -> u8 {
    match state {
        State::Value(value) => rank_of_value(value),
        State::Tuple(_) => 8,
        State::Map(_) => 9,
        State::Op(op) => match op.kind.verb() {
            Verb::Get => 10,
            Verb::Put => 11,
            Verb::Post => 12,
            Verb::Delete => 13,
        },
        State::Closure(_) => 14,
        State::Collection(_) => 15,
        State::Tensor(_) => 16,
        State::Stream(_) => 17,
        State::Object(_) => 18,
    }
}

fn rank_of_value(value: &Value) -> u8 {
    match value {
        Value::None => 0,
        Value::Version(_) => 1,
        Value::Number(_) => 2,
        Value::Bytes(_) => 3,
        Value::Id(_) => 4,
        Value::Email(_) => 5,
        Value::String(_) => 6,
        Value::Link(_) => 7,
    }
}

fn collate_values(l: &Value, r: &Value) -> Ordering {
    match (l, r) {
        (Value::Number(l), Value::Number(r)) => compare::collate(*l, *r),
        (Value::String(l), Value::String(r)) => l.cmp(r),
        (Value::Id(l), Value::Id(r)) => l.cmp(r),
        (Value::Bytes(l), Value::Bytes(r)) => l.cmp(r),
        (Value::Link(l), Value::Link(r)) => l.cmp(r),
        (Value::Email(l), Value::Email(r)) => l.cmp(r),
        (Value::Version(l), Value::Version(r)) => l.cmp(r),
        _ => rank_of_value(l).cmp(&rank_of_value(r)),
    }
}

/// Compares item by item; a prefix comes first.
fn collate_items(l: &[State], r: &[State]) -> Ordering {
    let differing = l.iter().zip(r).map(|(l, r)| collate(l, r)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| l.len().cmp(&r.len()))
}

/// Compares the names, then the states.
fn collate_maps(l: &Map, r: &Map) -> Ordering {
    l.keys().cmp(r.keys()).then_with(|| collate_items(l.values(), r.values()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::value::number::Complex64;
    use crate::value::sample::{bytes, email, float, id, int, link, map, string, tuple, version};
    use crate::value::{Closure, Expr, Id, Number, OpDef, OpKind, Step};

    fn op(kind: OpKind, value: i64) -> Arc<OpDef> {
        let step = Step { name: "a".into(), expr: Expr::Literal(int(value)) };
        Arc::new(OpDef::new(kind, vec![step]))
    }

    /// Checks that the order of all pairs is that of the list.
    #[track_caller]
    fn check(sorted: &[State]) {
        for (i, l) in sorted.iter().enumerate() {
            for (j, r) in sorted.iter().enumerate() {
                assert_eq!(collate(l, r), i.cmp(&j), "{l:?}, {r:?}");
            }
        }
    }

    #[test]
    fn classes_are_in_order() {
        let context = Map::try_new(Vec::<(Id, State)>::new()).unwrap();
        check(&[
            State::NONE,
            version("9.9.9"),
            float(f64::NEG_INFINITY),
            float(f64::NAN),
            bytes(&[255]),
            id("z"),
            email("a@b.co"),
            string("a"),
            link("/a"),
            tuple([State::NONE]),
            map([]),
            State::Op(op(OpKind::Get { key: "k".into() }, 1)),
            State::Op(op(OpKind::Post, 1)),
            State::Op(op(OpKind::Post, 2)),
            State::Op(op(OpKind::Delete { key: "k".into() }, 1)),
            State::Closure(Arc::new(Closure { context, op: op(OpKind::Post, 1) })),
        ]);
    }

    #[test]
    fn numbers_of_all_classes_are_compared_numerically() {
        check(&[
            int(-5),
            false.into(),
            float(0.5),
            Number::U8(1).into(),
            Number::C64(Complex64::new(-3.0, 4.0)).into(),
            Number::C64(Complex64::new(3.0, -4.0)).into(),
            Number::C64(Complex64::new(3.0, 4.0)).into(),
            Number::U64(u64::MAX).into(),
            float(f64::INFINITY),
            float(f64::NAN),
        ]);
        assert_eq!(collate(&float(-0.0), &float(0.0)), Ordering::Equal);
        assert_eq!(collate(&int(1), &float(1.0)), Ordering::Equal);
    }

    #[test]
    fn texts_are_compared_by_code_point() {
        check(&["", "A", "B", "a", "aa", "b", "é", "\u{ffff}", "\u{10000}"].map(string));
        check(&["10", "9", "a", "b"].map(id));
        check(&["a@b.co", "b@a.co"].map(email));
    }

    #[test]
    fn versions_bytes_and_links_are_compared_part_by_part() {
        check(&["1.2.3", "1.2.10", "1.10.0", "2.0.0"].map(version));
        check(&[bytes(&[]), bytes(&[1]), bytes(&[1, 0]), bytes(&[2])]);
        check(&["http://9.0.0.0/a", "http://10.0.0.0", "http://[::1]/", "/", "/a", "/a/b", "/b"].map(link));
    }

    #[test]
    fn a_prefix_of_a_tuple_comes_first() {
        check(&[tuple([]), tuple([int(1)]), tuple([int(1), int(2)]), tuple([int(2)]), tuple([string("a")])]);
    }

    #[test]
    fn maps_are_compared_by_names_then_by_states() {
        check(&[map([]), map([("a", int(1))]), map([("a", int(2))]), map([("a", int(1)), ("b", int(1))])]);
    }
}
