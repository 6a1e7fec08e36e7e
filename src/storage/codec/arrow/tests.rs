use std::ops::Range;

use arrow::array::{ArrayRef, Float64Array, Int64Array, NullArray, RecordBatch, StringArray, StringViewArray};
use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::storage::codec::sample::{any_column, column, nullable, row_of, schema};
use crate::storage::codec::{KeyRange, decode_row, encode_key, encode_payload};
use crate::value::number::Complex64;
use crate::value::sample::{float, int, string, tuple};
use crate::value::{Number, NumberClass, State};

const I64: ColumnType = ColumnType::Number(NumberClass::I64);
const F64: ColumnType = ColumnType::Number(NumberClass::F64);

/// A schema, and up to 20 rows of it.
fn any_rows(nullable_key: bool) -> impl Strategy<Value = (Arc<Schema>, Vec<Vec<State>>)> {
    let columns = |len: Range<usize>| prop::collection::vec(any_column(), len);
    (columns(1..4), columns(0..6)).prop_flat_map(move |(mut key, values)| {
        key.iter_mut().for_each(|column| column.nullable &= nullable_key);
        let mut schema = schema(key, values);
        // Fields of a batch have different names.
        for (position, column) in schema.columns.iter_mut().enumerate() {
            column.name = format!("c{position}").parse().unwrap();
        }
        let rows = prop::collection::vec(row_of(&schema), 0..20);
        (Just(Arc::new(schema)), rows)
    })
}

fn batch_of(schema: &Arc<Schema>, rows: &[Vec<State>]) -> RecordBatch {
    let all: Vec<usize> = (0..schema.columns.len()).collect();
    let mut builder = RowBuilder::new(schema, &all, rows.len());
    for row in rows {
        builder.append_row(row).unwrap();
    }
    builder.finish().unwrap()
}

fn columns(schema: &Schema) -> Vec<&Column> {
    schema.columns.iter().collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// The cells of the only column of a batch after the cast to `column`.
#[track_caller]
fn cast(column: &Column, array: ArrayRef) -> Vec<State> {
    let batch = cast_batch(&schema(vec![], vec![column.clone()]), &batch(vec![("x", array)])).unwrap();
    rows(&[column], &batch).unwrap().concat()
}

#[track_caller]
fn refused(column: &Column, array: ArrayRef) {
    let error = cast_batch(&schema(vec![], vec![column.clone()]), &batch(vec![("x", array)])).unwrap_err();
    assert_eq!(error.kind(), Kind::BadRequest, "{error}");
    assert!(error.message().contains("column c"), "{error}");
}

#[test]
fn fields_say_class_and_slot() {
    let schema = schema(vec![column("k", I64)], vec![nullable("a", ColumnType::Any), column("b", ColumnType::String)]);
    let fields = arrow_schema(&schema);
    assert_eq!(fields.field(1).data_type(), &DataType::Utf8View);
    assert!(fields.field(1).is_nullable() && !fields.field(0).is_nullable());
    assert_eq!(fields.field(1).metadata()[CLASS], "/state/scalar/value");
    assert_eq!(fields.field(2).metadata()[SLOT], "1");
}

#[test]
fn fixed_and_other_keys_have_the_same_methods() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b\0", ""]));
    let (int, text) = (column("n", I64), column("s", ColumnType::String));
    let mut fixed = encode_batch_keys(&[&int], &[Arc::clone(&ints)]).unwrap();
    let sized = encode_batch_keys(&[&int, &text], &[ints, texts]).unwrap();
    assert_eq!((fixed.len(), sized.len()), (3, 3));
    assert_eq!(sized.get(1), encode_key([&int, &text], &[State::from(2i64), string("b\0")]).unwrap());
    assert!(sized.iter().zip(fixed.iter()).all(|(sized, fixed)| sized.starts_with(fixed)));
    assert_eq!(sized.rows_within(&KeyRange::prefix(fixed.get(1))), 1..2);
    assert_eq!(sized.rows_within(&KeyRange::all()), 0..3);
    assert_eq!(sized.rows_within(&KeyRange::prefix(b"\xff".to_vec())), 3..3);
    fixed.push(b"longer than the others");
    assert_eq!(fixed.len(), 4);
    assert_eq!(fixed.get(3), b"longer than the others");
    assert_eq!(fixed.get(0), encode_key([&int], &[State::from(1i64)]).unwrap());
    assert!(encode_batch_keys(&[], &[]).unwrap().is_empty());
}

