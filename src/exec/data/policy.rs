//! What only chains of some kinds are asked for: to delete what is old, or what there is of a user; and for what was
//! reduced.

use std::sync::Arc;

use super::Worker;
use super::chain::{ordinal, refused, txn_id};
use super::reduce::levels;
use super::upkeep::Job;
use crate::chain::block::Blocks;
use crate::chain::owners::{Owners, Purge};
use crate::chain::policy::Backup;
use crate::chain::{ChainDef, Kind};
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::txn::TxnId;
use crate::value::{Id, Link, Map, Object, State, Table, Tuple};

/// A chain and what it records.
type Chain<'a> = (&'a Arc<ChainDef>, &'a Arc<Table>);

impl Worker<'_> {
    /// Performs a call of what only some kinds of chains have; nothing if this one has not.
    pub(super) async fn policy(
        &self,
        (chain, subject): Chain<'_>,
        name: &str,
        shape: &Shape,
        args: &[State],
    ) -> Result<Option<State>> {
        if let Shape::Post(_) = shape {
            self.check_lasting()?;
        }
        let reply = match (&chain.kind, name, shape, args) {
            (Kind::Backup(backup), "compact", Shape::Post(names), args) => {
                let before = parameter(names, args, "before")?.map(txn_id).transpose()?;
                self.compact((chain, subject), backup, before).await?
            }
            (Kind::Compliant(_), "purge", Shape::Post(names), args) => {
                let missing = || Error::bad_request("expected the parameter owner: the id of a user");
                let owner = parameter(names, args, "owner")?.ok_or_else(missing)?;
                self.purge((chain, subject), owner).await?
            }
            (Kind::Compliant(_), "purges", Shape::Get, _) => self.purges((chain, subject)).await?,
            (Kind::Compliant(_), "owner", Shape::Get, [owner]) => {
                let blocks = Blocks::open(self.txn(), chain, subject).await?;
                let owners = owners(&blocks).await?;
                let held = owners.held(&owners.named(owner)?).await?;
                map([("records", held.records.into()), ("rows", held.rows.into())])?
            }
            (Kind::Reduce(_), "level", Shape::Get, [level]) => {
                let blocks = Blocks::open(self.txn(), chain, subject).await?;
                Box::pin(levels(&blocks).await?.form(ordinal(level)?)).await?
            }
            (Kind::Backup(_), "compact", ..)
            | (Kind::Compliant(_), "purge" | "purges" | "owner", ..)
            | (Kind::Reduce(_), "reduce" | "level", ..) => {
                return Err(refused(subject, &[name.parse()?], shape)?);
            }
            _ => return Ok(None),
        };
        Ok(Some(reply))
    }

    /// Deletes the blocks that are old: `{"deleted": <blocks>, "cutoff": "<transaction>"}`.
    async fn compact(&self, (chain, subject): Chain<'_>, backup: &Backup, before: Option<TxnId>) -> Result<State> {
        let blocks = Blocks::open(self.txn(), chain, subject).await?;
        let compacted = blocks.compact(backup, self.txn().id().timestamp, before).await?;
        self.session.upkeep_after(Job::new(self.txn(), subject, chain));
        let cutoff = compacted.cutoff.map_or(State::NONE, |txn| txn.to_string().into());
        map([("deleted", compacted.deleted.into()), ("cutoff", cutoff)])
    }

    /// Removes what there is of a user: `{"purged": <records>, "txn": "<transaction>"}`.
    async fn purge(&self, (chain, subject): Chain<'_>, owner: &State) -> Result<State> {
        let blocks = Blocks::open(self.txn(), chain, subject).await?;
        let owners = owners(&blocks).await?;
        let owner = owners.named(owner)?;
        let held = owners.purge(&owner, self.session.actor.as_ref()).await?;
        self.session.chains.purge(subject, owner);
        self.session.upkeep_after(Job::new(self.txn(), subject, chain));
        map([("purged", held.records.into()), ("txn", self.txn().id().to_string().into())])
    }

    /// All purges: `[["<transaction>", <records>, {"<host>": <whether its files are rid of them>}], …]`.
    async fn purges(&self, (chain, subject): Chain<'_>) -> Result<State> {
        let blocks = Blocks::open(self.txn(), chain, subject).await?;
        let purges = owners(&blocks).await?.purges().await?;
        if purges.iter().any(|purge| !purge.is_erased) {
            self.session.upkeep_now(Job::new(self.txn(), subject, chain));
        }
        let forms = purges.into_iter().map(|Purge { txn, records, is_erased }| {
            // There is one host, which does not know its name here.
            let hosts = Object::Typed(Link::local(Vec::<Id>::new()), is_erased.into());
            Ok(Tuple::try_new(vec![txn.into(), records.into(), hosts.into()])?.into())
        });
        Ok(Tuple::try_new(forms.collect::<Result<Vec<State>>>()?)?.into())
    }
}

async fn owners<'a>(blocks: &'a Blocks<'a>) -> Result<Owners<'a>> {
    Owners::open(blocks).await?.ok_or_else(|| Error::internal("a chain without owners"))
}

/// The only parameter that a method has, if it is given.
fn parameter<'a>(names: &[Id], args: &'a [State], name: &str) -> Result<Option<&'a State>> {
    match (names, args) {
        ([], _) => Ok(None),
        ([given], [value]) if given.as_str() == name => Ok(Some(value)),
        _ => Err(Error::bad_request(format!("expected no other parameter than {name}"))),
    }
}

fn map<const N: usize>(entries: [(&'static str, State); N]) -> Result<State> {
    Ok(Map::try_new(entries.map(|(name, value)| (Id::from(name), value)))?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_has_one_parameter() {
        let (names, args) = (["before", "owner"].map(Id::from), ["1-2", "ann"].map(State::from));
        assert_eq!(parameter(&[], &[], "before"), Ok(None));
        assert_eq!(parameter(&names[..1], &args[..1], "before"), Ok(Some(&args[0])));
        assert!(parameter(&names[..1], &args[..1], "owner").is_err());
        assert!(parameter(&names, &args, "before").is_err());
    }
}
