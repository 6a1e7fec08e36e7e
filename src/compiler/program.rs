//! A request as a program: steps, of which the last is the result.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::decode::{decode, decode_definition, decode_key, decode_params, decode_steps, is_named_steps};
use crate::error::{Error, Result};
use crate::value::tensor::{self, Initial, Layout, Node, TensorSchema};
use crate::value::{
    Args, Class, Doc, Expr, Flow, Id, Link, Map, Number, NumberClass, OpKind, State, Step, Subject, Tensor, Tuple,
    Value, Verb,
};

/// What one request runs.
///
/// Two programs that differ only in their literals (numbers, texts, tuples, maps and tensors outside op definitions) have
/// one [`shape`](Program::shape), and so one plan: the literals are its parameters.
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
            Verb::Put => {
                let value = decode_definition(&link, body).map_or_else(|| decode(body), Ok)?;
                Args::Put(key()?, value)
            }
            Verb::Post => {
                let (keys, values) = match body {
                    Doc::Null => (Arc::from([]), vec![]),
                    Doc::Map(entries) => decode_params(entries)?,
                    Doc::List(_) if is_named_steps(body) => decode_pairs(body)?,
                    other => {
                        let message =
                            format!("the body of a POST is an object of parameters, not {}", other.describe());
                        return Err(Error::bad_request(message));
                    }
                };
                Args::Post(keys, values)
            }
        };
        Ok(Self::of_expr(Expr::Call(Box::new(Subject::Link(link)), Box::new(args))))
    }

    /// The program of a PUT of a state that is not written as a document.
    ///
    /// # Errors
    /// `BadRequest` if the key is not a value.
    pub fn put(link: Link, key: &Doc, value: State) -> Result<Self> {
        let key = decode_key(key).map_err(|error| error.within("?key"))?;
        let args = Args::Put(Expr::Literal(key), Expr::Literal(value));
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

    /// The same key, to be kept: without the values of the literals.
    pub fn kept_shape(&self) -> Shape {
        let steps = self.steps.iter().map(|step| Step { name: step.name.clone(), expr: blank(&step.expr) });
        Shape(Arc::new(Program { steps: steps.collect(), is_named: self.is_named }))
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
        State::Value(Value::Number(Number::Bool(_))) => false,
        State::Value(Value::None | Value::Id(_) | Value::Link(_))
        | State::Op(_)
        | State::Closure(_)
        | State::Collection(_)
        | State::Stream(_)
        | State::Object(_) => false,
        State::Value(_) | State::Tensor(_) => true,
        State::Tuple(tuple) => !tuple.items().is_empty(),
        State::Map(map) => !map.is_empty(),
    }
}

fn walk_literals<'a>(expr: &'a Expr, each: &mut impl FnMut(&'a State)) {
    match expr {
        Expr::Literal(state) if is_parameter(state) => each(state),
        expr => expr.children().into_iter().for_each(|child| walk_literals(child, each)),
    }
}

/// A program but for the values of its literals: equal when the programs differ only in these.
#[derive(Clone, Debug)]
pub struct Shape(Arc<Program>);

impl Shape {
    /// Bytes that this keeps in memory, roughly.
    pub fn weight(&self) -> u64 {
        self.0.steps.iter().map(|step| step.expr.weight()).sum()
    }
}

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
        (self.0.is_named, self.0.steps.len()).hash(state);
        for step in &self.0.steps {
            step.name.hash(state);
            hash_shape(&step.expr, state);
        }
    }
}

