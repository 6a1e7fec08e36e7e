//! Names: of steps, parameters, map entries and path segments.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A valid name: not empty, no control characters, no whitespace, none of [`FORBIDDEN`], no `..`.
///
/// Cloning is cheap.
#[derive(Clone, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct Id(Arc<str>);

/// Characters that no Id contains.
pub const FORBIDDEN: &str = "/~$`&|=^{}<>'\"?:@#()";

impl Id {
    /// The name `self`, which refers to the instance whose method is running.
    pub const SELF: &'static str = "self";

    /// Whether `text` is a valid name.
    pub fn is_valid(text: &str) -> bool {
        !text.is_empty()
            && !text.contains("..")
            && text.chars().all(|c| !c.is_ascii_control() && !c.is_whitespace() && !FORBIDDEN.contains(c))
    }

    /// The text of this name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The index of an item that this name is in a path: digits, without a sign or zeros before them.
    pub fn as_index(&self) -> Option<usize> {
        let text = self.as_str();
        let is_index = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        if is_index { text.parse().ok() } else { None }
    }

    /// The text of this name, shared.
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if Id::is_valid(text) {
            Ok(Self(text.into()))
        } else {
            Err(Error::bad_request(format!("{text:?} is not a valid name")))
        }
    }
}

/// For names that the host itself defines.
impl From<&'static str> for Id {
    fn from(text: &'static str) -> Self {
        debug_assert!(Id::is_valid(text), "{text:?} is not a valid name");
        Self(text.into())
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_client_generates_are_valid() {
        for name in ["a.b_0", "0", "é", "-5", "1.2.3", "3+4i", "r.2.1_subject", "_return", "a,b"] {
            assert!(Id::is_valid(name), "{name}");
        }
    }

    #[test]
    fn separators_and_blanks_are_not() {
        for name in ["", "a b", "a:b", "a@b.co", "/a", "a..b", "a\u{1}", "a\u{a0}b", "$a", "a\"b"] {
            assert!(!Id::is_valid(name), "{name}");
        }
    }
}
