//! Chains of services: what they record, also as it was, and the records. What only some kinds have is in
//! [`super::policy`].
//!
//! That blocks follow each other is checked when the host starts, or when their history is first asked for. A history
//! that is broken is shown to nobody, but for what `chain/verify` says of it; the subject is still read and written,
//! and what is written is recorded after the last block, because none of that makes it worse.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{debug, warn};

use super::cluster::unsupported;
use super::reductions::Reductions;
use super::upkeep::{Job, Upkeep};
use super::{Session, Worker};
use crate::chain::block::{BLOCK_BYTES, Blocks, Open};
use crate::chain::compliant::Author;
use crate::chain::record::{self, cast_value, value_key, value_row};
use crate::chain::replay::replay;
use crate::chain::{ChainDef, Kind, Subject};
use crate::compiler::methods::Shape;
use crate::env::Clock;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::exec::call::{Invocation, invoke};
use crate::exec::unit::Site;
use crate::storage::Transaction;
use crate::txn::TxnId;
use crate::value::collection::{Bound, Condition, View};
use crate::value::{Collection, Id, Link, Map, Object, State, Table, TreeId, Tuple, Value};

/// The segment below which a chain itself is found, rather than what it records.
pub(super) const CHAIN: &str = "chain";
/// The segment below that, below which there is what the chain records as it was after a transaction.
const AT: &str = "at";

/// The chains with records that a transaction has used, by the paths of what they record.
#[derive(Debug, Default)]
pub(super) struct Tracked(Mutex<BTreeMap<Arc<str>, Tracking>>);

#[derive(Clone, Debug)]
struct Tracking {
    subject: Arc<Table>,
    chain: Arc<ChainDef>,
    usage: Usage,
    /// The users whose rows were purged.
    purged: Vec<State>,
}

/// What a transaction has done to the subject of a chain so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Usage {
    Read,
    Written,
    /// It was changed by a reduction, which is not recorded.
    Reduced,
}

impl Tracked {
    /// Whether no chain was used.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Notes that a transaction may write to the subject of a chain.
    pub fn track(&self, subject: &Arc<Table>, chain: &Arc<ChainDef>) {
        let mut tracked = self.0.lock();
        if tracked.get(&subject.name).is_none_or(|tracking| tracking.subject != *subject) {
            let (subject, chain, usage) = (Arc::clone(subject), Arc::clone(chain), Usage::Read);
            tracked.insert(Arc::clone(&subject.name), Tracking { subject, chain, usage, purged: vec![] });
        }
    }

    /// Notes that a transaction writes to a table, which may be the subject of a chain.
    ///
    /// # Errors
    /// `BadRequest` if a reduction has changed it.
    pub fn write(&self, table: &Table) -> Result<()> {
        self.advance(table, Usage::Written)
    }

    /// Notes that a reduction changes the subject of a chain.
    ///
    /// # Errors
    /// `BadRequest` if the transaction has written to it.
    pub fn reduce(&self, subject: &Table) -> Result<()> {
        self.advance(subject, Usage::Reduced)
    }

    /// One transaction does not do both: nobody could tell what is to be recorded.
    fn advance(&self, table: &Table, next: Usage) -> Result<()> {
        match self.0.lock().get_mut(&table.name) {
            Some(tracking) if tracking.usage == Usage::Read || tracking.usage == next => {
                tracking.usage = next;
                Ok(())
            }
            Some(_) => {
                let name = &table.name;
                let message = format!("a reduction changes {name}, and so is not in one transaction with writes to it");
                Err(Error::bad_request(message))
            }
            None => Ok(()),
        }
    }

    /// Notes that a transaction has purged a user from the subject of a chain.
    pub fn purge(&self, subject: &Table, owner: State) {
        if let Some(tracking) = self.0.lock().get_mut(&subject.name) {
            tracking.purged.push(owner);
        }
    }

