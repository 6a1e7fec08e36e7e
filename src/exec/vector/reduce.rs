//! Items of a stream as one: their number, their sum, the least and the greatest of them.
//!
//! Parts of a stream can be reduced by themselves, in any order, and their results merged. So a sum of integers is exact
//! until it is finished, and that of floats compensated: it is nearly the same whatever the parts were.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrowPrimitiveType, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{
    Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::kernels::number_column;
use super::program::Program;
use crate::error::{Error, Result};
use crate::storage::codec::cell;
use crate::value::collate::collate;
use crate::value::number::{Complex64, NumberKind};
use crate::value::{Number, NumberClass, State, cast};

/// What becomes of items.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reduction {
    Count,
    Max,
    Min,
    Sum,
}

/// Items that were reduced so far.
#[derive(Clone, Debug)]
pub(crate) struct Reduced {
    by: Reduction,
    count: u64,
    sum: Sum,
    /// The least or the greatest item.
    best: Option<State>,
}

impl Reduced {
    /// No items.
    pub(crate) fn new(by: Reduction) -> Self {
        Self { by, count: 0, sum: Sum::default(), best: None }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// `BadRequest` if a sum is wanted and the item is no number.
    pub(crate) fn add(&mut self, item: &State) -> Result<()> {
        self.count += 1;
        match self.by {
            Reduction::Count => {}
            Reduction::Sum => self.sum.add(cast::to_number(item)?)?,
            Reduction::Max | Reduction::Min => self.offer(item),
        }
        Ok(())
    }

    /// Adds so many items, of which nothing is known but their number.
    pub(crate) fn add_count(&mut self, items: u64) {
        self.count += items;
    }

    /// Adds items that are numbers of `class` without nulls.
    ///
    /// # Errors
    /// `Internal` if the array is of another type; `BadRequest` if a sum is beyond what it is kept in.
    pub(super) fn add_array(&mut self, class: NumberClass, array: &dyn Array) -> Result<()> {
        self.count += array.len() as u64;
        match self.by {
            Reduction::Count => Ok(()),
            Reduction::Sum => self.sum.add_array(class, array),
            Reduction::Max | Reduction::Min => {
                let column = number_column(class);
                if let Some(row) = best_row(class, array, self.ordering()) {
                    self.offer(&cell(&column, array, row)?);
                }
                Ok(())
            }
        }
    }

    /// Adds what other items were reduced to, which come after these.
    ///
    /// # Errors
    /// `BadRequest` if a sum is beyond what it is kept in.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        self.count += other.count;
        if let Some(best) = &other.best {
            self.offer(best);
        }
        self.sum.merge(&other.sum)
    }

    /// The result.
    ///
    /// # Errors
    /// `BadRequest` if a sum of integers does not fit its class.
    pub(crate) fn finish(self) -> Result<State> {
        match self.by {
            Reduction::Count => Ok(self.count.into()),
            Reduction::Sum => self.sum.finish(),
            Reduction::Max | Reduction::Min => Ok(self.best.unwrap_or(State::NONE)),
        }
    }

    fn ordering(&self) -> Ordering {
        if self.by == Reduction::Max { Ordering::Greater } else { Ordering::Less }
    }

    /// Keeps an item if it is better; of equal ones the first.
    fn offer(&mut self, item: &State) {
        let wanted = self.ordering();
        if self.best.as_ref().is_none_or(|best| collate(item, best) == wanted) {
            self.best = Some(item.clone());
        }
    }
}

/// Reduces the items that `program` makes of batches; none if it cannot for one of them.
///
/// # Errors
/// As reading the batches, and as [`Reduced::add`].
pub(crate) async fn reduce(
    program: Arc<Program>,
    mut batches: BoxStream<'static, Result<RecordBatch>>,
    by: Reduction,
) -> Result<Option<Reduced>> {
    let mut reduced = Reduced::new(by);
    while let Some(batch) = batches.next().await {
        match program.column(&batch?)? {
            None => return Ok(None),
            Some((_, items)) if by == Reduction::Count => reduced.add_count(items as u64),
            Some((column, _)) => match (program.number_class(), column) {
                (Some(class), Some(column)) => reduced.add_array(class, column.as_ref())?,
                _ => return Ok(None),
            },
        }
        // So that whoever asks can stop this.
        tokio::task::yield_now().await;
    }
    Ok(Some(reduced))
}

