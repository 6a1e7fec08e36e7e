//! Elements as Arrow arrays, and back.
//!
//! A complex number has two *parts* there, which follow each other; any other element is one part. A Bool, which is a byte
//! here, is a bit there. Everything else has the same bytes, which are shared.
//!
//! As the cells of a column, the parts of each complex number are a list.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray as _, BooleanArray, FixedSizeListArray, make_array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};

use super::Elements;
use super::elements::width;
use crate::error::{Error, Result};
use crate::value::NumberClass;

/// How many parts an element has.
pub fn parts(dtype: NumberClass) -> usize {
    match dtype {
        NumberClass::C32 | NumberClass::C64 => 2,
        _ => 1,
    }
}

/// The type of the Arrow arrays that hold the parts of elements.
pub fn part_type(dtype: NumberClass) -> DataType {
    match dtype {
        NumberClass::Bool => DataType::Boolean,
        NumberClass::U8 => DataType::UInt8,
        NumberClass::U16 => DataType::UInt16,
        NumberClass::U32 => DataType::UInt32,
        NumberClass::U64 => DataType::UInt64,
        NumberClass::I16 => DataType::Int16,
        NumberClass::I32 => DataType::Int32,
        NumberClass::I64 => DataType::Int64,
        NumberClass::F32 | NumberClass::C32 => DataType::Float32,
        NumberClass::F64 | NumberClass::C64 => DataType::Float64,
    }
}

/// The type of the column whose cells are elements.
pub fn column_type(dtype: NumberClass) -> DataType {
    match parts(dtype) {
        1 => part_type(dtype),
        parts => DataType::FixedSizeList(part_field(part_type(dtype)), parts as i32),
    }
}

/// The field of the parts of complex numbers in a column.
pub fn part_field(part: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(part, false))
}

impl Elements {
    /// The parts of all elements.
    ///
    /// # Errors
    /// `Internal` if Arrow disagrees about what elements are.
    pub fn to_parts(&self) -> Result<ArrayRef> {
        let bytes = self.bytes();
        if self.dtype() == NumberClass::Bool {
            return Ok(Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(self.len(), |at| bytes[at] != 0), None)));
        }
        let (len, buffers) = (self.len() * parts(self.dtype()), vec![bytes.clone()]);
        let data = ArrayData::try_new(part_type(self.dtype()), len, None, 0, buffers, vec![]);
        data.map(make_array).map_err(|error| Error::internal(format!("elements are no column: {error}")))
    }

    /// The elements as the cells of a column.
    ///
    /// # Errors
    /// As [`Elements::to_parts`].
    pub fn to_column(&self) -> Result<ArrayRef> {
        let array = self.to_parts()?;
        let DataType::FixedSizeList(field, parts) = column_type(self.dtype()) else { return Ok(array) };
        let cells = FixedSizeListArray::try_new(field, parts, array, None);
        Ok(Arc::new(cells.map_err(|error| Error::internal(format!("elements are no column: {error}")))?))
    }

    /// The elements that are the cells of a column. What nulls stand for is not said.
    ///
    /// # Errors
    /// `Internal` if the column is not of [`column_type`].
    pub fn from_column(dtype: NumberClass, array: &dyn Array) -> Result<Self> {
        match array.as_fixed_size_list_opt() {
            Some(cells) => Self::from_parts(dtype, cells.values().as_ref()),
            None => Self::from_parts(dtype, array),
        }
    }

    /// The elements whose parts these are. What nulls stand for is not said.
    ///
    /// # Errors
    /// `Internal` if the array is not of [`part_type`], or the last element lacks a part.
    pub fn from_parts(dtype: NumberClass, array: &dyn Array) -> Result<Self> {
        let unfit = || Error::internal(format!("a column of type {} has no elements", array.data_type()));
        if *array.data_type() != part_type(dtype) {
            return Err(unfit());
        }
        if let Some(bits) = array.as_boolean_opt() {
            return Ok(Self::from_vec(dtype, bits.values().iter().map(u8::from).collect::<Vec<u8>>()));
        }
        let data = array.to_data();
        let width = width(dtype) / parts(dtype);
        let bytes = data.buffers().first().ok_or_else(unfit)?;
        Self::try_new(dtype, bytes.slice_with_length(data.offset() * width, data.len() * width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Number;

    #[test]
    fn elements_come_back() {
        for dtype in NumberClass::ALL {
            let elements = Elements::from_numbers(dtype, [0, 1, 2, 300].map(Number::I64));
            let array = elements.to_parts().unwrap();
            assert_eq!(*array.data_type(), part_type(dtype));
            assert_eq!(array.len(), 4 * parts(dtype));
            assert_eq!(Elements::from_parts(dtype, &array).unwrap(), elements, "{dtype:?}");
            let rest = array.slice(parts(dtype), 2 * parts(dtype));
            assert_eq!(Elements::from_parts(dtype, &rest).unwrap(), elements.slice(1, 2), "{dtype:?}");
        }
    }

    #[test]
    fn cells_come_back() {
        for dtype in NumberClass::ALL {
            let elements = Elements::from_numbers(dtype, [0, 1, 2, 300].map(Number::I64));
            let column = elements.to_column().unwrap();
            assert_eq!((column.data_type(), column.len()), (&column_type(dtype), 4));
            assert_eq!(Elements::from_column(dtype, &column).unwrap(), elements, "{dtype:?}");
            let rest = column.slice(1, 2);
            assert_eq!(Elements::from_column(dtype, &rest).unwrap(), elements.slice(1, 2), "{dtype:?}");
        }
    }

    #[test]
    fn other_columns_have_no_elements() {
        let array = Elements::from_vec(NumberClass::F32, vec![1.0f32, 2.0, 3.0]).to_parts().unwrap();
        assert!(Elements::from_parts(NumberClass::I32, &array).is_err());
        assert!(Elements::from_parts(NumberClass::C32, &array).is_err());
    }
}
