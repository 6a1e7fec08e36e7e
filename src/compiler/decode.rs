//! Documents become expressions.
//!
//! One decoder serves bodies, keys, op definitions and every nested position, so that the meaning of an object never
//! depends on where it stands. Errors carry their place ([`Error::within`]); nothing is resolved here.
//!
//! 1. [`steps`] are the steps of programs and ops;
//! 2. [`call`](mod@call) is what a `$name` or a link does with its arguments;
//! 3. [`typed`] is what has a class, and [`flow`] what is a reference.

mod call;
mod flow;
mod steps;
mod typed;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use self::call::decode_definition;
use self::call::{decode_link, decode_reference};
pub use self::steps::{decode_steps, is_named_steps};
use self::typed::decode_typed;
use crate::error::{Error, Result};
use crate::value::{Class, Doc, Expr, Id, Map, State, Tuple, Value};

/// Decodes any document.
pub fn decode(doc: &Doc) -> Result<Expr> {
    match doc {
        Doc::Null => Ok(Expr::NONE),
        Doc::Number(number) => Ok(Expr::Literal((*number).into())),
        Doc::String(text) => Ok(Expr::Literal(State::Value(Value::String(Arc::clone(text))))),
        Doc::Bytes(bytes) => Ok(Expr::Literal(State::Value(Value::Bytes(Arc::clone(bytes))))),
        Doc::List(items) => tuple(decode_items(items)?),
        Doc::Map(entries) => match entries.as_slice() {
            [entry] => decode_entry(entry),
            _ => decode_map(entries),
        },
    }
}

/// Decodes a document that must be a state without references, such as the reply of another host.
///
/// # Errors
/// `BadRequest` if there is a reference in it.
pub fn decode_state(doc: &Doc) -> Result<State> {
    match decode(doc)? {
        Expr::Literal(state) => Ok(state),
        _ => Err(Error::bad_request("expected a state, found a reference")),
    }
}

/// Decodes the key of a request: a value.
///
/// # Errors
/// `BadRequest` if it is a map, an op or a reference.
pub fn decode_key(doc: &Doc) -> Result<State> {
    match decode(doc)? {
        Expr::Literal(state) if state.is_value() => Ok(state),
        Expr::Literal(state) => Err(Error::bad_request(format!("a key must be a value, not a {}", state.class()))),
        _ => Err(Error::bad_request("a key must be a value, not a reference")),
    }
}

/// Decodes the entries of an object as named states, never as an Id, a reference or a class.
pub fn decode_params(entries: &[(Arc<str>, Doc)]) -> Result<(Arc<[Id]>, Vec<Expr>)> {
    let mut params = BTreeMap::new();
    for (key, value) in entries {
        let name: Id = key.parse().map_err(|error: Error| error.within(key))?;
        params.insert(name, decode(value).map_err(|error| error.within(key))?);
    }
    let (keys, values): (Vec<_>, Vec<_>) = params.into_iter().unzip();
    Ok((keys.into(), values))
}

fn decode_items(docs: &[Doc]) -> Result<Vec<Expr>> {
    docs.iter().enumerate().map(|(i, doc)| decode(doc).map_err(|error| error.within(i))).collect()
}

/// A tuple of `items`, which is a literal if they all are.
fn tuple(items: Vec<Expr>) -> Result<Expr> {
    match literals(items) {
        Ok(states) => Ok(Expr::Literal(Tuple::try_new(states)?.into())),
        Err(items) => Ok(Expr::Tuple(items)),
    }
}

fn decode_map(entries: &[(Arc<str>, Doc)]) -> Result<Expr> {
    let (keys, values) = decode_params(entries)?;
    match literals(values) {
        Ok(states) => Ok(Expr::Literal(Map::from_sorted(keys, states.into())?.into())),
        Err(values) => Ok(Expr::Map(keys, values)),
    }
}

/// The states of `exprs` if all are literals, else `exprs` again.
fn literals(exprs: Vec<Expr>) -> Result<Vec<State>, Vec<Expr>> {
    if !exprs.iter().all(|expr| matches!(expr, Expr::Literal(_))) {
        return Err(exprs);
    }
    Ok(exprs.into_iter().map(|expr| if let Expr::Literal(state) = expr { state } else { State::NONE }).collect())
}

