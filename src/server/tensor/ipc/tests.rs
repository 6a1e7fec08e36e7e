use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, RecordBatch,
    StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use futures::executor::block_on;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hyper::body::Bytes;

use super::super::sample::{elements_of, schema};
use super::{EXTENSION, EXTENSION_METADATA, SHAPE, check, decode, write};
use crate::error::{Kind, Result};
use crate::storage::codec::arrow::CLASS;
use crate::value::tensor::{Elements, Entries, Initial, Layout, Node};
use crate::value::{Number, NumberClass, State, Tensor};

const COMPLEX: &str = "/state/scalar/value/number/complex/64";

fn encode_with(schema: &SchemaRef, batches: &[RecordBatch], options: IpcWriteOptions) -> Bytes {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), schema, options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap().into()
}

fn encode((schema, batches): (SchemaRef, BoxStream<'static, Result<RecordBatch>>)) -> Bytes {
    let batches: Vec<RecordBatch> = block_on(batches.try_collect()).unwrap();
    encode_with(&schema, &batches, IpcWriteOptions::default())
}

fn pieces(all: Vec<Elements>) -> BoxStream<'static, Result<Elements>> {
    stream::iter(all.into_iter().map(Ok)).boxed()
}

/// A stream of these columns, with a shape in the metadata if one is given.
fn columns(shape: Option<&str>, columns: Vec<(Field, ArrayRef)>) -> Bytes {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let metadata: HashMap<String, String> =
        shape.map(|shape| (SHAPE.to_string(), shape.to_string())).into_iter().collect();
    let schema = Arc::new(ArrowSchema::new_with_metadata(fields, metadata));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    encode_with(&schema, &[batch], IpcWriteOptions::default())
}

fn field(name: &str, array: &ArrayRef, metadata: &[(&str, &str)]) -> Field {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
    Field::new(name, array.data_type().clone(), true).with_metadata(metadata)
}

fn column(array: impl Array + 'static, metadata: &[(&str, &str)]) -> (Field, ArrayRef) {
    let array: ArrayRef = Arc::new(array);
    (field("value", &array, metadata), array)
}

fn lists(item: DataType, size: i32, values: impl Array + 'static) -> FixedSizeListArray {
    let item: FieldRef = Arc::new(Field::new("item", item, true));
    FixedSizeListArray::new(item, size, Arc::new(values), None)
}

fn tensor(body: &Bytes) -> Arc<Tensor> {
    match decode(body).unwrap() {
        State::Tensor(tensor) => tensor,
        other => panic!("{other:?} is no tensor"),
    }
}

fn entries_of(tensor: &Tensor) -> &Entries {
    let Node::Initial(initial) = &tensor.node else { panic!("{tensor:?} is not in memory") };
    let Initial::Entries(entries) = initial.as_ref() else { panic!("{tensor:?} has no entries") };
    entries
}

#[track_caller]
fn refuse(body: &Bytes, message: &str) {
    let error = decode(body).unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::BadRequest, message));
}

#[test]
fn dense_tensors_come_back() {
    for dtype in NumberClass::ALL {
        for dims in [&[4][..], &[4, 3], &[4, 1, 2, 3]] {
            let schema = schema(Layout::Dense, dtype, dims);
            let row = schema.shape.size() as usize / 4;
            let all = Elements::from_numbers(dtype, (0..4 * row as i64).map(|n| Number::I64(n * 7)));
            let parts = vec![all.slice(0, row), all.slice(row, 3 * row)];
            let read = tensor(&encode(write::dense(&schema, pieces(parts))));
            assert_eq!((&read.schema, elements_of(&read)), (&schema, &all), "{dtype:?} {dims:?}");
        }
    }
}

