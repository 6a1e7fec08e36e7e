//! A script for each anomaly: two or three transactions, step by step. Either the store puts them in an order, or it
//! refuses one of them.
//!
//! The names are those of H. Berenson et al., "A Critique of ANSI SQL Isolation Levels" (1995), and of A. Fekete et
//! al., "A Read-Only Transaction Anomaly Under Snapshot Isolation" (2004).

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;
use futures::executor::block_on;
use tinychain::error::{Kind, Result};
use tinychain::storage::codec::{KeyRange, encode_key};
use tinychain::storage::{Scan, Store, StoreConfig, Transaction};
use tinychain::txn::TxnId;
use tinychain::value::Table;
use tinychain::value::schema::Index;

use super::session::{all, int, integer, number_of, scan, table_of};

const PATH: &str = "/test/account";
const BYTES: u64 = 64 << 20;

/// A table of accounts: an id, an amount, and the zone that it is in; with an index of zones, then amounts.
struct Bank {
    store: Arc<Store>,
    table: Arc<Table>,
    begun: AtomicU64,
}

impl Bank {
    /// Accounts 1 to 4, with 10, 20, 30 and 40; the odd ones in zone 1, the others in zone 2.
    fn open() -> Self {
        let bank = Self::empty(vec![Index { name: "by_zone".into(), columns: vec![2, 1], unique: false }]);
        let txn = bank.begin();
        for id in 1..=4 {
            bank.put(&txn, id, 10 * id, 2 - id % 2);
        }
        block_on(txn.commit()).unwrap();
        bank
    }

    fn empty(indexes: Vec<Index>) -> Self {
        block_on(async {
            let store = Store::open(StoreConfig::memory()).await.unwrap();
            let txn = Transaction::new(Arc::clone(&store), TxnId { timestamp: 0, nonce: 0 }, BYTES);
            let columns = vec![integer("id"), integer("amount"), integer("zone")];
            let table = txn.create_table(PATH, table_of(columns, 1, indexes)).await.unwrap();
            txn.commit().await.unwrap();
            Self { store, table, begun: AtomicU64::new(1) }
        })
    }

    fn begin(&self) -> Transaction {
        self.begin_with(BYTES)
    }

    fn begin_with(&self, bytes: u64) -> Transaction {
        let timestamp = self.begun.fetch_add(1, Ordering::Relaxed);
        Transaction::new(Arc::clone(&self.store), TxnId { timestamp, nonce: 0 }, bytes)
    }

    /// The amount of an account, or 0 if there is none.
    fn get(&self, txn: &Transaction, id: u64) -> u64 {
        let row = block_on(txn.get(&self.table, &[int(id)])).unwrap();
        row.map_or(0, |row| number_of(&row[1]))
    }

    fn put(&self, txn: &Transaction, id: u64, amount: u64, zone: u64) {
        block_on(txn.put(&self.table, &[int(id), int(amount), int(zone)])).unwrap();
    }

    fn insert(&self, txn: &Transaction, id: u64, amount: u64, zone: u64) -> bool {
        block_on(txn.insert(&self.table, &[int(id), int(amount), int(zone)])).unwrap()
    }

    fn delete(&self, txn: &Transaction, id: u64) -> bool {
        block_on(txn.delete(&self.table, &[int(id)])).unwrap()
    }

    /// The ids of the accounts from one to another, both included.
    fn ids(&self, txn: &Transaction, from: u64, to: u64) -> Vec<u64> {
        self.first_ids(txn, from, to, None)
    }

    fn first_ids(&self, txn: &Transaction, from: u64, to: u64, limit: Option<u64>) -> Vec<u64> {
        let key = |id| encode_key(self.table.schema.key(), &[int(id)]).unwrap();
        let range = KeyRange { start: Bound::Included(key(from)), end: Bound::Included(key(to)) };
        self.scan(txn, Scan { range, limit, columns: vec![0], ..all() })
    }

    /// The ids of the accounts in a zone, in the order of their amounts.
    fn zone(&self, txn: &Transaction, zone: u64) -> Vec<u64> {
        let range = KeyRange::prefix(encode_key([&self.table.schema.columns[2]], &[int(zone)]).unwrap());
        self.scan(txn, Scan { index: Some(0), range, columns: vec![0], ..all() })
    }

