//! Transactions: their ids, and what a request carries through its life.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::value::{Id, Link, State, Verb};

/// The id of a transaction: nanoseconds since the Unix epoch, then a nonce. Written `<timestamp>-<nonce>`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct TxnId {
    /// Nanoseconds since the Unix epoch.
    pub timestamp: u64,
    /// Tells apart ids of different hosts with one timestamp.
    pub nonce: u16,
}

impl FromStr for TxnId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        text.split_once('-')
            .filter(|(timestamp, nonce)| digits(timestamp) && digits(nonce))
            .and_then(|(timestamp, nonce)| {
                Some(TxnId { timestamp: timestamp.parse().ok()?, nonce: nonce.parse().ok()? })
            })
            .ok_or_else(|| {
                Error::bad_request(format!("{text:?} is not a transaction id: expected <nanoseconds>-<nonce>"))
            })
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.timestamp, self.nonce)
    }
}

/// A service, and the scopes that another one believes it to grant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trust {
    /// The path or URL of the service, without a version.
    pub issuer: Link,
    /// Paths below the service that believes it. None is empty.
    pub scopes: Vec<Link>,
}

/// Something of a service that somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The path of the service, without a version.
    pub service: &'a Link,
    /// A path below it.
    pub path: &'a [Id],
    /// How that is called, if the scope has to say so.
    pub verb: Option<Verb>,
}

/// Says what whoever makes a request may call.
pub trait Access: fmt::Debug + Send + Sync {
    /// Checks that a path may be called, which has its own mode: nine bits, as those of files.
    ///
    /// # Errors
    /// `Unauthorized` if it takes a token and there is none, `Forbidden` if the token does not suffice.
    fn check(&self, verb: Verb, path: &[Id], mode: Option<u16>) -> Result<()>;

    /// Checks that one of those whom a service trusts has granted a scope, or one above it.
    ///
    /// # Errors
    /// `Unauthorized` if there is no token, `Forbidden` if it has no such scope.
    fn check_scope(&self, scope: &Scope<'_>, trusted: &[Trust]) -> Result<()>;

    /// What may be called when the service at the path `service` has granted `scope`, too.
    ///
    /// # Errors
    /// `BadRequest` if so much was granted already that a token cannot say it.
    fn grant(&self, service: &Link, scope: &Link) -> Result<Granted>;
}

/// What a part of a request may call that a service has granted something to.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The token that says so, to be forwarded to other hosts.
    pub token: Arc<str>,
    pub access: Arc<dyn Access>,
}

/// A call that is watched.
#[derive(Clone, Copy, Debug)]
pub enum Watched<'a> {
    /// Of a method of a service, a library, a class or an instance.
    Method { verb: Verb, link: &'a Link },
    /// Of another host; `resend` says how often that was tried before.
    Remote { verb: Verb, link: &'a Link, resend: u32 },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ended {
    /// What it failed by, if it did.
    pub error: Option<Kind>,
    /// The status of the reply, if it had one.
    pub status: Option<u16>,
}

/// Watches a request, or a call that it makes: counts it, or makes it a part of a trace. What is dropped before it has
/// ended was cancelled.
pub trait Watch: fmt::Debug + Send + Sync {
    /// Begins to watch a call that this one makes.
    fn begin(&self, call: Watched<'_>) -> Arc<dyn Watch>;

    /// Says that the call is over. Only the first time counts.
    fn end(&self, ended: Ended);

    /// The headers that tell another host what trace this belongs to.
    fn headers(&self) -> Vec<(&'static str, String)>;
}

/// What a request carries through its life.
#[derive(Clone, Debug)]
pub struct Txn {
    pub id: TxnId,
    /// When the request must be answered.
    pub deadline: Instant,
    /// The caller's token, to be forwarded to other hosts.
    pub token: Option<Arc<str>>,
    /// Whose the request is: the user that the oldest of the caller's tokens names, if there is one.
    pub actor: Option<State>,
    /// What the request may call; nothing where everybody may call everything.
    pub access: Option<Arc<dyn Access>>,
    /// What watches the calls that the request makes, if anything does.
    pub watch: Option<Arc<dyn Watch>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_sort_by_time() {
        let id: TxnId = "1700000000000000000-5".parse().unwrap();
        assert_eq!(id.to_string(), "1700000000000000000-5");
        assert!(id < "1700000000000000001-0".parse().unwrap());
        for text in ["abc", "1", "1-", "-1", "1-2-3", "99999999999999999999-1", "1-65536", "+1-2"] {
            assert!(text.parse::<TxnId>().is_err(), "{text}");
        }
    }
}
