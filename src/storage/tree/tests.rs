use std::ops::Bound;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use futures::FutureExt as _;
use futures::executor::block_on;
use proptest::prelude::*;

use super::sample::{Event, KEYS, Rows, World, columns, event, schemas};
use super::*;
use crate::storage::cache::Part;
use crate::storage::codec::sample::{column, schema};
use crate::storage::codec::{encode_key, encode_payload};
use crate::storage::memtable::Memtable;
use crate::value::NumberClass;
use crate::value::schema::{ColumnType, TreeId};

const CACHE: u64 = 64 << 20;

/// Commits a row for each key.
fn puts(keys: impl IntoIterator<Item = u16>) -> Vec<(u16, bool)> {
    keys.into_iter().map(|key| (key, true)).collect()
}

/// A world with keys of two parts.
fn world(block_rows: usize) -> World {
    World::new(&schemas()[0], block_rows, CACHE)
}

/// The keys of the rows from `start` to `end`.
fn between(world: &World, start: u16, end: u16) -> KeyRange {
    KeyRange { start: Bound::Included(world.key(start)), end: Bound::Excluded(world.key(end)) }
}

fn all(columns: Vec<usize>, batch_rows: usize) -> TreeScan {
    TreeScan { columns, batch_rows, ..TreeScan::default() }
}

#[derive(Clone, Debug)]
struct Question {
    start: (u16, u8, bool),
    end: (u16, u8, bool),
    reverse: bool,
    limit: Option<u64>,
    batch_rows: usize,
    parts: usize,
}

fn question() -> impl Strategy<Value = Question> {
    let bound = || (0..KEYS, 0..3_u8, any::<bool>());
    let limit = prop_oneof![2 => Just(None), 1 => (0..20_u64).prop_map(Some)];
    (bound(), bound(), any::<bool>(), limit, 1..12_usize, 1..6_usize).prop_map(
        |(start, end, reverse, limit, batch_rows, parts)| Question { start, end, reverse, limit, batch_rows, parts },
    )
}

/// What a scan should give.
fn expected(rows: &Rows, scan: &TreeScan) -> Vec<Vec<State>> {
    let project = |row: &Vec<State>| scan.columns.iter().map(|at| row[*at].clone()).collect();
    let mut found: Vec<Vec<State>> =
        rows.iter().filter(|(key, _)| scan.range.contains(key)).map(|(_, row)| project(row)).collect();
    if scan.reverse {
        found.reverse();
    }
    found.truncate(scan.limit.map_or(usize::MAX, |limit| limit as usize));
    found
}

fn check_question(world: &World, source: &Source, rows: &Rows, question: &Question, columns: &[usize]) {
    let Question { start, end, reverse, limit, batch_rows, parts } = question.clone();
    let range = KeyRange { start: world.bound(start), end: world.bound(end) };
    let scan = TreeScan { range: range.clone(), columns: columns.to_vec(), reverse, limit, batch_rows, prune: None };
    assert_eq!(world.scan(source, scan.clone()), expected(rows, &scan));

    let whole = TreeScan { reverse: false, limit: None, ..scan };
    let count = expected(rows, &whole).len() as u64;
    let estimate = source.estimate(&range);
    assert!(count <= estimate.rows_max, "{count} rows, but {estimate:?}");
    assert!(!estimate.is_exact || count == estimate.rows_max, "{count} rows, but {estimate:?}");

    let parts_found = source.split(&range, parts);
    assert!((1..=parts).contains(&parts_found.len()));
    let in_parts = parts_found.into_iter().flat_map(|range| {
        let part = TreeScan { range, ..whole.clone() };
        world.scan(source, part)
    });
    assert_eq!(in_parts.collect::<Vec<_>>(), expected(rows, &whole));
}

