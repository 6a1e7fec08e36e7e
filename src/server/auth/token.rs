//! Tokens as they are received: read, but not verified.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT as BASE64;
use hyper::header::{AUTHORIZATION, HeaderMap};
use rjwt::Signature;

use super::claim::{Claim, Mode};
use super::issuer::Signer;
use crate::compiler::decode_state;
use crate::error::{Error, Result};
use crate::value::doc::json;
use crate::value::{Doc, Link, Number, State};

/// Bytes of a token, with all that it inherits.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Tokens in a chain. Each level makes the text longer by a third, so that hardly more fit into [`TOKEN_BYTES_MAX`].
const TOKENS_MAX: usize = 16;
/// Levels of nesting of the JSON in a token. An actor can be a tuple; nothing else nests.
const DEPTH_MAX: usize = 16;

/// One token of a chain.
#[derive(Clone, Debug)]
pub struct Token {
    pub(super) signer: Signer,
    /// When it was issued, in seconds since the Unix epoch.
    pub(super) issued: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub(super) expires: u64,
    pub(super) claims: Vec<Claim>,
    /// The text that is signed, as it was received.
    pub(super) signed: String,
    pub(super) signature: Signature,
}

/// A token and those that it inherits, the outermost first. There is always one.
#[derive(Clone, Debug)]
pub struct Chain {
    text: Arc<str>,
    tokens: Vec<Token>,
}

impl Chain {
    /// The token of a request, if it has one.
    ///
    /// # Errors
    /// `Unauthorized` if there is one that cannot be read.
    pub fn of_headers(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Error::unauthorized("expected one header authorization, found several"));
        }
        let text = value.to_str().map_err(|_| Error::unauthorized("the header authorization is not text"))?;
        let token = text.strip_prefix("Bearer ").map(str::trim).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| Error::unauthorized("expected authorization by Bearer <token>"))?;
        Self::decode(token).map(Some)
    }

    /// Reads a token and all that it inherits.
    ///
    /// # Errors
    /// `Unauthorized` if one of them is malformed, or there are too many.
    pub fn decode(text: &str) -> Result<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(invalid(format_args!("it is longer than {TOKEN_BYTES_MAX} bytes")));
        }
        let (token, mut parent) = decode_token(text)?;
        let mut tokens = vec![token];
        while let Some(text) = parent {
            if tokens.len() == TOKENS_MAX {
                return Err(invalid(format_args!("it inherits more than {} others", TOKENS_MAX - 1)));
            }
            let (token, next) = decode_token(&text)?;
            tokens.push(token);
            parent = next;
        }
        Ok(Self { text: text.into(), tokens })
    }

    /// The tokens, the outermost first.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The text, to be passed on.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// When the first of the tokens ends, in seconds since the Unix epoch.
    pub fn expires(&self) -> u64 {
        self.tokens.iter().map(|token| token.expires).min().unwrap_or_default()
    }
}

/// Something is wrong with a token.
pub(super) fn invalid(why: impl fmt::Display) -> Error {
    Error::unauthorized(format!("invalid bearer token: {why}"))
}

/// A token, and the text of the one that it inherits.
fn decode_token(text: &str) -> Result<(Token, Option<Arc<str>>)> {
    let parts: Vec<&str> = text.splitn(4, '.').collect();
    let &[header, claims, signature] = parts.as_slice() else {
        return Err(invalid("expected <header>.<claims>.<signature>"));
    };
    check_header(&decode_json("header", header)?)?;
    let signature = <[u8; 64]>::try_from(decode_part("signature", signature)?)
        .map_err(|bytes| invalid(format_args!("its signature has {} bytes, not 64", bytes.len())))?;
    let signed = format!("{header}.{claims}");
    let claims = decode_json("claims", claims)?;
    let token = Token {
        signer: Signer { issuer: issuer(&claims)?, actor: actor(&claims)? },
        issued: seconds(&claims, "iat")?,
        expires: seconds(&claims, "exp")?,
        claims: read_claims(claims.get("custom"))?,
        signed,
        signature: Signature::from_bytes(&signature),
    };
    let parent = match claims.get("inherit") {
        None | Some(Doc::Null) => None,
        Some(Doc::String(text)) => Some(Arc::clone(text)),
        Some(other) => return Err(invalid(format_args!("its inherit must be a token, not {}", other.describe()))),
    };
    Ok((token, parent))
}

