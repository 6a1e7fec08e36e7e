//! The table of what is allowed to whom.

use futures::executor::block_on;

use super::*;
use crate::error::Kind;
use crate::server::auth::sample::{KnownKeys, NOW, actor, chain, draft, txn};
use crate::server::auth::token::Chain;
use crate::server::auth::verify::verify;
use crate::value::State;

const OWNER: &str = "/user/admin";
const GROUP: &str = "/user/team";
const SERVICE: &str = "/service/shop/stock/1.0.0/x";

/// The issuer and the claims of each token of a chain.
type Claims<'a> = &'a [(&'a str, &'a [&'a str])];

fn secured() -> Policy {
    let issuer: Link = "http://localhost:1/user/admin".parse().unwrap();
    Policy::new(Some(&Owner { issuer, actor: None }), Some(&path(GROUP)), |link| link.authority().is_some())
}

fn path(text: &str) -> Link {
    text.parse().unwrap()
}

fn operation(verb: Verb, text: &str) -> Operation {
    Operation::of(verb, path(text).path())
}

/// Whether a request is let through by `policy`, with the tokens of `claims`; else the kind of the error.
fn outcome(policy: &Policy, verb: Verb, text: &str, mode: Mode, claims: Claims<'_>) -> Result<(), Kind> {
    let (path, txn) = (path(text), txn());
    let verified = match claims {
        [] => None,
        claims => Some(block_on(verify(&chain(claims), &KnownKeys::default(), NOW, &txn)).unwrap()),
    };
    let operation = Operation::of(verb, path.path());
    let asked = Asked { operation, path: path.path(), mode, txn: &txn, names_txn: false };
    check(policy, &asked, verified.as_ref()).map_err(|error| error.kind())
}

fn secured_outcome(verb: Verb, text: &str, claims: Claims<'_>) -> Result<(), Kind> {
    outcome(&secured(), verb, text, Mode::DEFAULT, claims)
}

const NO_TOKEN: Result<(), Kind> = Err(Kind::Unauthorized);
const NO_SCOPE: Result<(), Kind> = Err(Kind::Forbidden);

#[test]
fn paths_and_verbs_tell_operations_apart() {
    use Operation::{Chain, Common, Install, Library, Replication, ServiceCall, ServiceRead};
    for (verb, text, expected) in [
        (Verb::Get, "/", Common),
        (Verb::Post, "/state/tuple/concatenate", Common),
        (Verb::Put, "/nowhere", Common),
        (Verb::Get, "/lib", Library(Right::Read)),
        (Verb::Put, "/lib", Install),
        (Verb::Put, "/lib/shop/units", Install),
        (Verb::Post, "/lib/shop/units/1.0.0/double", Library(Right::Execute)),
        (Verb::Post, "/class/shop/models/1.0.0/Item", Library(Right::Execute)),
        (Verb::Get, "/service/shop", Library(Right::Read)),
        (Verb::Put, "/service/shop", Install),
        (Verb::Put, "/service/shop/stock", Install),
        (Verb::Post, "/service/shop/stock/grant", ServiceCall(Right::Execute)),
        (Verb::Get, SERVICE, ServiceRead),
        (Verb::Put, SERVICE, ServiceCall(Right::Write)),
        (Verb::Delete, SERVICE, ServiceCall(Right::Write)),
        (Verb::Post, SERVICE, ServiceCall(Right::Execute)),
        (Verb::Get, "/service/shop/stock/1.0.0/x/chain/info", ServiceRead),
        (Verb::Post, "/service/shop/stock/1.0.0/x/chain/compact", Chain),
        (Verb::Post, "/service/shop/stock/1.0.0/x/chain/blocks", ServiceCall(Right::Execute)),
        (Verb::Get, "/lib/shop/replicas", Common),
        (Verb::Put, "/service/replicas", Replication(Right::Write)),
        (Verb::Post, "/lib/shop/units/replicas", Replication(Right::Execute)),
        (Verb::Put, "/service/shop/stock/1.0.0/replicas", ServiceCall(Right::Write)),
    ] {
        assert_eq!(operation(verb, text), expected, "{verb:?} {text}");
    }
}

#[test]
fn an_unsecured_host_lets_everybody_do_all_but_replicate() {
    let policy = Policy::default();
    let anonymous = |verb, text| outcome(&policy, verb, text, Mode::DEFAULT, &[]);
    for verb in [Verb::Get, Verb::Put, Verb::Post, Verb::Delete] {
        for text in ["/state", "/lib/a", "/class/a/b", "/service/a", SERVICE, "/service/a/b/1.0.0/x/chain/purge"] {
            assert_eq!(anonymous(verb, text), Ok(()), "{verb:?} {text}");
        }
    }
    assert_eq!(anonymous(Verb::Get, "/lib/replicas"), Ok(()));
    assert_eq!(anonymous(Verb::Put, "/lib/replicas"), NO_TOKEN);
    assert_eq!(outcome(&policy, Verb::Put, "/lib/replicas", Mode::DEFAULT, &[(GROUP, &["/lib:w"])]), NO_SCOPE);
}

#[test]
fn everybody_reads_a_secured_host_and_calls_its_libraries() {
    for (verb, text) in [
        (Verb::Get, "/state"),
        (Verb::Get, "/lib"),
        (Verb::Post, "/lib/shop/units/1.0.0/double"),
        (Verb::Get, "/service/shop"),
        (Verb::Get, SERVICE),
        (Verb::Get, "/service/shop/replicas"),
    ] {
        assert_eq!(secured_outcome(verb, text, &[]), Ok(()), "{verb:?} {text}");
    }
}

#[test]
fn what_is_not_for_others_takes_a_claim() {
    let private = Mode::try_new(0o770).unwrap();
    let read = |claims: Claims<'_>| outcome(&secured(), Verb::Get, SERVICE, private, claims);
    assert_eq!(read(&[]), NO_TOKEN);
    assert_eq!(read(&[(OWNER, &["/service:wx"])]), NO_SCOPE);
    assert_eq!(read(&[(OWNER, &["/service:r"])]), Ok(()));
    assert_eq!(read(&[(GROUP, &["/service/shop/stock:r"])]), Ok(()));
    let call = |claims: Claims<'_>| outcome(&secured(), Verb::Post, "/lib/a/b/1.0.0/f", private, claims);
    assert_eq!(call(&[]), NO_TOKEN);
    assert_eq!(call(&[(GROUP, &["/lib:x"])]), Ok(()));
}

#[test]
fn services_are_written_with_a_claim_of_the_owner_or_the_group() {
    let put = |claims: Claims<'_>| secured_outcome(Verb::Put, SERVICE, claims);
    assert_eq!(put(&[]), NO_TOKEN);
    for claim in ["/service:w", "/service/shop/stock:w", "/service/shop/stock/1.0.0/x:rwx"] {
        assert_eq!(put(&[(OWNER, &[claim])]), Ok(()), "{claim}");
        assert_eq!(put(&[(GROUP, &[claim])]), Ok(()), "{claim}");
        assert_eq!(put(&[("/user/other", &[claim])]), NO_SCOPE, "{claim}");
        assert_eq!(put(&[("/user/admin/below", &[claim])]), NO_SCOPE, "{claim}");
        // It does not matter where in the chain the claim is.
        assert_eq!(put(&[(OWNER, &[claim]), ("/service/other", &["/:x"])]), Ok(()), "{claim}");
    }
    for claim in ["/service:rx", "/service/shop/stock/1.0.0/y:w", "/lib:w", "/:w"] {
        assert_eq!(put(&[(OWNER, &[claim])]), NO_SCOPE, "{claim}");
    }
    assert_eq!(secured_outcome(Verb::Post, SERVICE, &[(OWNER, &["/service:x"])]), Ok(()));
    assert_eq!(secured_outcome(Verb::Post, SERVICE, &[(OWNER, &["/service:rw"])]), NO_SCOPE);
}

#[test]
fn the_owner_of_a_transaction_calls_services_in_it_if_it_administers_the_host() {
    let post = |claims: Claims<'_>| secured_outcome(Verb::Post, SERVICE, claims);
    assert_eq!(post(&[(OWNER, &["/txn/5-6:x"])]), Ok(()));
    assert_eq!(post(&[("/service/other", &["/txn/5-6:x"])]), NO_SCOPE);
    assert_eq!(secured_outcome(Verb::Put, SERVICE, &[(OWNER, &["/txn/5-6:x"])]), NO_SCOPE);
    assert_eq!(secured_outcome(Verb::Put, "/service/shop", &[(OWNER, &["/txn/5-6:wx"])]), NO_SCOPE);
}

#[test]
fn only_the_owner_installs() {
    for text in ["/lib/shop", "/class/shop/models", "/service/shop/stock"] {
        assert_eq!(secured_outcome(Verb::Put, text, &[]), NO_TOKEN);
        assert_eq!(secured_outcome(Verb::Put, text, &[(OWNER, &["/lib:w", "/class:w", "/service:w"])]), Ok(()));
        assert_eq!(secured_outcome(Verb::Put, text, &[(GROUP, &["/lib:w", "/class:w", "/service:w"])]), NO_SCOPE);
        assert_eq!(secured_outcome(Verb::Put, text, &[(OWNER, &["/lib:rx"])]), NO_SCOPE);
    }
}

#[test]
fn of_those_whom_an_issuer_knows_only_the_one_who_is_named_is_the_owner() {
    let issuer = "http://other:1/user";
    let keys = || KnownKeys::default().with(issuer, &actor(2)).with(issuer, &actor(3));
    let install = |owner: Option<State>, signer: u8| {
        let owner = Owner { issuer: path(issuer), actor: owner };
        let policy = Policy::new(Some(&owner), None, |link| link.authority().is_none());
        let text = actor(signer).sign(&draft(issuer, &["/lib:w"], NOW, NOW + 60), None).unwrap();
        let (txn, path) = (txn(), path("/lib/shop"));
        let verified = block_on(verify(&Chain::decode(&text).unwrap(), &keys(), NOW, &txn)).unwrap();
        let operation = Operation::of(Verb::Put, path.path());
        let asked = Asked { operation, path: path.path(), mode: Mode::DEFAULT, txn: &txn, names_txn: false };
        check(&policy, &asked, Some(&verified)).map_err(|error| error.kind())
    };
    assert_eq!((install(None, 2), install(None, 3)), (Ok(()), Ok(())));
    assert_eq!((install(Some(actor(2).id()), 2), install(Some(actor(2).id()), 3)), (Ok(()), NO_SCOPE));
}

#[test]
fn chains_are_changed_with_a_claim_to_execute() {
    let post = |claims: Claims<'_>| secured_outcome(Verb::Post, "/service/a/b/1.0.0/x/chain/purge", claims);
    assert_eq!(post(&[]), NO_TOKEN);
    assert_eq!(post(&[(OWNER, &["/service/a/b/1.0.0/x/chain/purge:x"])]), Ok(()));
    assert_eq!(post(&[(OWNER, &["/service/a/b/1.0.0/x/chain/compact:x"])]), NO_SCOPE);
    assert_eq!(post(&[(OWNER, &["/txn/5-6:x"])]), NO_SCOPE);
}

#[test]
fn hosts_replicate_with_a_claim_of_the_group() {
    let put = |claims: Claims<'_>| secured_outcome(Verb::Put, "/lib/shop/replicas", claims);
    assert_eq!(put(&[]), NO_TOKEN);
    assert_eq!(put(&[(OWNER, &["/lib:w"])]), NO_SCOPE);
    assert_eq!(put(&[(GROUP, &["/lib/shop:w"])]), Ok(()));
}

#[test]
fn messages_name_the_scope_that_is_needed() {
    let (path, txn) = (path(SERVICE), txn());
    let operation = Operation::ServiceCall(Right::Write);
    let asked = Asked { operation, path: path.path(), mode: Mode::DEFAULT, txn: &txn, names_txn: false };
    let error = check(&secured(), &asked, None).unwrap_err();
    let scope = "the scope [\"/service/shop/stock/1.0.0/x\",128] from the owner or the group of this host";
    assert!(error.message().ends_with(scope), "{error}");
}
