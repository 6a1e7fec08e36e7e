//! Programs as they were written: expressions, steps and op definitions.
//!
//! This is the typed form that `compiler::decode` makes of a document. It keeps enough to be written back
//! ([`super::encode`]), since an op definition is a state like any other. It resolves nothing.

use std::any::Any;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use super::{Id, Link, Map, State};

/// What is done to a subject.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Verb {
    Get,
    Put,
    Post,
    Delete,
}

impl Verb {
    /// The name of this verb in paths and plans, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Put => "put",
            Verb::Post => "post",
            Verb::Delete => "delete",
        }
    }

    /// The name of this verb in HTTP.
    pub fn http(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Put => "PUT",
            Verb::Post => "POST",
            Verb::Delete => "DELETE",
        }
    }
}

/// A state, or a description of how to compute one.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Expr {
    /// A state without references outside op definitions.
    Literal(State),
    /// The value of a named step or parameter.
    Name(Id),
    Tuple(Vec<Expr>),
    /// Entries sorted by name, without duplicates.
    Map(Arc<[Id]>, Vec<Expr>),
    Call(Box<Subject>, Box<Args>),
    Flow(Box<Flow>),
}

/// What is called.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Subject {
    /// A step or parameter, and the path of an entry or method below its value.
    Name(Id, Arc<[Id]>),
    Link(Link),
    /// The value of an expression.
    Value(Expr),
}

/// The verb of a call with its arguments.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Args {
    Get(Expr),
    Put(Expr, Expr),
    /// Parameters sorted by name, without duplicates.
    Post(Arc<[Id]>, Vec<Expr>),
    Delete(Expr),
}

impl Args {
    /// The verb of the call.
    pub fn verb(&self) -> Verb {
        match self {
            Args::Get(_) => Verb::Get,
            Args::Put(..) => Verb::Put,
            Args::Post(..) => Verb::Post,
            Args::Delete(_) => Verb::Delete,
        }
    }

    /// The argument expressions, in order.
    pub fn exprs(&self) -> Vec<&Expr> {
        match self {
            Args::Get(key) | Args::Delete(key) => vec![key],
            Args::Put(key, value) => vec![key, value],
            Args::Post(_, values) => values.iter().collect(),
        }
    }
}

/// Flow control.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Flow {
    /// `then`, not begun before `when` is done.
    After {
        when: Expr,
        then: Expr,
    },
    /// `then`, after which `when` is done.
    Before {
        when: Expr,
        then: Expr,
    },
    If {
        cond: Expr,
        then: Expr,
        or_else: Expr,
    },
    /// The case of the first entry of `switch` that equals `cond`; `cases` has one more, the default.
    Case {
        cond: Expr,
        switch: Vec<Expr>,
        cases: Vec<Expr>,
    },
    /// `state`, replaced by `step(state)` as long as `cond(state)`.
    While {
        cond: Expr,
        step: Expr,
        state: Expr,
    },
    /// `op` with the current values of the named states.
    With {
        names: Vec<Id>,
        op: Expr,
    },
}

/// One step of a program or an op.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Step {
    pub name: Id,
    pub expr: Expr,
}

/// How an op is called, and the names of its parameters.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum OpKind {
    Get { key: Id },
    Put { key: Id, value: Id },
    Post,
    Delete { key: Id },
}

impl OpKind {
    /// The verb that an op of this kind is called by.
    pub fn verb(&self) -> Verb {
        match self {
            OpKind::Get { .. } => Verb::Get,
            OpKind::Put { .. } => Verb::Put,
            OpKind::Post => Verb::Post,
            OpKind::Delete { .. } => Verb::Delete,
        }
    }

    /// The names of the parameters that this kind fixes; a POST op takes any.
    pub fn params(&self) -> impl Iterator<Item = &Id> {
        let (first, second) = match self {
            OpKind::Get { key } | OpKind::Delete { key } => (Some(key), None),
            OpKind::Put { key, value } => (Some(key), Some(value)),
            OpKind::Post => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// An op definition. Its value is the value of its last step.
#[derive(Debug)]
pub struct OpDef {
    pub kind: OpKind,
    pub steps: Vec<Step>,
    /// See [`State::weight`].
    pub weight: u64,
    /// Whether this names `$self`, the object whose method it belongs to; also in ops within it that are no methods themselves.
    pub uses_self: bool,
    /// The version of a library, service or set of classes that this was installed with: whoever runs it there does so in its
    /// name.
    home: OnceLock<Link>,
    /// What `exec` compiled from this definition, once it was called.
    pub compiled: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl OpDef {
    /// An op definition that was not called yet.
    pub fn new(kind: OpKind, steps: Vec<Step>) -> Self {
        let weight = 64 + steps.iter().map(|step| step.expr.weight()).sum::<u64>();
        let uses_self = steps.iter().any(|step| step.expr.uses_self());
        Self { kind, steps, weight, uses_self, home: OnceLock::new(), compiled: OnceLock::new() }
    }

    /// The names that this uses, in the order of their first use, and that are neither its steps nor parameters that its
    /// kind fixes, nor `$self`: the parameters of a POST op.
    pub fn free_names(&self) -> Vec<&Id> {
        let mut seen: HashSet<&Id> = self.steps.iter().map(|step| &step.name).chain(self.kind.params()).collect();
        let mut names = Vec::new();
        self.steps.iter().for_each(|step| step.expr.names(&mut names));
        names.retain(|name| name.as_str() != Id::SELF && seen.insert(name));
        names
    }
}

impl OpDef {
    /// The version that this was installed with, if it was.
    pub fn home(&self) -> Option<&Link> {
        self.home.get()
    }

    /// Says which version this, and each op within it, is installed with. The first time counts.
    pub fn set_home(&self, home: &Link) {
        let _ = self.home.set(home.clone());
        self.steps.iter().for_each(|step| step.expr.set_home(home));
    }
}

impl PartialEq for OpDef {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.steps == other.steps
    }
}

impl Eq for OpDef {}

impl Hash for OpDef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.steps.hash(state);
    }
}

/// An op with the states that it captured.
#[derive(Debug, Eq, PartialEq, Hash)]
pub struct Closure {
    pub context: Map,
    pub op: Arc<OpDef>,
}

impl Expr {
    /// The literal None, which also stands for a missing argument.
    pub const NONE: Expr = Expr::Literal(State::NONE);

