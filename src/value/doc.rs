//! Documents: what comes off the wire, before it means anything.

use std::sync::Arc;

use super::Number;

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