fn decode_part(name: &str, text: &str) -> Result<Vec<u8>> {
    BASE64.decode(text).map_err(|error| invalid(format_args!("its {name} is not base64: {error}")))
}

fn decode_json(name: &str, text: &str) -> Result<Doc> {
    match json::decode(&decode_part(name, text)?, DEPTH_MAX) {
        Ok(doc @ Doc::Map(_)) => Ok(doc),
        Ok(other) => Err(invalid(format_args!("its {name} must be an object, not {}", other.describe()))),
        Err(error) => Err(invalid(format_args!("its {name}: {}", error.message()))),
    }
}

/// The names are historical: the algorithm is Ed25519.
fn check_header(header: &Doc) -> Result<()> {
    let is = |name: &str, value: &str| matches!(header.get(name), Some(Doc::String(text)) if **text == *value);
    let is_alone = matches!(header, Doc::Map(entries) if entries.len() == 2);
    if is_alone && is("alg", "ES256") && is("typ", "JWT") {
        Ok(())
    } else {
        Err(invalid("its header must be {\"alg\":\"ES256\",\"typ\":\"JWT\"}"))
    }
}

fn issuer(claims: &Doc) -> Result<Link> {
    match claims.get("iss") {
        Some(Doc::String(text)) => {
            text.parse().map_err(|error: Error| invalid(format_args!("iss: {}", error.message())))
        }
        _ => Err(invalid("its iss must be a link")),
    }
}

fn actor(claims: &Doc) -> Result<State> {
    let doc = claims.get("actor_id").ok_or_else(|| invalid("it has no actor_id"))?;
    let actor = decode_state(doc).map_err(|error| invalid(format_args!("actor_id: {}", error.message())))?;
    if actor.is_value() && !actor.is_none() { Ok(actor) } else { Err(invalid("its actor_id must be a value")) }
}

fn seconds(claims: &Doc, name: &str) -> Result<u64> {
    let Some(Doc::Number(number)) = claims.get(name) else { return Err(invalid(format_args!("it has no {name}"))) };
    whole(*number).ok_or_else(|| invalid(format_args!("its {name} must be a whole number of seconds")))
}

fn whole(number: Number) -> Option<u64> {
    match number {
        Number::U64(n) => Some(n),
        Number::I64(n) => u64::try_from(n).ok(),
        _ => None,
    }
}

/// The claims: one pair, or a list of pairs. A token without any says only who signed it.
fn read_claims(custom: Option<&Doc>) -> Result<Vec<Claim>> {
    match custom {
        None | Some(Doc::Null) => Ok(vec![]),
        Some(Doc::List(items)) => match items.as_slice() {
            [Doc::String(path), mode] => Ok(vec![read_claim(path, mode)?]),
            pairs => pairs.iter().map(read_pair).collect(),
        },
        Some(_) => Err(not_claims()),
    }
}

fn read_pair(doc: &Doc) -> Result<Claim> {
    match doc {
        Doc::List(pair) => match pair.as_slice() {
            [Doc::String(path), mode] => read_claim(path, mode),
            _ => Err(not_claims()),
        },
        _ => Err(not_claims()),
    }
}

fn read_claim(path: &str, mode: &Doc) -> Result<Claim> {
    let mode = match mode {
        Doc::Number(number) => whole(*number).and_then(Mode::try_new),
        _ => None,
    };
    let mode = mode.ok_or_else(|| invalid("the mode of a claim must be a number up to 511"))?;
    let claim = path.parse().and_then(|path| Claim::try_new(path, mode));
    claim.map_err(|error| invalid(format_args!("custom: {}", error.message())))
}

fn not_claims() -> Error {
    invalid("its custom must be a pair of path and mode, or a list of such pairs")
}

#[cfg(test)]
mod tests;
