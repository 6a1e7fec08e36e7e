//! Reductions along an axis.

use burn::tensor::kind::Ordered;
use burn::tensor::{Bool, Tensor};
use num_complex::Complex64;

use super::chunk::{Chunk, different, is_cpu, ordered, part_class};
use super::complex;
use super::native::{Integer, Real, for_integer, for_real, unexpected};
use super::transfer::{bools, bools_in_memory, floats, integers, read};
use crate::error::{Error, Result};
use crate::value::NumberClass;
use crate::value::tensor::Reduction;

/// Elements `[outer, len, inner]` in row-major order, which are reduced along the second axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axes {
    pub outer: usize,
    pub len: usize,
    pub inner: usize,
}

/// Elements that are summed one after the other, in [`LANES`] sums; more are summed in halves.
const BLOCK_LEN: usize = 128;
/// Sums that are independent of each other, so that the processor can do several at once.
const LANES: usize = 8;

impl Chunk {
    /// Elements `[outer, len, inner]` reduced along the second axis. Sums and products keep the class, and those of integers wrap
    /// around; Bool is counted as I64. NaN is the largest and the smallest number.
    ///
    /// # Errors
    /// `BadRequest` for the largest and the smallest of complex numbers; `Internal` if there are none, or not as many.
    pub fn reduce(self, op: Reduction, outer: usize, len: usize, inner: usize) -> Result<Self> {
        let size = outer.checked_mul(len).and_then(|size| size.checked_mul(inner));
        if size != Some(self.len()) {
            return Err(different(self.len(), size.unwrap_or(usize::MAX)));
        }
        if size == Some(0) {
            return Err(Error::internal("a reduction of no elements"));
        }
        let axes = Axes { outer, len, inner };
        let device = self.device();
        match (op, self) {
            (Reduction::All | Reduction::Any, chunk) => logic(op, chunk, axes),
            (Reduction::Max, chunk @ Chunk::Bool(_)) => logic(Reduction::Any, chunk, axes),
            (Reduction::Min, chunk @ Chunk::Bool(_)) => logic(Reduction::All, chunk, axes),
            (op, chunk @ Chunk::Bool(_)) => chunk.cast(NumberClass::I64)?.reduce(op, outer, len, inner),
            (op, Chunk::Int(class, tensor)) if is_cpu(&device) => for_integer!(class, T => {
                let reduced = read(tensor, |elements: &[T]| integers_reduced(op, elements, axes))?;
                Ok(Chunk::Int(class, integers(reduced, &device)))
            }),
            (op, Chunk::Float(class, tensor)) if is_cpu(&device) => for_real!(class, T => {
                let reduced = read(tensor, |elements: &[T]| reals_reduced(op, elements, axes))?;
                Ok(Chunk::Float(class, floats(reduced, &device)))
            }),
            (op, Chunk::Int(class, tensor)) => Ok(Chunk::Int(class, on_device(op, class, tensor, axes)?)),
            (op, Chunk::Float(class, tensor)) => Ok(Chunk::Float(class, on_device(op, class, tensor, axes)?)),
            (Reduction::Sum, Chunk::Complex(class, re, im)) => {
                let part = part_class(class);
                let summed = |tensor| match Chunk::Float(part, tensor).reduce(op, outer, len, inner)? {
                    Chunk::Float(_, sums) => Ok(sums),
                    _ => Err(unexpected(class)),
                };
                Ok(Chunk::Complex(class, summed(re)?, summed(im)?))
            }
            (Reduction::Product, Chunk::Complex(class, re, im)) => {
                let numbers = complex::numbers(class, re, im)?;
                let products = along(&numbers, axes, Complex64::new(1.0, 0.0), |product, number| product * number);
                complex::chunk(class, &products, &device)
            }
            (_, chunk @ Chunk::Complex(..)) => {
                ordered(chunk.dtype())?;
                Err(unexpected(chunk.dtype()))
            }
        }
    }
}

