//! What a subject makes of a call.

use std::sync::Arc;

use super::data::DataCall;
use super::items;
use super::loops::Loop;
use super::object::call_object;
use super::step::not_a_key;
use super::unit::Site;
use crate::compiler::methods::{Bound, LoopKind, Receiver, Shape};
use crate::error::{Error, Result};
use crate::txn::{Granted, Watch};
use crate::value::{Class, Closure, Id, Link, Map, OpDef, OpKind, State, Value, Verb, cast};

/// What has to be done for a call.
pub(super) enum Invocation {
    /// Nothing more: this is the result.
    Done(State),
    /// Run an op.
    Op(OpCall),
    /// Run an op, which may do what was granted, too.
    Granted(OpCall, Arc<Granted>),
    /// Run an op for each item of the receiver.
    Loop(LoopKind, State, Vec<State>),
    /// Begin a loop of another kind.
    Begin(Loop),
    /// Read or write rows.
    Data(DataCall),
}

/// A call of an op with its arguments.
pub(super) struct OpCall {
    pub op: Arc<OpDef>,
    /// What the op captured.
    pub context: Option<Map>,
    pub args: OpArgs,
    /// Whether the result counts; that of PUT and DELETE is None.
    pub keeps_result: bool,
    /// What is called, for the stack of errors, if it is a method.
    pub callee: Option<Arc<Endpoint>>,
}

/// Who makes a call.
#[derive(Clone, Default)]
pub(super) struct Caller {
    /// The version whose code makes it; nothing for the code of whoever makes the request.
    pub home: Option<Link>,
    /// The method that is being called, if one is: the innermost.
    pub endpoint: Option<Arc<Endpoint>>,
    /// A method that was called by GET on the way here, so that nothing which lasts may be written.
    pub reads: Option<Arc<Endpoint>>,
    /// What watches that call.
    pub watch: Option<Arc<dyn Watch>>,
    /// What services have granted to the part of the request that makes it.
    pub granted: Option<Arc<Granted>>,
}

/// A method of a service, a library or an object.
pub(super) struct Endpoint {
    pub verb: Verb,
    pub link: Link,
}

impl Endpoint {
    /// What is said of it in the stack of an error.
    pub fn context(&self) -> String {
        format!("in call to {} {}", self.verb.http(), self.link)
    }
}

/// The arguments of an op, by position or by name.
pub(super) enum OpArgs {
    /// In the order of the op's parameters.
    Positional(Vec<State>),
    Named(Arc<[Id]>, Vec<State>),
}

/// Something that can be called for each item of a tuple.
#[derive(Clone)]
pub(super) struct Callee {
    pub op: Arc<OpDef>,
    pub context: Option<Map>,
}

impl Callee {
    /// The op or closure that `state` is.
    pub fn of(state: &State) -> Result<Self> {
        match state {
            State::Op(op) => Ok(Self { op: Arc::clone(op), context: None }),
            State::Closure(closure) => Ok(Self::of_closure(closure)),
            other => Err(Error::bad_request(format!("expected an op or a closure, found a {}", other.class()))),
        }
    }

    fn of_closure(closure: &Closure) -> Self {
        Self { op: Arc::clone(&closure.op), context: Some(closure.context.clone()) }
    }

    /// Whether the op takes its arguments by name.
    pub fn takes_names(&self) -> bool {
        self.op.kind.verb() == Verb::Post
    }

    /// A call with `item` as its argument, in the way that the kind of the op takes it.
    pub fn with_item(&self, item: &State) -> Result<OpCall> {
        let args = match &self.op.kind {
            OpKind::Get { .. } | OpKind::Delete { .. } if !item.is_value() => return Err(not_a_key(item)),
            OpKind::Get { .. } | OpKind::Delete { .. } => OpArgs::Positional(vec![item.clone()]),
            OpKind::Put { .. } => match item {
                State::Tuple(pair) if pair.items().len() == 2 => OpArgs::Positional(pair.items().to_vec()),
                other => {
                    return Err(Error::bad_request(format!(
                        "a PUT op takes a pair of key and value, not a {}",
                        other.class()
                    )));
                }
            },
            OpKind::Post => {
                let params = cast::to_map(item).ok_or_else(|| {
                    Error::bad_request(format!("a POST op takes a map of parameters, not a {}", item.class()))
                })?;
                named(&params)
            }
        };
        Ok(OpCall { op: Arc::clone(&self.op), context: self.context.clone(), args, keeps_result: true, callee: None })
    }

