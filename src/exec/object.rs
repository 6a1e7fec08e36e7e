//! Calls of objects: libraries and services, classes and their instances.

use std::sync::Arc;

use super::call::{Endpoint, Invocation, OpArgs, OpCall, call, invoke, wrong_verb};
use super::data::DataCall;
use super::unit::Site;
use crate::compiler::methods::{Receiver, Shape};
use crate::error::{Error, Result};
use crate::value::object::{Attribute, ClassDef, Instance};
use crate::value::{Class, Id, Link, Map, Object, OpKind, State, Value, cast};

/// What a method belongs to.
pub(super) struct Method<'a> {
    /// The link to the method, for the stack of errors.
    pub link: &'a Link,
    /// What its `$self` is.
    pub object: &'a State,
}

/// Calls an object, or what is at `path` below it.
pub(super) fn call_object(subject: &State, path: &[Id], shape: &Shape, args: Vec<State>) -> Result<Invocation> {
    let State::Object(object) = subject else { return Err(Error::internal("expected an object")) };
    if path.is_empty() && *shape == Shape::Get && args[0].is_none() {
        return Ok(Invocation::Done(subject.clone()));
    }
    match (object.as_ref(), path) {
        (Object::Cluster(link), path) => {
            Ok(Invocation::Data(DataCall::Path { link: link.join(path), shape: shape.clone(), args }))
        }
        (Object::Class(class), []) => construct(class, shape, args),
        (Object::Class(class), [name, rest @ ..]) => match class.attribute(name.as_str()) {
            Some(attribute) => {
                let link = class.link.join(std::slice::from_ref(name));
                call_attribute(attribute, &Method { link: &link, object: subject }, rest, shape, args)
            }
            None => native_method(subject, path, shape, args),
        },
        (Object::Instance(instance), []) if *shape == Shape::Get => {
            let name = cast::to_id(&args[0])?;
            call_instance(subject, instance, (&name, &[]), shape, vec![State::NONE])
        }
        (Object::Instance(instance), [name, rest @ ..]) => call_instance(subject, instance, (name, rest), shape, args),
        (Object::Definition(_) | Object::Typed(..), [_, ..]) => native_method(subject, path, shape, args),
        (object, _) => {
            let verb = shape.verb().http();
            Err(Error::method_not_allowed(format!("a {} does not support {verb}", object.class())))
        }
    }
}

/// Calls a member of an instance, an attribute of its class or of one that this extends, or a method of its value.
fn call_instance(
    subject: &State,
    instance: &Instance,
    (name, rest): (&Id, &[Id]),
    shape: &Shape,
    args: Vec<State>,
) -> Result<Invocation> {
    let link = instance.class.link.join(std::slice::from_ref(name));
    let method = Method { link: &link, object: subject };
    if let Some(member) = instance.members.get(name.as_str()) {
        return call_attribute(&Attribute::State(member.clone()), &method, rest, shape, args);
    }
    if let Some(attribute) = instance.class.attribute(name.as_str()) {
        return call_attribute(attribute, &method, rest, shape, args);
    }
    let path = [std::slice::from_ref(name), rest].concat();
    match instance.value == State::NONE {
        true => native_method(subject, &path, shape, args),
        false => invoke(&instance.value, &Site::new(path.into(), shape.clone()), args),
    }
}

/// A method that every state has.
fn native_method(subject: &State, path: &[Id], shape: &Shape, args: Vec<State>) -> Result<Invocation> {
    let [name] = path else { return Err(Error::not_found(Link::local(path).path_text())) };
    let site = Site::new(Arc::new([name.clone()]), shape.clone());
    match site.method(Receiver::Object) {
        Ok(bound) => bound.call(subject, &args.iter().collect::<Vec<_>>()).map(Invocation::Done),
        Err(error) => Err(error.clone()),
    }
}

