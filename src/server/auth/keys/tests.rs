//! Which hosts are asked for keys, and how often.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::executor::block_on;

use super::*;
use crate::env::ManualClock;
use crate::server::auth::sample::{NOW, actor, txn};

/// The other hosts, of which each knows the same reply to everything.
struct Others {
    reply: Result<State>,
    calls: AtomicUsize,
}

impl Gateway for Others {
    fn is_local(&self, authority: &Authority) -> bool {
        &*authority.host == "localhost"
    }

    fn call<'a>(&'a self, txn: &'a Txn, _link: &'a Link, args: RemoteArgs) -> BoxFuture<'a, Result<State>> {
        async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            assert!(matches!(args, RemoteArgs::Get(_)));
            assert!(txn.token.is_none());
            assert!(txn.deadline <= Instant::now() + LOOKUP_TIME);
            self.reply.clone()
        }
        .boxed()
    }
}

struct Setting {
    ring: KeyRing,
    others: Arc<Others>,
    clock: Arc<ManualClock>,
}

/// A host that trusts `http://peer:1`, which replies with `reply`.
fn setting(reply: Result<State>) -> Setting {
    let others = Arc::new(Others { reply, calls: AtomicUsize::new(0) });
    let clock = Arc::new(ManualClock::at(NOW * 1_000_000_000));
    let gateway: Arc<dyn Gateway> = Arc::clone(&others) as Arc<dyn Gateway>;
    let timer: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let trusted: Link = "http://peer:1/user".parse().unwrap();
    let ring = KeyRing::new(Arc::new(actor(1)), gateway, timer, [&trusted]);
    Setting { ring, others, clock }
}

impl Setting {
    fn key(&self, issuer: &str, actor: State) -> Result<VerifyingKey> {
        let signer = Signer { issuer: issuer.parse().unwrap(), actor };
        block_on(self.ring.key(&signer, NOW + 60, &txn()))
    }

    fn calls(&self) -> usize {
        self.others.calls.load(Ordering::Relaxed)
    }
}

fn base64(actor: &HostActor) -> State {
    State::from(BASE64.encode(actor.public_key().as_bytes()))
}

#[test]
fn the_host_knows_its_own_key_without_asking() {
    let setting = setting(Ok(State::NONE));
    assert_eq!(setting.key("/user/admin", actor(1).id()), Ok(actor(1).public_key()));
    assert_eq!(setting.key("/user/admin", actor(2).id()).unwrap_err().kind(), Kind::Unauthorized);
    assert_eq!(setting.key("/user/admin", "alice".into()).unwrap_err().kind(), Kind::Unauthorized);
    assert_eq!(setting.calls(), 0);
    for (issuer, is_local) in [("/a", true), ("http://localhost:1/a", true), ("http://peer:1/a", false)] {
        assert_eq!(setting.ring.is_local(&issuer.parse().unwrap()), is_local, "{issuer}");
    }
}

#[test]
fn a_key_is_asked_for_once_while_the_token_is_valid() {
    let setting = setting(Ok(base64(&actor(2))));
    for _ in 0..3 {
        assert_eq!(setting.key("http://peer:1/any/path", actor(2).id()), Ok(actor(2).public_key()));
    }
    assert_eq!(setting.calls(), 1);
    assert_eq!(setting.key("http://peer:1/any/path", "bob".into()), Ok(actor(2).public_key()));
    assert_eq!(setting.key("http://peer:1/another", "bob".into()), Ok(actor(2).public_key()));
    assert_eq!(setting.calls(), 3);
    setting.clock.advance(Duration::from_secs(60));
    assert!(setting.key("http://peer:1/any/path", actor(2).id()).is_ok());
    assert_eq!(setting.calls(), 4);
}

#[test]
fn only_hosts_that_are_named_are_asked() {
    let setting = setting(Ok(base64(&actor(2))));
    for issuer in ["http://peer:2/a", "http://other:1/a", "https://peer:1/a", "http://10.0.0.1/a"] {
        let error = setting.key(issuer, actor(2).id()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthorized, "{issuer}");
        assert!(error.message().contains("does not trust"), "{error}");
    }
    assert_eq!(setting.calls(), 0);
}

#[test]
fn a_key_that_names_an_actor_is_its_only_key() {
    let refused = setting(Ok(base64(&actor(3)))).key("http://peer:1/a", actor(2).id()).unwrap_err();
    assert_eq!(refused.kind(), Kind::Unauthorized);
    let bytes = setting(Ok(actor(2).id())).key("http://peer:1/a", actor(2).id());
    assert_eq!(bytes, Ok(actor(2).public_key()));
    for reply in [State::NONE, State::from("x"), State::from(5_i64), State::from(BASE64.encode([1_u8; 31]))] {
        assert!(setting(Ok(reply)).key("http://peer:1/a", "bob".into()).is_err());
    }
}

#[test]
fn failures_are_those_of_the_token_or_of_the_network() {
    for (given, seen) in [
        (Kind::NotFound, Kind::Unauthorized),
        (Kind::NotImplemented, Kind::Unauthorized),
        (Kind::Timeout, Kind::BadGateway),
        (Kind::BadGateway, Kind::BadGateway),
    ] {
        let setting = setting(Err(Error::new(given, "no")));
        let error = setting.key("http://peer:1/a", "bob".into()).unwrap_err();
        assert_eq!(error.kind(), seen);
        assert!(error.message().contains("http://peer:1/a: no"), "{error}");
        // What failed is asked again.
        assert!(setting.key("http://peer:1/a", "bob".into()).is_err());
        assert_eq!(setting.calls(), 2);
    }
}
