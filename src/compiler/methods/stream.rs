//! Methods of streams: the rows of a collection, and what ops make of them.
//!
//! Those that make another stream only describe it. The others read the items, which the executor does.

use super::{Body, LoopKind, Method, Param, Params, ResultClass, param};
use crate::error::{Error, Result};
use crate::value::stream::Stage;
use crate::value::{Class, NumberClass, State, Stream};

const STREAM: ResultClass = ResultClass::Exactly(Class::Stream);
const STATE: ResultClass = ResultClass::Exactly(Class::State);
const OP: Param = param("op", "Op or Closure");

/// Steps `s`, the rows of a B-tree, and `r`.
macro_rules! program {
    ($step:literal) => {
        concat!(
            r#"[["t",{"/state/collection/btree":[[["sku",{"/state/scalar/value/number/int":{}}],"#,
            r#"["label",{"/state/scalar/value/string":{}},40]],[[3,"bolt"],[5,"nut"]]]}],"#,
            r#"["s",{"$t/rows":[null]}],["r","#,
            $step,
            "]]"
        )
    };
}

/// The same with a stream `n` of the numbers 3 and 5 instead of `s`.
macro_rules! numbers {
    ($step:literal) => {
        concat!(
            r#"[["t",{"/state/collection/btree":[[["sku",{"/state/scalar/value/number/int":{}}]],[[3],[5]]]}],"#,
            r#"["s",{"$t/rows":[null]}],"#,
            r#"["n",{"$s/map":{"op":{"/state/scalar/op/post":[["_return",{"$sku":[]}]]}}}],["r","#,
            $step,
            "]]"
        )
    };
}

pub(super) static METHODS: &[Method] = &[
    Method {
        name: "aggregate",
        aliases: &["distinct"],
        params: Params::None,
        result: STREAM,
        doc: "The items without those that equal the one before. Where equal items are next to each other, because the \
              rows are ordered by them, each is there once.",
        example: (program!(r#"{"$s/aggregate":[null]}"#), r#"[[3,"bolt"],[5,"nut"]]"#),
        body: Body::Unary(|state| Ok(stream(state)?.then(Stage::Distinct).into())),
    },
    Method {
        name: "collect",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Tuple),
        doc: "The items as a Tuple.",
        example: (program!(r#"{"$s/collect":[null]}"#), r#"[[3,"bolt"],[5,"nut"]]"#),
        body: Body::Loop(LoopKind::Collect),
    },
    Method {
        name: "count",
        aliases: &["len"],
        params: Params::None,
        result: ResultClass::Exactly(Class::Exactly(NumberClass::U64)),
        doc: "The number of items, as UInt64.",
        example: (program!(r#"{"$s/count":[null]}"#), "2"),
        body: Body::Loop(LoopKind::Count),
    },
    Method {
        name: "filter",
        aliases: &[],
        params: Params::Named(&[OP]),
        result: STREAM,
        doc: "The items for which the op is true. The op gets them as that of `map` does.",
        example: (
            program!(r#"{"$s/filter":{"op":{"/state/scalar/op/post":[["_return",{"$sku/gt":[4]}]]}}}"#),
            r#"[[5,"nut"]]"#,
        ),
        body: Body::Binary(|state, op| Ok(stream(state)?.then(Stage::Filter(callable(op)?)).into())),
    },
    Method {
        name: "first",
        aliases: &[],
        params: Params::None,
        result: STATE,
        doc: "The first item; None if there is none.",
        example: (program!(r#"{"$s/first":[null]}"#), r#"[3,"bolt"]"#),
        body: Body::Loop(LoopKind::First),
    },
    Method {
        name: "fold",
        aliases: &[],
        params: Params::Named(&[param("item_name", "Id"), param("value", "Map"), OP]),
        result: STATE,
        doc: "Calls a POST op for each item in order, with the entries of the state and the item under `item_name`; the \
              result is the next state. `value` is the first state, the last one is the result.",
        example: (
            numbers!(
                r#"{"$n/fold":{"item_name":"n","value":{"s":0},"op":{"/state/scalar/op/post":[["_return",{"s":{"$s/add":{"r":{"$n":[]}}}}]]}}}"#
            ),
            r#"{"s":8}"#,
        ),
        body: Body::Loop(LoopKind::Fold),
    },
    Method {
        name: "for_each",
        aliases: &[],
        params: Params::Named(&[OP]),
        result: STATE,
        doc: "Calls the op for each item, one after the other. The result is the last result. What the op writes does not \
              change which items there are.",
        example: (program!(r#"{"$s/for_each":{"op":{"/state/scalar/op/post":[["_return",{"$sku/mul":[2]}]]}}}"#), "10"),
        body: Body::Loop(LoopKind::ForEach),
    },
    Method {
        name: "map",
        aliases: &[],
        params: Params::Named(&[OP]),
        result: STREAM,
        doc: "What the op makes of each item. A GET op takes the item as its key. A POST op takes a row's cells by the names \
              of its columns, or the entries of an item that is a map. An op that only computes with numbers is run on \
              whole columns.",
        example: (program!(r#"{"$s/map":{"op":{"/state/scalar/op/post":[["_return",{"$sku/mul":[2]}]]}}}"#), "[6,10]"),
        body: Body::Binary(|state, op| Ok(stream(state)?.then(Stage::Map(callable(op)?)).into())),
    },
    Method {
        name: "max",
        aliases: &[],
        params: Params::None,
        result: STATE,
        doc: "The greatest item in the order of keys; None if there is none.",
        example: (numbers!(r#"{"$n/max":[null]}"#), "5"),
        body: Body::Loop(LoopKind::Max),
    },
    Method {
        name: "min",
        aliases: &[],
        params: Params::None,
        result: STATE,
        doc: "The least item in the order of keys; None if there is none.",
        example: (numbers!(r#"{"$n/min":[null]}"#), "3"),
        body: Body::Loop(LoopKind::Min),
    },
    Method {
        name: "sum",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Number),
        doc: "The sum of items that are numbers: an Int64 or, if all are unsigned, a UInt64, and an error if that cannot \
              hold it; a Float64 if one is a float, a Complex64 if one is complex. Without items, 0.",
        example: (numbers!(r#"{"$n/sum":[null]}"#), "8"),
        body: Body::Loop(LoopKind::Sum),
    },
];

fn stream(state: &State) -> Result<&Stream> {
    match state {
        State::Stream(stream) => Ok(stream),
        other => Err(Error::bad_request(format!("expected a stream, found a {}", other.class()))),
    }
}

/// An op or a closure.
fn callable(state: &State) -> Result<State> {
    match state {
        State::Op(_) | State::Closure(_) => Ok(state.clone()),
        other => Err(Error::bad_request(format!("expected an op or a closure, found a {}", other.class()))),
    }
}
