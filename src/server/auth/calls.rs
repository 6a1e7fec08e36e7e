//! What a request may call, and what services add to that while it runs.

use std::fmt;
use std::sync::Arc;

use super::access::{Asked, Operation};
use super::actor::Draft;
use super::claim::{Claim, Mode};
use super::guard::{Auth, Permit};
use super::issuer::Signer;
use super::scope::is_granted;
use super::token::Chain;
use super::verify::{Grant, Verified};
use crate::error::{Error, Result};
use crate::txn::{Access, Granted, Scope, Trust, Txn};
use crate::value::{Id, Link, Verb};

/// Tokens tell the time in whole seconds: one ends up to this much later than the request that it is for.
const SPARE_SECONDS: u64 = 2;

/// The calls of one request, or of a part of it.
pub(super) struct Calls {
    auth: Arc<Auth>,
    permit: Permit,
    txn: Txn,
}

impl Calls {
    /// The calls of the request `txn`, which has this permit from `auth`.
    pub(super) fn new(auth: Arc<Auth>, permit: Permit, txn: Txn) -> Self {
        Self { auth, permit, txn }
    }

    /// A token by which a service grants a scope for what is left of the request.
    fn sign(&self, service: &Link, claim: &Claim) -> Result<Chain> {
        let (now, left) = (self.auth.now(), self.txn.deadline.saturating_duration_since(self.auth.clock.now()));
        let draft = Draft {
            issuer: self.auth.host.join(service.path()),
            claims: vec![claim.clone()],
            issued: now,
            expires: now.saturating_add(left.as_secs()).saturating_add(SPARE_SECONDS),
        };
        let text = self.auth.actor.sign(&draft, self.permit.token.as_ref())?;
        // Others could not read it either.
        Chain::decode(&text).map_err(|error| {
            Error::bad_request(format!("{service} cannot grant {}: {}", claim.path(), error.message()))
        })
    }
}

impl Access for Calls {
    fn check(&self, verb: Verb, path: &[Id], mode: Option<u16>) -> Result<()> {
        if self.permit.is_open() {
            return Ok(());
        }
        let operation = Operation::of(verb, path);
        let invalid = || Error::internal("a mode has nine bits");
        let mode = mode.map_or(Some(Mode::DEFAULT), |bits| Mode::try_new(bits.into())).ok_or_else(invalid)?;
        self.permit.check(&Asked { operation, path, mode, txn: &self.txn, names_txn: false })
    }

    fn check_scope(&self, scope: &Scope<'_>, trusted: &[Trust]) -> Result<()> {
        let (path, service) = (Link::local(scope.path), scope.service);
        match &self.permit.verified {
            Some(verified) if is_granted(verified, scope, trusted, &*self.auth.keys) => Ok(()),
            Some(_) => Err(Error::forbidden(format!(
                "the token does not have the scope {path} from a service that {service} trusts"
            ))),
            None => Err(Error::unauthorized(format!(
                "this needs a token with the scope {path} from a service that {service} trusts"
            ))),
        }
    }

    fn grant(&self, service: &Link, scope: &Link) -> Result<Granted> {
        let claim = Claim::try_new(scope.clone(), Mode::USER)?;
        let chain = self.sign(service, &claim)?;
        let signer = Signer { issuer: Link::local(service.path()), actor: self.auth.actor.id() };
        let grant = Grant { signer, claims: vec![claim] };
        let verified = Verified::signed_here(grant, chain.expires(), self.permit.verified.as_ref());
        let token = Arc::clone(chain.text());
        let permit = self.permit.with(chain, verified);
        let calls = Self { auth: Arc::clone(&self.auth), permit, txn: self.txn.clone() };
        Ok(Granted { token, access: Arc::new(calls) })
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("verified", &self.permit.verified)
            .field("txn", &self.txn.id)
            .finish_non_exhaustive()
    }
}
