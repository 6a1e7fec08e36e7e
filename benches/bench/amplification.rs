//! How many bytes are written to disk, and kept there, for each byte that a user writes.

use crate::Effort;
use crate::folder::{self, bytes_below, bytes_written};
use crate::inside::{Inside, MEMTABLE_BYTES};
use crate::items::{self, Item, Random, STATEMENT_ROWS};
use crate::record::record;
use crate::table::{Table, figure, nothing};

const COLUMNS: [&str; 8] =
    ["rows written", "MB of cells", "MB to disk", "of log", "of flushes", "of merges", "written/byte", "size/byte"];

/// Measures upserts of random rows, many a transaction.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let title = format!(
        "amplification: upserts of random rows of {}, {STATEMENT_ROWS} a transaction, until all is in merged segments",
        sizes.keys
    );
    let mut table = Table::new(&title, &COLUMNS);
    let dir = folder::new(sizes);
    let inside = Inside::open(dir.path(), MEMTABLE_BYTES);
    inside.create("item");
    inside.load("item", items::batches(sizes.keys));
    inside.settle();
    let (before, by_store) = (bytes_written(), inside.store.stats().written);
    let user = upserts(&inside, sizes.rows, sizes.keys);
    inside.settle();
    let after = inside.store.stats().written;
    let disk = bytes_written().zip(before).map(|(after, before)| (after - before) as f64);
    inside.close();

    // Without the log, which is cut off now but has files that are made ahead.
    let size = bytes_below(&dir.path().join("data").join("objects")) as f64;
    let live: u64 = (0..sizes.keys).map(|key| Item::new(key).bytes()).sum();
    let (written, kept) = (disk.map(|disk| disk / user as f64), size / live as f64);
    let megabytes = |bytes: u64| figure(bytes as f64 / 1e6);
    table.row([
        sizes.rows.to_string(),
        megabytes(user),
        disk.map_or_else(nothing, |disk| figure(disk / 1e6)),
        megabytes(after.log - by_store.log),
        megabytes(after.flushed - by_store.flushed),
        megabytes(after.merged - by_store.merged),
        written.map_or_else(nothing, figure),
        figure(kept),
    ]);
    table.print();
    if let Some(written) = written {
        record("amplification", "written for each byte", "tinychain, in process", written, "bytes");
    }
    record("amplification", "size of each byte", "tinychain, in process", kept, "bytes");
}

/// Writes so many rows; returns the bytes of all their cells.
fn upserts(inside: &Inside, rows: u64, keys: u64) -> u64 {
    let mut random = Random::new(1);
    let mut bytes = 0;
    for _ in 0..rows / STATEMENT_ROWS {
        let batch: Vec<Item> = (0..STATEMENT_ROWS).map(|_| Item::random(&mut random, keys)).collect();
        bytes += batch.iter().map(Item::bytes).sum::<u64>();
        inside.block_on(Box::pin(async {
            let txn = inside.transaction();
            let table = txn.table(items::PATH).await.expect("the catalog can be read").expect("there is the table");
            let rows: Vec<_> = batch.iter().map(Item::row).collect();
            txn.put_rows(&table, &rows).await.expect("the rows fit");
            txn.commit().await.expect("nobody else writes");
        }));
    }
    bytes
}
