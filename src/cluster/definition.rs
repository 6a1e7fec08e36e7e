//! Definitions of libraries, services and sets of classes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::class;
use crate::chain::Kind;
use crate::chain::declaration::{self, ChainDef};
use crate::compiler::decode::decode;
use crate::error::{Error, Result};
use crate::value::doc::{Entries, Quoted};
use crate::value::number::cast::to_integer;
use crate::value::object::{Attribute, ClassDef};
use crate::value::{Args, Doc, Expr, Id, Link, OpDef, OpKind, Root, State, Step, Subject, Verb};

/// One version of a library, a service or a set of classes.
#[derive(Debug)]
pub struct Definition {
    pub root: Root,
    /// The path, with the version.
    pub link: Link,
    pub members: BTreeMap<Id, Member>,
    /// The modes of members, where these say so themselves: nine bits, as those of files.
    modes: BTreeMap<Id, u16>,
    /// The members as they are written.
    pub doc: Quoted,
}

/// What a definition has under a name.
#[derive(Debug)]
pub enum Member {
    Attribute(Attribute),
    Chain(Arc<ChainDef>),
    Class(Arc<ClassDef>),
}

impl Definition {
    /// Reads what is installed as the version at `link`.
    ///
    /// # Errors
    /// `BadRequest` with the place of what is wrong in it.
    pub fn parse(link: Link, doc: &Doc) -> Result<Self> {
        let root = link.root().ok_or_else(|| Error::internal(format!("{link} cannot be installed")))?;
        let (entries, lead) = match root {
            Root::Class => (class_set(doc)?, None),
            Root::Library | Root::Service => attributes(&link, doc)?,
        };
        let options = entries.iter().find(|(name, _)| &**name == POLICY).map(|(_, doc)| doc);
        check_options(entries, options.filter(|_| root == Root::Service))?;
        let reader = Reader { root, link: &link, lead, options };
        let (mut members, mut kept) = (BTreeMap::new(), Vec::new());
        for (name, doc) in entries {
            let read = name.parse().and_then(|id: Id| Ok((reader.member(&id, doc)?, id)));
            let (member, id) = read.map_err(|error| error.within(name))?;
            if let Some(member) = member {
                members.insert(id, member);
                kept.push((Arc::clone(name), doc.clone()));
            }
        }
        let modes = modes(entries).map_err(|error| error.within(MODES))?;
        let definition = Self { root, link, members, modes, doc: Quoted::new(Doc::Map(kept)) };
        definition.set_home();
        for (name, chain) in definition.chains() {
            definition.check_chain(chain).map_err(|error| error.within(name))?;
        }
        Ok(definition)
    }

    /// Marks all ops as those of this version, also those within others and within constants.
    fn set_home(&self) {
        let mark = |attribute: &Attribute| match attribute {
            Attribute::State(state) => state.set_home(&self.link),
            Attribute::Reference(op) => op.set_home(&self.link),
        };
        for member in self.members.values() {
            match member {
                Member::Attribute(attribute) => mark(attribute),
                Member::Class(class) => class.attributes.values().for_each(mark),
                Member::Chain(_) => {}
            }
        }
    }

    /// What reduces a chain must be a POST op of the same service, which writes nothing.
    fn check_chain(&self, chain: &ChainDef) -> Result<()> {
        let Kind::Reduce(reduce) = &chain.kind else { return Ok(()) };
        let Some(Member::Attribute(Attribute::State(State::Op(op)))) = self.members.get(&reduce.op) else {
            return Err(Error::bad_request(format!("there is no op {} that reduces", reduce.op)));
        };
        if op.kind != OpKind::Post {
            return Err(Error::bad_request(format!("{} reduces, and so must be a POST op", reduce.op)));
        }
        match op.steps.iter().find(|step| writes(&step.expr)) {
            Some(step) => {
                Err(Error::bad_request(format!("{} reduces, and so may not write (in {})", reduce.op, step.name)))
            }
            None => Ok(()),
        }
    }

    /// The ops of this version, with their names.
    pub fn ops(&self) -> impl Iterator<Item = (String, &Arc<OpDef>)> {
        self.members.iter().flat_map(|(name, member)| match member {
            Member::Attribute(attribute) => op(attribute).map(|op| (name.to_string(), op)).into_iter().collect(),
            Member::Class(class) => {
                let ops = class.attributes.iter().filter_map(|(attr, attribute)| Some((attr, op(attribute)?)));
                ops.map(|(attr, op)| (format!("{name}/{attr}"), op)).collect::<Vec<_>>()
            }
            Member::Chain(_) => vec![],
        })
    }

