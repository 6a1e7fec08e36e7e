//! The header of a `.npy` file.
//!
//! | bytes | what |
//! |---|---|
//! | 6 | 0x93, `NUMPY` |
//! | 2 | the version: 1.0, 2.0 or 3.0 |
//! | 2, since version 2.0 4 | the length of what follows, in little-endian order |
//! | any | a literal of Python: `{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }`, spaces, and a newline |
//!
//! All of it has a length that is a multiple of [`ALIGN`], so that elements are aligned in a file that is mapped. What is
//! written is version 1.0: the text of a shape is never too long for that.

use std::fmt::Write as _;

use super::literal::{Dict, read_dict};
use crate::error::{Error, Result};
use crate::value::NumberClass;
use crate::value::tensor::TensorSchema;
use crate::value::tensor::columns::parts;
use crate::value::tensor::elements::width;

/// How a file begins.
const MAGIC: &[u8] = b"\x93NUMPY";
/// What the length of a header is a multiple of.
const ALIGN: usize = 64;
/// How this machine orders the bytes of a number.
const NATIVE: char = if cfg!(target_endian = "big") { '>' } else { '<' };

/// What NumPy calls the dtypes of tensors, but for the order of bytes.
const DTYPES: [(NumberClass, &str); 12] = [
    (NumberClass::Bool, "b1"),
    (NumberClass::U8, "u1"),
    (NumberClass::U16, "u2"),
    (NumberClass::U32, "u4"),
    (NumberClass::U64, "u8"),
    (NumberClass::I16, "i2"),
    (NumberClass::I32, "i4"),
    (NumberClass::I64, "i8"),
    (NumberClass::F32, "f4"),
    (NumberClass::F64, "f8"),
    (NumberClass::C32, "c8"),
    (NumberClass::C64, "c16"),
];

/// What a header says of the elements after it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub dtype: NumberClass,
    /// Whether the bytes of each number are in the other order than those of this machine.
    pub is_swapped: bool,
    /// Whether the first axis is the innermost one.
    pub is_fortran: bool,
    pub dims: Vec<u64>,
}

impl Header {
    /// Reads the header of a file; returns where the elements begin, too.
    ///
    /// # Errors
    /// `BadRequest` if there is none, or the elements are none that a tensor has.
    pub fn read(file: &[u8]) -> Result<(Self, usize)> {
        let no_file = || Error::bad_request("the body is no .npy file, which begins with \\x93NUMPY and a version");
        let rest = file.strip_prefix(MAGIC).ok_or_else(no_file)?;
        let ([major, minor], rest) = rest.split_first_chunk::<2>().ok_or_else(no_file)?;
        let len = match major {
            1 => rest.split_first_chunk::<2>().map(|(len, rest)| (u32::from(u16::from_le_bytes(*len)), rest)),
            2 | 3 => rest.split_first_chunk::<4>().map(|(len, rest)| (u32::from_le_bytes(*len), rest)),
            _ => {
                let message = format!("a .npy file of version {major}.{minor} is not understood: expected 1.0 to 3.0");
                return Err(Error::bad_request(message));
            }
        };
        let (len, rest) = len.ok_or_else(cut_short)?;
        let (text, elements) = rest.split_at_checked(len as usize).ok_or_else(cut_short)?;
        let text = str::from_utf8(text).map_err(|_| Error::bad_request("the header of the .npy file is no text"))?;
        let Dict { descr, fortran_order, shape } = read_dict(text)?;
        let (dtype, is_swapped) = dtype(&descr)?;
        Ok((Self { dtype, is_swapped, is_fortran: fortran_order, dims: shape }, file.len() - elements.len()))
    }

    /// The header of the file of a dense tensor.
    pub fn write(schema: &TensorSchema) -> Vec<u8> {
        let mut text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': (", descr(schema.dtype));
        let dims = schema.shape.dims();
        for (axis, dim) in dims.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{dim}", if axis == 0 { "" } else { ", " });
        }
        text.push_str(if dims.len() == 1 { ",), }" } else { "), }" });
        let before = MAGIC.len() + 4;
        let len = (before + text.len() + 1).next_multiple_of(ALIGN) - before;
        let mut header = MAGIC.to_vec();
        header.extend([1, 0]);
        header.extend((len as u16).to_le_bytes());
        header.extend(format!("{text:<width$}\n", width = len - 1).as_bytes());
        header
    }
}

fn cut_short() -> Error {
    Error::bad_request("the .npy file ends in its header")
}

/// How NumPy describes a dtype.
fn descr(dtype: NumberClass) -> String {
    let name = DTYPES.iter().find(|(class, _)| *class == dtype).map_or("", |(_, name)| *name);
    let order = if has_order(dtype) { NATIVE } else { '|' };
    format!("{order}{name}")
}