fn check_look_ups(world: &World, source: &Source, rows: &Rows) {
    for n in 0..KEYS {
        let key = world.key(n);
        assert_eq!(block_on(source.get(&world.schema, &key)).unwrap().as_ref(), rows.get(&key), "{n}");
        assert_eq!(block_on(source.contains(&key)).unwrap(), rows.contains_key(&key), "{n}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn scans_and_look_ups_agree_with_a_model(
        events in prop::collection::vec(event(), 0..16),
        later in prop::collection::vec(event(), 0..4),
        schema_at in 0..2_usize,
        block_rows in 1..8_usize,
        is_cached in prop::bool::weighted(0.8),
        questions in prop::collection::vec(question(), 4),
        wanted in columns(&schemas()[0]),
    ) {
        let schema = &schemas()[schema_at];
        let mut world = World::new(schema, block_rows, if is_cached { CACHE } else { 0 });
        events.iter().for_each(|event| world.happen(event));
        let (source, rows) = (world.source(), world.rows());
        // What happens later is not seen.
        later.iter().for_each(|event| world.happen(event));

        let wanted: Vec<usize> = wanted.into_iter().filter(|column| *column < schema.columns.len()).collect();
        check_look_ups(&world, &source, &rows);
        for question in &questions {
            check_question(&world, &source, &rows, question, &wanted);
        }
        check_question(&world, &source, &rows, &questions[0], &schema.primary_columns());
    }
}

#[test]
fn a_segment_of_a_transaction_hides_older_rows_in_memory() {
    let mut world = world(4);
    world.commit(&puts(0..6));
    world.ingest(&[(1, true), (2, false), (3, true)], &[(3, true)]);
    world.commit(&[(4, false)]);
    check_look_ups(&world, &world.source(), &world.rows());
    // Now those older rows are in a segment that has newer ones, too.
    world.freeze();
    world.flush();
    assert_eq!(world.tree.segments.len(), 2);
    check_look_ups(&world, &world.source(), &world.rows());
    let scan = all(world.schema.primary_columns(), 100);
    assert_eq!(world.scan(&world.source(), scan.clone()), expected(&world.rows(), &scan));
}

/// The places in memory of the numbers in the last column of each batch.
fn places(batches: &[RecordBatch]) -> Vec<*const i64> {
    let last =
        |batch: &RecordBatch| batch.column(batch.num_columns() - 1).as_primitive::<Int64Type>().values().as_ptr();
    batches.iter().map(last).collect()
}

#[test]
fn blocks_that_are_alone_pass_without_a_copy_and_without_their_keys() {
    let mut world = world(10);
    world.commit(&puts(0..100));
    world.freeze();
    world.flush();
    // One row in the sixth block changes.
    world.commit(&[(55, true)]);
    let segment = Arc::clone(&world.tree.segments[0]);
    let number = world.schema.position("number").unwrap();

    let scan = all(vec![number], 10);
    let batches: Vec<RecordBatch> = block_on(world.source().scan(&world.schema, scan).try_collect()).unwrap();
    let read = async {
        let (footer, wanted) = (segment.footer().await?, Wanted::try_new(&world.schema, vec![number])?);
        let mut blocks = vec![];
        for number in 0..footer.blocks().len() {
            blocks.push(segment.read(&footer, number, &wanted).await?.batch);
        }
        Ok::<_, Error>(blocks)
    };
    let blocks = block_on(read).unwrap();
    assert_eq!(blocks.len(), 10);
    let (found, stored) = (places(&batches), places(&blocks));
    for block in [0, 1, 2, 3, 4, 6, 7, 8, 9] {
        assert!(found.contains(&stored[block]), "block {block} was copied");
    }
    let has_keys = |block: u32| world.store.cache().get(segment.meta().id, Part::Keys(block)).is_some();
    assert_eq!((0..10).filter(|block| has_keys(*block)).collect::<Vec<_>>(), [5]);
}

#[test]
fn a_slice_of_a_long_block_is_not_copied_either() {
    let mut world = world(1000);
    world.commit(&puts(0..1000));
    world.freeze();
    world.flush();
    world.commit(&[(500, true)]);
    let number = world.schema.position("number").unwrap();
    let scan = all(vec![number], 100);
    let batches: Vec<RecordBatch> = block_on(world.source().scan(&world.schema, scan).try_collect()).unwrap();
    let first = places(&batches)[0];
    let offset = |place: &*const i64| (*place as usize).wrapping_sub(first as usize) / size_of::<i64>();
    let whole = places(&batches).iter().map(offset).filter(|offset| *offset < 1000).count();
    assert!(whole >= batches.len() - 2, "{whole} of {} batches are slices of the block", batches.len());
}

#[test]
fn what_is_in_memory_is_there_at_the_first_poll() {
    let mut world = world(4);
    world.commit(&puts(0..20));
    world.freeze();
    world.flush();
    world.commit(&puts(20..30));
    world.write(&[(35, true)]);
    let source = world.source();
    let scan = TreeScan { range: between(&world, 20, 40), ..all(vec![0, 3], 100) };
    let batch = source.scan(&world.schema, scan).next().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(batch.num_rows(), 11);
    for n in [25, 35, 39] {
        let found = source.get(&world.schema, &world.key(n)).now_or_never().unwrap().unwrap();
        assert_eq!(found.is_some(), n < 39);
    }
    // What is in a segment, once it was read.
    block_on(source.get(&world.schema, &world.key(3))).unwrap();
    assert!(source.get(&world.schema, &world.key(3)).now_or_never().unwrap().unwrap().is_some());
    assert!(source.contains(&world.key(3)).now_or_never().unwrap().unwrap());
}

/// A tree with one number as its key and a text, and some rows in memory.
fn texts(rows: impl IntoIterator<Item = (i64, Option<String>)>) -> (Arc<Schema>, Source) {
    let key = column("id", ColumnType::Number(NumberClass::I64));
    let schema = Arc::new(schema(vec![key], vec![column("text", ColumnType::String)]));
    let memtable = Memtable::new();
    for (id, text) in rows {
        let key = encode_key(schema.key(), &[State::from(id)]).unwrap();
        let payload = text.map(|text| encode_payload(&schema, &[State::from(id), State::from(text)]).unwrap());
        memtable.put(key.into(), 1, payload.map(Payload::from));
    }
    let tree = TreeVersion { active: Arc::new(memtable), ..TreeVersion::new(TreeId(1), Arc::clone(&schema)) };
    (schema, Source { tree: Some(Arc::new(tree)), overlay: Overlay::default(), seq: 1 })
}

#[test]
fn a_long_scan_lets_others_run() {
    let (schema, source) = texts((0..70_000).map(|id| (id, (id == 69_999).then(|| "last".to_string()))));
    let mut batches = source.scan(&schema, all(vec![0], 100));
    assert!(batches.next().now_or_never().is_none());
    assert_eq!(block_on(batches.next()).unwrap().unwrap().num_rows(), 1);
    assert!(block_on(batches.next()).is_none());
}

#[test]
fn wide_rows_make_small_batches() {
    let (schema, source) = texts((0..40).map(|id| (id, Some("x".repeat(1 << 20)))));
    let batches: Vec<RecordBatch> = block_on(source.scan(&schema, all(vec![0, 1], 100)).try_collect()).unwrap();
    assert!(batches.len() > 2);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 40);
}

