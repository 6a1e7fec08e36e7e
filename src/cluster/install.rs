//! Changes of the tree of names: directories, items, versions.

use std::sync::Arc;

use super::definition::{Definition, Member};
use super::registry::{Entry, Registry, digest};
use crate::chain::{ChainDef, Subject, record};
use crate::compiler::{BuildContext, build_op};
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::value::doc::Quoted;
use crate::value::object::Object;
use crate::value::{Id, Link, Number, State, Value, Version};

/// What belongs to the host itself below `/service`: the tables that SQL makes.
const RESERVED: [&str; 2] = ["service", "sql"];
/// What is below everything: its members.
const REPLICAS: &str = "replicas";

/// Changes the tree of names within a transaction.
pub struct Installer<'a> {
    txn: &'a Transaction,
    registry: Registry<'a>,
    /// Nodes that the graph of an op may have.
    nodes_max: usize,
}

impl<'a> Installer<'a> {
    /// An installer of definitions whose ops have graphs of at most `nodes_max` nodes.
    pub fn new(txn: &'a Transaction, nodes_max: usize) -> Self {
        Self { txn, registry: Registry::new(txn), nodes_max }
    }

    /// Puts something to a directory or an item: true makes a directory, false an item, a definition a version.
    ///
    /// # Errors
    /// `NotFound` if there is nothing at `link`; `BadRequest` if the name is taken by something else, or for what is wrong in a
    /// definition, with its place.
    pub async fn put(&self, link: &Link, key: &State, value: &State) -> Result<()> {
        check_reserved(link, key)?;
        match value {
            State::Value(Value::Number(Number::Bool(true))) => self.put_entry(link, key, Entry::Directory).await,
            State::Value(Value::Number(Number::Bool(false))) => self.put_entry(link, key, Entry::Item).await,
            State::Object(object) => match object.as_ref() {
                Object::Definition(text) => self.put_version(link, key, text).await,
                _ => Err(expected(value)),
            },
            other => Err(expected(other)),
        }
    }

    /// Removes a version with its data, or a directory or an item that has nothing in it.
    ///
    /// # Errors
    /// `NotFound` if it is not there; `BadRequest` if there is something in it.
    pub async fn delete(&self, link: &Link, key: &State) -> Result<()> {
        check_reserved(link, key)?;
        let path = link.path_text();
        match self.node(link).await? {
            Entry::Item => {
                let version = link.join(&[version(key)?]);
                let missing = || Error::not_found(version.path().last().map_or("", Id::as_str));
                let definition = self.registry.version(&version).await?.ok_or_else(missing)?;
                for (name, chain) in definition.chains() {
                    record::drop(self.txn, &definition.subject_path(name), chain).await?;
                    self.txn.drop_table(&definition.subject_path(name)).await?;
                }
                self.registry.remove_version(&version).await
            }
            _ => {
                let name = name(key)?;
                if !self.registry.children(&format!("{path}/{name}")).await?.is_empty() {
                    return Err(Error::bad_request(format!("{path}/{name} is not empty")));
                }
                match self.registry.remove(&path, name.as_str()).await? {
                    true => self.registry.distrust(&link.join(&[name])).await,
                    false => Err(Error::not_found(format!("dir entry {name}"))),
                }
            }
        }
    }

    /// What is at the path of a directory or an item.
    async fn node(&self, link: &Link) -> Result<Entry> {
        let [above @ .., last] = link.path() else { return Err(Error::not_found("/")) };
        if above.is_empty() {
            return Ok(Entry::Directory);
        }
        let entry = self.registry.entry(&Link::local(above).path_text(), last.as_str()).await?;
        entry.ok_or_else(|| Error::not_found(link.path_text()))
    }

    async fn put_entry(&self, link: &Link, key: &State, entry: Entry) -> Result<()> {
        let name = name(key)?;
        if name.as_str().parse::<Version>().is_ok() {
            return Err(Error::bad_request(format!(
                "{name} is a version, which cannot be the name of a directory or an item"
            )));
        }
        if self.node(link).await? != Entry::Directory {
            return Err(Error::bad_request(format!("{link} is not a directory")));
        }
        let path = link.path_text();
        match self.registry.entry(&path, name.as_str()).await? {
            Some(there) if there == entry => Ok(()),
            Some(Entry::Directory) => Err(Error::bad_request(format!("there is already a directory at {name}"))),
            Some(_) => Err(Error::bad_request(format!("there is already an entry at {name}"))),
            None => self.registry.put(&path, name.as_str(), &entry).await,
        }
    }

