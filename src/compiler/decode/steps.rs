//! Steps of programs and ops, and their names.

use super::decode;
use crate::error::{Error, Result};
use crate::value::{Doc, Expr, Flow, Id, Step};

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
pub(super) fn decode_name(doc: &Doc) -> Result<Id> {
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
