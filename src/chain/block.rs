//! Blocks: the records of a chain, cut into parts that are linked by hashes.
//!
//! A block has all records of the commits from one number to another. It is closed when it is large enough, and then
//! its hash is kept in a table beside the records; what comes after the last block that is closed is the open one. The
//! hash of a block is that of the block before it and of what is in it, so nobody can change a block and leave those
//! after it as they are:
//!
//! - of a mutation: that of the tuple `[key]` or `[key, value]`; in a CompliantChain, the commitment to it;
//! - of a transaction: of its id (8 bytes of nanoseconds, 2 of nonce, big-endian), and of its mutations; commits under
//!   one id that come one after the other count as one transaction here;
//! - of a block: of the hash of the block before it, and of the hash of the hashes of its transactions, in the order of
//!   their commits.
//!
//! All of them are SHA-256, and the hash before the first block is zero. Where the first blocks were deleted, the next one
//! is still made of the hash of the last of them, but names another in its place, the *link*: the hash of that and of
//! what took the place of these blocks (`base.rs`). So that cannot be changed either, and no other block changes with it.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::base::Base;
use super::declaration::{ChainDef, Kind};
use super::record::{self, Record};
use super::rows::{self, Rows, Turns, numbers, table, texts};
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::storage::codec::KeyRange;
use crate::txn::TxnId;
use crate::value::{Id, Map, Schema, State, Table, Tuple};

/// The hash of a block, or of what stands for what was before the first.
pub type Hash = [u8; 32];

/// Bytes of records after which a block is closed.
pub const BLOCK_BYTES: u64 = 1_000_000;

/// A block that is closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    pub ordinal: u64,
    /// The first and the last commit that is in it.
    pub first: u64,
    pub last: u64,
    /// The hash of the block before it, or the link if that was deleted.
    pub previous: Hash,
    pub hash: Hash,
}

/// Where a block begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Start {
    pub ordinal: u64,
    /// The first commit that can be in it.
    pub first: u64,
    /// The hash of the block before it, which its own is made of.
    pub previous: Hash,
    /// What it names as that: the same, or the link if the block before it was deleted.
    pub link: Hash,
}

/// What is known of the open block.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Open {
    /// Of its records, roughly.
    pub bytes: u64,
    /// When its oldest transaction began, in nanoseconds since the Unix epoch; nothing if it is empty.
    pub since: Option<u64>,
}

/// The path of the blocks of the subject at `subject`.
pub(super) fn path(subject: &str) -> String {
    format!("{}/blocks", record::path(subject))
}

pub(super) async fn create(txn: &Transaction, subject: &str) -> Result<()> {
    let columns = vec![numbers("ordinal"), numbers("first"), numbers("last"), texts("previous"), texts("hash")];
    txn.create_table(&path(subject), table(columns, 1)).await.map(|_| ())
}

pub(super) async fn drop(txn: &Transaction, subject: &str) -> Result<()> {
    txn.drop_table(&path(subject)).await.map(|_| ())
}

impl Block {
    fn of_row(row: &[State]) -> Result<Self> {
        let number = |at| rows::number(row, at);
        Ok(Self {
            ordinal: number(0)?,
            first: number(1)?,
            last: number(2)?,
            previous: rows::hash(row, 3)?,
            hash: rows::hash(row, 4)?,
        })
    }

    /// Whether it begins there. Earlier releases wrote no links.
    pub(super) fn begins_at(&self, start: &Start) -> bool {
        (self.ordinal, self.first) == (start.ordinal, start.first)
            && [start.link, start.previous].contains(&self.previous)
    }

    /// Where the block after it begins.
    pub(super) fn end(&self) -> Start {
        Start { ordinal: self.ordinal + 1, first: self.last + 1, previous: self.hash, link: self.hash }
    }

    /// Where the block after it begins, if the block itself begins where the one before it ends.
    ///
    /// # Errors
    /// `Internal` if it does not.
    pub(super) fn after(&self, end: Start) -> Result<Start> {
        match self.begins_at(&end) {
            true => Ok(self.end()),
            false => Err(self.fault("it does not follow the block before it, or what took the place of that")),
        }
    }

    /// The error that the block is not what it was.
    pub(super) fn fault(&self, what: &str) -> Error {
        Error::internal(format!("block {}: {what}", self.ordinal))
    }

    pub(super) fn row(&self) -> Vec<State> {
        let numbers = [self.ordinal, self.first, self.last].map(State::from);
        let hashes = [self.previous, self.hash].map(|hash| State::from(hex::encode(hash)));
        numbers.into_iter().chain(hashes).collect()
    }
}