/// A reduction by burn.
fn on_device<K: Ordered>(op: Reduction, class: NumberClass, tensor: Tensor<1, K>, axes: Axes) -> Result<Tensor<1, K>> {
    let tensor: Tensor<3, K> = tensor.reshape([axes.outer, axes.len, axes.inner]);
    let reduced = match op {
        Reduction::Sum => tensor.sum_dim(1),
        Reduction::Product => tensor.prod_dim(1),
        Reduction::Max => tensor.max_dim(1),
        Reduction::Min => tensor.min_dim(1),
        Reduction::All | Reduction::Any => return Err(unexpected(class)),
    };
    Ok(reduced.reshape([axes.outer * axes.inner]))
}

/// Whether all elements, or one of them, are not zero.
fn logic(op: Reduction, chunk: Chunk, axes: Axes) -> Result<Chunk> {
    let Axes { outer, len, inner } = axes;
    let device = chunk.device();
    let truth = chunk.truth();
    if !is_cpu(&device) {
        let truth: Tensor<3, Bool> = truth.reshape([outer, len, inner]);
        let reduced = if op == Reduction::All { truth.all_dim(1) } else { truth.any_dim(1) };
        return Ok(Chunk::Bool(reduced.reshape([outer * inner])));
    }
    let truth = bools_in_memory(truth)?;
    let reduced = match op {
        Reduction::All => along(&truth, axes, 1u8, |all, one| all & one),
        _ => along(&truth, axes, 0u8, |any, one| any | one),
    };
    Ok(Chunk::Bool(bools(reduced, &device)?))
}

fn integers_reduced<T: Integer>(op: Reduction, elements: &[T], axes: Axes) -> Result<Vec<T>> {
    Ok(match op {
        Reduction::Sum => along_in_lanes(elements, axes, T::default(), T::plus),
        Reduction::Product => along_in_lanes(elements, axes, T::usize_as(1), T::times),
        Reduction::Max => along_in_lanes(elements, axes, T::LEAST, Ord::max),
        Reduction::Min => along_in_lanes(elements, axes, T::GREATEST, Ord::min),
        Reduction::All | Reduction::Any => {
            return Err(Error::internal("whether integers are true was asked as a number"));
        }
    })
}

fn reals_reduced<T: Real>(op: Reduction, elements: &[T], axes: Axes) -> Result<Vec<T>> {
    let narrow = |wide: Vec<f64>| -> Vec<T> { wide.into_iter().map(T::narrow).collect() };
    Ok(match op {
        Reduction::Sum if axes.inner == 1 => {
            elements.chunks_exact(axes.len).map(|row| T::narrow(sum(row, T::wide))).collect()
        }
        Reduction::Sum => narrow(along(elements, axes, 0f64, |sum, element| sum + element.wide())),
        Reduction::Product => narrow(along(elements, axes, 1f64, |product, element| product * element.wide())),
        Reduction::Max => along_in_lanes(elements, axes, T::narrow(f64::NEG_INFINITY), largest),
        Reduction::Min => along_in_lanes(elements, axes, T::INFINITY, smallest),
        Reduction::All | Reduction::Any => {
            return Err(Error::internal("whether floats are true was asked as a number"));
        }
    })
}

/// The larger of two numbers, or NaN.
pub(super) fn largest<T: Real>(l: T, r: T) -> T {
    if r > l || r.is_nan() { r } else { l }
}

/// The smaller of two numbers, or NaN.
pub(super) fn smallest<T: Real>(l: T, r: T) -> T {
    if r < l || r.is_nan() { r } else { l }
}

/// Folds elements along the second axis, in order.
pub(super) fn along<T: Copy, A: Copy>(elements: &[T], axes: Axes, start: A, f: impl Fn(A, T) -> A) -> Vec<A> {
    let slabs = elements.chunks_exact((axes.len * axes.inner).max(1));
    if axes.inner == 1 {
        return slabs.map(|row| row.iter().fold(start, |total, element| f(total, *element))).collect();
    }
    let mut totals = vec![start; axes.outer * axes.inner];
    for (totals, slab) in totals.chunks_exact_mut(axes.inner.max(1)).zip(slabs) {
        for row in slab.chunks_exact(axes.inner.max(1)) {
            totals.iter_mut().zip(row).for_each(|(total, element)| *total = f(*total, *element));
        }
    }
    totals
}

