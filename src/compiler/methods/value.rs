//! Methods of values other than numbers: comparison, across classes by collation.

use super::{Body, Method, Param, Params, ResultClass};
use crate::value::{Class, NumberClass, collate, equal};

const R: Param = Param { name: "r", aliases: &["eq", "ne"], class: "Value" };
const BOOL: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::Bool));

macro_rules! comparison {
    ($name:literal, $aliases:expr, $test:expr, $doc:literal, $example:expr) => {
        Method {
            name: $name,
            aliases: $aliases,
            params: Params::One(R),
            result: BOOL,
            doc: $doc,
            example: $example,
            body: Body::Binary(|l, r| {
                let test: fn(std::cmp::Ordering) -> bool = $test;
                Ok(test(collate::collate(l, r)).into())
            }),
        }
    };
}

pub(super) static METHODS: &[Method] = &[
    Method {
        name: "eq",
        aliases: &[],
        params: Params::One(R),
        result: BOOL,
        doc: "Whether the two are equal. A text equals an Id, Link, Email or Version that is written like it.",
        example: (r#"[["s","foo"],["r",{"$s/eq":["foo"]}]]"#, "true"),
        body: Body::Binary(|l, r| Ok(equal::equal(l, r).into())),
    },
    comparison!(
        "ge",
        &["gte"],
        |o| o.is_ge(),
        "Whether this collates after or with the argument.",
        (r#"[["s","b"],["r",{"$s/ge":["a"]}]]"#, "true")
    ),
    comparison!(
        "gt",
        &[],
        |o| o.is_gt(),
        "Whether this collates after the argument.",
        (r#"[["s","b"],["r",{"$s/gt":["a"]}]]"#, "true")
    ),
    comparison!(
        "le",
        &["lte"],
        |o| o.is_le(),
        "Whether this collates before or with the argument.",
        (r#"[["s","b"],["r",{"$s/le":["a"]}]]"#, "false")
    ),
    comparison!(
        "lt",
        &[],
        |o| o.is_lt(),
        "Whether this collates before the argument.",
        (r#"[["s","b"],["r",{"$s/lt":["a"]}]]"#, "false")
    ),
    Method {
        name: "ne",
        aliases: &[],
        params: Params::One(R),
        result: BOOL,
        doc: "Whether the two are not equal.",
        example: (r#"[["s","foo"],["r",{"$s/ne":["bar"]}]]"#, "true"),
        body: Body::Binary(|l, r| Ok((!equal::equal(l, r)).into())),
    },
];
