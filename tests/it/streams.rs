//! Ops over the rows of a table, at random: run on whole columns, they do what they do row by row.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tinychain::compiler::Program;
use tinychain::error::Result;
use tinychain::limits::Limits;
use tinychain::planner::Optimizer;
use tinychain::value::State;
use tinychain::value::doc::json as codec;
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
    let result = match words.below(6) {
        0 => json!([{format!("${last}"): []}, operand(words, &names)]),
        1 => json!({"x": {format!("${last}"): []}, "y": operand(words, &names)}),
        // A part is taken out of what is made, and the others still count.
        2 => {
            steps.push(json!(["whole", [operand(words, &names), {format!("${last}"): []}]]));
            json!({"$whole": [words.below(3)]})
        }
        3 => {
            steps.push(json!(["whole", {"x": operand(words, &names), "y": {format!("${last}"): []}}]));
            json!({"$whole/x": [null]})
        }
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
    let mut source = "mapped";
    if words.below(3) == 0 {
        // What is done with the items of the first map, if these are maps or numbers.
        let ops = [
            json!({"/state/scalar/op/post": [["_return", {"$x/mul": [2]}]]}),
            json!({"/state/scalar/op/get": ["n", [["_return", {"$n/add": [1]}]]]}),
            json!({"/state/scalar/op/get": ["p", [["_return", {"$p": [0]}]]]}),
        ];
        all.push(json!(["again", {"$mapped/map": {"op": ops[words.below(3)]}}]));
        source = "again";
    }
    let terminal = words.of(&TERMINALS);
    all.push(json!(["result", {format!("${source}/{terminal}"): [null]}]));
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

#[track_caller]
fn check_both(steps: &str, expected: &str) {
    let body: Value = serde_json::from_str(&format!(r#"{{"op": [{steps}]}}"#)).unwrap();
    for vectorizes in [true, false] {
        let found = decoded(&body).and_then(|program| local(vectorizes).run(program));
        let found = found.map_or_else(|error| error.message().to_string(), |state| to_json(&state));
        assert_eq!(found, expected, "on columns: {vectorizes}");
    }
}

/// A table of the columns `k` and `v`, in which `k / v` fails for the first row, and its rows `s`.
const PAIRS: &str = r#"["t",{"/state/collection/table":[[[[["k",{"/state/scalar/value/number/int/64":{}}]],
    [["v",{"/state/scalar/value/number/int/64":{}}],["f",{"/state/scalar/value/number/float/64":{}}],
    ["n",{"/state/scalar/value/string":{}},9]]],[]],[[1,0,0.1,"ash"],[2,5,0.2,"elm"]]]}],["s",{"$t/rows":[null]}]"#;

#[test]
fn what_fails_is_an_error_also_where_nobody_needs_it() {
    let both =
        r#"{"/state/scalar/op/post":[["q",{"$k/div":{"r":{"$v":[]}}}],["_return",{"q":{"$q":[]},"k":{"$k":[]}}]]}"#;
    let part = r#"{"/state/scalar/op/post":[["q",{"$k/div":{"r":{"$v":[]}}}],["m",{"q":{"$q":[]},"k":{"$k":[]}}],["_return",{"$m/k":[null]}]]}"#;
    let zero = "cannot divide by zero";
    check_both(&format!(r#"{PAIRS},["r",{{"$s/map":{{"op":{part}}}}}]"#), zero);
    let mapped = format!(r#"{PAIRS},["m",{{"$s/map":{{"op":{both}}}}}]"#);
    let late = r#"{"/state/scalar/op/post":[["_return",{"$k/gt":[1]}]]}"#;
    check_both(&format!(r#"{mapped},["r",{{"$m/filter":{{"op":{late}}}}}]"#), zero);
    let twice = r#"{"/state/scalar/op/post":[["_return",{"$k/mul":[2]}]]}"#;
    check_both(&format!(r#"{mapped},["r",{{"$m/map":{{"op":{twice}}}}}]"#), zero);
}

#[test]
fn errors_say_what_they_say_row_by_row() {
    let op = r#"{"/state/scalar/op/post":[["c",{"$v/gt":[0]}],
        ["_return",{"/state/scalar/ref/if":[{"$c":[]},{"$f/mul":[2]},{"/error/bad_request":[{"$n":[]}]}]}]]}"#;
    check_both(&format!(r#"{PAIRS},["r",{{"$s/map":{{"op":{op}}}}}]"#), "ash");
}

#[test]
fn single_precision_is_compared_in_single_precision() {
    let op = r#"{"/state/scalar/op/post":[["x",{"/state/scalar/value/number/float/32":0.1}],["_return",{"$f/eq":{"eq":{"$x":[]}}}]]}"#;
    check_both(
        &format!(r#"{PAIRS},["r",{{"$s/map":{{"op":{}}}}}]"#, op.replace(r#"{"eq":"#, r#"{"r":"#)),
        "[true,false]",
    );
}

#[test]
fn what_is_captured_is_called_as_it_is() {
    let closure = r#"["seven",{"/state/scalar/op/post":[["_return",7]]}],
        ["c",{"/state/scalar/ref/with":[[{"$seven":[]}],{"/state/scalar/op/post":[["_return",{"$seven":{}}]]}]}]"#;
    check_both(&format!(r#"{PAIRS},{closure},["r",{{"$s/map":{{"op":{{"$c":[]}}}}}}]"#), "[7,7]");
    let closure = r#"["m",{"len":7}],
        ["c",{"/state/scalar/ref/with":[[{"$m":[]}],{"/state/scalar/op/post":[["_return",{"$m/len":[null]}]]}]}]"#;
    check_both(&format!(r#"{PAIRS},{closure},["r",{{"$s/map":{{"op":{{"$c":[]}}}}}}]"#), "[7,7]");
}

#[test]
fn an_op_that_doubles_what_it_makes_is_refused() {
    let steps: String = (1..30).map(|at| format!(r#"["a{at}",[{{"$a{0}":[]}},{{"$a{0}":[]}}]],"#, at - 1)).collect();
    let op =
        format!(r#"{{"/state/scalar/op/post":[["a0",[{{"$k":[]}},{{"$k":[]}}]],{steps}["_return",{{"$a29":[]}}]]}}"#);
    check_both(&format!(r#"{PAIRS},["r",{{"$s/map":{{"op":{op}}}}}]"#), "the state is larger than 256 MiB");
}

/// More rows than one thread reduces by itself.
#[test]
fn parts_of_many_rows_are_reduced_together() {
    let rows = r#"["n",{"/state/tuple/range":[70000]}],
        ["rows",{"$n/map":{"op":{"/state/scalar/op/get":["i",[["_return",[{"$i":[]}]]]]}}}],
        ["t",{"/state/collection/btree/copy_from":{"schema":[["n",{"/state/scalar/value/number/int/64":{}}]],"source":{"$rows":[]}}}],
        ["s",{"$t/rows":[null]}]"#;
    let op = r#"{"/state/scalar/op/post":[["_return",{"$n/mul":[2]}]]}"#;
    let late = r#"{"/state/scalar/op/post":[["_return",{"$n/ge":[69990]}]]}"#;
    check_both(&format!(r#"{rows},["m",{{"$s/map":{{"op":{op}}}}}],["r",{{"$m/sum":[null]}}]"#), "4899930000");
    check_both(&format!(r#"{rows},["f",{{"$s/filter":{{"op":{late}}}}}],["r",{{"$f/count":[null]}}]"#), "10");
    check_both(&format!(r#"{rows},["f",{{"$s/filter":{{"op":{late}}}}}],["r",{{"$f/max":[null]}}]"#), "[69999]");
}