/// The blocks of one chain, as a transaction sees them.
#[derive(Debug)]
pub struct Blocks<'a> {
    pub(super) txn: &'a Transaction,
    pub(super) chain: &'a ChainDef,
    pub(super) subject: Arc<Table>,
    pub(super) records: Arc<Table>,
    pub(super) blocks: Arc<Table>,
    /// What took the place of blocks that were deleted, in chains that delete any.
    pub(super) base: Option<Base>,
}

impl<'a> Blocks<'a> {
    /// The blocks of the chain of `subject`.
    ///
    /// # Errors
    /// `NotFound` if it keeps none.
    pub async fn open(txn: &'a Transaction, chain: &'a ChainDef, subject: &Arc<Table>) -> Result<Self> {
        let missing = || Error::not_found(format!("a {} keeps no history", chain.kind.class()));
        let records = txn.table(&record::path(&subject.name)).await?.ok_or_else(missing)?;
        let blocks = txn.table(&path(&subject.name)).await?.ok_or_else(missing)?;
        let base = match chain.kind {
            Kind::Backup(_) | Kind::Reduce(_) => Some(Base::open(txn, &subject.name).await?),
            Kind::Sync | Kind::Block | Kind::Compliant(_) => None,
        };
        Ok(Self { txn, chain, subject: Arc::clone(subject), records, blocks, base })
    }

    /// What the chain records the mutations of.
    pub fn subject(&self) -> &Arc<Table> {
        &self.subject
    }

    /// The table of the records.
    pub fn records(&self) -> &Arc<Table> {
        &self.records
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.subject.schema
    }

    /// Where the first block begins that was not deleted.
    pub(super) fn start(&self) -> Start {
        self.base.as_ref().map(Base::end).unwrap_or_default()
    }

