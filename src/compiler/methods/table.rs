//! Methods of tables. The executor performs them, by the plan of [`crate::compiler::collection`].

use super::{Body, Method, Param, Params, ResultClass, param};
use crate::value::{Class, NumberClass};

const BOOL: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::Bool));
const U64: ResultClass = ResultClass::Exactly(Class::Exactly(NumberClass::U64));
const TUPLE: ResultClass = ResultClass::Exactly(Class::Tuple);
const SELECTOR: Param = param("selector", "Tuple");

/// A step `r` after a table `t` of two rows.
macro_rules! program {
    ($step:literal) => {
        concat!(
            r#"[["t",{"/state/collection/table":[[[[["city",{"/state/scalar/value/string":{}},60]],"#,
            r#"[["zone",{"/state/scalar/value/number/uint":{}}],["since",{"/state/scalar/value/number/int/32":{}}]]],"#,
            r#"[["by_zone",["zone"]],["by_since",["since","zone"]]]],[["ash",3,2000],["elm",1,2001]]]}],["r","#,
            $step,
            "]]"
        )
    };
}

/// A table of the same schema with other rows.
macro_rules! table {
    ($rows:literal) => {
        concat!(
            r#"{"/state/collection/table":[[[[["city",{"/state/scalar/value/string":{}},60]],"#,
            r#"[["zone",{"/state/scalar/value/number/uint":{}}],["since",{"/state/scalar/value/number/int/32":{}}]]],"#,
            r#"[["by_zone",["zone"]],["by_since",["since","zone"]]]],"#,
            $rows,
            "]}"
        )
    };
}

