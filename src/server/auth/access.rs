//! What an operation needs, and whether somebody who may give it has given it.
//!
//! A host without an owner lets everybody do everything, except for what only hosts do to each other. A host with an
//! owner lets everybody do what the mode of a resource gives to others; anything else takes a claim of the owner or the
//! group.

use super::claim::{Claim, Mode, Right};
use super::issuer::{Signer, is_same_issuer};
use super::owner::Owner;
use super::verify::Verified;
use crate::error::{Error, Result};
use crate::txn::Txn;
use crate::value::{Id, Link, Verb, Version};

/// The operations on a chain that change what it keeps.
const CHAIN_OPERATIONS: [&str; 3] = ["compact", "purge", "reduce"];

/// A kind of operation, by what it needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// What is on every host: `/state`, the fixed endpoints, public keys, lists of replicas.
    Common,
    /// A program that is not committed. What it calls is asked for by itself.
    Hypothetical,
    /// A directory is listed, or a library or class is read or called.
    Library(Right),
    ServiceRead,
    /// A service is written or called.
    ServiceCall(Right),
    /// A directory gets an entry, or a library, class or service is installed.
    Install,
    /// What a chain keeps is changed.
    Chain,
    /// One host tells another about replicas.
    Replication(Right),
}

impl Operation {
    /// The operation of a request for a path which is not one of the fixed endpoints.
    pub fn of(verb: Verb, path: &[Id]) -> Self {
        let right = Right::of(verb);
        let names: Vec<&str> = path.iter().map(Id::as_str).collect();
        let is_service = match names.first() {
            Some(&"service") => true,
            Some(&"class" | &"lib") => false,
            _ => return Operation::Common,
        };
        // What is above a version is a directory or an item, both of which have replicas.
        let is_versioned = names.iter().any(|name| name.parse::<Version>().is_ok());
        match (names.as_slice(), right) {
            ([.., "replicas"], Right::Read) if !is_versioned => Operation::Common,
            ([.., "replicas"], _) if !is_versioned => Operation::Replication(right),
            ([.., "chain", operation], Right::Execute) if is_service && CHAIN_OPERATIONS.contains(operation) => {
                Operation::Chain
            }
            (_, Right::Read) if is_service && is_versioned => Operation::ServiceRead,
            (_, Right::Read) => Operation::Library(right),
            (_, Right::Write) if is_service && is_versioned => Operation::ServiceCall(right),
            (_, Right::Write) => Operation::Install,
            (_, Right::Execute) if is_service => Operation::ServiceCall(right),
            (_, Right::Execute) => Operation::Library(right),
        }
    }

    /// Whether this can change anything that lasts.
    pub fn writes(self) -> bool {
        match self {
            Operation::Common | Operation::Hypothetical | Operation::ServiceRead => false,
            Operation::Library(right) | Operation::ServiceCall(right) | Operation::Replication(right) => {
                right != Right::Read
            }
            Operation::Install | Operation::Chain => true,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub operation: Operation,
    /// The path of the resource, in full.
    pub path: &'a [Id],
    /// The mode of the resource, or [`Mode::DEFAULT`].
    pub mode: Mode,
    pub txn: &'a Txn,
    /// Whether the request itself names its transaction.
    pub names_txn: bool,
}

/// Who may give permissions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Giver {
    Owner,
    OwnerOrGroup,
    Group,
}

impl Giver {
    fn describe(self) -> &'static str {
        match self {
            Giver::Owner => "the owner of this host",
            Giver::OwnerOrGroup => "the owner or the group of this host",
            Giver::Group => "the group of this host",
        }
    }
}

/// Who administers a host. It is secured if it has an owner.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    owner: Option<Owner>,
    group: Option<Link>,
}

impl Policy {
    /// The policy of a host with these administrators. Links to this host must be paths, as `is_local` says.
    pub fn new(owner: Option<&Owner>, group: Option<&Link>, is_local: impl Fn(&Link) -> bool) -> Self {
        let at_home = |link: &Link| if is_local(link) { Link::local(link.path()) } else { link.clone() };
        let owner = owner.map(|owner| Owner { issuer: at_home(&owner.issuer), actor: owner.actor.clone() });
        Self { owner, group: group.map(at_home) }
    }

    /// Whether this host asks for permissions.
    pub fn is_secured(&self) -> bool {
        self.owner.is_some()
    }

    fn is_giver(&self, giver: Giver, signer: &Signer) -> bool {
        let is_owner = || self.owner.as_ref().is_some_and(|owner| owner.is(signer));
        let is_group = || self.group.as_ref().is_some_and(|group| is_same_issuer(group, &signer.issuer));
        match giver {
            Giver::Owner => is_owner(),
            Giver::OwnerOrGroup => is_owner() || is_group(),
            Giver::Group => is_group(),
        }
    }
}

/// Checks that a host with this policy lets somebody with these claims do what is asked.
///
/// # Errors
/// `Unauthorized` if a token is needed and there is none, `Forbidden` if there is one that does not suffice.
pub fn check(policy: &Policy, asked: &Asked<'_>, verified: Option<&Verified>) -> Result<()> {
    let (right, giver) = match asked.operation {
        Operation::Common | Operation::Hypothetical => return Ok(()),
        Operation::Replication(right) => (right, Giver::Group),
        _ if !policy.is_secured() => return Ok(()),
        Operation::Library(right) if asked.mode.lets_others(right) => return Ok(()),
        Operation::ServiceRead if asked.mode.lets_others(Right::Read) => return Ok(()),
        Operation::Library(right) | Operation::ServiceCall(right) => (right, Giver::OwnerOrGroup),
        Operation::ServiceRead => (Right::Read, Giver::OwnerOrGroup),
        Operation::Install => (Right::Write, Giver::Owner),
        Operation::Chain => (Right::Execute, Giver::OwnerOrGroup),
    };
    let needed = Claim::try_new(Link::local(asked.path), Mode::of_user(right))?;
    match verified {
        Some(verified) if is_given(policy, giver, right, asked, verified) => Ok(()),
        Some(_) => Err(Error::forbidden(format!("the token has no scope {needed} from {}", giver.describe()))),
        None => {
            Err(Error::unauthorized(format!("this needs a token with the scope {needed} from {}", giver.describe())))
        }
    }
}

fn is_given(policy: &Policy, giver: Giver, right: Right, asked: &Asked<'_>, verified: &Verified) -> bool {
    // Within its transaction, an owner need not say which services it calls.
    let is_call = matches!(asked.operation, Operation::ServiceCall(_));
    let is_for_txn = |claim: &Claim| is_call && claim.txn() == Ok(Some(asked.txn.id));
    verified.grants().iter().filter(|grant| policy.is_giver(giver, &grant.signer)).any(|grant| {
        grant.claims.iter().any(|claim| {
            claim.mode().lets_user(right) && (claim.covers(&grant.signer.issuer, asked.path) || is_for_txn(claim))
        })
    })
}

#[cfg(test)]
mod tests;