    /// How many accounts there are, as the executor counts them.
    fn count(&self, txn: &Transaction) -> u64 {
        let estimate = txn.estimate(&self.table, None, &KeyRange::all());
        if !estimate.is_exact {
            return self.scan(txn, Scan { columns: vec![0], ..all() }).len() as u64;
        }
        txn.note_read(&self.table);
        estimate.rows_max
    }

    fn scan(&self, txn: &Transaction, wanted: Scan) -> Vec<u64> {
        let rows = block_on(scan(txn, &self.table, wanted)).unwrap();
        rows.iter().map(|row| number_of(&row[0])).collect()
    }

    /// The amounts of all accounts now, by their ids.
    fn amounts(&self) -> Vec<(u64, u64)> {
        let txn = self.begin();
        let rows = block_on(scan(&txn, &self.table, Scan { columns: vec![0, 1], ..all() })).unwrap();
        rows.iter().map(|row| (number_of(&row[0]), number_of(&row[1]))).collect()
    }
}

#[track_caller]
fn commits(txn: &Transaction) {
    let outcome = block_on(txn.commit());
    assert!(outcome.is_ok(), "{outcome:?}");
}

/// The transaction must be refused because of another one.
#[track_caller]
fn conflicts(txn: &Transaction) {
    check_conflict(block_on(txn.commit()));
}

#[track_caller]
fn check_conflict<T: std::fmt::Debug>(outcome: Result<T>) {
    match outcome {
        Err(error) => {
            assert_eq!(error.kind(), Kind::Conflict, "{error}");
            assert!(error.message().contains(PATH), "it names what conflicts: {error}");
        }
        Ok(done) => panic!("it was committed: {done:?}"),
    }
}

#[test]
fn dirty_write() {
    let bank = Bank::empty(vec![]);
    let (one, two) = (bank.begin(), bank.begin());
    bank.put(&one, 1, 11, 1);
    bank.put(&two, 1, 12, 1);
    bank.put(&two, 2, 22, 1);
    bank.put(&one, 2, 21, 1);
    // Nobody has read anything, so they come in the order of their commits, each as a whole.
    commits(&two);
    commits(&one);
    assert_eq!(bank.amounts(), [(1, 11), (2, 21)]);
}

#[test]
fn dirty_write_with_an_index() {
    // An index is kept right by reading the old row, so one of the two is refused.
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    bank.put(&one, 1, 11, 1);
    bank.put(&two, 1, 12, 2);
    bank.put(&two, 2, 22, 2);
    bank.put(&one, 2, 21, 1);
    commits(&two);
    conflicts(&one);
    let txn = bank.begin();
    assert_eq!((bank.zone(&txn, 1), bank.zone(&txn, 2)), (vec![3], vec![1, 2, 4]));
}

#[test]
fn dirty_read() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    bank.put(&one, 1, 99, 1);
    assert!(bank.delete(&one, 2));
    assert_eq!((bank.get(&two, 1), bank.get(&two, 2)), (10, 20));
    assert_eq!((bank.ids(&two, 1, 9), bank.zone(&two, 1), bank.count(&two)), (vec![1, 2, 3, 4], vec![1, 3], 4));
    drop(one);
    commits(&two);
    assert_eq!(bank.amounts(), [(1, 10), (2, 20), (3, 30), (4, 40)]);
}

#[test]
fn intermediate_read() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    bank.put(&one, 1, 11, 1);
    assert_eq!(bank.get(&two, 1), 10);
    bank.put(&one, 1, 12, 1);
    commits(&one);
    assert_eq!(bank.get(&two, 1), 10);
    commits(&two);
    assert_eq!(bank.get(&bank.begin(), 1), 12);
}

#[test]
fn circular_information_flow() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    bank.put(&one, 1, 11, 1);
    bank.put(&two, 2, 22, 2);
    assert_eq!((bank.get(&one, 2), bank.get(&two, 1)), (20, 10));
    commits(&one);
    conflicts(&two);
}

