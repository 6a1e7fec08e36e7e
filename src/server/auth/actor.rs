//! The host as an actor: its key pair, and the tokens that it signs.
//!
//! The key is made when a host first starts, and kept in its data directory. One key speaks for everything that the
//! host has: services, libraries, and the owner of the host if that is a path.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rjwt::{Actor, OsRng, SigningKey, VerifyingKey};
use serde_json::{Value as Json, json};

use super::claim::Claim;
use super::token::Chain;
use crate::error::{Error, Result};
use crate::value::{Class, Link, State, Value};

/// Bytes of a key, public or secret.
pub const KEY_BYTES: usize = 32;

/// What a token is to say, beside who signs it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The cluster or service that speaks.
    pub issuer: Link,
    /// Hosts of earlier releases read tokens with exactly one. For them, each claim takes a token that inherits
    /// another.
    pub claims: Vec<Claim>,
    /// When it is issued, in seconds since the Unix epoch.
    pub issued: u64,
    /// When it ends, in seconds since the Unix epoch, unless what it inherits ends before.
    pub expires: u64,
}

/// The key pair of a host. Its secret is never printed.
pub struct HostActor {
    public: VerifyingKey,
    actor: Actor<Json>,
}

impl HostActor {
    /// A new secret, as it is kept in a file: 64 hexadecimal digits and the end of a line.
    pub fn new_secret() -> String {
        let mut text = hex::encode(SigningKey::generate(&mut OsRng).as_bytes());
        text.push('\n');
        text
    }

    /// The actor with a secret from [`HostActor::new_secret`].
    ///
    /// # Errors
    /// `Internal` if the text is not such a secret.
    pub fn from_secret(text: &str) -> Result<Self> {
        let mut secret = [0; KEY_BYTES];
        // The text is secret, so the message doesn't repeat any of it.
        hex::decode_to_slice(text.trim(), &mut secret)
            .map_err(|_| Error::internal("the key of this host is damaged: expected 64 hexadecimal digits"))?;
        let key = SigningKey::from_bytes(&secret);
        let public = key.verifying_key();
        // As hosts of earlier releases write it: without padding.
        let class = Class::Bytes.path();
        let id = json!({ class: STANDARD_NO_PAD.encode(public.as_bytes()) });
        Ok(Self { public, actor: Actor::with_keypair(id, key) })
    }

    /// The key that verifies what this actor signs.
    pub fn public_key(&self) -> VerifyingKey {
        self.public
    }

    /// What this actor is called in its tokens: its public key.
    pub fn id(&self) -> State {
        State::Value(Value::Bytes(self.public.as_bytes().as_slice().into()))
    }

    /// Signs a token, which inherits `parent` and never outlives it.
    ///
    /// # Errors
    /// `Internal` if that fails, for which there is no known reason.
    pub fn sign(&self, draft: &Draft, parent: Option<&Chain>) -> Result<String> {
        let fault = |error: &dyn fmt::Display| Error::internal(format!("cannot sign a token: {error}"));
        let expires = parent.map_or(draft.expires, |parent| draft.expires.min(parent.expires()));
        let pair = |claim: &Claim| json!([claim.path().to_string(), claim.mode().bits()]);
        let custom = match draft.claims.as_slice() {
            [claim] => pair(claim),
            claims => claims.iter().map(pair).collect(),
        };
        let token: rjwt::Token<String, Json, Json> = serde_json::from_value(json!({
            "iss": draft.issuer.to_string(),
            "iat": draft.issued,
            "exp": expires,
            "actor_id": self.actor.id(),
            "custom": custom,
            "inherit": parent.map(|parent| parent.text().to_string()),
        }))
        .map_err(|error| fault(&error))?;
        self.actor.sign_token(token).map(|signed| signed.into_jwt()).map_err(|error| fault(&error))
    }