    /// The chains of this version, with their names.
    pub fn chains(&self) -> impl Iterator<Item = (&Id, &Arc<ChainDef>)> {
        self.members.iter().filter_map(|(name, member)| match member {
            Member::Chain(chain) => Some((name, chain)),
            _ => None,
        })
    }

    /// The mode of what is at a path below this version, if it has one of its own. What a CompliantChain keeps is nobody's business
    /// unless it is said otherwise.
    pub fn mode_of(&self, path: &[Id]) -> Option<u16> {
        let (name, rest) = path.split_first()?;
        let is_kept = rest.first().is_some_and(|segment| segment.as_str() == "chain");
        let is_private =
            matches!(self.members.get(name), Some(Member::Chain(chain)) if matches!(chain.kind, Kind::Compliant(_)));
        self.modes.get(name).copied().or_else(|| (is_kept && is_private).then_some(PRIVATE))
    }

    /// The path of what a chain of this version records.
    pub fn subject_path(&self, chain: &Id) -> String {
        format!("{}/{chain}", self.link.path_text())
    }
}

/// Whether a PUT or DELETE is written in an expression.
fn writes(expr: &Expr) -> bool {
    let is_write = matches!(expr, Expr::Call(_, args) if matches!(args.as_ref(), Args::Put(..) | Args::Delete(_)));
    is_write || expr.children().into_iter().any(writes)
}

fn op(attribute: &Attribute) -> Option<&Arc<OpDef>> {
    match attribute {
        Attribute::State(State::Op(op)) | Attribute::Reference(op) => Some(op),
        Attribute::State(_) => None,
    }
}

fn class_set(doc: &Doc) -> Result<&Entries> {
    match doc {
        Doc::Map(entries) if !entries.is_empty() => Ok(entries),
        Doc::Map(_) => Err(Error::bad_request("a set of classes has at least one class")),
        other => Err(Error::bad_request(format!("expected a set of classes, found {}", other.describe()))),
    }
}

/// The attributes in `{"<link>": {<attributes>}}`, and the part of the link before the path.
fn attributes<'a>(link: &Link, doc: &'a Doc) -> Result<(&'a Entries, Option<String>)> {
    let item = Link::local(&link.path()[..link.path().len() - 1]);
    let expected = || format!("expected a definition {{\"{item}\": {{<attributes>}}}}");
    let Doc::Map(entries) = doc else {
        return Err(Error::bad_request(format!("{}, found {}", expected(), doc.describe())));
    };
    let [(key, attributes)] = entries.as_slice() else { return Err(Error::bad_request(expected())) };
    let named: Link = key.parse().map_err(|_| Error::bad_request(expected()))?;
    if named.path() != item.path() {
        return Err(Error::bad_request(format!("{}, found one of {named}", expected())));
    }
    let Doc::Map(attributes) = attributes else {
        return Err(Error::bad_request(format!("expected attributes, found {}", attributes.describe())).within(key));
    };
    let lead = (!named.is_local()).then(|| key[..key.len() - item.path_text().len()].to_string());
    Ok((attributes, lead))
}

/// The attribute of a service that has the options of its chains.
const POLICY: &str = "chain_policy";

/// The attribute that has the modes of others.
const MODES: &str = "modes";
/// The mode of what only owner and group may read, write and run.
const PRIVATE: u16 = 0o770;

/// The modes of members, by their names.
fn modes(entries: &Entries) -> Result<BTreeMap<Id, u16>> {
    let Some((_, doc)) = entries.iter().find(|(name, _)| &**name == MODES) else { return Ok(BTreeMap::new()) };
    let Doc::Map(modes) = doc else { return Err(Error::bad_request("modes are a map from members to numbers")) };
    let mode = |(name, mode): &(Arc<str>, Doc)| {
        let expected = || Error::bad_request("a mode is a number of nine bits, such as 504 (0o770)").within(name);
        if !entries.iter().any(|(key, _)| key == name) {
            return Err(Error::bad_request(format!("there is no member {name:?}")).within(name));
        }
        let number = if let Doc::Number(number) = mode { to_integer(*number) } else { None };
        let mode = number.and_then(|number| u16::try_from(number).ok()).filter(|mode| *mode <= 0o777);
        Ok((name.parse()?, mode.ok_or_else(expected)?))
    };
    modes.iter().map(mode).collect()
}

