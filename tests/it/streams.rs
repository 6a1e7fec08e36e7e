//! Ops over the rows of a table, at random: run on whole columns, they do what they do row by row.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tinychain::compiler::Program;
use tinychain::error::Result;
use tinychain::limits::Limits;
use tinychain::planner::Optimizer;
use tinychain::server::codec::json as codec;
use tinychain::value::State;
use tinychain::value::encode::to_json;

use crate::local::Local;

/// The columns, all of them numbers but the last.
const COLUMNS: [(&str, &str); 8] = [
    ("k", "number/int/64"),
    ("i", "number/int/64"),
    ("s", "number/int/16"),
    ("u", "number/uint/8"),
    ("f", "number/float/64"),
    ("g", "number/float/32"),
    ("b", "number/bool"),
    ("t", "string"),
];
const NUMBERS: u16 = 7;
const INTEGERS: [i64; 12] = [0, 1, -1, 2, 3, 7, 100, -128, 255, 32_767, i64::MAX, i64::MIN];
const FLOATS: [f64; 8] = [0.0, -0.0, 1.0, -1.5, 0.1, 1e6, 16_777_217.0, -3.0];
const TEXTS: [&str; 4] = ["", "ash", "elm", "5"];
const BINARY: [&str; 15] =
    ["add", "sub", "mul", "div", "mod", "pow", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor"];
const UNARY: [&str; 8] = ["abs", "exp", "sin", "round", "not", "real", "ln", "is_none"];
const CLASSES: [&str; 7] =
    ["number/int/64", "number/int/16", "number/uint/8", "number/float/64", "number/float/32", "number/bool", "number"];
const TERMINALS: [&str; 5] = ["collect", "sum", "max", "min", "count"];

/// Takes decisions from words; past their end, the simplest.
struct Words<'a>(std::slice::Iter<'a, u16>);

impl Words<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % limit
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// A column or an earlier step, as a number or a literal.
fn operand(words: &mut Words<'_>, names: &[String]) -> Value {
    match words.below(4) {
        0 => json!(words.of(&INTEGERS)),
        1 => json!(words.of(&FLOATS)),
        _ => json!({format!("${}", names[words.below(names.len())]): []}),
    }
}

/// The steps of an op that computes with the columns.
fn steps(words: &mut Words<'_>, count: usize) -> Vec<Value> {
    let mut names: Vec<String> = COLUMNS[..usize::from(NUMBERS)].iter().map(|(name, _)| (*name).into()).collect();
    let mut steps = Vec::new();
    for at in 0..count {
        let subject = names[words.below(names.len())].clone();
        let call = |method: &str, argument: Value| json!({format!("${subject}/{method}"): [argument]});
        let step = match words.below(10) {
            0 => call(words.of(&UNARY), Value::Null),
            1 => {
                let cond = json!({format!("${subject}"): []});
                json!({"/state/scalar/ref/if": [cond, operand(words, &names), operand(words, &names)]})
            }
            2 => {
                let message = "/error/bad_request";
                let cond = call("gt", json!(words.of(&INTEGERS)));
                let cond_name = format!("c{at}");
                steps.push(json!([cond_name, cond]));
                let cond = json!({format!("${cond_name}"): []});
                json!({"/state/scalar/ref/if": [cond, operand(words, &names), {message: "too small"}]})
            }
            3 => json!({format!("/state/scalar/value/{}", words.of(&CLASSES)): [{format!("${subject}"): []}]}),
            4 => json!({"$t/eq": [words.of(&TEXTS)]}),
            _ => {
                let (method, argument) = (words.of(&BINARY), operand(words, &names));
                call(method, argument)
            }
        };
        let name = format!("s{at}");
        steps.push(json!([name, step]));
        names.push(name);
    }
    let last = names[names.len() - 1].clone();
    let result = match words.below(4) {
        0 => json!([{format!("${last}"): []}, operand(words, &names)]),
        1 => json!({"x": {format!("${last}"): []}, "y": operand(words, &names)}),
        _ => json!({format!("${last}"): []}),
    };
    steps.push(json!(["_return", result]));
    steps
}

