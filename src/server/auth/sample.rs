//! Actors, tokens and keys for the tests.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt as _};
use rjwt::VerifyingKey;

use super::actor::{Draft, HostActor};
use super::issuer::Signer;
use super::keys::Keys;
use super::token::Chain;
use crate::error::{Error, Result};
use crate::txn::{Txn, TxnId};
use crate::value::Link;

/// The time of the tests, in seconds since the Unix epoch.
pub(super) const NOW: u64 = 1_000_000;

/// The actor number `number`.
pub(super) fn actor(number: u8) -> HostActor {
    HostActor::from_secret(&hex::encode([number; 32])).unwrap()
}

/// A token of `issuer` with claims such as `/a:rwx`.
pub(super) fn draft(issuer: &str, claims: &[&str], issued: u64, expires: u64) -> Draft {
    let claims = claims.iter().map(|claim| claim.parse().unwrap()).collect();
    Draft { issuer: issuer.parse().unwrap(), claims, issued, expires }
}

/// Tokens of the first actor, each inheriting the one before, that are valid for a minute.
pub(super) fn chain(tokens: &[(&str, &[&str])]) -> Chain {
    let sign = |parent: Option<Chain>, (issuer, claims): &(&str, &[&str])| {
        let text = actor(1).sign(&draft(issuer, claims, NOW, NOW + 60), parent.as_ref()).unwrap();
        Some(Chain::decode(&text).unwrap())
    };
    tokens.iter().fold(None, sign).unwrap()
}

/// The transaction `5-6`.
pub(super) fn txn() -> Txn {
    Txn {
        id: TxnId { timestamp: 5, nonce: 6 },
        deadline: Instant::now() + Duration::from_secs(60),
        token: None,
        actor: None,
        access: None,
        watch: None,
    }
}

/// Keys that are known beforehand. The first actor signs for this host.
#[derive(Default)]
pub(super) struct KnownKeys {
    keys: HashMap<Signer, VerifyingKey>,
}

impl KnownKeys {
    /// The same keys, and that of `actor` at `issuer`.
    pub(super) fn with(mut self, issuer: &str, actor: &HostActor) -> Self {
        let signer = Signer { issuer: issuer.parse().unwrap(), actor: actor.id() };
        self.keys.insert(signer, actor.public_key());
        self
    }
}

impl Keys for KnownKeys {
    fn is_local(&self, issuer: &Link) -> bool {
        issuer.authority().is_none_or(|authority| &*authority.host == "localhost")
    }

    fn key<'a>(&'a self, signer: &'a Signer, _until: u64, _txn: &'a Txn) -> BoxFuture<'a, Result<VerifyingKey>> {
        async move {
            let own = actor(1);
            if signer.issuer.authority().is_none() && signer.actor == own.id() {
                return Ok(own.public_key());
            }
            self.keys.get(signer).copied().ok_or_else(|| Error::unauthorized("no such actor"))
        }
        .boxed()
    }
}
