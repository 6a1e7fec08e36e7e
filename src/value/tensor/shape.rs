//! Shapes: how many elements there are along each axis.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The dimensions of a tensor: at least one, each from 1 to 2³²−1, whose product fits in 64 bits.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Shape(Arc<[u64]>);

impl Shape {
    /// The largest dimension.
    pub const DIMENSION_MAX: u64 = u32::MAX as u64;
    /// The most axes.
    pub const AXES_MAX: usize = 64;

    /// A shape with these dimensions.
    ///
    /// # Errors
    /// `BadRequest` if there are none or too many, or one of them, or the number of elements, is out of range.
    pub fn try_new(dims: impl Into<Arc<[u64]>>) -> Result<Self> {
        let dims: Arc<[u64]> = dims.into();
        if dims.is_empty() || dims.len() > Self::AXES_MAX {
            let found = dims.len();
            let message = format!("a tensor has from 1 to {} dimensions, not {found}", Self::AXES_MAX);
            return Err(Error::bad_request(message));
        }
        if let Some(dim) = dims.iter().find(|dim| **dim == 0 || **dim > Self::DIMENSION_MAX) {
            let message = format!("{dim} is no dimension of a tensor: expected 1 to {}", Self::DIMENSION_MAX);
            return Err(Error::bad_request(message));
        }
        let shape = Self(dims);
        match shape.0.iter().try_fold(1u64, |size, dim| size.checked_mul(*dim)) {
            Some(_) => Ok(shape),
            None => Err(Error::bad_request(format!("a tensor of shape {shape} has more than 2^64 elements"))),
        }
    }

    /// The dimensions.
    pub fn dims(&self) -> &[u64] {
        &self.0
    }

    /// The number of axes.
    pub fn ndim(&self) -> usize {
        self.0.len()
    }

    /// The number of elements.
    pub fn size(&self) -> u64 {
        self.0.iter().product()
    }

    /// How far apart elements are along each axis, counted in elements.
    pub fn strides(&self) -> Vec<u64> {
        let mut strides = vec![1; self.ndim()];
        for axis in (1..self.ndim()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// The number of the element at a coordinate, which must lie within.
    pub fn offset(&self, coord: &[u64]) -> u64 {
        self.0.iter().zip(coord).fold(0, |offset, (dim, at)| offset * dim + at)
    }

    /// The coordinate of the element with this number.
    pub fn coord(&self, mut offset: u64) -> Vec<u64> {
        let mut coord = vec![0; self.ndim()];
        for (at, dim) in coord.iter_mut().zip(self.0.iter()).rev() {
            *at = offset % dim;
            offset /= dim;
        }
        coord
    }

    /// The shape that two operands have together by the rules of numpy: aligned at the last axis, a dimension of 1
    /// stretches.
    ///
    /// # Errors
    /// `BadRequest` if two dimensions differ and neither is 1.
    pub fn broadcast(&self, other: &Shape) -> Result<Shape> {
        let ndim = self.ndim().max(other.ndim());
        let dims =
            (0..ndim).map(|axis| match (self.counted_from_end(ndim - axis), other.counted_from_end(ndim - axis)) {
                (l, r) if l == r => Ok(l),
                (1, dim) | (dim, 1) => Ok(dim),
                (l, r) => {
                    Err(Error::bad_request(format!("cannot broadcast shapes {self} and {other}: {l} is not {r}")))
                }
            });
        Shape::try_new(dims.collect::<Result<Vec<u64>>>()?)
    }

    /// Whether this broadcasts to exactly `target`.
    pub fn broadcasts_to(&self, target: &Shape) -> bool {
        self.broadcast(target).is_ok_and(|shape| shape == *target)
    }

    /// The dimension at this place from the end, which counts from 1; 1 beyond the first.
    fn counted_from_end(&self, place: usize) -> u64 {
        self.ndim().checked_sub(place).map_or(1, |axis| self.0[axis])
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if axis == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(dims: &[u64]) -> Shape {
        Shape::try_new(dims).unwrap()
    }

    #[test]
    fn dimensions_are_checked() {
        for dims in [&[][..], &[0], &[2, 0], &[1 << 32], &[1 << 22, 1 << 22, 1 << 22]] {
            assert!(Shape::try_new(dims).is_err(), "{dims:?}");
        }
        assert_eq!(shape(&[2_147_483_647, 2_147_483_647]).size(), 4_611_686_014_132_420_609);
    }

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        for (l, r, both) in [
            (&[2, 3][..], &[3][..], &[2, 3][..]),
            (&[2, 1], &[3], &[2, 3]),
            (&[2, 1, 4], &[5, 1], &[2, 5, 4]),
            (&[1], &[7], &[7]),
        ] {
            assert_eq!(shape(l).broadcast(&shape(r)).unwrap(), shape(both));
            assert_eq!(shape(r).broadcast(&shape(l)).unwrap(), shape(both));
        }
        let error = shape(&[2, 3]).broadcast(&shape(&[2])).unwrap_err();
        assert_eq!(error.message(), "cannot broadcast shapes [2, 3] and [2]: 3 is not 2");
        assert!(!shape(&[2, 3]).broadcasts_to(&shape(&[3])));
        assert!(shape(&[3]).broadcasts_to(&shape(&[2, 3])));
    }

    proptest! {
        #[test]
        fn coordinates_number_the_elements(dims in prop::collection::vec(1u64..5, 1..5), at in any::<u64>()) {
            let shape = shape(&dims);
            let offset = at % shape.size();
            let coord = shape.coord(offset);
            prop_assert_eq!(shape.offset(&coord), offset);
            let by_strides: u64 = coord.iter().zip(shape.strides()).map(|(at, stride)| at * stride).sum();
            prop_assert_eq!(by_strides, offset);
        }
    }
}
