//! A request as a program: steps, of which the last is the result.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::decode::{decode, decode_key, decode_params, decode_steps, is_named_steps};
use crate::error::{Error, Result};
use crate::value::{Args, Doc, Expr, Flow, Id, Link, OpKind, State, Step, Subject, Value, Verb};

/// What one request runs.
///
/// Two programs that differ only in their literals (numbers, texts, tuples and maps outside op definitions) have one
/// [`shape`](Program::shape), and so one plan: the literals are its parameters.
#[derive(Clone, Debug)]
pub struct Program {
    pub steps: Vec<Step>,
    /// Whether errors name the steps; the single step of a plain call has no name that a client would know.
    pub is_named: bool,
}

impl Program {
    /// The program of a body of `POST /transact/hypothetical`.
    ///
    /// # Errors
    /// `NotFound` without a parameter `op`, `BadRequest` if the body is malformed, with the place in it.
    pub fn hypothetical(body: &Doc) -> Result<Self> {
        match body {
            Doc::Map(entries) if entries.is_empty() || !is_reference(entries) => {
                let Some((_, op)) = entries.iter().find(|(name, _)| name.as_ref() == "op") else {
                    return Err(Error::not_found("op"));
                };
                if let Some((name, _)) = entries.iter().find(|(name, _)| name.as_ref() != "op") {
                    return Err(Error::bad_request(format!("unexpected parameter {name:?}")));
                }
                match op {
                    Doc::List(_) => Self::of_steps(op),
                    state => Self::of_state(decode(state)?),
                }
                .map_err(|error| error.within("op"))
            }
            body if is_named_steps(body) => Self::of_steps(body),
            body => Self::of_state(decode(body)?),
        }
    }

    /// The program of any other request: one call.
    ///
    /// # Errors
    /// `BadRequest` if the key is not a value, or the body is malformed.
    pub fn call(link: Link, verb: Verb, key: &Doc, body: &Doc) -> Result<Self> {
        let key = || decode_key(key).map(Expr::Literal).map_err(|error| error.within("?key"));
        let args = match verb {
            Verb::Get => Args::Get(key()?),
            Verb::Delete => Args::Delete(key()?),
            Verb::Put => Args::Put(key()?, decode(body)?),
            Verb::Post => {
                let (keys, values) = match body {
                    Doc::Null => (Arc::from([]), vec![]),
                    Doc::Map(entries) => decode_params(entries)?,
                    Doc::List(_) if is_named_steps(body) => decode_pairs(body)?,
                    other => {
                        let message = format!("the body of a POST is an object of parameters, not {}", other.describe());
                        return Err(Error::bad_request(message));
                    }
                };
                Args::Post(keys, values)
            }
        };
        Ok(Self::of_expr(Expr::Call(Box::new(Subject::Link(link)), Box::new(args))))
    }

    fn of_steps(doc: &Doc) -> Result<Self> {
        Ok(Self { steps: decode_steps(doc)?, is_named: true })
    }

    fn of_expr(expr: Expr) -> Self {
        Self { steps: vec![Step { name: Id::from("result"), expr }], is_named: false }
    }

    /// An op definition is called without arguments; any other state is resolved.
    fn of_state(expr: Expr) -> Result<Self> {
        let args = match &expr {
            Expr::Literal(State::Op(op)) => match op.kind {
                OpKind::Get { .. } => Args::Get(Expr::NONE),
                OpKind::Put { .. } => Args::Put(Expr::NONE, Expr::NONE),
                OpKind::Post => Args::Post(Arc::new([]), vec![]),
                OpKind::Delete { .. } => Args::Delete(Expr::NONE),
            },
            _ => return Ok(Self::of_expr(expr)),
        };
        Ok(Self::of_expr(Expr::Call(Box::new(Subject::Value(expr)), Box::new(args))))
    }

    /// This program's literals in the order in which they are written, the parameters of its plan.
    pub fn literals(&self) -> Vec<State> {
        let mut literals = Vec::new();
        self.for_each_literal(|state| literals.push(state.clone()));
        literals
    }

