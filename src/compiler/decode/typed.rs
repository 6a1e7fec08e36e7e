//! What has a class: typed literals, casts, op definitions and closures.

use std::sync::Arc;

use super::call::{call, decode_link};
use super::flow::decode_ref;
use super::steps::{decode_name, decode_steps};
use super::{decode, decode_items, items, tuple};
use crate::error::{Error, Result};
use crate::value::{Args, Class, Closure, Doc, Expr, OpDef, OpKind, State, Subject, Verb, cast};

pub(super) fn decode_typed(class: Class, doc: &Doc) -> Result<Expr> {
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