/// A program over a table of random rows: perhaps a filter, a map, and what is done with its items.
fn program(words: &[u16]) -> Value {
    let words = &mut Words(words.iter());
    let rows: Vec<Value> = (0..1 + words.below(20))
        .map(|key| {
            let integer = words.of(&INTEGERS);
            let (float, text) = (words.of(&FLOATS), words.of(&TEXTS));
            let small = words.below(300);
            json!([key, integer, small, small, float, float, small % 2 == 0, text])
        })
        .collect();
    let class = |class: &str| json!({format!("/state/scalar/value/{class}"): {}});
    let column = |(name, of): &(&str, &str)| match *of {
        "string" => json!([name, class(of), 8]),
        of => json!([name, class(of)]),
    };
    let columns: Vec<Value> = COLUMNS.iter().map(column).collect();
    let op = |steps: Vec<Value>| json!({"op": {"/state/scalar/op/post": steps}});
    let mut all = vec![
        json!(["t", {"/state/collection/table": [[[columns[..1], columns[1..]], []], rows]}]),
        json!(["r0", {"$t/rows": [null]}]),
    ];
    let mut source = "r0";
    if words.below(3) == 0 {
        let cond = json!({format!("${}/{}", COLUMNS[words.below(7)].0, words.of(&BINARY)): [words.of(&INTEGERS)]});
        all.push(json!(["kept", {"$r0/filter": op(vec![json!(["_return", cond])])}]));
        source = "kept";
    }
    let count = 1 + words.below(6);
    let map = steps(words, count);
    all.push(json!(["mapped", {format!("${source}/map"): op(map)}]));
    let terminal = words.of(&TERMINALS);
    all.push(json!(["result", {format!("$mapped/{terminal}"): [null]}]));
    json!({"op": all})
}

fn local(vectorizes: bool) -> Local {
    let time = Duration::from_secs(10);
    let limits = Limits { compute_time: time, request_ttl: time, ..Limits::default() };
    Local::new(limits, Optimizer::with_rules(|rule| vectorizes || rule != "vectorization"))
}

fn decoded(body: &Value) -> Result<Program> {
    Program::hypothetical(&codec::decode(body.to_string().as_bytes(), usize::MAX)?)
}

/// Results as text. The order in which floats are added up shows in the last digits of a sum.
fn is_alike(l: &Result<State>, r: &Result<State>) -> bool {
    match (l, r) {
        (Ok(l), Ok(r)) => {
            let (l, r) = (to_json(l), to_json(r));
            let both = (l.parse::<f64>(), r.parse::<f64>());
            l == r
                || matches!(both, (Ok(l), Ok(r)) if (l - r).abs() <= 1e-12 * l.abs().max(r.abs()) || !(l - r).is_finite())
        }
        (Err(l), Err(r)) => l == r,
        _ => false,
    }
}

#[test]
fn on_columns_ops_do_what_they_do_row_by_row() {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if config.rng_seed == proptest::test_runner::RngSeed::Random {
        config.rng_seed = proptest::test_runner::RngSeed::Fixed(rand::random());
    }
    println!("PROPTEST_RNG_SEED={}", config.rng_seed);
    let words = prop::collection::vec(any::<u16>(), 0..200);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let tested = runner.run(&words, |words| {
        let body = program(&words);
        let [on_columns, by_rows] =
            [true, false].map(|vectorizes| decoded(&body).and_then(|p| local(vectorizes).run(p)));
        prop_assert!(is_alike(&on_columns, &by_rows), "{on_columns:?} instead of {by_rows:?}: {body}");
        Ok(())
    });
    if let Err(error) = tested {
        panic!("{error}");
    }
}

/// Otherwise the test above would compare nothing.
#[test]
fn most_ops_run_on_columns() {
    use rand::{RngExt as _, SeedableRng as _};
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let (mut on_columns, mut values) = (0, 0);
    let samples = 300;
    for _ in 0..samples {
        let words: Vec<u16> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
        let body = program(&words);
        let Ok(explained) = decoded(&body).and_then(|program| local(true).explain(program, true)) else { continue };
        values += 1;
        on_columns += usize::from(explained.to_text().contains("on whole columns"));
    }
    println!("{on_columns} of {values} programs that have a value run on columns");
    assert!(values > samples / 4 && on_columns > values / 2, "{on_columns} of {values}");
}