/// The row of the best cell, the first of equal ones. NaN is greater than everything, as in keys.
fn best_row(class: NumberClass, array: &dyn Array, wanted: Ordering) -> Option<usize> {
    fn of<T: ArrowPrimitiveType>(
        array: &dyn Array,
        wanted: Ordering,
        order: impl Fn(T::Native, T::Native) -> Ordering,
    ) -> Option<usize> {
        let values = array.as_primitive_opt::<T>()?.values();
        let mut best = 0;
        for (row, value) in values.iter().enumerate().skip(1) {
            if order(*value, values[best]) == wanted {
                best = row;
            }
        }
        (!values.is_empty()).then_some(best)
    }
    fn floats<T: PartialOrd>(l: T, r: T, is_nan: impl Fn(&T) -> bool) -> Ordering {
        l.partial_cmp(&r).unwrap_or_else(|| is_nan(&l).cmp(&is_nan(&r)))
    }
    match class {
        NumberClass::U8 => of::<UInt8Type>(array, wanted, |l, r| l.cmp(&r)),
        NumberClass::U16 => of::<UInt16Type>(array, wanted, |l, r| l.cmp(&r)),
        NumberClass::U32 => of::<UInt32Type>(array, wanted, |l, r| l.cmp(&r)),
        NumberClass::U64 => of::<UInt64Type>(array, wanted, |l, r| l.cmp(&r)),
        NumberClass::I16 => of::<Int16Type>(array, wanted, |l, r| l.cmp(&r)),
        NumberClass::I32 => of::<Int32Type>(array, wanted, |l, r| l.cmp(&r)),
        NumberClass::I64 => of::<Int64Type>(array, wanted, |l, r| l.cmp(&r)),
        NumberClass::F32 => of::<Float32Type>(array, wanted, |l, r| floats(l, r, |n: &f32| n.is_nan())),
        NumberClass::F64 => of::<Float64Type>(array, wanted, |l, r| floats(l, r, |n: &f64| n.is_nan())),
        NumberClass::Bool => {
            let wanted = wanted == Ordering::Greater;
            let values = array.as_boolean_opt()?.values();
            (!values.is_empty()).then(|| values.iter().position(|value| value == wanted).unwrap_or(0))
        }
        NumberClass::C32 | NumberClass::C64 => None,
    }
}

/// A sum of numbers.
#[derive(Clone, Debug, Default)]
struct Sum {
    integers: i128,
    /// The kinds of numbers that were added.
    kinds: Kinds,
    re: Compensated,
    im: Compensated,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    unsigned: bool,
    signed: bool,
    float: bool,
    complex: bool,
}

impl Kinds {
    fn add(&mut self, kind: NumberKind) {
        match kind {
            NumberKind::Bool | NumberKind::UInt => self.unsigned = true,
            NumberKind::Int => self.signed = true,
            NumberKind::Float => self.float = true,
            NumberKind::Complex => self.complex = true,
        }
    }
}

impl Sum {
    fn add(&mut self, number: Number) -> Result<()> {
        self.kinds.add(number.class().kind());
        match number {
            Number::F32(n) => self.re.add(n.into()),
            Number::F64(n) => self.re.add(n),
            Number::C32(n) => {
                self.re.add(n.re.into());
                self.im.add(n.im.into());
            }
            Number::C64(n) => {
                self.re.add(n.re);
                self.im.add(n.im);
            }
            n => self.add_integer(crate::value::number::cast::to_integer(n).unwrap_or_default())?,
        }
        Ok(())
    }

    fn add_integer(&mut self, n: i128) -> Result<()> {
        self.integers = self.integers.checked_add(n).ok_or_else(overflow)?;
        Ok(())
    }

