//! Claims: a path, and what whoever holds the token may do there.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::txn::TxnId;
use crate::value::{Id, Link, Verb};

/// The roots of what a host has. A claim about a path below one of these names that path; any other is relative to its
/// issuer.
const HOSTED: [&str; 4] = ["class", "lib", "service", "state"];
/// The root of claims about transactions.
const TXN: &str = "txn";
/// All nine bits.
const MODE_MAX: u16 = 0o777;
/// How far the bits of the user are from those of others.
const USER_SHIFT: u32 = 6;

/// What is done with a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Right {
    Read,
    Write,
    Execute,
}

impl Right {
    /// What a verb does.
    pub fn of(verb: Verb) -> Self {
        match verb {
            Verb::Get => Right::Read,
            Verb::Put | Verb::Delete => Right::Write,
            Verb::Post => Right::Execute,
        }
    }

    fn others_bit(self) -> u16 {
        match self {
            Right::Read => 0o4,
            Right::Write => 0o2,
            Right::Execute => 0o1,
        }
    }

    fn user_bit(self) -> u16 {
        self.others_bit() << USER_SHIFT
    }
}

/// Nine permission bits, as those of a file: for the user, the group, and others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mode(u16);

impl Mode {
    /// The mode of what says none: everybody may read it and call it.
    pub const DEFAULT: Self = Self(0o775);

    /// The mode with these bits, unless there are too many.
    pub fn try_new(bits: u64) -> Option<Self> {
        u16::try_from(bits).ok().filter(|bits| *bits <= MODE_MAX).map(Self)
    }

    /// The mode that gives all rights, to the user.
    pub const USER: Self = Self(0o700);

    /// The mode that gives only this right, to the user.
    pub fn of_user(right: Right) -> Self {
        Self(right.user_bit())
    }

    /// The bits as a number.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Whether this gives `right` to the user. Claims use no other bits.
    pub fn lets_user(self, right: Right) -> bool {
        self.0 & right.user_bit() != 0
    }

    /// Whether this gives `right` to everybody.
    pub fn lets_others(self, right: Right) -> bool {
        self.0 & right.others_bit() != 0
    }
}

/// What whoever holds a token may do at a path and at everything below.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    path: Link,
    mode: Mode,
}

impl Claim {
    /// A claim about a path on a host.
    ///
    /// # Errors
    /// `BadRequest` if `path` names a host: that is what the issuer does.
    pub fn try_new(path: Link, mode: Mode) -> Result<Self> {
        match path.authority() {
            None => Ok(Self { path, mode }),
            Some(_) => Err(Error::bad_request(format!("a claim is about a path, not {path}"))),
        }
    }

    /// The path that is claimed: absolute, or relative to the issuer.
    pub fn path(&self) -> &Link {
        &self.path
    }

    /// What may be done there.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether this claim of `issuer` is about `path` or something above it.
    pub fn covers(&self, issuer: &Link, path: &[Id]) -> bool {
        let claimed = self.path.path();
        match self.is_absolute() {
            true => path.starts_with(claimed),
            false => path.strip_prefix(issuer.path()).is_some_and(|rest| rest.starts_with(claimed)),
        }
    }

    /// The scope of a service that another one grants by this claim: a path below the service. Nothing if the claim is
    /// about something else, or about no scope in particular, as that of a leader.
    pub fn scope_of(&self, service: &[Id]) -> Option<&[Id]> {
        let claimed = self.path.path();
        let scope = if self.is_absolute() { claimed.strip_prefix(service)? } else { claimed };
        let first = scope.first()?;
        (self.is_absolute() || first.as_str() != TXN).then_some(scope)
    }

    /// Whether the path begins at a root of what a host has, rather than at the issuer.
    fn is_absolute(&self) -> bool {
        self.path.path().first().is_some_and(|root| HOSTED.contains(&root.as_str()))
    }

    /// The transaction that this claim is about, if it is about one.
    ///
    /// # Errors
    /// `BadRequest` if it names none.
    pub fn txn(&self) -> Result<Option<TxnId>> {
        match self.path.path() {
            [root, id] if root.as_str() == TXN => id.as_str().parse().map(Some),
            [root, ..] if root.as_str() == TXN => {
                Err(Error::bad_request(format!("a claim about a transaction is about /{TXN}/<id>, not {}", self.path)))
            }
            _ => Ok(None),
        }
    }
}

