//! Blocks: how entries are written.
//!
//! A block is one record batch message of an Arrow IPC stream. It holds whole entries, with a row for each write in the
//! order of the entries, or one row for an entry without writes. The columns, none of which has nulls:
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `crc` | UInt32 | In row 0 the checksum of the block, in the others 0 |
//! | `seq` | UInt64 | The commit |
//! | `time` | UInt64 | The transaction: nanoseconds since the Unix epoch, |
//! | `nonce` | UInt16 | and its nonce |
//! | `tree` | UInt64 | The tree that is written, or 0 |
//! | `op` | UInt8 | 0 nothing, 1 put, 2 delete, 3 ingest, 4 truncate, 5 drop the tree |
//! | `key` | Binary | The key, or empty |
//! | `value` | Binary | What is put or ingested, or empty |
//!
//! The checksum is a CRC-32C over the place and the content: the first commit of the file and the offset of the block in
//! it, as 8 bytes each, least significant first, and the whole message, from its continuation marker to the padding
//! after its body, with zeros where the checksum is. Because the place counts, a block that ended up elsewhere, or in
//! the value of a row, is none. All parts are padded to 64 bytes.
//!
//! What is read is not trusted before its checksum was seen, and no length in it is used before it was compared with
//! what is there.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BinaryBuilder, RecordBatch, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt8Type, UInt16Type, UInt64Type};
use arrow::error::ArrowError;
use arrow::ipc::reader::RecordBatchDecoder;
use arrow::ipc::writer::StreamWriter;
use arrow::ipc::{self, MetadataVersion};

use super::entry::{Entry, OP_NOTHING, Write, WriteValue};
use crate::error::{Error, Result};
use crate::storage::seal::KeyId;
use crate::txn::TxnId;
use crate::value::TreeId;

/// What all parts of a file are padded to, in bytes.
pub(super) const ALIGNMENT: usize = 64;
/// The continuation marker and the length of the metadata, which begin a message.
pub(super) const PREFIX_BYTES: usize = 8;
const MARKER: [u8; 4] = [0xff; 4];
/// Bytes of the metadata of a block, which has a fixed number of columns: about 600.
const METADATA_BYTES_MAX: usize = 4096;
/// Bytes of all keys of a block, and of all values: the offsets of the format are signed 32-bit integers.
const COLUMN_BYTES_MAX: usize = i32::MAX as usize;
/// Bytes that an arbitrary search may look at, as a multiple of those of the file. The bytes come from whoever wrote
/// them, and may have been made to look like many long blocks.
pub(super) const FIND_FACTOR: usize = 8;
/// Bytes of a row beside its key and its value.
const ROW_BYTES: usize = 40;
const COLUMNS: usize = 8;
/// A validity bitmap and values for each column, and offsets for those of bytes.
const BUFFERS: usize = 2 * COLUMNS + 2;
/// The place of the values of `crc` among the buffers.
const CRC_BUFFER: usize = 1;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(schema(HashMap::new())));

/// The schema of blocks, with metadata.
pub(super) fn schema(metadata: HashMap<String, String>) -> Schema {
    let fields = columns().map(|(name, data_type)| Field::new(name, data_type, false));
    Schema::new_with_metadata(Vec::from(fields), metadata)
}

/// The names and types of the columns.
pub(super) fn columns() -> [(&'static str, DataType); COLUMNS] {
    [
        ("crc", DataType::UInt32),
        ("seq", DataType::UInt64),
        ("time", DataType::UInt64),
        ("nonce", DataType::UInt16),
        ("tree", DataType::UInt64),
        ("op", DataType::UInt8),
        ("key", DataType::Binary),
        ("value", DataType::Binary),
    ]
}

/// Why something is no block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// Zeros, or nothing at all.
    End,
    /// Something else, and what is wrong with it.
    Broken(&'static str),
    /// Something that is sealed with a key that is not known.
    Locked(KeyId),
}

/// Where a block is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The first commit of the file.
    pub(super) file: u64,
    /// Bytes from the start of the file.
    pub(super) offset: u64,
}

/// An error of the Arrow encoder, which has no reason to fail.
pub(super) fn encoding(error: ArrowError) -> Error {
    Error::internal(format!("cannot encode a block of the log: {error}"))
}

/// Refuses an entry that fits in no block.
///
/// # Errors
/// `TooLarge` if its keys or its values take more than 2 GiB.
pub(super) fn check_size(entry: &Entry) -> Result<()> {
    let (keys, values) = entry.bytes();
    if keys.max(values) > COLUMN_BYTES_MAX {
        let what = format!("transaction {} writes {keys} bytes of keys and {values} bytes of values", entry.txn);
        return Err(Error::too_large(format!("{what}, but a commit has at most {COLUMN_BYTES_MAX} of each")));
    }
    Ok(())
}