    fn add_array(&mut self, class: NumberClass, array: &dyn Array) -> Result<()> {
        if array.is_empty() {
            return Ok(());
        }
        self.kinds.add(class.kind());
        let integers = match class {
            NumberClass::Bool => array.as_boolean_opt().map(|array| array.true_count() as i128),
            NumberClass::U8 => integers::<UInt8Type>(array),
            NumberClass::U16 => integers::<UInt16Type>(array),
            NumberClass::U32 => integers::<UInt32Type>(array),
            NumberClass::U64 => integers::<UInt64Type>(array),
            NumberClass::I16 => integers::<Int16Type>(array),
            NumberClass::I32 => integers::<Int32Type>(array),
            NumberClass::I64 => integers::<Int64Type>(array),
            NumberClass::F32 => floats::<Float32Type>(array).map(|sum| {
                self.re.merge(&sum);
                0
            }),
            NumberClass::F64 => floats::<Float64Type>(array).map(|sum| {
                self.re.merge(&sum);
                0
            }),
            NumberClass::C32 | NumberClass::C64 => None,
        };
        self.add_integer(integers.ok_or_else(|| Error::internal(format!("a sum expected cells of {class:?}")))?)
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.re.merge(&other.re);
        self.im.merge(&other.im);
        let (kinds, others) = (self.kinds, other.kinds);
        self.kinds = Kinds {
            unsigned: kinds.unsigned || others.unsigned,
            signed: kinds.signed || others.signed,
            float: kinds.float || others.float,
            complex: kinds.complex || others.complex,
        };
        self.add_integer(other.integers)
    }

    fn finish(mut self) -> Result<State> {
        let Kinds { unsigned, signed, float, complex } = self.kinds;
        if float || complex {
            self.re.add(self.integers as f64);
        }
        Ok(match (complex, float) {
            (true, _) => Number::C64(Complex64::new(self.re.total(), self.im.total())).into(),
            (false, true) => Number::F64(self.re.total()).into(),
            (false, false) if unsigned && !signed => u64::try_from(self.integers).map_err(|_| overflow())?.into(),
            (false, false) => i64::try_from(self.integers).map_err(|_| overflow())?.into(),
        })
    }
}

fn overflow() -> Error {
    Error::bad_request("the sum overflows an integer of 64 bits")
}

fn integers<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<i128>
where
    T::Native: Into<i128>,
{
    /// As many values of 64 bits can be added up in halves of 32 bits without an overflow.
    const CHUNK: usize = 1 << 16;
    let values = array.as_primitive_opt::<T>()?.values();
    let sum = |values: &[T::Native]| {
        // Halves are added up in 64 bits, which the processor does for several values at once.
        let (mut high, mut low) = (0i64, 0u64);
        for value in values {
            let value: i128 = (*value).into();
            high += (value >> 32) as i64;
            low += value as u32 as u64;
        }
        (i128::from(high) << 32) + i128::from(low)
    };
    Some(values.chunks(CHUNK).map(sum).sum())
}

fn floats<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<Compensated>
where
    T::Native: Into<f64>,
{
    /// Sums that are kept side by side, so that one addition does not wait for another.
    const LANES: usize = 8;
    let values = array.as_primitive_opt::<T>()?.values();
    let mut lanes = [Compensated::default(); LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            lane.add((*value).into());
        }
    }
    for (lane, value) in lanes.iter_mut().zip(chunks.remainder()) {
        lane.add((*value).into());
    }
    let mut total = Compensated::default();
    lanes.iter().for_each(|lane| total.merge(lane));
    Some(total)
}