#[test]
fn arrays_that_are_not_of_the_column_are_errors() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    assert!(encode_batch_keys(&[&column("c", ColumnType::String)], &[Arc::clone(&ints)]).is_err());
    assert!(encode_batch_keys(&[&column("c", I64)], &[Arc::clone(&ints)]).is_err());
    assert!(encode_batch_keys(&[&nullable("c", I64)], &[Arc::clone(&ints)]).is_ok());
    assert!(cell(&nullable("c", I64), &ints, 2).is_err());
    assert_eq!(cell(&nullable("c", I64), &ints, 1).unwrap(), State::NONE);
    assert_eq!(cell(&nullable("c", I64), &ints, 0).unwrap(), int(1));
}

#[test]
fn a_projection_of_nothing_counts_rows() {
    let schema = Arc::new(schema(vec![column("k", I64)], vec![]));
    let mut builder = RowBuilder::new(&schema, &[], 2);
    builder.append_row(&[int(1)]).unwrap();
    builder.append_encoded(&encode_key(schema.key(), &[int(2)]).unwrap(), &[]).unwrap();
    assert_eq!(builder.finish().unwrap().num_rows(), 2);
    assert!(builder.is_empty());
}

#[test]
fn a_none_that_may_not_be_is_an_error() {
    let schema = Arc::new(schema(vec![column("k", I64)], vec![]));
    let mut builder = RowBuilder::new(&schema, &[0], 1);
    builder.append_row(&[State::NONE]).unwrap();
    assert!(builder.finish().is_err());
}

#[test]
fn numbers_that_fit_are_cast() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, -0.0]));
    assert_eq!(cast(&column("c", I64), Arc::clone(&floats)), [int(1), int(0)]);
    assert_eq!(cast(&column("c", F64), Arc::clone(&floats)), [float(1.0), float(0.0)]);
    assert_eq!(cast(&column("c", ColumnType::String), Arc::new(Int64Array::from(vec![7]))), [string("7")]);
    assert_eq!(cast(&column("c", I64), Arc::new(StringArray::from(vec!["7"]))), [int(7)]);
    refused(&column("c", ColumnType::Number(NumberClass::U8)), Arc::new(Int64Array::from(vec![300])));
    refused(&column("c", I64), Arc::new(StringArray::from(vec!["x"])));
}

#[test]
fn complex_numbers_are_cast_from_real_ones_and_from_text() {
    let column = column("c", ColumnType::Number(NumberClass::C64));
    let number = |re, im| State::from(Number::C64(Complex64::new(re, im)));
    assert_eq!(cast(&column, Arc::new(Int64Array::from(vec![2]))), [number(2.0, 0.0)]);
    assert_eq!(cast(&column, Arc::new(StringArray::from(vec!["1-2i"]))), [number(1.0, -2.0)]);
    let narrow = sample_complex();
    assert_eq!(cast(&column, narrow), [number(1.0, 2.0)]);
}

fn sample_complex() -> ArrayRef {
    let column = column("c", ColumnType::Number(NumberClass::C32));
    let schema = Arc::new(schema(vec![], vec![column]));
    let row = vec![Number::C32(crate::value::number::Complex32::new(1.0, 2.0)).into()];
    Arc::clone(batch_of(&schema, &[row]).column(0))
}

#[test]
fn nulls_and_lengths_are_checked() {
    let nulls: ArrayRef = Arc::new(NullArray::new(1));
    for ty in [I64, F64, ColumnType::String, ColumnType::Id, ColumnType::Any, ColumnType::Number(NumberClass::C32)] {
        refused(&column("c", ty), Arc::clone(&nulls));
        assert_eq!(cast(&nullable("c", ty), Arc::clone(&nulls)), [State::NONE]);
    }
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None]));
    for ty in [ColumnType::String, ColumnType::Bytes, ColumnType::Id] {
        refused(&Column { max_len: Some(2), ..nullable("c", ty) }, Arc::clone(&texts));
        assert_eq!(cast(&Column { max_len: Some(3), ..nullable("c", ty) }, Arc::clone(&texts)).len(), 2);
    }
}