    /// The reply to a GET of anything that this host has with the key `key`, if that asks for a public key: the same
    /// bytes, if the key is that of this host.
    ///
    /// # Errors
    /// `NotFound` if it is another.
    pub fn confirm(&self, key: &State) -> Result<Option<State>> {
        match key {
            State::Value(Value::Bytes(bytes)) if self.is_key(key) => {
                if self.is_own(key) {
                    Ok(Some(key.clone()))
                } else {
                    Err(Error::not_found(format!("0x{} (of 1 keys)", hex::encode(bytes))))
                }
            }
            _ => Ok(None),
        }
    }

    /// Whether a state has the form of a public key.
    pub fn is_key(&self, key: &State) -> bool {
        matches!(key, State::Value(Value::Bytes(bytes)) if bytes.len() == KEY_BYTES)
    }

    /// Whether a state is the public key of this host.
    pub fn is_own(&self, key: &State) -> bool {
        matches!(key, State::Value(Value::Bytes(bytes)) if **bytes == *self.public.as_bytes().as_slice())
    }
}

impl fmt::Debug for HostActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostActor({})", hex::encode(self.public.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::server::auth::sample::{actor, draft};

    #[test]
    fn a_secret_is_read_as_it_was_written() {
        let secret = HostActor::new_secret();
        assert_eq!(secret.len(), 65);
        assert_ne!(secret, HostActor::new_secret());
        let actor = HostActor::from_secret(&secret).unwrap();
        assert_eq!(actor.public_key(), HostActor::from_secret(secret.trim()).unwrap().public_key());
        assert!(!format!("{actor:?}").contains(secret.trim()));
        for damaged in ["", "00", &format!("{secret}00"), &"zz".repeat(32)] {
            assert!(HostActor::from_secret(damaged).is_err());
        }
    }

    #[test]
    fn a_public_key_is_that_of_the_standard() {
        // RFC 8032, section 7.1, test 1.
        let actor = HostActor::from_secret("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex::encode(actor.public_key().as_bytes()), public);
    }

    #[test]
    fn what_is_signed_is_read_again() {
        let actor = actor(1);
        let parent =
            Chain::decode(&actor.sign(&draft("/user/admin", &["/service:rwx"], 100, 200), None).unwrap()).unwrap();
        let longer = draft("http://127.0.0.1:1/service/a", &["/:x", "/txn/5-6:x"], 110, 900);
        let chain = Chain::decode(&actor.sign(&longer, Some(&parent)).unwrap()).unwrap();
        let [outer, inner] = chain.tokens() else { panic!("{chain:?}") };
        assert_eq!((outer.issued, outer.expires, inner.issued, inner.expires), (110, 200, 100, 200));
        assert_eq!(outer.claims, longer.claims);
        assert_eq!(outer.signer.issuer, longer.issuer);
        assert_eq!((&outer.signer.actor, &inner.signer.actor), (&actor.id(), &actor.id()));
        for token in chain.tokens() {
            assert!(actor.public_key().verify_strict(token.signed.as_bytes(), &token.signature).is_ok());
        }
    }

    #[test]
    fn tokens_have_the_fields_of_the_protocol_in_their_order() {
        let text = actor(1).sign(&draft("/lib", &["/lib:r"], 1, 2), None).unwrap();
        let part = |at: usize| {
            let part = text.split('.').nth(at).unwrap();
            String::from_utf8(base64::engine::general_purpose::STANDARD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0), "{\"alg\":\"ES256\",\"typ\":\"JWT\"}");
        let id = STANDARD_NO_PAD.encode(actor(1).public_key().as_bytes());
        assert_eq!(
            part(1),
            format!(
                "{{\"iss\":\"/lib\",\"iat\":1,\"exp\":2,\"actor_id\":{{\"/state/scalar/value/bytes\":\"{id}\"}},\
                 \"custom\":[\"/lib\",256],\"inherit\":null}}"
            )
        );
    }

    #[test]
    fn a_host_confirms_its_own_key_only() {
        let (own, other) = (actor(1), actor(2));
        assert_eq!(own.confirm(&own.id()), Ok(Some(own.id())));
        assert_eq!(own.confirm(&other.id()).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(own.confirm(&State::from("x")), Ok(None));
        assert_eq!(own.confirm(&State::NONE), Ok(None));
    }
}