    /// A call of a POST op with the given parameters.
    pub fn with_params(&self, args: OpArgs) -> Result<OpCall> {
        match self.op.kind.verb() {
            Verb::Post => Ok(OpCall {
                op: Arc::clone(&self.op),
                context: self.context.clone(),
                args,
                keeps_result: true,
                callee: None,
            }),
            verb => Err(wrong_verb(verb, Verb::Post)),
        }
    }
}

fn named(params: &Map) -> OpArgs {
    OpArgs::Named(params.shared_keys(), params.values().to_vec())
}

pub(super) fn wrong_verb(has: Verb, called: Verb) -> Error {
    Error::method_not_allowed(format!("a {} op does not support {}", has.http(), called.http()))
}

/// Calls `subject`, through the entries that the path names.
pub(super) fn invoke(subject: &State, site: &Site, args: Vec<State>) -> Result<Invocation> {
    let mut value = subject;
    let mut rest = site.path.as_ref();
    while let Some((segment, further)) = rest.split_first() {
        let next = match value {
            State::Map(map) => map.get(segment.as_str()),
            State::Tuple(tuple) => match segment.as_index() {
                Some(index) => {
                    let length = tuple.items().len();
                    let missing = || Error::not_found(format!("item {index} of a tuple of {length}"));
                    Some(tuple.items().get(index).ok_or_else(missing)?)
                }
                None => None,
            },
            _ => None,
        };
        match next {
            Some(next) => (value, rest) = (next, further),
            None => break,
        }
    }
    if let State::Collection(collection) = value {
        let (collection, path) = (Arc::clone(collection), rest.into());
        return Ok(Invocation::Data(DataCall::Method { collection, path, shape: site.shape.clone(), args }));
    }
    if let State::Tensor(tensor) = value {
        let (tensor, path) = (Arc::clone(tensor), rest.into());
        return Ok(Invocation::Data(DataCall::Tensor { tensor, path, shape: site.shape.clone(), args }));
    }
    if let State::Object(_) = value {
        return call_object(value, rest, &site.shape, args);
    }
    match rest {
        [] => call(value, &site.shape, args),
        [name] => method(value, name, site, args),
        [name, ..] => Err(Error::not_found(format!("{} has no entry {name}", value.class()))),
    }
}

fn method(receiver: &State, name: &Id, site: &Site, args: Vec<State>) -> Result<Invocation> {
    let bound = match site.method(Receiver::of(receiver)) {
        Ok(bound) => bound,
        Err(error) => {
            if let Some(map) = as_map(receiver) {
                return match map.get(name.as_str()) {
                    Some(entry) => call(entry, &site.shape, args),
                    None => method(&map.into(), name, site, args),
                };
            }
            return match as_key(&site.shape, &args) {
                Some(key) => method(receiver, name, &Site::new(Arc::new([name.clone()]), Shape::Get), vec![key]),
                None => Err(error.clone()),
            };
        }
    };
    match bound {
        Bound::Loop(kind, indices) => {
            let args = indices.iter().map(|index| args[*index].clone()).collect();
            Ok(Invocation::Loop(*kind, receiver.clone(), args))
        }
        bound => bound.call(receiver, &args.iter().collect::<Vec<_>>()).map(Invocation::Done),
    }
}

/// The Id `x`, which reads like the map `{x: []}`, as that map.
fn as_map(state: &State) -> Option<Map> {
    match state {
        State::Value(Value::Id(_)) => cast::to_map(state),
        _ => None,
    }
}

/// The parameters `{x: []}`, which read like the Id `x`, as that Id.
fn as_key(shape: &Shape, args: &[State]) -> Option<State> {
    match (shape, args) {
        (Shape::Post(names), [State::Tuple(value)]) if value.items().is_empty() => Some(names.first()?.clone().into()),
        _ => None,
    }
}

