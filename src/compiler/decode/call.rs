//! Calls: of names and of links, in all the forms that clients have used.

use std::sync::Arc;

use super::{decode, decode_name_path, decode_params, items};
use crate::error::{Error, Result};
use crate::value::doc::Quoted;
use crate::value::{Args, Doc, Expr, Id, Link, Object, State, Subject, Tuple, Value, Verb};

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

pub(super) fn decode_reference((name, path): (Id, Arc<[Id]>), doc: &Doc) -> Result<Expr> {
    match decode_args(doc)? {
        None if path.is_empty() => Ok(Expr::Name(name)),
        args => Ok(call(Subject::Name(name, path), args.unwrap_or(Args::Get(Expr::NONE)))),
    }
}

pub(super) fn call(subject: Subject, args: Args) -> Expr {
    Expr::Call(Box::new(subject), Box::new(args))
}

pub(super) fn decode_link(link: Link, doc: &Doc) -> Result<Expr> {
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
pub(in crate::compiler) fn decode_definition(link: &Link, doc: &Doc) -> Option<Expr> {
    let is_definition = matches!(doc, Doc::Map(_)) && link.is_unversioned();
    is_definition.then(|| Expr::Literal(Object::Definition(Quoted::new(doc.clone())).into()))
}

/// A call written out: `[subject, argument…]`.
pub(super) fn decode_op_ref(verb: Verb, doc: &Doc) -> Result<Expr> {
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
