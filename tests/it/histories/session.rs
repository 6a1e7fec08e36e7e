//! Transactions of a history, as the store runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures::TryStreamExt as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tinychain::error::{Kind, Result};
use tinychain::storage::codec::{KeyRange, encode_key, rows};
use tinychain::storage::{Scan, Store, Transaction};
use tinychain::txn::TxnId;
use tinychain::value::schema::{self, Column, ColumnType, Index, Schema};
use tinychain::value::{Class, Number, NumberClass, State, Table, Value};

use super::record::{Event, History, Outcome, Place, Record};

/// Few, so that transactions meet.
const LISTS: u64 = 3;
const GROUPS: u64 = 2;
const OPS_MAX: usize = 5;
/// Elements of a transaction, of which each op writes at most one.
const ELEMENTS: u64 = 8;
/// Bytes of memory of most transactions, and of those that must write what they write to segments.
const BYTES: u64 = 64 << 20;
const FEW_BYTES: u64 = 200;

const LISTS_PATH: &str = "/test/lists";
const ORDERED_PATH: &str = "/test/ordered";
const TAGGED_PATH: &str = "/test/tagged";
/// The index of the tagged elements that is always there, and one that comes and goes.
const BY_GROUP: &str = "by_group";
const BY_NOTE: &str = "by_note";

/// A step that a transaction is to take.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Append(u64),
    Read(u64),
    ReadAll,
    Insert(Place, u64),
    Look {
        place: Place,
        group: u64,
        limit: Option<u64>,
        reverse: bool,
        fetches: bool,
    },
    Count(Place),
    /// Adds an index, or drops it.
    Alter,
}

impl Op {
    fn draw(rng: &mut StdRng) -> Self {
        let place = if rng.random_bool(0.5) { Place::Ordered } else { Place::Tagged };
        let (list, group) = (rng.random_range(0..LISTS), rng.random_range(0..GROUPS));
        match rng.random_range(0..100) {
            0..30 => Op::Append(list),
            30..50 => Op::Read(list),
            50..54 => Op::ReadAll,
            54..74 => Op::Insert(place, group),
            74..94 => {
                let limit = rng.random_bool(0.3).then(|| rng.random_range(1..6));
                let (reverse, fetches) = (rng.random_bool(0.3), rng.random_bool(0.5));
                Op::Look { place, group, limit, reverse, fetches }
            }
            94..99 => Op::Count(place),
            _ => Op::Alter,
        }
    }
}

/// The steps of a transaction.
pub fn program(rng: &mut StdRng) -> Vec<Op> {
    (0..rng.random_range(1..=OPS_MAX)).map(|_| Op::draw(rng)).collect()
}

/// What the store promises.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Isolation {
    Serializable,
    /// What is read is read by another transaction, which nobody commits. So nothing is validated, as with snapshots
    /// alone. The checks must find that.
    Unchecked,
}

/// The tables of a history.
#[derive(Clone)]
struct Tables {
    lists: Arc<Table>,
    ordered: Arc<Table>,
    tagged: Arc<Table>,
}

/// A transaction that is under way.
pub struct Session {
    writes: Transaction,
    /// Where it reads, if not where it writes.
    reads: Option<Transaction>,
    tables: Option<Tables>,
    number: u64,
    written: u64,
    events: Vec<Event>,
    began: u64,
}

impl Session {
    /// Transaction `number` of a history, which is not 0. Now is `began`.
    pub fn begin(store: &Arc<Store>, isolation: Isolation, number: u64, began: u64, is_small: bool) -> Self {
        let bytes = if is_small { FEW_BYTES } else { BYTES };
        let begin = |nonce| Transaction::new(Arc::clone(store), TxnId { timestamp: number, nonce }, bytes);
        let reads = (isolation == Isolation::Unchecked).then(|| begin(1));
        Self { writes: begin(0), reads, tables: None, number, written: 0, events: vec![], began }
    }