    /// Appends to the chains what a transaction of `actor` has done. Returns those that have grown, with how many
    /// bytes.
    ///
    /// # Errors
    /// As [`record::append`].
    pub async fn append(&self, txn: &Transaction, actor: Option<&State>) -> Result<Vec<Grown>> {
        let tracked: Vec<_> = self.0.lock().values().cloned().collect();
        let mut grown = Vec::new();
        for Tracking { subject, chain, usage, purged } in tracked {
            // What a reduction has changed is in the base; what was dropped with its service has no chain.
            if usage == Usage::Reduced || txn.table(&subject.name).await?.as_ref() != Some(&subject) {
                continue;
            }
            let bytes = record::append(txn, &subject, &chain, Author { actor, purged: &purged }).await?;
            if bytes > 0 {
                grown.push(Grown { subject, chain, bytes });
            }
        }
        Ok(grown)
    }
}

/// A chain that a transaction has appended records to.
pub(super) struct Grown {
    subject: Arc<Table>,
    chain: Arc<ChainDef>,
    bytes: u64,
}

/// The open blocks of chains, as far as they are known, and who sees to what was deleted.
#[derive(Debug)]
pub(crate) struct OpenBlocks {
    known: Mutex<HashMap<Arc<str>, Open>>,
    /// The chains whose links were checked, by their subjects, and what is wrong with them.
    links: Mutex<HashMap<TreeId, Option<Error>>>,
    upkeep: Arc<Upkeep>,
}

impl OpenBlocks {
    /// Nothing is known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { known: Mutex::default(), links: Mutex::default(), upkeep: Arc::new(Upkeep::new(clock)) }
    }

    /// Checks once that the blocks of a chain follow each other: those that are closed later do.
    ///
    /// # Errors
    /// `Internal` that names the first block that does not.
    async fn check_links(&self, blocks: &Blocks<'_>) -> Result<()> {
        let id = blocks.subject().rows;
        let known = self.links.lock().get(&id).cloned();
        if let Some(fault) = known {
            return fault.map_or(Ok(()), Err);
        }
        // That is not worth remembering, least of all for a service that is only hypothetical.
        if blocks.last().await?.is_none() {
            return Ok(());
        }
        let checked = blocks.check_links().await;
        // What keeps one transaction from reading is no fault of the chain.
        if checked.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Internal) {
            self.links.lock().insert(id, checked.clone().err());
        }
        checked
    }

    /// Closes the blocks that are full or old. Returns what is to be done then. The commit that filled them is durable,
    /// so a failure here concerns nobody.
    pub(super) async fn close(&self, txn: &Transaction, grown: Vec<Grown>) -> Vec<Job> {
        let mut jobs = Vec::new();
        for Grown { subject, chain, bytes } in grown {
            let (began, opened_before) = (txn.id().timestamp, opened_before(&chain, txn));
            let is_due = match self.known.lock().get_mut(&subject.name) {
                Some(open) => {
                    open.bytes += bytes;
                    open.bytes >= BLOCK_BYTES || *open.since.get_or_insert(began) < opened_before
                }
                None => true,
            };
            if !is_due {
                continue;
            }
            match self.close_due(txn, &subject, &chain, opened_before).await {
                Ok(()) => jobs.push(Job::new(txn, &subject, &chain)),
                // Somebody else has closed it, or appended to it.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    debug!(chain = %subject.name, "a block is closed by another");
                }
                Err(error) => warn!(chain = %subject.name, %error, "cannot close a block"),
            }
        }
        jobs
    }

    async fn close_due(
        &self,
        txn: &Transaction,
        subject: &Arc<Table>,
        chain: &Arc<ChainDef>,
        opened_before: u64,
    ) -> Result<()> {
        let txn = txn.successor();
        let open = Blocks::open(&txn, chain, subject).await?.close(opened_before).await?;
        txn.commit().await?;
        self.known.lock().insert(Arc::clone(&subject.name), open);
        Ok(())
    }

    /// The chains that an op is to reduce.
    pub(in crate::exec) fn reductions(&self) -> &Reductions {
        self.upkeep.reductions()
    }

    /// Who does what is to be done.
    pub(super) fn upkeep(&self) -> &Arc<Upkeep> {
        &self.upkeep
    }

    /// Completes when a chain may be used: see [`Session::unerased`](super::Session::unerased).
    pub(crate) async fn erased(&self, subject: &str) {
        self.upkeep.unerased().wait(subject).await;
    }
}

