//! Samples of time, and tables of figures.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Samples of one measurement.
const SAMPLES_MAX: usize = 100_000;

/// What it takes to read the clock, in nanoseconds. It is taken off each sample, since the shortest take little longer.
static CLOCK_NANOS: LazyLock<u64> = LazyLock::new(|| {
    let mut nanos: Vec<u64> = (0..1001).map(|_| Instant::now().elapsed().as_nanos() as u64).collect();
    nanos.sort_unstable();
    nanos[nanos.len() / 2]
});

/// When there are enough samples.
#[derive(Clone, Copy)]
pub struct Until {
    /// Samples that are taken, however long that takes.
    pub at_least: usize,
    /// How long to go on beyond that.
    pub time: Duration,
}

/// The time of each of many runs.
pub struct Samples {
    /// Sorted, and not empty.
    nanos: Vec<u64>,
}

impl Samples {
    /// Samples in any order; there must be one.
    pub fn new(mut nanos: Vec<u64>) -> Self {
        assert!(!nanos.is_empty(), "nothing was measured");
        nanos.sort_unstable();
        Self { nanos }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.nanos.len()
    }

    /// The median, in nanoseconds.
    pub fn p50(&self) -> f64 {
        self.percentile(50)
    }

    /// The time that one run in a hundred exceeds, in nanoseconds.
    pub fn p99(&self) -> f64 {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.nanos.len() * percent).div_ceil(100);
        self.nanos[rank.saturating_sub(1)] as f64
    }
}

/// Times `run` on what `setup` makes. Neither `setup` nor dropping the outcome counts.
pub fn measure<S, T>(until: Until, mut setup: impl FnMut() -> S, mut run: impl FnMut(S) -> T) -> Samples {
    let clock = *CLOCK_NANOS;
    let mut once = || {
        let input = black_box(setup());
        let begin = Instant::now();
        let outcome = black_box(run(input));
        let nanos = begin.elapsed().as_nanos() as u64;
        drop(outcome);
        nanos.saturating_sub(clock)
    };
    let begin = Instant::now();
    once();
    while begin.elapsed() < until.time / 10 {
        once();
    }
    let begin = Instant::now();
    let mut nanos = Vec::new();
    while nanos.len() < until.at_least || (begin.elapsed() < until.time && nanos.len() < SAMPLES_MAX) {
        nanos.push(once());
    }
    Samples::new(nanos)
}

/// Figures with a title, in aligned columns.
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the names of its columns.
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self { title: title.into(), rows: vec![columns.iter().map(|name| name.to_string()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints this table: the first column to the left, the others to the right.
    pub fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        println!("\n{}", self.title);
        for row in &self.rows {
            let mut line = String::from(" ");
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                line += &if column == 0 { format!(" {cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            println!("{}", line.trim_end());
        }
    }
}

/// A figure with about three digits.
pub fn figure(number: f64) -> String {
    match number.abs() {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        1.0.. => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// Nanoseconds as microseconds.
pub fn micros(nanos: f64) -> String {
    figure(nanos / 1e3)
}

/// Nanoseconds as milliseconds.
pub fn millis(nanos: f64) -> String {
    figure(nanos / 1e6)
}

/// An empty cell.
pub fn nothing() -> String {
    "-".into()
}