#[test]
fn lost_update() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    let amounts = (bank.get(&one, 1), bank.get(&two, 1));
    bank.put(&one, 1, amounts.0 + 1, 1);
    bank.put(&two, 1, amounts.1 + 2, 1);
    commits(&one);
    conflicts(&two);
    // Tried again, it sees what the other one wrote.
    let two = bank.begin();
    bank.put(&two, 1, bank.get(&two, 1) + 2, 1);
    commits(&two);
    assert_eq!(bank.get(&bank.begin(), 1), 13);
}

#[test]
fn cursor_lost_update() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    let mut cursor = one.scan(&bank.table, Scan { columns: vec![0, 1], ..all() });
    let first = block_on(cursor.next()).unwrap().unwrap();
    assert_eq!(first.num_rows(), 4);
    bank.put(&two, 3, 31, 1);
    commits(&two);
    // The cursor still shows what there was, and what is written because of that is refused.
    assert_eq!(bank.get(&one, 3), 30);
    bank.put(&one, 3, 32, 1);
    drop(cursor);
    conflicts(&one);
    assert_eq!(bank.get(&bank.begin(), 3), 31);
}

#[test]
fn fractured_read() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    assert_eq!(bank.get(&one, 1), 10);
    bank.put(&two, 1, 0, 1);
    bank.put(&two, 2, 30, 2);
    commits(&two);
    assert_eq!(bank.get(&one, 2), 20);
    // Whoever only reads may commit: it came first.
    commits(&one);
}

#[test]
fn fractured_read_that_writes() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    let sum = bank.get(&one, 1);
    bank.put(&two, 1, 0, 1);
    bank.put(&two, 2, 30, 2);
    commits(&two);
    bank.put(&one, 9, sum + bank.get(&one, 2), 1);
    conflicts(&one);
}

#[test]
fn write_skew() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    let sum = |txn: &Transaction| bank.get(txn, 1) + bank.get(txn, 2);
    assert_eq!((sum(&one), sum(&two)), (30, 30));
    bank.put(&one, 1, 0, 1);
    bank.put(&two, 2, 0, 2);
    commits(&two);
    conflicts(&one);
    assert_eq!(sum(&bank.begin()), 10);
}

#[test]
fn read_only_anomaly() {
    // Checking and savings are empty. One deposits 20 in savings; another withdraws 10 from checking, with a charge
    // of 1 if the sum is too small, which is recorded as 11 here; a report between the two must not show an order in
    // which the charge makes no sense.
    let bank = Bank::empty(vec![]);
    let (withdrawal, deposit) = (bank.begin(), bank.begin());
    assert_eq!((bank.get(&withdrawal, 1), bank.get(&withdrawal, 2)), (0, 0));
    assert_eq!(bank.get(&deposit, 2), 0);
    bank.put(&deposit, 2, 20, 1);
    commits(&deposit);
    let report = bank.begin();
    assert_eq!((bank.get(&report, 1), bank.get(&report, 2)), (0, 20));
    commits(&report);
    bank.put(&withdrawal, 1, 11, 1);
    conflicts(&withdrawal);
}

#[test]
fn phantom_in_a_range() {
    for (id, is_inside) in [(2, true), (5, true), (7, true), (8, false), (1, false)] {
        let bank = Bank::empty(vec![]);
        let (one, two) = (bank.begin(), bank.begin());
        assert_eq!(bank.ids(&one, 2, 7), Vec::<u64>::new());
        assert!(bank.insert(&two, id, 1, 1));
        commits(&two);
        assert_eq!(bank.ids(&one, 2, 7), Vec::<u64>::new());
        bank.put(&one, 100, 0, 1);
        if is_inside { conflicts(&one) } else { commits(&one) }
    }
}

#[test]
fn phantom_that_goes_away() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    assert_eq!(bank.ids(&one, 2, 3), [2, 3]);
    assert!(bank.delete(&two, 3));
    commits(&two);
    assert_eq!(bank.ids(&one, 2, 3), [2, 3]);
    bank.put(&one, 9, 0, 1);
    conflicts(&one);
}