    /// The transactions of the first and the last record. If all of them were deleted, the last one of these is the
    /// last.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn ends(&self) -> Result<(Option<TxnId>, Option<TxnId>)> {
        let first = self.read(0, u64::MAX)?.next().await?.map(|record| record.txn);
        let last = match rows::last(self.txn, &self.records, KeyRange::all()).await? {
            Some(row) => Some(Record::of_row(self.schema(), row)?.txn),
            None => self.base.as_ref().and_then(Base::last),
        };
        Ok((first, last))
    }

    /// The last block that is closed.
    pub async fn last(&self) -> Result<Option<Block>> {
        rows::last(self.txn, &self.blocks, KeyRange::all()).await?.map(|row| Block::of_row(&row)).transpose()
    }

    /// The blocks that are closed, one after the other.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub(super) fn closed(&self) -> Result<Closed> {
        Ok(Closed(Rows::new(self.txn, &self.blocks, rows::range(&self.blocks, 0, u64::MAX)?)))
    }

    /// The first block that is closed.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub(super) async fn first(&self) -> Result<Option<Block>> {
        self.closed()?.next().await
    }

    /// The commits that a block has records of, and the hash that it names as that of the block before it: those of a
    /// block that is closed, or of the open one.
    ///
    /// # Errors
    /// `NotFound` if there is no such block.
    pub async fn span(&self, ordinal: u64) -> Result<(u64, u64, Hash)> {
        if let Some(row) = self.txn.get(&self.blocks, &[State::from(ordinal)]).await? {
            let block = Block::of_row(&row)?;
            return Ok((block.first, block.last, block.previous));
        }
        let (kept, open) = (self.start().ordinal, self.open_block().await?);
        match open.ordinal == ordinal {
            true => Ok((open.first, u64::MAX, open.link)),
            false => {
                let known = format!("the first is {kept}, the last is {}", open.ordinal);
                Err(Error::not_found(format!("there is no block {ordinal} ({known})")))
            }
        }
    }

    /// Where the open block begins.
    async fn open_block(&self) -> Result<Start> {
        Ok(self.last().await?.map_or_else(|| self.start(), |block| block.end()))
    }

    /// The ordinals of all blocks, the last of which is open.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn ordinals(&self) -> Result<std::ops::RangeInclusive<u64>> {
        Ok(self.start().ordinal..=self.open_block().await?.ordinal)
    }

    /// How many blocks there are, with the open one.
    pub async fn count(&self) -> Result<u64> {
        Ok(self.open_block().await?.ordinal + 1 - self.start().ordinal)
    }

    /// The records of some commits, one after the other.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub fn read(&self, first: u64, last: u64) -> Result<Records> {
        let rows = Rows::new(self.txn, &self.records, rows::range(&self.records, first, last)?);
        Ok(Records { rows, schema: Arc::clone(&self.subject.schema) })
    }

    /// The records that have `cell` in the first column of an index of them, one after the other.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub(super) fn read_by_index(&self, index: usize, cell: &State) -> Result<Records> {
        let rows = Rows::by_index(self.txn, &self.records, index, cell)?;
        Ok(Records { rows, schema: Arc::clone(&self.subject.schema) })
    }

    /// How many records there are.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn records_len(&self) -> Result<u64> {
        let estimate = self.txn.estimate(&self.records, None, &KeyRange::all());
        if estimate.is_exact {
            return Ok(estimate.rows_max);
        }
        let (mut rows, mut count) = (Rows::of(self.txn, &self.records, KeyRange::all(), vec![0], false), 0);
        while rows.next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// The last commit of a transaction that is recorded: there may be several under one id.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub(super) async fn last_commit_of(&self, txn: TxnId) -> Result<Option<u64>> {
        // What is appended meanwhile is not seen, so it must not conflict either.
        let range = rows::range(&self.records, self.start().first, self.txn.snapshot_seq())?;
        let mut rows = Rows::of(self.txn, &self.records, range, record::COMMIT_AND_TXN.into(), true);
        let (name, mut turns) = (txn.to_string(), Turns::default());
        while let Some(row) = rows.next().await? {
            if rows::text(&row, 1)? == name {
                return rows::number(&row, 0).map(Some);
            }
            turns.end().await;
        }
        Ok(None)
    }

    /// A block as it is written: `["<hash before it>", {"<transaction>": [<mutation>, …], …}]`. What a transaction has
    /// committed later, under the same id, is at `<transaction>.<commit>`.
    ///
    /// # Errors
    /// `NotFound` if there is no such block.
    pub async fn form(&self, ordinal: u64) -> Result<State> {
        use base64::Engine as _;
        let (first, last, previous) = self.span(ordinal).await?;
        let (mut records, mut form) = (self.read(first, last)?, Form::default());
        while let Some(record) = records.next().await? {
            let mutation = record.entry.form(self.chain, self.schema())?;
            form.add(&record, mutation)?;
        }
        let transactions = form.finish()?;
        let previous = base64::engine::general_purpose::STANDARD.encode(previous);
        Ok(Tuple::try_new(vec![previous.into(), transactions.into()])?.into())
    }

    /// Closes blocks until the open one has less than [`BLOCK_BYTES`], and then that one too if a transaction in it
    /// began before `opened_before`, in nanoseconds since the Unix epoch. Returns what is open then.
    ///
    /// Only commits that the transaction sees are read, so it does not conflict with what is appended meanwhile.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn close(&self, opened_before: u64) -> Result<Open> {
        let (start, part) = self.cut(None).await?;
        if part.open.since.is_none_or(|since| since >= opened_before) {
            return Ok(part.open);
        }
        self.put_block(start, part).await?;
        Ok(Open::default())
    }

    /// Closes the open block at the last commit before the first one whose transaction does not come before `limit`, if
    /// anything is in it then.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub(super) async fn close_before(&self, limit: TxnId) -> Result<()> {
        let (start, part) = self.cut(Some(limit)).await?;
        match part.last {
            Some(_) => self.put_block(start, part).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Closes blocks that are full, up to the first transaction that does not come before `limit`. Returns where the
    /// open block begins then, and what is in it before that transaction.
    async fn cut(&self, limit: Option<TxnId>) -> Result<(Start, Part)> {
        let mut start = self.open_block().await?;
        let mut records = self.read(start.first, self.txn.snapshot_seq())?;
        let mut part = Part::default();
        while let Some(record) = records.next().await? {
            // Everything of one commit is of one transaction.
            if limit.is_some_and(|limit| record.txn >= limit) {
                break;
            }
            // A commit is never cut in two.
            if part.open.bytes >= BLOCK_BYTES && part.last != Some(record.commit) {
                start = self.put_block(start, std::mem::take(&mut part)).await?;
            }
            part.add(&record, record.entry.digest(self.chain, self.schema())?);
        }
        Ok((start, part))
    }

    /// Writes a block. Returns where the next one begins.
    async fn put_block(&self, start: Start, part: Part) -> Result<Start> {
        let Start { ordinal, first, previous, link } = start;
        let last = part.last.ok_or_else(|| Error::internal("a block without records"))?;
        let block = Block { ordinal, first, last, previous: link, hash: part.hasher.finish(&previous) };
        self.txn.put(&self.blocks, &block.row()).await?;
        Ok(block.end())
    }

    /// The hash of the records from one commit to another, in a block that comes after `previous`.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn hash(&self, first: u64, last: u64, previous: &Hash) -> Result<Hash> {
        let (mut records, mut hasher) = (self.read(first, last)?, BlockHasher::default());
        while let Some(record) = records.next().await? {
            hasher.add(record.txn, record.entry.digest(self.chain, self.schema())?);
        }
        Ok(hasher.finish(previous))
    }

    /// The hash of the chain: that of the open block; if blocks were deleted, that of the link and of the open block.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn head(&self) -> Result<Hash> {
        let Start { first, previous, .. } = self.open_block().await?;
        let open = self.hash(first, u64::MAX, &previous).await?;
        Ok(self.replaced().map_or(open, |replaced| Replaced::pair(&replaced.link(), &open)))
    }

    /// What stands for the blocks that were deleted; nothing if none were.
    pub fn replaced(&self) -> Option<Replaced> {
        self.base.as_ref().and_then(Base::replaced)
    }
}

