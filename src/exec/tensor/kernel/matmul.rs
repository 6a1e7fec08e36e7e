//! Products of matrices.

use burn::tensor::{Bool, FloatDType, Int, Tensor};

use super::chunk::{Chunk, different, is_cpu};
use super::native::{Integer, for_integer, unexpected};
use super::transfer::{bools, bools_in_memory, in_memory, integers};
use crate::error::{Error, Result};
use crate::value::NumberClass;

/// The sizes of `[batch, rows, inner]` and `[batch, inner, cols]`.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    rows: usize,
    inner: usize,
    cols: usize,
}

impl Chunk {
    /// The products of the matrices in `[batch, rows, inner]` and in `[batch, inner, cols]`, one by one: `[batch, rows, cols]`. Those
    /// of integers wrap around; those of Bool are "or" of "and".
    ///
    /// # Errors
    /// `Internal` if there are not as many elements, or not of one class and on one device.
    pub fn matmul(l: Self, r: Self, batch: usize, rows: usize, inner: usize, cols: usize) -> Result<Self> {
        let sizes = Sizes { batch, rows, inner, cols };
        check(&l, sizes.batch, sizes.rows, sizes.inner)?;
        check(&r, sizes.batch, sizes.inner, sizes.cols)?;
        let device = l.device();
        if device != r.device() {
            return Err(Error::internal("the operands of a product are on different devices"));
        }
        let is_cpu = is_cpu(&device);
        Ok(match (l, r) {
            (Chunk::Float(class, l), Chunk::Float(other, r)) if class == other => {
                Chunk::Float(class, product(l, r, sizes))
            }
            (Chunk::Complex(class, l_re, l_im), Chunk::Complex(other, r_re, r_im)) if class == other => {
                // Three products would do, at the price of digits.
                let re = product(l_re.clone(), r_re.clone(), sizes).sub(product(l_im.clone(), r_im.clone(), sizes));
                let im = product(l_re, r_im, sizes).add(product(l_im, r_re, sizes));
                Chunk::Complex(class, re, im)
            }
            // burn has this for some classes of integers only, and not faster.
            (Chunk::Int(class, l), Chunk::Int(other, r)) if class == other && is_cpu => {
                return for_integer!(class, T => {
                    let (l, r) = (in_memory::<T, Int>(l)?, in_memory::<T, Int>(r)?);
                    Ok(Chunk::Int(class, integers(integer_product(&l, &r, sizes), &device)))
                });
            }
            (Chunk::Int(class, l), Chunk::Int(other, r)) if class == other => {
                let l: Tensor<3, Int> = l.reshape([batch, rows, inner]);
                let r: Tensor<3, Int> = r.reshape([batch, inner, cols]);
                Chunk::Int(class, l.matmul(r).reshape([batch * rows * cols]))
            }
            (Chunk::Bool(l), Chunk::Bool(r)) if is_cpu => {
                let (l, r) = (bools_in_memory(l)?, bools_in_memory(r)?);
                Chunk::Bool(bools(bool_product(&l, &r, sizes), &device)?)
            }
            (Chunk::Bool(l), Chunk::Bool(r)) => Chunk::Bool(counted(l, r, sizes)),
            (l, _) => return Err(unexpected(l.dtype())),
        })
    }
}

/// Fails unless there are as many elements as these matrices have, and some at all.
fn check(chunk: &Chunk, batch: usize, rows: usize, cols: usize) -> Result<()> {
    let size = batch.checked_mul(rows).and_then(|size| size.checked_mul(cols));
    match size {
        Some(size) if size == chunk.len() && size > 0 => Ok(()),
        size => Err(different(chunk.len(), size.unwrap_or(usize::MAX))),
    }
}

fn product(l: Tensor<1>, r: Tensor<1>, sizes: Sizes) -> Tensor<1> {
    let Sizes { batch, rows, inner, cols } = sizes;
    if batch == 1 {
        let l: Tensor<2> = l.reshape([rows, inner]);
        let r: Tensor<2> = r.reshape([inner, cols]);
        return l.matmul(r).reshape([rows * cols]);
    }
    let l: Tensor<3> = l.reshape([batch, rows, inner]);
    let r: Tensor<3> = r.reshape([batch, inner, cols]);
    l.matmul(r).reshape([batch * rows * cols])
}

