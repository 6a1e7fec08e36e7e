//! Methods of every state.

use super::{Body, Method, Params, ResultClass, param};
use crate::error::Result;
use crate::value::{Class, State, hash};

pub(super) static METHODS: &[Method] = &[
    Method {
        name: "class",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::Link),
        doc: "The most specific class, as a link. The key is ignored.",
        example: (r#"[["a",1],["r",{"$a/class":[]}]]"#, r#"{"/state/scalar/value/number/int/64":[]}"#),
        body: Body::Unary(class),
    },
    Method {
        name: "copy",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Receiver,
        doc: "The same state. States are immutable, so nothing is copied.",
        example: (r#"[["a",[1,2]],["r",{"$a/copy":[]}]]"#, "[1,2]"),
        body: Body::Unary(|state| Ok(state.clone())),
    },
    Method {
        name: "hash",
        aliases: &[],
        params: Params::None,
        result: ResultClass::Exactly(Class::Id),
        doc: "The SHA-256 of the state as an Id of 64 hexadecimal digits. What counts as none has the hash zero.",
        example: (
            r#"[["a",5],["r",{"$a/hash":[]}]]"#,
            r#"{"5dee4dd60ff8d0ba9900fe91e90e0dcf65f0570d42c431f727d0300dd70dc431":[]}"#,
        ),
        body: Body::Unary(|state| Ok(hash::hash_id(state).into())),
    },
    Method {
        name: "is_none",
        aliases: &[],
        params: Params::OptionalKey(param("key", "None")),
        result: ResultClass::Exactly(Class::Exactly(crate::value::NumberClass::Bool)),
        doc: "Whether this is None, an empty tuple or map, or the link `/`.",
        example: (r#"[["a",{}],["r",{"$a/is_none":[]}]]"#, "true"),
        body: Body::Optional(|state, _| Ok(state.is_none().into())),
    },
];

fn class(state: &State) -> Result<State> {
    Ok(state.class().link().into())
}
