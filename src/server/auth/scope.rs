//! Scopes that services grant while they call others, which trust them with that.
//!
//! A service grants a scope by a token of its own, which inherits that of the request. What the scope means is up to the
//! service that is called: there it is a path below that service, by which its methods are called, too.

use super::claim::{Claim, Right};
use super::issuer::is_same_issuer;
use super::keys::Keys;
use super::verify::{Verified, at_home};
use crate::txn::{Scope, Trust};

/// Whether one of `trusted` has granted a scope, or one above it, which it is trusted with.
pub fn is_granted(verified: &Verified, scope: &Scope<'_>, trusted: &[Trust], keys: &dyn Keys) -> bool {
    let may_grant = |trust: &&Trust| trust.scopes.iter().any(|trusted| scope.path.starts_with(trusted.path()));
    trusted.iter().filter(may_grant).any(|trust| {
        let issuer = at_home(&trust.issuer, keys);
        let grants = verified.grants().iter().filter(|grant| is_same_issuer(&grant.signer.issuer, &issuer));
        grants.flat_map(|grant| &grant.claims).any(|claim| covers(claim, scope))
    })
}

fn covers(claim: &Claim, scope: &Scope<'_>) -> bool {
    let is_about = claim.scope_of(scope.service.path()).is_some_and(|claimed| scope.path.starts_with(claimed));
    let lets = |right: Right| claim.mode().lets_user(right);
    is_about
        && match scope.verb {
            Some(verb) => lets(Right::of(verb)),
            None => lets(Right::Read) || lets(Right::Write) || lets(Right::Execute),
        }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::server::auth::sample::{KnownKeys, NOW, chain, txn};
    use crate::server::auth::verify::verify;
    use crate::value::{Link, Verb};

    fn link(text: &str) -> Link {
        text.parse().unwrap()
    }

    /// Whether the claims of `/service/till` let somebody do this at the bank, which trusts `issuer` with `scopes`.
    fn granted(claims: &[&str], path: &str, verb: Option<Verb>, issuer: &str, scopes: &[&str]) -> bool {
        let keys = KnownKeys::default();
        let token = chain(&[("/user/ann", &["/service/till:x"]), ("/service/till", claims)]);
        let verified = block_on(verify(&token, &keys, NOW, &txn())).unwrap();
        let trust = Trust { issuer: link(issuer), scopes: scopes.iter().map(|scope| link(scope)).collect() };
        let (service, path) = (link("/service/bank"), link(path));
        is_granted(&verified, &Scope { service: &service, path: path.path(), verb }, &[trust], &keys)
    }

    #[test]
    fn a_scope_is_granted_by_whom_the_service_trusts_with_it() {
        let is = |claim: &str, path: &str| granted(&[claim], path, None, "/service/till", &["/debit", "/admin/list"]);
        assert!(is("/debit:x", "/debit"));
        assert!(is("/debit:r", "/debit/small"));
        assert!(is("/admin:x", "/admin/list"));
        assert!(is("/service/bank/debit:x", "/debit"));
        assert!(!is("/admin:x", "/admin"));
        assert!(!is("/debit/small:x", "/debit"));
        assert!(!is("/credit:x", "/credit"));
        assert!(!is("/:x", "/debit"));
        assert!(!is("/service/other/debit:x", "/debit"));
    }

    #[test]
    fn an_issuer_is_the_same_by_its_path_and_by_the_name_of_this_host() {
        let is = |issuer: &str| granted(&["/debit:x"], "/debit", None, issuer, &["/debit"]);
        assert!(is("/service/till") && is("http://localhost:1/service/till"));
        assert!(!is("http://other:1/service/till") && !is("/service/bank") && !is("/user/ann"));
    }

    #[test]
    fn a_scope_says_how_it_is_called() {
        let is = |claim: &str, verb| granted(&[claim], "/debit", Some(verb), "/service/till", &["/debit"]);
        assert!(is("/debit:x", Verb::Post) && is("/debit:w", Verb::Put) && is("/debit:r", Verb::Get));
        assert!(!is("/debit:rw", Verb::Post) && !is("/debit:rx", Verb::Delete));
    }
}
