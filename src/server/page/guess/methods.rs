//! What the name of a method says about what it is called on, and with.

use super::{Guess, Trust};
use crate::compiler::methods::{self, Method, Param, Params, Receiver};
use crate::value::{Args, Class, Expr, Id, NumberClass, State};

/// What a parameter may be, the most likely first.
const CANDIDATES: [(Receiver, Class); 4] = [
    (Receiver::Number, Class::Number),
    (Receiver::String, Class::String),
    (Receiver::Tuple, Class::Tuple),
    (Receiver::Map, Class::Map),
];

/// Methods that take what they are called on.
const COMPARISONS: [&str; 8] = ["eq", "ne", "lt", "le", "gt", "ge", "lte", "gte"];

/// The class that most likely has a method of this name, and the method.
fn likely(name: &Id) -> Option<(Guess, &'static Method)> {
    // What ops can do, everything can.
    if methods::find(Receiver::Op, name.as_str()).is_some() {
        return None;
    }
    // What tensors can do is mostly what numbers can, of which there are more.
    let others = Receiver::ALL.into_iter().filter(|receiver| *receiver != Receiver::Tensor);
    let having = others.filter(|receiver| methods::find(*receiver, name.as_str()).is_some()).count();
    let trust = if having == 1 { Trust::Own } else { Trust::Shared };
    CANDIDATES.into_iter().find_map(|(receiver, class)| {
        methods::find(receiver, name.as_str()).map(|method| (Guess { class, trust }, method))
    })
}

/// What something seems to be whose method `name` is called with `args`.
pub(super) fn receiver(name: &Id, args: &Args) -> Option<Guess> {
    let literal = match args.exprs().as_slice() {
        [Expr::Literal(state)] if COMPARISONS.contains(&name.as_str()) => of_literal(state),
        _ => None,
    };
    literal.or_else(|| Some(likely(name)?.0))
}

/// What something seems to be that is compared with `state`.
fn of_literal(state: &State) -> Option<Guess> {
    let class = match state.class() {
        class @ Class::Exactly(NumberClass::Bool) => class,
        class if class.is_number() => Class::Number,
        Class::None => return None,
        class => class,
    };
    Some(Guess { class, trust: Trust::Own })
}

/// What the argument named `param`, or the only one, of a method of something unknown seems to be.
pub(super) fn argument(name: &Id, param: Option<&Id>) -> Option<Guess> {
    let (guess, method) = likely(name)?;
    // Anything can be rendered.
    let trust = if method.params == Params::Any { Trust::Shared } else { guess.trust };
    Some(Guess { class: param_class(method, param)?, trust })
}

/// The class of an argument of a method that is known.
pub(super) fn param_class(method: &Method, name: Option<&Id>) -> Option<Class> {
    let is = |param: &Param, name: &Id| param.name == name.as_str() || param.aliases.contains(&name.as_str());
    let param = match (method.params, name) {
        (Params::Key(param) | Params::OptionalKey(param) | Params::One(param) | Params::Optional(param), _) => param,
        (Params::Named(params), Some(name)) => *params.iter().find(|param| is(param, name))?,
        // What is rendered is text in the end.
        (Params::Any, Some(_)) => return Some(Class::String),
        _ => return None,
    };
    Some(match param.class {
        "Number" => Class::Number,
        "String" => Class::String,
        "Tuple" => Class::Tuple,
        "Map" => Class::Map,
        _ => return None,
    })
}

/// The class of what a method of something unknown seems to return.
pub(super) fn result(name: &Id) -> Option<Class> {
    let (guess, method) = likely(name)?;
    Some(methods::result_class(method, guess.class, None)).filter(|class| *class != Class::State)
}
