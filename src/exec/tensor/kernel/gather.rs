//! Elements of pieces in another order.
//!
//! Nothing is computed here, so that memory is the best place for it: from the CPU elements come and go without a copy.

use arrow::datatypes::ArrowNativeType;
use burn::tensor::Tensor;
use burn::tensor::kind::Basic;

use super::chunk::Chunk;
use super::native::unexpected;
use crate::error::{Error, Result};
use crate::value::NumberClass;
use crate::value::number::NumberKind;
use crate::value::tensor::Elements;

/// The side of the squares in which a transpose is copied, so that both sides of it are in the cache.
const TILE: usize = 32;

/// An axis: how many elements, and how far apart these are.
#[derive(Clone, Copy, Debug)]
struct Axis {
    len: usize,
    stride: isize,
}

impl Chunk {
    /// `len` elements from `start` on.
    ///
    /// # Errors
    /// `Internal` if these are not there.
    pub fn slice(self, start: usize, len: usize) -> Result<Self> {
        if start.checked_add(len).is_none_or(|end| end > self.len()) || len == 0 {
            return Err(missing());
        }
        Ok(match self {
            Chunk::Bool(tensor) => Chunk::Bool(tensor.narrow(0, start, len)),
            Chunk::Int(class, tensor) => Chunk::Int(class, tensor.narrow(0, start, len)),
            Chunk::Float(class, tensor) => Chunk::Float(class, tensor.narrow(0, start, len)),
            Chunk::Complex(class, re, im) => Chunk::Complex(class, re.narrow(0, start, len), im.narrow(0, start, len)),
        })
    }

    /// The elements of all pieces, one after the other.
    ///
    /// # Errors
    /// `Internal` if there are no pieces, or not of one class and on one device.
    pub fn concat(parts: Vec<Self>) -> Result<Self> {
        let Some(first) = parts.first() else { return Err(Error::internal("no pieces were put together")) };
        let (class, device) = (first.dtype(), first.device());
        if parts.iter().any(|part| part.dtype() != class || part.device() != device) {
            return Err(Error::internal("pieces of different kinds were put together"));
        }
        let (mut bools, mut ints, mut reals, mut imaginaries) = (vec![], vec![], vec![], vec![]);
        for part in parts {
            match part {
                Chunk::Bool(tensor) => bools.push(tensor),
                Chunk::Int(_, tensor) => ints.push(tensor),
                Chunk::Float(_, tensor) => reals.push(tensor),
                Chunk::Complex(_, re, im) => {
                    reals.push(re);
                    imaginaries.push(im);
                }
            }
        }
        Ok(match class.kind() {
            NumberKind::Bool => Chunk::Bool(joined(bools)),
            NumberKind::UInt | NumberKind::Int => Chunk::Int(class, joined(ints)),
            NumberKind::Float => Chunk::Float(class, joined(reals)),
            NumberKind::Complex => Chunk::Complex(class, joined(reals), joined(imaginaries)),
        })
    }

    /// The elements at these positions.
    ///
    /// # Errors
    /// `Internal` if one of these is not there.
    pub fn take(self, positions: &[usize]) -> Result<Self> {
        let device = self.device();
        Self::upload(&take(&self.download()?, positions)?, &device)
    }

    /// Each element `each` times, and all of that `whole` times.
    ///
    /// # Errors
    /// `Internal` if that does not fit in memory.
    pub fn repeat(self, each: usize, whole: usize) -> Result<Self> {
        let len = self.len();
        self.strided(&[whole, len, each], &[0, 1, 0], 0)
    }

    /// The elements of an array of this shape, in row-major order: the first is at `offset`, and along each axis they are this far
    /// apart.
    ///
    /// # Errors
    /// `Internal` if one of these is not there, or they do not fit in memory.
    pub fn strided(self, shape: &[usize], strides: &[isize], offset: usize) -> Result<Self> {
        let device = self.device();
        Self::upload(&strided(&self.download()?, shape, strides, offset)?, &device)
    }
}

fn joined<K: Basic>(parts: Vec<Tensor<1, K>>) -> Tensor<1, K> {
    Tensor::cat(parts, 0)
}

/// Evaluates to an expression with an unsigned type that is as wide as an element of this class, or a part of a complex one.
macro_rules! for_width {
    ($class:expr, $native:ident => $body:expr) => {
        match $class {
            NumberClass::Bool | NumberClass::U8 => {
                type $native = u8;
                $body
            }
            NumberClass::U16 | NumberClass::I16 => {
                type $native = u16;
                $body
            }
            NumberClass::U32 | NumberClass::I32 | NumberClass::F32 | NumberClass::C32 => {
                type $native = u32;
                $body
            }
            NumberClass::U64 | NumberClass::I64 | NumberClass::F64 | NumberClass::C64 => {
                type $native = u64;
                $body
            }
        }
    };
}

