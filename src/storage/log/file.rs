//! Log files: what is in them beside the blocks, and how they are made.
//!
//! A file is an Arrow IPC stream: a schema message, then blocks, then zeros up to the end of the file, which readers of
//! such streams take for the end. It is named after the first commit in it, as 20 digits and `.arrow`. The metadata of
//! the schema has
//! - `tinychain:format`: `1`, the version of this format and of that of the blocks, or `2` if the blocks are sealed, so
//!   that what follows the schema message is no Arrow IPC stream, but see [`super::frame`];
//! - `tinychain:first_seq`: the first commit, as in the name, because it is part of the checksums.
//!
//! A file is written under another name and gets its own when its first block is durable. So a file that has such a name
//! has a block, unless it was damaged.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use arrow::ipc;
use arrow::ipc::writer::StreamWriter;

use super::block::{self, Fault};
use super::disk::Disk;
use crate::error::{Error, Result};

/// The versions of log files that this release writes, and the only ones that it reads: as they are, and sealed.
const FORMAT: &str = "1";
const SEALED_FORMAT: &str = "2";
const FORMAT_KEY: &str = "tinychain:format";
const FIRST_SEQ_KEY: &str = "tinychain:first_seq";
const SUFFIX: &str = ".arrow";
const DIGITS: usize = 20;
/// Bytes of the metadata of a header: about 900, and some more for later formats, which must be told from garbage.
const HEADER_BYTES_MAX: usize = 1 << 16;

/// The file of zeros that will be the next log file.
pub(super) const SPARE: &str = "spare.arrow";
/// The file of a block that is too large for an ordinary one, until it is durable.
pub(super) const LARGE: &str = "large.arrow";

/// The name of the log file whose first commit is `first_seq`.
pub(super) fn name(first_seq: u64) -> String {
    format!("{first_seq:0DIGITS$}{SUFFIX}")
}

/// The first commit of the log file with this name, if it is the name of one.
pub(super) fn first_seq(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// The header of the log file whose first commit is `first_seq`: its schema message.
pub(super) fn header(first_seq: u64, is_sealed: bool) -> Result<Vec<u8>> {
    let format = if is_sealed { SEALED_FORMAT } else { FORMAT };
    let metadata = HashMap::from([
        (FORMAT_KEY.to_string(), format.to_string()),
        (FIRST_SEQ_KEY.to_string(), format!("{first_seq:0DIGITS$}")),
    ]);
    let mut writer = StreamWriter::try_new(Vec::new(), &block::schema(metadata)).map_err(block::encoding)?;
    Ok(std::mem::take(writer.get_mut()))
}

/// A header that was read.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) first_seq: u64,
    /// Whether the blocks are sealed.
    pub(super) is_sealed: bool,
    /// Bytes of the header.
    pub(super) bytes: usize,
}

/// Why a header cannot be used.
#[derive(Debug)]
pub(super) enum HeaderFault {
    /// It is of another version.
    Format(String),
    /// It is none, and why.
    Broken(&'static str),
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(found) => {
                write!(f, "it has format {found:?}, but this release reads formats {FORMAT:?} and {SEALED_FORMAT:?}")
            }
            Self::Broken(why) => write!(f, "it has no header: {why}"),
        }
    }
}

/// Reads the header at the start of a file.
pub(super) fn read_header(file: &[u8]) -> Result<Header, HeaderFault> {
    let metadata = block::metadata(file, HEADER_BYTES_MAX).map_err(|fault| match fault {
        Fault::Broken(why) => HeaderFault::Broken(why),
        Fault::End | Fault::Locked(_) => HeaderFault::Broken("it is empty"),
    })?;
    let message = ipc::root_as_message(metadata).map_err(|_| HeaderFault::Broken("its metadata is not valid"))?;
    let schema = message.header_as_schema().ok_or(HeaderFault::Broken("it is not a schema"))?;
    let entry = |key: &str| {
        let entries = schema.custom_metadata()?;
        entries.iter().find(|entry| entry.key() == Some(key))?.value()
    };
    let is_sealed = match entry(FORMAT_KEY) {
        Some(FORMAT) => false,
        Some(SEALED_FORMAT) => true,
        Some(found) => return Err(HeaderFault::Format(found.to_string())),
        None => return Err(HeaderFault::Broken("it names no format")),
    };
    let first_seq = entry(FIRST_SEQ_KEY).and_then(|digits| digits.parse().ok());
    let first_seq = first_seq.ok_or(HeaderFault::Broken("it does not name its first commit"))?;
    if message.bodyLength() != 0 || !has_columns(&schema) {
        return Err(HeaderFault::Broken("it does not have the columns of a log"));
    }
    Ok(Header { first_seq, is_sealed, bytes: block::PREFIX_BYTES + metadata.len() })
}

