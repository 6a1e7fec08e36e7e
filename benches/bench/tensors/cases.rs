//! What is measured: programs whose result is a number. benches/peers/numpy_torch.py does the same work under the same names.

use serde_json::{Value, json};

use super::stored::{DTYPES, member, path};
use crate::sizes::Sizes;

/// The paths of constructors.
const DENSE: &str = "/state/collection/tensor/dense";
const EINSUM: &str = "/state/collection/tensor/einsum";
const SEQUENTIAL: &str = "/state/ml/sequential";
/// The largest matrices for products of several.
const EINSUM_SIDE_MAX: u64 = 1024;
/// Features of a row that a network learns from, and what its hidden layers have. The same as in benches/peers/numpy_torch.py.
pub const FEATURES: u64 = 64;
const UNITS: u64 = 128;
const BATCH: u64 = 32;

/// A program.
pub struct Case {
    /// What it does.
    pub name: String,
    /// The body of its request.
    pub body: String,
    /// Digits in which all systems have to agree; none if what they do is random.
    digits: Option<usize>,
}

impl Case {
    /// What of a result all systems have to agree on.
    pub fn answer(&self, result: f64) -> Option<[String; 1]> {
        let after_point = self.digits? - 1;
        Some([format!("{result:.after_point$e}")])
    }
}

/// All cases.
pub fn all(sizes: &Sizes) -> Vec<Case> {
    let mut cases = Vec::new();
    for side in &sizes.matrices {
        for dtype in DTYPES {
            let steps = json!([["a", stored(&member(dtype, *side))], ["c", {"$a/matmul": [of("a")]}], sum("c")]);
            cases.push(case(format!("matmul {side} {dtype}, sum"), steps, Some(digits(dtype))));
        }
    }
    if let Some(side) = sizes.matrices.iter().max() {
        for dtype in DTYPES {
            let name = format!("exp, add, sum of {side} × {side} {dtype}");
            let steps = json!([
                ["a", stored(&member(dtype, *side))],
                ["b", {"$a/exp": []}],
                ["c", {"$b/add": [1]}],
                sum("c")
            ]);
            cases.push(case(name, steps, Some(digits(dtype))));
        }
        for (name, axis) in [("rows", 1), ("columns", 0)] {
            let steps =
                json!([["a", stored(&member("f64", *side))], ["b", {"$a/sum": [axis]}], ["r", {"$b/max": [null]}]]);
            cases.push(case(format!("largest sum of {name}, {side} × {side} f64"), steps, Some(digits("f64"))));
        }
    }
    if let Some(side) = sizes.matrices.iter().filter(|side| **side <= EINSUM_SIDE_MAX).max() {
        for (format, count) in [("ij,kj->ik", 2), ("ij,jk,kl->il", 3)] {
            let tensors = vec![of("a"); count];
            let steps = json!([
                ["a", stored(&member("f64", *side))],
                ["b", {EINSUM: {"format": format, "tensors": tensors}}],
                sum("b")
            ]);
            cases.push(case(format!("einsum {format} {side} f64, sum"), steps, Some(digits("f64"))));
        }
    }
    cases.push(chain(sizes.elements));
    let steps = json!([["a", stored("sparse")], ["b", {"$a/matmul": [of("a")]}], sum("b")]);
    cases.push(case(format!("sparse matmul {}, 0.1 %, sum", sizes.sparse_side), steps, Some(digits("f64"))));
    cases.push(training(sizes.examples));
    cases
}

/// A chain of functions of elements that are nowhere stored.
pub fn chain(elements: u64) -> Case {
    let range = format!("{DENSE}/range");
    let steps = json!([
        ["a", {range: [[[elements], 0.0, 1.0]]}],
        ["b", {"$a/exp": []}],
        ["c", {"$b/add": [1]}],
        sum("c")
    ]);
    case(format!("range, exp, add, sum of {elements} f64"), steps, Some(digits("f64")))
}

/// An epoch of a network with two hidden layers, from parameters that have learned nothing.
fn training(rows: u64) -> Case {
    let layers =
        json!([{"linear": {"units": UNITS}}, "relu", {"linear": {"units": UNITS}}, "relu", {"linear": {"units": 1}}]);
    let init = format!("{SEQUENTIAL}/init");
    let fit = format!("{SEQUENTIAL}/fit");
    let steps = json!([
        ["x", stored("inputs")],
        ["y", stored("labels")],
        ["p", {init: {"layers": layers.clone(), "inputs": FEATURES, "seed": 1}}],
        ["f", {fit: {
            "layers": layers,
            "parameters": of("p"),
            "inputs": of("x"),
            "labels": of("y"),
            "loss": "mse",
            "optimizer": {"adam": {"lr": 0.001}},
            "epochs": 1,
            "batch_size": BATCH,
            "seed": 1,
        }}],
        ["l", {"$f": ["losses"]}],
        ["r", {"$l": [0]}]
    ]);
    case(format!("training, an epoch of {rows} rows in batches of {BATCH}"), steps, None)
}

fn case(name: String, steps: Value, digits: Option<usize>) -> Case {
    Case { name, body: json!({"op": steps}).to_string(), digits }
}

/// What is stored under a name.
fn stored(name: &str) -> Value {
    json!({path(name): [null]})
}

/// An earlier step.
fn of(step: &str) -> Value {
    json!({format!("${step}"): []})
}

/// The last step: the sum of an earlier one.
fn sum(step: &str) -> Value {
    json!(["r", {format!("${step}/sum"): [null]}])
}

/// Sums of single floats depend on their order.
fn digits(dtype: &str) -> usize {
    if dtype == "f32" { 3 } else { 6 }
}