fn decode_entry(entry: &(Arc<str>, Doc)) -> Result<Expr> {
    let (key, value) = entry;
    if let Some(name) = key.strip_prefix('$') {
        let subject = decode_name_path(name).map_err(|error| error.within(key))?;
        return decode_reference(subject, value).map_err(|error| error.within(key));
    }
    if let Some(class) = Class::at(key) {
        return decode_typed(class, value).map_err(|error| error.within(class.short().trim_start_matches("ref/")));
    }
    if key.starts_with("/state/scalar/ref/") {
        return Err(Error::bad_request(format!("there is no reference {key}")).within(key));
    }
    if key.starts_with('/') || key.contains("://") {
        return key.parse().and_then(|link| decode_link(link, value)).map_err(|error| error.within(key));
    }
    match value {
        Doc::List(items) if items.is_empty() => Ok(Expr::Literal(key.parse::<Id>()?.into())),
        _ => decode_map(std::slice::from_ref(entry)),
    }
}

/// `name`, or `name/path/to/entry`.
fn decode_name_path(text: &str) -> Result<(Id, Arc<[Id]>)> {
    let mut segments = text.split('/').map(str::parse::<Id>);
    let name = segments.next().ok_or_else(|| Error::bad_request("a reference has a name"))??;
    Ok((name, segments.collect::<Result<Vec<_>>>()?.into()))
}

/// The items of a list of one of the given lengths.
fn items<'a>(doc: &'a Doc, what: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<&'a [Doc]> {
    match doc {
        Doc::List(items) if lengths.contains(&items.len()) => Ok(items),
        _ => Err(Error::bad_request(format!("expected {what}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::encode::expr_to_json;

    fn doc(text: &str) -> Doc {
        fn convert(json: serde_json::Value) -> Doc {
            use serde_json::Value as Json;
            match json {
                Json::Null => Doc::Null,
                Json::Bool(value) => Doc::Number(crate::value::Number::Bool(value)),
                Json::Number(n) => Doc::Number(match n.as_i64() {
                    Some(n) => crate::value::Number::I64(n),
                    None => crate::value::Number::F64(n.as_f64().unwrap()),
                }),
                Json::String(text) => Doc::String(text.into()),
                Json::Array(items) => Doc::List(items.into_iter().map(convert).collect()),
                Json::Object(entries) => {
                    Doc::Map(entries.into_iter().map(|(key, value)| (key.into(), convert(value))).collect())
                }
            }
        }
        convert(serde_json::from_str(text).unwrap())
    }

    /// Decodes a text and writes it again, in the form of client 0.17.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(
            decode(&doc(text)).map(|expr| expr_to_json(&expr)).map_err(|error| error.to_string()),
            Ok(expected.into())
        );
    }

    /// Where the fault of a list of steps is.
    #[track_caller]
    fn check_place(steps: &str, place: &str) {
        assert_eq!(decode_steps(&doc(steps)).unwrap_err().at().as_deref(), Some(place));
    }

    #[test]
    fn all_forms_of_an_argument_mean_the_same() {
        check(r#"{"$x/add":5}"#, r#"{"$x/add":[5]}"#);
        check(r#"{"$x/add":[5]}"#, r#"{"$x/add":[5]}"#);
        check(r#"{"/state/scalar/ref/op/get":["$x/add",5]}"#, r#"{"$x/add":[5]}"#);
        check(r#"{"$x":null}"#, r#"{"$x":[]}"#);
        check(r#"{"/state/scalar/ref/id":"$x"}"#, r#"{"$x":[]}"#);
        check(r#"{"/state/scalar/ref/if":[true,1]}"#, r#"{"/state/scalar/ref/if":[true,1,null]}"#);
    }

    #[test]
    fn an_id_is_the_parameters_that_it_reads_like() {
        check(r#"{"x":[]}"#, r#"{"x":[]}"#);
        check(r#"{"$f":{"x":[]}}"#, r#"{"$f":{"x":[]}}"#);
    }

    #[test]
    fn unnamed_steps_run_before_the_last() {
        check(
            r#"{"/state/scalar/op/post":[{"$x/y":[1]},{"$z":[]}]}"#,
            r#"{"/state/scalar/op/post":[["_1",{"$x/y":[1]}],["_return",{"/state/scalar/ref/after":[[{"$_1":[]}],{"$z":[]}]}]]}"#,
        );
    }

    #[test]
    fn errors_say_where() {
        check_place(r#"[["a",1],["b",{"/state/scalar/ref/if":5}]]"#, "/1/if");
        check_place(
            r#"[["r",[1,{"/state/scalar/ref/if":[true,{"/state/scalar/value/number/int/32":"x"}]}]]]"#,
            "/0/1/if/1/int~132",
        );
        check_place(r#"[["f",{"/state/scalar/op/get":["n",[["a b",1]]]}]]"#, "/0/op~1get/1/0");
    }
}