/// A product of booleans by counting: sums of what is not negative are zero only if everything is.
fn counted(l: Tensor<1, Bool>, r: Tensor<1, Bool>, sizes: Sizes) -> Tensor<1, Bool> {
    product(l.cast(FloatDType::F32), r.cast(FloatDType::F32), sizes).not_equal_scalar(0f64)
}

fn integer_product<T: Integer>(l: &[T], r: &[T], sizes: Sizes) -> Vec<T> {
    let mut product = vec![T::default(); sizes.batch * sizes.rows * sizes.cols];
    each_row(l, r, &mut product, sizes, |factor, row, totals| {
        totals.iter_mut().zip(row).for_each(|(total, element)| *total = total.plus(factor.times(*element)));
    });
    product
}

fn bool_product(l: &[u8], r: &[u8], sizes: Sizes) -> Vec<u8> {
    let mut product = vec![0; sizes.batch * sizes.rows * sizes.cols];
    each_row(l, r, &mut product, sizes, |factor, row, totals| {
        if factor != 0 {
            totals.iter_mut().zip(row).for_each(|(total, element)| *total |= element);
        }
    });
    product
}

/// Adds to each row of a product the rows of the right operand, each with its factor from the left one. That way everything is
/// read in order.
fn each_row<T: Copy>(l: &[T], r: &[T], product: &mut [T], sizes: Sizes, add: impl Fn(T, &[T], &mut [T])) {
    let Sizes { rows, inner, cols, .. } = sizes;
    let matrices = l.chunks_exact(rows * inner).zip(r.chunks_exact(inner * cols));
    for ((l, r), product) in matrices.zip(product.chunks_exact_mut(rows * cols)) {
        for (factors, totals) in l.chunks_exact(inner).zip(product.chunks_exact_mut(cols)) {
            factors.iter().zip(r.chunks_exact(cols)).for_each(|(factor, row)| add(*factor, row, totals));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{assert_close, assert_same, chunk, is_exact, numbers};
    use super::*;
    use crate::error::Kind;
    use crate::exec::tensor::kernel::Operand;
    use crate::value::Number;
    use crate::value::number::NumberKind;
    use crate::value::number::cast::cast;
    use crate::value::tensor::Binary;

    /// A product of two numbers, or a sum, by the functions of pieces, which other tests check.
    fn of_two(op: Binary, l: Number, r: Number) -> Number {
        let l = Operand::Chunk(chunk(l.class(), &[l]));
        Chunk::binary(op, l, Operand::Number(r)).unwrap().download().unwrap().get(0)
    }

    #[track_caller]
    fn check_product(class: NumberClass, l: &[Number], r: &[Number], sizes: Sizes) {
        let Sizes { batch, rows, inner, cols } = sizes;
        let (l_chunk, r_chunk) = (chunk(class, l), chunk(class, r));
        let found = Chunk::matmul(l_chunk, r_chunk, batch, rows, inner, cols).unwrap().download().unwrap();
        assert_eq!((found.dtype(), found.len()), (class, batch * rows * cols));
        for (at, found) in found.iter().enumerate() {
            let (matrix, row, col) = (at / (rows * cols), at / cols % rows, at % cols);
            let factors = (0..inner).map(|step| {
                let l = l[(matrix * rows + row) * inner + step];
                of_two(Binary::Mul, l, r[(matrix * inner + step) * cols + col])
            });
            let expected = factors.reduce(|sum, factor| of_two(Binary::Add, sum, factor)).unwrap();
            match class.kind() < NumberKind::Float {
                true => assert_same(found, expected, &(class, sizes)),
                false => assert_close(found, expected, &(class, sizes)),
            }
        }
    }

    #[test]
    fn products_are_sums_of_products() {
        for class in NumberClass::ALL {
            let all: Vec<Number> = numbers(class).into_iter().filter(|n| is_exact(*n)).collect();
            let (l, r): (Vec<Number>, Vec<Number>) =
                (0..12).map(|at| (all[at % all.len()], all[(5 * at + 1) % all.len()])).unzip();
            for (batch, rows, inner, cols) in [(1, 3, 4, 3), (2, 2, 3, 2), (3, 1, 4, 1), (1, 1, 12, 1), (1, 12, 1, 12)]
            {
                check_product(class, &l, &r, Sizes { batch, rows, inner, cols });
            }
        }
    }

    #[test]
    fn products_are_those_of_the_protocol() {
        let ints = |elements: &[i64]| -> Vec<Number> { elements.iter().map(|n| Number::I64(*n)).collect() };
        let product = |class, l: &[i64], r: &[i64], (batch, rows, inner, cols)| {
            let (l, r) = (chunk(class, &ints(l)), chunk(class, &ints(r)));
            Chunk::matmul(l, r, batch, rows, inner, cols).unwrap().download().unwrap()
        };
        let floats = product(NumberClass::F64, &[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5, 6], (1, 2, 3, 2));
        assert_eq!(floats.typed::<f64>(), [22.0, 28.0, 49.0, 64.0]);
        let batch = product(NumberClass::F64, &[1, 2, 3, 4, 5, 6, 7, 8], &[1, 0, 0, 1, 2, 0, 0, 2], (2, 2, 2, 2));
        assert_eq!(batch.typed::<f64>(), [1.0, 2.0, 3.0, 4.0, 10.0, 12.0, 14.0, 16.0]);
        let bools = product(NumberClass::Bool, &[1, 1, 0, 1], &[1, 1, 0, 1], (1, 2, 2, 2));
        assert_eq!(bools.typed::<u8>(), [1, 1, 0, 1]);
        let wrapped = product(NumberClass::U8, &[200, 100], &[2, 1], (1, 1, 2, 1));
        assert_eq!(wrapped.typed::<u8>(), [244]);
    }

    #[test]
    fn sizes_are_checked() {
        let l = chunk(NumberClass::F64, &[Number::F64(1.0)]);
        for (batch, rows, inner, cols) in [(1, 1, 2, 1), (1, 2, 1, 1), (0, 1, 1, 1), (usize::MAX, 2, 1, 1)] {
            let error = Chunk::matmul(l.clone(), l.clone(), batch, rows, inner, cols).unwrap_err();
            assert_eq!(error.kind(), Kind::Internal);
        }
        let other = chunk(NumberClass::F32, &[Number::F32(1.0)]);
        assert_eq!(Chunk::matmul(l, other, 1, 1, 1, 1).unwrap_err().kind(), Kind::Internal);
    }

    #[test]
    fn booleans_are_counted_on_other_devices() {
        let bits = |seed: u8| (0..12).map(|at| u8::from((seed >> (at % 8)) & 1 == 1)).collect::<Vec<u8>>();
        let (l, r) = (bits(0b1011_0010), bits(0b0110_1001));
        let sizes = Sizes { batch: 1, rows: 3, inner: 4, cols: 3 };
        let device = super::super::sample::device();
        let counted = counted(bools(l.clone(), &device).unwrap(), bools(r.clone(), &device).unwrap(), sizes);
        assert_eq!(bools_in_memory(counted).unwrap(), bool_product(&l, &r, sizes));
    }

    proptest! {
        #[test]
        fn any_sizes_are_multiplied(
            (batch, rows, inner, cols) in (1usize..4, 1usize..6, 1usize..6, 1usize..6),
            seed in any::<u64>(),
            class in prop::sample::select(vec![NumberClass::Bool, NumberClass::I16, NumberClass::U64, NumberClass::F32]),
        ) {
            let element = |at: usize| cast(Number::I64((seed.rotate_left((at % 64) as u32) % 9) as i64 - 4), class);
            let l: Vec<Number> = (0..batch * rows * inner).map(element).collect();
            let r: Vec<Number> = (0..batch * inner * cols).map(|at| element(at + 7)).collect();
            check_product(class, &l, &r, Sizes { batch, rows, inner, cols });
        }
    }
}
