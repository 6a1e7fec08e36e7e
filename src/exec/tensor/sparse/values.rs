//! Values of entries, in the types in which sums and products are computed.

use num_complex::Complex64;

use crate::value::number::cast::to_f64;
use crate::value::tensor::Elements;
use crate::value::{Number, NumberClass};

/// A type in which sums and products are computed.
pub(super) trait Arithmetic: Copy + Send + Sync + 'static {
    const ZERO: Self;
    const ONE: Self;
    fn of(number: Number) -> Self;
    fn number(self) -> Number;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;

    /// All values, in this type.
    fn all(elements: &Elements) -> Vec<Self> {
        elements.iter().map(Self::of).collect()
    }
}

/// Integers of all classes: they wrap around in the same way as narrower ones do in the end.
impl Arithmetic for i64 {
    const ZERO: Self = 0;
    const ONE: Self = 1;

    fn of(number: Number) -> Self {
        match crate::value::number::cast::cast(number, NumberClass::I64) {
            Number::I64(n) => n,
            _ => 0,
        }
    }

    fn number(self) -> Number {
        Number::I64(self)
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
}

impl Arithmetic for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(number: Number) -> Self {
        to_f64(number)
    }

    fn number(self) -> Number {
        Number::F64(self)
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn times(self, other: Self) -> Self {
        self * other
    }
}

impl Arithmetic for Complex64 {
    const ZERO: Self = Complex64::new(0.0, 0.0);
    const ONE: Self = Complex64::new(1.0, 0.0);

    fn of(number: Number) -> Self {
        match crate::value::number::cast::cast(number, NumberClass::C64) {
            Number::C64(n) => n,
            _ => Self::ZERO,
        }
    }

    fn number(self) -> Number {
        Number::C64(self)
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn times(self, other: Self) -> Self {
        self * other
    }
}

/// Truth: sums are "or", products are "and".
impl Arithmetic for bool {
    const ZERO: Self = false;
    const ONE: Self = true;

    fn of(number: Number) -> Self {
        crate::value::number::compare::is_truthy(number)
    }

    fn number(self) -> Number {
        Number::Bool(self)
    }

    fn plus(self, other: Self) -> Self {
        self || other
    }

    fn times(self, other: Self) -> Self {
        self && other
    }
}

/// Calls a generic function with the type in which numbers of a dtype are computed.
macro_rules! computed_in {
    ($dtype:expr, $function:ident($($arg:expr),* $(,)?)) => {
        match $dtype {
            NumberClass::Bool => $function::<bool>($($arg),*),
            NumberClass::F32 | NumberClass::F64 => $function::<f64>($($arg),*),
            NumberClass::C32 | NumberClass::C64 => $function::<num_complex::Complex64>($($arg),*),
            _ => $function::<i64>($($arg),*),
        }
    };
}
pub(super) use computed_in;
