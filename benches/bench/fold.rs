//! Loops over many numbers, in this process.
//!
//! The peers are the same loop in Rust, which knows all classes when it is compiled, and a tree interpreter, which like
//! the host knows none: each value says what it is, and each sum is checked.

use std::hint::black_box;

use tinychain::compiler::Program;
use tinychain::value::State;

use crate::Effort;
use crate::program::{InProcess, decode};
use crate::table::{Samples, Table, figure, measure, millis, nothing};

const ITEMS: i64 = 1_000_000;

const COLUMNS: [&str; 6] = ["loop", "ms p50", "ms p99", "ns/item", "samples", "host ÷ this"];

/// Measures a sum and a map.
pub fn run(effort: &Effort) {
    let title = format!("fold: loops over {ITEMS} numbers, in process");
    let mut table = Table::new(&title, &COLUMNS);
    let items: Vec<i64> = (1..=ITEMS).collect();
    sum(&mut table, &items, effort);
    map(&mut table, &items, effort);
    table.print();
}

fn sum(table: &mut Table, items: &[i64], effort: &Effort) {
    let program = looping(
        items,
        r#"{"$t/fold":{"item_name":"n","value":{"s":0},
            "op":{"/state/scalar/op/post":[["_return",{"s":{"$s/add":{"r":{"$n":[]}}}}]]}}}"#,
    );
    let host = InProcess::new();
    let program = host.prepare(program);
    let expected = ITEMS * (ITEMS + 1) / 2;
    match host.run(&program) {
        State::Map(map) => assert_eq!(map.get("s"), Some(&State::from(expected))),
        other => panic!("expected a map, found {other:?}"),
    }
    assert_eq!(rust_sum(items), Some(expected));
    let (tree, data) = (Tree::add(Tree::Name(0), Tree::Name(1)), data(items));
    assert_eq!(tree_sum(&tree, &data), Ok(Datum::Int(expected)));

    let samples = measure(effort.items, || (), |()| host.run(&program));
    row(table, "sum: host", &samples, None);
    let peer = measure(effort.items, || items, rust_sum);
    row(table, "sum: loop in Rust, checked", &peer, Some(&samples));
    let peer = measure(effort.items, || black_box(&tree), |tree| tree_sum(tree, &data));
    row(table, "sum: tree interpreter", &peer, Some(&samples));
}

fn map(table: &mut Table, items: &[i64], effort: &Effort) {
    let program = looping(
        items,
        r#"{"$t/map":{"op":{"/state/scalar/op/get":
            ["n",[["twice",{"$n/mul":{"r":2}}],["r",{"$twice/add":{"r":1}}]]]}}}"#,
    );
    let host = InProcess::new();
    let program = host.prepare(program);
    match host.run(&program) {
        State::Tuple(tuple) => assert_eq!(tuple.items().last(), Some(&State::from(ITEMS * 2 + 1))),
        other => panic!("expected a tuple, found {other:?}"),
    }
    let twice = Tree::mul(Tree::Name(0), Tree::Literal(Datum::Int(2)));
    let (tree, data) = (Tree::add(twice, Tree::Literal(Datum::Int(1))), data(items));
    assert_eq!(tree_map(&tree, &data[..1]), Ok(vec![Datum::Int(3)]));

    let samples = measure(effort.items, || (), |()| host.run(&program));
    row(table, "n*2+1: host", &samples, None);
    let peer = measure(effort.items, || items, rust_map);
    row(table, "n*2+1: loop in Rust, checked", &peer, Some(&samples));
    let peer = measure(effort.items, || black_box(&tree), |tree| tree_map(tree, &data));
    row(table, "n*2+1: tree interpreter", &peer, Some(&samples));
}

/// A program with the tuple of `items` as `t`, whose result is `call`.
fn looping(items: &[i64], call: &str) -> Program {
    let items: Vec<String> = items.iter().map(i64::to_string).collect();
    decode(&format!(r#"{{"op":[["t",[{}]],["r",{call}]]}}"#, items.join(",")))
}

fn row(table: &mut Table, name: &str, samples: &Samples, host: Option<&Samples>) {
    table.row([
        name.into(),
        millis(samples.p50()),
        millis(samples.p99()),
        figure(samples.p50() / ITEMS as f64),
        samples.count().to_string(),
        host.map_or_else(nothing, |host| figure(host.p50() / samples.p50())),
    ]);
}

fn rust_sum(items: &[i64]) -> Option<i64> {
    items.iter().try_fold(0i64, |sum, n| sum.checked_add(*n))
}

fn rust_map(items: &[i64]) -> Option<Vec<i64>> {
    let mut results = Vec::with_capacity(items.len());
    for n in items {
        results.push(n.checked_mul(2)?.checked_add(1)?);
    }
    Some(results)
}

fn data(items: &[i64]) -> Vec<Datum> {
    items.iter().copied().map(Datum::Int).collect()
}

fn tree_sum(tree: &Tree, items: &[Datum]) -> Result<Datum, String> {
    items.iter().try_fold(Datum::Int(0), |sum, n| tree.eval(&[sum, *n]))
}

fn tree_map(tree: &Tree, items: &[Datum]) -> Result<Vec<Datum>, String> {
    items.iter().map(|n| tree.eval(&[*n])).collect()
}

/// A value that says what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Datum {
    Int(i64),
    Float(f64),
}

/// An expression, whose names were replaced by places in its scope.
enum Tree {
    Literal(Datum),
    Name(usize),
    Add(Box<Tree>, Box<Tree>),
    Mul(Box<Tree>, Box<Tree>),
}

impl Tree {
    fn add(l: Tree, r: Tree) -> Tree {
        Tree::Add(Box::new(l), Box::new(r))
    }

    fn mul(l: Tree, r: Tree) -> Tree {
        Tree::Mul(Box::new(l), Box::new(r))
    }

    fn eval(&self, scope: &[Datum]) -> Result<Datum, String> {
        match self {
            Tree::Literal(datum) => Ok(*datum),
            Tree::Name(place) => scope.get(*place).copied().ok_or_else(|| format!("there is no name {place}")),
            Tree::Add(l, r) => arithmetic(l.eval(scope)?, r.eval(scope)?, i64::checked_add, |l, r| l + r),
            Tree::Mul(l, r) => arithmetic(l.eval(scope)?, r.eval(scope)?, i64::checked_mul, |l, r| l * r),
        }
    }
}

fn arithmetic(
    l: Datum,
    r: Datum,
    ints: impl Fn(i64, i64) -> Option<i64>,
    floats: impl Fn(f64, f64) -> f64,
) -> Result<Datum, String> {
    let float = |datum: Datum| match datum {
        Datum::Int(int) => int as f64,
        Datum::Float(float) => float,
    };
    match (l, r) {
        (Datum::Int(a), Datum::Int(b)) => {
            ints(a, b).map(Datum::Int).ok_or_else(|| format!("the result of {a} and {b} is too large"))
        }
        (l, r) => Ok(Datum::Float(floats(float(l), float(r)))),
    }
}
