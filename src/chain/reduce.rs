//! ReduceChains: what is old is reduced by an op of the service, e.g. the values of seconds to those of minutes.
//!
//! Level 0 is the records. Every other level has *windows*: periods of one length, each with the rows that the op made
//! of what the level before had of that period. When all of a window is older than the level before is kept, what that
//! level has of it goes to the op, and the op's result takes its place. Records go as whole blocks from the start of
//! the chain, as in a BackupChain, and make the base (`base.rs`) on the way, so the subject can still be made again.
//! Transactions do not commit in the order in which they began, so a window may have rows already when more of it
//! comes. Then these are given to the op too: it must not matter in how many parts it is called.
//!
//! The op runs in the transaction of whoever asks for a reduction, between [`Levels::take`] and [`Levels::add`]. No
//! more than `TAKEN_BYTES` are taken from a level at once; what is left is due again with the next request.
//!
//! If the chain says so (`apply.rs`), the subject has what the op returned too, in place of the rows that were reduced.
//!
//! One table beside the subject has the rows of all windows, and another the windows: of each, the hash of the window
//! before it in its level (zero if there was none), the hash of all that it replaced, and the hash of both and of its
//! rows. Where the first windows of a level were reduced, the hash before those that are left is that of the last of
//! them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::block::{Blocks, Hash};
use super::declaration::Kind;
use super::policy::{Reduce, floor};
use super::record::beside;
use super::rows::{self, Rows, Turns, column, numbers, table, texts};
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::storage::codec::KeyRange;
use crate::txn::TxnId;
use crate::value::hash::hash;
use crate::value::schema::{Column, ColumnType};
use crate::value::{Class, State, Table, Tuple};

/// Bytes of items that are taken from a level at once.
const TAKEN_BYTES: u64 = 16 << 20;
/// Cells of the key of a row of a window: its level, its start and a position.
const ROW_KEY: usize = 3;
const NANOS: u64 = 1_000_000_000;

/// What is to be reduced to one window.
#[derive(Debug, PartialEq)]
pub struct Due {
    /// Where the window begins, in nanoseconds since the Unix epoch.
    start: u64,
    /// Triples of seconds, key and value.
    pub(super) items: Tuple,
}

/// What is to be reduced of a level.
#[derive(Debug, Default, PartialEq)]
pub struct Taken {
    /// How many items of the level that is.
    pub count: u64,
    /// The windows of the next level that it belongs to.
    pub windows: Vec<Due>,
}

/// What a window was reduced to.
#[derive(Debug, PartialEq)]
pub struct Summary {
    start: u64,
    /// What was reduced, as in [`Due`].
    items: Tuple,
    /// Keys and values.
    rows: Vec<[State; 2]>,
}

/// A window, whose rows are in a table of their own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Window {
    level: u64,
    start: u64,
    /// The hash of the window before it.
    previous: Hash,
    /// The hash of all that was reduced to it.
    replaced: Hash,
    hash: Hash,
}

/// The paths of the rows of all windows, and of the windows.
pub(super) fn paths(subject: &str) -> [String; 2] {
    ["levels", "windows"].map(|name| beside(subject, name))
}

pub(super) async fn create(txn: &Transaction, subject: &str) -> Result<()> {
    let any = |name: &'static str| Column { nullable: true, ..column(name.into(), Class::Value, ColumnType::Any) };
    let [levels, windows] = paths(subject);
    let columns = ["level", "start", "position"].map(numbers).into_iter().chain(["key", "value"].map(any));
    txn.create_table(&levels, table(columns.collect(), ROW_KEY)).await?;
    let columns = ["level", "start"].map(numbers).into_iter().chain(["previous", "replaced", "hash"].map(texts));
    txn.create_table(&windows, table(columns.collect(), 2)).await.map(|_| ())
}

pub(super) async fn drop(txn: &Transaction, subject: &str) -> Result<()> {
    for path in paths(subject) {
        txn.drop_table(&path).await?;
    }
    Ok(())
}