/// Calls what a definition has under a name, or what is below it.
pub(super) fn call_attribute(
    attribute: &Attribute,
    method: &Method<'_>,
    rest: &[Id],
    shape: &Shape,
    args: Vec<State>,
) -> Result<Invocation> {
    match attribute {
        // A name that holds an op yields the op when it is called with nothing; an endpoint is no such name.
        Attribute::State(State::Op(op)) if rest.is_empty() && is_empty_post(shape) && op.kind != OpKind::Post => {
            Err(wrong_verb(op.kind.verb(), shape.verb()))
        }
        Attribute::State(state @ (State::Op(_) | State::Closure(_))) if rest.is_empty() => {
            Ok(match call(state, shape, args)? {
                Invocation::Op(call) => Invocation::Op(method.bind(call, shape)?),
                other => other,
            })
        }
        Attribute::State(State::Op(_)) => Err(Error::not_found(Link::local(rest).path_text())),
        Attribute::State(state) if rest.is_empty() && *shape == Shape::Get && args[0].is_none() => {
            Ok(Invocation::Done(state.clone()))
        }
        Attribute::State(state) => invoke(state, &Site::new(rest.into(), shape.clone()), args),
        Attribute::Reference(op) => {
            let args = OpArgs::Positional(vec![args.into_iter().next().unwrap_or(State::NONE)]);
            let call = OpCall { op: Arc::clone(op), context: None, args, keeps_result: true, callee: None };
            Ok(Invocation::Op(method.bind(call, shape)?))
        }
    }
}

fn is_empty_post(shape: &Shape) -> bool {
    matches!(shape, Shape::Post(names) if names.is_empty())
}

impl Method<'_> {
    /// The call with `$self`.
    fn bind(&self, mut call: OpCall, shape: &Shape) -> Result<OpCall> {
        let own = (Id::from(Id::SELF), self.object.clone());
        call.context = Some(match call.context {
            None => Map::try_new([own])?,
            Some(context) => {
                let captured = context.iter().map(|(name, state)| (name.clone(), state.clone()));
                Map::try_new(captured.chain([own]))?
            }
        });
        call.callee = Some(Arc::new(Endpoint { verb: shape.verb(), link: self.link.clone() }));
        Ok(call)
    }
}

/// Calls a class: a POST makes an instance with these members; a GET looks an attribute up, or makes an instance of the value that
/// a native class is extended by.
pub(super) fn construct(class: &Arc<ClassDef>, shape: &Shape, args: Vec<State>) -> Result<Invocation> {
    let instance = |members, value| {
        Ok(Invocation::Done(Object::Instance(Instance { class: Arc::clone(class), members, value }).into()))
    };
    match shape {
        Shape::Post(names) => instance(Map::from_sorted(Arc::clone(names), args.into())?, State::NONE),
        Shape::Get if args[0].is_none() => Ok(Invocation::Done(Object::Class(Arc::clone(class)).into())),
        Shape::Get => {
            let name = match &args[0] {
                State::Value(Value::String(name)) => Some(&**name),
                State::Value(Value::Id(name)) => Some(name.as_str()),
                _ => None,
            };
            if let Some(attribute) = name.and_then(|name| class.attribute(name)) {
                return match attribute {
                    Attribute::State(state) => Ok(Invocation::Done(state.clone())),
                    Attribute::Reference(_) => {
                        let object = Object::Class(Arc::clone(class)).into();
                        let method = Method { link: &class.link, object: &object };
                        call_attribute(attribute, &method, &[], shape, vec![State::NONE])
                    }
                };
            }
            match class.native() {
                Some(Class::State) => instance(Map::try_new([])?, args[0].clone()),
                Some(native) => instance(Map::try_new([])?, cast::cast(&args[0], native)?),
                None => {
                    let key = crate::value::encode::to_json(&args[0]);
                    Err(Error::not_found(format!("{} has no attribute {key}", class.link)))
                }
            }
        }
        Shape::Put | Shape::Delete => {
            Err(Error::method_not_allowed(format!("{} does not support {}", class.link, shape.verb().http())))
        }
    }
}
