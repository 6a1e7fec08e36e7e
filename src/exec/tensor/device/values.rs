//! Elements that functions are tried with.

use num_complex::Complex64;

use crate::value::number::NumberKind;
use crate::value::number::cast::{cast, to_f64};
use crate::value::{Number, NumberClass};

/// Numbers of a class: ordinary ones, zeros, limits, and what is no number.
pub fn numbers(class: NumberClass) -> Vec<Number> {
    let all: Vec<Number> = match class.kind() {
        NumberKind::Bool => [true, false, false, true].map(Number::Bool).to_vec(),
        NumberKind::UInt | NumberKind::Int => {
            let small = [0, 1, 2, 3, 5, 7, 10, 100, 127, 128, 255, 300, -1, -2, -3, -7, -10, -128];
            let limits = [i64::MAX, i64::MIN, i32::MIN.into(), i16::MIN.into(), 32767, 1 << 31, (1 << 31) - 1];
            small.into_iter().chain(limits).map(Number::I64).collect()
        }
        NumberKind::Float => {
            let small = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, -2.0, -2.75, 3.25, 10.0, -7.5, 0.1, 0.9, -0.9];
            let limits = [1e10, -1e10, 1e-10, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
            small.into_iter().chain(limits).map(Number::F64).collect()
        }
        NumberKind::Complex => {
            let small = [(0.0, 0.0), (1.0, 2.0), (-1.0, 0.5), (3.0, -1.0), (0.0, 1.0), (2.0, 0.0), (-0.5, -0.25)];
            let parts = small.into_iter().chain([(100.0, 0.125)]);
            parts.map(|(re, im)| Number::C64(Complex64::new(re, im))).collect()
        }
    };
    all.into_iter().map(|number| cast(number, class)).collect()
}

/// Whether sums of a few products of this number and others like it are exact, in single precision too, so that they do not depend
/// on their order.
pub fn is_exact(number: Number) -> bool {
    let quarters = to_f64(number) * 4.0;
    number.class().kind() != NumberKind::Float || (quarters.abs() <= 40.0 && quarters.fract() == 0.0)
}
