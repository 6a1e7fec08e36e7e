//! Methods that belong to a path rather than to a state. The receiver of their bodies is their first argument.

use std::sync::{Arc, LazyLock};

use super::{Body, Method, Params, ResultClass, param};
use crate::error::{Error, Result};
use crate::value::state::WEIGHT_MAX;
use crate::value::{Class, State, Tuple, Value, cast};

/// Static methods; `name` is the whole path. The body of a GET is called with the key as its receiver, the body of a
/// POST with its two parameters in the order of their declaration.
pub(crate) static METHODS: &[Method] = &[
    Method {
        name: "/state/object/class",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::Link),
        doc: "The class that the key is; for programs of the time when a class had to be looked up.",
        example: (
            r#"[["x",5],["r",{"/state/object/class":{"$x/class":[null]}}]]"#,
            r#"{"/state/scalar/value/number/int/64":[]}"#,
        ),
        body: Body::Unary(class),
    },
    Method {
        name: "/state/scalar/value/bytes/uuid",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::Bytes),
        doc: "The 16 bytes of the UUID that the key reads as.",
        example: (
            r#"[["r",{"/state/scalar/value/bytes/uuid":["67e55044-10b1-426f-9247-bb680e5fe0c8"]}]]"#,
            r#""Z+VQRBCxQm+SR7toDl/gyA==""#,
        ),
        body: Body::Unary(|key| Ok(State::Value(Value::Bytes(Arc::from(uuid(key)?.as_bytes().as_slice()))))),
    },
    Method {
        name: "/state/scalar/value/id/uuid",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::Id),
        doc: "The UUID that the key reads as, as an Id.",
        example: (
            r#"[["r",{"/state/scalar/value/id/uuid":["67e55044-10b1-426f-9247-bb680e5fe0c8"]}]]"#,
            r#"{"67e55044-10b1-426f-9247-bb680e5fe0c8":[]}"#,
        ),
        body: Body::Unary(|key| Ok(uuid(key)?.to_string().parse::<crate::value::Id>()?.into())),
    },
    Method {
        name: "/state/scalar/value/string/uuid",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::String),
        doc: "The UUID that the key reads as, as a String.",
        example: (
            r#"[["r",{"/state/scalar/value/string/uuid":["67E55044-10b1-426f-9247-bb680e5fe0c8"]}]]"#,
            r#""67e55044-10b1-426f-9247-bb680e5fe0c8""#,
        ),
        body: Body::Unary(|key| Ok(uuid(key)?.to_string().into())),
    },
    Method {
        name: "/state/tuple/concatenate",
        aliases: &[],
        params: Params::Named(&[param("l", "Tuple"), param("r", "Tuple")]),
        result: ResultClass::Exactly(Class::Tuple),
        doc: "The items of `l` followed by those of `r`.",
        example: (r#"[["r",{"/state/tuple/concatenate":{"l":[1],"r":[2]}}]]"#, "[1,2]"),
        body: Body::Binary(|l, r| super::tuple::concatenate(&items(l)?, &items(r)?)),
    },
    Method {
        name: "/state/tuple/range",
        aliases: &[],
        params: Params::Ignored,
        result: ResultClass::Exactly(Class::Tuple),
        doc: "The Int64s from 0 to n, or of `[start, stop]`, or of `[start, stop, step]`; stop is excluded. A start above \
              stop counts down, excluding start and including stop.",
        example: (r#"[["r",{"/state/tuple/range":[[0,10,3]]}]]"#, "[0,3,6,9]"),
        body: Body::Unary(range),
    },
];

static INDEX: LazyLock<std::collections::HashMap<&'static str, &'static Method>> =
    LazyLock::new(|| METHODS.iter().map(|method| (method.name, method)).collect());

pub(super) fn find(path: &str) -> Option<&'static Method> {
    INDEX.get(path).copied()
}

fn class(key: &State) -> Result<State> {
    match key {
        State::Value(Value::Link(link)) if Class::of_link(link).is_some() => Ok(key.clone()),
        other => Err(Error::bad_request(format!("a {} is not a class", other.class()))),
    }
}

fn items(state: &State) -> Result<Vec<State>> {
    match cast::cast(state, Class::Tuple)? {
        State::Tuple(tuple) => Ok(tuple.items().to_vec()),
        other => Err(Error::bad_request(format!("expected a tuple, found a {}", other.class()))),
    }
}

fn uuid(key: &State) -> Result<uuid::Uuid> {
    let bytes = match key {
        State::Value(Value::Bytes(bytes)) => uuid::Uuid::from_slice(bytes).ok(),
        other => crate::value::text::text(other).and_then(|text| uuid::Uuid::parse_str(&text).ok()),
    };
    bytes.ok_or_else(|| Error::bad_request(format!("a {} that is not a UUID", key.class())))
}

/// The bounds and the step of a range.
fn range(key: &State) -> Result<State> {
    let (start, stop, step) = match key {
        State::Tuple(bounds) => match bounds.items() {
            [start, stop] => (cast::to_index(start)?, cast::to_index(stop)?, 1),
            [start, stop, step] => (cast::to_index(start)?, cast::to_index(stop)?, cast::to_index(step)?),
            other => return Err(Error::bad_request(format!("a range has two or three numbers, not {}", other.len()))),
        },
        State::Value(Value::None) => return Err(Error::bad_request("a range needs a stop")),
        stop => (0, cast::to_index(stop)?, 1),
    };
    if step <= 0 {
        return Err(Error::bad_request(format!("the step of a range must be positive, not {step}")));
    }
    let count = start.abs_diff(stop).div_ceil(step.unsigned_abs());
    if count > WEIGHT_MAX / size_of::<State>() as u64 {
        return Err(Error::bad_request(format!("a range of {count} numbers is too large")));
    }
    let last = count.saturating_sub(1);
    let offset = |i: u64| (i as i128) * i128::from(step);
    let numbers: Vec<State> = if start <= stop {
        (0..count).map(|i| State::from((i128::from(start) + offset(i)) as i64)).collect()
    } else {
        // Excluding start, including stop: one step down first.
        (0..=last).map(|i| State::from((i128::from(start) - offset(i) - 1).max(i128::from(stop)) as i64)).collect()
    };
    Ok(Tuple::try_new(numbers)?.into())
}
