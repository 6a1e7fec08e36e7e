//! Durable commits of one row each, by one client and by many.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Effort;
use crate::client::Request;
use crate::folder;
use crate::inside::{Inside, MEMTABLE_BYTES};
use crate::items::{self, Item, Random};
use crate::load::{self, Load};
use crate::record::{of_clients, record};
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Table, figure, millis, nothing};

const COLUMNS: [&str; 5] = ["clients, way", "commits/s", "ms p50", "ms p99", "commits a sync"];
/// What a disk is asked to write at once, at least.
const BLOCK_BYTES: usize = 4096;
/// Blocks of a file that is written over and over.
const BLOCKS: u64 = 4096;

/// Measures upserts by key, by SQL, and in this process.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let title = format!(
        "commits: upserts of one of {} rows, each durable when it is answered, {} s each (peers: benches/compare)",
        sizes.keys, sizes.seconds
    );
    let mut table = Table::new(&title, &COLUMNS);
    let dir = folder::new(sizes);
    let syncs = syncs(dir.path(), sizes.seconds);
    row(&mut table, "   1 the disk alone: 4 KiB, synced".into(), &syncs, nothing());
    {
        let server = Server::host_in(&dir.path().join("host"), &[]);
        items::fill(&server, sizes.keys);
        for clients in &sizes.clients {
            over_http(&mut table, &server, sizes, *clients, "PUT by key", "tinychain", Item::put);
            over_http(&mut table, &server, sizes, *clients, "POST /sql", "tinychain, SQL", Item::upsert);
        }
    }
    {
        let key = dir.path().join("key");
        fs::write(&key, [7_u8; 32]).expect("there is room for a key");
        let flags = [format!("--at_rest_key={}", key.display())];
        let server = Server::host_in(&dir.path().join("encrypted"), &flags);
        items::fill(&server, sizes.keys);
        for clients in &sizes.clients {
            let (way, system) = ("PUT by key, encrypted", "tinychain, encrypted");
            over_http(&mut table, &server, sizes, *clients, way, system, Item::put);
        }
    }
    let inside = Arc::new(Inside::open(&dir.path().join("inside"), MEMTABLE_BYTES));
    inside.create("item");
    inside.load("item", items::batches(sizes.keys));
    for clients in &sizes.clients {
        in_process(&mut table, &inside, sizes, *clients);
    }
    table.print();
}

fn over_http(
    table: &mut Table,
    server: &Server,
    sizes: &Sizes,
    clients: usize,
    way: &str,
    system: &str,
    request: fn(&Item) -> Request,
) {
    let count = || (server.metric("tinychain_store_commits_total"), server.metric("tinychain_store_log_syncs_total"));
    let (commits, syncs) = count();
    let keys = sizes.keys;
    let load =
        load::drive(server.port, clients, sizes.seconds, move |random| request(&Item::random(random, keys)).to_bytes());
    let (more_commits, more_syncs) = count();
    let grouped = (more_commits - commits) / (more_syncs - syncs).max(1.0);
    finish(table, clients, way, system, &load, grouped);
}

/// Lets so many tasks of this process commit one row after the other.
fn in_process(table: &mut Table, inside: &Arc<Inside>, sizes: &Sizes, clients: usize) {
    let (before, end) = (inside.store.stats(), Instant::now() + Duration::from_secs(sizes.seconds));
    let keys = sizes.keys;
    let load = inside.block_on(async {
        let begin = Instant::now();
        let spawn = |number| tokio::spawn(client(Arc::clone(inside), Random::new(number), keys, end));
        let tasks: Vec<_> = (1..=clients as u64).map(spawn).collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.expect("all commits succeed"));
        }
        Load::of(all, begin.elapsed())
    });
    let after = inside.store.stats();
    let grouped = (after.commits - before.commits) as f64 / (after.log_syncs - before.log_syncs).max(1) as f64;
    finish(table, clients, "in process", "tinychain, in process", &load, grouped);
}

/// The times of commits, in nanoseconds, until `end`.
async fn client(inside: Arc<Inside>, mut random: Random, keys: u64, end: Instant) -> Vec<u64> {
    let mut nanos = Vec::new();
    let mut begin = Instant::now();
    while begin < end {
        let item = Item::random(&mut random, keys);
        let txn = inside.transaction();
        let table = txn.table(items::PATH).await.expect("the catalog can be read").expect("there is the table");
        txn.put(&table, &item.row()).await.expect("the row fits");
        txn.commit().await.expect("a transaction that reads nothing never conflicts");
        let now = Instant::now();
        nanos.push((now - begin).as_nanos() as u64);
        begin = now;
    }
    nanos
}

fn finish(table: &mut Table, clients: usize, way: &str, system: &str, load: &Load, grouped: f64) {
    record("commits", &of_clients("upsert", clients), system, load.per_second, "commits/s");
    row(table, format!("{clients:>4} {way}"), load, figure(grouped));
}

fn row(table: &mut Table, name: String, load: &Load, grouped: String) {
    table.row([name, figure(load.per_second), millis(load.p50), millis(load.p99), grouped]);
}

/// What the disk does without any database: a block is written over, and synced.
fn syncs(dir: &Path, seconds: u64) -> Load {
    let mut file = File::create(dir.join("blocks")).expect("there is room for a file");
    let block = [7; BLOCK_BYTES];
    for _ in 0..BLOCKS {
        file.write_all(&block).expect("there is room for a file");
    }
    file.sync_all().expect("the disk works");
    let (begin, mut nanos) = (Instant::now(), Vec::new());
    while begin.elapsed() < Duration::from_secs(seconds) {
        let begin = Instant::now();
        let place = nanos.len() as u64 % BLOCKS * BLOCK_BYTES as u64;
        file.seek(SeekFrom::Start(place)).expect("the file is that long");
        file.write_all(&block).expect("the disk works");
        file.sync_data().expect("the disk works");
        nanos.push(begin.elapsed().as_nanos() as u64);
    }
    let load = Load::of(nanos, begin.elapsed());
    record("commits", &of_clients("upsert", 1), "the disk alone", load.per_second, "commits/s");
    load
}
