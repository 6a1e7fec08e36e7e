//! Documents become expressions.
//!
//! One decoder serves bodies, keys, op definitions and every nested position, so that the meaning of an object never
//! depends on where it stands. Errors carry their place ([`Error::within`]); nothing is resolved here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::value::class::Ref;
use crate::value::doc::Quoted;
use crate::value::{
    Args, Class, Closure, Doc, Expr, Flow, Id, Link, Map, Object, OpDef, OpKind, State, Step, Subject, Tuple, Value,
    Verb, cast,
};

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

/// Decodes the steps of a program or an op.
pub fn decode_steps(doc: &Doc) -> Result<Vec<Step>> {
    let docs = match doc {
        Doc::List(docs) => docs.as_slice(),
        Doc::Map(_) => std::slice::from_ref(doc),
        other => return Err(Error::bad_request(format!("expected a list of steps, found {}", other.describe()))),
    };
    let steps = docs.iter().enumerate().map(|(i, doc)| decode_step(doc).map_err(|error| error.within(i)));
    name_steps(steps.collect::<Result<Vec<_>>>()?)
}

/// Whether `doc` is a list of `[name, state]` pairs.
pub fn is_named_steps(doc: &Doc) -> bool {
    matches!(doc, Doc::List(steps) if steps.iter().all(|step| step_name(step).is_some()))
}

fn step_name(doc: &Doc) -> Option<Id> {
    let Doc::List(pair) = doc else { return None };
    let [name, _] = pair.as_slice() else { return None };
    decode_name(name).ok()
}

/// A name: a string, or an Id literal.
fn decode_name(doc: &Doc) -> Result<Id> {
    match doc {
        Doc::String(name) => name.parse(),
        Doc::Map(entries) => match entries.as_slice() {
            [(name, Doc::List(items))] if items.is_empty() => name.parse(),
            _ => Err(Error::bad_request("expected a name, found an object")),
        },
        other => Err(Error::bad_request(format!("expected a name, found {}", other.describe()))),
    }
}

fn decode_step(doc: &Doc) -> Result<(Option<Id>, Expr)> {
    if let Some(name) = step_name(doc) {
        let Doc::List(pair) = doc else { return Err(Error::internal("a named step is a pair")) };
        if name.as_str() == Id::SELF {
            return Err(Error::bad_request("a step cannot be named self, which is the instance of a method"));
        }
        return Ok((Some(name), decode(&pair[1])?));
    }
    match doc {
        Doc::List(items) if matches!(items.first(), Some(Doc::String(_))) => {
            Err(Error::bad_request("a step is a pair of a name and a state"))
        }
        doc => Ok((None, decode(doc)?)),
    }
}