/// The same as [`along`], for a function to which the order does not matter.
fn along_in_lanes<T: Copy>(elements: &[T], axes: Axes, start: T, f: impl Fn(T, T) -> T) -> Vec<T> {
    match axes.inner {
        1 => elements.chunks_exact(axes.len.max(1)).map(|row| in_lanes(row, start, &f)).collect(),
        _ => along(elements, axes, start, f),
    }
}

/// Folds elements by a function to which the order does not matter, and `start` neither.
pub(super) fn in_lanes<T: Copy>(elements: &[T], start: T, f: impl Fn(T, T) -> T) -> T {
    let mut totals = [start; 2 * LANES];
    let rows = elements.chunks_exact(totals.len());
    let rest = rows.remainder().iter().fold(start, |total, element| f(total, *element));
    for row in rows {
        totals.iter_mut().zip(row).for_each(|(total, element)| *total = f(*total, *element));
    }
    totals.into_iter().fold(rest, f)
}

/// A sum whose rounding errors grow with the logarithm of the number of elements (pairwise summation, as in numpy). Elements are
/// summed in the same order wherever they are.
pub(super) fn sum<T: Copy>(elements: &[T], value: impl Fn(T) -> f64 + Copy) -> f64 {
    if elements.len() > BLOCK_LEN {
        let half = elements.len() / 2 / LANES * LANES;
        let (l, r) = elements.split_at(half);
        return sum(l, value) + sum(r, value);
    }
    let mut sums = [0.0; LANES];
    let rows = elements.chunks_exact(LANES);
    let rest: f64 = rows.remainder().iter().map(|element| value(*element)).sum();
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, element)| *sum += value(*element));
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h)) + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{assert_close, assert_same, chunk, is_exact, numbers, reductions};
    use super::*;
    use crate::error::Kind;
    use crate::value::Number;
    use crate::value::number::NumberKind;
    use crate::value::number::arith::{add, mul};
    use crate::value::number::cast::cast;
    use crate::value::number::compare::is_truthy;
    use crate::value::number::compare::partial_compare;

    /// What the numbers of one row are reduced to.
    fn reference(op: Reduction, class: NumberClass, row: &[Number]) -> Number {
        // Bool is counted; integers wrap around, so 64 bits of a sum are enough.
        let class = match (op, class) {
            (Reduction::Sum | Reduction::Product, NumberClass::Bool) => NumberClass::I64,
            (_, class) => class,
        };
        let bits = |number: Number| match cast(number, NumberClass::I64) {
            Number::I64(n) => n,
            other => panic!("{other:?}"),
        };
        let is_integer = class.kind() <= NumberKind::Int;
        let pick = |wanted| {
            let is_nan = |n: &Number| partial_compare(*n, *n).is_none();
            row.iter().copied().reduce(|l, r| match partial_compare(r, l) {
                _ if is_nan(&l) => l,
                None => r,
                Some(order) if order == wanted => r,
                _ => l,
            })
        };
        match op {
            Reduction::Sum if is_integer => {
                cast(Number::I64(row.iter().fold(0i64, |sum, n| sum.wrapping_add(bits(*n)))), class)
            }
            Reduction::Product if is_integer => {
                cast(Number::I64(row.iter().fold(1i64, |product, n| product.wrapping_mul(bits(*n)))), class)
            }
            Reduction::Sum => row.iter().skip(1).fold(row[0], |l, r| add(l, *r).unwrap()),
            Reduction::Product => row.iter().skip(1).fold(row[0], |l, r| mul(l, *r).unwrap()),
            Reduction::Max => pick(std::cmp::Ordering::Greater).unwrap(),
            Reduction::Min => pick(std::cmp::Ordering::Less).unwrap(),
            Reduction::All => Number::Bool(row.iter().all(|n| is_truthy(*n))),
            Reduction::Any => Number::Bool(row.iter().any(|n| is_truthy(*n))),
        }
    }

    #[track_caller]
    fn check(op: Reduction, class: NumberClass, elements: &[Number], [outer, len, inner]: [usize; 3]) {
        let found = chunk(class, elements).reduce(op, outer, len, inner).unwrap().download().unwrap();
        assert_eq!(found.len(), outer * inner);
        for (at, found) in found.iter().enumerate() {
            let start = at / inner * len * inner + at % inner;
            let row: Vec<Number> = (0..len).map(|step| elements[start + step * inner]).collect();
            let expected = reference(op, class, &row);
            let is_same = found.class().kind() < NumberKind::Float || matches!(op, Reduction::Max | Reduction::Min);
            match is_same {
                true => assert_same(found, expected, &(op, class, row)),
                false => assert_close(found, expected, &(op, class, row)),
            }
        }
    }

    fn is_defined(op: Reduction, class: NumberClass) -> bool {
        class.kind() != NumberKind::Complex || !matches!(op, Reduction::Max | Reduction::Min)
    }

    #[test]
    fn reductions_are_those_of_numbers() {
        for class in NumberClass::ALL {
            for op in reductions().into_iter().filter(|op| is_defined(*op, class)) {
                let all = numbers(class);
                let is_sum = matches!(op, Reduction::Sum | Reduction::Product);
                let all: Vec<Number> = all.into_iter().filter(|n| !is_sum || is_exact(*n)).collect();
                let even = all.len() / 4 * 4;
                let all = &all[..even];
                for axes in [[1, even, 1], [2, 2, even / 4], [even / 4, 4, 1], [1, 2, even / 2], [even, 1, 1]] {
                    check(op, class, all, axes);
                }
            }
        }
    }

    #[test]
    fn complex_numbers_have_no_largest() {
        for op in [Reduction::Max, Reduction::Min] {
            let elements = numbers(NumberClass::C64);
            let error = chunk(NumberClass::C64, &elements).reduce(op, 1, elements.len(), 1).unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::BadRequest, "complex numbers have no order"));
        }
    }

    #[test]
    fn sizes_are_checked() {
        let elements = [Number::I32(1), Number::I32(2)];
        for (outer, len, inner) in [(1, 3, 1), (0, 2, 1), (usize::MAX, 2, 2)] {
            let error = chunk(NumberClass::I32, &elements).reduce(Reduction::Sum, outer, len, inner).unwrap_err();
            assert_eq!(error.kind(), Kind::Internal);
        }
    }

    #[test]
    fn single_precision_is_summed_in_double_precision() {
        let many = vec![Number::F32(0.1); 1 << 20];
        let sum = chunk(NumberClass::F32, &many).reduce(Reduction::Sum, 1, 1 << 20, 1).unwrap().download().unwrap();
        assert_eq!(sum.typed::<f32>(), [(0.1f32 as f64 * f64::from(1 << 20)) as f32]);
    }

    proptest! {
        #[test]
        fn any_shape_is_reduced(
            (outer, len, inner) in (1usize..5, 1usize..40, 1usize..5),
            seed in any::<u64>(),
            op in prop::sample::select(reductions()),
            class in prop::sample::select(vec![NumberClass::Bool, NumberClass::U8, NumberClass::I64, NumberClass::F64]),
        ) {
            // Small integers, so that sums of floats are exact.
            let element = |at: usize| (seed.rotate_left((at % 64) as u32) % 7) as i64 - 3;
            let elements: Vec<Number> =
                (0..outer * len * inner).map(|at| cast(Number::I64(element(at)), class)).collect();
            check(op, class, &elements, [outer, len, inner]);
        }
    }
}
