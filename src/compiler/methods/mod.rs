//! Methods: what a class can do, declared once each.
//!
//! A [`Method`] says on what it is called, how, with which parameters, what comes out and what computes it. The compiler
//! finds methods here, the executor calls them, and `docs/methods.md` is written from here. To add a method, add it to the
//! list of its class; the reference and the checks of verb and parameters follow from the declaration.

mod any;
mod btree;
mod map;
mod number;
pub mod reference;
mod statics;
mod stream;
mod string;
mod table;
mod tensor;
mod tuple;
mod value;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::error::{Error, Result};
use crate::value::number::NumberClass;
use crate::value::schema::Kind;
use crate::value::{Class, Id, Map, State, Value, Verb};

/// What methods are looked up by: the receiver's place in the table of methods.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Receiver {
    None,
    Number,
    String,
    Id,
    Link,
    Bytes,
    Email,
    Version,
    Tuple,
    Map,
    Op,
    Closure,
    BTree,
    Table,
    Tensor,
    Stream,
    Object,
}

impl Receiver {
    /// All receivers, in the order of their discriminants.
    pub const ALL: [Receiver; 17] = {
        use Receiver::*;
        [
            None, Number, String, Id, Link, Bytes, Email, Version, Tuple, Map, Op, Closure, BTree, Table, Tensor,
            Stream, Object,
        ]
    };

    /// The receiver that a state is.
    pub fn of(state: &State) -> Self {
        match state {
            State::Value(Value::Number(_)) => Receiver::Number,
            State::Value(Value::None) => Receiver::None,
            State::Value(Value::String(_)) => Receiver::String,
            State::Value(Value::Id(_)) => Receiver::Id,
            State::Value(Value::Link(_)) => Receiver::Link,
            State::Value(Value::Bytes(_)) => Receiver::Bytes,
            State::Value(Value::Email(_)) => Receiver::Email,
            State::Value(Value::Version(_)) => Receiver::Version,
            State::Tuple(_) => Receiver::Tuple,
            State::Map(_) => Receiver::Map,
            State::Op(_) => Receiver::Op,
            State::Closure(_) => Receiver::Closure,
            State::Stream(_) => Receiver::Stream,
            State::Object(_) => Receiver::Object,
            State::Tensor(_) => Receiver::Tensor,
            State::Collection(collection) => Receiver::of_kind(&collection.table.schema.kind),
        }
    }

    /// The receiver that collections of a kind are.
    pub fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::BTree => Receiver::BTree,
            Kind::Table => Receiver::Table,
            Kind::Tensor(_) => Receiver::Tensor,
        }
    }

    /// The receiver that every instance of `class` is, if that is known.
    pub fn of_class(class: Class) -> Option<Self> {
        Some(match class {
            class if class.is_number() => Receiver::Number,
            Class::None => Receiver::None,
            Class::String => Receiver::String,
            Class::Id => Receiver::Id,
            Class::Link => Receiver::Link,
            Class::Bytes => Receiver::Bytes,
            Class::Email => Receiver::Email,
            Class::Version => Receiver::Version,
            Class::Tuple => Receiver::Tuple,
            Class::Map => Receiver::Map,
            Class::Op(_) => Receiver::Op,
            Class::Closure => Receiver::Closure,
            Class::BTree => Receiver::BTree,
            Class::Table => Receiver::Table,
            Class::Dense | Class::Sparse => Receiver::Tensor,
            Class::Stream => Receiver::Stream,
            _ => return None,
        })
    }

    /// The name of this receiver in messages and in the reference.
    pub fn name(self) -> &'static str {
        match self {
            Receiver::None => "None",
            Receiver::Number => "Number",
            Receiver::String => "String",
            Receiver::Id => "Id",
            Receiver::Link => "Link",
            Receiver::Bytes => "Bytes",
            Receiver::Email => "Email",
            Receiver::Version => "Version",
            Receiver::Tuple => "Tuple",
            Receiver::Map => "Map",
            Receiver::Op => "Op",
            Receiver::Closure => "Closure",
            Receiver::BTree => "BTree",
            Receiver::Table => "Table",
            Receiver::Tensor => "Tensor",
            Receiver::Stream => "Stream",
            Receiver::Object => "Object",
        }
    }
}