/// Roughly how many bytes an entry takes in a block.
pub(super) fn bytes_of(entry: &Entry) -> usize {
    let (keys, values) = entry.bytes();
    keys.saturating_add(values).saturating_add(entry.writes.len() * ROW_BYTES)
}

/// Encodes blocks.
pub(super) struct Encoder(StreamWriter<Vec<u8>>);

impl Encoder {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(StreamWriter::try_new(Vec::new(), &SCHEMA).map_err(encoding)?))
    }

    /// A block of these entries, whose checksum is still missing. None of them may fail [`check_size`], nor may all
    /// of them together be so large.
    pub(super) fn encode(&mut self, entries: &[Entry]) -> Result<Encoded> {
        let batch = batch(entries)?;
        // What is there is the schema, which the header of a file has, or what is left of a block that failed.
        *self.0.get_mut() = Vec::with_capacity(batch.get_array_memory_size() + METADATA_BYTES_MAX);
        self.0.write(&batch).map_err(encoding)?;
        let bytes = std::mem::take(self.0.get_mut());
        let crc_at = match Frame::read(&bytes) {
            Ok(frame) if frame.len() == bytes.len() => frame.crc_at,
            _ => return Err(Error::internal("cannot encode a block of the log: it has an unexpected layout")),
        };
        Ok(Encoded { bytes, crc_at })
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

/// A block that has no place yet.
#[derive(Debug)]
pub(super) struct Encoded {
    bytes: Vec<u8>,
    crc_at: usize,
}

impl Encoded {
    /// Bytes of this block.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes to be written at a place.
    pub(super) fn seal(mut self, place: Place) -> Vec<u8> {
        let crc = checksum(&self.bytes, self.crc_at, place);
        self.bytes[self.crc_at..self.crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        self.bytes
    }
}

fn checksum(message: &[u8], crc_at: usize, place: Place) -> u32 {
    let crc = crc32c::crc32c(&place.file.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &place.offset.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &message[..crc_at]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, &message[crc_at + 4..])
}

/// The rows of entries. The checksum is 0.
fn batch(entries: &[Entry]) -> Result<RecordBatch> {
    let count = entries.iter().map(|entry| entry.writes.len().max(1)).sum();
    let bytes = entries.iter().map(Entry::bytes);
    let (key_bytes, value_bytes) = bytes.fold((0, 0), |(keys, values), (key, value)| (keys + key, values + value));
    if key_bytes.max(value_bytes) > COLUMN_BYTES_MAX {
        return Err(Error::internal("cannot encode a block of the log: its entries were not split"));
    }
    let mut rows = Rows {
        seq: Vec::with_capacity(count),
        time: Vec::with_capacity(count),
        nonce: Vec::with_capacity(count),
        tree: Vec::with_capacity(count),
        op: Vec::with_capacity(count),
        key: BinaryBuilder::with_capacity(count, key_bytes),
        value: BinaryBuilder::with_capacity(count, value_bytes),
    };
    for entry in entries {
        for write in &entry.writes {
            rows.push(entry, write.tree.0, write.value.op(), &write.key, write.value.bytes());
        }
        if entry.writes.is_empty() {
            rows.push(entry, 0, OP_NOTHING, &[], &[]);
        }
    }
    rows.finish(count)
}

/// The columns of a block that is being made.
struct Rows {
    seq: Vec<u64>,
    time: Vec<u64>,
    nonce: Vec<u16>,
    tree: Vec<u64>,
    op: Vec<u8>,
    key: BinaryBuilder,
    value: BinaryBuilder,
}

impl Rows {
    fn push(&mut self, entry: &Entry, tree: u64, op: u8, key: &[u8], value: &[u8]) {
        self.seq.push(entry.seq);
        self.time.push(entry.txn.timestamp);
        self.nonce.push(entry.txn.nonce);
        self.tree.push(tree);
        self.op.push(op);
        self.key.append_value(key);
        self.value.append_value(value);
    }

    fn finish(mut self, count: usize) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from(vec![0; count])),
            Arc::new(UInt64Array::from(self.seq)),
            Arc::new(UInt64Array::from(self.time)),
            Arc::new(UInt16Array::from(self.nonce)),
            Arc::new(UInt64Array::from(self.tree)),
            Arc::new(UInt8Array::from(self.op)),
            Arc::new(self.key.finish()),
            Arc::new(self.value.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&SCHEMA), columns).map_err(encoding)
    }
}

