//! References: what is below `/state/scalar/ref`.

use super::call::decode_op_ref;
use super::{decode, decode_items, items};
use crate::error::{Error, Result};
use crate::value::class::Ref;
use crate::value::{Doc, Expr, Flow, Id, State, Value};

pub(super) fn decode_ref(kind: Ref, doc: &Doc) -> Result<Expr> {
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
