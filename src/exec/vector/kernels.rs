//! Computes columns of numbers from others. A null is a cell whose computation failed; see [the module](super).

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray as _, BooleanArray, PrimitiveArray, make_array, new_null_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::kernels::{boolean, zip::zip};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::error::ArrowError;

use crate::error::{Error, Result};
use crate::storage::codec::{cell, data_type};
use crate::value::schema::{Column, ColumnType};
use crate::value::{Class, Number, NumberClass, State, Value, cast};

/// What a kernel computes. Operands of arithmetic and comparisons are of one class.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kernel {
    Arithmetic(Arithmetic),
    Comparison(Comparison),
    Logic(Logic),
    /// To a class that holds the number, as arithmetic does it; what does not fit fails.
    Promote,
    /// To any class, as a cast does it: integers wrap around, floats are truncated.
    Cast,
    /// What the method computes for each cell.
    Unary(fn(&State) -> Result<State>),
    Binary(fn(&State, &State) -> Result<State>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Of Bools.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Logic {
    And,
    Or,
    Xor,
    Not,
}

/// An operand.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    Array(ArrayRef),
    /// The same in every row.
    One(Number),
    /// An error in every row.
    Failed,
}

/// Runs a function with the Arrow type of a class of real numbers, Bool excepted.
macro_rules! for_type {
    ($class:expr, $function:ident ( $($argument:expr),* )) => {
        match $class {
            NumberClass::U8 => $function::<UInt8Type>($($argument),*),
            NumberClass::U16 => $function::<UInt16Type>($($argument),*),
            NumberClass::U32 => $function::<UInt32Type>($($argument),*),
            NumberClass::U64 => $function::<UInt64Type>($($argument),*),
            NumberClass::I16 => $function::<Int16Type>($($argument),*),
            NumberClass::I32 => $function::<Int32Type>($($argument),*),
            NumberClass::I64 => $function::<Int64Type>($($argument),*),
            NumberClass::F32 => $function::<Float32Type>($($argument),*),
            NumberClass::F64 => $function::<Float64Type>($($argument),*),
            class => Err(Error::internal(format!("there is no kernel for {class:?}"))),
        }
    };
}

/// A type of Arrow whose values are those of a class of numbers.
trait Native: ArrowPrimitiveType<Native: Compute> {
    /// The value of a number that has the class.
    fn native(number: Number) -> Option<Self::Native>;
}

/// A number of one class.
trait Compute: Sized {
    /// The result, and whether the class cannot hold it, or there is none.
    fn compute(op: Arithmetic, l: Self, r: Self) -> (Self, bool);
}

macro_rules! native {
    ($($type:ty, $variant:ident);*) => {$(
        impl Native for $type {
            fn native(number: Number) -> Option<Self::Native> {
                if let Number::$variant(value) = number { Some(value) } else { None }
            }
        }
    )*};
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Compute for $type {
            #[inline(always)]
            fn compute(op: Arithmetic, l: Self, r: Self) -> (Self, bool) {
                match op {
                    Arithmetic::Add => l.overflowing_add(r),
                    Arithmetic::Sub => l.overflowing_sub(r),
                    Arithmetic::Mul => l.overflowing_mul(r),
                    Arithmetic::Div | Arithmetic::Rem if r == 0 => (0, true),
                    Arithmetic::Div => l.overflowing_div(r),
                    Arithmetic::Rem => (l.wrapping_rem(r), false),
                }
            }
        }
    )*};
}

macro_rules! float {
    ($($type:ty),*) => {$(
        impl Compute for $type {
            #[inline(always)]
            fn compute(op: Arithmetic, l: Self, r: Self) -> (Self, bool) {
                match op {
                    Arithmetic::Add => (l + r, false),
                    Arithmetic::Sub => (l - r, false),
                    Arithmetic::Mul => (l * r, false),
                    Arithmetic::Div => (l / r, r == 0.0),
                    Arithmetic::Rem => (l % r, r == 0.0),
                }
            }
        }
    )*};
}

