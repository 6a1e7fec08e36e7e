//! Ops over the rows of a table: on whole columns, row by row, and as the expression that somebody would write in SQL.

use std::time::Instant;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use tinychain::value::{Number, State, Value};

use crate::Effort;
use crate::facts;
use crate::folder;
use crate::inside::{Inside, MEMTABLE_BYTES, path};
use crate::program::decode;
use crate::record::record;
use crate::table::{Table, figure};

const COLUMNS: [&str; 6] =
    ["op, and what is made of its results", "ms", "SQL ms", "ms row by row", "this ÷ SQL", "row by row ÷ this"];

/// An op over the table `facts`, and the same in SQL.
struct Case {
    name: &'static str,
    /// Steps from the stream `rows` to the result.
    steps: &'static str,
    sql: &'static str,
}

const CASES: [Case; 4] = [
    Case {
        name: "score * 3.28 + quantity, summed",
        steps: r#"["m",{"$rows/map":{"op":{"/state/scalar/op/post":[
            ["feet",{"$score/mul":[3.28]}],["_return",{"$feet/add":{"r":{"$quantity":[]}}}]]}}}],["r",{"$m/sum":[null]}]"#,
        sql: "SELECT sum(score * 3.28 + quantity) FROM facts",
    },
    Case {
        name: "if score >= 0.5: score * 3.28 else: 0.0, summed",
        steps: r#"["m",{"$rows/map":{"op":{"/state/scalar/op/post":[
            ["far",{"$score/ge":[0.5]}],
            ["_return",{"/state/scalar/ref/if":[{"$far":[]},{"$score/mul":[3.28]},0.0]}]]}}}],["r",{"$m/sum":[null]}]"#,
        sql: "SELECT sum(CASE WHEN score >= 0.5 THEN score * 3.28 ELSE 0.0 END) FROM facts",
    },
    Case {
        name: "quantity * account % 1000, the greatest",
        steps: r#"["m",{"$rows/map":{"op":{"/state/scalar/op/post":[
            ["n",{"$quantity/mul":{"r":{"$account":[]}}}],["_return",{"$n/mod":[1000]}]]}}}],["r",{"$m/max":[null]}]"#,
        sql: "SELECT max(CAST(quantity AS BIGINT) * account % 1000) FROM facts",
    },
    Case {
        name: "quantity > 25 and score < 0.5, counted",
        steps: r#"["f",{"$rows/filter":{"op":{"/state/scalar/op/post":[
            ["l",{"$quantity/gt":[25]}],["h",{"$score/lt":[0.5]}],
            ["_return",{"$l/and":{"r":{"$h":[]}}}]]}}}],["r",{"$f/count":[null]}]"#,
        sql: "SELECT count(*) FROM facts WHERE quantity > 25 AND score < 0.5",
    },
];

/// Measures each op in three ways, on tables that are in segments and mostly cached.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let dir = folder::new(sizes);
    let inside = Inside::open(dir.path(), MEMTABLE_BYTES);
    inside.create("facts");
    inside.load("facts", facts::batches(sizes.rows));
    inside.settle();
    let title = format!(
        "closure: ops over {} rows, in process, beside the same in SQL by DataFusion on the same table; medians of {}",
        sizes.rows, sizes.runs
    );
    let mut table = Table::new(&title, &COLUMNS);
    for case in &CASES {
        let body = format!(r#"{{"op":[["rows",{{"{}/rows":[null]}}],{}]}}"#, path("facts"), case.steps);
        let program = || decode(&body);
        let answer = number(&inside.run_on(program(), true));
        let expected = first(&inside.sql(case.sql));
        assert!((answer - expected).abs() <= 1e-9 * expected.abs(), "{}: {answer} instead of {expected}", case.name);
        let (mut columns, mut sql) = (vec![], vec![]);
        for _ in 0..sizes.runs {
            columns.push(millis(|| drop(inside.run_on(program(), true))));
            sql.push(millis(|| drop(inside.sql(case.sql))));
        }
        // Long enough to be measured once.
        let rows = millis(|| assert!((number(&inside.run_on(program(), false)) - answer).abs() <= 1e-9 * answer.abs()));
        let (columns, sql) = (median(columns), median(sql));
        table.row([
            case.name.into(),
            figure(columns),
            figure(sql),
            figure(rows),
            figure(columns / sql),
            figure(rows / columns),
        ]);
        record("closure", case.name, "tinychain", columns, "ms");
        record("closure", case.name, "tinychain, SQL", sql, "ms");
        record("closure", case.name, "tinychain, row by row", rows, "ms");
    }
    table.print();
}

fn millis(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn number(state: &State) -> f64 {
    match state {
        State::Value(Value::Number(Number::F64(n))) => *n,
        State::Value(Value::Number(Number::I64(n))) => *n as f64,
        State::Value(Value::Number(Number::U64(n))) => *n as f64,
        other => panic!("expected a number, found {other:?}"),
    }
}

fn first(batches: &[RecordBatch]) -> f64 {
    let column = batches[0].column(0);
    match column.as_primitive_opt::<Float64Type>() {
        Some(floats) => floats.value(0),
        None => column.as_primitive::<Int64Type>().value(0) as f64,
    }
}