/// Nanoseconds as seconds: whole ones exactly.
fn seconds(nanos: u64) -> f64 {
    (nanos / NANOS) as f64 + (nanos % NANOS) as f64 / NANOS as f64
}

/// An item as the op is given it.
fn item(nanos: u64, key: State, value: State) -> Result<State> {
    Ok(Tuple::try_new([seconds(nanos).into(), key, value])?.into())
}

/// A window as it is written.
fn window_form(start: u64, rows: Vec<State>) -> Result<State> {
    Ok(Tuple::try_new([State::from(seconds(start)), Tuple::try_new(rows)?.into()])?.into())
}

fn digest(parts: &[Hash]) -> Hash {
    Sha256::digest(parts.concat()).into()
}

impl Due {
    /// The arguments of the op: `items`, `start` and `window`, which is the length of the window in seconds.
    pub fn args(&self, window: f64) -> Vec<State> {
        vec![self.items.clone().into(), seconds(self.start).into(), window.into()]
    }

    /// How many bytes it has, roughly.
    pub fn weight(&self) -> u64 {
        self.items.items().iter().map(State::weight).sum()
    }

    /// What `op` has reduced it to, whose result is `result`.
    ///
    /// # Errors
    /// `BadRequest` if that is no list of pairs of values.
    pub fn summary(&self, op: &impl Display, result: &State) -> Result<Summary> {
        let rows = match result {
            State::Tuple(rows) => rows.items().iter().map(pair).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let odd = || format!("{op} reduces a chain, and so must return a list of pairs [<key>, <value>] of values");
        let rows = rows.ok_or_else(|| Error::bad_request(odd()))?;
        Ok(Summary { start: self.start, items: self.items.clone(), rows })
    }
}

impl Summary {
    /// The keys and values of what was reduced.
    ///
    /// # Errors
    /// `Internal` if there are none.
    pub(super) fn items(&self) -> Result<Vec<(&State, &State)>> {
        let items: Option<Vec<_>> = self.items.items().iter().map(key_and_value).collect();
        items.ok_or_else(|| Error::internal("an item that is no triple"))
    }

    /// What the op has returned.
    pub(super) fn rows(&self) -> &[[State; 2]] {
        &self.rows
    }
}

/// The key and the value of an item.
fn key_and_value(item: &State) -> Option<(&State, &State)> {
    let State::Tuple(item) = item else { return None };
    match item.items() {
        [_, key, value] => Some((key, value)),
        _ => None,
    }
}

/// The two values of a pair.
fn pair(state: &State) -> Option<[State; 2]> {
    match state {
        State::Tuple(pair) if state.is_value() => pair.items().to_vec().try_into().ok(),
        _ => None,
    }
}

impl Window {
    fn of_row(row: &[State]) -> Result<Self> {
        Ok(Self {
            level: rows::number(row, 0)?,
            start: rows::number(row, 1)?,
            previous: rows::hash(row, 2)?,
            replaced: rows::hash(row, 3)?,
            hash: rows::hash(row, 4)?,
        })
    }

    fn key(&self) -> [State; 2] {
        [self.level.into(), self.start.into()]
    }

    fn row(&self) -> Vec<State> {
        let hashes = [self.previous, self.replaced, self.hash].map(|hash| State::from(hex::encode(hash)));
        self.key().into_iter().chain(hashes).collect()
    }

    /// The hash of it with these rows.
    fn digest(&self, rows: Hash) -> Hash {
        digest(&[self.previous, self.replaced, rows])
    }
}

/// Items by the windows that they belong to.
#[derive(Debug)]
struct Groups {
    /// The length of a window, in nanoseconds.
    window: u64,
    windows: BTreeMap<u64, Vec<State>>,
    count: u64,
    bytes: u64,
}

impl Groups {
    fn new(window: u64) -> Self {
        Self { window, windows: BTreeMap::new(), count: 0, bytes: 0 }
    }

