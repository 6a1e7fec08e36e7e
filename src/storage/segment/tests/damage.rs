//! Files that are not as they were written are noticed, whatever is read of them.

use object_store::ObjectStoreExt as _;

use super::*;
use crate::error::Kind;
use crate::storage::files::segment_path;

/// Reads everything by every way.
async fn read(segment: &Arc<Segment>) -> Result<Vec<Vec<State>>> {
    let blocks = collect(segment, BlockScan::new(KeyRange::all(), all_of(&people()).with_seqs())).await?;
    for id in (1..200).step_by(20) {
        // Odd ones are not there, so that filters are asked; their block is not cached with a cache of nothing.
        segment.get(&people(), &key(id)).await?;
        segment.get(&people(), &key(id - 1)).await?;
    }
    Ok(blocks.iter().flat_map(|block| cells(&people(), &[0, 1, 2], &block.batch)).collect())
}

#[tokio::test]
async fn a_turned_bit_is_noticed_or_does_not_matter() {
    let objects = open_object_store(None).unwrap();
    let even: Vec<u64> = (0..100).map(|id| 2 * id).collect();
    let written = write(&store_on(&objects, 0), 1, &even, small(30)).await;
    let meta = written.meta().clone();
    let good = objects.get(&segment_path(1)).await.unwrap().bytes().await.unwrap();
    let expected: Vec<_> = even.iter().map(|id| person(*id)).collect();
    let (mut noticed, mut tried) = (0, 0);
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1 << (at % 8);
        objects.put(&segment_path(1), bytes.into()).await.unwrap();
        let segment = store_on(&objects, 0).open(meta.clone(), &people());
        tried += 1;
        match read(&segment).await {
            Ok(rows) => assert_eq!(rows, expected, "byte {at}"),
            Err(error) => {
                noticed += 1;
                assert_eq!(error.kind(), Kind::Internal);
                assert!(error.message().starts_with("segments/00000000000000000001.parquet is damaged"), "{error}");
            }
        }
    }
    // What no reader looks at are the first letters and nothing else.
    assert!(noticed + 2 >= tried, "{noticed} of {tried}");
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_missing_is_named() {
    let objects = open_object_store(None).unwrap();
    let written = write(&store_on(&objects, 0), 1, &(0..100).collect::<Vec<_>>(), small(30)).await;
    let meta = written.meta().clone();
    let good = objects.get(&segment_path(1)).await.unwrap().bytes().await.unwrap();
    for len in [0, 3, good.len() / 2, good.len() - 1] {
        objects.put(&segment_path(1), good.slice(..len).into()).await.unwrap();
        let segment = store_on(&objects, 0).open(meta.clone(), &people());
        let error = read(&segment).await.unwrap_err();
        assert!(error.message().contains("segments/00000000000000000001.parquet"), "{error}");
    }
    objects.delete(&segment_path(1)).await.unwrap();
    let error = read(&store_on(&objects, 0).open(meta, &people())).await.unwrap_err();
    assert_eq!(error.message(), "cannot read segments/00000000000000000001.parquet: it is missing");
}

#[tokio::test]
async fn a_file_of_another_segment_or_tree_is_refused() {
    let store = store(0);
    let one = write(&store, 1, &(0..100).collect::<Vec<_>>(), small(30)).await;
    let two = write(&store, 2, &(50..100).collect::<Vec<_>>(), small(30)).await;
    let swapped = SegmentMeta { id: 2, ..one.meta().clone() };
    assert!(store.open(swapped, &people()).footer().await.is_err());
    let elsewhere = SegmentMeta { tree: TreeId(4), ..two.meta().clone() };
    let error = store.open(elsewhere, &people()).footer().await.unwrap_err();
    assert!(error.message().contains("it has rows of tree 3 instead of 4"), "{error}");
    let longer = SegmentMeta { rows: 51, ..two.meta().clone() };
    let error = store.open(longer, &people()).footer().await.unwrap_err();
    assert!(error.message().contains("does not belong to its rows"), "{error}");
}
