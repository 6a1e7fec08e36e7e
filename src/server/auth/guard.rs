//! The guard of a host: reads who asks, and lets them in or not.

use std::sync::Arc;

use super::access::{Asked, Operation, Policy, check};
use super::actor::HostActor;
use super::claim::Mode;
use super::keys::Keys;
use super::roles::Roles;
use super::token::Chain;
use super::verify::{Verified, verify};
use crate::env::Clock;
use crate::error::{Error, Result};
use crate::txn::{Access, Txn};
use crate::value::{Id, State, Verb};

/// Decides what requests may do.
pub struct Auth {
    policy: Arc<Policy>,
    actor: Arc<HostActor>,
    keys: Box<dyn Keys>,
    clock: Arc<dyn Clock>,
}

/// What a request may do, as far as its token says.
#[derive(Clone, Debug, Default)]
pub struct Permit {
    policy: Arc<Policy>,
    verified: Option<Verified>,
    roles: Roles,
}

impl Auth {
    /// The guard of the host whose actor is `actor`.
    pub fn new(policy: Policy, actor: Arc<HostActor>, keys: Box<dyn Keys>, clock: Arc<dyn Clock>) -> Self {
        Self { policy: Arc::new(policy), actor, keys, clock }
    }

    /// The actor that signs what this host says.
    pub fn actor(&self) -> &HostActor {
        &self.actor
    }

    /// Verifies the token of a request, if it has one, and checks that the request may do what it asks for. A token
    /// that is not valid is an error also where none is needed.
    ///
    /// # Errors
    /// `Unauthorized` if the token is not valid, or there is none and one is needed; `Forbidden` if the token does not
    /// suffice; and what [`Keys::key`] fails with.
    pub async fn admit(&self, token: Option<&Chain>, asked: &Asked<'_>) -> Result<Permit> {
        let mut permit = Permit { policy: Arc::clone(&self.policy), ..Permit::default() };
        if let Some(chain) = token {
            let now = self.clock.unix_nanos() / 1_000_000_000;
            let verified = Box::pin(verify(chain, &*self.keys, now, asked.txn)).await?;
            permit.roles = Roles::of(&verified, asked.txn.id)?;
            permit.verified = Some(verified);
        }
        if asked.names_txn {
            permit.roles.check_named(asked.txn.id, asked.operation.writes())?;
        }
        permit.check(asked)?;
        Ok(permit)
    }
}

impl Permit {
    /// Checks that whoever has this permit may do what is asked.
    ///
    /// # Errors
    /// `Unauthorized` if there is no token and one is needed, `Forbidden` if the token does not suffice.
    pub fn check(&self, asked: &Asked<'_>) -> Result<()> {
        check(&self.policy, asked, self.verified.as_ref())
    }

    /// What the request itself may call on this host; nothing where everybody may call everything.
    pub fn access(self, txn: &Txn) -> Option<Arc<dyn Access>> {
        if !self.policy.is_secured() {
            return None;
        }
        Some(Arc::new(Calls { permit: self, txn: txn.clone() }))
    }

    /// Whose the request is: the user that the oldest token names, if there is one.
    ///
    /// # Errors
    /// As [`Signer::user`](super::issuer::Signer::user).
    pub fn user(&self) -> Result<Option<State>> {
        let oldest = self.verified.as_ref().and_then(|verified| verified.grants().last());
        oldest.map(|grant| grant.signer.user()).transpose()
    }

    /// The roles in the transaction that the token gives.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// What the token says, if there is one.
    pub fn verified(&self) -> Option<&Verified> {
        self.verified.as_ref()
    }
}

/// The calls of one request.
#[derive(Debug)]
struct Calls {
    permit: Permit,
    txn: Txn,
}