    /// Adds an item of the given time.
    fn add(&mut self, nanos: u64, key: State, value: State) -> Result<()> {
        let item = item(nanos, key, value)?;
        self.count += 1;
        self.bytes += item.weight();
        self.windows.entry(floor(nanos, self.window)).or_default().push(item);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes >= TAKEN_BYTES
    }
}

/// The levels of a ReduceChain, as a transaction sees them.
pub struct Levels<'a> {
    blocks: &'a Blocks<'a>,
    policy: &'a Reduce,
    /// Those of all windows.
    rows: Arc<Table>,
    windows: Arc<Table>,
}

impl<'a> Levels<'a> {
    /// The levels of a chain; nothing if it is no ReduceChain.
    ///
    /// # Errors
    /// `Internal` if its tables are lost.
    pub async fn open(blocks: &'a Blocks<'a>) -> Result<Option<Self>> {
        let Kind::Reduce(policy) = &blocks.chain.kind else { return Ok(None) };
        let name = &blocks.subject.name;
        let lost = || Error::internal(format!("what {name} was reduced to is lost"));
        let [levels, windows] = paths(name);
        let rows = blocks.txn.table(&levels).await?.ok_or_else(lost)?;
        let windows = blocks.txn.table(&windows).await?.ok_or_else(lost)?;
        Ok(Some(Self { blocks, policy, rows, windows }))
    }