native!(UInt8Type, U8; UInt16Type, U16; UInt32Type, U32; UInt64Type, U64);
native!(Int16Type, I16; Int32Type, I32; Int64Type, I64; Float32Type, F32; Float64Type, F64);
integer!(u8, u16, u32, u64, i16, i32, i64);
float!(f32, f64);

/// The values of an operand of a known type.
enum Values<'a, T: ArrowPrimitiveType> {
    Many(&'a [T::Native]),
    One(T::Native),
}

impl<T: Native> Values<'_, T> {
    #[inline(always)]
    fn at(&self, row: usize) -> T::Native {
        match self {
            Values::Many(values) => values[row],
            Values::One(value) => *value,
        }
    }
}

impl Cells {
    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Cells::Array(array) => array.nulls(),
            _ => None,
        }
    }

    fn values<T: Native>(&self) -> Result<Values<'_, T>> {
        let found = match self {
            Cells::Array(array) => array.as_primitive_opt::<T>().map(|array| Values::Many(array.values().as_ref())),
            Cells::One(number) => T::native(*number).map(Values::One),
            Cells::Failed => None,
        };
        found.ok_or_else(|| Error::internal(format!("a kernel expected cells of {}", T::DATA_TYPE)))
    }

    fn booleans(&self, rows: usize) -> Result<BooleanArray> {
        match self {
            Cells::Array(array) => {
                array.as_boolean_opt().cloned().ok_or_else(|| Error::internal("a kernel expected cells of Bool"))
            }
            Cells::One(Number::Bool(value)) => {
                let values = if *value { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) };
                Ok(BooleanArray::new(values, None))
            }
            _ => Err(Error::internal("a kernel expected cells of Bool")),
        }
    }
}

impl Kernel {
    /// Computes `rows` cells of `class` from operands, of which one is an array. The columns say what the cells of the
    /// operands are.
    ///
    /// # Errors
    /// `Internal` if the operands are of other classes than the kernel was chosen for.
    pub(super) fn run(self, class: NumberClass, operands: &[(Cells, Column)], rows: usize) -> Result<ArrayRef> {
        if operands.iter().any(|(cells, _)| matches!(cells, Cells::Failed)) {
            return Ok(failed(class, rows));
        }
        match (self, operands) {
            (Kernel::Arithmetic(op), [(l, _), (r, _)]) => for_type!(class, arithmetic(op, l, r, rows)),
            (Kernel::Comparison(op), [(l, column), (r, _)]) => match column.ty {
                ColumnType::Number(class) => for_type!(class, comparison(op, l, r, rows)),
                ty => Err(Error::internal(format!("cells of {ty:?} are not compared as numbers"))),
            },
            (Kernel::Logic(op), [(operand, _)]) => logic(op, &operand.booleans(rows)?, None),
            (Kernel::Logic(op), [(l, _), (r, _)]) => logic(op, &l.booleans(rows)?, Some(&r.booleans(rows)?)),
            (Kernel::Promote, [(Cells::Array(array), _)]) => {
                // What cannot be converted becomes null, which is what a failure is.
                let options = CastOptions { safe: true, ..CastOptions::default() };
                cast_with_options(array, &number_type(class), &options).map_err(unfit)
            }
            (Kernel::Cast, [operand]) => {
                each(class, operands, rows, |row| cast::cast(&state(operand, row)?, Class::Exactly(class)))
            }
            (Kernel::Unary(body), [operand]) => each(class, operands, rows, |row| body(&state(operand, row)?)),
            (Kernel::Binary(body), [l, r]) => each(class, operands, rows, |row| body(&state(l, row)?, &state(r, row)?)),
            (kernel, operands) => Err(Error::internal(format!("{kernel:?} has {} operands", operands.len()))),
        }
    }
}

/// Cells of which each has failed.
pub(super) fn failed(class: NumberClass, rows: usize) -> ArrayRef {
    new_null_array(&number_type(class), rows)
}

/// The type of the arrays of numbers of a class.
pub(super) fn number_type(class: NumberClass) -> DataType {
    data_type(&number_column(class))
}