impl Access for Calls {
    fn check(&self, verb: Verb, path: &[Id], mode: Option<u16>) -> Result<()> {
        let operation = Operation::of(verb, path);
        let invalid = || Error::internal("a mode has nine bits");
        let mode = mode.map_or(Some(Mode::DEFAULT), |bits| Mode::try_new(bits.into())).ok_or_else(invalid)?;
        self.permit.check(&Asked { operation, path, mode, txn: &self.txn, names_txn: false })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures::executor::block_on;

    use super::*;
    use crate::error::Kind;
    use crate::server::auth::issuer::Signer;
    use crate::server::auth::sample::{KnownKeys, NOW, actor, chain, draft, txn};
    use crate::value::Link;

    #[derive(Debug)]
    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Instant {
            Instant::now()
        }

        fn unix_nanos(&self) -> u64 {
            NOW * 1_000_000_000
        }
    }

    fn auth(owner: Option<&str>) -> Auth {
        let owner: Option<Link> = owner.map(|owner| owner.parse().unwrap());
        let policy = Policy::new(owner.as_ref(), None, |link| link.authority().is_none());
        Auth::new(policy, Arc::new(actor(1)), Box::new(KnownKeys::default()), Arc::new(Stopped))
    }

    fn admit(auth: &Auth, token: Option<&Chain>, verb: Verb, path: &str, names_txn: bool) -> Result<Permit> {
        let (path, txn): (Link, _) = (path.parse().unwrap(), txn());
        let operation = Operation::of(verb, path.path());
        let asked = Asked { operation, path: path.path(), mode: Mode::DEFAULT, txn: &txn, names_txn };
        block_on(auth.admit(token, &asked))
    }

    #[test]
    fn a_token_is_verified_also_where_none_is_needed() {
        let expired = actor(1).sign(&draft("/a", &[], 0, 1), None).unwrap();
        let expired = Chain::decode(&expired).unwrap();
        for auth in [auth(None), auth(Some("/user/admin"))] {
            assert!(admit(&auth, None, Verb::Get, "/state", false).is_ok());
            assert!(admit(&auth, Some(&chain(&[("/a", &[])])), Verb::Get, "/state", false).is_ok());
            let error = admit(&auth, Some(&expired), Verb::Get, "/state", false).unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::Unauthorized, "token is expired"));
        }
    }

    #[test]
    fn a_permit_is_also_asked_about_what_the_request_calls() {
        let auth = auth(Some("/user/admin"));
        let token = chain(&[("/user/admin", &["/service/a:w"])]);
        let permit = admit(&auth, Some(&token), Verb::Put, "/service/a/b/1.0.0/x", false).unwrap();
        let other: Link = "/service/b/b/1.0.0/x".parse().unwrap();
        assert!(permit.verified().is_some());
        let access = permit.access(&txn()).unwrap();
        let call = |verb| access.check(verb, other.path(), None).map_err(|error| error.kind());
        assert_eq!(call(Verb::Get), Ok(()));
        assert_eq!(call(Verb::Put), Err(Kind::Forbidden));
    }

    #[test]
    fn a_request_is_that_of_the_oldest_token() {
        let auth = auth(None);
        assert_eq!(admit(&auth, None, Verb::Get, "/state", false).unwrap().user(), Ok(None));
        let ann = Signer { issuer: "/user/ann".parse().unwrap(), actor: actor(1).id() };
        let own = chain(&[("/user/ann", &[])]);
        let passed_on = chain(&[("http://localhost/user/ann", &[]), ("/service/a", &[])]);
        for token in [own, passed_on] {
            let permit = admit(&auth, Some(&token), Verb::Get, "/state", false).unwrap();
            assert_eq!(permit.user(), Ok(Some(ann.user().unwrap())));
        }
    }

    #[test]
    fn transactions_are_named_by_their_owners_and_by_readers() {
        let auth = auth(None);
        let service = "/service/a/b/1.0.0/x";
        assert!(admit(&auth, None, Verb::Get, service, true).is_ok());
        assert!(admit(&auth, None, Verb::Post, "/state/tuple/concatenate", true).is_ok());
        assert!(admit(&auth, None, Verb::Put, service, false).is_ok());
        assert_eq!(admit(&auth, None, Verb::Put, service, true).unwrap_err().kind(), Kind::Unauthorized);
        let owner = chain(&[("/service/c", &["/txn/5-6:x"])]);
        let permit = admit(&auth, Some(&owner), Verb::Put, service, true).unwrap();
        assert!(permit.roles().owner.is_some() && !permit.roles().is_locked);
    }
}
