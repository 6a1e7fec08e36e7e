//! How much memory a host takes, beside what its flags allow.

use std::path::Path;

use crate::Effort;
use crate::client::Client;
use crate::facts;
use crate::folder;
use crate::inside::{Inside, MEMTABLE_BYTES};
use crate::items::{self, Random, STATEMENT_ROWS};
use crate::queries::{SCAN, statements};
use crate::record::record;
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Table, figure, nothing};

/// Sizes of the cache, in megabytes: less than the rows take, and the default.
const CACHES: [u64; 2] = [50, 1000];
/// Reads by key.
const READS: u64 = 20_000;

/// Measures the peak of a host that is filled, and of hosts that are asked.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let title = "memory: the most that a host ever had, in MiB (bar: empty and idle ≤ 150 MB)";
    let mut table = Table::new(title, &["host", "cache MB", "after start", "then", "after work"]);
    let filled = folder::new(sizes);
    filling(&mut table, filled.path(), sizes);

    let dir = folder::new(sizes);
    let inside = Inside::open(dir.path(), MEMTABLE_BYTES);
    inside.create("item");
    inside.load("item", items::batches(sizes.keys));
    inside.create("facts");
    inside.load("facts", facts::batches(sizes.rows));
    inside.settle();
    inside.close();
    for cache in CACHES {
        asking(&mut table, dir.path(), sizes, cache);
    }
    table.print();
}

/// A host that starts empty, and gets rows by statements.
fn filling(table: &mut Table, dir: &Path, sizes: &Sizes) {
    let server = Server::host_in(dir, &[]);
    let mut client = Client::connect(server.port);
    let idle = server.peak_mib();
    client.send(&items::create("item").to_bytes());
    for first in (0..sizes.rows).step_by(STATEMENT_ROWS as usize) {
        client.send(&items::insert(first).to_bytes());
    }
    let work = format!("{} rows are inserted", sizes.rows);
    row(table, "empty", 1000, idle, &work, server.peak_mib());
}

/// A host with rows, which are queried and read.
fn asking(table: &mut Table, dir: &Path, sizes: &Sizes, cache: u64) {
    let host = format!("{} rows", sizes.rows);
    let flags = [format!("--cache_size={cache}M")];
    let server = Server::host_in(dir, &flags);
    let idle = server.peak_mib();
    let mut client = Client::connect(server.port);
    for (_, query) in statements(SCAN) {
        client.send(&items::sql(query, "[]").to_bytes());
    }
    row(table, &host, cache, idle, "all queries of scan", server.peak_mib());

    // Two hosts cannot have one directory.
    drop(server);
    let server = Server::host_in(dir, &flags);
    let idle = server.peak_mib();
    let (mut client, mut random) = (Client::connect(server.port), Random::new(1));
    for _ in 0..READS {
        client.send(&items::get(random.below(sizes.keys)).to_bytes());
    }
    row(table, &host, cache, idle, &format!("{READS} reads by key"), server.peak_mib());
}

fn row(table: &mut Table, host: &str, cache: u64, idle: Option<f64>, work: &str, peak: Option<f64>) {
    let mib = |mib: Option<f64>| mib.map_or_else(nothing, figure);
    table.row([host.into(), cache.to_string(), mib(idle), work.into(), mib(peak)]);
    let name = |state: &str| format!("{host}, cache {cache} MB: {state}");
    for (state, mib) in [("started", idle), (work, peak)] {
        if let Some(mib) = mib {
            record("memory", &name(state), "tinychain", mib, "MiB");
        }
    }
}