    /// Takes a step.
    pub async fn step(&mut self, op: Op) -> Result<()> {
        match op {
            Op::Append(list) => self.append(list).await,
            Op::Read(list) => self.read(list).await.map(drop),
            Op::ReadAll => self.read_all().await,
            Op::Insert(place, group) => self.insert(place, group).await,
            Op::Look { place, group, limit, reverse, fetches } => {
                self.look(place, group, limit, reverse, fetches).await
            }
            Op::Count(place) => self.count(place).await,
            Op::Alter if self.reads.is_some() => Ok(()),
            Op::Alter => self.alter().await,
        }
    }

    /// Commits what was written, and tells what became of the transaction. `now` is asked when that is known.
    pub async fn commit(self, now: impl FnOnce() -> u64) -> Result<Record> {
        let outcome = match self.writes.commit().await {
            Ok(seq) => Outcome::Committed(seq),
            Err(error) if error.kind() == Kind::Conflict => Outcome::Refused,
            Err(error) => return Err(error),
        };
        Ok(Record { outcome, began: self.began, ended: now(), events: self.events })
    }

    /// Gives up.
    pub fn refused(self, now: impl FnOnce() -> u64) -> Record {
        Record { outcome: Outcome::Refused, began: self.began, ended: now(), events: self.events }
    }

    fn reader(&self) -> &Transaction {
        self.reads.as_ref().unwrap_or(&self.writes)
    }

    async fn tables(&mut self) -> Result<Tables> {
        if let Some(tables) = &self.tables {
            return Ok(tables.clone());
        }
        let reader = self.reader();
        let tables = Tables {
            lists: table(reader, LISTS_PATH).await?,
            ordered: table(reader, ORDERED_PATH).await?,
            tagged: table(reader, TAGGED_PATH).await?,
        };
        self.tables = Some(tables.clone());
        Ok(tables)
    }

    fn element(&mut self) -> u64 {
        self.written += 1;
        self.number * ELEMENTS + self.written
    }

    /// What this has appended to a list, or inserted, which the reader of an unchecked transaction does not see.
    fn unseen(&self) -> &[Event] {
        if self.reads.is_some() { &self.events } else { &[] }
    }

    async fn read(&mut self, list: u64) -> Result<Vec<u64>> {
        let tables = self.tables().await?;
        let row = self.reader().get(&tables.lists, &[int(list)]).await?;
        let mut seen = row.map_or(vec![], |row| elements_of(&row[1]));
        seen.extend(self.unseen().iter().filter_map(|event| match event {
            Event::Append { list: other, element } if *other == list => Some(*element),
            _ => None,
        }));
        self.events.push(Event::Read { list, seen: seen.clone() });
        Ok(seen)
    }

    async fn append(&mut self, list: u64) -> Result<()> {
        let mut content = self.read(list).await?;
        let element = self.element();
        content.push(element);
        let tables = self.tables().await?;
        self.writes.put(&tables.lists, &[int(list), text_of(&content)]).await?;
        self.events.push(Event::Append { list, element });
        Ok(())
    }

    async fn read_all(&mut self) -> Result<()> {
        let tables = self.tables().await?;
        let found = scan(self.reader(), &tables.lists, Scan { columns: vec![0, 1], ..all() }).await?;
        let mut found: BTreeMap<u64, Vec<u64>> =
            found.iter().map(|row| (number_of(&row[0]), elements_of(&row[1]))).collect();
        for event in self.unseen() {
            if let Event::Append { list, element } = event {
                found.entry(*list).or_default().push(*element);
            }
        }
        for list in 0..LISTS {
            let seen = found.remove(&list).unwrap_or_default();
            self.events.push(Event::Read { list, seen });
        }
        Ok(())
    }

    async fn insert(&mut self, place: Place, group: u64) -> Result<()> {
        let tables = self.tables().await?;
        let element = self.element();
        match place {
            Place::Ordered => self.writes.put(&tables.ordered, &[int(group), int(element)]).await?,
            Place::Tagged => {
                let note = State::from(format!("note {}", element % 5));
                self.writes.put(&tables.tagged, &[int(element), int(group), note]).await?;
            }
        }
        self.events.push(Event::Insert { set: (place, group), element });
        Ok(())
    }