/// What an expression is, but for its children and its literals.
#[derive(Eq, PartialEq, Hash)]
enum Head<'a> {
    Parameter(Class),
    Literal(&'a State),
    Name(&'a Id),
    Tuple(usize),
    Map(&'a [Id]),
    Call(Option<&'a Subject>, Verb, &'a [Id]),
    Flow(std::mem::Discriminant<Flow>, usize, &'a [Id]),
}

impl<'a> Head<'a> {
    fn of(expr: &'a Expr) -> Self {
        match expr {
            Expr::Literal(state) if is_parameter(state) => Head::Parameter(state.class()),
            Expr::Literal(state) => Head::Literal(state),
            Expr::Name(name) => Head::Name(name),
            Expr::Tuple(items) => Head::Tuple(items.len()),
            Expr::Map(keys, _) => Head::Map(keys),
            Expr::Call(subject, args) => {
                // The value that is called is a child.
                let subject = Some(subject.as_ref()).filter(|subject| !matches!(subject, Subject::Value(_)));
                let names: &[Id] = if let Args::Post(names, _) = args.as_ref() { names } else { &[] };
                Head::Call(subject, args.verb(), names)
            }
            Expr::Flow(flow) => {
                let (values, names): (usize, &[Id]) = match flow.as_ref() {
                    Flow::Case { switch, .. } => (switch.len(), &[]),
                    Flow::With { names, .. } => (0, names),
                    _ => (0, &[]),
                };
                Head::Flow(std::mem::discriminant(flow), values, names)
            }
        }
    }
}

fn same(l: &Expr, r: &Expr) -> bool {
    Head::of(l) == Head::of(r) && l.children().into_iter().zip(r.children()).all(|(l, r)| same(l, r))
}

fn hash_shape<H: Hasher>(expr: &Expr, state: &mut H) {
    Head::of(expr).hash(state);
    expr.children().into_iter().for_each(|child| hash_shape(child, state));
}

/// The same expression with the smallest literals of the same classes.
fn blank(expr: &Expr) -> Expr {
    let all = |exprs: &[Expr]| exprs.iter().map(blank).collect::<Vec<_>>();
    match expr {
        Expr::Literal(state) if is_parameter(state) => Expr::Literal(blank_literal(state)),
        Expr::Literal(_) | Expr::Name(_) => expr.clone(),
        Expr::Tuple(items) => Expr::Tuple(all(items)),
        Expr::Map(keys, values) => Expr::Map(Arc::clone(keys), all(values)),
        Expr::Call(subject, args) => {
            let subject = match subject.as_ref() {
                Subject::Value(expr) => Subject::Value(blank(expr)),
                subject => subject.clone(),
            };
            let args = match args.as_ref() {
                Args::Get(key) => Args::Get(blank(key)),
                Args::Put(key, value) => Args::Put(blank(key), blank(value)),
                Args::Post(names, values) => Args::Post(Arc::clone(names), all(values)),
                Args::Delete(key) => Args::Delete(blank(key)),
            };
            Expr::Call(Box::new(subject), Box::new(args))
        }
        Expr::Flow(flow) => Expr::Flow(Box::new(match flow.as_ref() {
            Flow::After { when, then } => Flow::After { when: blank(when), then: blank(then) },
            Flow::Before { when, then } => Flow::Before { when: blank(when), then: blank(then) },
            Flow::If { cond, then, or_else } => {
                Flow::If { cond: blank(cond), then: blank(then), or_else: blank(or_else) }
            }
            Flow::Case { cond, switch, cases } => {
                Flow::Case { cond: blank(cond), switch: all(switch), cases: all(cases) }
            }
            Flow::While { cond, step, state } => {
                Flow::While { cond: blank(cond), step: blank(step), state: blank(state) }
            }
            Flow::With { names, op } => Flow::With { names: names.clone(), op: blank(op) },
        })),
    }
}

fn blank_literal(state: &State) -> State {
    let one = || State::from(false);
    match state {
        State::Value(Value::String(_)) => State::from(""),
        State::Value(Value::Bytes(_)) => State::Value(Value::Bytes(Arc::new([]))),
        State::Tuple(_) => Tuple::try_new([one()]).map_or(State::NONE, State::from),
        State::Map(_) => Map::try_new([(Id::from("x"), one())]).map_or(State::NONE, State::from),
        State::Tensor(tensor) => blank_tensor(tensor.schema.layout),
        state => state.clone(),
    }
}

/// One zero.
fn blank_tensor(layout: Layout) -> State {
    let (dtype, zero) = (NumberClass::Bool, Initial::Fill(Number::Bool(false)));
    let schema = |shape| TensorSchema { layout, dtype, shape };
    let shape = tensor::Shape::try_new([1u64]);
    shape.map_or(State::NONE, |shape| Tensor::new(schema(shape), Node::Initial(Arc::new(zero))).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Class;

    fn program(op: &[(&'static str, Expr)]) -> Arc<Program> {
        let steps = op.iter().map(|(name, expr)| Step { name: (*name).into(), expr: expr.clone() }).collect();
        Arc::new(Program { steps, is_named: true })
    }

    fn literal(state: impl Into<State>) -> Expr {
        Expr::Literal(state.into())
    }

    #[test]
    fn programs_that_differ_in_their_literals_have_one_shape() {
        let (l, r) = (program(&[("a", literal(1i64))]), program(&[("a", literal(2i64))]));
        assert_eq!(l.shape(), r.shape());
        assert_eq!(l.shape(), l.kept_shape());
        assert_ne!(l.shape(), program(&[("b", literal(1i64))]).shape());
        assert_ne!(l.shape(), program(&[("a", literal(1.0))]).shape());
        assert_ne!(l.shape(), program(&[("a", literal(true))]).shape());
    }

    #[test]
    fn booleans_links_and_ops_are_part_of_the_shape() {
        let shape = |state: State| program(&[("a", Expr::Literal(state))]).shape();
        assert_ne!(shape(true.into()), shape(false.into()));
        assert_ne!(shape(Class::String.link().into()), shape(Class::Id.link().into()));
    }

    #[test]
    fn what_is_kept_is_small() {
        let large = program(&[("a", literal("x".repeat(1 << 20)))]);
        assert!(large.kept_shape().weight() < 1000);
        assert_eq!(large.kept_shape(), large.shape());
    }

    #[test]
    fn tensors_are_not_kept() {
        let put = |len: usize| {
            let elements = tensor::Elements::zeros(NumberClass::F64, len);
            let shape = tensor::Shape::try_new([len as u64]).unwrap();
            let schema = TensorSchema { layout: Layout::Dense, dtype: NumberClass::F64, shape };
            let value = Tensor::new(schema, Node::Initial(Arc::new(Initial::Elements(elements))));
            Arc::new(Program::put("/service/x".parse().unwrap(), &Doc::Null, value.into()).unwrap())
        };
        let (small, large) = (put(2), put(1 << 17));
        assert_eq!(small.shape(), large.shape());
        assert_eq!(large.kept_shape(), large.shape());
        assert!(large.kept_shape().weight() < 1000);
        assert_eq!(large.literals().len(), 1);
    }
}
