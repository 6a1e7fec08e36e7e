use futures::TryStreamExt as _;
use futures::executor::block_on;
use proptest::prelude::*;

use super::*;
use crate::storage::cache::Part;
use crate::storage::tree::sample::{World, event, schemas};
use crate::value::State;

/// An entry: its key, its commit, and its row unless that was deleted.
type Entry = (Vec<u8>, u64, Option<Vec<State>>);

/// The committed entries of a world, as a merge gives them.
fn merged(world: &World, range: &KeyRange, drop_tombstones: bool) -> Vec<Entry> {
    let memtables = world.tree.memtables().cloned().collect();
    let schema = Arc::clone(&world.schema);
    let parts = entries(memtables, world.tree.segments.clone(), schema, range.clone(), drop_tombstones);
    let parts: Vec<EntryBatch> = block_on(parts.try_collect()).unwrap();
    let columns = world.schema.primary_columns();
    let of_part = |part: &EntryBatch| -> Vec<Entry> {
        let rows = part.batch.num_rows();
        assert_eq!((part.keys.len(), part.seqs.len()), (rows, rows));
        let cells = world.cells(&columns, &part.batch);
        let is_deleted = |row| part.deleted.as_ref().is_some_and(|deleted| deleted.value(row));
        let row = |(at, cells): (usize, Vec<State>)| {
            (part.keys.get(at).to_vec(), part.seqs.value(at), (!is_deleted(at)).then_some(cells))
        };
        cells.into_iter().enumerate().map(row).collect()
    };
    parts.iter().flat_map(of_part).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn entries_are_the_newest_of_each_key_with_their_commits(
        events in prop::collection::vec(event(), 0..16),
        schema_at in 0..2_usize,
        block_rows in 1..8_usize,
        start in (0..40_u16, 0..3_u8, any::<bool>()),
        end in (0..40_u16, 0..3_u8, any::<bool>()),
    ) {
        let mut world = World::new(&schemas()[schema_at], block_rows, 64 << 20);
        events.iter().for_each(|event| world.happen(event));
        let range = KeyRange { start: world.bound(start), end: world.bound(end) };
        let in_range = world.committed.iter().filter(|(key, _)| range.contains(key));
        let expected: Vec<Entry> = in_range.map(|(key, (seq, row))| (key.clone(), *seq, row.clone())).collect();
        prop_assert_eq!(merged(&world, &range, false), expected.clone());
        let live: Vec<Entry> = expected.into_iter().filter(|(_, _, row)| row.is_some()).collect();
        prop_assert_eq!(merged(&world, &range, true), live);
    }
}

#[test]
fn small_blocks_become_one_batch() {
    let mut world = World::new(&schemas()[0], 10, 64 << 20);
    world.commit(&(0..100).map(|key| (key, true)).collect::<Vec<_>>());
    world.freeze();
    world.flush();
    let parts = entries(vec![], world.tree.segments.clone(), Arc::clone(&world.schema), KeyRange::all(), true);
    let parts: Vec<EntryBatch> = block_on(parts.try_collect()).unwrap();
    assert_eq!(parts.iter().map(|part| part.keys.len()).collect::<Vec<_>>(), [100]);
    assert!(parts[0].deleted.is_none());
}

#[test]
fn a_segment_is_read_when_the_scan_reaches_it() {
    let mut world = World::new(&schemas()[0], 10, 64 << 20);
    for first in [0, 100, 200] {
        world.commit(&(first..first + 100).map(|key| (key, true)).collect::<Vec<_>>());
        world.freeze();
        world.flush();
    }
    for (reverse, expected) in [(false, vec![1]), (true, vec![1, 3])] {
        let scan = RowScan {
            inputs: world.tree.segments.iter().cloned().map(Input::Segment).collect(),
            schema: Arc::clone(&world.schema),
            range: KeyRange::all(),
            columns: vec![0],
            reverse,
            limit: Some(20),
            batch_rows: 10,
            prune: None,
        };
        let batches: Vec<RecordBatch> = block_on(rows(scan).try_collect()).unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [10, 10]);
        let is_read =
            |segment: &u64| (0..10).any(|block| world.store.cache().get(*segment, Part::Column(block, 0)).is_some());
        assert_eq!((1..=3).filter(is_read).collect::<Vec<_>>(), expected);
    }
}