#[test]
fn texts_must_be_of_their_class() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a b"]));
    for ty in [ColumnType::Id, ColumnType::Link, ColumnType::Email, ColumnType::Version, ColumnType::Any] {
        refused(&column("c", ty), Arc::clone(&texts));
    }
    assert_eq!(cast(&column("c", ColumnType::Version), Arc::new(StringArray::from(vec!["01.2.3"]))).len(), 1);
}

#[test]
fn any_value_is_read_from_json_or_as_it_is() {
    let column = column("c", ColumnType::Any);
    let texts = StringArray::from(vec!["[1,\"a\"]", "\"b\"", "2.5"]);
    assert_eq!(cast(&column, Arc::new(texts)), [tuple([int(1), string("a")]), string("b"), float(2.5)]);
    assert_eq!(cast(&column, Arc::new(Int64Array::from(vec![5]))), [int(5)]);
}

#[test]
fn a_batch_with_too_few_columns_is_refused() {
    let schema = schema(vec![column("k", I64)], vec![column("a", I64)]);
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let error = cast_batch(&schema, &batch(vec![("k", ints)])).unwrap_err();
    assert_eq!(error.message(), "expected rows of 2 cells, not 1");
}

proptest! {
    #[test]
    fn batches_hold_the_rows_they_were_built_from((schema, expected) in any_rows(true)) {
        let batch = batch_of(&schema, &expected);
        prop_assert_eq!(&rows(&columns(&schema), &batch).unwrap(), &expected);
        let half = batch.num_rows() / 2;
        let rest = batch.slice(half, batch.num_rows() - half);
        prop_assert_eq!(&rows(&columns(&schema), &rest).unwrap()[..], &expected[half..]);
    }

    #[test]
    fn batches_are_encoded_like_their_rows((schema, expected) in any_rows(true)) {
        let batch = batch_of(&schema, &expected);
        let half = batch.num_rows() / 2;
        let batch = batch.slice(half, batch.num_rows() - half);
        let key: Vec<&Column> = schema.key().iter().collect();
        let keys = encode_batch_keys(&key, &batch.columns()[..schema.key_len]).unwrap();
        let payloads = encode_batch_payloads(&schema, &batch).unwrap();
        prop_assert_eq!((keys.len(), payloads.len()), (batch.num_rows(), batch.num_rows()));
        for (row, cells) in expected[half..].iter().enumerate() {
            prop_assert_eq!(keys.get(row), &encode_key(schema.key(), &cells[..schema.key_len]).unwrap()[..]);
            prop_assert_eq!(payloads.get(row), &encode_payload(&schema, cells).unwrap()[..]);
            prop_assert_eq!(&decode_row(&schema, keys.get(row), payloads.get(row)).unwrap(), cells);
        }
    }

    #[test]
    fn stored_rows_are_built_like_rows(
        (schema, expected) in any_rows(true),
        projection in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let projection: Vec<usize> = projection.iter().map(|index| index.index(schema.columns.len())).collect();
        let mut from_rows = RowBuilder::new(&schema, &projection, 0);
        let mut from_bytes = RowBuilder::new(&schema, &projection, 0);
        for row in &expected {
            from_rows.append_row(row).unwrap();
            let key = encode_key(schema.key(), &row[..schema.key_len]).unwrap();
            from_bytes.append_encoded(&key, &encode_payload(&schema, row).unwrap()).unwrap();
        }
        let (from_rows, from_bytes) = (from_rows.finish().unwrap(), from_bytes.finish().unwrap());
        let columns: Vec<&Column> = projection.iter().map(|position| &schema.columns[*position]).collect();
        prop_assert_eq!(rows(&columns, &from_rows).unwrap(), rows(&columns, &from_bytes).unwrap());
    }

    #[test]
    fn a_cast_to_the_same_schema_changes_nothing((schema, expected) in any_rows(false)) {
        let batch = batch_of(&schema, &expected);
        let cast = cast_batch(&schema, &batch).unwrap();
        prop_assert_eq!(rows(&columns(&schema), &cast).unwrap(), expected);
    }
}