/// What stands for blocks that were deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replaced {
    /// The hash of the last of them.
    pub block: Hash,
    /// The hash of what took their place.
    pub base: Hash,
}

impl Replaced {
    /// The link: what the next block names as the hash of the block before it.
    pub fn link(&self) -> Hash {
        Self::pair(&self.block, &self.base)
    }

    fn pair(first: &Hash, second: &Hash) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(first);
        hasher.update(second);
        hasher.finalize().into()
    }
}

/// Blocks that are closed, one after the other.
pub(super) struct Closed(Rows);

impl Closed {
    /// The next block.
    ///
    /// # Errors
    /// As [`Transaction::scan`]; `Internal` if what is kept of it is damaged.
    pub async fn next(&mut self) -> Result<Option<Block>> {
        self.0.next().await?.map(|row| Block::of_row(&row)).transpose()
    }
}

/// The mutations of a block as they are written, by the commits that they are of.
#[derive(Default)]
struct Form {
    commits: Vec<(Id, Vec<State>)>,
    /// The last of these commits.
    last: Option<u64>,
    named: HashSet<TxnId>,
}

impl Form {
    /// Adds a record, which is written as `mutation`.
    fn add(&mut self, record: &Record, mutation: State) -> Result<()> {
        if let Some((_, mutations)) = self.commits.last_mut().filter(|_| self.last == Some(record.commit)) {
            mutations.push(mutation);
            return Ok(());
        }
        self.last = Some(record.commit);
        let name = match self.named.insert(record.txn) {
            true => record.txn.to_string(),
            false => format!("{}.{}", record.txn, record.commit),
        };
        self.commits.push((name.parse()?, vec![mutation]));
        Ok(())
    }

    fn finish(self) -> Result<Map> {
        let entries = self.commits.into_iter().map(|(name, mutations)| Ok((name, Tuple::try_new(mutations)?.into())));
        Map::try_new(entries.collect::<Result<Vec<(Id, State)>>>()?)
    }
}

/// Records, one after the other.
pub struct Records {
    rows: Rows,
    schema: Arc<Schema>,
}

impl Records {
    /// The next record.
    ///
    /// # Errors
    /// As [`Transaction::scan`]; `Internal` if it is damaged.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        let row = self.rows.next().await?;
        row.map(|row| Record::of_row(&self.schema, row)).transpose()
    }
}

/// The records of a block that come one after the other.
#[derive(Default)]
struct Part {
    hasher: BlockHasher,
    open: Open,
    /// The last commit.
    last: Option<u64>,
}

impl Part {
    fn add(&mut self, record: &Record, digest: Hash) {
        let began = record.txn.timestamp;
        self.hasher.add(record.txn, digest);
        self.open.bytes += record.entry.weight();
        // Transactions are not in the order in which they began.
        self.open.since = Some(self.open.since.map_or(began, |since| since.min(began)));
        self.last = Some(record.commit);
    }
}

/// Hashes a block whose records come one after the other.
#[derive(Default)]
struct BlockHasher {
    /// Of the hashes of the transactions that are complete.
    block: Sha256,
    current: Option<(TxnId, Sha256)>,
}

impl BlockHasher {
    /// Adds a record, whose own hash is `digest`.
    fn add(&mut self, txn: TxnId, digest: Hash) {
        if self.current.as_ref().is_none_or(|(current, _)| *current != txn) {
            self.end();
            let mut hasher = Sha256::new();
            hasher.update(id_hash(txn));
            self.current = Some((txn, hasher));
        }
        if let Some((_, hasher)) = &mut self.current {
            hasher.update(digest);
        }
    }

    fn end(&mut self) {
        if let Some((_, hasher)) = self.current.take() {
            self.block.update(hasher.finalize());
        }
    }

    fn finish(mut self, previous: &Hash) -> Hash {
        self.end();
        let mut hasher = Sha256::new();
        hasher.update(previous);
        hasher.update(self.block.finalize());
        hasher.finalize().into()
    }
}

fn id_hash(txn: TxnId) -> Hash {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&txn.timestamp.to_be_bytes());
    bytes[8..].copy_from_slice(&txn.nonce.to_be_bytes());
    Sha256::digest(bytes).into()
}