/// How a method takes its arguments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Params {
    /// No argument: GET without a key.
    None,
    /// GET, whatever the key: it is ignored.
    Ignored,
    /// GET with a key.
    Key(Param),
    /// GET with or without a key.
    OptionalKey(Param),
    /// GET with the argument as the key, or POST with the argument by name.
    One(Param),
    /// As [`Params::One`], and the argument may be missing.
    Optional(Param),
    /// POST with all of these.
    Named(&'static [Param]),
    /// GET with the data as the key, or POST with any parameters, which become one map.
    Any,
}

/// A parameter of a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Param {
    pub name: &'static str,
    /// Other names that clients use.
    pub aliases: &'static [&'static str],
    /// The class of the argument, for the reference.
    pub class: &'static str,
}

/// A parameter without other names.
pub const fn param(name: &'static str, class: &'static str) -> Param {
    Param { name, aliases: &[], class }
}

/// The class of a method's result, as far as it is known from the classes of receiver and argument.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResultClass {
    Exactly(Class),
    /// The promotion of receiver and argument.
    Promoted,
    /// The class of the receiver.
    Receiver,
}

/// What computes a method.
#[derive(Clone, Copy)]
pub enum Body {
    Unary(fn(&State) -> Result<State>),
    Binary(fn(&State, &State) -> Result<State>),
    Optional(fn(&State, Option<&State>) -> Result<State>),
    /// Calls an op for each item; the executor does it.
    Loop(LoopKind),
    /// Reads or writes rows of a collection; the executor does it.
    Data,
}

/// The methods that go through the items of a tuple or a stream one by one, most of them with an op.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum LoopKind {
    Map,
    Filter,
    ForEach,
    Fold,
    Collect,
    Count,
    First,
    Max,
    Min,
    Sum,
}

/// A method of a class.
pub struct Method {
    /// The last segment of the path.
    pub name: &'static str,
    /// Other names that clients use.
    pub aliases: &'static [&'static str],
    pub params: Params,
    pub result: ResultClass,
    /// One or two sentences for the reference.
    pub doc: &'static str,
    /// A program and its reply, for the reference; checked by a test.
    pub example: (&'static str, &'static str),
    pub body: Body,
}

impl Method {
    /// Whether a call may wait for something: for rows, or for what an op that it calls waits for.
    pub fn may_wait(&self) -> bool {
        matches!(self.body, Body::Loop(_) | Body::Data)
    }
}

type Table = HashMap<(Receiver, &'static str), &'static Method>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    for receiver in Receiver::ALL {
        for method in lists(receiver).into_iter().flatten() {
            for name in method.aliases.iter().chain([&method.name]) {
                table.insert((receiver, name), method);
            }
        }
    }
    table
});

/// The lists of methods of a receiver, the most general first.
pub(crate) fn lists(receiver: Receiver) -> Vec<&'static [Method]> {
    match receiver {
        Receiver::Number => vec![any::METHODS, number::METHODS],
        Receiver::String => vec![any::METHODS, value::METHODS, string::METHODS],
        Receiver::Tuple => vec![any::METHODS, tuple::METHODS],
        Receiver::Map => vec![any::METHODS, map::METHODS],
        Receiver::Op | Receiver::Closure | Receiver::Object => vec![any::METHODS],
        Receiver::BTree => vec![btree::METHODS],
        Receiver::Table => vec![table::METHODS],
        Receiver::Tensor => vec![tensor::METHODS],
        Receiver::Stream => vec![any::METHODS, stream::METHODS],
        _ => vec![any::METHODS, value::METHODS],
    }
}

/// The method `name` of `receiver`.
pub fn find(receiver: Receiver, name: &str) -> Option<&'static Method> {
    TABLE.get(&(receiver, name)).copied()
}

/// Whether calling `name` on something unknown may run an op: unless every class that has such a method computes it. Tensors
/// do not count: most names of their methods are those of numbers, whose calls should not be taken apart because of them.
pub fn may_wait(name: &str) -> bool {
    let known = Receiver::ALL.iter().filter(|receiver| **receiver != Receiver::Tensor);
    let mut found = known.filter_map(|receiver| find(*receiver, name)).peekable();
    found.peek().is_none() || found.any(Method::may_wait)
}

/// The static method at a path such as `/state/tuple/range`.
pub fn find_static(path: &str) -> Option<&'static Method> {
    statics::find(path)
}

pub(crate) use statics::METHODS as STATIC_METHODS;