/// Blocks of a chain that were opened before this time are closed, though they are not full.
fn opened_before(chain: &ChainDef, txn: &Transaction) -> u64 {
    match &chain.kind {
        Kind::Backup(backup) => backup.opened_before(txn.id().timestamp),
        _ => 0,
    }
}

impl Session {
    /// The blocks of a chain, whose links are right.
    ///
    /// # Errors
    /// `Internal` that names the first block that does not follow the one before it; `NotFound` if there are none.
    pub(super) async fn blocks<'a>(&'a self, chain: &'a ChainDef, subject: &Arc<Table>) -> Result<Blocks<'a>> {
        let blocks = Blocks::open(&self.txn, chain, subject).await?;
        self.open_blocks.check_links(&blocks).await?;
        Ok(blocks)
    }

    /// What a chain records, as it was after a transaction: a table that only this session has.
    ///
    /// # Errors
    /// As [`Session::blocks`] and [`replay`].
    pub(super) async fn past(&self, chain: &ChainDef, subject: &Arc<Table>, txn: TxnId) -> Result<Arc<Table>> {
        replay(&self.blocks(chain, subject).await?, Some(txn)).await
    }
}

impl Worker<'_> {
    /// A chain of a service: what it records, and below `chain` the chain itself.
    pub(super) async fn chain(
        &self,
        (chain, subject): (&Arc<ChainDef>, Arc<Table>),
        rest: &[Id],
        shape: &Shape,
        args: Vec<State>,
    ) -> Result<Invocation> {
        if let Some((_, rest)) = rest.split_first().filter(|(segment, _)| segment.as_str() == CHAIN) {
            return match past(rest) {
                Some((txn, rest)) if *shape == Shape::Get => {
                    let table = Box::pin(self.session.past(chain, &subject, txn?)).await?;
                    self.call_subject(chain, table, rest, shape, args).await
                }
                _ => Box::pin(self.history((chain, &subject), rest, shape, &args)).await.map(Invocation::Done),
            };
        }
        let Subject::Value(initial) = &chain.subject else {
            return self.call_subject(chain, subject, rest, shape, args).await;
        };
        match (shape, rest, args.as_slice()) {
            (Shape::Put, [], [key, value]) if key.is_none() => {
                self.set(&subject, initial, value).await?;
                Ok(Invocation::Done(State::NONE))
            }
            (Shape::Delete, [], [key]) if key.is_none() => {
                self.check_write(&subject).await?;
                self.txn().delete(&subject, &[value_key()]).await?;
                Ok(Invocation::Done(State::NONE))
            }
            (Shape::Put | Shape::Delete, [], _) => {
                Err(Error::bad_request(format!("{} is a value, which has no keys", subject.name)))
            }
            (shape, rest, _) => self.call_subject(chain, subject, rest, shape, args).await,
        }
    }

    /// Calls the collection that a table is, or the value in it.
    async fn call_subject(
        &self,
        chain: &ChainDef,
        table: Arc<Table>,
        rest: &[Id],
        shape: &Shape,
        args: Vec<State>,
    ) -> Result<Invocation> {
        match &chain.subject {
            Subject::Collection(_) => self.stored(&table, rest, shape, &args).await.map(Invocation::Done),
            Subject::Value(_) => invoke(&self.value(&table).await?, &Site::new(rest.into(), shape.clone()), args),
        }
    }

    /// The value that a table holds.
    async fn value(&self, table: &Table) -> Result<State> {
        let row = self.txn().get(table, &[value_key()]).await?;
        Ok(row.and_then(|mut row| row.pop()).unwrap_or(State::NONE))
    }

    /// Sets the value that a table holds, which keeps the class that it had at first.
    async fn set(&self, table: &Table, initial: &State, value: &State) -> Result<()> {
        self.check_write(table).await?;
        self.txn().put(table, &value_row(cast_value(initial, value)?)).await
    }

    /// The chain itself.
    async fn history(
        &self,
        (chain, subject): (&Arc<ChainDef>, &Arc<Table>),
        rest: &[Id],
        shape: &Shape,
        args: &[State],
    ) -> Result<State> {
        let names: Vec<&str> = rest.iter().map(Id::as_str).collect();
        if names.first() == Some(&"records") {
            let blocks = self.session.blocks(chain, subject).await?;
            return self.records(&blocks, &rest[1..], shape, args).await;
        }
        if let [name] = names.as_slice()
            && let Some(reply) = self.policy((chain, subject), name, shape, args).await?
        {
            return Ok(reply);
        }
        let (Shape::Get, [key]) = (shape, args) else { return Err(refused(subject, rest, shape)?) };
        match names.as_slice() {
            [] => return self.chain_form(chain, subject).await,
            ["info"] => return self.info(chain, subject).await,
            ["at"] => return self.at(chain, subject, key).await,
            // It says itself what is wrong.
            ["verify"] => {
                let blocks = Blocks::open(self.txn(), chain, subject).await?;
                return blocks.verify().await.map(|()| true.into());
            }
            ["blocks"] => {}
            _ => return Err(Error::not_found(format!("/{CHAIN}{}", Link::local(rest).path_text()))),
        }
        let blocks = self.session.blocks(chain, subject).await?;
        match key.is_none() {
            true => self.blocks_form(&blocks).await,
            false => blocks.form(ordinal(key)?).await,
        }
    }

    /// A chain with what it records: `{"/state/chain/<kind>": <subject>}`, or with its blocks beside the subject.
    pub(super) async fn chain_form(&self, chain: &ChainDef, table: &Arc<Table>) -> Result<State> {
        let subject = match &chain.subject {
            Subject::Collection(_) => State::stored(table),
            Subject::Value(_) => self.value(table).await?,
        };
        let parts = match chain.kind {
            Kind::Sync => subject,
            _ => {
                let blocks = self.session.blocks(chain, table).await?;
                Tuple::try_new(vec![subject, self.blocks_form(&blocks).await?])?.into()
            }
        };
        Ok(Object::Typed(chain.kind.class(), parts).into())
    }

    async fn blocks_form(&self, blocks: &Blocks<'_>) -> Result<State> {
        let mut forms = Vec::new();
        for ordinal in blocks.ordinals().await? {
            forms.push(blocks.form(ordinal).await?);
        }
        Ok(Tuple::try_new(forms)?.into())
    }

    /// `{"type", "policy", "hash", "blocks", "first", "last"}`, and if blocks were deleted `"base": {"block", "hash"}`: the
    /// hashes of the last of them and of what took their place; and `"error"` if the host could not reduce it lately.
    async fn info(&self, chain: &ChainDef, subject: &Arc<Table>) -> Result<State> {
        let mut entries: Vec<(Id, State)> =
            vec![("type".into(), chain.kind.class().to_string().into()), ("policy".into(), chain.kind.options()?)];
        if chain.kind.has_records() {
            let blocks = self.session.blocks(chain, subject).await?;
            let (first, last) = blocks.ends().await?;
            let id = |id: Option<TxnId>| id.map_or(State::NONE, |id| State::from(id.to_string()));
            entries.push(("hash".into(), hex::encode(blocks.head().await?).into()));
            entries.push(("blocks".into(), blocks.count().await?.into()));
            entries.extend([("first".into(), id(first)), ("last".into(), id(last))]);
            if let Some(replaced) = blocks.replaced() {
                let hashes = [("block", replaced.block), ("hash", replaced.base)];
                let hashes = hashes.map(|(name, hash)| (Id::from(name), State::from(hex::encode(hash))));
                entries.push(("base".into(), Map::try_new(hashes)?.into()));
            }
        } else {
            let hash = Box::pin(self.stored(subject, &["hash".into()], &Shape::Get, &[State::NONE])).await?;
            entries.push(("hash".into(), crate::value::cast::to_id(&hash)?.as_str().into()));
            let none = || State::NONE;
            entries.extend([("blocks".into(), 0u64.into()), ("first".into(), none()), ("last".into(), none())]);
        }
        if let Some(error) = self.session.open_blocks.reductions().failure(&subject.name) {
            entries.push(("error".into(), error.to_string().into()));
        }
        Ok(Map::try_new(entries)?.into())
    }

    /// What a chain recorded, as it was after a transaction.
    async fn at(&self, chain: &ChainDef, subject: &Arc<Table>, key: &State) -> Result<State> {
        let table = self.session.past(chain, subject, txn_id(key)?).await?;
        match &chain.subject {
            Subject::Collection(_) => Ok(State::stored(&table)),
            Subject::Value(_) => self.value(&table).await,
        }
    }

    /// The records as a table: all, those of a block, or those from one block to another; or a method of that table.
    async fn records(&self, blocks: &Blocks<'_>, rest: &[Id], shape: &Shape, args: &[State]) -> Result<State> {
        let records = Collection::new(Arc::clone(blocks.records()));
        match (rest, shape, args) {
            ([], Shape::Get, [key]) if key.is_none() => Ok(records.into()),
            ([], Shape::Get, [key]) => {
                let (first, last) = match key {
                    State::Tuple(pair) if pair.items().len() == 2 => {
                        (ordinal(&pair.items()[0])?, ordinal(&pair.items()[1])?)
                    }
                    key => (ordinal(key)?, ordinal(key)?),
                };
                let ((from, ..), (_, to, _)) = (blocks.span(first).await?, blocks.span(last).await?);
                let range = Condition::Range(Bound::Inclusive(from.into()), Bound::Inclusive(to.into()));
                let view = View { filter: vec![(0, range)], ..View::default() };
                Ok(Collection { view, ..records }.into())
            }
            (rest, shape, args) => self.method(&records, rest, shape, args).await,
        }
    }
}