/// The metadata of the message at the start of `bytes`, not yet verified.
pub(super) fn metadata(bytes: &[u8], len_max: usize) -> Result<&[u8], Fault> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        let is_end = bytes.iter().all(|byte| *byte == 0);
        return Err(if is_end { Fault::End } else { Fault::Broken("it is cut off") });
    };
    if *prefix == [0; PREFIX_BYTES] {
        return Err(Fault::End);
    }
    let [marker @ .., a, b, c, d] = *prefix;
    if marker != MARKER {
        return Err(Fault::Broken("it does not begin as a message"));
    }
    let len = usize::try_from(i32::from_le_bytes([a, b, c, d])).unwrap_or(0);
    if len == 0 || len > len_max {
        return Err(Fault::Broken("the length of its metadata is wrong"));
    }
    rest.get(..len).ok_or(Fault::Broken("it is cut off"))
}

/// A message that has the form of a block, and whose places and lengths lie within it.
struct Frame<'a> {
    header: ipc::RecordBatch<'a>,
    version: MetadataVersion,
    /// Where the body begins, from the start of the message.
    body_at: usize,
    body_bytes: usize,
    /// Where the checksum is, from the start of the message.
    crc_at: usize,
}

impl<'a> Frame<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let metadata = metadata(bytes, METADATA_BYTES_MAX)?;
        let message = ipc::root_as_message(metadata).map_err(|_| Fault::Broken("its metadata is not valid"))?;
        let header = message.header_as_record_batch().ok_or(Fault::Broken("it is not a record batch"))?;
        let body_at = PREFIX_BYTES + metadata.len();
        let body_bytes = usize::try_from(message.bodyLength()).unwrap_or(usize::MAX);
        if body_bytes > bytes.len() - body_at {
            return Err(Fault::Broken("it is cut off"));
        }
        let version = message.version();
        let crc_at = match crc_in_body(&header, body_bytes) {
            Some(at) if version == MetadataVersion::V5 => body_at + at,
            _ => return Err(Fault::Broken("it does not have the columns of a block")),
        };
        if !(body_at + body_bytes).is_multiple_of(ALIGNMENT) {
            return Err(Fault::Broken("it is not padded"));
        }
        Ok(Self { header, version, body_at, body_bytes, crc_at })
    }

    /// Bytes of the whole message.
    fn len(&self) -> usize {
        self.body_at + self.body_bytes
    }

    /// Whether the content of this frame, which begins at `place`, is what was written there.
    fn is_sound(&self, bytes: &[u8], place: Place) -> bool {
        let message = &bytes[..self.len()];
        let stored = &message[self.crc_at..self.crc_at + 4];
        stored == checksum(message, self.crc_at, place).to_le_bytes()
    }
}

/// Where the checksum is in the body of a block, if the header describes one.
fn crc_in_body(header: &ipc::RecordBatch<'_>, body_bytes: usize) -> Option<usize> {
    let (nodes, buffers) = (header.nodes()?, header.buffers()?);
    let rows = usize::try_from(header.length()).ok()?;
    let is_plain = header.compression().is_none() && header.variadicBufferCounts().is_none_or(|c| c.is_empty());
    // Each row has at least the byte of its op.
    if !is_plain || nodes.len() != COLUMNS || buffers.len() != BUFFERS || rows == 0 || rows > body_bytes {
        return None;
    }
    if nodes.iter().any(|node| node.length() != header.length() || node.null_count() != 0) {
        return None;
    }
    for (number, buffer) in buffers.iter().enumerate() {
        let (offset, len) = (usize::try_from(buffer.offset()).ok()?, usize::try_from(buffer.length()).ok()?);
        let is_inside = offset.checked_add(len).is_some_and(|end| end <= body_bytes);
        // The decoder panics at offsets of other lengths.
        let is_complete = buffer_bytes(number, rows).is_none_or(|bytes| bytes == len);
        if !is_inside || !is_complete {
            return None;
        }
    }
    usize::try_from(buffers.get(CRC_BUFFER).offset()).ok()
}

/// Bytes of a buffer of a block, if the number of rows says how many they are.
fn buffer_bytes(number: usize, rows: usize) -> Option<usize> {
    let (count, width) = match number {
        CRC_BUFFER => (rows, 4),
        // seq, time and tree
        3 | 5 | 9 => (rows, 8),
        // nonce
        7 => (rows, 2),
        // op
        11 => (rows, 1),
        // the offsets of key and value
        13 | 16 => (rows + 1, 4),
        // their bytes, and validity, which is not looked at
        _ => return None,
    };
    Some(count.saturating_mul(width))
}