/// A sum of floats with what rounding has lost of it: Knuth's two-sum, which needs no branch (The Art of Computer
/// Programming, volume 2, section 4.2.2).
#[derive(Clone, Copy, Debug, Default)]
struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    #[inline(always)]
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        let added = sum - self.sum;
        self.lost += (self.sum - (sum - added)) + (value - added);
        self.sum = sum;
    }

    fn merge(&mut self, other: &Self) {
        self.add(other.sum);
        self.lost += other.lost;
    }

    fn total(&self) -> f64 {
        // An infinite sum has lost NaN.
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, UInt64Array};
    use proptest::prelude::*;

    use super::*;
    use crate::value::encode::to_json;

    fn reduce(by: Reduction, items: &[State]) -> Result<State> {
        let mut reduced = Reduced::new(by);
        items.iter().try_for_each(|item| reduced.add(item))?;
        reduced.finish()
    }

    fn reduce_array(by: Reduction, class: NumberClass, parts: &[ArrayRef]) -> Result<State> {
        let mut all = Reduced::new(by);
        for part in parts {
            let mut reduced = Reduced::new(by);
            reduced.add_array(class, part.as_ref())?;
            all.merge(&reduced)?;
        }
        all.finish()
    }

    #[test]
    fn sums_of_integers_are_exact_and_checked_at_the_end() {
        let numbers = |numbers: &[i64]| numbers.iter().map(|n| State::from(*n)).collect::<Vec<_>>();
        assert_eq!(reduce(Reduction::Sum, &numbers(&[i64::MAX, 1, -1])), Ok(i64::MAX.into()));
        assert!(reduce(Reduction::Sum, &numbers(&[i64::MAX, 1])).is_err());
        assert_eq!(reduce(Reduction::Sum, &[]), Ok(0i64.into()));
        assert_eq!(reduce(Reduction::Sum, &[u64::MAX.into()]), Ok(u64::MAX.into()));
        assert_eq!(reduce(Reduction::Sum, &[1i64.into(), 0.5.into()]), Ok(1.5.into()));
        assert!(reduce(Reduction::Sum, &["x".into()]).is_err());
        let extremes: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX, i64::MIN, i64::MAX]));
        assert_eq!(reduce_array(Reduction::Sum, NumberClass::I64, &[extremes]), Ok((-2i64).into()));
        let most: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX; 3]));
        assert!(reduce_array(Reduction::Sum, NumberClass::U64, &[most]).is_err());
    }

    #[test]
    fn sums_of_floats_keep_what_rounding_loses() {
        let values = vec![1e16, 1.0, -1e16, 1.0, 1e16, 1.0, -1e16, 1.0, 0.5];
        let array: ArrayRef = Arc::new(Float64Array::from(values.clone()));
        assert_eq!(reduce_array(Reduction::Sum, NumberClass::F64, &[array]), Ok(4.5.into()));
        let items: Vec<State> = values.into_iter().map(State::from).collect();
        assert_eq!(reduce(Reduction::Sum, &items), Ok(4.5.into()));
        assert_eq!(reduce(Reduction::Sum, &[f64::INFINITY.into(), 1.0.into()]), Ok(f64::INFINITY.into()));
    }

    #[test]
    fn the_first_of_equal_items_is_kept_and_nan_is_the_greatest() {
        let nan = f64::NAN;
        let array: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, 0.0, nan, 1.0]));
        let best = |by| reduce_array(by, NumberClass::F64, &[Arc::clone(&array)]).unwrap();
        assert_eq!(to_json(&best(Reduction::Min)), "-0.0");
        assert_eq!(to_json(&best(Reduction::Max)), "NaN");
        assert_eq!(reduce(Reduction::Max, &[]), Ok(State::NONE));
    }

    proptest! {
        #[test]
        fn arrays_in_parts_are_reduced_as_items_one_by_one(parts in prop::collection::vec(prop::collection::vec(any::<i64>(), 0..20), 0..4)) {
            let items: Vec<State> = parts.iter().flatten().map(|n| State::from(*n)).collect();
            let arrays: Vec<ArrayRef> = parts.iter().map(|part| Arc::new(Int64Array::from(part.clone())) as ArrayRef).collect();
            for by in [Reduction::Count, Reduction::Max, Reduction::Min, Reduction::Sum] {
                let (one_by_one, in_parts) = (reduce(by, &items), reduce_array(by, NumberClass::I64, &arrays));
                prop_assert_eq!(one_by_one, in_parts);
            }
        }
    }
}
