//! Which tokens are believed.

use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use futures::executor::block_on;
use serde_json::Value as Json;

use super::*;
use crate::error::Kind;
use crate::server::auth::actor::HostActor;
use crate::server::auth::sample::{KnownKeys, NOW, actor, chain, draft, txn};

fn checked(chain: &Chain, keys: &KnownKeys) -> Result<Verified> {
    block_on(verify(chain, keys, NOW, &txn()))
}

/// The first token of `issuer`, which inherits `parent`, ends at `expires` and is signed by `signer`.
fn sign(signer: &HostActor, issuer: &str, issued: u64, expires: u64, parent: Option<&Chain>) -> Chain {
    Chain::decode(&signer.sign(&draft(issuer, &["/a:r"], issued, expires), parent).unwrap()).unwrap()
}

#[track_caller]
fn refused(chain: &Chain, keys: &KnownKeys, why: &str) {
    let error = checked(chain, keys).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized, "{error}");
    assert!(error.message().contains(why), "{error}");
}

#[test]
fn a_chain_says_what_each_of_its_signers_claims() {
    let keys = KnownKeys::default().with("http://other:1/service/b", &actor(2));
    let first = sign(&actor(2), "http://other:1/service/b", NOW, NOW + 60, None);
    let second = sign(&actor(1), "http://localhost:1/service/a", NOW, NOW + 50, Some(&first));
    let verified = checked(&second, &keys).unwrap();
    let issuers: Vec<_> = verified.grants().iter().map(|grant| grant.signer.issuer.to_string()).collect();
    assert_eq!(issuers, ["/service/a", "http://other:1/service/b"]);
    assert_eq!(verified.grants()[1].signer.actor, actor(2).id());
    assert_eq!(verified.grants()[1].claims, ["/a:r".parse::<Claim>().unwrap()]);
    assert_eq!(verified.expires(), NOW + 50);
}

#[test]
fn clocks_may_differ_a_little() {
    let keys = KnownKeys::default();
    let at = |issued: u64, expires: u64| sign(&actor(1), "/a", issued, expires, None);
    assert!(checked(&at(NOW, NOW + 1), &keys).is_ok());
    assert!(checked(&at(NOW + 5, NOW + 9), &keys).is_ok());
    refused(&at(NOW + 6, NOW + 9), &keys, "issued 6 seconds from now");
    refused(&at(NOW - 9, NOW), &keys, "token is expired");
    refused(&at(0, 0), &keys, "token is expired");
    refused(&at(u64::MAX, u64::MAX), &keys, "from now");
}

#[test]
fn no_token_outlives_the_one_that_it_inherits() {
    // The signing function of a host never makes such a token, so the parent is exchanged afterwards.
    let outlives = |parent: &Chain, expires: u64| {
        let claims = serde_json::json!({
            "iss": "/a", "iat": NOW, "exp": expires, "actor_id": actor_json(&actor(1)), "custom": ["/a", 64],
            "inherit": parent.text().to_string(),
        });
        let token: rjwt::Token<String, Json, Json> = serde_json::from_value(claims).unwrap();
        Chain::decode(rjwt_actor(1).sign_token(token).unwrap().jwt()).unwrap()
    };
    let keys = KnownKeys::default();
    let first = sign(&actor(1), "/a", NOW, NOW + 60, None);
    assert!(checked(&outlives(&first, NOW + 60), &keys).is_ok());
    refused(&outlives(&first, NOW + 61), &keys, "ends later");
    // It is the parent that counts, not the first of all.
    let second = sign(&actor(1), "/a", NOW, NOW + 30, Some(&first));
    refused(&outlives(&second, NOW + 40), &keys, "ends later");
}

