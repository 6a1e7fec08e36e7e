//! The batches in the bytes of a stream that anybody may have sent.
//!
//! The library that decodes messages takes for true what they say of themselves: it makes room for as many bytes as a
//! compressed buffer claims to have, and panics where a message contradicts itself. So compressed messages are refused before
//! it sees them, and a panic is a fault of the sender.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::root_as_message;
use hyper::body::Bytes;

use crate::error::{Error, Result};

/// What stands before the length of a message, but in streams of very old writers.
const CONTINUATION: u32 = u32::MAX;

/// The batches of a stream, and their schema. What they hold is not copied.
///
/// # Errors
/// `BadRequest` if these are no such bytes.
pub(super) fn read(body: &Bytes) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    check(body)?;
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(body)));
    decoded.unwrap_or_else(|_| Err(no_stream("a message contradicts itself")))
}

fn decode(body: &Bytes) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let (mut decoder, mut buffer, mut batches) = (StreamDecoder::new(), Buffer::from(body.clone()), Vec::new());
    while let Some(batch) = decoder.decode(&mut buffer).map_err(|error| no_stream(&error.to_string()))? {
        batches.push(batch);
    }
    decoder.finish().map_err(|_| no_stream("it ends within a message"))?;
    let schema = decoder.schema().ok_or_else(|| no_stream("it has no schema"))?;
    Ok((schema, batches))
}

/// Refuses messages that may take more memory than they have bytes. What makes no sense is left to the decoder.
fn check(body: &[u8]) -> Result<()> {
    let mut rest = body;
    while let Some((metadata, after)) = metadata(rest) {
        let message = root_as_message(metadata).map_err(|error| no_stream(&error.to_string()))?;
        if message.header_as_dictionary_batch().is_some() {
            return Err(Error::bad_request("the Arrow stream has a dictionary, and a tensor has none"));
        }
        if message.header_as_record_batch().is_some_and(|batch| batch.compression().is_some()) {
            return Err(Error::bad_request("the Arrow stream is compressed: send it as it is"));
        }
        let len = usize::try_from(message.bodyLength()).map_err(|_| no_stream("a message has a negative length"))?;
        match after.get(len..) {
            Some(next) => rest = next,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// The metadata of the first message, and what comes after it. Nothing at the end of the stream.
fn metadata(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut len, mut rest) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*len) == CONTINUATION {
        (len, rest) = rest.split_first_chunk::<4>()?;
    }
    match u32::from_le_bytes(*len) {
        0 => None,
        len => rest.split_at_checked(usize::try_from(len).ok()?),
    }
}

fn no_stream(cause: &str) -> Error {
    Error::bad_request(format!("the body is no Arrow stream: {cause}"))
}