/// The arguments of a call, but for their values.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Shape {
    Get,
    Put,
    Delete,
    /// The names of the parameters, sorted.
    Post(Arc<[Id]>),
}

impl Shape {
    /// The verb of the call.
    pub fn verb(&self) -> Verb {
        match self {
            Shape::Get => Verb::Get,
            Shape::Put => Verb::Put,
            Shape::Delete => Verb::Delete,
            Shape::Post(_) => Verb::Post,
        }
    }

    /// The number of arguments.
    pub fn arity(&self) -> usize {
        match self {
            Shape::Get | Shape::Delete => 1,
            Shape::Put => 2,
            Shape::Post(names) => names.len(),
        }
    }
}

/// How a method is called from one place: its body, and which argument goes where.
#[derive(Clone)]
pub enum Bound {
    Unary(fn(&State) -> Result<State>),
    /// Unary, and the key, whose value is known only at run time, must be None.
    UnaryWithoutKey(fn(&State) -> Result<State>, &'static Method),
    /// With the argument at this index.
    Binary(fn(&State, &State) -> Result<State>, usize),
    /// A static method, with the arguments at these indices.
    Static(fn(&State, &State) -> Result<State>, usize, usize),
    /// With the argument at this index, unless it is None.
    Optional(fn(&State, Option<&State>) -> Result<State>, Option<usize>),
    /// With all arguments as one map.
    Packed(fn(&State, &State) -> Result<State>, Arc<[Id]>),
    /// A loop, with the index of the argument for each parameter; that of the key, if there is none.
    Loop(LoopKind, Vec<usize>),
    /// What reads or writes rows checks its arguments itself.
    Data,
}

/// Checks verb and parameter names of a call against the declaration of the method.
///
/// # Errors
/// `MethodNotAllowed` for another verb, `NotFound` for a missing parameter, `BadRequest` for one too many.
pub fn bind(method: &'static Method, shape: &Shape) -> Result<Bound> {
    if let Body::Data = method.body {
        return Ok(Bound::Data);
    }
    match (shape, method.params) {
        (Shape::Post(names), Params::None | Params::Ignored | Params::OptionalKey(_)) if names.is_empty() => {
            bind_key(method, false)
        }
        (Shape::Get, Params::Named(_)) | (Shape::Put | Shape::Delete, _) => Err(not_allowed(method, shape)),
        (Shape::Post(_), Params::None | Params::Ignored | Params::Key(_) | Params::OptionalKey(_)) => {
            Err(not_allowed(method, shape))
        }
        (Shape::Get, _) => bind_key(method, true),
        (Shape::Post(names), Params::Any) => match method.body {
            Body::Binary(body) => Ok(Bound::Packed(body, Arc::clone(names))),
            _ => Err(malformed(method)),
        },
        (Shape::Post(names), Params::One(param)) => bind_named(method, &[param], names, false),
        (Shape::Post(names), Params::Optional(param)) => bind_named(method, &[param], names, true),
        (Shape::Post(names), Params::Named(params)) => bind_named(method, params, names, false),
    }
}

fn bind_key(method: &'static Method, has_key: bool) -> Result<Bound> {
    match (method.body, method.params) {
        (Body::Unary(body), Params::None) if has_key => Ok(Bound::UnaryWithoutKey(body, method)),
        (Body::Unary(body), _) => Ok(Bound::Unary(body)),
        (Body::Binary(body), _) => Ok(Bound::Binary(body, 0)),
        (Body::Optional(body), _) => Ok(Bound::Optional(body, has_key.then_some(0))),
        (Body::Loop(kind), Params::None) => Ok(Bound::Loop(kind, if has_key { vec![0] } else { vec![] })),
        (Body::Loop(_) | Body::Data, _) => Err(malformed(method)),
    }
}

fn bind_named(method: &'static Method, params: &[Param], names: &[Id], optional: bool) -> Result<Bound> {
    let is = |param: &Param, name: &Id| param.name == name.as_str() || param.aliases.contains(&name.as_str());
    if let Some(name) = names.iter().find(|name| !params.iter().any(|param| is(param, name))) {
        let known = params.iter().map(|param| param.name).collect::<Vec<_>>().join(", ");
        // A parameter that is missing is the more useful complaint.
        if optional || params.iter().all(|param| names.iter().any(|name| is(param, name))) {
            return Err(Error::bad_request(format!("{} has no parameter {name}, only {known}", method.name)));
        }
    }
    let mut indices = Vec::with_capacity(params.len());
    for param in params {
        match names.iter().position(|name| is(param, name)) {
            Some(index) => indices.push(index),
            None if optional => {}
            None => return Err(Error::not_found(format!("parameter {} of {}", param.name, method.name))),
        }
    }
    match method.body {
        Body::Binary(body) => match indices.as_slice() {
            [only] => Ok(Bound::Binary(body, *only)),
            [l, r] => Ok(Bound::Static(body, *l, *r)),
            _ => Err(malformed(method)),
        },
        Body::Optional(body) => Ok(Bound::Optional(body, indices.first().copied())),
        Body::Loop(kind) => Ok(Bound::Loop(kind, indices)),
        Body::Unary(_) | Body::Data => Err(malformed(method)),
    }
}

fn not_allowed(method: &Method, shape: &Shape) -> Error {
    Error::method_not_allowed(format!("{} does not support {}", method.name, shape.verb().http()))
}

fn malformed(method: &Method) -> Error {
    Error::internal(format!("the body of {} does not fit its parameters", method.name))
}

impl Bound {
    /// Calls the method, unless the executor does it.
    ///
    /// # Errors
    /// As the method; `Internal` if the executor does it.
    pub fn call(&self, receiver: &State, args: &[&State]) -> Result<State> {
        match self {
            Bound::Unary(body) => body(receiver),
            Bound::UnaryWithoutKey(body, method) => match args.first() {
                Some(key) if !key.is_none() => {
                    Err(Error::bad_request(format!("{} takes no argument, found a {}", method.name, key.class())))
                }
                _ => body(receiver),
            },
            Bound::Binary(body, index) => body(receiver, args[*index]),
            Bound::Optional(body, index) => {
                body(receiver, index.map(|index| args[index]).filter(|arg| **arg != State::NONE))
            }
            Bound::Packed(body, names) => {
                let values: Box<[State]> = args.iter().map(|arg| (*arg).clone()).collect();
                body(receiver, &Map::from_sorted(Arc::clone(names), values)?.into())
            }
            Bound::Static(..) | Bound::Loop(..) | Bound::Data => Err(Error::internal("not a method of a receiver")),
        }
    }
}

/// The class of the result of `method`, as far as it is known.
pub fn result_class(method: &Method, receiver: Class, argument: Option<Class>) -> Class {
    match method.result {
        ResultClass::Exactly(class) => class,
        ResultClass::Receiver => receiver,
        ResultClass::Promoted => match (receiver, argument) {
            (Class::Exactly(l), Some(Class::Exactly(r))) => promoted(l, r),
            _ => Class::Number,
        },
    }
}

fn promoted(l: NumberClass, r: NumberClass) -> Class {
    Class::Exactly(crate::value::number::promote::result_class(l, r))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_has_a_body_that_fits_its_parameters() {
        let all = Receiver::ALL.into_iter().flat_map(lists).flatten().chain(STATIC_METHODS);
        for method in all {
            let shape = match method.params {
                Params::Named(params) => {
                    let mut names: Vec<Id> = params.iter().map(|param| Id::from(param.name)).collect();
                    names.sort();
                    Shape::Post(names.into())
                }
                _ => Shape::Get,
            };
            assert!(bind(method, &shape).is_ok(), "{}", method.name);
        }
    }

    #[test]
    fn verbs_and_parameters_are_checked() {
        let kind = |name: &str, shape: Shape| {
            bind(find(Receiver::Number, name).unwrap(), &shape).map(|_| ()).map_err(|error| error.kind())
        };
        let post = |names: &[&'static str]| Shape::Post(names.iter().map(|name| Id::from(*name)).collect());
        use crate::error::Kind;
        assert_eq!(kind("add", Shape::Get), Ok(()));
        assert_eq!(kind("add", post(&["r"])), Ok(()));
        assert_eq!(kind("add", Shape::Put), Err(Kind::MethodNotAllowed));
        assert_eq!(kind("add", post(&["x"])), Err(Kind::NotFound));
        assert_eq!(kind("add", post(&["r", "x"])), Err(Kind::BadRequest));
        assert_eq!(kind("abs", post(&["r"])), Err(Kind::MethodNotAllowed));
    }
}
