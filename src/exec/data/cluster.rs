//! Calls of paths below `/lib`, `/service` and `/class`.

use std::sync::Arc;

use super::Worker;
use super::chain::{CHAIN, check_present};
use super::reduce::{reduces, reducing_call};
use super::trust::Route;
use crate::chain::ChainDef;
use crate::cluster::Description;
use crate::cluster::definition::{Definition, Member};
use crate::cluster::install::Installer;
use crate::cluster::registry::{Entry, Registry};
use crate::compiler::methods::Shape;
use crate::error::{Error, Kind, Result};
use crate::exec::call::Invocation;
use crate::exec::object::{Method, call_attribute, construct};
use crate::exec::sql;
use crate::value::doc::Quoted;
use crate::value::object::{Attribute, Object};
use crate::value::{Doc, Id, Link, Map, Root, State, Table, Tuple, Value, Verb, Version, cast};

impl Worker<'_> {
    /// Performs a call of a path.
    pub(super) async fn cluster(&self, link: &Link, shape: &Shape, args: Vec<State>) -> Result<Invocation> {
        let version = match link.version_at() {
            Some(at) if !sql::owns(&link.path_text()) => Link::local(&link.path()[..=at]),
            version => {
                if version.is_none()
                    && let Some(route) = self.route_of_item(link).await?
                {
                    return self.route(link, route, shape, &args).await;
                }
                self.check_access(link, shape, None).await?;
                return match version {
                    Some(_) => self.service(link, shape, &args).await.map(Invocation::Done),
                    None => self.node(link, shape, args).await.map(Invocation::Done),
                };
            }
        };
        let Some(definition) = self.registry().version(&version).await? else { return Err(self.missing(link).await?) };
        if let Some(route) = Route::of_version(&definition, link) {
            return self.route(link, route, shape, &args).await;
        }
        self.check_access(link, shape, Some(&definition)).await?;
        match &link.path()[version.path().len()..] {
            [] => self.version(&definition, shape, &args).await.map(Invocation::Done),
            [name, rest @ ..] => self.member(&definition, (name, rest), shape, args).await,
        }
    }

    /// What a call of a path would run, as far as that is known before anything is done: an op, or a class or an instance. Nothing
    /// for who may not read it, and where the call would fail.
    pub(super) async fn find(&self, link: &Link, shape: &Shape, args: Vec<State>) -> Result<Option<Invocation>> {
        let Some(at) = link.version_at().filter(|_| !sql::owns(&link.path_text())) else { return Ok(None) };
        let (version, below) = link.path().split_at(at + 1);
        let [name, rest @ ..] = below else { return Ok(None) };
        let Some(definition) = self.registry().version(&Link::local(version)).await? else { return Ok(None) };
        if self.check_access(link, &Shape::Get, Some(&definition)).await.is_err() {
            return Ok(None);
        }
        match definition.members.get(name) {
            // To call a chain is to read or write it, unless it is to be reduced.
            Some(Member::Chain(chain)) => match reduces(chain, rest, shape) {
                Some(policy) => reducing_call(&definition, policy).map(Invocation::Op).map(Some),
                None => Ok(None),
            },
            Some(Member::Attribute(_) | Member::Class(_)) => {
                Ok(self.member(&definition, (name, rest), shape, args).await.ok())
            }
            None => Ok(None),
        }
    }

    /// Checks that this call may be made. What a service does with its own state, and whom it trusts with that, is up to the
    /// service; but what a chain deletes for good is not.
    pub(super) async fn check_access(&self, link: &Link, shape: &Shape, definition: Option<&Definition>) -> Result<()> {
        let Some(access) = self.access() else { return Ok(()) };
        let Some(definition) = definition else { return access.check(shape.verb(), link.path(), None) };
        let below = &link.path()[definition.link.path().len()..];
        let deletes = deletes(below, shape.verb());
        if !deletes && self.caller.home.as_ref() == Some(&definition.link) {
            return Ok(());
        }
        match access.check(shape.verb(), link.path(), definition.mode_of(below)) {
            Err(error) if error.kind() == Kind::Forbidden && !deletes => {
                match Box::pin(self.is_trusted(definition, below, shape.verb())).await? {
                    true => Ok(()),
                    false => Err(error),
                }
            }
            checked => checked,
        }
    }

    pub(super) fn registry(&self) -> Registry<'_> {
        Registry::new(self.txn())
    }

    fn installer(&self) -> Installer<'_> {
        Installer::new(self.txn(), self.session.nodes_max)
    }

    /// A directory or an item.
    async fn node(&self, link: &Link, shape: &Shape, args: Vec<State>) -> Result<State> {
        match (shape, args.as_slice()) {
            (Shape::Get, [key]) => self.read_node(link, key).await,
            (Shape::Put, [key, value]) => {
                self.check_lasting()?;
                self.installer().put(link, key, value).await.map(|()| State::NONE)
            }
            (Shape::Delete, [key]) => {
                self.check_lasting()?;
                self.installer().delete(link, key).await.map(|()| State::NONE)
            }
            _ => Err(unsupported(link, shape)),
        }
    }

    /// What is at the path of a directory or an item.
    async fn entry(&self, link: &Link) -> Result<Entry> {
        let [above @ .., last] = link.path() else { return Err(Error::internal("a path without segments")) };
        let entry = match above.is_empty() {
            true => Some(Entry::Directory),
            false => self.registry().entry(&Link::local(above).path_text(), last.as_str()).await?,
        };
        match entry {
            Some(entry) => Ok(entry),
            None => Err(self.missing(link).await?),
        }
    }

    /// What is at the path of a directory, an item or a version.
    pub(super) async fn describe(&self, link: &Link) -> Result<Description> {
        match link.version_at() {
            Some(at) if at + 1 == link.path().len() => match self.registry().version(link).await? {
                Some(definition) => Ok(Description::Version(definition)),
                None => Err(self.missing(link).await?),
            },
            Some(_) => Err(Error::bad_request(format!("{link} is below a version"))),
            None => match self.entry(link).await? {
                Entry::Item => {
                    let versions = self.versions(link).await?;
                    Ok(Description::Item(versions.iter().map(Id::to_string).collect()))
                }
                _ => {
                    let children = self.registry().children(&link.path_text()).await?.into_iter();
                    Ok(Description::Directory(
                        children.map(|(name, entry)| (name, entry == Entry::Directory)).collect(),
                    ))
                }
            },
        }
    }

    async fn read_node(&self, link: &Link, key: &State) -> Result<State> {
        match (self.entry(link).await?, key) {
            (Entry::Item, State::Value(Value::None)) => {
                let versions = self.versions(link).await?.into_iter().map(State::from);
                Ok(Tuple::try_new(versions.collect::<Vec<_>>())?.into())
            }
            (Entry::Item, key) => {
                let version = link.join(&[cast::to_id(key)?]);
                let missing =
                    || Error::not_found(format!("{} has no version {}", link, version.path()[link.path().len()]));
                let definition = self.registry().version(&version).await?.ok_or_else(missing)?;
                whole(&definition, &Shape::Get, &[State::NONE])
            }
            (_, State::Value(Value::None)) => {
                let children = self.registry().children(&link.path_text()).await?;
                let entries = children
                    .into_iter()
                    .map(|(name, entry)| Ok((name.parse()?, State::from(entry == Entry::Directory))));
                Ok(Map::try_new(entries.collect::<Result<Vec<(Id, State)>>>()?)?.into())
            }
            (_, key) => {
                let name = cast::to_id(key)?;
                match self.registry().entry(&link.path_text(), name.as_str()).await? {
                    Some(entry) => Ok((entry == Entry::Directory).into()),
                    None => Err(Error::not_found(format!("dir entry {name}"))),
                }
            }
        }
    }

    /// The versions of an item, in the order of their numbers.
    async fn versions(&self, link: &Link) -> Result<Vec<Id>> {
        let mut versions = Vec::new();
        for (name, _) in self.registry().children(&link.path_text()).await? {
            versions.push((name.parse::<Version>()?, name.parse::<Id>()?));
        }
        versions.sort_by_key(|(version, _)| (version.major, version.minor, version.patch));
        Ok(versions.into_iter().map(|(_, name)| name).collect())
    }

    /// The error that there is nothing at a path, which names the part that is not there.
    async fn missing(&self, link: &Link) -> Result<Error> {
        let path = link.path();
        let mut known = 1;
        while known < path.len() {
            let above = Link::local(&path[..known]).path_text();
            match self.registry().entry(&above, path[known].as_str()).await? {
                None => break,
                Some(Entry::Item)
                    if path.get(known + 1).is_some_and(|next| next.as_str().parse::<Version>().is_err()) =>
                {
                    let next = &path[known + 1];
                    return Ok(Error::bad_request(format!("expected a version number, found {next}")));
                }
                Some(_) => known += 1,
            }
        }
        Ok(Error::not_found(Link::local(&path[known..]).path_text()))
    }

    /// A version itself: a chain of it is shown with what it records.
    async fn version(&self, definition: &Definition, shape: &Shape, args: &[State]) -> Result<State> {
        if let (Shape::Get, [key]) = (shape, args)
            && !key.is_none()
        {
            // What a member may be asked for does not depend on whether it is named by the path or by the key.
            let name = cast::to_id(key)?;
            let link = definition.link.join(std::slice::from_ref(&name));
            let Some(Member::Chain(chain)) = definition.members.get(&name) else {
                self.check_access(&link, shape, Some(definition)).await?;
                return whole(definition, shape, args);
            };
            self.check_access(&link.join(&[CHAIN.into()]), shape, Some(definition)).await?;
            let subject = self.subject(definition, &name, chain).await?;
            return self.chain_form(chain, &subject).await;
        }
        whole(definition, shape, args)
    }

    /// The table of what a chain records.
    async fn subject(&self, definition: &Definition, name: &Id, chain: &Arc<ChainDef>) -> Result<Arc<Table>> {
        let path = definition.subject_path(name);
        self.session.check_erased(&path)?;
        let table = self.txn().table(&path).await?;
        let table = table.ok_or_else(|| Error::internal(format!("what {path} records is lost")))?;
        self.session.track(&table, chain);
        Ok(table)
    }

    /// A member of a version, or what is below it.
    async fn member(
        &self,
        definition: &Definition,
        (name, rest): (&Id, &[Id]),
        shape: &Shape,
        args: Vec<State>,
    ) -> Result<Invocation> {
        let link = definition.link.join(std::slice::from_ref(name));
        let Some(member) = definition.members.get(name) else {
            return Err(Error::not_found(Link::local([std::slice::from_ref(name), rest].concat()).path_text()));
        };
        if definition.root == Root::Library && matches!(shape, Shape::Put | Shape::Delete) {
            return Err(unsupported(&link, shape));
        }
        if !matches!(member, Member::Chain(_)) {
            check_present(&link, rest)?;
        }
        match member {
            Member::Attribute(attribute) => {
                let object = Object::Cluster(definition.link.clone()).into();
                call_attribute(attribute, &Method { link: &link, object: &object }, rest, shape, args)
            }
            Member::Chain(chain) => {
                let subject = self.subject(definition, name, chain).await?;
                match self.reduction(definition, (chain, &subject), rest, shape)? {
                    Some(reduction) => Ok(reduction),
                    None => self.chain((chain, subject), rest, shape, args).await,
                }
            }
            Member::Class(_) => {
                let class = self.registry().class(&link).await?;
                match rest {
                    [] => construct(&class, shape, args),
                    [name, rest @ ..] => {
                        let object = Object::Class(Arc::clone(&class)).into();
                        let attribute =
                            class.attribute(name.as_str()).ok_or_else(|| Error::not_found(format!("/{name}")))?;
                        call_attribute(attribute, &Method { link: &link, object: &object }, rest, shape, args)
                    }
                }
            }
        }
    }
}

