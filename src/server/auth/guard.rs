//! The guard of a host: reads who asks, and what they may do.

use std::fmt;
use std::sync::Arc;

use super::access::{Asked, Policy, check};
use super::actor::HostActor;
use super::calls::Calls;
use super::keys::Keys;
use super::roles::Roles;
use super::token::Chain;
use super::verify::{Verified, verify};
use crate::env::Clock;
use crate::error::Result;
use crate::txn::{Access, Txn};
use crate::value::{Link, State};

/// Decides what requests may do.
pub struct Auth {
    policy: Arc<Policy>,
    pub(super) actor: Arc<HostActor>,
    pub(super) keys: Box<dyn Keys>,
    pub(super) clock: Arc<dyn Clock>,
    /// What others know this host by.
    pub(super) host: Link,
}

/// What a request may do, as far as its token says.
#[derive(Clone, Debug, Default)]
pub struct Permit {
    policy: Arc<Policy>,
    pub(super) token: Option<Chain>,
    pub(super) verified: Option<Verified>,
    roles: Roles,
}

impl Auth {
    /// The guard of the host whose actor is `actor`, and which others know by the link `host`.
    pub fn new(policy: Policy, actor: Arc<HostActor>, keys: Box<dyn Keys>, clock: Arc<dyn Clock>, host: Link) -> Self {
        Self { policy: Arc::new(policy), actor, keys, clock, host }
    }

    /// The actor that signs what this host says.
    pub fn actor(&self) -> &HostActor {
        &self.actor
    }