/// Calls a state itself.
pub(super) fn call(value: &State, shape: &Shape, args: Vec<State>) -> Result<Invocation> {
    if !matches!(value, State::Op(_) | State::Closure(_))
        && let Some(key) = as_key(shape, &args)
    {
        return call(value, &Shape::Get, vec![key]);
    }
    match value {
        State::Op(op) => call_op(op, None, value, shape, args),
        State::Closure(closure) => call_op(&closure.op, Some(&closure.context), value, shape, args),
        State::Map(map) => match shape {
            Shape::Get => items::entry(map, &args[0]).map(Invocation::Done),
            shape => as_itself(value, shape),
        },
        State::Tuple(tuple) => match shape {
            Shape::Get => items::item(tuple, &args[0]).map(Invocation::Done),
            shape => as_itself(value, shape),
        },
        State::Value(Value::Link(link)) if *shape == Shape::Get && args[0] != State::NONE => {
            match Class::of_link(link) {
                Some(class) => cast::cast(&args[0], class).map(Invocation::Done),
                None => Err(Error::not_found(format!("{link} is not a class"))),
            }
        }
        State::Value(Value::Id(_)) if *shape == Shape::Get && args[0] != State::NONE => match as_map(value) {
            Some(map) => items::entry(&map, &args[0]).map(Invocation::Done),
            None => Err(Error::internal("an Id that is no map")),
        },
        State::Value(_) if *shape == Shape::Get && args[0] != State::NONE => {
            Err(Error::not_found(format!("a {} has no entries", value.class())))
        }
        State::Value(_) if *shape == Shape::Get => Ok(Invocation::Done(value.clone())),
        State::Value(_) => as_itself(value, shape),
        State::Stream(_) => match shape {
            Shape::Get if args[0] == State::NONE => Ok(Invocation::Done(value.clone())),
            Shape::Get => Err(Error::not_found("a stream has no entries: collect it first")),
            shape => as_itself(value, shape),
        },
        State::Collection(_) | State::Tensor(_) => Err(Error::internal("rows are read elsewhere")),
        State::Object(_) => call_object(value, &[], shape, args),
    }
}

/// A POST without parameters of something that cannot be called yields the thing itself.
fn as_itself(value: &State, shape: &Shape) -> Result<Invocation> {
    match shape {
        Shape::Post(names) if names.is_empty() => Ok(Invocation::Done(value.clone())),
        shape => {
            let verb = shape.verb().http();
            Err(Error::method_not_allowed(format!("a {} does not support {verb}", value.class())))
        }
    }
}

fn call_op(
    op: &Arc<OpDef>,
    context: Option<&Map>,
    value: &State,
    shape: &Shape,
    mut args: Vec<State>,
) -> Result<Invocation> {
    let verb = op.kind.verb();
    let mut shape = shape.clone();
    if verb != Verb::Post
        && let Some(key) = as_key(&shape, &args)
    {
        (shape, args) = (Shape::Get, vec![key]);
    }
    if verb != shape.verb() {
        return match &shape {
            Shape::Post(names) if names.is_empty() => Ok(Invocation::Done(value.clone())),
            shape => Err(wrong_verb(verb, shape.verb())),
        };
    }
    let args = match shape {
        Shape::Post(names) => OpArgs::Named(names, args),
        _ if !args[0].is_value() => return Err(not_a_key(&args[0])),
        _ => OpArgs::Positional(args),
    };
    let keeps_result = matches!(verb, Verb::Get | Verb::Post);
    Ok(Invocation::Op(OpCall { op: Arc::clone(op), context: context.cloned(), args, keeps_result, callee: None }))
}

/// The arguments of a call of another host.
pub(super) fn remote_args(shape: &Shape, args: Vec<State>) -> Result<super::RemoteArgs> {
    let mut args = args.into_iter();
    let mut next = || args.next().unwrap_or(State::NONE);
    Ok(match shape {
        Shape::Get => super::RemoteArgs::Get(next()),
        Shape::Delete => super::RemoteArgs::Delete(next()),
        Shape::Put => super::RemoteArgs::Put(next(), next()),
        Shape::Post(names) => super::RemoteArgs::Post(Map::from_sorted(Arc::clone(names), args.collect())?),
    })
}
