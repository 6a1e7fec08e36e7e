//! The table `item`, whose rows are written and read one at a time, and the requests that do so.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use tinychain::value::{Number, State};

use crate::client::{Client, Request};
use crate::queries::definition;
use crate::server::Server;

/// Where the table is.
pub const PATH: &str = "/service/sql/public/0.0.0/item";
/// Rows of one statement that inserts several.
pub const STATEMENT_ROWS: u64 = 1000;

const PRICE: f64 = 2.5;
const QUANTITIES: u64 = 1000;
const UPSERT: &str = "INSERT INTO item VALUES ($1, $2, $3, $4) ON CONFLICT (id) \
                      DO UPDATE SET name = excluded.name, quantity = excluded.quantity, price = excluded.price";

/// Numbers that look random, the same in each run: a generator by Marsaglia (xorshift64).
pub struct Random(u64);

impl Random {
    /// Another sequence for each seed.
    pub fn new(seed: u64) -> Self {
        // Never zero, where the generator would stay.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Item {
    pub key: u64,
    quantity: u64,
}

impl Item {
    /// The row with a key that is given.
    pub fn new(key: u64) -> Self {
        Self { key, quantity: key % QUANTITIES }
    }

    /// A row with any key below `keys`.
    pub fn random(random: &mut Random, keys: u64) -> Self {
        Self { key: random.below(keys), quantity: random.below(QUANTITIES) }
    }

    /// The bytes of its cells.
    pub fn bytes(&self) -> u64 {
        (8 + self.name().len() + 4 + 8) as u64
    }

    /// Its cells.
    pub fn row(&self) -> Vec<State> {
        let quantity = Number::I32(self.quantity as i32);
        vec![(self.key as i64).into(), self.name().into(), quantity.into(), PRICE.into()]
    }

    /// The request that writes it by its key.
    pub fn put(&self) -> Request {
        let Self { key, quantity } = self;
        let body = format!("[\"{}\",{quantity},{PRICE}]", self.name());
        Request { method: "PUT", target: target(*key).into(), body }
    }

    /// The statement that writes it.
    pub fn upsert(&self) -> Request {
        let Self { key, quantity } = self;
        sql(UPSERT, &format!("[{key},\"{}\",{quantity},{PRICE}]", self.name()))
    }

    fn name(&self) -> String {
        format!("item {}", self.key)
    }
}

/// The request that reads a row by its key.
pub fn get(key: u64) -> Request {
    Request { method: "GET", target: target(key).into(), body: String::new() }
}

/// The query that reads a row.
pub fn select(key: u64) -> Request {
    sql("SELECT * FROM item WHERE id = $1", &format!("[{key}]"))
}

/// The statement that inserts rows with the keys from `first` on.
pub fn insert(first: u64) -> Request {
    let values: Vec<String> = (first..first + STATEMENT_ROWS)
        .map(Item::new)
        .map(|item| format!("({}, '{}', {}, {PRICE})", item.key, item.name(), item.quantity))
        .collect();
    sql(&format!("INSERT INTO item VALUES {}", values.join(", ")), "[]")
}

/// A script of SQL. Neither it nor its parameters have anything that JSON would escape.
pub fn sql(text: &str, params: &str) -> Request {
    Request { method: "POST", target: "/sql".into(), body: format!("{{\"sql\":\"{text}\",\"params\":{params}}}") }
}

/// A definition as a request; it may span lines.
pub fn create(table: &str) -> Request {
    let words: Vec<&str> = definition(table).split_whitespace().collect();
    sql(&words.join(" "), "[]")
}

/// Makes the table in a host, with the keys below `keys`.
pub fn fill(server: &Server, keys: u64) {
    let mut client = Client::connect(server.port);
    client.send(&create("item").to_bytes());
    for first in (0..keys).step_by(STATEMENT_ROWS as usize) {
        client.send(&insert(first).to_bytes());
    }
}

/// The rows with the keys below `keys`, in batches.
pub fn batches(keys: u64) -> impl Iterator<Item = RecordBatch> {
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8View, false),
        Field::new("quantity", DataType::Int32, false),
        Field::new("price", DataType::Float64, false),
    ];
    let schema = Arc::new(Schema::new(fields));
    (0..keys).step_by(STATEMENT_ROWS as usize).map(move |first| {
        let items = || (first..(first + STATEMENT_ROWS).min(keys)).map(Item::new);
        let names: StringViewArray = items().map(|item| Some(item.name())).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(items().map(|item| item.key as i64))),
            Arc::new(names),
            Arc::new(Int32Array::from_iter_values(items().map(|item| item.quantity as i32))),
            Arc::new(Float64Array::from_iter_values(items().map(|_| PRICE))),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns).expect("the columns are those of the schema")
    })
}

fn target(key: u64) -> String {
    // Brackets are not allowed in a URL.
    format!("{PATH}?key=%5B{key}%5D")
}