#[test]
fn a_block_of_no_interest_is_left_out_unless_it_hides_something() {
    let mut world = world(4);
    world.commit(&puts((0..10).chain(30..34)));
    world.freeze();
    world.flush();
    world.commit(&[(5, false)]);
    world.commit(&puts(20..24));
    world.freeze();
    world.flush();
    let prune: Prune = Arc::new(|footer: &Footer| vec![false; footer.blocks().len()]);
    for reverse in [false, true] {
        let scan = TreeScan { prune: Some(Arc::clone(&prune)), reverse, ..all(vec![0, 1], 100) };
        let found = world.scan(&world.source(), scan);
        let numbered = |n: u16| [State::from(i64::from(n / 3)), State::from(format!("{n:05}"))];
        let has = |n: u16| found.iter().any(|row| row[..] == numbered(n));
        assert!(!has(5), "a deleted row is back");
        assert!(has(4) && has(7), "a block was left out that may hide something");
        for n in [1, 2, 23] {
            assert!(!has(n), "row {n} is of no interest");
        }
    }
}

#[test]
fn counts_are_exact_where_nothing_overlaps() {
    let mut world = world(5);
    let count = |world: &World, range: &KeyRange| {
        let Estimate { rows_max, is_exact, .. } = world.source().estimate(range);
        (rows_max, is_exact)
    };
    assert_eq!(count(&world, &KeyRange::all()), (0, true));
    world.commit(&puts(0..20));
    assert_eq!(count(&world, &KeyRange::all()), (20, true));
    world.freeze();
    world.flush();
    assert_eq!(count(&world, &KeyRange::all()), (20, true));
    // Five rows are a block.
    assert_eq!(count(&world, &between(&world, 5, 10)), (5, true));
    assert_eq!(count(&world, &between(&world, 6, 10)), (5, false));
    world.commit(&puts(20..25));
    assert_eq!(count(&world, &KeyRange::all()), (25, true));
    world.commit(&[(3, false)]);
    assert_eq!(count(&world, &KeyRange::all()), (25, false));
    assert_eq!(count(&world, &between(&world, 20, 30)), (5, true));
    assert_eq!(count(&world, &KeyRange::empty()), (0, true));
}