/// Names the unnamed steps. Those before the last have no purpose but their effect, so the last waits for them.
fn name_steps(steps: Vec<(Option<Id>, Expr)>) -> Result<Vec<Step>> {
    if steps.iter().all(|(name, _)| name.is_some()) {
        return Ok(steps.into_iter().filter_map(|(name, expr)| Some(Step { name: name?, expr })).collect());
    }
    let used: std::collections::HashSet<Id> = steps.iter().filter_map(|(name, _)| name.clone()).collect();
    let fresh = |wanted: String| -> Result<Id> {
        let mut name = wanted;
        while used.contains(name.as_str()) {
            name.insert(0, '_');
        }
        name.parse()
    };
    let last = steps.len() - 1;
    let mut effects = Vec::new();
    let mut named = Vec::with_capacity(steps.len());
    for (i, (name, expr)) in steps.into_iter().enumerate() {
        let name = match name {
            Some(name) => name,
            None if i == last => fresh("_return".into())?,
            None => {
                let name = fresh(format!("_{}", i + 1))?;
                effects.push(Expr::Name(name.clone()));
                name
            }
        };
        named.push(Step { name, expr });
    }
    if let (false, Some(step)) = (effects.is_empty(), named.last_mut()) {
        let then = std::mem::replace(&mut step.expr, Expr::NONE);
        step.expr = Expr::Flow(Box::new(Flow::After { when: Expr::Tuple(effects), then }));
    }
    Ok(named)
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

/// The argument of a call, in all the forms that clients have used. `None` means that there is none.
fn decode_args(doc: &Doc) -> Result<Option<Args>> {
    Ok(Some(match doc {
        Doc::Null => return Ok(None),
        Doc::List(items) => match items.as_slice() {
            [] => return Ok(None),
            [key] => Args::Get(decode(key).map_err(|error| error.within(0))?),
            [key, value] => Args::Put(
                decode(key).map_err(|error| error.within(0))?,
                decode(value).map_err(|error| error.within(1))?,
            ),
            _ => return Err(Error::bad_request("a call takes one argument (GET) or two (PUT), or named parameters")),
        },
        Doc::Map(entries) if entries.is_empty() => Args::Post(Arc::new([]), vec![]),
        Doc::Map(entries) => match decode(doc)? {
            Expr::Map(keys, values) => Args::Post(keys, values),
            Expr::Literal(State::Map(map)) => {
                Args::Post(map.shared_keys(), map.values().iter().cloned().map(Expr::Literal).collect())
            }
            // `{"x": []}` is an Id anywhere else. Where it names a parameter it is the map `{x: []}`, and what is called
            // decides which of the two it needs.
            Expr::Literal(State::Value(Value::Id(name))) if entries[0].0.as_ref() == name.as_str() => {
                Args::Post(Arc::new([name]), vec![Expr::Literal(Tuple::try_new([])?.into())])
            }
            key => Args::Get(key),
        },
        scalar => Args::Get(decode(scalar)?),
    }))
}

fn decode_reference((name, path): (Id, Arc<[Id]>), doc: &Doc) -> Result<Expr> {
    match decode_args(doc)? {
        None if path.is_empty() => Ok(Expr::Name(name)),
        args => Ok(call(Subject::Name(name, path), args.unwrap_or(Args::Get(Expr::NONE)))),
    }
}

fn call(subject: Subject, args: Args) -> Expr {
    Expr::Call(Box::new(subject), Box::new(args))
}

fn decode_link(link: Link, doc: &Doc) -> Result<Expr> {
    if let Doc::List(items) = doc
        && let [key, value] = items.as_slice()
        && let Some(definition) = decode_definition(&link, value)
    {
        let key = decode(key).map_err(|error| error.within(0))?;
        return Ok(call(Subject::Link(link), Args::Put(key, definition)));
    }
    match decode_args(doc)? {
        None => Ok(Expr::Literal(link.into())),
        Some(args) => Ok(call(Subject::Link(link), args)),
    }
}

/// What is put to a directory or an item, if it is a definition: that is kept as it is written, not resolved.
pub(super) fn decode_definition(link: &Link, doc: &Doc) -> Option<Expr> {
    let is_definition = matches!(doc, Doc::Map(_)) && link.is_unversioned();
    is_definition.then(|| Expr::Literal(Object::Definition(Quoted::new(doc.clone())).into()))
}

fn decode_typed(class: Class, doc: &Doc) -> Result<Expr> {
    match doc {
        Doc::List(items) if items.is_empty() => return Ok(Expr::Literal(class.link().into())),
        Doc::Map(entries) if entries.is_empty() => return Ok(Expr::Literal(class.link().into())),
        Doc::Null if class == Class::None => return Ok(Expr::NONE),
        Doc::Null => return Ok(Expr::Literal(class.link().into())),
        _ => {}
    }
    match class {
        Class::Ref(kind) => decode_ref(kind, doc),
        Class::Op(verb) => Ok(Expr::Literal(State::Op(Arc::new(decode_op(verb, doc)?)))),
        Class::Closure => decode_closure(doc),
        Class::Map | Class::ScalarMap => decode_typed_map(class, doc),
        Class::Tuple | Class::ScalarTuple => decode_typed_tuple(class, doc),
        Class::BTree | Class::Table | Class::Dense | Class::Sparse | Class::Stream | Class::Other(_) => {
            decode_link(class.link(), doc)
        }
        class => decode_typed_value(class, doc),
    }
}

/// A typed literal, or a cast that is done when the program runs.
fn decode_typed_value(class: Class, doc: &Doc) -> Result<Expr> {
    match decode(doc)? {
        Expr::Literal(state) => cast::cast_literal(&state, class).map(Expr::Literal),
        Expr::Tuple(mut items) if items.len() == 1 => Ok(construct(class, items.remove(0))),
        key => Ok(construct(class, key)),
    }
}

/// A GET on the class path: a cast.
fn construct(class: Class, key: Expr) -> Expr {
    match key {
        Expr::Literal(state) if let Ok(state) = cast::cast(&state, class) => Expr::Literal(state),
        key => call(Subject::Link(class.link()), Args::Get(key)),
    }
}

fn decode_typed_map(class: Class, doc: &Doc) -> Result<Expr> {
    match doc {
        Doc::Map(_) => match decode(doc)? {
            entries @ (Expr::Map(..) | Expr::Literal(State::Map(_))) => Ok(entries),
            key => Ok(construct(class, key)),
        },
        Doc::List(items) => {
            let is_pair =
                |doc: &Doc| matches!(doc, Doc::List(pair) if pair.len() == 2 && decode_name(&pair[0]).is_ok());
            match items.as_slice() {
                [only] if !is_pair(only) => Ok(construct(class, decode(only).map_err(|error| error.within(0))?)),
                _ => match decode(doc)? {
                    Expr::Literal(pairs) => cast::cast(&pairs, class).map(Expr::Literal),
                    pairs => Ok(construct(class, pairs)),
                },
            }
        }
        _ => Err(Error::bad_request(format!("a map cannot be made from {}", doc.describe()))),
    }
}

fn decode_typed_tuple(class: Class, doc: &Doc) -> Result<Expr> {
    let Doc::List(items) = doc else {
        return match decode(doc)? {
            Expr::Literal(state) => cast::cast(&state, class).map(Expr::Literal),
            key => Ok(construct(class, key)),
        };
    };
    match items.as_slice() {
        [only] => match decode(only).map_err(|error| error.within(0))? {
            // One scalar is an item; anything that a tuple can be made of is what it is made of.
            Expr::Literal(state) if !matches!(state, State::Tuple(_) | State::Map(_)) => {
                tuple(vec![Expr::Literal(state)])
            }
            key => Ok(construct(class, key)),
        },
        _ => tuple(decode_items(items)?),
    }
}

/// The items of a list of one of the given lengths.
fn items<'a>(doc: &'a Doc, what: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<&'a [Doc]> {
    match doc {
        Doc::List(items) if lengths.contains(&items.len()) => Ok(items),
        _ => Err(Error::bad_request(format!("expected {what}"))),
    }
}

