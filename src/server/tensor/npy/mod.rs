//! Dense tensors in the format of NumPy's `.npy` files ([NEP 1], `numpy.lib.format`): a [`header`], and the elements as they
//! are in memory.
//!
//! A file that is sent is in row-major order and in the order of bytes of this machine, which the header says. One that comes
//! may also be in column-major order, which is a transposed tensor, or in the other order of bytes.
//!
//! [NEP 1]: https://numpy.org/neps/nep-0001-npy-format.html

mod header;
mod literal;

use arrow::buffer::{Buffer, MutableBuffer};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use hyper::body::Bytes;

use self::header::Header;
use super::{dense, transposed};
use crate::error::{Error, Result};
use crate::exec::{Contents, Kernel, Prepared};
use crate::server::body::{BodyError, ReplyBody};
use crate::txn::Txn;
use crate::value::tensor::columns::parts;
use crate::value::tensor::elements::width;
use crate::value::tensor::{Elements, Shape, TensorSchema};
use crate::value::{NumberClass, State};

/// The media types under which files are known. None is registered.
pub const NAMES: [&str; 2] = ["application/x-npy", "application/vnd.numpy.npy"];

/// Runs a program whose result is a dense tensor, and replies that as a file.
///
/// # Errors
/// As [`Kernel::contents`]; `BadRequest` if the result is something else.
pub async fn answer(kernel: &Kernel, txn: &Txn, prepared: &Prepared, commits: bool) -> Result<ReplyBody> {
    match kernel.contents(txn, prepared, commits, accepts).await? {
        Contents::Tensor(reader) => {
            let schema = reader.schema().clone();
            file(&schema, reader.pieces(1)).await
        }
        Contents::Rows(_) => Err(Error::internal("a collection was taken for a tensor")),
    }
}

/// Refuses a result that has no such form.
fn accepts(state: &State) -> Result<()> {
    match state {
        State::Tensor(tensor) if !tensor.is_sparse() => Ok(()),
        State::Tensor(_) => Err(Error::bad_request(
            "a sparse tensor has no .npy form: ask for its method dense first, or for application/vnd.apache.arrow.stream",
        )),
        other => Err(Error::bad_request(format!("only a tensor is sent as a .npy file, not a {}", other.class()))),
    }
}

/// The file of a tensor with these elements. The first of them are computed before the reply begins, so that most errors
/// still have a status.
async fn file(schema: &TensorSchema, mut pieces: BoxStream<'static, Result<Elements>>) -> Result<ReplyBody> {
    let header = Header::write(schema);
    let bytes = bytes_of(schema.shape.size(), schema.dtype)?.checked_add(header.len() as u64).ok_or_else(too_large)?;
    let first = pieces.try_next().await?;
    let begin = [Bytes::from(header)].into_iter().chain(first.map(as_bytes));
    let rest = pieces.map(|piece| piece.map(as_bytes).map_err(BodyError::from));
    let chunks = stream::iter(begin.map(Ok)).chain(rest).boxed();
    Ok(ReplyBody::Stream { chunks, bytes: Some(bytes) })
}

/// How many bytes so many elements have.
fn bytes_of(elements: u64, dtype: NumberClass) -> Result<u64> {
    elements.checked_mul(width(dtype) as u64).ok_or_else(too_large)
}

fn too_large() -> Error {
    Error::too_large("a tensor with 2^64 bytes of elements does not fit in a file")
}

/// Elements that are sent from where they are.
struct Sent(Elements);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes().as_slice()
    }
}

fn as_bytes(elements: Elements) -> Bytes {
    Bytes::from_owner(Sent(elements))
}

/// Reads a file: a dense tensor, or, without a dimension, a number.
///
/// # Errors
/// `BadRequest` if it is malformed, or there is no such tensor.
pub fn decode(body: &Bytes) -> Result<State> {
    let (header, start) = Header::read(body)?;
    let bytes = body.slice(start..);
    let Header { dtype, is_swapped, is_fortran, mut dims } = header;
    if dims.is_empty() {
        check_len(&bytes, 1, dtype)?;
        return Ok(elements(dtype, is_swapped, bytes)?.get(0).into());
    }
    if is_fortran {
        dims.reverse();
    }
    let (axes, shape) = (dims.len(), Shape::try_new(dims)?);
    check_len(&bytes, shape.size(), dtype)?;
    let tensor = dense(shape, elements(dtype, is_swapped, bytes)?);
    let tensor = if is_fortran { transposed(tensor, (0..axes).rev().collect())? } else { tensor };
    Ok(tensor.into())
}

fn check_len(bytes: &Bytes, elements: u64, dtype: NumberClass) -> Result<()> {
    let (found, expected) = (bytes.len() as u64, bytes_of(elements, dtype)?);
    match found == expected {
        true => Ok(()),
        false => {
            let message = format!("expected {expected} bytes after the header of the .npy file, found {found}");
            Err(Error::bad_request(message))
        }
    }
}

