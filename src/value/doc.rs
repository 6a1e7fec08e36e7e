//! Documents: what comes off the wire, before it means anything.

pub(crate) mod frame;
pub mod json;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Number;
use super::encode::{Encoder, Json};

/// The entries of an object.
pub type Entries = [(Arc<str>, Doc)];

/// A decoded JSON or TBON text.
#[derive(Clone, Debug, PartialEq)]
pub enum Doc {
    Null,
    /// A boolean is the number of class Bool.
    Number(Number),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Vec<Doc>),
    /// Entries in the order of the text; a repeated name appears once, with its last value.
    Map(Vec<(Arc<str>, Doc)>),
}

impl Doc {
    /// What this is, for messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Doc::Null => "null",
            Doc::Number(Number::Bool(_)) => "a boolean",
            Doc::Number(_) => "a number",
            Doc::String(_) => "a string",
            Doc::Bytes(_) => "bytes",
            Doc::List(_) => "a list",
            Doc::Map(_) => "an object",
        }
    }
}

impl Doc {
    /// Writes this document, in whichever encoding.
    pub fn encode(&self, out: &mut impl Encoder) {
        match self {
            Doc::Null => out.null(),
            Doc::Number(Number::Bool(value)) => out.bool(*value),
            Doc::Number(number) => out.number(*number),
            Doc::String(text) => out.string(text),
            Doc::Bytes(bytes) => out.bytes(bytes),
            Doc::List(items) => {
                out.begin_list();
                for item in items {
                    out.item();
                    item.encode(out);
                }
                out.end_list();
            }
            Doc::Map(entries) => {
                out.begin_map();
                for (key, value) in entries {
                    out.key(key);
                    value.encode(out);
                }
                out.end_map();
            }
        }
    }

    /// The JSON text of this document.
    pub fn to_json(&self) -> String {
        let mut json = Json::default();
        self.encode(&mut json);
        json.into_string()
    }

    /// The same document with the entries of each object in the order of their names.
    #[must_use]
    pub fn sorted(self) -> Self {
        match self {
            Doc::List(items) => Doc::List(items.into_iter().map(Doc::sorted).collect()),
            Doc::Map(entries) => {
                let mut entries: Vec<_> = entries.into_iter().map(|(key, value)| (key, value.sorted())).collect();
                entries.sort_by(|(l, _), (r, _)| l.cmp(r));
                Doc::Map(entries)
            }
            atom => atom,
        }
    }

    /// The value of the entry `name`, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Doc> {
        match self {
            Doc::Map(entries) => entries.iter().find(|(key, _)| &**key == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// A document as a state: something that is kept as it is written, such as a definition. Two are the same if their texts are.
#[derive(Clone, Debug)]
pub struct Quoted {
    doc: Doc,
    text: String,
}

impl Quoted {
    /// `doc`, with the entries of objects in the order of their names.
    pub fn new(doc: Doc) -> Self {
        let doc = doc.sorted();
        let text = doc.to_json();
        Self { doc, text }
    }

    /// The document.
    pub fn doc(&self) -> &Doc {
        &self.doc
    }

    /// Its JSON text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Quoted {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Quoted {}

impl Hash for Quoted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
