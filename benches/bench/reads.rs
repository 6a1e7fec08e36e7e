//! Reads of one row by its key.

use std::hint::black_box;

use futures::executor::block_on;
use tinychain::compiler::Program;
use tinychain::storage::Transaction;
use tinychain::value::{Doc, Link, Number, State, Table as Stored, Verb};

use crate::Effort;
use crate::client::{Client, Request};
use crate::folder;
use crate::inside::Inside;
use crate::items::{self, Item, Random};
use crate::load::{self, Load};
use crate::record::{of_clients, record};
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Samples, Table, Until, figure, measure, micros};

/// What a way to ask is called in its record and in the table, and its requests.
type Way = (&'static str, &'static str, fn(u64) -> Request);

/// So many bytes of rows stay in memory that none goes to a segment before it is told to.
const MEMTABLE_BYTES: u64 = 8_000_000_000;
/// Rows of one transaction that fills the table.
const FILL_ROWS: u64 = 1000;

/// Measures reads over HTTP.
pub fn over_http(effort: &Effort) {
    let sizes = &effort.sizes;
    let title = format!(
        "reads: one of {} rows by its key, {} s each, load by one thread of this program (peers: benches/compare)",
        sizes.keys, sizes.seconds
    );
    let mut table = Table::new(&title, &["clients, way", "reads/s", "µs p50", "µs p99"]);
    let dir = folder::new(sizes);
    let server = Server::host_in(dir.path(), &[]);
    items::fill(&server, sizes.keys);
    let mut client = Client::connect(server.port);
    client.send(&items::get(7).to_bytes());
    assert_eq!(client.body().trim(), "[7,\"item 7\",7,2.5]");
    for clients in &sizes.clients {
        let ways: [Way; 2] = [("GET by key", "tinychain", items::get), ("POST /sql", "tinychain, SQL", items::select)];
        for (way, system, request) in ways {
            let load = http_load(&server, sizes, *clients, request);
            record("reads", &of_clients("get", *clients), system, load.per_second, "reads/s");
            let cells = [figure(load.per_second), micros(load.p50), micros(load.p99)];
            table.row([format!("{clients:>4} {way}")].into_iter().chain(cells));
        }
    }
    table.print();
}

fn http_load(server: &Server, sizes: &Sizes, clients: usize, request: fn(u64) -> Request) -> Load {
    let keys = sizes.keys;
    load::drive(server.port, clients, sizes.seconds, move |random| request(random.below(keys)).to_bytes())
}

/// Measures reads in this process, one at a time.
pub fn in_process(effort: &Effort) {
    let sizes = &effort.sizes;
    let dir = folder::new(sizes);
    let inside = Inside::open(dir.path(), MEMTABLE_BYTES);
    inside.create("item");
    fill(&inside, sizes.keys);
    let title = format!("reads: one of {} rows by its key, in process, one at a time (bar: ≤ 10 µs)", sizes.keys);
    let mut table = Table::new(&title, &["way", "µs p50", "µs p99", "samples"]);
    ways(&mut table, "memtable", &inside, sizes.keys, effort.stage);
    inside.settle();
    // So that blocks are in the cache.
    inside.sql("SELECT count(name), sum(quantity), sum(price) FROM item");
    ways(&mut table, "segment", &inside, sizes.keys, effort.stage);
    table.print();
}

/// Puts the rows one by one, so that they are in memory.
fn fill(inside: &Inside, keys: u64) {
    inside.block_on(Box::pin(async {
        for first in (0..keys).step_by(FILL_ROWS as usize) {
            let txn = inside.transaction();
            let table = txn.table(items::PATH).await.expect("the catalog can be read").expect("there is the table");
            let rows: Vec<_> = (first..(first + FILL_ROWS).min(keys)).map(|key| Item::new(key).row()).collect();
            txn.put_rows(&table, &rows).await.expect("the rows fit");
            txn.commit().await.expect("nobody else writes");
        }
    }));
}

fn ways(table: &mut Table, place: &str, inside: &Inside, keys: u64, until: Until) {
    let mut random = Random::new(1);
    let mut key = || random.below(keys) as i64;

    let txn = inside.transaction();
    let stored = block_on(txn.table(items::PATH)).expect("the catalog can be read").expect("there is the table");
    assert_eq!(get(&txn, &stored, 7), Some(Item::new(7).row()));
    let samples = measure(until, &mut key, |key| get(&txn, &stored, key));
    row(table, place, "in a transaction", &samples);

    let samples = measure(until, &mut key, |key| {
        let txn = inside.transaction();
        let stored = block_on(txn.table(items::PATH)).expect("the catalog can be read").expect("there is the table");
        get(&txn, &stored, key)
    });
    row(table, place, "in a transaction of its own", &samples);

    let link: Link = items::PATH.parse().expect("the path is a link");
    let program = |key: i64| {
        let key = Doc::List(vec![Doc::Number(Number::I64(key))]);
        Program::call(link.clone(), Verb::Get, &key, &Doc::Null).expect("the call is a program")
    };
    assert!(matches!(inside.run(program(7)), State::Tuple(_)));
    let samples = measure(until, &mut key, |key| black_box(inside.run(program(key))));
    row(table, place, "by a request: compiled, run", &samples);
}

fn get(txn: &Transaction, table: &Stored, key: i64) -> Option<Vec<State>> {
    block_on(txn.get(table, &[key.into()])).expect("the row can be read")
}

fn row(table: &mut Table, place: &str, way: &str, samples: &Samples) {
    let name = format!("{place}, {way}");
    record("reads in process", &name, "tinychain", samples.p50() / 1e3, "µs");
    table.row([name, micros(samples.p50()), micros(samples.p99()), samples.count().to_string()]);
}