/// A block that was read.
pub(super) struct Block {
    pub(super) batch: RecordBatch,
    /// Bytes of the message.
    pub(super) bytes: usize,
}

/// Reads the block at offset `at` of a file whose first commit is `file`.
pub(super) fn decode(buffer: &Buffer, at: usize, file: u64) -> Result<Block, Fault> {
    decode_from(buffer, at, Place { file, offset: at as u64 })
}

/// Reads the block at `at` in `buffer`, which was written at `place`.
pub(super) fn decode_from(buffer: &Buffer, at: usize, place: Place) -> Result<Block, Fault> {
    let bytes = buffer.as_slice().get(at..).unwrap_or_default();
    let frame = Frame::read(bytes)?;
    if !frame.is_sound(bytes, place) {
        return Err(Fault::Broken("its checksum is wrong"));
    }
    let body = buffer.slice_with_length(at + frame.body_at, frame.body_bytes);
    let len = frame.len();
    let batch = RecordBatchDecoder::try_new(&body, frame.header, Arc::clone(&SCHEMA), &HashMap::new(), &frame.version)
        .and_then(RecordBatchDecoder::read_record_batch)
        .map_err(|_| Fault::Broken("its columns are not valid"))?;
    Ok(Block { batch, bytes: len })
}

/// Where the first whole block is at offset `at` of the file or after it, whatever is before it.
pub(super) fn find(buffer: &Buffer, at: usize, file: u64) -> Option<usize> {
    let bytes = buffer.as_slice();
    let mut budget = bytes.len().saturating_mul(FIND_FACTOR);
    for at in (at.next_multiple_of(ALIGNMENT)..bytes.len()).step_by(ALIGNMENT) {
        let Ok(frame) = Frame::read(&bytes[at..]) else { continue };
        budget = budget.checked_sub(frame.len())?;
        if frame.is_sound(&bytes[at..], Place { file, offset: at as u64 }) {
            return Some(at);
        }
    }
    None
}

/// The entries of a block that are later than `floor`, and the commit after its last one. The first one must be `next`.
///
/// # Errors
/// What is wrong with the rows.
pub(super) fn entries(batch: &RecordBatch, next: u64, floor: u64) -> Result<(Vec<Entry>, u64), &'static str> {
    let columns = Columns::of(batch).ok_or("it does not have the columns of a block")?;
    let (mut entries, mut next, mut row) = (Vec::new(), next, 0);
    while row < columns.seq.len() {
        if columns.seq[row] != next {
            return Err("it does not hold the next commits");
        }
        let len = columns.seq[row..].iter().take_while(|seq| **seq == next).count();
        if next > floor {
            entries.push(columns.entry(row..row + len).ok_or("it holds an unknown kind of write")?);
        }
        row += len;
        next = next.checked_add(1).ok_or("it does not hold the next commits")?;
    }
    Ok((entries, next))
}

/// The columns of a block that was read.
struct Columns<'a> {
    seq: &'a [u64],
    time: &'a [u64],
    nonce: &'a [u16],
    tree: &'a [u64],
    op: &'a [u8],
    key: &'a BinaryArray,
    value: &'a BinaryArray,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        let [_, seq, time, nonce, tree, op, key, value] = batch.columns() else { return None };
        Some(Self {
            seq: seq.as_primitive_opt::<UInt64Type>()?.values(),
            time: time.as_primitive_opt::<UInt64Type>()?.values(),
            nonce: nonce.as_primitive_opt::<UInt16Type>()?.values(),
            tree: tree.as_primitive_opt::<UInt64Type>()?.values(),
            op: op.as_primitive_opt::<UInt8Type>()?.values(),
            key: key.as_binary_opt()?,
            value: value.as_binary_opt()?,
        })
    }

    /// The entry of these rows, of which there is at least one.
    fn entry(&self, rows: Range<usize>) -> Option<Entry> {
        let first = rows.start;
        let txn = TxnId { timestamp: self.time[first], nonce: self.nonce[first] };
        let mut writes = Vec::new();
        if rows.len() > 1 || self.op[first] != OP_NOTHING {
            writes = rows.map(|row| self.write(row)).collect::<Option<_>>()?;
        }
        Some(Entry { seq: self.seq[first], txn, writes })
    }

    fn write(&self, row: usize) -> Option<Write> {
        // Copies, so that the file that was read can be forgotten.
        let value = WriteValue::new(self.op[row], self.value.value(row))?;
        Some(Write { tree: TreeId(self.tree[row]), key: Arc::from(self.key.value(row)), value })
    }
}

#[cfg(test)]
mod tests;