fn take(elements: &Elements, positions: &[usize]) -> Result<Elements> {
    let class = elements.dtype();
    if positions.iter().any(|position| *position >= elements.len()) {
        return Err(missing());
    }
    let is_complex = class.kind() == NumberKind::Complex;
    Ok(for_width!(class, T => {
        let parts = elements.typed::<T>();
        let taken: Vec<T> = match is_complex {
            false => positions.iter().map(|position| parts[*position]).collect(),
            true => positions.iter().flat_map(|position| [parts[2 * position], parts[2 * position + 1]]).collect(),
        };
        Elements::from_vec(class, taken)
    }))
}

fn strided(elements: &Elements, shape: &[usize], strides: &[isize], offset: usize) -> Result<Elements> {
    if shape.len() != strides.len() {
        return Err(unexpected(elements.dtype()));
    }
    let class = elements.dtype();
    let size = shape.iter().try_fold(1usize, |size, len| size.checked_mul(*len));
    let size = size.ok_or_else(|| Error::too_large("a part of a tensor does not fit in memory"))?;
    if size == 0 {
        return Ok(Elements::zeros(class, 0));
    }
    let mut axes: Vec<Axis> =
        shape.iter().zip(strides).map(|(len, stride)| Axis { len: *len, stride: *stride }).collect();
    check(&axes, offset, elements.len())?;
    let (mut offset, mut size) = (offset, size);
    if class.kind() == NumberKind::Complex {
        // The two parts of a number are one more axis.
        axes.iter_mut().for_each(|axis| axis.stride *= 2);
        axes.push(Axis { len: 2, stride: 1 });
        (offset, size) = (2 * offset, 2 * size);
    }
    let axes = merged(&axes);
    Ok(for_width!(class, T => Elements::from_vec(class, copied(elements.typed::<T>(), &axes, offset, size))))
}

/// Fails unless all elements that are meant are there.
fn check(axes: &[Axis], offset: usize, len: usize) -> Result<()> {
    let (mut first, mut last) = (offset as i128, offset as i128);
    for axis in axes {
        // Neither factor has more than 64 bits, and there are elements along each axis.
        let reach = (axis.len as i128 - 1) * axis.stride as i128;
        if reach < 0 { first += reach } else { last += reach }
    }
    if first >= 0 && last < len as i128 { Ok(()) } else { Err(missing()) }
}

/// The same elements with as few axes as that takes.
fn merged(axes: &[Axis]) -> Vec<Axis> {
    let mut merged: Vec<Axis> = Vec::with_capacity(axes.len());
    for axis in axes.iter().filter(|axis| axis.len != 1) {
        match merged.last_mut() {
            Some(outer) if outer.stride == axis.stride * axis.len as isize => {
                *outer = Axis { len: outer.len * axis.len, stride: axis.stride };
            }
            _ => merged.push(*axis),
        }
    }
    merged
}

/// The elements of the axes, which were checked.
fn copied<T: ArrowNativeType>(elements: &[T], axes: &[Axis], offset: usize, size: usize) -> Vec<T> {
    let one = Axis { len: 1, stride: 0 };
    let (outer, rows, cols) = match axes {
        [] => (&[][..], one, one),
        [cols] => (&[][..], one, *cols),
        [outer @ .., rows, cols] => (outer, *rows, *cols),
    };
    let mut copy = vec![T::default(); size];
    let mut at = vec![0; outer.len()];
    let mut start = offset as isize;
    for plane in copy.chunks_exact_mut(rows.len * cols.len) {
        copy_plane(elements, start, rows, cols, plane);
        // The next plane: count up the innermost axis that is not at its end.
        for (at, axis) in at.iter_mut().zip(outer).rev() {
            *at += 1;
            start += axis.stride;
            if *at < axis.len {
                break;
            }
            start -= axis.stride * axis.len as isize;
            *at = 0;
        }
    }
    copy
}

/// Copies a matrix.
fn copy_plane<T: Copy>(elements: &[T], start: isize, rows: Axis, cols: Axis, plane: &mut [T]) {
    // All of these are places of elements, so that they are not negative.
    let place = |row: usize, col: usize| (start + row as isize * rows.stride + col as isize * cols.stride) as usize;
    match cols.stride {
        1 => plane.chunks_exact_mut(cols.len).enumerate().for_each(|(row, copy)| {
            let first = place(row, 0);
            copy.copy_from_slice(&elements[first..first + cols.len]);
        }),
        0 => plane.chunks_exact_mut(cols.len).enumerate().for_each(|(row, copy)| copy.fill(elements[place(row, 0)])),
        _ => {
            for first_row in (0..rows.len).step_by(TILE) {
                for first_col in (0..cols.len).step_by(TILE) {
                    for row in first_row..rows.len.min(first_row + TILE) {
                        for col in first_col..cols.len.min(first_col + TILE) {
                            plane[row * cols.len + col] = elements[place(row, col)];
                        }
                    }
                }
            }
        }
    }
}