fn decode_ref(kind: Ref, doc: &Doc) -> Result<Expr> {
    let at = |i: usize, docs: &[Doc]| decode(&docs[i]).map_err(|error| error.within(i));
    let flow = match kind {
        Ref::Id => return decode_id_ref(doc),
        Ref::Op(verb) => return decode_op_ref(verb, doc),
        Ref::After | Ref::Before => {
            let docs = items(doc, "a pair [when, then]", 2..=2)?;
            let (when, then) = (at(0, docs)?, at(1, docs)?);
            if kind == Ref::After { Flow::After { when, then } } else { Flow::Before { when, then } }
        }
        Ref::If => {
            let docs = items(doc, "[condition, then, or else]", 2..=3)?;
            let or_else = if docs.len() == 3 { at(2, docs)? } else { Expr::NONE };
            Flow::If { cond: at(0, docs)?, then: at(1, docs)?, or_else }
        }
        Ref::Case => decode_case(items(doc, "[condition, [values], [cases and default]]", 3..=3)?)?,
        Ref::While => {
            let docs = items(doc, "[condition, step, state]", 3..=3)?;
            Flow::While { cond: at(0, docs)?, step: at(1, docs)?, state: at(2, docs)? }
        }
        Ref::With => {
            let docs = items(doc, "[[names], op]", 2..=2)?;
            let names = items(&docs[0], "a list of names", 0..=usize::MAX).map_err(|error| error.within(0))?;
            let names =
                names.iter().enumerate().map(|(i, doc)| decode_capture(doc).map_err(|error| error.within(i).within(0)));
            Flow::With { names: names.collect::<Result<_>>()?, op: at(1, docs)? }
        }
    };
    Ok(Expr::Flow(Box::new(flow)))
}

fn decode_case(docs: &[Doc]) -> Result<Flow> {
    let list = |i: usize| -> Result<Vec<Expr>> {
        let items = items(&docs[i], "a list", 0..=usize::MAX).map_err(|error| error.within(i))?;
        decode_items(items).map_err(|error| error.within(i))
    };
    let cond = decode(&docs[0]).map_err(|error| error.within(0))?;
    let (switch, cases) = (list(1)?, list(2)?);
    if cases.len() != switch.len() + 1 {
        let (values, cases) = (switch.len(), cases.len());
        return Err(Error::bad_request(format!(
            "{values} values need {} cases with the default, not {cases}",
            values + 1
        )));
    }
    Ok(Flow::Case { cond, switch, cases })
}

/// A captured name: `{"$k": []}` or `"k"`.
fn decode_capture(doc: &Doc) -> Result<Id> {
    match decode(doc)? {
        Expr::Name(name) => Ok(name),
        Expr::Literal(State::Value(Value::String(name))) => name.strip_prefix('$').unwrap_or(&name).parse(),
        Expr::Literal(State::Value(Value::Id(name))) => Ok(name),
        _ => Err(Error::bad_request("a closure captures names")),
    }
}