/// As in a token: `["/a/b",448]`.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[\"{}\",{}]", self.path, self.mode.bits())
    }
}

/// As on a command line: `/a/b:rwx`.
impl FromStr for Claim {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid =
            || Error::bad_request(format!("{text:?} is not a claim: expected a path, a colon, and r, w or x"));
        let (path, rights) = text.rsplit_once(':').ok_or_else(invalid)?;
        let mut bits = 0;
        for letter in rights.chars() {
            bits |= match letter {
                'r' => Right::Read.user_bit(),
                'w' => Right::Write.user_bit(),
                'x' => Right::Execute.user_bit(),
                _ => return Err(invalid()),
            };
        }
        if bits == 0 {
            return Err(invalid());
        }
        Self::try_new(path.parse()?, Mode(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(text: &str) -> Claim {
        text.parse().unwrap()
    }

    fn link(text: &str) -> Link {
        text.parse().unwrap()
    }

    #[test]
    fn claims_are_read_from_a_command_line_and_shown_as_in_a_token() {
        assert_eq!(claim("/service:rwx").to_string(), "[\"/service\",448]");
        assert_eq!(claim("/service/a:w").to_string(), "[\"/service/a\",128]");
        assert_eq!(claim("/:x").to_string(), "[\"/\",64]");
        for text in ["/a", "/a:", ":rwx", "/a:rwz", "a:r", "http://h/a:r", "/a b:r", "/a:7"] {
            assert!(text.parse::<Claim>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_claim_covers_its_path_and_what_is_below() {
        let covers = |text: &str, path: &str| claim(text).covers(&link("/user/admin"), link(path).path());
        assert!(covers("/service/a:r", "/service/a"));
        assert!(covers("/service/a:r", "/service/a/1.0.0/x"));
        assert!(!covers("/service/a:r", "/service"));
        assert!(!covers("/service/a:r", "/service/ab"));
        assert!(!covers("/:r", "/service/a"));
    }

    #[test]
    fn other_claims_are_relative_to_their_issuer() {
        let covers = |text: &str, path: &str| claim(text).covers(&link("http://h:1/service/a"), link(path).path());
        assert!(covers("/debit:x", "/service/a/debit"));
        assert!(covers("/:x", "/service/a/debit"));
        assert!(!covers("/debit:x", "/debit"));
        assert!(!covers("/debit:x", "/service/b/debit"));
        assert!(covers("/service/b:x", "/service/b/debit"));
    }

    #[test]
    fn what_a_service_grants_is_a_scope_of_another() {
        let scope_of = |text: &str| claim(text).scope_of(link("/service/bank").path()).map(|scope| scope.to_vec());
        let scope = |text: &str| Some(link(text).path().to_vec());
        assert_eq!(scope_of("/debit:x"), scope("/debit"));
        assert_eq!(scope_of("/debit/small:x"), scope("/debit/small"));
        assert_eq!(scope_of("/service/bank/debit:x"), scope("/debit"));
        for other in ["/:x", "/service/bank:x", "/service/other/debit:x", "/lib/debit:x", "/txn/5-6:x"] {
            assert_eq!(scope_of(other), None, "{other}");
        }
    }

    #[test]
    fn claims_about_transactions_name_one() {
        assert_eq!(claim("/txn/5-6:x").txn(), Ok(Some(TxnId { timestamp: 5, nonce: 6 })));
        assert_eq!(claim("/service/txn:x").txn(), Ok(None));
        assert_eq!(claim("/:x").txn(), Ok(None));
        for text in ["/txn:x", "/txn/x:x", "/txn/5-6/a:x"] {
            assert!(claim(text).txn().is_err(), "{text}");
        }
    }

    #[test]
    fn modes_have_nine_bits() {
        assert_eq!(Mode::try_new(0o777).map(Mode::bits), Some(511));
        assert_eq!(Mode::try_new(0o1000), None);
        assert_eq!(Mode::try_new(u64::MAX), None);
        assert!(Mode::DEFAULT.lets_others(Right::Read) && Mode::DEFAULT.lets_others(Right::Execute));
        assert!(!Mode::DEFAULT.lets_others(Right::Write));
        assert!(Mode::of_user(Right::Write).lets_user(Right::of(Verb::Put)));
    }
}