#[cold]
fn missing() -> Error {
    Error::internal("a part of a tensor lies outside of it")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{chunk, numbers};
    use super::*;
    use crate::value::Number;

    fn ints(len: i32) -> Vec<Number> {
        (0..len).map(Number::I32).collect()
    }

    fn found(chunk: Result<Chunk>) -> Vec<i32> {
        chunk.unwrap().download().unwrap().typed::<i32>().to_vec()
    }

    #[test]
    fn elements_are_taken_repeated_and_put_together() {
        let four = || chunk(NumberClass::I32, &ints(4));
        assert_eq!(found(four().take(&[3, 0, 0])), [3, 0, 0]);
        assert_eq!(found(four().slice(1, 2)), [1, 2]);
        assert_eq!(found(chunk(NumberClass::I32, &ints(2)).repeat(2, 2)), [0, 0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(found(Chunk::concat(vec![four(), four().slice(2, 1).unwrap()])), [0, 1, 2, 3, 2]);
        assert_eq!(found(four().strided(&[2, 2], &[1, 2], 0)), [0, 2, 1, 3]);
        assert_eq!(found(four().strided(&[4], &[-1], 3)), [3, 2, 1, 0]);
        assert_eq!(found(four().strided(&[], &[], 2)), [2]);
        assert_eq!(found(four().strided(&[0, 3], &[9, 9], 0)), [0; 0]);
    }

    #[test]
    fn every_class_is_moved_whole() {
        for class in NumberClass::ALL {
            let all = numbers(class);
            let last = all.len() - 1;
            let taken = chunk(class, &all).take(&[last, 0, 1]).unwrap().download().unwrap();
            let expected = Elements::from_numbers(class, [all[last], all[0], all[1]]);
            assert_eq!(taken.bytes(), expected.bytes(), "{class:?}");
            let reversed = chunk(class, &all).strided(&[all.len()], &[-1], last).unwrap().download().unwrap();
            let expected = Elements::from_numbers(class, all.iter().rev().copied());
            assert_eq!(reversed.bytes(), expected.bytes(), "{class:?}");
            let both = Chunk::concat(vec![chunk(class, &all), chunk(class, &all)]).unwrap().download().unwrap();
            assert_eq!(both.bytes(), Elements::from_numbers(class, [&all[..], &all[..]].concat()).bytes());
        }
    }

    #[test]
    fn places_are_checked() {
        let four = || chunk(NumberClass::I32, &ints(4));
        assert!(four().take(&[4]).is_err());
        assert!(four().slice(3, 2).is_err() && four().slice(usize::MAX, 2).is_err() && four().slice(1, 0).is_err());
        assert!(four().strided(&[2], &[-1], 0).is_err());
        assert!(four().strided(&[2, 2], &[2, 2], 0).is_err());
        assert!(four().strided(&[2], &[1, 1], 0).is_err());
        assert!(four().strided(&[usize::MAX, 2], &[0, 0], 0).is_err());
        assert!(Chunk::concat(vec![]).is_err());
        assert!(Chunk::concat(vec![four(), chunk(NumberClass::U8, &[Number::U8(1)])]).is_err());
    }

    proptest! {
        #[test]
        fn transposes_are_found_by_strides(dims in prop::collection::vec(1usize..70, 1..4), turn in 0usize..3) {
            let size: usize = dims.iter().product();
            let elements: Vec<Number> = ints(size as i32);
            let strides: Vec<usize> = (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect();
            let order: Vec<usize> = (0..dims.len()).map(|axis| (axis + turn) % dims.len()).collect();
            let shape: Vec<usize> = order.iter().map(|axis| dims[*axis]).collect();
            let moved: Vec<isize> = order.iter().map(|axis| strides[*axis] as isize).collect();
            let found = found(chunk(NumberClass::I32, &elements).strided(&shape, &moved, 0));
            for (at, found) in found.into_iter().enumerate() {
                let (mut rest, mut place) = (at, 0);
                for (len, stride) in shape.iter().zip(&moved).rev() {
                    place += (rest % len) as isize * stride;
                    rest /= len;
                }
                prop_assert_eq!(found as isize, place);
            }
        }
    }
}