    /// Calls `each` for every literal that is a parameter of the plan, in the order of [`Program::literals`].
    pub fn for_each_literal<'a>(&'a self, mut each: impl FnMut(&'a State)) {
        for step in &self.steps {
            walk_literals(&step.expr, &mut each);
        }
    }

    /// The key of this program's plan.
    pub fn shape(self: &Arc<Self>) -> Shape {
        Shape(Arc::clone(self))
    }
}

fn decode_pairs(body: &Doc) -> Result<(Arc<[Id]>, Vec<Expr>)> {
    let steps = decode_steps(body)?;
    let params: std::collections::BTreeMap<Id, Expr> = steps.into_iter().map(|s| (s.name, s.expr)).collect();
    let (keys, values): (Vec<_>, Vec<_>) = params.into_iter().unzip();
    Ok((keys.into(), values))
}

/// Whether an object is a reference, a typed state or a call, rather than a set of named parameters.
fn is_reference(entries: &[(Arc<str>, Doc)]) -> bool {
    matches!(entries, [(key, _)] if key.starts_with('$') || key.starts_with('/') || key.contains("://"))
}

/// Whether a literal is a parameter of the plan rather than part of its shape.
pub fn is_parameter(state: &State) -> bool {
    match state {
        State::Value(Value::Number(crate::value::Number::Bool(_))) => false,
        State::Value(Value::None | Value::Id(_) | Value::Link(_)) | State::Op(_) | State::Closure(_) => false,
        State::Value(_) => true,
        State::Tuple(tuple) => !tuple.items().is_empty(),
        State::Map(map) => !map.is_empty(),
    }
}

fn walk_literals<'a>(expr: &'a Expr, each: &mut impl FnMut(&'a State)) {
    match expr {
        Expr::Literal(state) if is_parameter(state) => each(state),
        Expr::Literal(_) | Expr::Name(_) => {}
        Expr::Tuple(items) | Expr::Map(_, items) => items.iter().for_each(|item| walk_literals(item, each)),
        Expr::Call(subject, args) => {
            if let Subject::Value(expr) = subject.as_ref() {
                walk_literals(expr, each);
            }
            match args.as_ref() {
                Args::Get(key) | Args::Delete(key) => walk_literals(key, each),
                Args::Put(key, value) => [key, value].into_iter().for_each(|expr| walk_literals(expr, each)),
                Args::Post(_, values) => values.iter().for_each(|expr| walk_literals(expr, each)),
            }
        }
        Expr::Flow(flow) => match flow.as_ref() {
            Flow::After { when, then } | Flow::Before { when, then } => {
                [when, then].into_iter().for_each(|expr| walk_literals(expr, each));
            }
            Flow::If { cond, then, or_else } => {
                [cond, then, or_else].into_iter().for_each(|expr| walk_literals(expr, each));
            }
            Flow::Case { cond, switch, cases } => {
                walk_literals(cond, each);
                switch.iter().chain(cases).for_each(|expr| walk_literals(expr, each));
            }
            Flow::While { cond, step, state } => {
                [cond, step, state].into_iter().for_each(|expr| walk_literals(expr, each));
            }
            Flow::With { op, .. } => walk_literals(op, each),
        },
    }
}

/// A program but for the values of its literals: equal when the programs differ only in these.
#[derive(Clone, Debug)]
pub struct Shape(pub Arc<Program>);

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        let (l, r) = (&self.0, &other.0);
        l.is_named == r.is_named
            && l.steps.len() == r.steps.len()
            && l.steps.iter().zip(&r.steps).all(|(l, r)| l.name == r.name && same(&l.expr, &r.expr))
    }
}

impl Eq for Shape {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.steps.len().hash(state);
        for step in &self.0.steps {
            step.name.hash(state);
            hash_shape(&step.expr, state);
        }
    }
}

fn all_same(l: &[Expr], r: &[Expr]) -> bool {
    l.len() == r.len() && l.iter().zip(r).all(|(l, r)| same(l, r))
}