pub(super) static METHODS: &[Method] = &[
    Method {
        name: "class",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::Link),
        doc: "The class of tables, as a link. The key is ignored.",
        example: (program!(r#"{"$t/class":[null]}"#), r#"{"/state/collection/table":[]}"#),
        body: Body::Data,
    },
    Method {
        name: "columns",
        aliases: &[],
        params: Params::None,
        result: TUPLE,
        doc: "The names of all columns, those of the key first, as Ids.",
        example: (program!(r#"{"$t/columns":[null]}"#), r#"[{"city":[]},{"zone":[]},{"since":[]}]"#),
        body: Body::Data,
    },
    Method {
        name: "contains",
        aliases: &[],
        params: Params::Key(SELECTOR),
        result: BOOL,
        doc: "Whether a row has the given key, or meets all conditions `[column, value]` or `[column, [bound, bound]]`, \
              where a bound is `[\"in\", value]`, `[\"ex\", value]` or null.",
        example: (program!(r#"{"$t/contains":[["ash"]]}"#), "true"),
        body: Body::Data,
    },
    Method {
        name: "copy",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Receiver,
        doc: "A new table of the same schema with the same rows. It can be written to, also if this is a view; a view of \
              selected columns has no key, and cannot be copied this way.",
        example: (program!(r#"{"$t/copy":[null]}"#), table!(r#"[["ash",3,2000],["elm",1,2001]]"#)),
        body: Body::Data,
    },
    Method {
        name: "count",
        aliases: &[],
        params: Params::OptionalKey(SELECTOR),
        result: U64,
        doc: "The number of rows, as UInt64; with an argument, of those that have the given key or meet all conditions.",
        example: (program!(r#"{"$t/count":[[["zone",[["in",2],["ex",6]]]]]}"#), "1"),
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
            r#"{"72d130e5d1564629354be2358fdc79d16978ab86fce1a0dbd7c287682aa738d5":[]}"#,
        ),
        body: Body::Data,
    },
    Method {
        name: "is_empty",
        aliases: &[],
        params: Params::None,
        result: BOOL,
        doc: "Whether there is no row.",
        example: (program!(r#"{"$t/is_empty":[null]}"#), "false"),
        body: Body::Data,
    },
    Method {
        name: "is_none",
        aliases: &[],
        params: Params::OptionalKey(param("key", "None")),
        result: BOOL,
        doc: "False: a table is something, also if it has no rows.",
        example: (program!(r#"{"$t/is_none":[null]}"#), "false"),
        body: Body::Data,
    },
    Method {
        name: "key_columns",
        aliases: &["key_names"],
        params: Params::None,
        result: TUPLE,
        doc: "The names of the columns that identify a row, as Ids.",
        example: (program!(r#"{"$t/key_columns":[null]}"#), r#"[{"city":[]}]"#),
        body: Body::Data,
    },
    Method {
        name: "limit",
        aliases: &[],
        params: Params::Key(param("rows", "Number")),
        result: ResultClass::Receiver,
        doc: "The first rows, as many as the argument says.",
        example: (program!(r#"{"$t/limit":[1]}"#), table!(r#"[["ash",3,2000]]"#)),
        body: Body::Data,
    },
    Method {
        name: "order",
        aliases: &[],
        params: Params::Key(param("columns", "Tuple")),
        result: ResultClass::Receiver,
        doc: "The same rows in another order: `[column, …]`, or `[[column, …], descending]`. Without columns, the order \
              that they are in is reversed. An order that no index has is sorted.",
        example: (program!(r#"{"$t/order":[[["zone"],false]]}"#), table!(r#"[["elm",1,2001],["ash",3,2000]]"#)),
        body: Body::Data,
    },
    Method {
        name: "rows",
        aliases: &[],
        params: Params::OptionalKey(SELECTOR),
        result: ResultClass::Exactly(Class::Stream),
        doc: "The rows as a stream, in their order; with an argument, those that meet all conditions, which can also be the \
              parameters of a POST.",
        example: (program!(r#"{"$t/rows":{"zone":[["in",2],null]}}"#), r#"[["ash",3,2000]]"#),
        body: Body::Data,
    },
    Method {
        name: "schema",
        aliases: &[],
        params: Params::None,
        result: TUPLE,
        doc: "Key columns and value columns, then the indexes. A column is its name, its class as a link, and the length in \
              bytes of its longest cell where there is one; an index is its name and its columns.",
        example: (
            program!(r#"{"$t/schema":[null]}"#),
            concat!(
                r#"[[[["city",{"/state/scalar/value/string":[]},60]],[["zone",{"/state/scalar/value/number/uint":[]}],"#,
                r#"["since",{"/state/scalar/value/number/int/32":[]}]]],"#,
                r#"[["by_zone",[{"zone":[]}]],["by_since",[{"since":[]},{"zone":[]}]]]]"#
            ),
        ),
        body: Body::Data,
    },
    Method {
        name: "select",
        aliases: &[],
        params: Params::Key(param("columns", "Tuple")),
        result: ResultClass::Receiver,
        doc: "The same rows with only these columns, in this order. None of them is a key any more.",
        example: (
            program!(r#"{"$t/select":[["zone","city"]]}"#),
            concat!(
                r#"{"/state/collection/table":[[[[],[["zone",{"/state/scalar/value/number/uint":{}}],"#,
                r#"["city",{"/state/scalar/value/string":{}},60]]],[]],[[3,"ash"],[1,"elm"]]]}"#
            ),
        ),
        body: Body::Data,
    },
    Method {
        name: "tensor",
        aliases: &[],
        params: Params::OptionalKey(param("columns", "Tuple")),
        result: ResultClass::Exactly(Class::Dense),
        doc: "The cells of columns of numbers as a dense tensor, with a row for each row, in their order. Without an argument, of \
              all such columns; of one column that is named by itself, a vector. The dtype is that which the classes of the \
              columns promote to. A PUT, with columns as its key and a tensor of that shape as its value, sets them in all rows \
              of the table or view: `{\"$t/tensor\": [columns, tensor]}`.",
        example: (
            program!(r#"{"$t/tensor":[["zone","since"]]}"#),
            r#"{"/state/collection/tensor/dense":[["/state/scalar/value/number/int/64",[2,2]],[3,2000,1,2001]]}"#,
        ),
        body: Body::Data,
    },
];
