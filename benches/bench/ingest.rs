//! Loads of many rows, durable when they are done.

use std::time::Instant;

use arrow::array::RecordBatch;

use crate::Effort;
use crate::bare_sql::write_parquet;
use crate::client::Client;
use crate::facts;
use crate::folder;
use crate::inside::{Inside, MEMTABLE_BYTES};
use crate::items::{self, STATEMENT_ROWS};
use crate::record::record;
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Table, figure, nothing};

/// Measures a load of ten columns from memory, and inserts of many rows a statement.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let title = format!("load: {} rows, durable at the end, in one transaction (bar: ≥ 1 M rows/s)", sizes.rows);
    let mut table = Table::new(&title, &["way", "rows/s", "s", "MB", "bytes/row"]);
    // Made before, because to make them takes about as long as to store them.
    let batches: Vec<RecordBatch> = facts::batches(sizes.rows).collect();
    ten_columns(&mut table, sizes, &batches);
    parquet(&mut table, sizes, &batches);
    drop(batches);
    by_statements(&mut table, sizes);
    table.print();
}

fn ten_columns(table: &mut Table, sizes: &Sizes, batches: &[RecordBatch]) {
    let dir = folder::new(sizes);
    let inside = Inside::open(dir.path(), MEMTABLE_BYTES);
    inside.create("facts");
    let begin = Instant::now();
    assert_eq!(inside.load("facts", batches.iter().cloned()), sizes.rows);
    let seconds = begin.elapsed().as_secs_f64();
    let bytes = inside.store.stats().segment_bytes;
    row(table, "10 columns, in process", sizes.rows, seconds, Some(bytes));
    record("load", "load 10 columns", "tinychain, in process", sizes.rows as f64 / seconds, "rows/s");
}

/// The peer in this process: a Parquet file that is written and synced, by one thread.
fn parquet(table: &mut Table, sizes: &Sizes, batches: &[RecordBatch]) {
    let dir = folder::new(sizes);
    let path = dir.path().join("facts.parquet");
    let begin = Instant::now();
    write_parquet(&path, facts::schema(), batches.iter().cloned());
    let seconds = begin.elapsed().as_secs_f64();
    let bytes = path.metadata().expect("the file was written").len();
    row(table, "10 columns, bare Parquet", sizes.rows, seconds, Some(bytes));
    record("load", "load 10 columns", "bare Parquet", sizes.rows as f64 / seconds, "rows/s");
}

/// Each statement is a transaction, one after the other on one connection.
fn by_statements(table: &mut Table, sizes: &Sizes) {
    let dir = folder::new(sizes);
    let server = Server::host_in(dir.path(), &[]);
    let mut client = Client::connect(server.port);
    client.send(&items::create("item").to_bytes());
    let requests: Vec<Vec<u8>> =
        (0..sizes.keys).step_by(STATEMENT_ROWS as usize).map(|first| items::insert(first).to_bytes()).collect();
    let rows = requests.len() as u64 * STATEMENT_ROWS;
    let begin = Instant::now();
    for request in &requests {
        client.send(request);
    }
    let seconds = begin.elapsed().as_secs_f64();
    row(table, &format!("4 columns, INSERT of {STATEMENT_ROWS} rows over HTTP"), rows, seconds, None);
    let name = format!("insert {STATEMENT_ROWS} rows a statement");
    record("load", &name, "tinychain, SQL", rows as f64 / seconds, "rows/s");
}

fn row(table: &mut Table, way: &str, rows: u64, seconds: f64, bytes: Option<u64>) {
    table.row([
        way.into(),
        figure(rows as f64 / seconds),
        figure(seconds),
        bytes.map_or_else(nothing, |bytes| figure(bytes as f64 / 1e6)),
        bytes.map_or_else(nothing, |bytes| figure(bytes as f64 / rows as f64)),
    ]);
}