/// Every option must be that of a chain.
fn check_options(entries: &Entries, options: Option<&Doc>) -> Result<()> {
    let options = match options {
        None => return Ok(()),
        Some(Doc::Map(options)) => options,
        Some(_) => return Err(Error::bad_request("the options of chains are a map from their names").within(POLICY)),
    };
    let is_chain = |name: &str| entries.iter().any(|(key, doc)| &**key == name && declaration::is_chain(doc));
    match options.iter().find(|(name, _)| !is_chain(name)) {
        Some((name, _)) => Err(Error::bad_request(format!("there is no chain {name:?}")).within(name).within(POLICY)),
        None => Ok(()),
    }
}

struct Reader<'a> {
    root: Root,
    /// The version.
    link: &'a Link,
    /// The host that the definition says leads, e.g. `http://127.0.0.1:8702`.
    lead: Option<String>,
    /// The options of chains, by their names.
    options: Option<&'a Doc>,
}

impl Reader<'_> {
    /// What a name stands for; nothing for a class in a library or service, which is installed elsewhere.
    fn member(&self, name: &Id, doc: &Doc) -> Result<Option<Member>> {
        if self.root == Root::Class {
            let link = self.link.join(std::slice::from_ref(name));
            return Ok(Some(Member::Class(Arc::new(class::parse(link, doc)?))));
        }
        if declaration::is_chain(doc) {
            return match self.root {
                Root::Service => Ok(Some(Member::Chain(Arc::new(declaration::parse(
                    doc,
                    self.options.and_then(|options| options.get(name.as_str())),
                )?)))),
                _ => Err(Error::bad_request("a library has no chains: its state would be a service's")),
            };
        }
        if declaration::is_bare_collection(doc) {
            return Err(Error::bad_request("a collection of a service is the subject of a chain"));
        }
        if class::parts(doc).is_some() {
            return Ok(None);
        }
        let attribute = match &self.lead {
            Some(lead) => attribute(&self.localized(doc, lead))?,
            None => attribute(doc)?,
        };
        if let Attribute::State(State::Op(op)) = &attribute {
            self.check(op)?;
        }
        Ok(Some(Member::Attribute(attribute)))
    }

    /// `doc` with paths in place of the links to this version by way of its lead: this host has the version too.
    fn localized(&self, doc: &Doc, lead: &str) -> Doc {
        let own = self.link.path_text();
        let local = |key: &Arc<str>| match key.strip_prefix(lead) {
            Some(path) if path.strip_prefix(&*own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) => {
                Arc::from(path)
            }
            _ => Arc::clone(key),
        };
        match doc {
            Doc::List(items) => Doc::List(items.iter().map(|item| self.localized(item, lead)).collect()),
            Doc::Map(entries) => {
                Doc::Map(entries.iter().map(|(key, value)| (local(key), self.localized(value, lead))).collect())
            }
            atom => atom.clone(),
        }
    }

    fn check(&self, op: &OpDef) -> Result<()> {
        let is_write = matches!(op.kind.verb(), Verb::Put | Verb::Delete);
        match self.root {
            Root::Library if is_write => Err(Error::bad_request("a library may not define write operations")),
            Root::Service if is_write => op.steps.iter().try_for_each(|step| self.check_writes(&step.name, &step.expr)),
            _ => Ok(()),
        }
    }

    /// A PUT or DELETE op is what is replicated, and so may not write to another service.
    fn check_writes(&self, step: &Id, expr: &Expr) -> Result<()> {
        if let Expr::Call(subject, args) = expr
            && let (Subject::Link(link), Args::Put(..) | Args::Delete(_)) = (subject.as_ref(), args.as_ref())
            && link.root() == Some(Root::Service)
            && !link.path().starts_with(self.link.path())
        {
            return Err(Error::bad_request(format!(
                "replicated op {step} may not perform inter-service writes: {} {link}",
                args.verb().http()
            )));
        }
        expr.children().into_iter().try_for_each(|child| self.check_writes(step, child))
    }
}

/// Reads an attribute: an op, a constant, or a reference.
pub(super) fn attribute(doc: &Doc) -> Result<Attribute> {
    Ok(match decode(doc)? {
        Expr::Literal(state) => Attribute::State(state),
        expr => {
            let step = Step { name: "_return".into(), expr };
            Attribute::Reference(Arc::new(OpDef::new(OpKind::Get { key: "key".into() }, vec![step])))
        }
    })
}
