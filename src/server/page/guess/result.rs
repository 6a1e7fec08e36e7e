//! What ops seem to return.

use std::collections::HashMap;

use super::{Ops, methods};
use crate::compiler::methods::{Receiver, find, result_class};
use crate::value::{Args, Class, Expr, Flow, Id, Schema, Subject};

/// How many names and ops are followed, one after the other.
const HOPS_MAX: usize = 32;

impl Ops<'_> {
    /// The class that the result of an op seems to have.
    pub fn result(&self, op: &Id) -> Option<Class> {
        let mut name = op;
        let mut hops = HOPS_MAX;
        loop {
            let op = self.ops.get(name)?;
            let steps: HashMap<&Id, &Expr> = op.steps.iter().map(|step| (&step.name, &step.expr)).collect();
            let last = resolve(&op.steps.last()?.expr, &steps, &mut hops)?;
            hops = hops.checked_sub(1)?;
            match last {
                Expr::Call(subject, args) => match self.own(subject) {
                    Some([other]) if self.ops.contains_key(other) => name = other,
                    own => return self.called(own, subject, args),
                },
                Expr::Literal(state) => return Some(state.class()).filter(|class| *class != Class::None),
                Expr::Tuple(_) => return Some(Class::Tuple),
                Expr::Map(..) => return Some(Class::Map),
                Expr::Name(_) | Expr::Flow(_) => return None,
            }
        }
    }

    /// The class of what a call seems to return, which is none of these ops.
    fn called(&self, own: Option<&[Id]>, subject: &Subject, args: &Args) -> Option<Class> {
        match (own, subject) {
            (Some([name, rest @ ..]), _) if let Some(schema) = self.schema(name) => of_collection(schema, rest, args),
            (Some([name]), _) if self.initial(name).is_some() => match args {
                Args::Get(_) => self.initial(name).map(|state| state.class()).filter(|class| *class != Class::None),
                _ => Some(Class::None),
            },
            (Some([_]), _) => None,
            (_, Subject::Name(_, path)) => methods::result(path.last()?),
            (_, Subject::Link(link)) => Class::of_link(link).filter(|class| class.is_atom()),
            (_, Subject::Value(_)) => None,
        }
    }
}

fn of_collection(schema: &Schema, rest: &[Id], args: &Args) -> Option<Class> {
    let receiver = Receiver::of_kind(&schema.kind);
    match (rest, args) {
        ([], Args::Put(..) | Args::Delete(_)) => Some(Class::None),
        ([method], _) => find(receiver, method.as_str()).map(|method| result_class(method, schema.kind.class(), None)),
        _ => None,
    }
}

/// What an expression comes down to: the step that it names, or the part of a flow that is its value.
fn resolve<'a>(expr: &'a Expr, steps: &HashMap<&Id, &'a Expr>, hops: &mut usize) -> Option<&'a Expr> {
    let mut expr = expr;
    loop {
        *hops = hops.checked_sub(1)?;
        expr = match expr {
            Expr::Name(name) => steps.get(name).copied()?,
            Expr::Flow(flow) => match flow.as_ref() {
                Flow::After { then, .. } | Flow::Before { then, .. } => then,
                Flow::If { then, or_else, .. } if raises(then) => or_else,
                Flow::If { then, .. } => then,
                Flow::Case { .. } | Flow::While { .. } | Flow::With { .. } => return None,
            },
            expr => return Some(expr),
        };
    }
}

/// Whether an expression is an error.
fn raises(expr: &Expr) -> bool {
    match expr {
        Expr::Call(subject, _) => matches!(subject.as_ref(), Subject::Link(link)
            if link.path().first().is_some_and(|first| first.as_str() == "error")),
        _ => false,
    }
}
