//! The functions that devices compute.

use std::fmt;

use crate::value::NumberClass;
use crate::value::number::NumberKind;
use crate::value::tensor::{Binary, Reduction, Unary};

/// A function of pieces. Together with a class of operands it is what is placed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum OpKey {
    /// To this class.
    Cast(NumberClass),
    Unary(Unary),
    Binary(Binary),
    Select,
    Reduce(Reduction),
    MatMul,
}

/// How much there is to do for an element, compared with bringing it to the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// A sum.
    Light,
    /// A function that takes many sums.
    Heavy,
    /// A product of matrices.
    Product,
}

impl OpKey {
    /// All functions.
    pub fn all() -> impl Iterator<Item = OpKey> {
        use Binary::*;
        use Unary::*;
        let casts = NumberClass::ALL.into_iter().map(OpKey::Cast);
        let unary = [Abs, Exp, Log, Round, Sin, Cos, Tan, Asin, Acos, Atan, Sinh, Cosh, Tanh, Asinh, Acosh, Atanh, Not];
        let binary = [Add, Sub, Mul, Div, Pow, Mod, LogBase, Eq, Ne, Gt, Ge, Lt, Le, And, Or, Xor];
        let reductions =
            [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min, Reduction::All, Reduction::Any];
        casts
            .chain(unary.map(OpKey::Unary))
            .chain(binary.map(OpKey::Binary))
            .chain(reductions.map(OpKey::Reduce))
            .chain([OpKey::Select, OpKey::MatMul])
    }

    /// Whether a device computes this for operands of a class. What it does not is computed in memory, wherever the operands
    /// are; see [`kernel`](crate::exec::tensor::kernel).
    pub(super) fn is_of_devices(self, class: NumberClass) -> bool {
        let kind = class.kind();
        let is_complex = kind == NumberKind::Complex;
        match self {
            OpKey::Cast(_) | OpKey::Select | OpKey::MatMul | OpKey::Unary(Unary::Not) => true,
            OpKey::Unary(Unary::Round | Unary::Asinh | Unary::Acosh | Unary::Atanh) => kind < NumberKind::Float,
            OpKey::Unary(_) => !is_complex,
            OpKey::Binary(Binary::Div | Binary::Pow) => matches!(kind, NumberKind::Bool | NumberKind::Float),
            OpKey::Binary(Binary::Mod) => kind == NumberKind::Bool,
            OpKey::Binary(Binary::LogBase) => kind == NumberKind::Float,
            OpKey::Binary(_) => true,
            OpKey::Reduce(op) => !is_complex || op != Reduction::Product,
        }
    }

    pub(super) fn work(self) -> Work {
        match self {
            OpKey::MatMul => Work::Product,
            OpKey::Unary(Unary::Abs | Unary::Round | Unary::Not) => Work::Light,
            OpKey::Unary(_) | OpKey::Binary(Binary::Pow | Binary::LogBase) => Work::Heavy,
            _ => Work::Light,
        }
    }
}

impl fmt::Display for OpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            OpKey::Cast(to) => format!("cast to {to:?}"),
            OpKey::Unary(op) => format!("{op:?}"),
            OpKey::Binary(Binary::LogBase) => "log with base".into(),
            OpKey::Binary(op) => format!("{op:?}"),
            OpKey::Reduce(op) => format!("{op:?} of elements"),
            OpKey::Select => "select".into(),
            OpKey::MatMul => "matmul".into(),
        };
        f.write_str(&name.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_those_of_one_function() {
        let all: Vec<OpKey> = OpKey::all().collect();
        let names: HashSet<String> = all.iter().map(OpKey::to_string).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(OpKey::Cast(NumberClass::F32).to_string(), "cast to f32");
        assert_eq!(OpKey::Unary(Unary::Asinh).to_string(), "asinh");
    }
}