    async fn put_version(&self, link: &Link, key: &State, text: &Quoted) -> Result<()> {
        let version = version(key)?;
        if self.node(link).await? != Entry::Item {
            return Err(Error::bad_request(format!("{link} is a directory: a version belongs to an item")));
        }
        let path = link.path_text();
        match self.registry.entry(&path, version.as_str()).await? {
            Some(Entry::Version(there)) if there == digest(text) => return Ok(()),
            Some(_) => {
                return Err(Error::bad_request(format!("{path} cannot overwrite its version {version}")));
            }
            None => {}
        }
        let definition = Definition::parse(link.join(&[version]), text.doc())?;
        self.check_ops(&definition)?;
        let chains: Vec<_> =
            definition.chains().map(|(name, chain)| (definition.subject_path(name), Arc::clone(chain))).collect();
        let classes: Vec<Link> = definition.members.values().filter_map(class_link).collect();
        self.registry.put_version(definition, text).await?;
        for (path, chain) in chains {
            self.make(&path, &chain).await?;
        }
        // Classes of one set may extend each other, so all have to be there.
        for class in classes {
            self.registry
                .class(&class)
                .await
                .map_err(|error| Error::bad_request(error.message()).within(&class.path()[class.path().len() - 1]))?;
        }
        Ok(())
    }

    /// Every op must have a graph.
    fn check_ops(&self, definition: &Definition) -> Result<()> {
        let cx = BuildContext::new(self.nodes_max, |_| false, || Ok(()));
        for (name, op) in definition.ops() {
            build_op(op, &cx).map_err(|error| error.within(name))?;
        }
        Ok(())
    }

    /// Makes what a chain records, and what it keeps beside that.
    async fn make(&self, path: &str, chain: &ChainDef) -> Result<()> {
        let subject = self.txn.create_table(path, record::subject_schema(&chain.subject)).await?;
        if let Subject::Value(value) = &chain.subject {
            self.txn.put(&subject, &record::value_row(value.clone())).await?;
        }
        record::create(self.txn, &subject, chain).await
    }
}

/// Checks that a name below `link` does not belong to the host.
fn check_reserved(link: &Link, key: &State) -> Result<()> {
    let name = if let State::Value(Value::String(name)) = key { Some(&**name) } else { None };
    let path: Vec<&str> = link.path().iter().map(Id::as_str).chain(name).collect();
    match path.starts_with(&RESERVED) || name == Some(REPLICAS) {
        true => Err(Error::bad_request(format!("/{} belongs to the host itself", path.join("/")))),
        false => Ok(()),
    }
}

fn class_link(member: &Member) -> Option<Link> {
    match member {
        Member::Class(class) => Some(class.link.clone()),
        _ => None,
    }
}

fn expected(found: &State) -> Error {
    Error::bad_request(format!(
        "expected true (to make a directory), false (an item) or a definition (a version), found a {}",
        found.class()
    ))
}

fn name(key: &State) -> Result<Id> {
    match key {
        State::Value(Value::None) => Err(Error::bad_request("expected a key: the name of an entry")),
        State::Value(Value::String(text)) => text.parse(),
        State::Value(Value::Id(id)) => Ok(id.clone()),
        other => Err(Error::bad_request(format!("the name of an entry is a string, not a {}", other.class()))),
    }
}

fn version(key: &State) -> Result<Id> {
    let invalid =
        |what: String| Error::bad_request(format!("invalid value {what}: expected a semantic version number"));
    let text = match key {
        State::Value(Value::String(text)) => text.to_string(),
        State::Value(Value::Id(id)) => id.to_string(),
        State::Value(Value::Version(version)) => version.to_string(),
        other => return Err(invalid(format!("of type {}", other.class()))),
    };
    match text.parse::<Version>() {
        Ok(version) if version.to_string() == text => text.parse(),
        _ => Err(invalid(format!("{text:?}"))),
    }
}