    /// The expressions that this one is made of, as they are written; not those within op definitions.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Literal(_) | Expr::Name(_) => vec![],
            Expr::Tuple(items) | Expr::Map(_, items) => items.iter().collect(),
            Expr::Call(subject, args) => {
                let subject = if let Subject::Value(expr) = subject.as_ref() { Some(expr) } else { None };
                subject.into_iter().chain(args.exprs()).collect()
            }
            Expr::Flow(flow) => match flow.as_ref() {
                Flow::After { when, then } | Flow::Before { when, then } => vec![when, then],
                Flow::If { cond, then, or_else } => vec![cond, then, or_else],
                Flow::Case { cond, switch, cases } => [cond].into_iter().chain(switch).chain(cases).collect(),
                Flow::While { cond, step, state } => vec![cond, step, state],
                Flow::With { op, .. } => vec![op],
            },
        }
    }

    /// Adds the names that this uses to `names`; not those within op definitions.
    fn names<'a>(&'a self, names: &mut Vec<&'a Id>) {
        match self {
            Expr::Name(name) => names.push(name),
            Expr::Call(subject, _) => {
                if let Subject::Name(name, _) = subject.as_ref() {
                    names.push(name);
                }
            }
            Expr::Flow(flow) => {
                if let Flow::With { names: captured, .. } = flow.as_ref() {
                    names.extend(captured);
                }
            }
            Expr::Literal(_) | Expr::Tuple(_) | Expr::Map(..) => {}
        }
        self.children().into_iter().for_each(|child| child.names(names));
    }

    fn set_home(&self, home: &Link) {
        if let Expr::Literal(state) = self {
            state.set_home(home);
        }
        self.children().into_iter().for_each(|child| child.set_home(home));
    }

    /// Whether this names `$self`. What is given by name to a link is not looked at: the ops there may be methods of the
    /// instance that is made, and have a `$self` of their own.
    fn uses_self(&self) -> bool {
        match self {
            Expr::Literal(State::Op(op)) => op.uses_self,
            Expr::Name(name) => name.as_str() == Id::SELF,
            Expr::Call(subject, args) => match (subject.as_ref(), args.as_ref()) {
                (Subject::Name(name, _), _) if name.as_str() == Id::SELF => true,
                (Subject::Link(_), Args::Post(_, values)) => {
                    values.iter().any(|value| !matches!(value, Expr::Literal(_)) && value.uses_self())
                }
                _ => self.children().into_iter().any(Expr::uses_self),
            },
            Expr::Flow(flow) if matches!(flow.as_ref(), Flow::With { names, .. } if names.iter().any(|name| name.as_str() == Id::SELF)) => {
                true
            }
            _ => self.children().into_iter().any(Expr::uses_self),
        }
    }

    /// Bytes that this stands for, roughly.
    pub fn weight(&self) -> u64 {
        const SELF: u64 = size_of::<Expr>() as u64;
        let own = match self {
            Expr::Literal(state) => state.weight(),
            Expr::Name(name) => name.as_str().len() as u64,
            Expr::Call(..) | Expr::Flow(_) => 64,
            Expr::Tuple(_) | Expr::Map(..) => 0,
        };
        SELF + own + self.children().into_iter().map(Expr::weight).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &'static str) -> Expr {
        Expr::Name(name.into())
    }

    fn method(subject: &'static str, arg: Expr) -> Expr {
        let subject = Subject::Name(subject.into(), Arc::new(["f".into()]));
        Expr::Call(Box::new(subject), Box::new(Args::Post(Arc::new(["arg".into()]), vec![arg])))
    }

    fn free(kind: OpKind, steps: Vec<(&'static str, Expr)>) -> Vec<String> {
        let steps = steps.into_iter().map(|(name, expr)| Step { name: name.into(), expr });
        OpDef::new(kind, steps.collect()).free_names().into_iter().map(Id::to_string).collect()
    }

    #[test]
    fn free_names_are_those_that_nothing_defines() {
        let steps = || {
            vec![
                ("x", method("late", Expr::Tuple(vec![name("b"), name("a")]))),
                ("late", method(Id::SELF, name("b"))),
                ("_return", method("x", Expr::Literal(State::NONE))),
            ]
        };
        assert_eq!(free(OpKind::Post, steps()), ["b", "a"]);
        assert_eq!(free(OpKind::Get { key: "a".into() }, steps()), ["b"]);
        assert_eq!(free(OpKind::Post, vec![]), [""; 0]);
    }

    #[test]
    fn what_a_closure_captures_is_used_and_what_is_in_an_op_is_not() {
        let inner = OpDef::new(OpKind::Post, vec![Step { name: "r".into(), expr: name("inner") }]);
        let op = Expr::Literal(State::Op(Arc::new(inner)));
        let with = Expr::Flow(Box::new(Flow::With { names: vec!["captured".into()], op: op.clone() }));
        assert_eq!(free(OpKind::Post, vec![("r", with)]), ["captured"]);
        assert_eq!(free(OpKind::Post, vec![("r", method("x", op))]), ["x"]);
    }
}
