//! Reading: rows by key, blocks by range, through caches of any size.

use futures::{FutureExt as _, StreamExt as _};
use parquet::file::statistics::Statistics;

use super::*;

#[tokio::test]
async fn rows_are_found_by_key_with_any_cache_and_on_disk_too() {
    let root = tempfile::tempdir().unwrap();
    let even: Vec<u64> = (0..5000).map(|id| 2 * id).collect();
    for objects in [open_object_store(None).unwrap(), open_object_store(Some(root.path())).unwrap()] {
        for cache_bytes in [0, 5 << 10, LARGE] {
            let store = store_on(&objects, cache_bytes);
            let segment = write(&store, 1, &even, small(512)).await;
            assert_eq!((segment.meta().rows, segment.meta().tombstones), (5000, 0));
            for id in (0..10_050).step_by(97) {
                let found = segment.get(&people(), &key(id)).await.unwrap();
                let is_there = id % 2 == 0 && id < 10_000;
                assert_eq!(found, is_there.then(|| Found::Row(person(id))), "{id}");
                assert_eq!(segment.is_tombstone(&key(id)).await.unwrap(), is_there.then_some(false));
            }
            let stats = store.cache().stats();
            assert!(stats.bytes <= cache_bytes);
        }
    }
}

#[tokio::test]
async fn what_is_cached_is_found_without_waiting() {
    let store = store(LARGE);
    let segment = write(&store, 1, &(0..2000).collect::<Vec<_>>(), small(512)).await;
    segment.get(&people(), &key(700)).await.unwrap();
    let schema = people();
    let hot_key = key(701);
    let hot = segment.get(&schema, &hot_key).now_or_never().expect("the block is cached");
    assert_eq!(hot.unwrap(), Some(Found::Row(person(701))));
    let missing = [&hot_key[..], &[0]].concat();
    assert_eq!(segment.get(&schema, &missing).now_or_never().expect("the keys are cached").unwrap(), None);
    let all = collect(&segment, BlockScan::new(KeyRange::all(), all_of(&schema))).await.unwrap();
    let again = segment.blocks(BlockScan::new(KeyRange::all(), all_of(&schema)));
    let again: Vec<_> = again.collect::<Vec<_>>().now_or_never().expect("all blocks are cached");
    assert_eq!(again.len(), all.len());
}

#[tokio::test]
async fn a_key_that_is_not_there_mostly_costs_a_filter_and_no_column() {
    let objects = open_object_store(None).unwrap();
    let even: Vec<u64> = (0..5000).map(|id| 2 * id).collect();
    let written = write(&store_on(&objects, 0), 1, &even, small(8192)).await;
    let mut spared = 0;
    for id in 0..100 {
        let store = store_on(&objects, LARGE);
        let segment = store.open(written.meta().clone(), &people());
        assert_eq!(segment.get(&people(), &key(20 * id + 1)).await.unwrap(), None);
        // The footer and the filter were read; else keys too.
        spared += usize::from(store.cache().stats().entries == 2);
    }
    assert!(spared >= 90, "{spared}");
}

#[tokio::test]
async fn blocks_are_cut_to_a_range_in_both_directions() {
    let even: Vec<u64> = (0..3000).map(|id| 2 * id).collect();
    for cache_bytes in [0, LARGE] {
        let store = store(cache_bytes);
        let segment = write(&store, 1, &even, small(256)).await;
        let edges = [(0, 6000), (0, 1), (1, 2), (511, 513), (512, 513), (100, 4000), (5998, 7000), (6000, 7000)];
        for (start, end) in edges {
            for is_reverse in [false, true] {
                let scan = BlockScan { is_reverse, ..BlockScan::new(range(start, end), all_of(&people())) };
                let mut blocks = collect(&segment, scan).await.unwrap();
                assert!(blocks.iter().all(|block| block.rows() > 0 && block.rows() <= 256));
                if is_reverse {
                    blocks.reverse();
                }
                let expected: Vec<u64> = even.iter().copied().filter(|id| (start..end).contains(id)).collect();
                assert_eq!(ids(&blocks), expected, "{start}..{end}");
                for block in &blocks {
                    let expected: Vec<_> = ids(std::slice::from_ref(block)).into_iter().map(person).collect();
                    assert_eq!(cells(&people(), &[0, 1, 2], &block.batch), expected);
                }
            }
        }
    }
}