    fn txn(&self) -> &'a Transaction {
        self.blocks.txn
    }

    /// The rows of the windows of a level which begin within `from..=to`.
    fn rows(&self, level: u64, from: u64, to: u64) -> Result<Rows> {
        Ok(Rows::new(self.txn(), &self.rows, rows::range_below(&self.rows, &[level], from, to)?))
    }

    /// The windows of a level which begin within `from..=to`.
    fn windows(&self, level: u64, from: u64, to: u64) -> Result<Rows> {
        Ok(Rows::new(self.txn(), &self.windows, rows::range_below(&self.windows, &[level], from, to)?))
    }

    /// A level as it is written: `[[<start in seconds>, [[<key>, <value>], …]], …]`, oldest first. The windows of level
    /// 0 have what was recorded in them, where the value of what was deleted is null.
    ///
    /// # Errors
    /// `NotFound` if there is no such level.
    pub async fn form(&self, level: u64) -> Result<State> {
        let last = self.policy.levels.len().saturating_sub(1) as u64;
        let windows = match level {
            0 => self.recorded().await?,
            level if level <= last => self.reduced(level).await?,
            _ => return Err(Error::not_found(format!("there is no level {level} (the last is {last})"))),
        };
        let forms = windows.into_iter().map(|(start, rows)| window_form(start, rows)).collect::<Result<Vec<_>>>()?;
        Ok(Tuple::try_new(forms)?.into())
    }

    /// What was recorded, by windows of level 0.
    async fn recorded(&self) -> Result<BTreeMap<u64, Vec<State>>> {
        let (blocks, length) = (self.blocks, self.policy.window(0));
        let (mut records, mut windows) = (blocks.read(0, u64::MAX)?, BTreeMap::<u64, Vec<State>>::new());
        while let Some(record) = records.next().await? {
            let (key, value) = record.entry.parts(blocks.chain, blocks.schema())?;
            let row = Tuple::try_new([key, value.unwrap_or(State::NONE)])?;
            windows.entry(floor(record.txn.timestamp, length)).or_default().push(row.into());
        }
        Ok(windows)
    }

    /// The windows of another level, with their rows.
    async fn reduced(&self, level: u64) -> Result<BTreeMap<u64, Vec<State>>> {
        let mut windows = BTreeMap::<u64, Vec<State>>::new();
        let mut found = self.windows(level, 0, u64::MAX)?;
        while let Some(row) = found.next().await? {
            windows.insert(rows::number(&row, 1)?, vec![]);
        }
        let mut found = self.rows(level, 0, u64::MAX)?;
        while let Some(row) = found.next().await? {
            let (start, row) = (rows::number(&row, 1)?, cells(row)?);
            windows.entry(start).or_default().push(Tuple::try_new(row)?.into());
        }
        Ok(windows)
    }

    /// Takes from a level what is to be reduced now, and from the next one the rows of the windows that it belongs to:
    /// whoever takes it must [`add`](Levels::add) what becomes of it, or let the transaction fail.
    ///
    /// # Errors
    /// As [`Transaction::scan`].
    pub async fn take(&self, level: usize) -> Result<Taken> {
        let before = self.policy.due_before(level, self.txn().id().timestamp);
        let mut groups = Groups::new(self.policy.window(level + 1));
        match level {
            _ if before == 0 => {}
            0 => self.take_records(before, &mut groups).await?,
            level => self.take_rows(level as u64, before, &mut groups).await?,
        }
        let mut windows = Vec::with_capacity(groups.windows.len());
        for (start, items) in groups.windows {
            let mut all = self.take_window(level as u64 + 1, start).await?;
            all.extend(items);
            windows.push(Due { start, items: Tuple::try_new(all)? });
        }
        Ok(Taken { count: groups.count, windows })
    }

    /// Takes the records of the first blocks, as far as all of their transactions began before a time.
    async fn take_records(&self, before: u64, groups: &mut Groups) -> Result<()> {
        let (blocks, limit) = (self.blocks, TxnId { timestamp: before, nonce: 0 });
        blocks.close_before(limit).await?;
        let (mut end, mut start) = (None, blocks.start());
        while !groups.is_full()
            && let Some((block, txn)) = blocks.first_before(limit).await?
        {
            // What is wrong is kept as it is.
            start = block.after(start)?;
            let mut records = blocks.read(block.first, block.last)?;
            while let Some(record) = records.next().await? {
                let (key, value) = record.entry.parts(blocks.chain, blocks.schema())?;
                groups.add(record.txn.timestamp, key, value.unwrap_or(State::NONE))?;
            }
            blocks.fold(&block).await?;
            end = Some((block, txn));
        }
        match end {
            Some((block, txn)) => blocks.cut_off(&block, txn).await,
            None => Ok(()),
        }
    }

    /// Takes the first windows of a level, as far as they begin before a time.
    async fn take_rows(&self, level: u64, before: u64, groups: &mut Groups) -> Result<()> {
        let (mut end, mut last, mut turns) = (before, None, Turns::default());
        let mut found = self.rows(level, 0, before - 1)?;
        while let Some(row) = found.next().await? {
            let start = rows::number(&row, 1)?;
            // A window is never cut in two.
            if groups.is_full() && last != Some(start) {
                end = start;
                break;
            }
            self.txn().delete(&self.rows, &row[..ROW_KEY]).await?;
            let [key, value] = cells(row)?;
            groups.add(start, key, value)?;
            last = Some(start);
            turns.end().await;
        }
        let mut found = self.windows(level, 0, end.saturating_sub(1))?;
        while let Some(row) = found.next().await? {
            self.txn().delete(&self.windows, &Window::of_row(&row)?.key()).await?;
            turns.end().await;
        }
        match last {
            Some(_) => self.blocks.base()?.note_deleted(self.txn()).await,
            None => Ok(()),
        }
    }

    /// Takes the rows of a window as items.
    async fn take_window(&self, level: u64, start: u64) -> Result<Vec<State>> {
        let (mut found, mut items) = (self.rows(level, start, start)?, vec![]);
        while let Some(row) = found.next().await? {
            self.txn().delete(&self.rows, &row[..ROW_KEY]).await?;
            let [key, value] = cells(row)?;
            items.push(item(start, key, value)?);
        }
        Ok(items)
    }

    /// Adds to windows of a level what they were reduced to, and changes the subject if the chain is to.
    ///
    /// # Errors
    /// `BadRequest` if the subject is to have what are no rows of it; as [`Transaction::put`].
    pub async fn add(&self, level: usize, summaries: Vec<Summary>) -> Result<()> {
        let Some(first) = summaries.iter().map(|summary| summary.start).min() else { return Ok(()) };
        if self.policy.apply {
            self.blocks.apply(&self.policy.op, &summaries).await?;
        }
        for summary in summaries {
            self.add_rows(level as u64, summary).await?;
        }
        self.link(level as u64, first).await
    }

    /// Adds rows to a window, whose hash is out of date then.
    async fn add_rows(&self, level: u64, summary: Summary) -> Result<()> {
        let Summary { start, items, rows } = summary;
        let replaced = hash(&items.into());
        let (txn, new) = (self.txn(), Window { level, start, ..Window::default() });
        let window = match txn.get(&self.windows, &new.key()).await? {
            Some(row) => Window::of_row(&row)?,
            None => new,
        };
        let window = Window { replaced: digest(&[window.replaced, replaced]), ..window };
        txn.put(&self.windows, &window.row()).await?;
        let range = rows::range_below(&self.rows, &[level], start, start)?;
        let next = match rows::last(txn, &self.rows, range).await? {
            Some(row) => rows::number(&row, 2)? + 1,
            None => 0,
        };
        let mut turns = Turns::default();
        for (position, [key, value]) in (next..).zip(rows) {
            txn.put(&self.rows, &[level.into(), start.into(), position.into(), key, value]).await?;
            turns.end().await;
        }
        Ok(())
    }

    /// Computes the hashes of the windows of a level again, from that which begins at `from` on.
    async fn link(&self, level: u64, from: u64) -> Result<()> {
        let (mut previous, mut turns) = (self.hash_before(level, from).await?, Turns::default());
        let mut found = self.windows(level, from, u64::MAX)?;
        while let Some(row) = found.next().await? {
            let mut window = Window::of_row(&row)?;
            window.previous = previous.unwrap_or(window.previous);
            window.hash = window.digest(self.hash_of_rows(&window).await?.0);
            self.txn().put(&self.windows, &window.row()).await?;
            previous = Some(window.hash);
            turns.end().await;
        }
        Ok(())
    }

    /// The hash of the last window of a level which begins before `start`.
    async fn hash_before(&self, level: u64, start: u64) -> Result<Option<Hash>> {
        let Some(last) = start.checked_sub(1) else { return Ok(None) };
        let range = rows::range_below(&self.windows, &[level], 0, last)?;
        let row = rows::last(self.txn(), &self.windows, range).await?;
        row.map(|row| Ok(Window::of_row(&row)?.hash)).transpose()
    }

    /// The hash of the rows of a window, and how many there are.
    async fn hash_of_rows(&self, window: &Window) -> Result<(Hash, u64)> {
        let (mut hasher, mut count) = (Sha256::new(), 0);
        let mut found = self.rows(window.level, window.start, window.start)?;
        while let Some(row) = found.next().await? {
            hasher.update(hash(&Tuple::try_new(cells(row)?)?.into()));
            count += 1;
        }
        Ok((hasher.finalize().into(), count))
    }

    /// Checks the hash and the links of every window, and that there are no other rows.
    ///
    /// # Errors
    /// `Internal` that names the first window that is not what it was.
    pub(super) async fn verify(&self) -> Result<()> {
        let (mut last, mut count, mut turns): (Option<Window>, u64, _) = (None, 0, Turns::default());
        let mut found = Rows::new(self.txn(), &self.windows, KeyRange::all());
        while let Some(row) = found.next().await? {
            let window = Window::of_row(&row)?;
            let (rows, length) = self.hash_of_rows(&window).await?;
            let follows = last.as_ref().is_none_or(|last| last.level != window.level || last.hash == window.previous);
            if !follows || window.digest(rows) != window.hash {
                let (level, start) = (window.level, seconds(window.start));
                let message = format!("the window of level {level} from second {start} on is not what it was");
                return Err(Error::internal(message));
            }
            count += length;
            last = Some(window);
            turns.end().await;
        }
        let mut found = Rows::new(self.txn(), &self.rows, KeyRange::all());
        while found.next().await?.is_some() {
            let Some(left) = count.checked_sub(1) else {
                return Err(Error::internal("there are rows that belong to no window"));
            };
            count = left;
            turns.end().await;
        }
        Ok(())
    }
}