/// A column of numbers that are computed.
pub(super) fn number_column(class: NumberClass) -> Column {
    Column {
        name: "n".into(),
        class: Class::Exactly(class),
        ty: ColumnType::Number(class),
        max_len: None,
        nullable: false,
        slot: 0,
        ordinal: 0,
        default: State::NONE,
    }
}

fn unfit(error: ArrowError) -> Error {
    Error::internal(format!("a column cannot be computed: {error}"))
}

/// The operator is a constant of each loop, which the compiler can then vectorise.
fn arithmetic<T: Native>(op: Arithmetic, l: &Cells, r: &Cells, rows: usize) -> Result<ArrayRef> {
    match op {
        Arithmetic::Add => combine::<T>(l, r, rows, |l, r| T::Native::compute(Arithmetic::Add, l, r)),
        Arithmetic::Sub => combine::<T>(l, r, rows, |l, r| T::Native::compute(Arithmetic::Sub, l, r)),
        Arithmetic::Mul => combine::<T>(l, r, rows, |l, r| T::Native::compute(Arithmetic::Mul, l, r)),
        Arithmetic::Div => combine::<T>(l, r, rows, |l, r| T::Native::compute(Arithmetic::Div, l, r)),
        Arithmetic::Rem => combine::<T>(l, r, rows, |l, r| T::Native::compute(Arithmetic::Rem, l, r)),
    }
}

fn combine<T: Native>(
    l: &Cells,
    r: &Cells,
    rows: usize,
    compute: impl Fn(T::Native, T::Native) -> (T::Native, bool),
) -> Result<ArrayRef> {
    let (left, right) = (l.values::<T>()?, r.values::<T>()?);
    let mut has_failed = false;
    let mut next = |l: T::Native, r: T::Native| {
        let (value, fails) = compute(l, r);
        has_failed |= fails;
        value
    };
    let values: Vec<T::Native> = match (&left, &right) {
        (Values::Many(l), Values::Many(r)) => l.iter().zip(*r).map(|(l, r)| next(*l, *r)).collect(),
        (Values::Many(l), Values::One(r)) => l.iter().map(|l| next(*l, *r)).collect(),
        (Values::One(l), Values::Many(r)) => r.iter().map(|r| next(*l, *r)).collect(),
        (Values::One(l), Values::One(r)) => (0..rows).map(|_| next(*l, *r)).collect(),
    };
    let mut nulls = NullBuffer::union(l.nulls(), r.nulls());
    if has_failed {
        let is_fine = BooleanBuffer::collect_bool(rows, |row| !compute(left.at(row), right.at(row)).1);
        nulls = NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(is_fine)));
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

fn comparison<T: Native>(op: Comparison, l: &Cells, r: &Cells, rows: usize) -> Result<ArrayRef> {
    match op {
        Comparison::Eq => compare::<T>(l, r, rows, |l, r| l == r),
        Comparison::Ne => compare::<T>(l, r, rows, |l, r| l != r),
        Comparison::Lt => compare::<T>(l, r, rows, |l, r| l < r),
        Comparison::Le => compare::<T>(l, r, rows, |l, r| l <= r),
        Comparison::Gt => compare::<T>(l, r, rows, |l, r| l > r),
        Comparison::Ge => compare::<T>(l, r, rows, |l, r| l >= r),
    }
}

fn compare<T: Native>(
    l: &Cells,
    r: &Cells,
    rows: usize,
    holds: impl Fn(T::Native, T::Native) -> bool,
) -> Result<ArrayRef> {
    let (left, right) = (l.values::<T>()?, r.values::<T>()?);
    let values = match (&left, &right) {
        (Values::Many(l), Values::Many(r)) => BooleanBuffer::collect_bool(rows, |row| holds(l[row], r[row])),
        (Values::Many(l), Values::One(r)) => BooleanBuffer::collect_bool(rows, |row| holds(l[row], *r)),
        (Values::One(l), Values::Many(r)) => BooleanBuffer::collect_bool(rows, |row| holds(*l, r[row])),
        (Values::One(l), Values::One(r)) => BooleanBuffer::collect_bool(rows, |_| holds(*l, *r)),
    };
    Ok(Arc::new(BooleanArray::new(values, NullBuffer::union(l.nulls(), r.nulls()))))
}

