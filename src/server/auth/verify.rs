//! Whether a token is what it says.

use rjwt::VerifyingKey;

use super::claim::Claim;
use super::issuer::Signer;
use super::keys::Keys;
use super::token::{Chain, Token, invalid};
use crate::error::{Error, Result};
use crate::txn::Txn;
use crate::value::Link;

/// How far the clock of an issuer may be ahead of ours, in seconds.
const AHEAD_SECONDS_MAX: u64 = 5;
/// Keys of other hosts that one token may need.
const LOOKUPS_MAX: usize = 8;

/// What one token of a chain says, after its signature was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Who says so. An issuer on this host is a path.
    pub signer: Signer,
    pub claims: Vec<Claim>,
}

/// What the tokens of a chain say, the outermost first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    grants: Vec<Grant>,
    expires: u64,
}

impl Verified {
    /// What each token says, the outermost first.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// When the first of the tokens ends, in seconds since the Unix epoch.
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// What is said by one more token, which ends at `expires` and inherits those of `parent`, if there are any. This
    /// host must have signed it itself.
    pub(super) fn signed_here(grant: Grant, expires: u64, parent: Option<&Self>) -> Self {
        let inherited = parent.iter().flat_map(|parent| &parent.grants).cloned();
        Self { grants: std::iter::once(grant).chain(inherited).collect(), expires }
    }
}

/// Verifies a token and all that it inherits at the time `now`, in seconds since the Unix epoch.
///
/// What needs no key is checked first, for the whole chain, so that no other host is asked in vain. The signatures
/// follow, the outermost first.
///
/// # Errors
/// `Unauthorized` if a token is not valid, and what [`Keys::key`] fails with.
pub async fn verify(chain: &Chain, keys: &dyn Keys, now: u64, txn: &Txn) -> Result<Verified> {
    check_times(chain.tokens(), now)?;
    let at_home = |signer: &Signer| Signer { issuer: at_home(&signer.issuer, keys), actor: signer.actor.clone() };
    let signers: Vec<Signer> = chain.tokens().iter().map(|token| at_home(&token.signer)).collect();
    check_lookups(&signers)?;
    let mut found: Vec<(&Signer, VerifyingKey)> = Vec::new();
    for (token, signer) in chain.tokens().iter().zip(&signers) {
        let known = found.iter().find(|(known, _)| *known == signer).map(|(_, key)| *key);
        let key = match known {
            Some(key) => key,
            None => keys.key(signer, token.expires, txn).await?,
        };
        key.verify_strict(token.signed.as_bytes(), &token.signature)
            .map_err(|_| invalid(format_args!("it is not signed by the actor of {} that it names", signer.issuer)))?;
        found.push((signer, key));
    }
    let claims = chain.tokens().iter().map(|token| token.claims.clone());
    let grants = signers.iter().cloned().zip(claims).map(|(signer, claims)| Grant { signer, claims });
    Ok(Verified { grants: grants.collect(), expires: chain.expires() })
}

/// Whether each token is valid now, and ends no later than the one that it inherits.
fn check_times(tokens: &[Token], now: u64) -> Result<()> {
    for token in tokens {
        if token.issued > now.saturating_add(AHEAD_SECONDS_MAX) {
            return Err(Error::unauthorized(format!("token is issued {} seconds from now", token.issued - now)));
        }
        if token.expires <= now {
            return Err(Error::unauthorized("token is expired"));
        }
    }
    match tokens.windows(2).all(|pair| pair[0].expires <= pair[1].expires) {
        true => Ok(()),
        false => Err(invalid("it ends later than the token that it inherits")),
    }
}

/// The same issuer; if it is on this host, by its path alone.
pub(super) fn at_home(issuer: &Link, keys: &dyn Keys) -> Link {
    if keys.is_local(issuer) { Link::local(issuer.path()) } else { issuer.clone() }
}

fn check_lookups(signers: &[Signer]) -> Result<()> {
    let is_remote = |signer: &Signer| signer.issuer.authority().is_some();
    let is_first = |at: usize| !signers[..at].contains(&signers[at]);
    let lookups = (0..signers.len()).filter(|at| is_remote(&signers[*at]) && is_first(*at)).count();
    match lookups <= LOOKUPS_MAX {
        true => Ok(()),
        false => Err(invalid(format_args!("it has more than {LOOKUPS_MAX} signers on other hosts"))),
    }
}

#[cfg(test)]
mod tests;
