//! Numbers: twelve classes, one promotion rule, checked arithmetic.
//!
//! Kinds are ordered Bool < UInt < Int < Float < Complex. For two operands the result has the higher kind and the larger
//! width after conversion ([`promote`]). Integer overflow and division by zero are errors, never wrapped or infinite.

pub mod arith;
pub mod cast;
pub mod compare;
pub mod math;
pub mod promote;
pub mod text;

use std::hash::{Hash, Hasher};

pub use num_complex::{Complex32, Complex64};

/// A number of one of the twelve concrete classes.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Bool(bool),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    I16(i16),
    I32(i32),
    I64(i64),
    F32(f32),
    F64(f64),
    C32(Complex32),
    C64(Complex64),
}

/// The class of a [`Number`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub enum NumberClass {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I16,
    I32,
    I64,
    F32,
    F64,
    C32,
    C64,
}

/// The kind of a [`NumberClass`]; higher kinds can represent lower ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub enum NumberKind {
    Bool,
    UInt,
    Int,
    Float,
    Complex,
}

impl NumberClass {
    /// All classes, in ascending order of kind and width.
    pub const ALL: [NumberClass; 12] = {
        use NumberClass::*;
        [Bool, U8, U16, U32, U64, I16, I32, I64, F32, F64, C32, C64]
    };

    /// The kind of this class.
    pub fn kind(self) -> NumberKind {
        use NumberClass::*;
        match self {
            Bool => NumberKind::Bool,
            U8 | U16 | U32 | U64 => NumberKind::UInt,
            I16 | I32 | I64 => NumberKind::Int,
            F32 | F64 => NumberKind::Float,
            C32 | C64 => NumberKind::Complex,
        }
    }
}

impl Number {
    /// The class of this number.
    pub fn class(&self) -> NumberClass {
        match self {
            Number::Bool(_) => NumberClass::Bool,
            Number::U8(_) => NumberClass::U8,
            Number::U16(_) => NumberClass::U16,
            Number::U32(_) => NumberClass::U32,
            Number::U64(_) => NumberClass::U64,
            Number::I16(_) => NumberClass::I16,
            Number::I32(_) => NumberClass::I32,
            Number::I64(_) => NumberClass::I64,
            Number::F32(_) => NumberClass::F32,
            Number::F64(_) => NumberClass::F64,
            Number::C32(_) => NumberClass::C32,
            Number::C64(_) => NumberClass::C64,
        }
    }

    /// The class and the exact bits: what makes two numbers identical, as opposed to equal.
    fn identity(&self) -> (NumberClass, u64, u64) {
        let (re, im) = match *self {
            Number::Bool(n) => (n.into(), 0),
            Number::U8(n) => (n.into(), 0),
            Number::U16(n) => (n.into(), 0),
            Number::U32(n) => (n.into(), 0),
            Number::U64(n) => (n, 0),
            Number::I16(n) => (n as u64, 0),
            Number::I32(n) => (n as u64, 0),
            Number::I64(n) => (n as u64, 0),
            Number::F32(n) => (n.to_bits().into(), 0),
            Number::F64(n) => (n.to_bits(), 0),
            Number::C32(n) => (n.re.to_bits().into(), n.im.to_bits().into()),
            Number::C64(n) => (n.re.to_bits(), n.im.to_bits()),
        };
        (self.class(), re, im)
    }
}

/// Identity: same class, same bits. Numerical equality is [`compare::equal`].
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}
