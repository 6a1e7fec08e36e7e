//! Declarations of chains.

use super::policy::{Backup, Compliant, Options, Owner, Reduce};
use crate::compiler::{self, collection, decode_state};
use crate::error::{Error, Result};
use crate::value::schema::Kind as CollectionKind;
use crate::value::tensor::Layout;
use crate::value::{Class, Doc, Id, Link, Map, Schema, State};

/// Where the classes of chains are.
const PREFIX: &str = "/state/chain/";

/// What a chain keeps of the mutations of its subject.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// What recovery needs.
    Sync,
    /// Everything.
    Block,
    /// What is not old, and a copy of the subject as it was before.
    Backup(Backup),
    /// Everything, but for the data of users who were purged.
    Compliant(Compliant),
    /// What is not old, and a summary of what is.
    Reduce(Reduce),
}

impl Kind {
    /// The last segment of the path of the class.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Sync => "sync",
            Kind::Block => "block",
            Kind::Backup(_) => "backup",
            Kind::Compliant(_) => "compliant",
            Kind::Reduce(_) => "reduce",
        }
    }

    /// The class.
    pub fn class(&self) -> Link {
        Link::local(["state", "chain", self.name()].map(Id::from))
    }

    /// The options, as they may be declared.
    ///
    /// # Errors
    /// `BadRequest` if they are too large for a state.
    pub fn options(&self) -> Result<State> {
        let entries: Vec<(Id, State)> = match self {
            Kind::Sync | Kind::Block => vec![],
            Kind::Backup(backup) => backup.options(),
            Kind::Compliant(compliant) => compliant.options(),
            Kind::Reduce(reduce) => reduce.options()?,
        };
        Ok(Map::try_new(entries)?.into())
    }

    /// Whether what is written to the subject is recorded.
    pub fn has_records(&self) -> bool {
        *self != Kind::Sync
    }
}

/// What a chain records the mutations of.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A B-tree or a table, which is empty at first.
    Collection(Schema),
    /// One value, which is this at first.
    Value(State),
}

/// A chain of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainDef {
    pub kind: Kind,
    pub subject: Subject,
}

/// Whether `doc` declares a chain.
pub(crate) fn is_chain(doc: &Doc) -> bool {
    matches!(doc, Doc::Map(entries) if matches!(entries.as_slice(), [(class, _)] if class.starts_with(PREFIX)))
}

/// Whether `doc` makes a collection that no chain records.
pub(crate) fn is_bare_collection(doc: &Doc) -> bool {
    matches!(doc, Doc::Map(entries) if matches!(entries.as_slice(), [(class, Doc::List(items))]
        if class.starts_with("/state/collection/") && !items.is_empty()))
}

/// Reads the declaration of a chain, `{"/state/chain/<kind>": [<subject>]}` or `[<subject>, <options>]`, whose options may be said
/// elsewhere instead.
///
/// # Errors
/// `BadRequest` with the place of what is wrong; `NotImplemented` for a subject that this host cannot keep.
pub(crate) fn parse(doc: &Doc, elsewhere: Option<&Doc>) -> Result<ChainDef> {
    let Doc::Map(entries) = doc else { return Err(Error::internal("a chain that is no object")) };
    let [(class, args)] = entries.as_slice() else { return Err(Error::internal("a chain that has no class")) };
    let (subject_doc, options) = match args {
        Doc::List(items) => match items.as_slice() {
            [subject] => (subject, elsewhere),
            [subject, own] if elsewhere.is_none() => (subject, Some(own)),
            [_, _] => return Err(Error::bad_request("the options of this chain are given twice").within(class)),
            _ => return Err(Error::bad_request("a chain has one subject, in a list").within(class)),
        },
        _ => return Err(Error::bad_request("a chain has one subject, in a list").within(class)),
    };
    let subject = subject(subject_doc).map_err(|error| error.within(0).within(class))?;
    let kind = kind(&class[PREFIX.len()..], options).map_err(|error| error.within(class))?;
    let chain = ChainDef { kind, subject };
    chain.check().map_err(|error| error.within(class))?;
    Ok(chain)
}

fn kind(name: &str, options: Option<&Doc>) -> Result<Kind> {
    let mut options = Options::new(options)?;
    let kind = match name {
        "sync" => Kind::Sync,
        "block" => Kind::Block,
        "backup" => Kind::Backup(Backup::parse(&mut options)?),
        "compliant" => Kind::Compliant(Compliant::parse(&mut options)?),
        "reduce" => Kind::Reduce(Reduce::parse(&mut options)?),
        _ => return Err(Error::bad_request(format!("{PREFIX}{name} is not a class of chains"))),
    };
    options.end()?;
    Ok(kind)
}

impl ChainDef {
    fn check(&self) -> Result<()> {
        let Kind::Compliant(Compliant { owner: Owner::Column(name), .. }) = &self.kind else { return Ok(()) };
        match &self.subject {
            Subject::Collection(schema) if schema.position(name.as_str()).is_some() => Ok(()),
            Subject::Collection(_) => {
                Err(Error::bad_request(format!("there is no column {name} that says whose a row is")))
            }
            Subject::Value(_) => {
                Err(Error::bad_request("a value has no column that says whose it is: expected \"token\""))
            }
        }
    }
}

fn subject(doc: &Doc) -> Result<Subject> {
    let Doc::Map(entries) = doc else { return value(doc) };
    let [(class, args)] = entries.as_slice() else { return value(doc) };
    let kind = match Class::at(class) {
        Some(Class::BTree) => CollectionKind::BTree,
        Some(Class::Table) => CollectionKind::Table,
        Some(Class::Dense) => return tensor(Layout::Dense, class, args),
        Some(Class::Sparse) => return tensor(Layout::Sparse, class, args),
        Some(_) if class.starts_with("/state/collection/") => {
            return Err(Error::not_implemented(format!("this host cannot keep a {class} yet")));
        }
        None if class.starts_with("/state/") => {
            return Err(Error::bad_request(format!("{class} is not a class of collections")).within(class));
        }
        _ => return value(doc),
    };
    let schema = match args {
        Doc::List(items) if items.len() == 1 => &items[0],
        _ => return Err(Error::bad_request("a collection of a service is declared by its schema alone").within(class)),
    };
    let schema = decode_state(schema).and_then(|state| collection::create(kind, &state));
    Ok(Subject::Collection(schema.map_err(|error| error.within(0).within(class))?.schema))
}

/// A tensor of zeros, which is declared by its schema.
fn tensor(layout: Layout, class: &str, args: &Doc) -> Result<Subject> {
    // Clients name the class twice.
    let args = match args {
        Doc::List(items) => match items.as_slice() {
            [Doc::Map(entries)]
                if let [(inner, args)] = entries.as_slice()
                    && &**inner == class =>
            {
                args
            }
            _ => args,
        },
        args => args,
    };
    let schema = decode_state(args).and_then(|args| compiler::tensor::schema(layout, &args));
    Ok(Subject::Collection(schema.map_err(|error| error.within(class))?.rows()))
}

fn value(doc: &Doc) -> Result<Subject> {
    match decode_state(doc)? {
        state if state.is_value() => Ok(Subject::Value(state)),
        state => Err(Error::bad_request(format!("a chain records a collection or a value, not a {}", state.class()))),
    }
}
