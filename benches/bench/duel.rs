//! Queries on the tables of a store, beside bare DataFusion on files with the same rows.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::bare_sql::BareSql;
use crate::inside::Inside;
use crate::record::{Record, record};
use crate::sizes::Sizes;
use crate::table::{Table, figure};

const COLUMNS: [&str; 7] = ["query", "rows", "ms", "ms first", "DataFusion ms", "first", "DataFusion ÷ this"];
/// Cells of the first row by which answers are compared with those of other systems.
const CHECKED_CELLS: usize = 2;

/// Times of one query, in milliseconds.
struct Times {
    first: f64,
    median: f64,
}

/// Runs each statement by both in turns, compares the answers, and prints the times.
pub fn run(group: &str, title: &str, sizes: &Sizes, inside: &Inside, bare: &BareSql<'_>, statements: &[(&str, &str)]) {
    let is_wanted = |name: &str| sizes.queries.is_empty() || sizes.queries.iter().any(|wanted| wanted == name);
    let mut table = Table::new(title, &COLUMNS);
    let (mut sum, mut bare_sum) = (0.0, 0.0);
    for (name, sql) in statements.iter().filter(|(name, _)| is_wanted(name)) {
        let (first, answer) = timed(|| inside.sql(sql));
        let (bare_first, bare_answer) = timed(|| bare.sql(sql));
        let (answer, bare_answer) = (texts(&answer), texts(&bare_answer));
        compare(name, &answer, &bare_answer);
        let (mut later, mut bare_later) = (Vec::new(), Vec::new());
        for _ in 0..sizes.runs {
            later.push(timed(|| inside.sql(sql)).0);
            bare_later.push(timed(|| bare.sql(sql)).0);
        }
        if sizes.plans {
            show_plan("tinychain", name, &inside.sql(&format!("EXPLAIN ANALYZE {sql}")));
            show_plan("datafusion", name, &bare.sql(&format!("EXPLAIN ANALYZE {sql}")));
        }
        let times = Times { first, median: median(later) };
        let bare_times = Times { first: bare_first, median: median(bare_later) };
        sum += times.median;
        bare_sum += bare_times.median;
        row(&mut table, name, answer.len(), &times, &bare_times);
        let check = check(&answer);
        for (system, times) in [("tinychain", &times), ("datafusion", &bare_times)] {
            Record { group, name, system, value: times.median, unit: "ms", check: Some(&check) }.write();
        }
    }
    let none = || "-".to_owned();
    table.row(["all".into(), none(), figure(sum), none(), figure(bare_sum), none(), figure(bare_sum / sum)]);
    table.print();
    record(group, "all", "tinychain", sum, "ms");
    record(group, "all", "datafusion", bare_sum, "ms");
}

fn show_plan(system: &str, name: &str, plan: &[RecordBatch]) {
    println!("\n{name}, {system}");
    texts(plan).iter().for_each(|row| println!("{}", row.join("\n")));
}

fn row(table: &mut Table, name: &str, rows: usize, times: &Times, bare: &Times) {
    let figures = [times.median, times.first, bare.median, bare.first, bare.median / times.median];
    table.row([name.into(), rows.to_string()].into_iter().chain(figures.map(figure)));
}

fn timed(work: impl FnOnce() -> Vec<RecordBatch>) -> (f64, Vec<RecordBatch>) {
    let begin = Instant::now();
    let batches = work();
    (millis(begin.elapsed()), batches)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Ends the run if two answers have other rows, in whichever order: a query may leave that open.
fn compare(name: &str, answer: &[Vec<String>], other: &[Vec<String>]) {
    let (mut answer, mut other) = (answer.to_vec(), other.to_vec());
    answer.sort_unstable();
    other.sort_unstable();
    let differs = answer.iter().zip(&other).find(|(l, r)| l != r);
    assert!(differs.is_none() && answer.len() == other.len(), "{name} has other rows in DataFusion: {differs:?}");
}

fn check(answer: &[Vec<String>]) -> Vec<String> {
    let cells = answer.iter().take(1).flatten().take(CHECKED_CELLS).cloned();
    std::iter::once(answer.len().to_string()).chain(cells).collect()
}

/// The cells of all rows.
fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns: Vec<_> = columns.collect::<Result<_, _>>().expect("all types have a text");
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
    }
    rows
}