#[test]
fn phantom_in_an_index() {
    type Step = fn(&Bank, &Transaction);
    let steps: [(Step, bool); 6] = [
        (|bank, txn| assert!(bank.insert(txn, 5, 50, 1)), true),
        (|bank, txn| assert!(bank.insert(txn, 5, 50, 2)), false),
        // Rows that move into the zone, out of it, and within it.
        (|bank, txn| bank.put(txn, 2, 20, 1), true),
        (|bank, txn| bank.put(txn, 3, 30, 2), true),
        (|bank, txn| bank.put(txn, 3, 31, 1), true),
        (|bank, txn| assert!(bank.delete(txn, 4)), false),
    ];
    for (number, (step, is_inside)) in steps.into_iter().enumerate() {
        let bank = Bank::open();
        let (one, two) = (bank.begin(), bank.begin());
        assert_eq!(bank.zone(&one, 1), [1, 3]);
        step(&bank, &two);
        commits(&two);
        assert_eq!(bank.zone(&one, 1), [1, 3]);
        // What is written stays away from what the other one wrote.
        bank.put(&one, 100, 0, 7);
        let outcome = block_on(one.commit());
        match is_inside {
            true => check_conflict(outcome),
            false => assert!(outcome.is_ok(), "step {number}: {outcome:?}"),
        }
    }
}

#[test]
fn phantom_in_a_count() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    assert_eq!((bank.count(&one), bank.count(&two)), (4, 4));
    assert!(bank.insert(&one, 5, bank.count(&one), 1));
    assert!(bank.insert(&two, 6, bank.count(&two), 1));
    assert_eq!((bank.count(&one), bank.count(&two)), (5, 5));
    commits(&one);
    conflicts(&two);
}

#[test]
fn phantom_before_the_end_of_a_limit() {
    for (id, is_inside) in [(2, true), (0, true), (4, false), (9, false)] {
        let bank = Bank::empty(vec![]);
        let txn = bank.begin();
        for id in [1, 3, 5] {
            bank.put(&txn, id, 0, 1);
        }
        commits(&txn);
        let (one, two) = (bank.begin(), bank.begin());
        assert_eq!(bank.first_ids(&one, 0, 100, Some(2)), [1, 3]);
        assert!(bank.insert(&two, id, 0, 1));
        commits(&two);
        bank.put(&one, 100, 0, 1);
        if is_inside { conflicts(&one) } else { commits(&one) }
    }
}

#[test]
fn phantom_after_the_end_of_what_there_is() {
    let bank = Bank::open();
    let (one, two) = (bank.begin(), bank.begin());
    // There are fewer than were asked for, so all of the range was read.
    assert_eq!(bank.first_ids(&one, 3, 100, Some(9)), [3, 4]);
    assert!(bank.insert(&two, 50, 0, 1));
    commits(&two);
    bank.put(&one, 200, 0, 1);
    conflicts(&one);
}

#[test]
fn two_who_see_that_a_row_is_not_there() {
    let bank = Bank::empty(vec![]);
    let (one, two) = (bank.begin(), bank.begin());
    assert!(bank.insert(&one, 1, 1, 1) && bank.insert(&two, 1, 2, 1));
    commits(&one);
    conflicts(&two);
    let (one, two) = (bank.begin(), bank.begin());
    assert!(!bank.insert(&one, 1, 3, 1));
    assert!(bank.delete(&two, 1));
    commits(&two);
    bank.put(&one, 2, 0, 1);
    conflicts(&one);
}

#[test]
fn two_rows_with_one_unique_value() {
    let bank = Bank::empty(vec![Index { name: "one_amount".into(), columns: vec![1], unique: true }]);
    let (one, two, three) = (bank.begin(), bank.begin(), bank.begin());
    assert!(bank.insert(&one, 1, 7, 1) && bank.insert(&two, 2, 7, 1) && bank.insert(&three, 3, 8, 1));
    commits(&one);
    conflicts(&two);
    commits(&three);
    assert_eq!(bank.amounts(), [(1, 7), (3, 8)]);
}

