//! Finding out what is in the log, and making it fit to be appended to.
//!
//! Files are read in order, block by block. The first thing that is not a whole block with the next commits ends a file.
//! That is the end of the log if it is in the last file; the next file must begin with the next commit. Anything else
//! means that something is gone which was durable: a host that went on would forget commits that it has acknowledged,
//! and would give their numbers to others. So it is an error that names the file and the place.

use std::collections::VecDeque;
use std::io;

use arrow::buffer::Buffer;

use super::block::{self, Fault};
use super::disk::Disk;
use super::entry::Entry;
use super::file::{self, HeaderFault};
use super::frame::Framing;
use crate::error::{Error, Result};

/// What the rest of a file is compared with.
static ZEROS: [u8; 4096] = [0; 4096];

/// A file of the log.
#[derive(Debug)]
pub(super) struct LogFile {
    /// The first commit in it, after which it is named.
    pub(super) first_seq: u64,
    /// Bytes of its header and its blocks.
    pub(super) bytes: u64,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Oldest first.
    pub(super) files: VecDeque<LogFile>,
    /// Bytes that the last file has in all, or 0 if nothing can be appended to it.
    pub(super) capacity: u64,
    /// The commit that comes next.
    pub(super) next_seq: u64,
    /// What is later than the floor.
    pub(super) entries: Vec<Entry>,
}

/// Reads the entries that are later than `floor`. When this returns, they are durable, and nothing else is there.
///
/// # Errors
/// `Internal` if the disk fails, the log is damaged, or it was written by another release.
pub(super) fn recover(disk: &dyn Disk, framing: &Framing, floor: u64) -> Result<Recovered> {
    let seqs = survey(disk, floor)?;
    let mut found = Recovered { files: VecDeque::new(), capacity: 0, next_seq: 0, entries: vec![] };
    let mut last: Option<Scan> = None;
    for first_seq in seqs {
        if let Some(before) = last.take() {
            if first_seq != found.next_seq {
                let follower = file::name(first_seq);
                let missing = format!("commit {} is missing, because {follower} follows", found.next_seq);
                return Err(before.damaged(&missing));
            }
            found.files.push_back(before.file());
        }
        found.next_seq = first_seq;
        last = Some(Scan::run(disk, framing, floor, &mut found)?);
    }
    if let Some(last) = last
        && last.settle(disk, framing)?
    {
        found.capacity = last.buffer.len() as u64;
        found.files.push_back(last.file());
    }
    // Also for names that were new when the host stopped.
    disk.sync_dir().map_err(|error| failed("sync", "the log directory", &error))?;
    if found.next_seq <= floor {
        // Whatever is there is no longer needed, and what comes next cannot follow it in one file.
        found.next_seq = floor.saturating_add(1);
        found.capacity = 0;
    }
    Ok(found)
}

/// The first commits of the files that are needed to have all later than `floor`, in order. Other files are removed.
fn survey(disk: &dyn Disk, floor: u64) -> Result<Vec<u64>> {
    let names = disk.list().map_err(|error| failed("list", "the log directory", &error))?;
    let mut seqs: Vec<u64> = names.iter().filter_map(|name| file::first_seq(name)).collect();
    seqs.sort_unstable();
    let starts = seqs.partition_point(|seq| *seq <= floor.saturating_add(1));
    if let Some(first) = seqs.first().filter(|_| starts == 0) {
        let (name, missing) = (file::name(*first), floor.saturating_add(1));
        return Err(Error::internal(format!("log damaged: it starts with {name}, but commit {missing} is missing")));
    }
    let needed = seqs.split_off(starts.saturating_sub(1));
    let temporary = names.into_iter().filter(|name| name == file::SPARE || name == file::LARGE);
    for name in seqs.into_iter().map(file::name).chain(temporary) {
        disk.remove(&name).map_err(|error| failed("remove", &name, &error))?;
    }
    Ok(needed)
}

/// A file that was read.
struct Scan {
    first_seq: u64,
    buffer: Buffer,
    /// Where its last whole block ends.
    end: usize,
    has_blocks: bool,
    /// What is wrong with what follows, unless it is zeros.
    fault: Option<&'static str>,
}

