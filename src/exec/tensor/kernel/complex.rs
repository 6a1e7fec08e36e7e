//! Functions of complex numbers, which burn has none of.
//!
//! Sums, differences, products and comparisons are made of those of the parts, on the device. Everything else is computed number
//! by number in double precision, in memory.

use burn::tensor::{Bool, Device, Float, Tensor};
use num_complex::Complex64;

use super::chunk::{Chunk, Operand, part_class};
use super::float::{self, Reals};
use super::native::{Native as _, Real as _, Side, for_real, unexpected, zip};
use super::transfer::{floats, in_memory};
use super::unary::{function, rounded};
use crate::error::{Error, Result};
use crate::value::number::arith::pow;
use crate::value::number::cast::cast;
use crate::value::tensor::{Binary, Unary};
use crate::value::{Number, NumberClass};

/// Complex numbers, or one that stands for as many as the other operand has: both parts.
pub(super) struct Complexes {
    re: Reals,
    im: Reals,
}

impl Complexes {
    pub fn new(operand: Operand, class: NumberClass) -> Result<Self> {
        match operand {
            Operand::Chunk(Chunk::Complex(_, re, im)) => Ok(Self { re: Reals::Many(re), im: Reals::Many(im) }),
            Operand::Number(number) => match cast(number, class) {
                Number::C32(n) => Ok(Self { re: Reals::One(n.re.into()), im: Reals::One(n.im.into()) }),
                Number::C64(n) => Ok(Self { re: Reals::One(n.re), im: Reals::One(n.im) }),
                _ => Err(unexpected(class)),
            },
            Operand::Chunk(_) => Err(unexpected(class)),
        }
    }

    /// The numbers in memory, in double precision.
    fn in_memory(self, class: NumberClass) -> Result<Side<Complex64>> {
        match (self.re, self.im) {
            (Reals::Many(re), Reals::Many(im)) => Ok(Side::Many(numbers(class, re, im)?)),
            (Reals::One(re), Reals::One(im)) => Ok(Side::One(Complex64::new(re, im))),
            _ => Err(unexpected(class)),
        }
    }
}

/// A function of one number.
pub(super) fn unary(op: Unary, class: NumberClass, re: Tensor<1>, im: Tensor<1>) -> Result<Chunk> {
    if op == Unary::Round {
        return Ok(Chunk::Complex(class, rounded(class, re)?, rounded(class, im)?));
    }
    let device = re.device();
    let (elements, f) = (numbers(class, re, im)?, function(op));
    // Everything that has one argument is exact enough in double precision.
    let call = |number| f(Number::C64(number));
    if op == Unary::Abs {
        let part = part_class(class);
        return for_real!(class, T => {
            let values = elements.into_iter().map(|number| Ok(T::of(call(number)?)));
            Ok(Chunk::Float(part, floats(values.collect::<Result<Vec<T>>>()?, &device)))
        });
    }
    let values = elements.into_iter().map(|number| match call(number)? {
        Number::C64(number) => Ok(number),
        other => Err(unexpected(other.class())),
    });
    chunk(class, &values.collect::<Result<Vec<Complex64>>>()?, &device)
}

/// An arithmetic function. One of the operands is a tensor.
pub(super) fn arithmetic(op: Binary, class: NumberClass, l: Complexes, r: Complexes) -> Result<Chunk> {
    let part = part_class(class);
    let real = |op, l: &Reals, r: &Reals| float::arithmetic(op, part, l.clone(), r.clone());
    match op {
        Binary::Add | Binary::Sub => Ok(Chunk::Complex(
            class,
            float::arithmetic(op, part, l.re, r.re)?,
            float::arithmetic(op, part, l.im, r.im)?,
        )),
        Binary::Mul => {
            let re = real(Binary::Mul, &l.re, &r.re)?.sub(real(Binary::Mul, &l.im, &r.im)?);
            let im = real(Binary::Mul, &l.re, &r.im)?.add(real(Binary::Mul, &l.im, &r.re)?);
            Ok(Chunk::Complex(class, re, im))
        }
        Binary::Div => in_loops(class, l, r, quotient),
        Binary::Pow => in_loops(class, l, r, power),
        Binary::LogBase => in_loops(class, l, r, |l, r| quotient(l.ln(), r.ln())),
        Binary::Mod => Err(Error::bad_request("complex numbers have no remainder")),
        _ => Err(unexpected(class)),
    }
}

/// Whether numbers are equal, or differ. One of the operands is a tensor.
pub(super) fn comparison(op: Binary, class: NumberClass, l: Complexes, r: Complexes) -> Result<Tensor<1, Bool>> {
    let part = part_class(class);
    let re = float::comparison(op, part, l.re, r.re)?;
    let im = float::comparison(op, part, l.im, r.im)?;
    match op {
        Binary::Eq => Ok(re.bool_and(im)),
        Binary::Ne => Ok(re.bool_or(im)),
        _ => Err(unexpected(class)),
    }
}

fn in_loops(
    class: NumberClass,
    l: Complexes,
    r: Complexes,
    f: impl Fn(Complex64, Complex64) -> Complex64,
) -> Result<Chunk> {
    let device = match (&l.re, &r.re) {
        (Reals::Many(tensor), _) | (_, Reals::Many(tensor)) => tensor.device(),
        _ => return Err(unexpected(class)),
    };
    chunk(class, &zip(l.in_memory(class)?, r.in_memory(class)?, f), &device)
}

/// The quotient by the method of R. Smith ("Algorithm 116: Complex division", 1962), as in numpy: the squares of the parts of the
/// divisor need not be finite. Dividing by zero is dividing both parts by zero.
fn quotient(l: Complex64, r: Complex64) -> Complex64 {
    if r.re == 0.0 && r.im == 0.0 {
        let zero = r.re.abs();
        return Complex64::new(l.re / zero, l.im / zero);
    }
    if r.re.abs() >= r.im.abs() {
        let ratio = r.im / r.re;
        let scale = r.re + r.im * ratio;
        Complex64::new((l.re + l.im * ratio) / scale, (l.im - l.re * ratio) / scale)
    } else {
        let ratio = r.re / r.im;
        let scale = r.im + r.re * ratio;
        Complex64::new((l.re * ratio + l.im) / scale, (l.im * ratio - l.re) / scale)
    }
}

fn power(l: Complex64, r: Complex64) -> Complex64 {
    match pow(Number::C64(l), Number::C64(r)) {
        Ok(Number::C64(power)) => power,
        // The power of complex numbers is complex.
        _ => Complex64::new(f64::NAN, f64::NAN),
    }
}

/// Numbers in memory, in double precision.
pub(super) fn numbers(class: NumberClass, re: Tensor<1>, im: Tensor<1>) -> Result<Vec<Complex64>> {
    for_real!(class, T => {
        let (re, im) = (in_memory::<T, Float>(re)?, in_memory::<T, Float>(im)?);
        Ok(re.into_iter().zip(im).map(|(re, im)| Complex64::new(re.wide(), im.wide())).collect())
    })
}

/// Numbers on a device.
pub(super) fn chunk(class: NumberClass, numbers: &[Complex64], device: &Device) -> Result<Chunk> {
    for_real!(class, T => {
        let re: Vec<T> = numbers.iter().map(|number| T::narrow(number.re)).collect();
        let im: Vec<T> = numbers.iter().map(|number| T::narrow(number.im)).collect();
        Ok(Chunk::Complex(class, floats(re, device), floats(im, device)))
    })
}