#[test]
fn a_table_that_is_emptied() {
    let bank = Bank::open();
    let (one, two, blind) = (bank.begin(), bank.begin(), bank.begin());
    assert_eq!(bank.get(&one, 1), 10);
    assert_eq!(block_on(two.get(&bank.table, &[int(4)])).unwrap().unwrap()[1], int(40));
    block_on(one.clear(&bank.table)).unwrap();
    // To empty a table reads nothing of it.
    block_on(blind.clear(&bank.table)).unwrap();
    commits(&one);
    commits(&blind);
    bank.put(&two, 9, 0, 1);
    conflicts(&two);
    assert!(bank.amounts().is_empty());
    let txn = bank.begin();
    assert_eq!(bank.zone(&txn, 1), Vec::<u64>::new());
}

#[test]
fn what_goes_to_segments_conflicts_like_what_does_not() {
    let bank = Bank::empty(vec![]);
    let (one, two) = (bank.begin(), bank.begin_with(100));
    assert_eq!(bank.ids(&one, 50, 60), Vec::<u64>::new());
    // So little memory that all of it is in segments when it is committed.
    for id in [1, 55, 99] {
        bank.put(&two, id, 0, 1);
    }
    commits(&two);
    assert_eq!(bank.ids(&one, 50, 60), Vec::<u64>::new());
    bank.put(&one, 200, 0, 1);
    conflicts(&one);
    assert_eq!(bank.amounts(), [(1, 0), (55, 0), (99, 0)]);
}

#[test]
fn a_table_that_is_dropped_or_changed() {
    let bank = Bank::empty(vec![]);
    let (one, two) = (bank.begin(), bank.begin());
    bank.put(&one, 1, 1, 1);
    let mut schema = bank.table.schema.as_ref().clone();
    schema.indexes.push(Index { name: "by_zone".into(), columns: vec![2], unique: false });
    block_on(two.alter_table(PATH, schema)).unwrap();
    commits(&two);
    // Otherwise the row would have no entry in the index.
    conflicts(&one);

    let (one, two) = (bank.begin(), bank.begin());
    let table = block_on(one.table(PATH)).unwrap().unwrap();
    block_on(one.put(&table, &[int(1), int(1), int(1)])).unwrap();
    assert!(block_on(two.drop_table(PATH)).unwrap());
    commits(&two);
    conflicts(&one);
    assert!(block_on(bank.begin().table(PATH)).unwrap().is_none());
}

#[test]
fn two_who_create_one_table() {
    let bank = Bank::empty(vec![]);
    let (one, two) = (bank.begin(), bank.begin());
    let path = "/test/account/other";
    for txn in [&one, &two] {
        block_on(txn.create_table(path, table_of(vec![integer("id")], 1, vec![]))).unwrap();
    }
    commits(&two);
    conflicts(&one);
    assert_eq!(block_on(bank.begin().tables("/test/")).unwrap().len(), 2);
}

#[test]
fn a_list_of_tables_is_read_too() {
    let bank = Bank::empty(vec![]);
    let (one, two) = (bank.begin(), bank.begin());
    assert_eq!(block_on(one.tables("/test/account")).unwrap().len(), 1);
    block_on(two.create_table("/test/account/new", table_of(vec![integer("id")], 1, vec![]))).unwrap();
    commits(&two);
    bank.put(&one, 1, 1, 1);
    conflicts(&one);
}

#[test]
fn whoever_only_reads_or_only_writes_is_never_refused() {
    let bank = Bank::empty(vec![]);
    let (reader, writer, other) = (bank.begin(), bank.begin(), bank.begin());
    assert_eq!(bank.ids(&reader, 0, 100), Vec::<u64>::new());
    bank.put(&writer, 1, 1, 1);
    bank.put(&other, 1, 2, 1);
    commits(&other);
    commits(&writer);
    assert_eq!(block_on(reader.commit()).unwrap(), None);
    assert_eq!(bank.amounts(), [(1, 1)]);
}

#[test]
fn a_transaction_ends_once() {
    let bank = Bank::open();
    let txn = bank.begin();
    bank.put(&txn, 1, 11, 1);
    commits(&txn);
    assert_eq!(block_on(txn.commit()).unwrap_err().kind(), Kind::BadRequest);
    assert_eq!(block_on(txn.put(&bank.table, &[int(1), int(1), int(1)])).unwrap_err().kind(), Kind::BadRequest);
    let row = block_on(bank.begin().get(&bank.table, &[int(1)])).unwrap();
    assert_eq!(row, Some(vec![int(1), int(11), int(1)]));
}