/// The key and the value of a row of a window.
fn cells(mut row: Vec<State>) -> Result<[State; 2]> {
    let damaged = |_| Error::internal("a row of a window is damaged");
    row.split_off(ROW_KEY.min(row.len())).try_into().map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(items: impl Into<Box<[State]>>) -> State {
        Tuple::try_new(items).unwrap().into()
    }

    fn due() -> Due {
        Due { start: 60 * NANOS, items: Tuple::try_new([item(61 * NANOS, State::NONE, 5i64.into()).unwrap()]).unwrap() }
    }

    #[test]
    fn items_are_grouped_by_the_windows_they_are_in() {
        let mut groups = Groups::new(60 * NANOS);
        for (nanos, value) in [(59 * NANOS, 1i64), (60 * NANOS, 2), (120 * NANOS - 1, 3), (10 * NANOS, 4)] {
            groups.add(nanos, "a".into(), value.into()).unwrap();
        }
        assert_eq!(groups.count, 4);
        assert_eq!(groups.bytes, groups.windows.values().flatten().map(State::weight).sum::<u64>());
        let values = |start: u64| -> Vec<State> {
            let value = |item: &State| match item {
                State::Tuple(item) => item.items()[2].clone(),
                other => panic!("{other:?}"),
            };
            groups.windows[&start].iter().map(value).collect()
        };
        // In the order in which they came.
        assert_eq!(groups.windows.keys().copied().collect::<Vec<_>>(), [0, 60 * NANOS]);
        assert_eq!(values(0), [1i64, 4].map(State::from));
        assert_eq!(values(60 * NANOS), [2i64, 3].map(State::from));
    }

    #[test]
    fn seconds_are_exact_where_they_are_whole() {
        assert_eq!(seconds(1_700_000_000 * NANOS), 1_700_000_000.0);
        assert_eq!(seconds(4_294_967_295 * NANOS), 4_294_967_295.0);
        assert_eq!(seconds(1_500_000_000), 1.5);
        assert_eq!(due().args(0.5)[1..], [State::from(60.0), 0.5.into()]);
    }

    #[test]
    fn a_result_is_a_list_of_pairs() {
        let pairs =
            [tuple([State::NONE, 5i64.into()]), tuple([tuple([State::from("a")]), tuple([1i64, 2].map(State::from))])];
        let summary = due().summary(&"/sum", &tuple(pairs)).unwrap();
        assert_eq!(summary.start, 60 * NANOS);
        assert_eq!(summary.rows[0], [State::NONE, 5i64.into()]);
        assert_eq!(summary.rows.len(), 2);
        assert_eq!(summary.items(), Ok(vec![(&State::NONE, &State::from(5i64))]));
        assert!(due().summary(&"/sum", &tuple(Vec::new())).unwrap().rows.is_empty());

        let map = crate::value::Map::try_new([("a".into(), State::from(1i64))]).unwrap();
        let odd = [
            State::NONE,
            5i64.into(),
            map.clone().into(),
            tuple([State::from(5i64)]),
            tuple([tuple([State::from("a")])]),
            tuple([tuple(["a", "b", "c"].map(State::from))]),
            tuple([tuple([State::from("a"), map.into()])]),
        ];
        for result in odd {
            let error = due().summary(&"/sum", &result).unwrap_err();
            assert!(error.kind() == crate::error::Kind::BadRequest && error.message().contains("/sum"), "{result:?}");
        }
    }

    #[test]
    fn a_window_reads_back() {
        let window = Window { level: 1, start: NANOS, previous: [1; 32], replaced: [2; 32], hash: [3; 32] };
        assert_eq!(Window::of_row(&window.row()), Ok(window.clone()));
        let other = Window { replaced: [4; 32], ..window.clone() };
        assert_ne!(window.digest([5; 32]), other.digest([5; 32]));
    }
}