    async fn look(&mut self, place: Place, group: u64, limit: Option<u64>, reverse: bool, fetches: bool) -> Result<()> {
        let tables = self.tables().await?;
        // The unseen elements would have to be counted into the limit.
        let limit = limit.filter(|_| self.reads.is_none());
        let (table, index, columns) = match place {
            Place::Ordered => (&tables.ordered, None, vec![1]),
            Place::Tagged if fetches => (&tables.tagged, position(&tables.tagged, BY_GROUP), vec![0, 2]),
            Place::Tagged => (&tables.tagged, position(&tables.tagged, BY_GROUP), vec![0]),
        };
        let group_column = match place {
            Place::Ordered => &table.schema.columns[0],
            Place::Tagged => &table.schema.columns[1],
        };
        let range = KeyRange::prefix(encode_key([group_column], &[int(group)])?);
        let found = scan(self.reader(), table, Scan { index, range, columns, reverse, limit, ..all() }).await?;
        let found: Vec<u64> = found.iter().map(|row| number_of(&row[0])).collect();
        let is_sorted = if reverse { found.is_sorted_by(|l, r| l > r) } else { found.is_sorted_by(|l, r| l < r) };
        assert!(is_sorted, "{place:?} is not in order: {found:?}");
        let within = span(&found, limit, reverse);
        let set = (place, group);
        let mut seen: BTreeSet<u64> = found.into_iter().collect();
        seen.extend(self.unseen().iter().filter_map(|event| match event {
            Event::Insert { set: other, element } if *other == set => Some(*element),
            _ => None,
        }));
        self.events.push(Event::Look { set, within, seen });
        Ok(())
    }

    /// Counts as the executor does: without reading, where the number is known.
    async fn count(&mut self, place: Place) -> Result<()> {
        let tables = self.tables().await?;
        let table = if place == Place::Ordered { &tables.ordered } else { &tables.tagged };
        let reader = self.reader();
        let estimate = reader.estimate(table, None, &KeyRange::all());
        let mut seen = match estimate.is_exact {
            true => {
                reader.note_read(table);
                estimate.rows_max
            }
            false => scan(reader, table, Scan { columns: vec![0], ..all() }).await?.len() as u64,
        };
        let is_here = |event: &&Event| matches!(event, Event::Insert { set: (other, _), .. } if *other == place);
        seen += self.unseen().iter().filter(is_here).count() as u64;
        self.events.push(Event::Count { place, seen });
        Ok(())
    }

    async fn alter(&mut self) -> Result<()> {
        let tables = self.tables().await?;
        let mut schema = tables.tagged.schema.as_ref().clone();
        match position(&tables.tagged, BY_NOTE) {
            Some(at) => drop(schema.indexes.remove(at)),
            None => schema.indexes.push(Index { name: BY_NOTE.into(), columns: vec![2], unique: false }),
        }
        self.writes.alter_table(TAGGED_PATH, schema).await?;
        self.tables = None;
        Ok(())
    }
}

/// The elements that a search would have found.
fn span(found: &[u64], limit: Option<u64>, reverse: bool) -> RangeInclusive<u64> {
    match (found.last(), limit) {
        (Some(last), Some(limit)) if found.len() as u64 == limit && reverse => *last..=u64::MAX,
        (Some(last), Some(limit)) if found.len() as u64 == limit => 0..=*last,
        _ => 0..=u64::MAX,
    }
}

/// Makes the tables of a history.
pub async fn create_tables(store: &Arc<Store>) -> Result<()> {
    let txn = Transaction::new(Arc::clone(store), TxnId { timestamp: 0, nonce: 0 }, BYTES);
    txn.create_table(LISTS_PATH, table_of(vec![integer("list"), string("content")], 1, vec![])).await?;
    txn.create_table(ORDERED_PATH, table_of(vec![integer("group"), integer("element")], 2, vec![])).await?;
    let by_group = Index { name: BY_GROUP.into(), columns: vec![1], unique: false };
    let columns = vec![integer("element"), integer("group"), string("note")];
    txn.create_table(TAGGED_PATH, table_of(columns, 1, vec![by_group])).await?;
    txn.commit().await.map(drop)
}

