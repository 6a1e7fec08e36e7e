//! Methods of B-trees. The executor performs them, by the plan of [`crate::compiler::collection`].

use super::{Body, Method, Params, ResultClass, param};
use crate::value::{Class, NumberClass};

const BOOL: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::Bool));
const U64: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::U64));

/// A step `r` after a B-tree `t` of two rows.
macro_rules! program {
    ($step:literal) => {
        concat!(
            r#"[["t",{"/state/collection/btree":[[["sku",{"/state/scalar/value/number/int":{}}],"#,
            r#"["label",{"/state/scalar/value/string":{}},40]],[[3,"bolt"],[5,"nut"]]]}],["r","#,
            $step,
            "]]"
        )
    };
}

pub(super) static METHODS: &[Method] = &[
    Method {
        name: "class",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::Link),
        doc: "The class of B-trees, as a link. The key is ignored.",
        example: (program!(r#"{"$t/class":[null]}"#), r#"{"/state/collection/btree":[]}"#),
        body: Body::Data,
    },
    Method {
        name: "copy",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Receiver,
        doc: "A new B-tree of the same schema with the same rows. It can be written to, also if this is a view.",
        example: (
            program!(r#"{"$t/copy":[null]}"#),
            concat!(
                r#"{"/state/collection/btree":[[["sku",{"/state/scalar/value/number/int":{}}],"#,
                r#"["label",{"/state/scalar/value/string":{}},40]],[[3,"bolt"],[5,"nut"]]]}"#
            ),
        ),
        body: Body::Data,
    },
    Method {
        name: "count",
        aliases: &[],
        params: Params::OptionalKey(param("range", "Tuple")),
        result: U64,
        doc: "The number of rows, as UInt64. The argument says in which range: values of the first columns, of which the \
              last may be a pair of bounds `[\"in\", value]`, `[\"ex\", value]` or null.",
        example: (program!(r#"{"$t/count":[[[["in",4],null]]]}"#), "1"),
        body: Body::Data,
    },
    Method {
        name: "first",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Map),
        doc: "The first row, as a map of column to value. An error of kind not_found if there is none.",
        example: (program!(r#"{"$t/first":[null]}"#), r#"{"label":"bolt","sku":3}"#),
        body: Body::Data,
    },
    Method {
        name: "hash",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Id),
        doc: "A SHA-256 of schema and rows as an Id of 64 hexadecimal digits.",
        example: (
            program!(r#"{"$t/hash":[null]}"#),
            r#"{"8b87e6e5f771a8ca4d35935d12fd83b4e0235e4ac7953b802be8d869f78eb092":[]}"#,
        ),
        body: Body::Data,
    },
    Method {
        name: "is_none",
        aliases: &[],
        params: Params::OptionalKey(param("key", "None")),
        result: BOOL,
        doc: "False: a B-tree is something, also if it has no rows.",
        example: (program!(r#"{"$t/is_none":[null]}"#), "false"),
        body: Body::Data,
    },
    Method {
        name: "reverse",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Receiver,
        doc: "The same rows from the last to the first. Like every view, it cannot be written to.",
        example: (
            program!(r#"{"$t/reverse":[null]}"#),
            concat!(
                r#"{"/state/collection/btree":[[["sku",{"/state/scalar/value/number/int":{}}],"#,
                r#"["label",{"/state/scalar/value/string":{}},40]],[[5,"nut"],[3,"bolt"]]]}"#
            ),
        ),
        body: Body::Data,
    },
    Method {
        name: "rows",
        aliases: &["keys"],
        params: Params::OptionalKey(param("range", "Tuple")),
        result: ResultClass::Exactly(Class::Stream),
        doc: "The rows as a stream, in their order; with an argument, those within a range, as for `count`.",
        example: (program!(r#"{"$t/rows":[[[["in",4],null]]]}"#), r#"[[5,"nut"]]"#),
        body: Body::Data,
    },
    Method {
        name: "schema",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Tuple),
        doc: "The columns, each with its name, its class as a link, and the length in bytes of its longest cell where \
              there is one.",
        example: (
            program!(r#"{"$t/schema":[null]}"#),
            r#"[["sku",{"/state/scalar/value/number/int":[]}],["label",{"/state/scalar/value/string":[]},40]]"#,
        ),
        body: Body::Data,
    },
    Method {
        name: "tensor",
        aliases: &[],
        params: Params::OptionalKey(param("columns", "Tuple")),
        result: ResultClass::Exactly(Class::Dense),
        doc: "The cells of columns of numbers as a dense tensor, with a row for each row, in their order. Without an argument, of \
              all such columns; of one column that is named by itself, a vector.",
        example: (
            program!(r#"{"$t/tensor":["sku"]}"#),
            r#"{"/state/collection/tensor/dense":[["/state/scalar/value/number/int/32",[2]],[3,5]]}"#,
        ),
        body: Body::Data,
    },
];
