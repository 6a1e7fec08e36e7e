//! Methods of tuples.

use super::map::{EQ, NE};
use super::{Body, LoopKind, Method, Param, Params, ResultClass, param};
use crate::error::{Error, Result};
use crate::value::{Class, NumberClass, State, Tuple, equal};

const BOOL: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::Bool));
const TUPLE: ResultClass = ResultClass::Exactly(Class::Tuple);
const OP: Param = param("op", "Op or Closure");

pub(super) static METHODS: &[Method] = &[
    Method {
        name: "append",
        aliases: &["extend"],
        params: Params::Key(param("items", "Tuple")),
        result: TUPLE,
        doc: "This tuple followed by the items of the argument.",
        example: (r#"[["t",[1,2]],["r",{"$t/append":[[3]]}]]"#, "[1,2,3]"),
        body: Body::Binary(|l, r| concatenate(items(l)?, items(r)?)),
    },
    Method {
        name: "contains",
        aliases: &[],
        params: Params::Key(param("item", "Value")),
        result: BOOL,
        doc: "Whether an item equals the argument.",
        example: (r#"[["t",[1,2,3]],["r",{"$t/contains":[2.0]}]]"#, "true"),
        body: Body::Binary(|l, r| Ok(equal::contains(items(l)?, r).into())),
    },
    Method {
        name: "eq",
        aliases: &[],
        params: Params::One(EQ),
        result: BOOL,
        doc: "Whether both have the same length and equal items.",
        example: (r#"[["t",[1,2]],["r",{"$t/eq":{"eq":[1.0,2]}}]]"#, "true"),
        body: Body::Binary(|l, r| Ok(equal::equal(l, r).into())),
    },
    Method {
        name: "filter",
        aliases: &[],
        params: Params::Named(&[OP]),
        result: TUPLE,
        doc: "The items for which the op is true. A GET op takes the item as its key, a POST op as its parameters.",
        example: (
            r#"[["t",[1,2,3]],["r",{"$t/filter":{"op":{"/state/scalar/op/get":["n",[["_return",{"$n/gt":[1]}]]]}}}]]"#,
            "[2,3]",
        ),
        body: Body::Loop(LoopKind::Filter),
    },
    Method {
        name: "fold",
        aliases: &[],
        params: Params::Named(&[param("item_name", "Id"), param("value", "Map"), OP]),
        result: ResultClass::Exactly(Class::State),
        doc: "Calls a POST op for each item in order, with the entries of the state and the item under `item_name`; the \
              result is the next state. `value` is the first state, the last one is the result.",
        example: (
            r#"[["t",[1,2,3]],["r",{"$t/fold":{"item_name":"n","value":{"s":0},"op":{"/state/scalar/op/post":[["_return",{"s":{"$s/add":{"r":{"$n":[]}}}}]]}}}]]"#,
            r#"{"s":6}"#,
        ),
        body: Body::Loop(LoopKind::Fold),
    },
    Method {
        name: "for_each",
        aliases: &[],
        params: Params::Named(&[OP]),
        result: ResultClass::Exactly(Class::State),
        doc: "Calls the op for each item, one after the other. The result is the last result.",
        example: (
            r#"[["t",[1,2,3]],["r",{"$t/for_each":{"op":{"/state/scalar/op/get":["n",[["_return",{"$n/mul":[2]}]]]}}}]]"#,
            "6",
        ),
        body: Body::Loop(LoopKind::ForEach),
    },
    Method {
        name: "len",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Exactly(NumberClass::U64)),
        doc: "The number of items, as UInt64.",
        example: (r#"[["t",[1,2]],["r",{"$t/len":[null]}]]"#, "2"),
        body: Body::Unary(|tuple| Ok((items(tuple)?.len() as u64).into())),
    },
    Method {
        name: "map",
        aliases: &[],
        params: Params::Named(&[OP]),
        result: TUPLE,
        doc: "The results of the op for each item, in order. Calls that wait for another host run concurrently.",
        example: (
            r#"[["t",[1,2,3]],["r",{"$t/map":{"op":{"/state/scalar/op/get":["n",[["_return",{"$n/mul":[2]}]]]}}}]]"#,
            "[2,4,6]",
        ),
        body: Body::Loop(LoopKind::Map),
    },
    Method {
        name: "ne",
        aliases: &[],
        params: Params::One(NE),
        result: BOOL,
        doc: "Whether the two are not equal.",
        example: (r#"[["t",[1]],["r",{"$t/ne":{"ne":[2]}}]]"#, "true"),
        body: Body::Binary(|l, r| Ok((!equal::equal(l, r)).into())),
    },
    Method {
        name: "zip",
        aliases: &[],
        params: Params::Key(param("items", "Tuple")),
        result: TUPLE,
        doc: "Pairs of items of this tuple and of the argument, which must have the same length.",
        example: (r#"[["t",[1,2]],["r",{"$t/zip":[[3,4]]}]]"#, "[[1,3],[2,4]]"),
        body: Body::Binary(zip),
    },
];

fn items(state: &State) -> Result<&[State]> {
    match state {
        State::Tuple(tuple) => Ok(tuple.items()),
        other => Err(Error::bad_request(format!("expected a tuple, found a {}", other.class()))),
    }
}

/// The items of `l` followed by those of `r`.
pub(super) fn concatenate(l: &[State], r: &[State]) -> Result<State> {
    Ok(Tuple::try_new([l, r].concat())?.into())
}

fn zip(l: &State, r: &State) -> Result<State> {
    let (l, r) = (items(l)?, items(r)?);
    if l.len() != r.len() {
        return Err(Error::bad_request(format!("cannot zip {} items with {}", l.len(), r.len())));
    }
    let pairs = l.iter().zip(r).map(|(l, r)| Ok(Tuple::try_new([l.clone(), r.clone()])?.into()));
    Ok(Tuple::try_new(pairs.collect::<Result<Vec<State>>>()?)?.into())
}
