//! Definitions of classes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::definition::attribute;
use crate::error::{Error, Result};
use crate::value::doc::{Entries, Quoted};
use crate::value::object::ClassDef;
use crate::value::{Class, Doc, Id, Link, Root};

/// The parent and the attributes of a class, if `doc` defines one: `{"<parent>": {<attributes>}}`.
pub(super) fn parts(doc: &Doc) -> Option<(&str, &Entries)> {
    let Doc::Map(entries) = doc else { return None };
    let [(parent, Doc::Map(attributes))] = entries.as_slice() else { return None };
    let is_class = match parent.parse::<Link>() {
        Ok(link) if link.root() == Some(Root::Class) => true,
        // The client writes `/state/object/class` for every class that is native.
        Ok(link) if link.path_text() == "/state/object/class" => true,
        Ok(link) => Class::of_link(&link).is_some_and(|class| class.is_atom() || class == Class::Value),
        Err(_) => false,
    };
    (is_class && parent.starts_with(['/', 'h'])).then_some((parent, attributes))
}

/// Reads the definition of the class at `link`.
///
/// # Errors
/// `BadRequest` with the place of what is wrong in it.
pub(super) fn parse(link: Link, doc: &Doc) -> Result<ClassDef> {
    let expected = || Error::bad_request("expected a class definition {\"<parent>\": {<attributes>}}");
    let (parent, entries) = parts(doc).ok_or_else(expected)?;
    let mut attributes = BTreeMap::new();
    for (name, doc) in entries {
        let at = |error: Error| error.within(name).within(parent);
        let name: Id = name.parse().map_err(at)?;
        let found = attribute(doc).map_err(|error| error.within(&name).within(parent))?;
        attributes.insert(name, found);
    }
    let definition = Arc::new(Quoted::new(Doc::Map(entries.to_vec())));
    Ok(ClassDef { link, parent: parent.parse()?, attributes: Arc::new(attributes), definition, ancestors: vec![] })
}
