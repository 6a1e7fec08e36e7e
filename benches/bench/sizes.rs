//! How much the groups about stored rows measure. The environment may say otherwise, by variables that the programs of
//! the peers read too (benches/peers/common.py).

use std::path::PathBuf;
use std::str::FromStr;

/// What is measured, and where.
pub struct Sizes {
    /// Rows of the table `facts`, and rows that are written to `item` again and again.
    pub rows: u64,
    /// Rows of the table `item`.
    pub keys: u64,
    /// How long clients go on.
    pub seconds: u64,
    /// How often each query is run, beside the first time.
    pub runs: usize,
    /// Numbers of clients.
    pub clients: Vec<usize>,
    /// The scale factor of TPC-H, as it was written: it names a folder.
    pub scale_factor: String,
    /// Rows of the table `facts` in hosts that are killed.
    pub restart_rows: Vec<u64>,
    /// Bytes of rows in the logs of hosts that are killed.
    pub log_bytes: u64,
    /// Sides of square matrices.
    pub matrices: Vec<u64>,
    /// Elements of a chain of functions of tensors.
    pub elements: u64,
    /// The side of a sparse matrix, a power of two.
    pub sparse_side: u64,
    /// Rows that a network learns from.
    pub examples: u64,
    /// The queries of `scan` and `tpch` that are run, by their names; all if there is none.
    pub queries: Vec<String>,
    /// Whether their plans are shown too, with what each part cost.
    pub plans: bool,
    /// Where everything is stored.
    pub dir: PathBuf,
}

impl Sizes {
    /// Sizes for a run of some minutes, or, if `is_quick`, of some seconds.
    pub fn new(is_quick: bool) -> Self {
        let pick = |quick: &str, usual: &str| if is_quick { quick.to_owned() } else { usual.to_owned() };
        Self {
            rows: number("ROWS", &pick("100000", "1000000")),
            keys: number("KEYS", &pick("10000", "100000")),
            seconds: number("SECONDS", &pick("1", "3")),
            runs: number("RUNS", &pick("1", "3")),
            clients: numbers("CLIENTS", &pick("1,8", "1,8,64,256")),
            scale_factor: text("SF", &pick("0.01", "0.1")),
            restart_rows: numbers("RESTART_ROWS", &pick("100000", "100000,1000000")),
            log_bytes: number("LOG_BYTES", &pick("4000000", "64000000")),
            matrices: numbers("MATRICES", &pick("256,512", "256,1024,4096")),
            elements: number("ELEMENTS", &pick("1000000", "100000000")),
            sparse_side: number("SPARSE_SIDE", &pick("1024", "4096")),
            examples: number("EXAMPLES", &pick("1000", "10000")),
            queries: text("QUERIES", "")
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(Into::into)
                .collect(),
            plans: text("PLANS", "0") != "0",
            dir: text("DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/bench")).into(),
        }
    }
}

fn text(name: &str, default: &str) -> String {
    std::env::var(variable(name)).unwrap_or_else(|_| default.to_owned())
}

fn number<T: FromStr>(name: &str, default: &str) -> T {
    parse(name, &text(name, default))
}

fn numbers<T: FromStr>(name: &str, default: &str) -> Vec<T> {
    text(name, default).split(',').map(|text| parse(name, text)).collect()
}

fn parse<T: FromStr>(name: &str, text: &str) -> T {
    text.trim().parse().unwrap_or_else(|_| panic!("{} cannot be {text:?}", variable(name)))
}

fn variable(name: &str) -> String {
    format!("TINYCHAIN_BENCH_{name}")
}