impl Scan {
    /// Reads the file that begins with the next commit of `found`, and adds its entries.
    fn run(disk: &dyn Disk, framing: &Framing, floor: u64, found: &mut Recovered) -> Result<Self> {
        let first_seq = found.next_seq;
        let name = file::name(first_seq);
        let bytes = disk.read(&name).map_err(|error| failed("read", &name, &error))?;
        let mut scan = Self { first_seq, buffer: Buffer::from(bytes), end: 0, has_blocks: false, fault: None };
        match file::read_header(&scan.buffer) {
            Ok(header) if header.is_sealed != framing.is_sealed() => {
                let what = if header.is_sealed { "it is encrypted" } else { "it is not encrypted" };
                return Err(Error::internal(format!("cannot read the log file {name}: {what}")));
            }
            Ok(header) if header.first_seq == first_seq => scan.end = header.bytes,
            Ok(_) => scan.fault = Some("its header is that of another file"),
            Err(HeaderFault::Broken(why)) => scan.fault = Some(why),
            Err(fault @ HeaderFault::Format(_)) => {
                return Err(Error::internal(format!("cannot read the log file {name}: {fault}")));
            }
        }
        while scan.fault.is_none() {
            match scan.next_block(framing, floor, found) {
                Ok(bytes) => {
                    scan.end += bytes;
                    scan.has_blocks = true;
                }
                Err(Fault::End) => break,
                Err(Fault::Broken(why)) => scan.fault = Some(why),
                Err(Fault::Locked(key)) => {
                    let what =
                        format!("byte {} is encrypted with key {key}, which --at_rest_key does not give", scan.end);
                    return Err(Error::internal(format!("cannot read the log file {name}: {what}")));
                }
            }
        }
        Ok(scan)
    }

    /// Reads the block at the end of what was read, and returns its length.
    fn next_block(&self, framing: &Framing, floor: u64, found: &mut Recovered) -> Result<usize, Fault> {
        let block = framing.decode(&self.buffer, self.end, self.first_seq)?;
        let (entries, next) = block::entries(&block.batch, found.next_seq, floor).map_err(Fault::Broken)?;
        found.entries.extend(entries);
        found.next_seq = next;
        Ok(block.bytes)
    }

    /// What this file is in the list of files.
    fn file(&self) -> LogFile {
        LogFile { first_seq: self.first_seq, bytes: self.end as u64 }
    }

    /// Makes what was read durable and the rest zeros, or removes the file if there is nothing in it. Returns whether
    /// it is still there.
    ///
    /// Everything is written again, though it is there already. If a sync failed before the log was opened, what was
    /// read may come from the memory of the operating system, which takes it for durable and would not write it.
    fn settle(&self, disk: &dyn Disk, framing: &Framing) -> Result<bool> {
        // A file had a block when it got its name: if there is none, then what seems to be its header may be wrong.
        let unread = if self.has_blocks { self.end } else { 0 };
        let (kept, rest) = self.buffer.as_slice().split_at(unread);
        let is_clean = rest.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()]);
        if !is_clean && let Some(at) = framing.find(&self.buffer, unread, self.first_seq) {
            return Err(self.damaged(&format!("there is a whole one at byte {at}")));
        }
        let name = file::name(self.first_seq);
        if !is_clean {
            let why = self.fault.unwrap_or("there are zeros before it");
            tracing::warn!(file = name, offset = self.end, why, "cut off an unfinished block at the end of the log");
        }
        if !self.has_blocks {
            disk.remove(&name).map_err(|error| failed("remove", &name, &error))?;
            return Ok(false);
        }
        let written = disk.write_at(&name, 0, kept);
        let zeroed = written.and_then(|()| disk.write_at(&name, kept.len() as u64, &vec![0; rest.len()]));
        zeroed.and_then(|()| disk.sync(&name)).map_err(|error| failed("write", &name, &error))?;
        Ok(true)
    }

    fn damaged(&self, what: &str) -> Error {
        let why = self.fault.map(|why| format!(" ({why})")).unwrap_or_default();
        let name = file::name(self.first_seq);
        Error::internal(format!("log damaged: {name} has no block at byte {}{why}, but {what}", self.end))
    }
}

/// An operation on a file failed.
pub(super) fn failed(what: &str, name: &str, error: &io::Error) -> Error {
    Error::internal(format!("cannot {what} {name}: {error}"))
}