fn decode_id_ref(doc: &Doc) -> Result<Expr> {
    match doc {
        Doc::List(items) if items.len() == 1 => decode_capture(&items[0]).map(Expr::Name),
        doc => decode_capture(doc).map(Expr::Name),
    }
}

/// A call written out: `[subject, argument…]`.
fn decode_op_ref(verb: Verb, doc: &Doc) -> Result<Expr> {
    let docs = items(doc, "[subject, argument, …]", 1..=3)?;
    let subject = decode_subject(&docs[0]).map_err(|error| error.within(0))?;
    let arg = |i: usize| match docs.get(i) {
        Some(doc) => decode(doc).map_err(|error| error.within(i)),
        None => Ok(Expr::NONE),
    };
    if (verb == Verb::Put) != (docs.len() == 3) {
        return Err(Error::bad_request(format!(
            "a {} takes {}",
            verb.http(),
            match verb {
                Verb::Put => "[subject, key, value]",
                Verb::Post => "[subject, parameters]",
                Verb::Get | Verb::Delete => "[subject, key]",
            }
        )));
    }
    let definition = match &subject {
        Subject::Link(link) if verb == Verb::Put => decode_definition(link, &docs[2]),
        _ => None,
    };
    Ok(call(
        subject,
        match verb {
            Verb::Put if let Some(definition) = definition => Args::Put(arg(1)?, definition),
            Verb::Get => Args::Get(arg(1)?),
            Verb::Delete => Args::Delete(arg(1)?),
            Verb::Put => Args::Put(arg(1)?, arg(2)?),
            Verb::Post => match docs.get(1) {
                None | Some(Doc::Null) => Args::Post(Arc::new([]), vec![]),
                Some(Doc::Map(entries)) => {
                    let (keys, values) = decode_params(entries).map_err(|error| error.within(1))?;
                    Args::Post(keys, values)
                }
                Some(other) => {
                    let message = format!("parameters are an object, not {}", other.describe());
                    return Err(Error::bad_request(message).within(1));
                }
            },
        },
    ))
}

fn decode_subject(doc: &Doc) -> Result<Subject> {
    if let Doc::String(text) = doc {
        return match text.strip_prefix('$') {
            Some(name) => decode_name_path(name).map(|(name, path)| Subject::Name(name, path)),
            None => text.parse().map(Subject::Link),
        };
    }
    Ok(match decode(doc)? {
        Expr::Name(name) => Subject::Name(name, Arc::new([])),
        Expr::Literal(State::Value(Value::Link(link))) => Subject::Link(link),
        Expr::Call(subject, args) => match (*subject, *args) {
            (subject @ Subject::Name(..), Args::Get(key)) if key == Expr::NONE => subject,
            (subject, args) => Subject::Value(call(subject, args)),
        },
        expr => Subject::Value(expr),
    })
}

fn decode_op(verb: Verb, doc: &Doc) -> Result<OpDef> {
    let name = |i: usize, docs: &[Doc]| decode_name(&docs[i]).map_err(|error| error.within(i));
    let steps = |i: usize, docs: &[Doc]| decode_steps(&docs[i]).map_err(|error| error.within(i));
    let (kind, steps) = match verb {
        Verb::Post => (OpKind::Post, decode_steps(doc)?),
        Verb::Put => {
            let docs = items(doc, "[key name, value name, steps]", 3..=3)?;
            let (key, value) = (name(0, docs)?, name(1, docs)?);
            if key == value {
                return Err(Error::bad_request(format!("key and value are both named {key}")).within(1));
            }
            (OpKind::Put { key, value }, steps(2, docs)?)
        }
        Verb::Get | Verb::Delete => {
            let docs = items(doc, "[key name, steps]", 2..=2)?;
            let key = name(0, docs)?;
            let kind = if verb == Verb::Get { OpKind::Get { key } } else { OpKind::Delete { key } };
            (kind, steps(1, docs)?)
        }
    };
    Ok(OpDef::new(kind, steps))
}

fn decode_closure(doc: &Doc) -> Result<Expr> {
    let docs = items(doc, "[context, op]", 2..=2)?;
    let context = decode(&docs[0]).map_err(|error| error.within(0))?;
    let op = decode(&docs[1]).map_err(|error| error.within(1))?;
    let (Expr::Literal(context), Expr::Literal(State::Op(op))) = (context, op) else {
        return Err(Error::bad_request("a closure is a map of states and an op definition"));
    };
    let context = cast::to_map(&context)
        .ok_or_else(|| Error::bad_request(format!("a closure captures a map, not a {}", context.class())).within(0))?;
    Ok(Expr::Literal(State::Closure(Arc::new(Closure { context, op }))))
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
