//! The machine types of elements, for loops over elements in memory.

use arrow::datatypes::ArrowNativeType;
use burn::tensor::Element;

use crate::error::Error;
use crate::value::number::cast::cast;
use crate::value::{Number, NumberClass};

/// A machine number that is an element, or a part of a complex one.
pub(super) trait Native: Element + ArrowNativeType {
    /// `number` as one of this type, as [`cast`] does it.
    fn of(number: Number) -> Self;
    fn number(self) -> Number;
}

/// An integer. Nothing overflows: it wraps around.
pub(super) trait Integer: Native + Ord {
    const LEAST: Self;
    const GREATEST: Self;

    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// Truncated toward zero; 0 if the divisor is.
    fn quotient(self, divisor: Self) -> Self;
    /// The remainder with the sign of the divisor; 0 if the divisor is.
    fn modulo(self, divisor: Self) -> Self;
    /// If the exponent is negative, the fraction is truncated, and 0 stays 0.
    fn power(self, exponent: Self) -> Self;
    /// The same number in 64 bits.
    fn bits(self) -> u64;
    /// A number of 64 bits, signed if this type is.
    fn from_bits(bits: u64) -> Number;
}

/// A float.
pub(super) trait Real: Native {
    const INFINITY: Self;

    fn wide(self) -> f64;
    fn narrow(number: f64) -> Self;
    fn is_nan(self) -> bool;
    /// The nearest integer; halves go away from zero.
    fn nearest(self) -> Self;
    /// The remainder with the sign of the divisor, also if it is zero, as in numpy.
    fn modulo(self, divisor: Self) -> Self;
}

macro_rules! natives {
    ($($variant:ident $native:ident),*) => {
        $(impl Native for $native {
            fn of(number: Number) -> Self {
                match cast(number, NumberClass::$variant) {
                    Number::$variant(number) => number,
                    // A cast evaluates to what it is asked for.
                    _ => Self::default(),
                }
            }

            fn number(self) -> Number {
                Number::$variant(self)
            }
        })*
    };
}
natives!(U8 u8, U16 u16, U32 u32, U64 u64, I16 i16, I32 i32, I64 i64, F32 f32, F64 f64);

/// `base` to the power of `exponent`, by squaring. `Integer::power` of an exponent that is not negative.
macro_rules! squaring {
    ($base:expr, $exponent:expr) => {{
        let (mut base, mut exponent, mut power) = ($base, $exponent, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = base.wrapping_mul(power);
            }
            base = base.wrapping_mul(base);
            exponent >>= 1;
        }
        power
    }};
}

macro_rules! unsigned {
    ($($native:ident),*) => {
        $(impl Integer for $native {
            const LEAST: Self = Self::MIN;
            const GREATEST: Self = Self::MAX;

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            fn quotient(self, divisor: Self) -> Self {
                self.checked_div(divisor).unwrap_or(0)
            }

            fn modulo(self, divisor: Self) -> Self {
                self.checked_rem(divisor).unwrap_or(0)
            }

            fn power(self, exponent: Self) -> Self {
                squaring!(self, exponent)
            }

            fn bits(self) -> u64 {
                self.into()
            }

            fn from_bits(bits: u64) -> Number {
                Number::U64(bits)
            }
        })*
    };
}
unsigned!(u8, u16, u32, u64);

macro_rules! signed {
    ($($native:ident),*) => {
        $(impl Integer for $native {
            const LEAST: Self = Self::MIN;
            const GREATEST: Self = Self::MAX;

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            fn quotient(self, divisor: Self) -> Self {
                if divisor == 0 { 0 } else { self.wrapping_div(divisor) }
            }

            fn modulo(self, divisor: Self) -> Self {
                if divisor == 0 {
                    return 0;
                }
                let remainder = self.wrapping_rem(divisor);
                if remainder != 0 && (remainder < 0) != (divisor < 0) { remainder + divisor } else { remainder }
            }

            fn power(self, exponent: Self) -> Self {
                match (self, exponent) {
                    (_, 0..) => squaring!(self, exponent),
                    (1, _) => 1,
                    (-1, _) if exponent & 1 == 0 => 1,
                    (-1, _) => -1,
                    _ => 0,
                }
            }

            fn bits(self) -> u64 {
                i64::from(self).cast_unsigned()
            }

            fn from_bits(bits: u64) -> Number {
                Number::I64(bits.cast_signed())
            }
        })*
    };
}
signed!(i16, i32, i64);

macro_rules! reals {
    ($($native:ident),*) => {
        $(impl Real for $native {
            const INFINITY: Self = Self::INFINITY;

            fn wide(self) -> f64 {
                self.into()
            }

            fn narrow(number: f64) -> Self {
                number as Self
            }

            fn is_nan(self) -> bool {
                Self::is_nan(self)
            }

            fn nearest(self) -> Self {
                self.round()
            }

            fn modulo(self, divisor: Self) -> Self {
                let remainder = self % divisor;
                if remainder == 0.0 {
                    Self::copysign(0.0, divisor)
                } else if (remainder < 0.0) != (divisor < 0.0) {
                    remainder + divisor
                } else {
                    remainder
                }
            }
        })*
    };
}
reals!(f32, f64);

/// Evaluates to an expression of type `Result` with the machine type of an integer class.
macro_rules! for_integer {
    ($class:expr, $native:ident => $body:expr) => {
        match $class {
            NumberClass::U8 => {
                type $native = u8;
                $body
            }
            NumberClass::U16 => {
                type $native = u16;
                $body
            }
            NumberClass::U32 => {
                type $native = u32;
                $body
            }
            NumberClass::U64 => {
                type $native = u64;
                $body
            }
            NumberClass::I16 => {
                type $native = i16;
                $body
            }
            NumberClass::I32 => {
                type $native = i32;
                $body
            }
            NumberClass::I64 => {
                type $native = i64;
                $body
            }
            class => Err(unexpected(class)),
        }
    };
}

/// Evaluates to an expression of type `Result` with the machine type of a float class, or of the parts of a complex one.
macro_rules! for_real {
    ($class:expr, $native:ident => $body:expr) => {
        match $class {
            NumberClass::F32 | NumberClass::C32 => {
                type $native = f32;
                $body
            }
            NumberClass::F64 | NumberClass::C64 => {
                type $native = f64;
                $body
            }
            class => Err(unexpected(class)),
        }
    };
}

pub(super) use {for_integer, for_real};

/// An error for a class that a function is never asked about.
#[cold]
pub(super) fn unexpected(class: NumberClass) -> Error {
    Error::internal(format!("no function for elements of class {class:?}"))
}

/// Elements, or one that stands for as many as the other operand has.
#[derive(Debug)]
pub(super) enum Side<T> {
    Many(Vec<T>),
    One(T),
}

/// A function of two elements, in the memory of one of the operands.
pub(super) fn zip<T: Copy>(l: Side<T>, r: Side<T>, f: impl Fn(T, T) -> T) -> Vec<T> {
    match (l, r) {
        (Side::Many(mut l), Side::Many(r)) => {
            l.iter_mut().zip(&r).for_each(|(l, r)| *l = f(*l, *r));
            l
        }
        (Side::Many(mut l), Side::One(r)) => {
            l.iter_mut().for_each(|l| *l = f(*l, r));
            l
        }
        (Side::One(l), Side::Many(mut r)) => {
            r.iter_mut().for_each(|r| *r = f(l, *r));
            r
        }
        (Side::One(l), Side::One(r)) => vec![f(l, r)],
    }
}
