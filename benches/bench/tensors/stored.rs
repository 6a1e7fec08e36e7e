//! A service that keeps what programs compute with.

use serde_json::{Map, Value, json};

use super::cases::FEATURES;
use crate::client::{Client, Request};
use crate::sizes::Sizes;

const SERVICE: &str = "/service/bench/tensors";
const VERSION: &str = "1.0.0";
const TENSOR: &str = "/state/collection/tensor";
/// The names of the dtypes of matrices.
pub const DTYPES: [&str; 2] = ["f32", "f64"];
/// One in so many elements of a sparse matrix is not zero. Which these are: the first multiples of a number without a factor in common
/// with the number of all elements, so that they are different ones. The same as in benches/peers/numpy_torch.py.
const SPARSE_SHARE: u64 = 1000;
const SPARSE_STEP: u64 = 2_654_435_761;

/// The path of what is stored under a name.
pub fn path(name: &str) -> String {
    format!("{SERVICE}/{VERSION}/{name}")
}

/// The name of a square matrix.
pub fn member(dtype: &str, side: u64) -> String {
    format!("{dtype}_{side}")
}

/// Installs the service, and writes everything that the cases need.
pub fn fill(client: &mut Client, sizes: &Sizes) {
    assert!(sizes.sparse_side.is_power_of_two(), "the side of the sparse matrix has to be a power of two");
    let mut tensors = vec![
        dense("inputs".into(), "f32", [sizes.examples, FEATURES]),
        dense("labels".into(), "f32", [sizes.examples, 1]),
        sparse(sizes.sparse_side),
    ];
    for side in &sizes.matrices {
        tensors.extend(DTYPES.map(|dtype| dense(member(dtype, *side), dtype, [*side; 2])));
    }
    let declared: Map<String, Value> =
        tensors.iter().map(|tensor| (tensor.name.clone(), json!({"/state/chain/sync": [tensor.schema]}))).collect();
    put(client, "/service?key=%22bench%22", "true");
    put(client, "/service/bench?key=%22tensors%22", "false");
    put(client, &format!("{SERVICE}?key=%22{VERSION}%22"), &json!({SERVICE: declared}).to_string());
    for Tensor { name, value, .. } in &tensors {
        put(client, &path(name), &value.to_string());
    }
}

/// What is stored under a name.
struct Tensor {
    name: String,
    /// As a service declares it.
    schema: Value,
    /// What is written to it.
    value: Value,
}

/// Numbers from 0 to 1 in equal steps.
fn dense(name: String, dtype: &str, shape: [u64; 2]) -> Tensor {
    let schema = json!({format!("{TENSOR}/dense"): [[class(dtype), shape]]});
    let value = json!({format!("{TENSOR}/dense/range"): [[shape, 0.0, 1.0]]});
    Tensor { name, schema, value }
}

/// A matrix of which few elements are not zero.
fn sparse(side: u64) -> Tensor {
    let (size, schema) = (side * side, json!([class("f64"), [side, side]]));
    let entries = (0..size / SPARSE_SHARE).map(|at| {
        let offset = at.wrapping_mul(SPARSE_STEP) % size;
        json!([[offset / side, offset % side], 1.0 + (at % 7) as f64])
    });
    let entries: Vec<Value> = entries.collect();
    let class = format!("{TENSOR}/sparse");
    let value = json!({class.clone(): [schema.clone(), entries]});
    Tensor { name: "sparse".into(), schema: json!({class: [schema]}), value }
}

fn class(dtype: &str) -> Value {
    let class = format!("/state/scalar/value/number/float/{}", dtype.trim_start_matches('f'));
    json!({class: {}})
}

fn put(client: &mut Client, target: &str, body: &str) {
    client.send(&Request::new("PUT", target.to_owned(), body).to_bytes());
}
