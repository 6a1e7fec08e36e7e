//! The same expressions on the CPU alone, and where another device computes all that it can: a driver in software, where there is
//! one, which has to be said by `TINYCHAIN_TEST_DEVICE=software`.

use std::sync::Arc;

use futures::executor::block_on;

use super::Evaluation;
use super::device::{DeviceChoice, Devices, OpKey};
use crate::storage::{Store, StoreConfig, Transaction};
use crate::txn::TxnId;
use crate::value::number::cast::to_f64;
use crate::value::tensor::{Binary, Elements, Initial, Layout, Node, Operand, Reduction, Shape, TensorSchema, Unary};
use crate::value::{Number, NumberClass, Tensor};

const F32: NumberClass = NumberClass::F32;
/// All functions that the expressions are made of.
const KEYS: [(OpKey, NumberClass); 5] = [
    (OpKey::Binary(Binary::Add), F32),
    (OpKey::Binary(Binary::Mul), F32),
    (OpKey::Unary(Unary::Abs), F32),
    (OpKey::Reduce(Reduction::Sum), F32),
    (OpKey::MatMul, F32),
];

fn tensor(dtype: NumberClass, dims: &[u64], node: Node) -> Arc<Tensor> {
    let schema = TensorSchema { layout: Layout::Dense, dtype, shape: Shape::try_new(dims).unwrap() };
    Arc::new(Tensor::new(schema, node))
}

/// Quarters from −4 on.
fn leaf(rows: u64, cols: u64) -> Arc<Tensor> {
    let elements = (0..rows * cols).map(|at| (at % 33) as f32 / 4.0 - 4.0).collect();
    tensor(F32, &[rows, cols], Node::Initial(Arc::new(Initial::Elements(Elements::from_vec(F32, elements)))))
}

/// A region, a reduction along an axis, and a product of matrices of both.
fn expressions() -> [Arc<Tensor>; 3] {
    let (a, dims) = (leaf(60, 50), [60, 50]);
    let abs = tensor(F32, &dims, Node::Unary { op: Unary::Abs, of: Arc::clone(&a) });
    let one = Operand::Number(Number::F32(1.0));
    let next = Node::Binary { op: Binary::Add, l: Operand::Tensor(Arc::clone(&abs)), r: one };
    let next = Operand::Tensor(tensor(F32, &dims, next));
    let region = tensor(F32, &dims, Node::Binary { op: Binary::Mul, l: next, r: Operand::Tensor(a) });
    let sums = Node::Reduce { op: Reduction::Sum, of: Arc::clone(&region), axes: [1].into() };
    let product = Node::MatMul { l: Arc::clone(&region), r: leaf(50, 40) };
    [tensor(F32, &[60], sums), tensor(F32, &[60, 40], product), region]
}

/// The elements of an expression, and how many pieces were not computed by the CPU.
fn computed(devices: Devices, expression: &Arc<Tensor>) -> (Vec<f64>, u64) {
    let store = block_on(Store::open(StoreConfig::memory())).unwrap();
    let txn = Arc::new(Transaction::new(store, TxnId { timestamp: 1, nonce: 0 }, 1 << 30));
    let devices = Arc::new(devices);
    let evaluation = Evaluation::new(&devices, &txn, Arc::default());
    let elements = block_on(evaluation.elements(expression)).unwrap();
    assert!(!evaluation.places().is_empty());
    (elements.iter().map(to_f64).collect(), devices.stats().accelerator.pieces)
}

#[test]
fn a_device_computes_what_the_cpu_does() {
    if std::env::var("TINYCHAIN_TEST_DEVICE").as_deref() != Ok("software") {
        eprintln!("skipped: TINYCHAIN_TEST_DEVICE is not software");
        return;
    }
    for expression in expressions() {
        let (expected, by_others) = computed(Devices::cpu_only(), &expression);
        assert_eq!(by_others, 0);
        let (found, by_others) = computed(Devices::eager(DeviceChoice::Software, &KEYS).unwrap(), &expression);
        assert!(by_others > 0, "the CPU computed a tensor of shape {}", expression.shape());
        // All of these are exact, in whatever order they are summed.
        assert_eq!(found, expected, "{}", expression.shape());
    }
}

#[test]
fn the_cpu_computes_the_expressions() {
    let [sums, product, region] = expressions().map(|expression| computed(Devices::cpu_only(), &expression).0);
    let a: Vec<f64> = (0..3000).map(|at| f64::from(at % 33) / 4.0 - 4.0).collect();
    let b: Vec<f64> = a[..2000].to_vec();
    let expected: Vec<f64> = a.iter().map(|n| (n.abs() + 1.0) * n).collect();
    assert_eq!(region, expected);
    assert_eq!(sums, expected.chunks(50).map(|row| row.iter().sum()).collect::<Vec<f64>>());
    let cell = |row: usize, col: usize| (0..50).map(|at| expected[row * 50 + at] * b[at * 40 + col]).sum::<f64>();
    let cells: Vec<f64> = (0..60).flat_map(|row| (0..40).map(move |col| (row, col))).map(|(r, c)| cell(r, c)).collect();
    assert_eq!(product, cells);
}
