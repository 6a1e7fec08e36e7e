//! Values: what can be a key. (A tuple of values is a value too; see [`super::State::is_value`].)

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Class, Id, Link, Number};
use crate::error::{Error, Result};

/// A value without parts.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Value {
    None,
    Number(Number),
    String(Arc<str>),
    Id(Id),
    Link(Link),
    Bytes(Arc<[u8]>),
    Email(Email),
    Version(Version),
}

impl Value {
    /// The most specific class of this value.
    pub fn class(&self) -> Class {
        match self {
            Value::None => Class::None,
            Value::Number(number) => number.class().into(),
            Value::String(_) => Class::String,
            Value::Id(_) => Class::Id,
            Value::Link(_) => Class::Link,
            Value::Bytes(_) => Class::Bytes,
            Value::Email(_) => Class::Email,
            Value::Version(_) => Class::Version,
        }
    }
}

/// An e-mail address, checked by the grammar of RFC 5322.
#[derive(Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct Email(Arc<str>);

impl Email {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if email_address::EmailAddress::is_valid(text) {
            Ok(Self(text.into()))
        } else {
            Err(Error::bad_request(format!("{text:?} is not an e-mail address")))
        }
    }
}

/// A version `major.minor.patch`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::bad_request(format!("{text:?} is not a version: expected three numbers, e.g. 1.2.3"));
        let mut parts = text.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<u32>().ok()).flatten()
        });
        let mut next = || parts.next().flatten().ok_or_else(invalid);
        let version = Version { major: next()?, minor: next()?, patch: next()? };
        if parts.next().is_some() { Err(invalid()) } else { Ok(version) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_exactly_three_numbers() {
        assert_eq!("1.2.3".parse::<Version>().unwrap(), Version { major: 1, minor: 2, patch: 3 });
        for text in ["1.2", "1.2.3.4", "5", "", "1..2", "-1.2.3", "+1.2.3", "1.2.4294967296"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_email_address_needs_both_parts() {
        assert!("a@b.co".parse::<Email>().is_ok());
        assert!("nope".parse::<Email>().is_err());
    }
}
