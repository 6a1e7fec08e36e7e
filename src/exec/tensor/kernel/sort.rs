//! Positions that sort.

use std::cmp::Ordering;

use super::chunk::{Chunk, different, ordered};
use super::native::{Real, for_integer, for_real, unexpected};
use super::transfer::{bools_in_memory, integers, read};
use crate::error::Result;
use crate::value::NumberClass;

impl Chunk {
    /// For each of `rows` rows of `len` elements the positions that sort it, as I64. Equal elements keep their order, and NaN is last,
    /// as in numpy.
    ///
    /// # Errors
    /// `BadRequest` for complex numbers; `Internal` if there are not as many elements.
    pub fn argsort(self, rows: usize, len: usize) -> Result<Self> {
        if rows.checked_mul(len) != Some(self.len()) {
            return Err(different(self.len(), rows.saturating_mul(len)));
        }
        let device = self.device();
        let positions = match self {
            Chunk::Bool(tensor) => sorted(&bools_in_memory(tensor)?, len, Ord::cmp),
            Chunk::Int(class, tensor) => {
                let positions: Result<Vec<i64>> =
                    for_integer!(class, T => read(tensor, |elements: &[T]| Ok(sorted(elements, len, Ord::cmp))));
                positions?
            }
            Chunk::Float(class, tensor) => {
                let positions: Result<Vec<i64>> =
                    for_real!(class, T => read(tensor, |elements: &[T]| Ok(sorted(elements, len, nan_last))));
                positions?
            }
            Chunk::Complex(class, ..) => {
                ordered(class)?;
                return Err(unexpected(class));
            }
        };
        Ok(Chunk::Int(NumberClass::I64, integers(positions, &device)))
    }
}

fn sorted<T>(elements: &[T], len: usize, compare: impl Fn(&T, &T) -> Ordering) -> Vec<i64> {
    let mut all = Vec::with_capacity(elements.len());
    for row in elements.chunks_exact(len.max(1)) {
        let start = all.len();
        all.extend((0i64..).take(len));
        // These are positions in the row, so they are not negative.
        all[start..].sort_by(|l, r| compare(&row[*l as usize], &row[*r as usize]));
    }
    all
}

fn nan_last<T: Real>(l: &T, r: &T) -> Ordering {
    l.partial_cmp(r).unwrap_or_else(|| l.is_nan().cmp(&r.is_nan()))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{chunk, numbers};
    use super::*;
    use crate::error::Kind;
    use crate::value::Number;
    use crate::value::number::NumberKind;
    use crate::value::number::compare::collate;

    #[test]
    fn positions_sort_and_keep_the_order_of_equal_elements() {
        for class in NumberClass::ALL.into_iter().filter(|class| class.kind() < NumberKind::Complex) {
            let mut elements = numbers(class);
            elements.extend(numbers(class));
            for (rows, len) in [(1, elements.len()), (2, elements.len() / 2), (elements.len(), 1)] {
                let positions = chunk(class, &elements).argsort(rows, len).unwrap().download().unwrap();
                assert_eq!(positions.dtype(), NumberClass::I64);
                for (row, positions) in elements.chunks(len).zip(positions.typed::<i64>().chunks(len)) {
                    let mut expected: Vec<i64> = (0..).take(len).collect();
                    expected.sort_by(|l, r| collate(row[*l as usize], row[*r as usize]));
                    assert_eq!(positions, expected, "{class:?}");
                }
            }
        }
    }

    #[test]
    fn nan_is_last() {
        let elements = [f64::NAN, 1.0, f64::INFINITY, f64::NAN, -1.0].map(Number::F64);
        let positions = chunk(NumberClass::F64, &elements).argsort(1, 5).unwrap().download().unwrap();
        assert_eq!(positions.typed::<i64>(), [4, 1, 2, 0, 3]);
    }

    #[test]
    fn complex_numbers_are_not_sorted() {
        let elements = numbers(NumberClass::C64);
        let error = chunk(NumberClass::C64, &elements).argsort(1, elements.len()).unwrap_err();
        assert_eq!(error.kind(), Kind::BadRequest);
        let error = chunk(NumberClass::I16, &[Number::I16(1)]).argsort(1, 2).unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
    }
}