fn same(l: &Expr, r: &Expr) -> bool {
    match (l, r) {
        (Expr::Literal(l), Expr::Literal(r)) => match (is_parameter(l), is_parameter(r)) {
            (true, true) => l.class() == r.class(),
            (false, false) => l == r,
            _ => false,
        },
        (Expr::Name(l), Expr::Name(r)) => l == r,
        (Expr::Tuple(l), Expr::Tuple(r)) => all_same(l, r),
        (Expr::Map(lk, lv), Expr::Map(rk, rv)) => lk == rk && all_same(lv, rv),
        (Expr::Call(ls, la), Expr::Call(rs, ra)) => same_subject(ls, rs) && same_args(la, ra),
        (Expr::Flow(l), Expr::Flow(r)) => same_flow(l, r),
        _ => false,
    }
}

fn same_subject(l: &Subject, r: &Subject) -> bool {
    match (l, r) {
        (Subject::Value(l), Subject::Value(r)) => same(l, r),
        (l, r) => l == r,
    }
}

fn same_args(l: &Args, r: &Args) -> bool {
    match (l, r) {
        (Args::Get(l), Args::Get(r)) | (Args::Delete(l), Args::Delete(r)) => same(l, r),
        (Args::Put(lk, lv), Args::Put(rk, rv)) => same(lk, rk) && same(lv, rv),
        (Args::Post(lk, lv), Args::Post(rk, rv)) => lk == rk && all_same(lv, rv),
        _ => false,
    }
}

fn same_flow(l: &Flow, r: &Flow) -> bool {
    match (l, r) {
        (Flow::After { when: lw, then: lt }, Flow::After { when: rw, then: rt })
        | (Flow::Before { when: lw, then: lt }, Flow::Before { when: rw, then: rt }) => same(lw, rw) && same(lt, rt),
        (Flow::If { cond: lc, then: lt, or_else: le }, Flow::If { cond: rc, then: rt, or_else: re }) => {
            same(lc, rc) && same(lt, rt) && same(le, re)
        }
        (
            Flow::Case { cond: lc, switch: ls, cases: la },
            Flow::Case { cond: rc, switch: rs, cases: ra },
        ) => same(lc, rc) && all_same(ls, rs) && all_same(la, ra),
        (Flow::While { cond: lc, step: ls, state: la }, Flow::While { cond: rc, step: rs, state: ra }) => {
            same(lc, rc) && same(ls, rs) && same(la, ra)
        }
        (Flow::With { names: ln, op: lo }, Flow::With { names: rn, op: ro }) => ln == rn && same(lo, ro),
        _ => false,
    }
}

fn hash_shape<H: Hasher>(expr: &Expr, state: &mut H) {
    std::mem::discriminant(expr).hash(state);
    match expr {
        Expr::Literal(literal) if is_parameter(literal) => literal.class().hash(state),
        Expr::Literal(literal) => literal.hash(state),
        Expr::Name(name) => name.hash(state),
        Expr::Tuple(items) => items.iter().for_each(|item| hash_shape(item, state)),
        Expr::Map(keys, values) => {
            keys.hash(state);
            values.iter().for_each(|value| hash_shape(value, state));
        }
        Expr::Call(subject, args) => {
            match subject.as_ref() {
                Subject::Value(expr) => hash_shape(expr, state),
                subject => subject.hash(state),
            }
            if let Args::Post(keys, _) = args.as_ref() {
                keys.hash(state);
            }
            args.verb().hash(state);
            args.exprs().into_iter().for_each(|expr| hash_shape(expr, state));
        }
        Expr::Flow(flow) => match flow.as_ref() {
            Flow::After { when, then } | Flow::Before { when, then } => {
                [when, then].into_iter().for_each(|expr| hash_shape(expr, state));
            }
            Flow::If { cond, then, or_else } => {
                [cond, then, or_else].into_iter().for_each(|expr| hash_shape(expr, state));
            }
            Flow::Case { cond, switch, cases } => {
                hash_shape(cond, state);
                switch.iter().chain(cases).for_each(|expr| hash_shape(expr, state));
            }
            Flow::While { cond, step, state: loop_state } => {
                [cond, step, loop_state].into_iter().for_each(|expr| hash_shape(expr, state));
            }
            Flow::With { names, op } => {
                names.hash(state);
                hash_shape(op, state);
            }
        },
    }
}
