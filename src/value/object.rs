//! Objects: what has methods of its own.
//!
//! A class is a set of named attributes under a link, with a parent. An instance has members, which come before the attributes
//! of its class, which come before those of the class's parents.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::doc::Quoted;
use super::{Class, Id, Link, Map, OpDef, State};
use crate::error::Result;

/// Something that has methods of its own, or a definition of it.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Object {
    /// What is at a path of this host: the `$self` of a library or service.
    Cluster(Link),
    Class(Arc<ClassDef>),
    Instance(Instance),
    /// A definition as it is written.
    Definition(Quoted),
    /// A state that is written with its class, because it has parts that the class makes something of: a chain.
    Typed(Link, State),
}

/// What a definition says under a name.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Attribute {
    /// An op or a constant.
    State(State),
    /// A reference, as an op without parameters: resolved each time that it is asked for.
    Reference(Arc<OpDef>),
}

/// A class that a program defined.
#[derive(Clone, Debug)]
pub struct ClassDef {
    /// Where the class is.
    pub link: Link,
    /// The class that this one extends: `/class`, a class that is native, or one that a program defined.
    pub parent: Link,
    pub attributes: Arc<BTreeMap<Id, Attribute>>,
    /// The attributes as they are written.
    pub definition: Arc<Quoted>,
    /// The classes that this one extends and that programs defined, nearest first.
    pub ancestors: Vec<Arc<ClassDef>>,
}

impl ClassDef {
    /// The attribute `name` of this class, or of the nearest that it extends.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        let classes = std::iter::once(self).chain(self.ancestors.iter().map(AsRef::as_ref));
        classes.into_iter().find_map(|class| class.attributes.get(name))
    }

    /// The native class that instances have a value of, if there is one: any class if it is not said which.
    pub fn native(&self) -> Option<Class> {
        let parent = self.ancestors.last().map_or(&self.parent, |root| &root.parent);
        Class::of_link(parent).map(|class| if let Class::Other(_) = class { Class::State } else { class })
    }
}

impl PartialEq for ClassDef {
    fn eq(&self, other: &Self) -> bool {
        (&self.link, &self.parent, &self.definition) == (&other.link, &other.parent, &other.definition)
    }
}

impl Eq for ClassDef {}

impl Hash for ClassDef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.link, &self.parent, &self.definition).hash(state);
    }
}

/// An instance of a class that a program defined.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Instance {
    pub class: Arc<ClassDef>,
    pub members: Map,
    /// The value of the native class that the class extends; None if it extends none.
    pub value: State,
}

impl Object {
    /// The most specific class that has a path of its own.
    pub fn class(&self) -> Class {
        let path = match self {
            Object::Cluster(_) => "/state/scalar/cluster",
            Object::Class(_) => "/state/object/class",
            Object::Instance(_) => "/state/object/instance",
            Object::Definition(_) => "/state/object",
            Object::Typed(class, _) => return Class::of_link(class).unwrap_or(Class::State),
        };
        Class::at(path).unwrap_or(Class::State)
    }

    /// The states that this one is made of.
    pub fn parts(&self) -> Vec<&State> {
        match self {
            Object::Cluster(_) | Object::Class(_) | Object::Definition(_) => vec![],
            Object::Instance(instance) => instance.members.values().iter().chain([&instance.value]).collect(),
            Object::Typed(_, state) => vec![state],
        }
    }

    /// The same object with other parts, in the order of [`Object::parts`].
    ///
    /// # Errors
    /// `BadRequest` if it becomes too large.
    pub fn with_parts(&self, parts: Vec<State>) -> Result<Self> {
        let mut parts = parts.into_iter();
        Ok(match self {
            Object::Instance(Instance { class, members, .. }) => {
                let values: Box<[State]> = parts.by_ref().take(members.len()).collect();
                let members = Map::from_sorted(members.shared_keys(), values)?;
                Object::Instance(Instance {
                    class: Arc::clone(class),
                    members,
                    value: parts.next().unwrap_or(State::NONE),
                })
            }
            Object::Typed(class, _) => Object::Typed(class.clone(), parts.next().unwrap_or(State::NONE)),
            other => other.clone(),
        })
    }

    /// See [`State::weight`].
    pub fn weight(&self) -> u64 {
        match self {
            Object::Cluster(_) | Object::Class(_) => 64,
            Object::Instance(instance) => 64 + State::from(instance.members.clone()).weight() + instance.value.weight(),
            Object::Definition(definition) => definition.text().len() as u64 * 2,
            Object::Typed(_, state) => 64 + state.weight(),
        }
    }
}

impl From<Object> for State {
    fn from(object: Object) -> Self {
        State::Object(Arc::new(object))
    }
}
