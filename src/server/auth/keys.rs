//! Whose key is which.
//!
//! A key is this host's own, or it is asked for at the issuer of the token: `GET <issuer>?key=<actor>`. Only hosts that
//! the command line names are asked, or anybody could make this host open connections to wherever they like.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT as BASE64;
use futures::future::{BoxFuture, FutureExt as _};
use lru::LruCache;
use parking_lot::Mutex;
use rjwt::VerifyingKey;
use tokio::sync::Semaphore;

use super::actor::{HostActor, KEY_BYTES};
use super::issuer::{Signer, is_same_host};
use crate::env::Clock;
use crate::error::{Error, Kind, Result};
use crate::exec::{Gateway, RemoteArgs};
use crate::txn::Txn;
use crate::value::{Authority, Link, State, Value};

/// How long an issuer may take to say a key.
const LOOKUP_TIME: Duration = Duration::from_secs(1);
/// Keys that are being asked for at one host.
const LOOKUPS_MAX: usize = 16;
/// Keys of others that are kept.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// How long a key is kept, in seconds. Tokens can be valid for longer, but an issuer may stop to vouch for a key.
const KEPT_SECONDS_MAX: u64 = 3600;

/// Says with which key a token must be signed.
pub trait Keys: Send + Sync {
    /// Whether `issuer` is on this host.
    fn is_local(&self, issuer: &Link) -> bool;

    /// The key of `signer`, whose issuer is a path if it is on this host, for a token that ends at `until`, in seconds
    /// since the Unix epoch.
    ///
    /// # Errors
    /// `Unauthorized` if the issuer is not trusted or does not know the actor, `BadGateway` if it cannot be asked,
    /// `Unavailable` if it is asked too much already.
    fn key<'a>(&'a self, signer: &'a Signer, until: u64, txn: &'a Txn) -> BoxFuture<'a, Result<VerifyingKey>>;
}

/// A host that may be asked.
struct Target {
    authority: Authority,
    lookups: Semaphore,
}

/// A key, and until when it need not be asked for again, in seconds since the Unix epoch.
#[derive(Clone, Copy)]
struct Kept {
    key: VerifyingKey,
    until: u64,
}

/// The keys of this host and of those that it trusts.
pub struct KeyRing {
    own: Arc<HostActor>,
    gateway: Arc<dyn Gateway>,
    clock: Arc<dyn Clock>,
    targets: Vec<Target>,
    kept: Mutex<LruCache<Signer, Kept>>,
}

impl KeyRing {
    /// The keys of `own`, and those that the hosts in `trusted` say.
    pub fn new<'a>(
        own: Arc<HostActor>,
        gateway: Arc<dyn Gateway>,
        clock: Arc<dyn Clock>,
        trusted: impl IntoIterator<Item = &'a Link>,
    ) -> Self {
        let authorities = trusted.into_iter().filter_map(Link::authority).cloned();
        let targets = authorities.map(|authority| Target { authority, lookups: Semaphore::new(LOOKUPS_MAX) });
        Self { own, gateway, clock, targets: targets.collect(), kept: Mutex::new(LruCache::new(KEPT_MAX)) }
    }

    fn own_key(&self, actor: &State) -> Result<VerifyingKey> {
        if *actor == self.own.id() {
            Ok(self.own.public_key())
        } else {
            Err(Error::unauthorized("the token names an actor that this host does not know"))
        }
    }

    fn known(&self, signer: &Signer, now: u64) -> Option<VerifyingKey> {
        self.kept.lock().get(signer).filter(|kept| now < kept.until).map(|kept| kept.key)
    }

    async fn ask(&self, authority: &Authority, signer: &Signer, txn: &Txn) -> Result<VerifyingKey> {
        let issuer = &signer.issuer;
        let target = self.targets.iter().find(|target| is_same_host(&target.authority, authority));
        let target =
            target.ok_or_else(|| Error::unauthorized(format!("this host does not trust tokens of {issuer}")))?;
        let busy = |_| Error::unavailable(format!("too many keys are being asked for at {issuer}"));
        let _lookup = target.lookups.try_acquire().map_err(busy)?;
        let deadline = txn.deadline.min(self.clock.now() + LOOKUP_TIME);
        // The issuer must not learn the token, and could not verify it without asking back.
        let txn = Txn { deadline, token: None, ..txn.clone() };
        let reply = self.gateway.call(&txn, issuer, RemoteArgs::Get(signer.actor.clone())).await;
        let key = reply.map_err(|error| unknown(issuer, &error))?;
        read_key(&signer.actor, &key).ok_or_else(|| {
            Error::unauthorized(format!("{issuer} replied with something else than the key of the token's actor"))
        })
    }
}

impl Keys for KeyRing {
    fn is_local(&self, issuer: &Link) -> bool {
        issuer.authority().is_none_or(|authority| self.gateway.is_local(authority))
    }

    fn key<'a>(&'a self, signer: &'a Signer, until: u64, txn: &'a Txn) -> BoxFuture<'a, Result<VerifyingKey>> {
        async move {
            let Some(authority) = signer.issuer.authority() else { return self.own_key(&signer.actor) };
            let now = self.clock.unix_nanos() / 1_000_000_000;
            if let Some(key) = self.known(signer, now) {
                return Ok(key);
            }
            let key = self.ask(authority, signer, txn).await?;
            let until = until.min(now + KEPT_SECONDS_MAX);
            self.kept.lock().put(signer.clone(), Kept { key, until });
            Ok(key)
        }
        .boxed()
    }
}

/// Why an issuer did not say a key: the network or the issuer is to blame, or the token.
fn unknown(issuer: &Link, error: &Error) -> Error {
    let message = format!("cannot get the key of a token from {issuer}: {}", error.message());
    match error.kind() {
        Kind::BadGateway | Kind::Timeout | Kind::Unavailable | Kind::Internal => Error::bad_gateway(message),
        _ => Error::unauthorized(message),
    }
}

/// The key in the reply of an issuer: bytes, or their base64 text. An actor that is named by a key has no other.
fn read_key(actor: &State, reply: &State) -> Option<VerifyingKey> {
    let bytes = match reply {
        State::Value(Value::Bytes(bytes)) => bytes.to_vec(),
        State::Value(Value::String(text)) => BASE64.decode(&**text).ok()?,
        _ => return None,
    };
    if let State::Value(Value::Bytes(named)) = actor
        && **named != *bytes
    {
        return None;
    }
    let bytes = <[u8; KEY_BYTES]>::try_from(bytes).ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests;
