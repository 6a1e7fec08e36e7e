//! The table `facts`: ten columns, all computed from the number of the row, so that every system can have the same rows
//! (benches/peers/common.py).

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Rows of one batch.
pub const BATCH_ROWS: u64 = 65_536;

/// 2020-01-01 in days and in seconds since 1970.
const FIRST_DAY: i32 = 18_262;
const FIRST_SECOND: i64 = 86_400 * FIRST_DAY as i64;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, ty| Field::new(name, ty, false);
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("account", DataType::Int32),
        field("region", DataType::Utf8View),
        field("day", DataType::Date32),
        field("created", DataType::Timestamp(TimeUnit::Microsecond, None)),
        field("quantity", DataType::Int32),
        field("price", DataType::Decimal128(12, 2)),
        field("score", DataType::Float64),
        field("is_paid", DataType::Boolean),
        field("note", DataType::Utf8View),
    ]))
});

/// The types of the columns.
pub fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// The first `rows` rows, in the order of their keys. They are computed as they are asked for.
pub fn batches(rows: u64) -> impl Iterator<Item = RecordBatch> {
    (0..rows).step_by(BATCH_ROWS as usize).map(move |first| batch(first..(first + BATCH_ROWS).min(rows)))
}

fn batch(ids: Range<u64>) -> RecordBatch {
    let hashes: Vec<(u64, u64)> = ids.map(|id| (id, hash(id))).collect();
    let rows = || hashes.iter().copied();
    let regions: StringViewArray = rows().map(|(_, h)| Some(format!("region-{}", (h >> 13) % 16))).collect();
    let notes: StringViewArray = rows().map(|(id, h)| Some(format!("order {id} of {}", account(h)))).collect();
    let prices = Decimal128Array::from_iter_values(rows().map(|(_, h)| i128::from((h >> 5) % 1_000_000)));
    let created = rows().map(|(id, _)| (FIRST_SECOND + id as i64) * 1_000_000);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows().map(|(id, _)| id as i64))),
        Arc::new(Int32Array::from_iter_values(rows().map(|(_, h)| account(h)))),
        Arc::new(regions),
        Arc::new(Date32Array::from_iter_values(rows().map(|(_, h)| FIRST_DAY + ((h >> 11) % 2000) as i32))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(created)),
        Arc::new(Int32Array::from_iter_values(rows().map(|(_, h)| ((h >> 16) % 50) as i32 + 1))),
        Arc::new(prices.with_precision_and_scale(12, 2).expect("prices have few digits")),
        Arc::new(Float64Array::from_iter_values(rows().map(|(_, h)| h as f64 / 4_294_967_296.0))),
        Arc::new(rows().map(|(_, h)| Some((h >> 17) % 3 == 0)).collect::<BooleanArray>()),
        Arc::new(notes),
    ];
    RecordBatch::try_new(schema(), columns).expect("the columns are those of the schema")
}

/// A number of 32 bits, another for each row.
fn hash(id: u64) -> u64 {
    id.wrapping_mul(2_654_435_761) & 0xFFFF_FFFF
}

fn account(hash: u64) -> i32 {
    ((hash >> 8) % 100_000) as i32
}
