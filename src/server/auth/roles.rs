//! What a token says about the transaction: who owns it, and whether it is locked.

use super::claim::Right;
use super::issuer::Signer;
use super::token::invalid;
use super::verify::Verified;
use crate::error::{Error, Result};
use crate::txn::TxnId;

/// The roles in a transaction that a token gives.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Roles {
    /// Who decides whether the transaction is committed.
    pub owner: Option<Signer>,
    /// Whether the owner says that nothing may be added to the transaction.
    pub is_locked: bool,
}

impl Roles {
    /// The roles in the transaction `txn`.
    ///
    /// # Errors
    /// `Unauthorized` if a claim is about another transaction, if there are two owners or two locks, if the lock is not
    /// the owner's, or if an issuer without a path claims anything.
    pub fn of(verified: &Verified, txn: TxnId) -> Result<Self> {
        let (mut owner, mut lock): (Option<&Signer>, Option<&Signer>) = (None, None);
        for grant in verified.grants() {
            if grant.signer.issuer.path().is_empty() && !grant.claims.is_empty() {
                return Err(invalid(format_args!("{} has no path, so it may claim nothing", grant.signer.issuer)));
            }
            for claim in &grant.claims {
                let claimed = claim.txn().map_err(|error| invalid(error.message()))?;
                let Some(claimed) = claimed else { continue };
                if claimed != txn {
                    return Err(invalid(format_args!("it is for the transaction {claimed}, not for {txn}")));
                }
                if claim.mode().lets_user(Right::Execute) && owner.replace(&grant.signer).is_some() {
                    return Err(invalid(format_args!("the transaction {txn} has two owners")));
                }
                if claim.mode().lets_user(Right::Write) && lock.replace(&grant.signer).is_some() {
                    return Err(invalid(format_args!("the transaction {txn} is locked twice")));
                }
            }
        }
        if lock.is_some() && lock != owner {
            return Err(invalid(format_args!("the transaction {txn} is not locked by its owner")));
        }
        Ok(Self { owner: owner.cloned(), is_locked: lock.is_some() })
    }

    /// Checks that a request with these roles may name its transaction by itself. Whoever does not own the transaction
    /// can read an old snapshot in this way, but could otherwise join, or get ahead of, the transactions of others.
    ///
    /// # Errors
    /// `Unauthorized` if the request may write, and nobody owns the transaction.
    pub fn check_named(&self, txn: TxnId, writes: bool) -> Result<()> {
        match writes && self.owner.is_none() {
            false => Ok(()),
            true => Err(Error::unauthorized(format!(
                "txn_id={txn}: only a GET may name a transaction without a token of its owner"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::error::Kind;
    use crate::server::auth::sample::{KnownKeys, NOW, actor, chain, draft, txn};
    use crate::server::auth::token::Chain;
    use crate::server::auth::verify::verify;

    fn of(chain: &Chain) -> Result<Roles> {
        let keys = KnownKeys::default().with("http://other:1/b", &actor(2));
        Roles::of(&block_on(verify(chain, &keys, NOW, &txn())).unwrap(), txn().id)
    }

    fn roles(tokens: &[(&str, &[&str])]) -> Result<Roles> {
        of(&chain(tokens))
    }

    #[track_caller]
    fn refused(tokens: &[(&str, &[&str])], why: &str) {
        let error = roles(tokens).unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthorized);
        assert!(error.message().contains(why), "{error}");
    }

    #[test]
    fn the_owner_and_its_lock_are_found_anywhere_in_the_chain() {
        let owner = Some(Signer { issuer: "/a".parse().unwrap(), actor: actor(1).id() });
        assert_eq!(roles(&[("/a", &["/b:x"])]), Ok(Roles::default()));
        let owned = Ok(Roles { owner: owner.clone(), is_locked: false });
        assert_eq!(roles(&[("/a", &["/txn/5-6:x"]), ("/b", &["/:x"])]), owned);
        assert_eq!(roles(&[("/a", &["/:x", "/txn/5-6:x"])]), owned);
        let locked = Ok(Roles { owner, is_locked: true });
        assert_eq!(roles(&[("/a", &["/txn/5-6:x"]), ("/b", &["/:x"]), ("/a", &["/txn/5-6:w"])]), locked);
        assert_eq!(roles(&[("/a", &["/txn/5-6:wx"])]), locked);
    }

    #[test]
    fn there_is_one_owner_and_one_lock_of_the_same_actor() {
        refused(&[("/a", &["/txn/5-6:x"]), ("/b", &["/txn/5-6:x"])], "two owners");
        refused(&[("/a", &["/txn/5-6:x", "/txn/5-6:x"])], "two owners");
        refused(&[("/a", &["/txn/5-6:x"]), ("/a", &["/txn/5-6:w"]), ("/a", &["/txn/5-6:w"])], "locked twice");
        refused(&[("/a", &["/txn/5-6:w"])], "not locked by its owner");
        refused(&[("/a", &["/txn/5-6:x"]), ("/b", &["/txn/5-6:w"])], "not locked by its owner");

        let owner =
            Chain::decode(&actor(2).sign(&draft("http://other:1/b", &["/txn/5-6:x"], NOW, NOW + 9), None).unwrap());
        let lock = actor(1).sign(&draft("/b", &["/txn/5-6:w"], NOW, NOW + 9), Some(&owner.unwrap())).unwrap();
        assert!(of(&Chain::decode(&lock).unwrap()).unwrap_err().message().contains("not locked by its owner"));
    }

    #[test]
    fn claims_are_about_this_transaction_and_by_somebody() {
        refused(&[("/a", &["/txn/5-7:x"])], "for the transaction 5-7, not for 5-6");
        refused(&[("/a", &["/txn/x:r"])], "is not a transaction id");
        refused(&[("/a", &["/txn:r"])], "/txn/<id>");
        refused(&[("/", &["/a:r"])], "may claim nothing");
        assert!(roles(&[("/", &[])]).is_ok());
    }

    #[test]
    fn only_owners_write_in_transactions_that_they_name() {
        let (id, nobody) = (txn().id, Roles::default());
        assert_eq!(nobody.check_named(id, false), Ok(()));
        assert_eq!(nobody.check_named(id, true).unwrap_err().kind(), Kind::Unauthorized);
        assert_eq!(roles(&[("/a", &["/txn/5-6:x"])]).unwrap().check_named(id, true), Ok(()));
    }
}