/// Whether a schema has the columns of blocks.
fn has_columns(schema: &ipc::Schema<'_>) -> bool {
    let columns = block::columns();
    let Some(fields) = schema.fields().filter(|fields| fields.len() == columns.len()) else { return false };
    fields.iter().zip(columns).all(|(field, (name, data_type))| {
        let unsigned = field.type_as_int().filter(|int| !int.is_signed()).map(|int| int.bitWidth());
        let is_typed = match data_type {
            DataType::UInt8 => unsigned == Some(8),
            DataType::UInt16 => unsigned == Some(16),
            DataType::UInt32 => unsigned == Some(32),
            DataType::UInt64 => unsigned == Some(64),
            _ => field.type_type() == ipc::Type::Binary,
        };
        is_typed && field.name() == Some(name) && field.dictionary().is_none()
    })
}

/// Reads a log file as it is on disk, for tools: its blocks as they were written, in order.
///
/// # Errors
/// `Internal` if it has no header, or one of another version, or is encrypted; then for the first block that is not
/// whole, which ends the iteration. Zeros end it without an error.
pub fn read_blocks(bytes: impl Into<Buffer>) -> Result<Blocks> {
    let buffer = bytes.into();
    let header = read_header(&buffer);
    let header = header.map_err(|fault| Error::internal(format!("cannot read a log file: {fault}")))?;
    if header.is_sealed {
        return Err(Error::internal("cannot read a log file: it is encrypted"));
    }
    Ok(Blocks { buffer, at: header.bytes, file: header.first_seq, has_ended: false })
}

/// The blocks of a log file.
#[derive(Debug)]
pub struct Blocks {
    buffer: Buffer,
    /// Where the next block begins.
    at: usize,
    file: u64,
    has_ended: bool,
}

impl Blocks {
    /// The offset of the next block in the file.
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl Iterator for Blocks {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        match block::decode(&self.buffer, self.at, self.file) {
            Ok(block) => {
                self.at += block.bytes;
                Some(Ok(block.batch))
            }
            Err(fault) => {
                self.has_ended = true;
                let Fault::Broken(why) = fault else { return None };
                Some(Err(Error::internal(format!("there is no block at byte {} of a log file: {why}", self.at))))
            }
        }
    }
}

/// A file of zeros, made before it is needed, because zeros take long to write.
#[derive(Debug)]
pub(super) struct Spare {
    disk: Arc<dyn Disk>,
    /// Bytes of the file.
    len: u64,
    /// Makes the file, or has made it.
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Spare {
    /// No file yet.
    pub(super) fn new(disk: Arc<dyn Disk>, len: u64) -> Self {
        Self { disk, len, thread: None }
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Begins to make the file.
    pub(super) fn prepare_ahead(&mut self) {
        if self.thread.is_none() {
            let (disk, len) = (Arc::clone(&self.disk), self.len);
            let thread = std::thread::Builder::new().name("log-spare".into()).spawn(move || create(&*disk, len));
            // Without a thread the file is made when it is needed.
            self.thread = thread.ok();
        }
    }

    /// Takes the file, which is made if there is none. It is called [`SPARE`], and is the caller's to rename.
    ///
    /// # Errors
    /// If it cannot be made, e.g. because the disk is full. It may be tried again.
    pub(super) fn take(&mut self) -> io::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Ok(()))) => Ok(()),
            // What went wrong in the thread goes wrong here too, if it matters.
            _ => create(&*self.disk, self.len),
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // So that whoever opens the log next does not find the thread at work. The file is of no use to it.
            let _ = thread.join();
        }
    }
}

fn create(disk: &dyn Disk, len: u64) -> io::Result<()> {
    disk.create(SPARE, len)?;
    disk.sync_dir()
}

#[cfg(test)]
mod tests;
