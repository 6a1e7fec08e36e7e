//! Elements for tests, and what is compared with them.

use std::fmt::Debug;

use burn::tensor::Device;
use num_complex::{Complex32, Complex64};

use super::Chunk;
use crate::value::number::NumberKind;
use crate::value::number::cast::cast;
use crate::value::tensor::{Binary, Elements, Reduction, Unary};
use crate::value::{Number, NumberClass};

pub fn device() -> Device {
    Device::flex()
}

pub fn chunk(class: NumberClass, numbers: &[Number]) -> Chunk {
    Chunk::upload(&Elements::from_numbers(class, numbers.iter().copied()), &device()).unwrap()
}

/// Numbers of a class: ordinary ones, zeros, limits, and what is no number.
pub fn numbers(class: NumberClass) -> Vec<Number> {
    let all: Vec<Number> = match class.kind() {
        NumberKind::Bool => [true, false, false, true].map(Number::Bool).to_vec(),
        NumberKind::UInt | NumberKind::Int => {
            let small = [0, 1, 2, 3, 5, 7, 10, 100, 127, 128, 255, 300, -1, -2, -3, -7, -10, -128];
            let limits = [i64::MAX, i64::MIN, i64::from(i32::MIN), i64::from(i16::MIN), 32767, 1 << 31, (1 << 31) - 1];
            small.into_iter().chain(limits).map(Number::I64).collect()
        }
        NumberKind::Float => {
            let finite =
                [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, -2.0, -2.75, 3.25, 10.0, -7.5, 0.1, 0.9, -0.9, 1e10, -1e10];
            let rest = [1e-10, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
            finite.into_iter().chain(rest).map(Number::F64).collect()
        }
        NumberKind::Complex => {
            let parts = [
                (0.0, 0.0),
                (1.0, 2.0),
                (-1.0, 0.5),
                (3.0, -1.0),
                (0.0, 1.0),
                (2.0, 0.0),
                (-0.5, -0.25),
                (100.0, 0.125),
            ];
            parts.map(|(re, im)| Number::C64(Complex64::new(re, im))).to_vec()
        }
    };
    all.into_iter().map(|number| cast(number, class)).collect()
}

pub fn unary_ops() -> Vec<Unary> {
    use Unary::*;
    vec![Abs, Exp, Log, Round, Sin, Cos, Tan, Asin, Acos, Atan, Sinh, Cosh, Tanh, Asinh, Acosh, Atanh, Not]
}

pub fn binary_ops() -> Vec<Binary> {
    use Binary::*;
    vec![Add, Sub, Mul, Div, Pow, Mod, LogBase, Eq, Ne, Gt, Ge, Lt, Le, And, Or, Xor]
}

pub fn reductions() -> Vec<Reduction> {
    use Reduction::*;
    vec![Sum, Product, Max, Min, All, Any]
}

fn is_nan(number: Number) -> bool {
    match number {
        Number::F32(n) => n.is_nan(),
        Number::F64(n) => n.is_nan(),
        Number::C32(n) => n.re.is_nan() || n.im.is_nan(),
        Number::C64(n) => n.re.is_nan() || n.im.is_nan(),
        _ => false,
    }
}

/// Whether two numbers are the same, bit by bit, or both are NaN of one class.
pub fn same(l: Number, r: Number) -> bool {
    l == r || (l.class() == r.class() && is_nan(l) && is_nan(r))
}

#[track_caller]
pub fn assert_same(found: Number, expected: Number, of: &dyn Debug) {
    assert!(same(found, expected), "{of:?}: {found:?}, not {expected:?}");
}

/// Asserts that two numbers differ by a few units of the last digit, at most.
#[track_caller]
pub fn assert_close(found: Number, expected: Number, of: &dyn Debug) {
    assert_eq!(found.class(), expected.class(), "{of:?}");
    let (digits, parts) = match (found, expected) {
        (Number::F32(l), Number::F32(r)) => (1e-6, [(l.into(), r.into()), (0.0, 0.0)]),
        (Number::F64(l), Number::F64(r)) => (1e-14, [(l, r), (0.0, 0.0)]),
        (Number::C32(Complex32 { re, im }), Number::C32(r)) => {
            (1e-5, [(re.into(), r.re.into()), (im.into(), r.im.into())])
        }
        (Number::C64(Complex64 { re, im }), Number::C64(r)) => (1e-13, [(re, r.re), (im, r.im)]),
        _ => return assert_same(found, expected, of),
    };
    // Each part is compared with the size of the whole, since one may be the difference of two that are as large.
    let size: f64 = parts.iter().map(|(_, r): &(f64, f64)| r.abs()).sum();
    let is_close = parts.iter().all(|(l, r)| l == r || (l.is_nan() && r.is_nan()) || (l - r).abs() <= digits * size);
    assert!(is_close, "{of:?}: {found:?}, not {expected:?}");
}
