//! Elements for tests, and what is compared with them.

use std::fmt::Debug;

use burn::tensor::Device;
use num_complex::{Complex32, Complex64};

use super::Chunk;
use crate::exec::tensor::device::OpKey;
pub use crate::exec::tensor::device::{is_exact, numbers};
use crate::value::tensor::{Binary, Elements, Reduction, Unary};
use crate::value::{Number, NumberClass};

pub fn device() -> Device {
    Device::flex()
}

pub fn chunk(class: NumberClass, numbers: &[Number]) -> Chunk {
    Chunk::upload(&Elements::from_numbers(class, numbers.iter().copied()), &device()).unwrap()
}

pub fn unary_ops() -> Vec<Unary> {
    OpKey::all().filter_map(|op| if let OpKey::Unary(op) = op { Some(op) } else { None }).collect()
}

pub fn binary_ops() -> Vec<Binary> {
    OpKey::all().filter_map(|op| if let OpKey::Binary(op) = op { Some(op) } else { None }).collect()
}

pub fn reductions() -> Vec<Reduction> {
    OpKey::all().filter_map(|op| if let OpKey::Reduce(op) = op { Some(op) } else { None }).collect()
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
