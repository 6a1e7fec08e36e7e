//! A table is compared with a map, through any sequence of writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use proptest::prelude::*;

use super::super::sample::{Db, PLENTY, all, batch, check, row, schema};
use super::super::{Mode, Transaction};
use crate::error::Kind;
use crate::storage::load::tiny_loader;
use crate::value::sample::int;
use crate::value::schema::Table;

const NAMES: [&str; 5] = ["", "a", "b", "ba", "c"];

/// What a row has beside its id: the place of its name in [`NAMES`], and its size.
type Rest = (Option<usize>, i64);
type Model = BTreeMap<i64, Rest>;

#[derive(Clone, Debug)]
enum Op {
    Put(i64, Rest),
    Insert(i64, Rest),
    Delete(i64),
    Batch(Vec<(i64, Rest)>, bool),
    Load(Vec<(i64, Rest)>, bool),
    Clear,
    /// Commits, and goes on with another transaction.
    Commit,
    /// Gives up, and goes on with another transaction.
    Abandon,
    Checkpoint,
}

fn rest() -> impl Strategy<Value = Rest> {
    (prop::option::of(0..NAMES.len()), 0i64..3)
}

fn rows() -> impl Strategy<Value = Vec<(i64, Rest)>> {
    prop::collection::vec((0i64..12, rest()), 0..8)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0i64..12, rest()).prop_map(|(id, rest)| Op::Put(id, rest)),
        2 => (0i64..12, rest()).prop_map(|(id, rest)| Op::Insert(id, rest)),
        3 => (0i64..12).prop_map(Op::Delete),
        2 => (rows(), any::<bool>()).prop_map(|(rows, insert)| Op::Batch(rows, insert)),
        2 => (rows(), any::<bool>()).prop_map(|(rows, insert)| Op::Load(rows, insert)),
        1 => Just(Op::Clear),
        2 => Just(Op::Commit),
        1 => Just(Op::Abandon),
        1 => Just(Op::Checkpoint),
    ]
}

fn mode(insert: bool) -> Mode {
    if insert { Mode::Insert } else { Mode::Upsert }
}

fn cells(id: i64, (name, size): Rest) -> Vec<crate::value::State> {
    row(id, name.map(|name| NAMES[name]), size)
}

/// What the rows are when these are written, if that is allowed.
fn written(model: &Model, rows: &[(i64, Rest)], mode: Mode) -> Option<Model> {
    let mut next = model.clone();
    for (id, rest) in rows {
        if next.insert(*id, *rest).is_some() && mode == Mode::Insert {
            return None;
        }
    }
    let mut names: Vec<usize> = next.values().filter_map(|(name, _)| *name).collect();
    let len = names.len();
    names.sort_unstable();
    names.dedup();
    (names.len() == len).then_some(next)
}

