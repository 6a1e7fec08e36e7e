//! Writing: what is in the file, what is refused, and who deletes it.

use arrow::array::new_null_array;
use arrow::datatypes::DataType;
use futures::FutureExt as _;
use object_store::ObjectStoreExt as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::*;
use crate::storage::codec::RowBuilder;
use crate::storage::codec::sample::{any_column, row_of};
use crate::storage::files::{list_segments, segment_path};

#[tokio::test]
async fn other_readers_of_parquet_can_read_a_segment() {
    let store = store(LARGE);
    write(&store, 1, &(0..1000).collect::<Vec<_>>(), small(300)).await;
    let bytes = store.objects().get(&segment_path(1)).await.unwrap().bytes().await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let names: Vec<_> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "name", "score", "_seq"]);
    let metadata = Arc::clone(reader.metadata());
    assert_eq!(metadata.num_row_groups(), 4);
    let sorting = metadata.row_group(0).sorting_columns().unwrap();
    assert_eq!((sorting.len(), sorting[0].column_idx), (1, 0));
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    let pair = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
    assert_eq!(pair("tinychain:format").as_deref(), Some("1"));
    assert_eq!(pair("tinychain:tree").as_deref(), Some("3"));
    let rows: Vec<_> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
    let rows: Vec<_> =
        rows.iter().flat_map(|rows| cells(&people(), &[0, 1, 2], &rows.project(&[0, 1, 2]).unwrap())).collect();
    assert_eq!(rows, (0..1000).map(person).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_pushed_is_no_file() {
    let store = store(LARGE);
    let mut writer = store.writer(1, TREE, &people(), WriterOptions::default()).unwrap();
    let empty = batch(&[]);
    let none = keys(&people(), &empty);
    writer.push(empty, None, None, &none).await.unwrap();
    assert_eq!(writer.finish().await.unwrap(), None);
    assert!(list_segments(&**store.objects()).await.unwrap().is_empty());
}

#[tokio::test]
async fn rows_out_of_order_are_refused_and_leave_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = store_on(&open_object_store(Some(root.path())).unwrap(), LARGE);
    for ids in [&[1, 3, 2][..], &[1, 1], &[5, 4]] {
        let mut writer = store.writer(1, TREE, &people(), WriterOptions::default()).unwrap();
        let mut pushed = Ok(());
        for id in ids {
            let batch = batch(&[*id]);
            let keys = keys(&people(), &batch);
            pushed = pushed.and(writer.push(batch, None, None, &keys).await);
        }
        let error = pushed.unwrap_err();
        assert_eq!(error.message(), "rows of tree 3 are not in the order of their keys", "{ids:?}");
        let batch = batch(ids);
        let keys = keys(&people(), &batch);
        let mut writer = store.writer(1, TREE, &people(), WriterOptions::default()).unwrap();
        assert!(writer.push(batch, None, None, &keys).await.is_err());
        writer.abort().await;
    }
    assert!(list_segments(&**store.objects()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let store = store(LARGE);
    let mut writer = store.writer(1, TREE, &people(), WriterOptions::default()).unwrap();
    let (two, one) = (batch(&[1, 2]), batch(&[1]));
    let (two_keys, one_key) = (keys(&people(), &two), keys(&people(), &one));
    assert!(writer.push(two.clone(), None, None, &one_key).await.is_err());
    assert!(writer.push(two.project(&[0, 1]).unwrap(), None, None, &two_keys).await.is_err());
    let deleted = BooleanArray::from(vec![true, false]);
    let error = writer.push(two.clone(), Some(deleted), None, &two_keys).await.unwrap_err();
    assert!(error.message().contains("a tombstone came"), "{error}");
    // Whoever says that nothing was deleted may say so.
    writer.push(two, Some(BooleanArray::from(vec![false, false])), None, &two_keys).await.unwrap();
}

#[tokio::test]
async fn tombstones_and_the_commits_of_rows_are_kept() {
    let store = store(LARGE);
    let schema = people();
    let options = WriterOptions { block_rows: 100, ..WriterOptions::with_tombstones() };
    let mut writer = store.writer(1, TREE, &schema, options).unwrap();
    for start in [0u64, 100, 200] {
        let ids: Vec<u64> = (start..start + 100).collect();
        let batch = batch(&ids);
        let keys = keys(&schema, &batch);
        // In the second hundred, every seventh is gone, and has nothing in its columns.
        let is_gone: Vec<bool> = ids.iter().map(|id| start == 100 && id % 7 == 0).collect();
        let gone = BooleanArray::from(is_gone.clone());
        let values = arrow::compute::nullif(batch.column(1), &gone).unwrap();
        let nothing = new_null_array(&DataType::Float64, 100);
        let columns = vec![Arc::clone(batch.column(0)), values, nothing];
        let fields = file_fields(&schema);
        let batch = RecordBatch::try_new(fields, columns).unwrap();
        let seqs = UInt64Array::from_iter(ids.iter().map(|id| (id % 2 == 0).then_some(1000 + id)));
        let deleted = (start == 100).then_some(gone);
        writer.push(batch, deleted, Some(seqs), &keys).await.unwrap();
    }
    assert_eq!(writer.rows(), 300);
    let meta = writer.finish().await.unwrap().unwrap();
    assert_eq!((meta.rows, meta.tombstones, meta.seq), (300, 14, 1298));
    let segment = store.open(meta, &schema);
    assert_eq!(segment.get(&schema, &key(105)).await.unwrap(), Some(Found::Deleted));
    assert_eq!(segment.is_tombstone(&key(105)).await.unwrap(), Some(true));
    let row = vec![State::from(106u64), State::from(name(106)), State::NONE];
    assert_eq!(segment.get(&schema, &key(106)).await.unwrap(), Some(Found::Row(row)));

    let blocks = collect(&segment, BlockScan::new(KeyRange::all(), all_of(&schema).with_seqs())).await.unwrap();
    assert!(blocks[0].deleted.is_none() && blocks[2].deleted.is_none());
    let deleted = blocks[1].deleted.as_ref().unwrap();
    let gone: Vec<u64> = (0..100).filter(|row| deleted.value(*row)).map(|row| 100 + row as u64).collect();
    assert_eq!(gone, (100..200).filter(|id| id % 7 == 0).collect::<Vec<_>>());
    assert!(blocks[1].batch.column(1).is_null(5));
    let seqs = blocks[1].seqs.as_ref().unwrap();
    assert_eq!((seqs.value(0), seqs.value(1)), (1100, 1298));
}

/// The fields of a schema, all nullable.
fn file_fields(schema: &Schema) -> arrow::datatypes::SchemaRef {
    let fields = arrow_schema(schema);
    let fields = fields.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
}

#[tokio::test]
async fn wide_rows_make_small_blocks() {
    let store = store(LARGE);
    let options = WriterOptions { block_bytes: 4 << 10, ..WriterOptions::default() };
    let segment = write(&store, 1, &(0..1000).collect::<Vec<_>>(), options).await;
    let footer = segment.footer().await.unwrap();
    assert!(footer.blocks().len() > 10 && footer.blocks().iter().all(|block| block.rows < 100));
    let blocks = collect(&segment, BlockScan::new(KeyRange::all(), all_of(&people()))).await.unwrap();
    assert_eq!(ids(&blocks), (0..1000).collect::<Vec<_>>());
    // Rows that are larger than a block have one each.
    let options = WriterOptions { block_bytes: 1, ..WriterOptions::default() };
    let segment = write(&store, 2, &(0..20).collect::<Vec<_>>(), options).await;
    assert_eq!(segment.footer().await.unwrap().blocks().len(), 20);
}

#[tokio::test]
async fn columns_may_be_named_like_ours() {
    let store = store(LARGE);
    let mut schema = Schema::clone(&people());
    (schema.columns[0].name, schema.columns[1].name) = ("_seq".into(), "_deleted".into());
    let schema = Arc::new(schema);
    let mut writer = store.writer(1, TREE, &schema, WriterOptions::with_tombstones()).unwrap();
    let batch = batch(&[1, 2]);
    let keys = keys(&schema, &batch);
    writer.push(batch, None, None, &keys).await.unwrap();
    let segment = store.open(writer.finish().await.unwrap().unwrap(), &schema);
    assert_eq!(segment.get(&schema, &key(2)).await.unwrap(), Some(Found::Row(person(2))));
}

#[tokio::test]
async fn the_file_of_a_segment_lives_as_long_as_its_last_reader() {
    let store = store(LARGE);
    let segment = write(&store, 1, &(0..1000).collect::<Vec<_>>(), small(100)).await;
    write(&store, 2, &[1], small(100)).await;
    let committed = segment.committed(5, 0);
    let mut scan = committed.blocks(BlockScan::new(KeyRange::all(), all_of(&people())));
    assert!(scan.try_next().await.unwrap().is_some());
    segment.mark_garbage();
    drop(segment);
    drop(committed);
    // The scan goes on.
    let rest: Vec<Block> = scan.try_collect().await.unwrap();
    assert_eq!(rest.len(), 9);
    while list_segments(&**store.objects()).await.unwrap() != [2] {
        tokio::task::yield_now().await;
    }
    // The other segment was dropped too, but is none that nobody needs.
    assert_eq!(list_segments(&**store.objects()).await.unwrap(), [2]);
}

#[tokio::test]
async fn fences_divide_a_segment_into_parts_of_about_one_size() {
    let store = store(LARGE);
    let segment = write(&store, 1, &(0..10_000).collect::<Vec<_>>(), small(100)).await;
    let meta = segment.meta();
    assert_eq!(meta.rows_max_in(&KeyRange::all()), 10_000);
    assert_eq!(meta.rows_max_in(&range(20_000, 30_000)), 0);
    let half = meta.rows_max_in(&range(0, 5000));
    assert!((5000..=5400).contains(&half), "{half}");
    let fences = &meta.fences;
    assert!(fences.windows(2).all(|pair| pair[1].row - pair[0].row == fences[1].row));
    assert_eq!(fences[1].key, key(fences[1].row));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any rows of any columns are found again by their keys, and in order.
    #[test]
    fn rows_of_all_types_read_back((schema, rows) in table()) {
        let schema = Arc::new(schema);
        let key_of = |row: &Vec<State>| encode_key(schema.key(), &row[..schema.key_len]).unwrap();
        let mut sorted: Vec<(Vec<u8>, Vec<State>)> = rows.into_iter().map(|row| (key_of(&row), row)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        sorted.dedup_by(|a, b| a.0 == b.0);
        let all: Vec<usize> = (0..schema.columns.len()).collect();
        let mut builder = RowBuilder::new(&schema, &all, sorted.len());
        for (_, row) in &sorted {
            builder.append_row(row).unwrap();
        }
        let batch = builder.finish().unwrap();
        let store = store(LARGE);
        let check = async {
            let mut writer = store.writer(1, TREE, &schema, small(4)).unwrap();
            writer.push(batch.clone(), None, None, &keys(&schema, &batch)).await.unwrap();
            let segment = store.open(writer.finish().await.unwrap().unwrap(), &schema);
            for (key, row) in &sorted {
                assert_eq!(segment.get(&schema, key).await.unwrap(), Some(Found::Row(row.clone())));
            }
            let blocks = collect(&segment, BlockScan::new(KeyRange::all(), all_of(&schema))).await.unwrap();
            let read: Vec<_> = blocks.iter().flat_map(|block| cells(&schema, &all, &block.batch)).collect();
            assert_eq!(read, sorted.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>());
        };
        check.now_or_never().expect("nothing waits for another thread");
    }
}

/// A table of any columns, with a few rows.
fn table() -> impl Strategy<Value = (Schema, Vec<Vec<State>>)> {
    let names = ["a", "b", "c", "d", "e"];
    let columns = prop::collection::vec(any_column(), 1..=names.len());
    let schemas = (columns, 1..3usize).prop_map(move |(columns, key_len)| {
        let named = columns.into_iter().zip(names).map(|(column, name)| Column { name: name.into(), ..column });
        let mut columns: Vec<Column> = named.collect();
        let values = columns.split_off(key_len.min(columns.len()));
        schema(columns, values)
    });
    schemas.prop_flat_map(|schema| {
        let rows = prop::collection::vec(row_of(&schema), 1..20);
        (Just(schema), rows)
    })
}