#[test]
fn parts_are_about_equal() {
    #[track_caller]
    fn check(world: &World, rows: usize, slack: usize) {
        let source = world.source();
        let parts = source.split(&KeyRange::all(), 4);
        assert_eq!(parts.len(), 4);
        for range in parts {
            let count = world.scan(&source, TreeScan { range, ..TreeScan::default() }).len();
            assert!(count.abs_diff(rows / 4) <= slack, "a part of {rows} rows has {count}");
        }
    }
    let mut memory = world(10);
    memory.commit(&puts(0..10_000));
    check(&memory, 10_000, 600);
    // With a footer that is known, and with one that is not.
    for cache_bytes in [CACHE, 0] {
        let mut world = World::new(&schemas()[0], 10, cache_bytes);
        world.commit(&puts(0..1000));
        world.freeze();
        world.flush();
        check(&world, 1000, 50);
    }
    assert_eq!(world(10).source().split(&KeyRange::all(), 8), [KeyRange::all()]);
}

#[test]
fn a_whole_key_is_looked_up_and_a_part_of_one_is_not() {
    let world = world(4);
    let key = world.key(7);
    assert_eq!(only_key(&world.schema, &KeyRange::point(key.clone())), Some(key.as_slice()));
    assert_eq!(only_key(&world.schema, &KeyRange::prefix(key.clone())), Some(key.as_slice()));
    let part = encode_key(world.schema.key(), &[State::from(2_i64)]).unwrap();
    assert_eq!(only_key(&world.schema, &KeyRange::prefix(part)), None);
    assert_eq!(only_key(&world.schema, &KeyRange::all()), None);
}

#[test]
fn an_event_can_be_anything() {
    // The property above says little if its events do nothing.
    let mut world = world(3);
    let events = [
        Event::Commit(puts(0..9)),
        Event::Freeze,
        Event::Flush,
        Event::Ingest(puts(3..5), vec![(4, false)]),
        Event::Merge(7),
        Event::Write(puts(8..12)),
        Event::Spill,
    ];
    events.iter().for_each(|event| world.happen(event));
    assert_eq!((world.tree.segments.len(), world.overlay.segments.len(), world.overlay.writes.len()), (1, 1, 0));
    assert_eq!(world.rows().len(), 11);
    check_look_ups(&world, &world.source(), &world.rows());
}