#[test]
fn dense_columns_are_of_the_canonical_type() {
    let written = |dtype, dims: &[u64]| write::dense(&schema(Layout::Dense, dtype, dims), pieces(vec![])).0;
    let of = written(NumberClass::F32, &[5, 2, 3]);
    assert_eq!(of.metadata()[SHAPE], "[5,2,3]");
    let field = of.field(0);
    assert_eq!((field.name().as_str(), field.is_nullable()), ("value", false));
    assert_eq!(*field.data_type(), DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float32, false)), 6));
    assert_eq!(field.metadata()[CLASS], "/state/scalar/value/number/float/32");
    assert_eq!(field.extension_type_name(), Some("arrow.fixed_shape_tensor"));
    assert_eq!(field.extension_type_metadata(), Some(r#"{"shape":[2,3]}"#));
    assert_eq!(written(NumberClass::C64, &[5, 2]).field(0).extension_type_metadata(), Some(r#"{"shape":[2,2]}"#));
    let plain = written(NumberClass::Bool, &[5]);
    assert_eq!((plain.field(0).data_type(), plain.field(0).extension_type_name()), (&DataType::Boolean, None));
}

#[test]
fn sparse_tensors_come_back() {
    for dtype in NumberClass::ALL {
        let schema = schema(Layout::Sparse, dtype, &[4_294_967_295, 3]);
        let entries = Entries {
            offsets: [0, 5, 4_294_967_295 * 3 - 1].into(),
            values: Elements::from_numbers(dtype, [1, 2, 100].map(Number::I64)),
        };
        let read = tensor(&encode(write::sparse(&schema, entries.clone())));
        assert_eq!(read.schema, schema);
        let found = entries_of(&read);
        assert_eq!((&found.offsets, &found.values), (&entries.offsets, &entries.values), "{dtype:?}");
    }
}

#[test]
fn sparse_tensors_are_coordinates() {
    let values = Elements::from_numbers(NumberClass::I32, [5, -7].map(Number::I64));
    let entries = Entries { offsets: [1, 5].into(), values };
    let (of, batches) = write::sparse(&schema(Layout::Sparse, NumberClass::I32, &[2, 3]), entries);
    assert_eq!(of.metadata()[SHAPE], "[2,3]");
    let batches: Vec<RecordBatch> = block_on(batches.try_collect()).unwrap();
    let expected: [(&str, ArrayRef); 3] = [
        ("axis_0", Arc::new(UInt64Array::from(vec![0, 1]))),
        ("axis_1", Arc::new(UInt64Array::from(vec![1, 2]))),
        ("value", Arc::new(Int32Array::from(vec![5, -7]))),
    ];
    assert_eq!(batches.len(), 1);
    for (at, (name, column)) in expected.iter().enumerate() {
        assert_eq!((of.field(at).name().as_str(), batches[0].column(at)), (*name, column));
    }
}

#[test]
fn columns_need_no_metadata() {
    let read = tensor(&columns(None, vec![column(Int64Array::from(vec![3, -1]), &[])]));
    assert_eq!(read.schema, schema(Layout::Dense, NumberClass::I64, &[2]));
    assert_eq!(*elements_of(&read), Elements::from_vec(NumberClass::I64, vec![3i64, -1]));
    let all = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let inner = lists(DataType::Float64, 3, Float64Array::from(all.clone()));
    let outer = lists(inner.data_type().clone(), 2, inner);
    let read = tensor(&columns(None, vec![column(outer, &[])]));
    assert_eq!(read.schema, schema(Layout::Dense, NumberClass::F64, &[1, 2, 3]));
    assert_eq!(*elements_of(&read), Elements::from_vec(NumberClass::F64, all));
}

#[test]
fn a_permutation_is_a_transposed_tensor() {
    let metadata =
        [(EXTENSION, "arrow.fixed_shape_tensor"), (EXTENSION_METADATA, r#"{"shape":[2,3],"permutation":[1,0]}"#)];
    let values = Float32Array::from(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let read = tensor(&columns(None, vec![column(lists(DataType::Float32, 6, values), &metadata)]));
    assert_eq!(read.shape().dims(), [1, 3, 2]);
    let Node::Transpose { of, permutation } = &read.node else { panic!("{read:?} is not transposed") };
    assert_eq!((of.shape().dims(), &permutation[..]), (&[1, 2, 3][..], &[0, 2, 1][..]));
}

#[test]
fn entries_come_in_any_order() {
    let body = columns(
        Some("[2,3]"),
        vec![
            column(Int64Array::from(vec![1, 0, 1]), &[]),
            column(Int32Array::from(vec![2, 1, 0]), &[]),
            column(Float64Array::from(vec![-7.0, 5.0, 0.0]), &[]),
        ],
    );
    let read = tensor(&body);
    assert_eq!(read.schema, schema(Layout::Sparse, NumberClass::F64, &[2, 3]));
    let expected = Elements::from_vec(NumberClass::F64, vec![5.0f64, -7.0]);
    assert_eq!((&entries_of(&read).offsets[..], &entries_of(&read).values), (&[1, 5][..], &expected));
}

#[test]
fn elements_that_tensors_lack_are_named() {
    let known = "expected one of Boolean, UInt8, UInt16, UInt32, UInt64, Int16, Int32, Int64, Float32, Float64, or lists of a \
                 fixed size of them";
    for (array, ty) in [
        (Arc::new(Int8Array::from(vec![1])) as ArrayRef, "Int8"),
        (Arc::new(StringArray::from(vec!["x"])) as ArrayRef, "Utf8"),
    ] {
        let body = columns(None, vec![(field("x", &array, &[]), array)]);
        refuse(&body, &format!("a tensor has no elements of type {ty}, as the column x has: {known}"));
    }
    refuse(
        &columns(None, vec![column(Int64Array::from(vec![Some(1), None]), &[])]),
        "a tensor has no nulls, as the column value has",
    );
    let empty = columns(None, vec![column(Int64Array::from(Vec::<i64>::new()), &[])]);
    refuse(&empty, "0 is no dimension of a tensor: expected 1 to 4294967295");
    refuse(
        &columns(None, vec![column(Float64Array::from(vec![1.0]), &[(CLASS, COMPLEX)])]),
        "the column value of complex/64 needs lists of two Float64 as its last axis",
    );
}

#[test]
fn metadata_must_fit() {
    for text in ["", "[]", "{}", r#"{"shape":[5]}"#, r#"{"shape":[2,3],"permutation":[1,1]}"#, r#"{"shape":[-6]}"#] {
        let metadata = [(EXTENSION, "arrow.fixed_shape_tensor"), (EXTENSION_METADATA, text)];
        let values = lists(DataType::Float32, 6, Float32Array::from(vec![0.0; 6]));
        let message = format!("the column value has tensors of 6 elements, and the metadata {text}");
        refuse(&columns(None, vec![column(values, &metadata)]), &message);
    }
}

#[test]
fn entries_must_fit() {
    let entries = |shape: Option<&str>, places: Vec<i64>, values: Vec<f64>| {
        columns(shape, vec![column(Int64Array::from(places), &[]), column(Float64Array::from(values), &[])])
    };
    let several = "several columns are a sparse tensor whose shape is the metadata tinychain:shape";
    refuse(&entries(None, vec![0], vec![1.0]), several);
    refuse(&entries(Some("x"), vec![0], vec![1.0]), "x in the metadata tinychain:shape is no shape");
    let too_few = "the entries of a tensor of shape [2, 2] have 3 columns, not 2";
    refuse(&entries(Some("[2,2]"), vec![0], vec![1.0]), too_few);
    let outside = "a tensor of shape [2] has no element at 2 of axis 0";
    refuse(&entries(Some("[2]"), vec![2], vec![1.0]), outside);
    refuse(&entries(Some("[2]"), vec![-1], vec![1.0]), "the column value has places below 0");
    refuse(&entries(Some("[2]"), vec![1, 1], vec![1.0, 2.0]), "the sparse tensor has two elements at [1]");
    let floats = vec![column(Float64Array::from(vec![1.0]), &[]), column(Float64Array::from(vec![1.0]), &[])];
    refuse(
        &columns(Some("[2]"), floats),
        "the column value has places along an axis: expected whole numbers, found Float64",
    );
}

#[test]
fn what_is_no_stream_is_refused() {
    refuse(&Bytes::new(), "the body is no Arrow stream: it has no schema");
    let whole = columns(None, vec![column(Int64Array::from(vec![1, 2, 3]), &[])]);
    refuse(&whole.slice(..whole.len() - 30), "the body is no Arrow stream: it ends within a message");
    let (of, array) = column(Int64Array::from(vec![0; 1000]), &[]);
    let of = Arc::new(ArrowSchema::new(vec![of]));
    let batch = RecordBatch::try_new(Arc::clone(&of), vec![array]).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    refuse(&encode_with(&of, &[batch], options), "the Arrow stream is compressed: send it as it is");
}

#[test]
fn no_byte_makes_the_decoder_fail() {
    let whole = columns(None, vec![column(lists(DataType::Float32, 2, Float32Array::from(vec![1.0; 4])), &[])]);
    for at in 0..whole.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = whole.to_vec();
            bytes[at] ^= mask;
            if let Err(error) = decode(&bytes.into()) {
                assert!(matches!(error.kind(), Kind::BadRequest | Kind::TooLarge), "byte {at}: {error}");
            }
        }
    }
}

#[test]
fn rows_that_are_too_large_are_refused() {
    let large = check(&schema(Layout::Dense, NumberClass::F64, &[2, 1 << 30])).unwrap_err();
    assert_eq!(large.kind(), Kind::TooLarge);
    assert_eq!(check(&schema(Layout::Dense, NumberClass::F64, &[1 << 30, 2])), Ok(()));
    assert_eq!(check(&schema(Layout::Sparse, NumberClass::F64, &[2, 1 << 30])), Ok(()));
}