/// The transaction after which a path below a chain shows what the chain records, and the rest of the path; nothing if
/// it is another path.
fn past(rest: &[Id]) -> Option<(Result<TxnId>, &[Id])> {
    match rest {
        [at, txn, rest @ ..] if at.as_str() == AT => Some((txn.as_str().parse(), rest)),
        _ => None,
    }
}

/// Checks that a path is not that of the past of something that no chain records.
///
/// # Errors
/// `BadRequest` if it is.
pub(super) fn check_present(link: &Link, rest: &[Id]) -> Result<()> {
    match rest {
        [chain, rest @ ..] if chain.as_str() == CHAIN && past(rest).is_some() => Err(unrecorded(link)),
        _ => Ok(()),
    }
}

/// The error that nobody knows what something was.
pub(super) fn unrecorded(what: impl std::fmt::Display) -> Error {
    Error::bad_request(format!("{what} is not recorded by a chain, so nobody knows what it was"))
}

/// The error that something below a chain is not called so.
pub(super) fn refused(subject: &Table, rest: &[Id], shape: &Shape) -> Result<Error> {
    let path: Link = format!("{}/{CHAIN}", subject.name).parse()?;
    Ok(unsupported(&path.join(rest), shape))
}

/// The transaction that a program names.
pub(super) fn txn_id(state: &State) -> Result<TxnId> {
    match state {
        State::Value(Value::String(text)) => text.parse(),
        State::Value(Value::Id(id)) => id.as_str().parse(),
        other => Err(Error::bad_request(format!("expected the id of a transaction, not a {}", other.class()))),
    }
}

/// The number of a block or a level.
pub(super) fn ordinal(key: &State) -> Result<u64> {
    let number = match key {
        State::Value(Value::Number(number)) => crate::value::number::cast::to_integer(*number),
        _ => None,
    };
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| Error::bad_request("expected the number of a block or a level, counted from 0"))
}
