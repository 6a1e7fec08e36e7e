//! Types of SQL as columns of tables.

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{self, ArrayElemTypeDef, CharacterLength, ExactNumberInfo};

use crate::error::{Error, Kind, Result};
use crate::value::schema::ColumnType;
use crate::value::{Class, NumberClass};

/// Bytes of a text or binary column that declares no length.
const LENGTH: u32 = 1 << 20;
/// Digits of a DECIMAL without a precision.
const PRECISION: u8 = 38;
const SCALE: i8 = 10;

/// The type of a column, and the most bytes of its cells.
pub(super) type Declared = (ColumnType, Option<u32>);

/// The column type that a type of SQL stands for.
///
/// # Errors
/// `NotImplemented` for a type that no column can have.
pub(super) fn declared(ty: &ast::DataType) -> Result<Declared> {
    use ast::DataType as Sql;
    Ok(match ty {
        Sql::Bool | Sql::Boolean => number(NumberClass::Bool),
        Sql::TinyInt(_) | Sql::SmallInt(_) | Sql::Int2(_) | Sql::Int16 => number(NumberClass::I16),
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) | Sql::MediumInt(_) | Sql::Int32 => number(NumberClass::I32),
        Sql::BigInt(_) | Sql::Int8(_) | Sql::Int64 => number(NumberClass::I64),
        Sql::TinyIntUnsigned(_) | Sql::UInt8 | Sql::UTinyInt => number(NumberClass::U8),
        Sql::SmallIntUnsigned(_) | Sql::UInt16 | Sql::USmallInt => number(NumberClass::U16),
        Sql::IntUnsigned(_) | Sql::IntegerUnsigned(_) | Sql::UInt32 | Sql::UnsignedInteger => number(NumberClass::U32),
        Sql::BigIntUnsigned(_) | Sql::UInt64 | Sql::UBigInt => number(NumberClass::U64),
        Sql::Real | Sql::Float4 | Sql::Float32 => number(NumberClass::F32),
        Sql::Float(ExactNumberInfo::Precision(digits)) if *digits <= 24 => number(NumberClass::F32),
        Sql::Float(_) | Sql::Double(_) | Sql::DoublePrecision | Sql::Float8 | Sql::Float64 => number(NumberClass::F64),
        Sql::Decimal(info) | Sql::Numeric(info) | Sql::Dec(info) => (decimal(info)?, None),
        Sql::Varchar(length)
        | Sql::Char(length)
        | Sql::Character(length)
        | Sql::CharacterVarying(length)
        | Sql::CharVarying(length)
        | Sql::Nvarchar(length) => (ColumnType::String, Some(characters(length.as_ref())?)),
        Sql::Text | Sql::String(_) => (ColumnType::String, Some(LENGTH)),
        Sql::Bytea | Sql::Blob(None) | Sql::Bytes(None) => (ColumnType::Bytes, Some(LENGTH)),
        Sql::Blob(Some(length)) | Sql::Bytes(Some(length)) => (ColumnType::Bytes, Some(bytes(*length)?)),
        Sql::Date => (ColumnType::Date, None),
        Sql::Timestamp(_, ast::TimezoneInfo::None | ast::TimezoneInfo::WithoutTimeZone) | Sql::Datetime(_) => {
            (ColumnType::Timestamp, None)
        }
        Sql::Array(ArrayElemTypeDef::None) => return Err(unsupported(ty)),
        _ => return Err(unsupported(ty)),
    })
}

fn number(class: NumberClass) -> Declared {
    (ColumnType::Number(class), None)
}

fn unsupported(ty: &ast::DataType) -> Error {
    Error::new(Kind::NotImplemented, format!("a column cannot have the type {ty}"))
}

fn bytes(length: u64) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::bad_request(format!("a length of {length} is too large")))
}

/// The most bytes of a text of so many characters of at most four bytes.
fn characters(length: Option<&CharacterLength>) -> Result<u32> {
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => bytes(length.saturating_mul(4)),
        Some(CharacterLength::Max) | None => Ok(LENGTH),
    }
}

fn decimal(info: &ExactNumberInfo) -> Result<ColumnType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (u64::from(PRECISION), i64::from(SCALE)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let fits = (1..=u64::from(PRECISION)).contains(&precision) && (0..=precision as i64).contains(&scale);
    match fits {
        true => Ok(ColumnType::Decimal { precision: precision as u8, scale: scale as i8 }),
        false => Err(Error::bad_request(format!(
            "a DECIMAL has 1 to {PRECISION} digits, of which at most all are after the point, not ({precision}, {scale})"
        ))),
    }
}

/// The column type of a column of a query's result.
///
/// # Errors
/// `NotImplemented` for a type that no column can have.
pub(super) fn of_result(ty: &DataType) -> Result<Declared> {
    use DataType as Arrow;
    Ok(match ty {
        Arrow::Boolean => number(NumberClass::Bool),
        Arrow::Int8 | Arrow::Int16 => number(NumberClass::I16),
        Arrow::Int32 => number(NumberClass::I32),
        Arrow::Int64 => number(NumberClass::I64),
        Arrow::UInt8 => number(NumberClass::U8),
        Arrow::UInt16 => number(NumberClass::U16),
        Arrow::UInt32 => number(NumberClass::U32),
        Arrow::UInt64 => number(NumberClass::U64),
        Arrow::Float16 | Arrow::Float32 => number(NumberClass::F32),
        Arrow::Float64 => number(NumberClass::F64),
        Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View => (ColumnType::String, Some(LENGTH)),
        Arrow::Binary | Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_) => {
            (ColumnType::Bytes, Some(LENGTH))
        }
        Arrow::Decimal128(precision, scale) if *scale >= 0 => {
            (ColumnType::Decimal { precision: *precision, scale: *scale }, None)
        }
        Arrow::Date32 | Arrow::Date64 => (ColumnType::Date, None),
        Arrow::Timestamp(_, None) => (ColumnType::Timestamp, None),
        other => return Err(Error::new(Kind::NotImplemented, format!("a column cannot have the type {other}"))),
    })
}

/// The class under which a column that SQL declares is seen by programs.
pub(super) fn class_of(ty: ColumnType) -> Class {
    match ty {
        ColumnType::Number(class) => Class::Exactly(class),
        ColumnType::Bytes => Class::Bytes,
        ColumnType::Id => Class::Id,
        ColumnType::Link => Class::Link,
        ColumnType::Email => Class::Email,
        ColumnType::Version => Class::Version,
        ColumnType::Any => Class::Value,
        ColumnType::String | ColumnType::Decimal { .. } | ColumnType::Date | ColumnType::Timestamp => Class::String,
    }
}