/// Adds to a history what there is in the end; fails if an index does not agree with its rows.
pub async fn read_end(store: &Arc<Store>, history: &mut History) -> Result<()> {
    let txn = Transaction::new(Arc::clone(store), TxnId { timestamp: u64::MAX, nonce: 0 }, BYTES);
    let lists = table(&txn, LISTS_PATH).await?;
    for row in scan(&txn, &lists, Scan { columns: vec![0, 1], ..all() }).await? {
        history.lists.insert(number_of(&row[0]), elements_of(&row[1]));
    }
    let ordered = table(&txn, ORDERED_PATH).await?;
    for row in scan(&txn, &ordered, Scan { columns: vec![0, 1], ..all() }).await? {
        history.sets.entry((Place::Ordered, number_of(&row[0]))).or_default().insert(number_of(&row[1]));
    }
    let tagged = table(&txn, TAGGED_PATH).await?;
    let rows = scan(&txn, &tagged, Scan { columns: vec![0, 1, 2], ..all() }).await?;
    for row in &rows {
        history.sets.entry((Place::Tagged, number_of(&row[1]))).or_default().insert(number_of(&row[0]));
    }
    for index in 0..tagged.schema.indexes.len() {
        let mut found = scan(&txn, &tagged, Scan { index: Some(index), columns: vec![0, 1, 2], ..all() }).await?;
        found.sort_by_key(|row| number_of(&row[0]));
        assert!(found == rows, "index {index} has {found:?}, the rows are {rows:?}");
    }
    Ok(())
}

async fn table(txn: &Transaction, path: &str) -> Result<Arc<Table>> {
    Ok(txn.table(path).await?.expect("the table is there from the start"))
}

fn position(table: &Table, index: &str) -> Option<usize> {
    table.schema.indexes.iter().position(|other| other.name.as_str() == index)
}

/// A scan of all rows, but none of their columns.
pub fn all() -> Scan {
    Scan { index: None, range: KeyRange::all(), columns: vec![], reverse: false, limit: None, prune: None }
}

/// The rows of a scan.
pub async fn scan(txn: &Transaction, table: &Arc<Table>, scan: Scan) -> Result<Vec<Vec<State>>> {
    let columns: Vec<&Column> = scan.columns.iter().map(|column| &table.schema.columns[*column]).collect();
    let batches: Vec<_> = txn.scan(table, scan).try_collect().await?;
    let mut all = Vec::new();
    for batch in &batches {
        all.extend(rows(&columns, batch)?);
    }
    Ok(all)
}

/// The schema of a table whose first columns are its key.
pub fn table_of(columns: Vec<Column>, key_len: usize, indexes: Vec<Index>) -> Schema {
    Schema { kind: schema::Kind::Table, columns, key_len, indexes }
}

/// A column of 64-bit integers.
pub fn integer(name: &'static str) -> Column {
    let number = NumberClass::I64;
    column(name, Class::Exactly(number), ColumnType::Number(number))
}

/// A column of texts.
pub fn string(name: &'static str) -> Column {
    column(name, Class::String, ColumnType::String)
}

fn column(name: &'static str, class: Class, ty: ColumnType) -> Column {
    let default = State::NONE;
    Column { name: name.into(), class, ty, max_len: None, nullable: false, slot: 0, ordinal: 0, default }
}

/// A cell of a column of integers.
pub fn int(n: u64) -> State {
    State::from(i64::try_from(n).expect("a small number"))
}

/// The number in a cell of a column of integers.
pub fn number_of(cell: &State) -> u64 {
    match cell {
        State::Value(Value::Number(Number::I64(n))) => u64::try_from(*n).expect("a number that is not negative"),
        other => panic!("{other:?} is not an integer"),
    }
}

fn text_of(elements: &[u64]) -> State {
    let texts: Vec<String> = elements.iter().map(u64::to_string).collect();
    State::from(texts.join(","))
}

fn elements_of(cell: &State) -> Vec<u64> {
    match cell {
        State::Value(Value::String(text)) => {
            text.split(',').map(|element| element.parse().expect("a number")).collect()
        }
        other => panic!("{other:?} is not a text"),
    }
}
