//! How long a host that was killed takes to serve again, by the size of its data and of its log.

use std::path::Path;
use std::time::Instant;

use crate::Effort;
use crate::client::Client;
use crate::facts;
use crate::folder;
use crate::inside::{Inside, MEMTABLE_BYTES};
use crate::items::{self, Item, STATEMENT_ROWS};
use crate::record::record;
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Table, figure};

const COLUMNS: [&str; 6] = ["rows", "MB in segments", "ms, empty log", "MB of log", "ms, that log", "replay MB/s"];

/// Measures from the command to the first row that is read.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let title = "restart: from the command to the first reply, after kill -9, with files in the memory of the system \
                 (bar: ≤ 2 s at 10 GB, ≥ 200 MB/s of log)";
    let mut table = Table::new(title, &COLUMNS);
    for rows in &sizes.restart_rows {
        of_size(&mut table, sizes, *rows);
    }
    table.print();
}

fn of_size(table: &mut Table, sizes: &Sizes, rows: u64) {
    let dir = folder::new(sizes);
    let inside = Inside::open(dir.path(), MEMTABLE_BYTES);
    inside.create("item");
    inside.load("item", items::batches(STATEMENT_ROWS));
    inside.create("facts");
    inside.load("facts", facts::batches(rows));
    inside.settle();
    let segments = inside.store.stats().segment_bytes as f64 / 1e6;
    inside.close();

    drop(start(dir.path(), sizes, 0).1);
    let (empty, server) = start(dir.path(), sizes, 0);
    let (last, log) = fill_log(&server, sizes);
    drop(server);
    let (full, server) = start(dir.path(), sizes, last);
    check(&server, last + 1);
    drop(server);

    let replay = log / (full - empty).max(1.0) * 1e3;
    let cells = [segments, empty, log, full, replay].map(figure);
    table.row([rows.to_string()].into_iter().chain(cells));
    let name = |what: &str| format!("{rows} rows, {what}");
    record("restart", &name("empty log"), "tinychain", empty, "ms");
    record("restart", &name(&format!("{} MB of log", log.round())), "tinychain", full, "ms");
}

/// Starts the host in `dir`, and reads a row; returns how many milliseconds that took. Rows stay in memory, so that the
/// log is not cut off.
fn start(dir: &Path, sizes: &Sizes, key: u64) -> (f64, Server) {
    let memtable_bytes = sizes.log_bytes.saturating_mul(100).max(1_000_000_000);
    let flags = [format!("--memtable_size={memtable_bytes}")];
    let begin = Instant::now();
    let server = Server::host_in(dir, &flags);
    let mut client = Client::connect(server.port);
    client.send(&items::get(key).to_bytes());
    let millis = begin.elapsed().as_secs_f64() * 1e3;
    assert!(client.body().starts_with(&format!("[{key},")), "row {key} was acknowledged, and is {}", client.body());
    (millis, server)
}

/// Inserts rows until the log has so many bytes; returns the key of the last row that was acknowledged, and the
/// megabytes.
fn fill_log(server: &Server, sizes: &Sizes) -> (u64, f64) {
    let mut client = Client::connect(server.port);
    let mut next = STATEMENT_ROWS;
    let row_bytes = Item::new(next).bytes();
    loop {
        // A first guess, so that the host is not asked after each statement.
        let end = next + (sizes.log_bytes / row_bytes / 8).max(1);
        while next < end {
            client.send(&items::insert(next).to_bytes());
            next += STATEMENT_ROWS;
        }
        let log = server.metric("tinychain_store_log_written_bytes_total");
        if log >= sizes.log_bytes as f64 {
            return (next - 1, log / 1e6);
        }
    }
}

/// Ends the run if rows are missing.
fn check(server: &Server, rows: u64) {
    let mut client = Client::connect(server.port);
    client.send(&items::sql("SELECT count(*) FROM item", "[]").to_bytes());
    let expected = format!("[[{rows}]]");
    assert!(client.body().contains(&expected), "{rows} rows were acknowledged, and there are {}", client.body());
}