/// Whether a call of a path below a version deletes what a chain keeps.
pub(super) fn deletes(below: &[Id], verb: Verb) -> bool {
    matches!(below, [_, chain, _] if chain.as_str() == CHAIN) && verb == Verb::Post
}

/// A version as a whole, or one of its members as it is defined.
fn whole(definition: &Definition, shape: &Shape, args: &[State]) -> Result<State> {
    let (Shape::Get, [key]) = (shape, args) else { return Err(unsupported(&definition.link, shape)) };
    let doc = definition.doc.doc();
    if key.is_none() {
        let doc = match definition.root {
            Root::Library | Root::Class => doc.clone(),
            Root::Service => {
                let path = definition.link.path();
                let item = Link::local(&path[..path.len() - 1]).path_text();
                entry("/state/object/class", entry(&item, doc.clone()))
            }
        };
        return Ok(Object::Definition(Quoted::new(doc)).into());
    }
    let name = cast::to_id(key)?;
    match definition.members.get(&name) {
        Some(Member::Attribute(Attribute::State(state))) => Ok(state.clone()),
        Some(Member::Class(class)) => Ok(Object::Class(Arc::clone(class)).into()),
        Some(_) => {
            let doc = doc.get(name.as_str()).ok_or_else(|| Error::internal("a member that is not written"))?;
            Ok(Object::Definition(Quoted::new(doc.clone())).into())
        }
        None => Err(Error::not_found(format!("{} attribute {name}", definition.root.name()))),
    }
}

fn entry(key: &str, value: Doc) -> Doc {
    Doc::Map(vec![(key.into(), value)])
}

pub(super) fn unsupported(link: &Link, shape: &Shape) -> Error {
    Error::method_not_allowed(format!("endpoint {} does not support {}", link.path_text(), shape.verb().http()))
}