    /// The time, in seconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.unix_nanos() / 1_000_000_000
    }

    /// Verifies the token of a request, if it has one. A token that is not valid is an error also where none is needed.
    /// Whether it suffices for what is asked is up to [`Permit::check`].
    ///
    /// # Errors
    /// `Unauthorized` if the token is not valid, or the request names a transaction that is not its own; and what
    /// [`Keys::key`] fails with.
    pub async fn identify(&self, token: Option<&Chain>, asked: &Asked<'_>) -> Result<Permit> {
        let mut permit = Permit { policy: Arc::clone(&self.policy), token: token.cloned(), ..Permit::default() };
        if let Some(chain) = token {
            let verified = Box::pin(verify(chain, &*self.keys, self.now(), asked.txn)).await?;
            permit.roles = Roles::of(&verified, asked.txn.id)?;
            permit.verified = Some(verified);
        }
        if asked.names_txn {
            permit.roles.check_named(asked.txn.id, asked.operation.writes())?;
        }
        Ok(permit)
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("policy", &self.policy).field("actor", &self.actor).finish_non_exhaustive()
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

    /// What the request `txn` may call, which `auth` has identified.
    pub fn access(self, auth: &Arc<Auth>, txn: &Txn) -> Arc<dyn Access> {
        Arc::new(Calls::new(Arc::clone(auth), self, txn.clone()))
    }

    /// The same permit with another token, which inherits that of this one.
    pub(super) fn with(&self, token: Chain, verified: Verified) -> Self {
        Self { token: Some(token), verified: Some(verified), ..self.clone() }
    }

    /// Whether anybody may call anything.
    pub(super) fn is_open(&self) -> bool {
        !self.policy.is_secured()
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

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::env::ManualClock;
    use crate::error::Kind;
    use crate::server::auth::access::Operation;
    use crate::server::auth::claim::{Claim, Mode};
    use crate::server::auth::issuer::Signer;
    use crate::server::auth::owner::owner;
    use crate::server::auth::sample::{KnownKeys, NOW, actor, chain, draft, txn};
    use crate::txn::{Scope, Trust};
    use crate::value::Verb;

    fn auth(of: Option<&str>) -> Arc<Auth> {
        let of = of.map(|text| owner(text).unwrap());
        let policy = Policy::new(of.as_ref(), None, |link| link.authority().is_none());
        let (keys, host) = (Box::new(KnownKeys::default()), "http://localhost:1".parse().unwrap());
        let clock = Arc::new(ManualClock::at(NOW * 1_000_000_000));
        Arc::new(Auth::new(policy, Arc::new(actor(1)), keys, clock, host))
    }

    fn admit(auth: &Auth, token: Option<&Chain>, verb: Verb, path: &str, names_txn: bool) -> Result<Permit> {
        let (path, txn): (Link, _) = (path.parse().unwrap(), txn());
        let operation = Operation::of(verb, path.path());
        let asked = Asked { operation, path: path.path(), mode: Mode::DEFAULT, txn: &txn, names_txn };
        let permit = block_on(auth.identify(token, &asked))?;
        permit.check(&asked).map(|()| permit)
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
        let access = permit.access(&auth, &txn());
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
    fn what_a_service_grants_counts_where_it_is_trusted() {
        let till: Link = "/service/till".parse().unwrap();
        let (bank, scope): (Link, Link) = ("/service/bank".parse().unwrap(), "/debit".parse().unwrap());
        let trusted = [Trust { issuer: till.clone(), scopes: vec![scope.clone()] }];
        let asked = Scope { service: &bank, path: scope.path(), verb: Some(Verb::Post) };
        let token = chain(&[("/user/ann", &["/service/till:x"])]);
        for (owner, token) in [(None, None), (None, Some(&token)), (Some("/user/admin"), Some(&token))] {
            let auth = auth(owner);
            let access = admit(&auth, token, Verb::Get, "/state", false).unwrap().access(&auth, &txn());
            let refused = access.check_scope(&asked, &trusted).unwrap_err();
            assert_eq!(refused.kind(), if token.is_some() { Kind::Forbidden } else { Kind::Unauthorized });
            assert!(
                refused.message().contains("the scope /debit from a service that /service/bank trusts"),
                "{refused}"
            );

            let granted = access.grant(&till, &scope).unwrap();
            assert_eq!(granted.access.check_scope(&asked, &trusted), Ok(()));
            assert_eq!(granted.access.check_scope(&asked, &[]).unwrap_err().kind(), Kind::Forbidden);
            // Others believe it as well: it is signed by this host, and inherits what there was.
            let chain = Chain::decode(&granted.token).unwrap();
            assert_eq!(chain.tokens().len(), 1 + usize::from(token.is_some()));
            let issuer = chain.tokens()[0].signer.issuer.to_string();
            assert_eq!(issuer, "http://localhost:1/service/till");
            assert_eq!(chain.tokens()[0].claims, ["/debit:rwx".parse::<Claim>().unwrap()]);
            assert!(chain.expires() > NOW);
            let again = admit(&auth, Some(&chain), Verb::Get, "/state", false).unwrap().access(&auth, &txn());
            assert_eq!(again.check_scope(&asked, &trusted), Ok(()));
        }
    }

    #[test]
    fn what_is_granted_is_no_permission_of_the_owner() {
        let auth = auth(Some("/user/admin"));
        let token = chain(&[("/user/admin", &["/lib:w"])]);
        let access = admit(&auth, Some(&token), Verb::Put, "/lib", false).unwrap().access(&auth, &txn());
        let granted = access.grant(&"/service/till".parse().unwrap(), &"/debit".parse().unwrap()).unwrap();
        let put = |path: &str| {
            let path: Link = path.parse().unwrap();
            granted.access.check(Verb::Put, path.path(), None).map_err(|error| error.kind())
        };
        assert_eq!((put("/lib/a"), put("/service/till/1.0.0/debit")), (Ok(()), Err(Kind::Forbidden)));
    }

    #[test]
    fn grants_within_grants_come_to_an_end() {
        let auth = auth(None);
        let (till, scope): (Link, Link) = ("/service/till".parse().unwrap(), "/debit".parse().unwrap());
        let mut access = admit(&auth, None, Verb::Get, "/state", false).unwrap().access(&auth, &txn());
        let refused = (0..100).find_map(|_| match access.grant(&till, &scope) {
            Ok(granted) => {
                access = granted.access;
                None
            }
            Err(error) => Some(error),
        });
        let refused = refused.unwrap();
        assert_eq!(refused.kind(), Kind::BadRequest, "{refused}");
        assert!(refused.message().starts_with("/service/till cannot grant /debit: "), "{refused}");
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
