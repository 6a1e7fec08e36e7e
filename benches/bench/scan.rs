//! Queries over many rows of one table.

use crate::Effort;
use crate::bare_sql::{BareSql, write_parquet};
use crate::duel;
use crate::facts;
use crate::folder;
use crate::inside::{Inside, MEMTABLE_BYTES};
use crate::queries::{SCAN, statements};

/// Measures counts, filters, groups and top rows.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let dir = folder::new(sizes);
    write_parquet(&dir.path().join("facts.parquet"), facts::schema(), facts::batches(sizes.rows));
    let inside = Inside::open(dir.path(), MEMTABLE_BYTES);
    inside.create("facts");
    assert_eq!(inside.load("facts", facts::batches(sizes.rows)), sizes.rows);
    inside.settle();
    let bare = BareSql::new(&inside, dir.path(), &["facts"]);
    let title = format!(
        "scan: queries over {} rows of ten columns, in process, first with an empty cache; medians of {}",
        sizes.rows, sizes.runs
    );
    duel::run("scan", &title, sizes, &inside, &bare, &statements(SCAN));
}