/// Writes rows in one of the ways there are. Returns whether that was allowed.
async fn write(txn: &Transaction, table: &Arc<Table>, op: &Op) -> crate::error::Result<()> {
    let cells = |rows: &[(i64, Rest)]| rows.iter().map(|(id, rest)| cells(*id, *rest)).collect::<Vec<_>>();
    match op {
        Op::Put(id, rest) => txn.put(table, &cells(&[(*id, *rest)])[0]).await,
        Op::Batch(rows, insert) => {
            let count = txn.put_batch(table, &batch(table, &cells(rows)), mode(*insert)).await?;
            assert_eq!(count, rows.len() as u64);
            Ok(())
        }
        Op::Load(rows, insert) => {
            let mut loader = tiny_loader(txn, table, mode(*insert)).await?;
            for rows in rows.chunks(3) {
                loader.push(batch(table, &cells(rows))).await?;
            }
            assert_eq!(loader.finish().await?, rows.len() as u64);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The rows that an operation writes, all or none.
fn rows_of(op: &Op) -> Option<(Vec<(i64, Rest)>, Mode)> {
    match op {
        Op::Put(id, rest) => Some((vec![(*id, *rest)], Mode::Upsert)),
        Op::Batch(rows, insert) | Op::Load(rows, insert) => Some((rows.clone(), mode(*insert))),
        _ => None,
    }
}

async fn run(ops: Vec<Op>, bytes_max: u64) {
    let (db, table) = Db::with_table().await;
    let (mut committed, mut model) = (Model::new(), Model::new());
    let mut txn = db.begin_within(bytes_max);
    for op in &ops {
        match op {
            Op::Insert(id, rest) => {
                let is_new = !model.contains_key(id);
                let next = written(&model, &[(*id, *rest)], Mode::Upsert);
                let outcome = txn.insert(&table, &cells(*id, *rest)).await;
                match (is_new, next) {
                    (false, _) => assert!(!outcome.unwrap()),
                    (true, None) => assert_eq!(outcome.unwrap_err().kind(), Kind::BadRequest),
                    (true, Some(next)) => {
                        assert!(outcome.unwrap());
                        model = next;
                    }
                }
            }
            Op::Delete(id) => {
                assert_eq!(txn.delete(&table, &[int(*id)]).await.unwrap(), model.remove(id).is_some());
            }
            Op::Clear => {
                txn.clear(&table).await.unwrap();
                model.clear();
            }
            Op::Commit => {
                txn.commit().await.unwrap();
                committed = model.clone();
                txn = db.begin_within(bytes_max);
            }
            Op::Abandon => {
                txn = db.begin_within(bytes_max);
                model = committed.clone();
            }
            Op::Checkpoint => db.store.checkpoint().await.unwrap(),
            op => {
                let outcome = write(&txn, &table, op).await;
                match rows_of(op).and_then(|(rows, mode)| written(&model, &rows, mode)) {
                    None => assert_eq!(outcome.unwrap_err().kind(), Kind::BadRequest),
                    Some(next) => {
                        outcome.unwrap();
                        model = next;
                    }
                }
            }
        }
        let expected: Vec<_> = model.iter().map(|(id, rest)| cells(*id, *rest)).collect();
        assert_eq!(all(&txn, &table).await, expected, "after {op:?}");
        check(&txn, &table).await;
        check_diff(&txn, &committed, &model).await;
        check_changes(&txn, &table, &committed, &model).await;
    }
    drop(txn);
    let expected: Vec<_> = committed.iter().map(|(id, rest)| cells(*id, *rest)).collect();
    let db = db.reopen().await;
    assert_eq!(db.rows(&table).await, expected, "after the end");
}

/// Checks that a difference is that of the two maps.
async fn check_diff(txn: &Transaction, before: &Model, after: &Model) {
    let diffs = txn.diff(usize::MAX).await.unwrap();
    let changed: Vec<i64> = diffs.iter().flat_map(|diff| &diff.updated).map(|(_, after)| id_of(after)).collect();
    let inserted: Vec<i64> = diffs.iter().flat_map(|diff| &diff.inserted).map(|row| id_of(row)).collect();
    let deleted: Vec<i64> = diffs.iter().flat_map(|diff| &diff.deleted).map(|row| id_of(row)).collect();
    let ids = |filter: &dyn Fn(&i64) -> bool| {
        let all: std::collections::BTreeSet<i64> = before.keys().chain(after.keys()).copied().collect();
        all.into_iter().filter(filter).collect::<Vec<i64>>()
    };
    assert_eq!(inserted, ids(&|id| !before.contains_key(id)));
    assert_eq!(deleted, ids(&|id| !after.contains_key(id)));
    let differs = |id: &i64| before.contains_key(id) && after.contains_key(id) && before[id] != after[id];
    assert_eq!(changed, ids(&differs));
}

/// Checks that the changes make the second map of the first.
async fn check_changes(txn: &Transaction, table: &Table, before: &Model, after: &Model) {
    let rows = |model: &Model| model.iter().map(|(id, rest)| (*id, cells(*id, *rest))).collect::<BTreeMap<_, _>>();
    let mut found = rows(before);
    let changes = txn.changes(table, u64::MAX).await.unwrap().rows;
    let ids: Vec<i64> = changes.iter().map(|change| id_of(&change.key)).collect();
    assert!(ids.is_sorted_by(|l, r| l < r), "{ids:?}");
    for (id, change) in ids.into_iter().zip(changes) {
        match change.row {
            Some(row) => found.insert(id, row),
            None => found.remove(&id),
        };
    }
    assert_eq!(found, rows(after));
}

fn id_of(row: &[crate::value::State]) -> i64 {
    (0..12).find(|id| row[0] == int(*id)).unwrap()
}

/// The same for a collection of the transaction.
async fn run_own(ops: Vec<Op>, bytes_max: u64) {
    let db = Db::new().await;
    let txn = db.begin_within(bytes_max);
    let table = txn.create(schema());
    let mut model = Model::new();
    for op in &ops {
        if let Some((rows, mode)) = rows_of(op) {
            let outcome = write(&txn, &table, op).await;
            match written(&model, &rows, mode) {
                None => assert_eq!(outcome.unwrap_err().kind(), Kind::BadRequest),
                Some(next) => {
                    outcome.unwrap();
                    model = next;
                }
            }
        } else if let Op::Delete(id) = op {
            assert_eq!(txn.delete(&table, &[int(*id)]).await.unwrap(), model.remove(id).is_some());
        } else if let Op::Clear = op {
            txn.clear(&table).await.unwrap();
            model.clear();
        }
        let expected: Vec<_> = model.iter().map(|(id, rest)| cells(*id, *rest)).collect();
        assert_eq!(all(&txn, &table).await, expected, "after {op:?}");
        check(&txn, &table).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_is_a_map(ops in prop::collection::vec(op(), 1..24), has_memory: bool) {
        block_on(run(ops, if has_memory { PLENTY } else { 0 }));
    }

    #[test]
    fn a_collection_of_a_transaction_is_a_map(ops in prop::collection::vec(op(), 1..24), has_memory: bool) {
        block_on(run_own(ops, if has_memory { PLENTY } else { 0 }));
    }
}