fn logic(op: Logic, l: &BooleanArray, r: Option<&BooleanArray>) -> Result<ArrayRef> {
    let computed = match (op, r) {
        (Logic::Not, None) => boolean::not(l),
        (Logic::And, Some(r)) => boolean::and(l, r),
        (Logic::Or, Some(r)) => boolean::or(l, r),
        (Logic::Xor, Some(r)) => {
            Ok(BooleanArray::new(l.values() ^ r.values(), NullBuffer::union(l.nulls(), r.nulls())))
        }
        (op, _) => return Err(Error::internal(format!("{op:?} has the wrong operands"))),
    };
    computed.map(|array| Arc::new(array) as ArrayRef).map_err(unfit)
}

/// Computes each cell by itself.
fn each(
    class: NumberClass,
    operands: &[(Cells, Column)],
    rows: usize,
    compute: impl Fn(usize) -> Result<State>,
) -> Result<ArrayRef> {
    let has_failed = |row| operands.iter().any(|(cells, _)| cells.nulls().is_some_and(|nulls| nulls.is_null(row)));
    let number = |row: usize| match compute(row) {
        _ if has_failed(row) => None,
        Ok(State::Value(Value::Number(number))) if number.class() == class => Some(number),
        // Also a result of another class than it mostly has: the machine will tell.
        _ => None,
    };
    collect(class, (0..rows).map(number))
}

/// Numbers of one class as an array.
pub(super) fn collect(class: NumberClass, numbers: impl Iterator<Item = Option<Number>>) -> Result<ArrayRef> {
    fn primitive<T: Native>(numbers: impl Iterator<Item = Option<Number>>) -> Result<ArrayRef> {
        Ok(Arc::new(numbers.map(|number| number.and_then(T::native)).collect::<PrimitiveArray<T>>()))
    }
    match class {
        NumberClass::Bool => {
            let truth = |number| if let Some(Number::Bool(truth)) = number { Some(truth) } else { None };
            Ok(Arc::new(numbers.map(truth).collect::<BooleanArray>()))
        }
        class => for_type!(class, primitive(numbers)),
    }
}

fn state((cells, column): &(Cells, Column), row: usize) -> Result<State> {
    match cells {
        Cells::Array(array) => cell(column, array.as_ref(), row),
        Cells::One(number) => Ok((*number).into()),
        Cells::Failed => Err(Error::internal("a cell that failed is not there")),
    }
}

/// The cells of `then` where `cond` is true, those of `or_else` where it is false. What failed in `cond` has failed.
pub(super) fn select(class: NumberClass, cond: &BooleanArray, then: &Cells, or_else: &Cells) -> Result<ArrayRef> {
    let rows = cond.len();
    let [then, or_else] = [then, or_else].map(|cells| array(class, cells, rows));
    let chosen = zip(&BooleanArray::new(cond.values().clone(), None), &then?, &or_else?).map_err(unfit)?;
    failed_where(&chosen, cond.nulls())
}

/// An operand as an array.
pub(super) fn array(class: NumberClass, cells: &Cells, rows: usize) -> Result<ArrayRef> {
    match cells {
        Cells::Array(array) => Ok(Arc::clone(array)),
        Cells::One(number) => collect(class, std::iter::repeat_n(Some(*number), rows)),
        Cells::Failed => Ok(failed(class, rows)),
    }
}

/// The same cells, of which those have failed too that are null in `nulls`.
pub(super) fn failed_where(array: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    if nulls.is_none_or(|nulls| nulls.null_count() == 0) {
        return Ok(Arc::clone(array));
    }
    let nulls = NullBuffer::union(array.nulls(), nulls);
    let data = array.to_data().into_builder().nulls(nulls).build().map_err(unfit)?;
    Ok(make_array(data))
}