/// The elements in the bytes of a file, which are as many as they should be.
fn elements(dtype: NumberClass, is_swapped: bool, bytes: Bytes) -> Result<Elements> {
    if dtype == NumberClass::Bool && bytes.iter().any(|byte| *byte > 1) {
        return Err(Error::bad_request("the .npy file has a Bool that is neither 0 nor 1"));
    }
    let part = width(dtype) / parts(dtype);
    let buffer = if is_swapped {
        let mut copy = MutableBuffer::new(bytes.len());
        copy.extend_from_slice(&bytes);
        copy.as_slice_mut().chunks_exact_mut(part).for_each(<[u8]>::reverse);
        copy.into()
    } else if bytes.as_ptr().align_offset(part) == 0 {
        Buffer::from(bytes)
    } else {
        Buffer::from_slice_ref(&bytes[..])
    };
    Elements::try_new(dtype, buffer)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::executor::block_on;

    use super::super::sample::{elements_of, schema};
    use super::*;
    use crate::error::Kind;
    use crate::value::tensor::{Initial, Layout, Node};
    use crate::value::{Number, Tensor};

    /// The bytes of the file of a tensor, whose elements come in pieces.
    fn encode(schema: &TensorSchema, pieces: Vec<Elements>) -> Vec<u8> {
        let pieces = stream::iter(pieces.into_iter().map(Ok)).boxed();
        let ReplyBody::Stream { chunks, bytes } = block_on(file(schema, pieces)).unwrap() else { panic!("no stream") };
        let chunks: Vec<Bytes> = block_on(chunks.try_collect()).unwrap();
        assert_eq!(bytes, Some(chunks.iter().map(|chunk| chunk.len() as u64).sum()));
        chunks.concat()
    }

    fn npy(descr: &str, order: &str, shape: &str, elements: &[u8]) -> Bytes {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}}}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(elements);
        file.into()
    }

    fn tensor(file: &Bytes) -> Arc<Tensor> {
        match decode(file).unwrap() {
            State::Tensor(tensor) => tensor,
            other => panic!("{other:?} is no tensor"),
        }
    }

    #[track_caller]
    fn refuse(file: &Bytes, message: &str) {
        let error = decode(file).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::BadRequest, message));
    }

    #[test]
    fn files_come_back() {
        for dtype in NumberClass::ALL {
            let all = Elements::from_numbers(dtype, (0..6).map(|n| Number::I64(n * 40)));
            let schema = schema(Layout::Dense, dtype, &[2, 3]);
            let file = encode(&schema, vec![all.slice(0, 2), all.slice(2, 3), all.slice(5, 1)]);
            assert_eq!(file.len(), 128 + 6 * width(dtype));
            // Also where it begins at an odd place.
            let moved = Bytes::from([&[0][..], &file[..]].concat()).slice(1..);
            for file in [file.into(), moved] {
                let read = tensor(&file);
                assert_eq!((&read.schema, elements_of(&read)), (&schema, &all), "{dtype:?}");
            }
        }
    }

    #[test]
    fn bytes_are_swapped_number_by_number() {
        let read = tensor(&npy(">u2", "False", "(2,)", &[1, 2, 0, 255]));
        assert_eq!(*elements_of(&read), Elements::from_vec(NumberClass::U16, vec![0x0102u16, 255]));
        let parts = [1.5f32.to_be_bytes(), (-2.0f32).to_be_bytes()].concat();
        let read = tensor(&npy(">c8", "False", "(1,)", &parts));
        assert_eq!(*elements_of(&read), Elements::from_vec(NumberClass::C32, vec![1.5f32, -2.0]));
    }

    #[test]
    fn column_major_order_is_a_transposed_tensor() {
        let read = tensor(&npy("|u1", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6]));
        assert_eq!(read.shape().dims(), [2, 3]);
        let Node::Transpose { of, permutation } = &read.node else { panic!("{read:?} is not transposed") };
        assert_eq!((of.shape().dims(), &permutation[..]), (&[3, 2][..], &[1, 0][..]));
        assert_eq!(*elements_of(of), Elements::from_vec(NumberClass::U8, vec![1u8, 4, 2, 5, 3, 6]));
        let read = tensor(&npy("|u1", "True", "(2,)", &[1, 4]));
        assert_eq!(*elements_of(&read), Elements::from_vec(NumberClass::U8, vec![1u8, 4]));
    }

    #[test]
    fn a_file_without_dimensions_is_a_number() {
        assert_eq!(decode(&npy("<i2", "False", "()", &[255, 255])), Ok(State::from(Number::I16(-1))));
    }

    #[test]
    fn what_is_no_tensor_is_refused() {
        refuse(&npy("<i2", "False", "(2,)", &[0; 3]), "expected 4 bytes after the header of the .npy file, found 3");
        refuse(&npy("<i2", "False", "(2,)", &[0; 5]), "expected 4 bytes after the header of the .npy file, found 5");
        refuse(&npy("<i2", "False", "()", &[]), "expected 2 bytes after the header of the .npy file, found 0");
        refuse(&npy("|b1", "False", "(2,)", &[1, 2]), "the .npy file has a Bool that is neither 0 nor 1");
        refuse(&npy("<f8", "False", "(0, 3)", &[]), "0 is no dimension of a tensor: expected 1 to 4294967295");
        let large = npy("<f8", "False", "(4294967295, 4294967295)", &[]);
        assert_eq!(decode(&large).unwrap_err().kind(), Kind::TooLarge);
    }

    #[test]
    fn sparse_tensors_have_to_become_dense_first() {
        let sparse = Tensor::new(
            schema(Layout::Sparse, NumberClass::F64, &[2]),
            Node::Initial(Arc::new(Initial::Fill(Number::F64(0.0)))),
        );
        let error = accepts(&sparse.into()).unwrap_err();
        assert!(error.message().starts_with("a sparse tensor has no .npy form"), "{error}");
        let error = accepts(&State::from(1i64)).unwrap_err();
        assert!(error.message().starts_with("only a tensor is sent as a .npy file, not a"), "{error}");
    }
}