#[tokio::test]
async fn only_what_is_wanted_comes() {
    let store = store(LARGE);
    let segment = write(&store, 1, &(0..1000).collect::<Vec<_>>(), small(300)).await;
    let wanted = Wanted::try_new(&people(), vec![2, 0]).unwrap().with_keys().with_seqs();
    let segment = segment.committed(77, 1);
    assert_eq!((segment.meta().seq, segment.meta().ordinal), (77, 1));
    let blocks = collect(&segment, BlockScan::new(range(250, 650), wanted)).await.unwrap();
    assert_eq!(blocks.iter().map(Block::rows).collect::<Vec<_>>(), [50, 300, 50]);
    let block = &blocks[2];
    assert_eq!(block.key(0).unwrap(), key(600));
    assert_eq!(block.key(50), None);
    assert_eq!(block.lower_bound(&key(0)), Some(0));
    assert_eq!(block.lower_bound(&key(610)), Some(10));
    assert_eq!(block.lower_bound(&key(700)), Some(50));
    assert_eq!(block.seqs.as_ref().unwrap().values().to_vec(), [77; 50]);
    assert_eq!(block.deleted, None);
    let slice = block.slice(3..5);
    assert_eq!((slice.rows(), slice.key(1).unwrap()), (2, &key(604)[..]));
    let expected = [[State::NONE, State::from(603u64)], [State::from(302.0), State::from(604u64)]];
    assert_eq!(cells(&people(), &[2, 0], &slice.batch), expected);

    let none = Wanted::try_new(&people(), vec![]).unwrap();
    let blocks = collect(&segment, BlockScan::new(KeyRange::all(), none)).await.unwrap();
    assert_eq!(blocks.iter().map(Block::rows).sum::<usize>(), 1000);
    assert!(blocks.iter().all(|block| block.keys.is_none() && block.seqs.is_none()));
    assert!(Wanted::try_new(&people(), vec![3]).is_err());
}

#[tokio::test]
async fn blocks_that_are_pruned_are_not_read() {
    let store = store(LARGE);
    let segment = write(&store, 1, &(0..1000).collect::<Vec<_>>(), small(100)).await;
    // By the statistics of the column of scores, which is found by its slot.
    let prune: Prune = Arc::new(|footer: &Footer| {
        let position = footer.position(&people(), 2).unwrap();
        let groups = footer.metadata().row_groups().iter();
        let least = |statistics: &Statistics| match statistics {
            Statistics::Double(scores) => *scores.min_opt().unwrap(),
            other => panic!("{other:?}"),
        };
        groups.map(|group| least(group.column(position).statistics().unwrap()) >= 400.0).collect()
    });
    let scan = BlockScan { prune: Some(prune), ..BlockScan::new(KeyRange::all(), all_of(&people())) };
    let blocks = collect(&segment, scan).await.unwrap();
    assert_eq!(ids(&blocks), (800..1000).collect::<Vec<_>>());
    assert_eq!(blocks.iter().map(|block| block.number).collect::<Vec<_>>(), [8, 9]);

    // An answer that is too short leaves nothing out.
    let scan = BlockScan {
        prune: Some(Arc::new(|_: &Footer| vec![false])),
        ..BlockScan::new(range(0, 300), all_of(&people()))
    };
    assert_eq!(ids(&collect(&segment, scan).await.unwrap()), (100..300).collect::<Vec<_>>());
}

/// A table whose column `b` was dropped, and that got another `b` and a `c` since.
fn altered() -> Arc<Schema> {
    let mut schema = Schema::clone(&people());
    let text = Column { slot: 2, default: State::from("new"), ..column("name", ColumnType::String) };
    let number = Column { slot: 3, ..nullable("rank", ColumnType::Number(NumberClass::U64)) };
    schema.columns[1] = text;
    schema.columns.push(number);
    Arc::new(schema)
}

#[tokio::test]
async fn columns_that_were_added_later_are_what_they_are_by_default() {
    for cache_bytes in [0, LARGE] {
        let store = store(cache_bytes);
        let segment = write(&store, 1, &(0..1000).collect::<Vec<_>>(), small(300)).await;
        assert_eq!(segment.meta().slots, [0, 1]);
        let schema = altered();
        let row = |id: u64| {
            let score = person(id).remove(2);
            vec![State::from(id), State::from("new"), score, State::NONE]
        };
        for id in [0, 1, 500, 999] {
            assert_eq!(segment.get(&schema, &key(id)).await.unwrap(), Some(Found::Row(row(id))));
        }
        let scan = BlockScan::new(range(290, 310), Wanted::try_new(&schema, vec![3, 1, 0, 2]).unwrap());
        let blocks = collect(&segment, scan).await.unwrap();
        assert_eq!(blocks.len(), 2);
        let read: Vec<_> = blocks.iter().flat_map(|block| cells(&schema, &[3, 1, 0, 2], &block.batch)).collect();
        let expected = (290..310).map(|id| {
            let row = row(id);
            [3, 1, 0, 2].map(|column| row[column].clone()).to_vec()
        });
        assert_eq!(read, expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn only_one_block_is_read_where_one_is_enough() {
    let store = store(LARGE);
    let segment = write(&store, 1, &(0..1000).collect::<Vec<_>>(), small(100)).await;
    let before = store.cache().stats().entries;
    let mut blocks = segment.blocks(BlockScan::new(KeyRange::all(), all_of(&people())));
    assert_eq!(blocks.next().await.unwrap().unwrap().rows(), 100);
    drop(blocks);
    assert_eq!(store.cache().stats().entries - before, 3);
}

#[test]
fn without_a_runtime_everything_is_done_in_place() {
    let store = store(LARGE);
    let reads = async {
        let segment = write(&store, 1, &(0..1000).collect::<Vec<_>>(), small(100)).await;
        let blocks = collect(&segment, BlockScan::new(KeyRange::all(), all_of(&people()))).await.unwrap();
        assert_eq!(ids(&blocks), (0..1000).collect::<Vec<_>>());
    };
    reads.now_or_never().expect("nothing waits for another thread");
}