#[test]
fn a_signature_is_by_the_actor_that_is_named_and_over_what_was_received() {
    let keys = KnownKeys::default().with("http://other:1/b", &actor(2));
    let good = sign(&actor(2), "http://other:1/b", NOW, NOW + 60, None);
    assert!(checked(&good, &keys).is_ok());
    refused(&sign(&actor(3), "http://other:1/b", NOW, NOW + 60, None), &keys, "no such actor");
    refused(&sign(&actor(2), "http://another:1/b", NOW, NOW + 60, None), &keys, "no such actor");
    refused(&sign(&actor(2), "/b", NOW, NOW + 60, None), &keys, "no such actor");

    // The claims of one token with the signature of another.
    let other = sign(&actor(2), "http://other:1/b", NOW, NOW + 50, None);
    let signature = other.text().rsplit_once('.').unwrap().1;
    let forged = format!("{}.{signature}", good.text().rsplit_once('.').unwrap().0);
    refused(&Chain::decode(&forged).unwrap(), &keys, "not signed by the actor");

    // A forged token is found below a good one, too.
    let outer = sign(&actor(1), "/a", NOW, NOW + 40, Some(&Chain::decode(&forged).unwrap()));
    refused(&outer, &keys, "not signed by the actor");
}

#[test]
fn signers_on_other_hosts_are_few() {
    let of = |count: usize| {
        let mut keys = KnownKeys::default();
        let mut last: Option<Chain> = None;
        for number in 0..count {
            let issuer = format!("http://other:{number}/b");
            keys = keys.with(&issuer, &actor(2));
            last = Some(sign(&actor(2), &issuer, NOW, NOW + 60, last.as_ref()));
        }
        checked(&last.unwrap(), &keys)
    };
    assert_eq!(of(LOOKUPS_MAX).unwrap().grants().len(), LOOKUPS_MAX);
    assert!(of(LOOKUPS_MAX + 1).unwrap_err().message().contains("more than 8 signers"));
    // On this host, any number.
    let issuers: Vec<String> = (0..10).map(|number| format!("/service/{number}")).collect();
    let tokens: Vec<(&str, &[&str])> = issuers.iter().map(|issuer| (issuer.as_str(), &["/a:r"][..])).collect();
    assert_eq!(checked(&chain(&tokens), &KnownKeys::default()).unwrap().grants().len(), 10);
}

/// The actor number `number` as `rjwt` has it.
fn rjwt_actor(number: u8) -> rjwt::Actor<Json> {
    rjwt::Actor::with_keypair(actor_json(&actor(number)), rjwt::SigningKey::from_bytes(&[number; 32]))
}

fn actor_json(actor: &HostActor) -> Json {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD_NO_PAD.encode(actor.public_key().as_bytes());
    serde_json::json!({ "/state/scalar/value/bytes": key })
}

/// Resolves the actor with number 1, by `rjwt` alone.
struct Resolver;

#[async_trait]
impl rjwt::Resolve for Resolver {
    type HostId = String;
    type ActorId = Json;
    type Claims = Json;

    async fn resolve(&self, _host: &String, actor: &Json) -> Result<rjwt::Actor<Json>, rjwt::Error> {
        match *actor == *rjwt_actor(1).id() {
            true => Ok(rjwt_actor(1)),
            false => Err(rjwt::Error::fetch(actor)),
        }
    }
}

#[test]
fn hosts_that_use_rjwt_alone_read_our_tokens_and_we_read_theirs() {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let ours = chain(&[("/service/a", &["/txn/5-6:x"]), ("/service/b", &["/:x"])]);
    let theirs = block_on(rjwt::Resolve::verify(&Resolver, ours.text().to_string(), now)).unwrap();
    let claims: Vec<_> = theirs.claims().iter().map(|(host, _, claim)| (host.as_str(), claim.to_string())).collect();
    let expected = [("/service/b", "[\"/\",64]"), ("/service/a", "[\"/txn/5-6\",64]")];
    assert_eq!(claims, expected.map(|(host, claim)| (host, claim.to_string())));

    let lock = serde_json::json!(["/txn/5-6", 128]);
    let more = rjwt_actor(1).consume_and_sign(theirs, "/service/a".to_string(), lock, now).unwrap();
    let verified = checked(&Chain::decode(more.jwt()).unwrap(), &KnownKeys::default()).unwrap();
    assert_eq!(verified.grants().len(), 3);
    assert_eq!(verified.grants()[0].claims, ["/txn/5-6:w".parse::<Claim>().unwrap()]);
}
