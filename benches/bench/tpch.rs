//! TPC-H.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatchReader;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

use crate::Effort;
use crate::bare_sql::{BareSql, read_parquet, write_parquet};
use crate::duel;
use crate::folder;
use crate::inside::{Inside, MEMTABLE_BYTES};
use crate::queries::{TPCH, statements};
use crate::sizes::Sizes;

const TABLES: [&str; 8] = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];

/// Measures the 22 queries.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let files = files(sizes);
    let dir = folder::new(sizes);
    let inside = Inside::open(dir.path(), MEMTABLE_BYTES);
    for table in TABLES {
        inside.create(table);
        inside.load(table, read_parquet(&files.join(format!("{table}.parquet"))));
    }
    inside.settle();
    let bare = BareSql::new(&inside, &files, &TABLES);
    let title = format!(
        "tpch: TPC-H at scale factor {}, in process, first with an empty cache; medians of {} (bar: all ≥ 0.91)",
        sizes.scale_factor, sizes.runs
    );
    duel::run("tpch", &title, sizes, &inside, &bare, &statements(TPCH));
}

/// The folder with a Parquet file for each table, which is made once: DuckDB reads it too.
fn files(sizes: &Sizes) -> PathBuf {
    let scale_factor = sizes.scale_factor.parse().expect("the scale factor is a number");
    let dir = sizes.dir.join(format!("tpch-sf{}", sizes.scale_factor));
    if !dir.is_dir() {
        fs::create_dir_all(&sizes.dir).expect("there is room for a directory");
        // Gets its name when it is whole.
        let unfinished = tempfile::tempdir_in(&sizes.dir).expect("there is room for a directory");
        TABLES.into_iter().for_each(|table| generate(table, scale_factor, unfinished.path()));
        fs::rename(unfinished.keep(), &dir).expect("there is no such directory");
    }
    dir
}

fn generate(table: &str, scale_factor: f64, dir: &Path) {
    let rows = rows(table, scale_factor);
    let schema = rows.schema();
    let path = dir.join(format!("{table}.parquet"));
    write_parquet(&path, schema, rows.map(|batch| batch.expect("the generator knows its types")));
}

/// All rows of a table, in one part.
fn rows(table: &str, scale_factor: f64) -> Box<dyn RecordBatchReader> {
    match table {
        "region" => Box::new(RegionArrow::new(RegionGenerator::new(scale_factor, 1, 1))),
        "nation" => Box::new(NationArrow::new(NationGenerator::new(scale_factor, 1, 1))),
        "supplier" => Box::new(SupplierArrow::new(SupplierGenerator::new(scale_factor, 1, 1))),
        "customer" => Box::new(CustomerArrow::new(CustomerGenerator::new(scale_factor, 1, 1))),
        "part" => Box::new(PartArrow::new(PartGenerator::new(scale_factor, 1, 1))),
        "partsupp" => Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale_factor, 1, 1))),
        "orders" => Box::new(OrderArrow::new(OrderGenerator::new(scale_factor, 1, 1))),
        "lineitem" => Box::new(LineItemArrow::new(LineItemGenerator::new(scale_factor, 1, 1))),
        other => panic!("TPC-H has no table {other}"),
    }
}