/// The dtype that is described so, and whether the bytes of its numbers have to be swapped.
fn dtype(descr: &str) -> Result<(NumberClass, bool)> {
    let mut chars = descr.chars();
    let (order, name) = (chars.next(), chars.as_str());
    let found = DTYPES.iter().find(|(_, known)| *known == name).map(|(dtype, _)| *dtype);
    match (order, found) {
        (Some('<' | '>' | '|'), Some(dtype)) if !has_order(dtype) => Ok((dtype, false)),
        (Some(order @ ('<' | '>')), Some(dtype)) => Ok((dtype, order != NATIVE)),
        _ => {
            let known: Vec<String> = DTYPES.iter().map(|(dtype, _)| self::descr(*dtype)).collect();
            let message = format!("{descr} is no dtype of a tensor: expected one of {}", known.join(", "));
            Err(Error::bad_request(message))
        }
    }
}

/// Whether the bytes of a number have an order: one byte alone has none.
fn has_order(dtype: NumberClass) -> bool {
    width(dtype) > parts(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::tensor::{Layout, Shape};

    fn schema(dtype: NumberClass, dims: &[u64]) -> TensorSchema {
        TensorSchema { layout: Layout::Dense, dtype, shape: Shape::try_new(dims).unwrap() }
    }

    fn file(version: u8, text: &str) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend([version, 0]);
        match version {
            1 => file.extend((text.len() as u16).to_le_bytes()),
            _ => file.extend((text.len() as u32).to_le_bytes()),
        }
        file.extend(text.as_bytes());
        file
    }

    #[track_caller]
    fn refuse(file: &[u8], message: &str) {
        assert_eq!(Header::read(file).unwrap_err().message(), message);
    }

    #[test]
    fn headers_are_those_of_numpy() {
        let spaces = " ".repeat(58);
        let expected = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }}{spaces}\n");
        let header = Header::write(&schema(NumberClass::F64, &[2, 3]));
        assert_eq!(header[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!(header[10..], *expected.as_bytes());
        assert_eq!(header.len(), 128);
        let header = Header::write(&schema(NumberClass::Bool, &[1]));
        assert!(header[10..].starts_with(b"{'descr': '|b1', 'fortran_order': False, 'shape': (1,), }  "));
    }

    #[test]
    fn headers_are_read_as_they_were_written() {
        for dtype in NumberClass::ALL {
            for dims in [&[1][..], &[2, 3], &[4_294_967_295, 7], &[1; 64], &[2; 40]] {
                let header = Header::write(&schema(dtype, dims));
                assert_eq!(header.len() % ALIGN, 0);
                let expected = Header { dtype, is_swapped: false, is_fortran: false, dims: dims.to_vec() };
                assert_eq!(Header::read(&header), Ok((expected, header.len())));
            }
        }
    }

    #[test]
    fn other_writers_are_understood() {
        let read = |version, text: &str| Header::read(&file(version, text)).unwrap().0;
        let header = read(2, "{\"shape\": (3L,), 'fortran_order': True, 'descr': '>i2'}\n");
        assert_eq!(header, Header { dtype: NumberClass::I16, is_swapped: true, is_fortran: true, dims: vec![3] });
        let header = read(3, "{'descr':'>u1','fortran_order':False,'shape':()}");
        assert_eq!(header, Header { dtype: NumberClass::U8, is_swapped: false, is_fortran: false, dims: vec![] });
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let no_file = "the body is no .npy file, which begins with \\x93NUMPY and a version";
        refuse(b"", no_file);
        refuse(b"{}", no_file);
        refuse(b"\x93NUMPY\x01", no_file);
        refuse(b"\x93NUMPY\x04\x01", "a .npy file of version 4.1 is not understood: expected 1.0 to 3.0");
        refuse(b"\x93NUMPY\x01\x00\x05", "the .npy file ends in its header");
        refuse(b"\x93NUMPY\x01\x00\x05\x00{}", "the .npy file ends in its header");
        refuse(&[&b"\x93NUMPY\x01\x00\x01\x00"[..], b"\xff"].concat(), "the header of the .npy file is no text");
    }

    #[test]
    fn dtypes_that_tensors_lack_are_named() {
        let known = "expected one of |b1, |u1, <u2, <u4, <u8, <i2, <i4, <i8, <f4, <f8, <c8, <c16";
        for descr in ["<f2", "|i1", "<f16", "|S3", "<U3", "|O", "<M8[s]", "f8", "", "=f8", "|f8"] {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,)}}");
            refuse(&file(1, &text), &format!("{descr} is no dtype of a tensor: {known}"));
        }
    }
}
