//! Methods of maps. An entry hides a method of the same name.

use super::{Body, Method, Param, Params, ResultClass};
use crate::value::{Class, NumberClass, State, equal};

const BOOL: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::Bool));
pub(super) const EQ: Param = Param { name: "eq", aliases: &["r"], class: "State" };
pub(super) const NE: Param = Param { name: "ne", aliases: &["eq", "r"], class: "State" };

pub(super) static METHODS: &[Method] = &[
    Method {
        name: "eq",
        aliases: &[],
        params: Params::One(EQ),
        result: BOOL,
        doc: "Whether both have the same keys with equal values.",
        example: (r#"[["m",{"a":1}],["r",{"$m/eq":{"eq":{"a":1.0}}}]]"#, "true"),
        body: Body::Binary(|l, r| Ok(equal::equal(l, r).into())),
    },
    Method {
        name: "len",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Exactly(NumberClass::U64)),
        doc: "The number of entries, as UInt64.",
        example: (r#"[["m",{"a":1}],["r",{"$m/len":[null]}]]"#, "1"),
        body: Body::Unary(|map| Ok(if let State::Map(map) = map { map.len() as u64 } else { 0 }.into())),
    },
    Method {
        name: "ne",
        aliases: &[],
        params: Params::One(NE),
        result: BOOL,
        doc: "Whether the two are not equal.",
        example: (r#"[["m",{"a":1}],["r",{"$m/ne":{"ne":{"a":2}}}]]"#, "true"),
        body: Body::Binary(|l, r| Ok((!equal::equal(l, r)).into())),
    },
];
