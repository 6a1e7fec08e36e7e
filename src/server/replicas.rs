//! Who serves a directory or an item: the hosts, and their public keys.
//!
//! There is one host for now, this one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::http::Host;
use crate::compiler::decode::decode_key;
use crate::error::Result;
use crate::txn::Txn;
use crate::value::{Doc, Link, State, Tuple, Verb};

/// The last segment of the path of the members of what is above it.
pub(crate) const REPLICAS: &str = "replicas";

/// The reply to a request for members or their keys; nothing if this is no such request.
///
/// # Errors
/// `NotFound` if there is nothing at the path, or if the key is that of nobody who serves it.
pub(super) async fn answer(host: &Host, txn: &Txn, verb: Verb, link: &Link, key: &Doc) -> Result<Option<State>> {
    if verb != Verb::Get || !link.is_unversioned() {
        return Ok(None);
    }
    let key = decode_key(key)?;
    if let [above @ .., last] = link.path()
        && last.as_str() == REPLICAS
        && !above.is_empty()
    {
        Box::pin(host.kernel.describe(txn, &Link::local(above))).await?;
        return members(host, &key).map(Some);
    }
    if !host.auth.actor().is_key(&key) {
        return Ok(None);
    }
    Box::pin(host.kernel.describe(txn, link)).await?;
    host.auth.actor().confirm(&key)
}

/// All members with their keys, or the one with a given key.
fn members(host: &Host, key: &State) -> Result<State> {
    let actor = host.auth.actor();
    let own: State = host.link.clone().into();
    if actor.is_key(key) {
        return Ok(if actor.is_own(key) { own } else { State::NONE });
    }
    let public = BASE64.encode(actor.public_key().as_bytes());
    let member = Tuple::try_new(vec![own, public.into()])?;
    Ok(Tuple::try_new(vec![member.into()])?.into())
}
