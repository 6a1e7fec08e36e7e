//! Issuers of tokens, and who signs for them.

use crate::chain::compliant;
use crate::error::Result;
use crate::value::{Authority, Link, State};

/// The port of a URL that names none.
const PORT_DEFAULT: u16 = 80;

/// Whose key a token is signed with.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Signer {
    /// The cluster or service that speaks. A path, if it is on this host.
    pub issuer: Link,
    /// One of those who may sign for it, by a value: often the public key itself.
    pub actor: State,
}

impl Signer {
    /// The user who signs, as chains name whose data they have.
    ///
    /// # Errors
    /// `BadRequest` if the name is too large for a state.
    pub fn user(&self) -> Result<State> {
        compliant::user(&self.issuer, &self.actor)
    }
}

/// Whether two addresses are written for the same host.
pub fn is_same_host(left: &Authority, right: &Authority) -> bool {
    left.secure == right.secure
        && left.port.unwrap_or(PORT_DEFAULT) == right.port.unwrap_or(PORT_DEFAULT)
        && left.host.eq_ignore_ascii_case(&right.host)
}

/// Whether two links are written for the same issuer.
pub fn is_same_issuer(left: &Link, right: &Link) -> bool {
    let is_same_place = match (left.authority(), right.authority()) {
        (None, None) => true,
        (Some(left), Some(right)) => is_same_host(left, right),
        _ => false,
    };
    is_same_place && left.path() == right.path()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_host_and_a_path() {
        let same = |left: &str, right: &str| is_same_issuer(&left.parse().unwrap(), &right.parse().unwrap());
        assert!(same("/a/b", "/a/b"));
        assert!(same("http://Host/a", "http://host:80/a"));
        assert!(!same("/a", "http://host/a"));
        assert!(!same("http://host/a", "http://host:81/a"));
        assert!(!same("http://host/a", "http://host/a/b"));
        assert!(!same("http://host:443/a", "https://host:443/a"));
    }
}
