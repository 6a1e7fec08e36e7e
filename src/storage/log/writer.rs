//! Appending to the log, and cutting it off at its start.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::block::{self, ALIGNMENT, Encoded, Encoder, Place};
use super::disk::Disk;
use super::entry::Entry;
use super::file::{self, Spare};
use super::frame::Framing;
use super::recovery::{self, LogFile, failed};
use crate::error::{Error, Result};
use crate::storage::seal::Keys;

/// Bytes of entries that are put into one block, unless a single one is larger: they are copied twice on the way.
const BLOCK_BYTES_MAX: usize = 256 << 20;

/// How a log uses its disk.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Bytes of a file, which are written as zeros before it is used: then appending to it changes no metadata, and a
    /// sync costs one write. A block that is larger has a file of its own.
    pub file_bytes: u64,
    /// Whether a thread makes the next file while the current one fills. Otherwise it is made when it is needed.
    pub prepares_ahead: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { file_bytes: 16 << 20, prepares_ahead: true }
    }
}

/// The log of a host, open for appending. It has one owner, and blocks the thread that uses it.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    framing: Framing,
    encoder: Encoder,
    spare: Spare,
    prepares_ahead: bool,
    /// Oldest first.
    files: VecDeque<LogFile>,
    /// Bytes that the last file has in all, or 0 if nothing can be appended to it.
    capacity: u64,
    next_seq: u64,
    /// Why nothing can be appended any more.
    poison: Option<String>,
    /// Whether files were deleted that may come back after a power cut.
    is_unsynced: bool,
}

/// Why a block was not appended.
enum Failure {
    /// Nothing was written.
    Before(Error),
    /// Whether the block is there is not known.
    During(Error),
}

impl Log {
    /// Opens the log on `disk`, which is empty if there is none, and returns the entries that are later than `floor`.
    /// They are durable. What is not later than `floor` may be gone.
    ///
    /// # Errors
    /// `Internal` if the disk fails, if an entry that was durable is missing or damaged, or if a file has a format that
    /// this release does not read. The message names the file and the place.
    pub fn open(disk: Arc<dyn Disk>, floor: u64) -> Result<(Self, Vec<Entry>)> {
        Self::open_with(disk, floor, LogOptions::default())
    }

    /// Opens the log as [`Log::open`] does, with files of another size.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_with(disk: Arc<dyn Disk>, floor: u64, options: LogOptions) -> Result<(Self, Vec<Entry>)> {
        Self::open_sealed(disk, None, floor, options)
    }

    /// Opens the log as [`Log::open_with`] does, one whose blocks are sealed if there are `keys`.
    ///
    /// # Errors
    /// As [`Log::open`], also if the log is sealed and there are no keys, or the other way round, or not with one of these.
    pub fn open_sealed(
        disk: Arc<dyn Disk>,
        keys: Option<Arc<Keys>>,
        floor: u64,
        options: LogOptions,
    ) -> Result<(Self, Vec<Entry>)> {
        let framing = Framing::new(keys);
        let found = recovery::recover(&*disk, &framing, floor)?;
        let file_bytes = options.file_bytes.next_multiple_of(ALIGNMENT as u64);
        let mut log = Self {
            spare: Spare::new(Arc::clone(&disk), file_bytes),
            disk,
            framing,
            encoder: Encoder::new()?,
            prepares_ahead: options.prepares_ahead,
            files: found.files,
            capacity: found.capacity,
            next_seq: found.next_seq,
            poison: None,
            is_unsynced: false,
        };
        log.prepare_ahead();
        Ok((log, found.entries))
    }

    /// Appends a group of entries, which must be the next ones in order. When this returns, all of them are durable.
    ///
    /// # Errors
    /// `TooLarge` if an entry fits in no block, and `Unavailable` if no new file can be made, e.g. because the disk is
    /// full: then nothing was appended, and the log can still be used. `Internal` if a write or a sync failed: whether
    /// the entries are kept is not known before the log is opened again, and from then on `Unavailable`
    /// ([`Log::is_poisoned`]).
    pub fn append(&mut self, entries: &[Entry]) -> Result<()> {
        if let Some(why) = &self.poison {
            return Err(Error::unavailable(format!("the log takes no commits until it is opened again: {why}")));
        }
        self.check(entries)?;
        let mut has_begun = false;
        for group in split(entries, BLOCK_BYTES_MAX) {
            match self.append_block(group) {
                Ok(()) => has_begun = true,
                Err(Failure::Before(error)) if !has_begun => return Err(error),
                Err(Failure::Before(error) | Failure::During(error)) => {
                    tracing::error!(%error, "the log takes no more commits");
                    self.poison = Some(error.message().to_string());
                    return Err(Error::internal(error.message()));
                }
            }
        }
        Ok(())
    }

    /// Whether a write or a sync failed, so that the log must be opened again.
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_some()
    }

    /// The commit that comes next.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Bytes of all entries that are kept, which would be read if the host was started again.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Has the next block begin a new file, so that [`Log::truncate`] can delete all files that there are now.
    ///
    /// # Errors
    /// `Unavailable` if a write or a sync has failed: what is in the last file is not known then.
    pub fn seal(&mut self) -> Result<()> {
        if let Some(why) = &self.poison {
            return Err(Error::unavailable(format!("the log is as it is until it is opened again: {why}")));
        }
        self.capacity = 0;
        Ok(())
    }

    /// Deletes the files in which no entry is later than `floor`, and to which none will be added. So some entries that
    /// are not later may stay, unless the log was [sealed](Log::seal) after them. What was deleted does not come back.
    ///
    /// # Errors
    /// `Internal` if a file cannot be deleted. Those that are left are deleted by the next call.
    pub fn truncate(&mut self, floor: u64) -> Result<()> {
        while let Some(first) = self.files.front()
            && self.is_over(floor)
        {
            let name = file::name(first.first_seq);
            self.disk.remove(&name).map_err(|error| failed("remove", &name, &error))?;
            self.files.pop_front();
            self.is_unsynced = true;
        }
        if self.is_unsynced {
            self.disk.sync_dir().map_err(|error| failed("sync", "the log directory", &error))?;
            self.is_unsynced = false;
        }
        Ok(())
    }

    /// Whether the first file has no entry that is later than `floor`, and will never have one.
    fn is_over(&self, floor: u64) -> bool {
        let next = match self.files.get(1) {
            Some(second) => second.first_seq,
            None if self.capacity == 0 && self.poison.is_none() => self.next_seq,
            None => return false,
        };
        next <= floor.saturating_add(1)
    }

    /// Refuses entries that cannot be appended.
    fn check(&self, entries: &[Entry]) -> Result<()> {
        for (entry, next) in entries.iter().zip(self.next_seq..) {
            if entry.seq != next {
                return Err(Error::internal(format!("commit {} was logged in place of commit {next}", entry.seq)));
            }
            block::check_size(entry)?;
        }
        Ok(())
    }

    fn append_block(&mut self, entries: &[Entry]) -> Result<(), Failure> {
        let block = self.encoder.encode(entries).map_err(Failure::Before)?;
        let bytes = self.framing.len_of(&block);
        match self.files.back_mut() {
            Some(last) if last.bytes + bytes <= self.capacity => {
                let name = file::name(last.first_seq);
                let place = Place { file: last.first_seq, offset: last.bytes };
                let block = self.framing.encode(block, place).map_err(Failure::Before)?;
                let written = self.disk.write_at(&name, last.bytes, &block).and_then(|()| self.disk.sync(&name));
                written.map_err(|error| during("write", &name, &error))?;
                last.bytes += bytes;
            }
            _ => self.append_file(block)?,
        }
        self.next_seq += entries.len() as u64;
        Ok(())
    }

    /// Begins a new file with a block.
    fn append_file(&mut self, block: Encoded) -> Result<(), Failure> {
        let first_seq = self.next_seq;
        let header = file::header(first_seq, self.framing.is_sealed()).map_err(Failure::Before)?;
        let offset = header.len() as u64;
        let bytes = offset + self.framing.len_of(&block);
        let block = self.framing.encode(block, Place { file: first_seq, offset }).map_err(Failure::Before)?;
        let is_large = bytes > self.spare.len();
        let made = if is_large { self.disk.create(file::LARGE, 0) } else { self.spare.take() };
        made.map_err(|error| {
            Failure::Before(Error::unavailable(format!("cannot make a new file of the log: {error}")))
        })?;
        let (temporary, capacity) = if is_large { (file::LARGE, bytes) } else { (file::SPARE, self.spare.len()) };
        let name = file::name(first_seq);
        self.write_file(temporary, &name, &header, &block).map_err(|error| during("write", &name, &error))?;
        self.files.push_back(LogFile { first_seq, bytes });
        self.capacity = capacity;
        self.prepare_ahead();
        Ok(())
    }

    /// Fills a file, and gives it its name when what is in it is durable.
    fn write_file(&self, temporary: &str, name: &str, header: &[u8], block: &[u8]) -> io::Result<()> {
        self.disk.write_at(temporary, 0, header)?;
        self.disk.write_at(temporary, header.len() as u64, block)?;
        self.disk.sync(temporary)?;
        self.disk.rename(temporary, name)?;
        self.disk.sync_dir()
    }

    fn prepare_ahead(&mut self) {
        if self.prepares_ahead {
            self.spare.prepare_ahead();
        }
    }
}

fn during(what: &str, name: &str, error: &io::Error) -> Failure {
    Failure::During(failed(what, name, error))
}

/// Cuts a group into parts of at most `bytes_max` bytes, or of one entry.
fn split(mut entries: &[Entry], bytes_max: usize) -> impl Iterator<Item = &[Entry]> {
    std::iter::from_fn(move || {
        let mut bytes: usize = 0;
        let fits = |entry: &&Entry| {
            bytes = bytes.saturating_add(block::bytes_of(entry));
            bytes <= bytes_max
        };
        let count = entries.iter().take_while(fits).count().max(1).min(entries.len());
        let (part, rest) = entries.split_at(count);
        entries = rest;
        if part.is_empty() { None } else { Some(part) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::log::entry::{Write, WriteValue};
    use crate::txn::TxnId;
    use crate::value::TreeId;

    #[test]
    fn a_group_is_cut_only_where_it_is_too_large() {
        let sizes = |lens: &[usize], bytes_max| -> Vec<usize> {
            let entry = |len: &usize| Entry {
                seq: 1,
                txn: TxnId { timestamp: 1, nonce: 1 },
                writes: vec![Write { tree: TreeId(1), key: vec![0; *len].into(), value: WriteValue::Delete }],
            };
            let entries: Vec<Entry> = lens.iter().map(entry).collect();
            split(&entries, bytes_max).map(<[Entry]>::len).collect()
        };
        assert_eq!(sizes(&[], 1000), [0; 0]);
        assert_eq!(sizes(&[100, 100, 100], 1000), [3]);
        assert_eq!(sizes(&[400, 400, 400], 1000), [2, 1]);
        assert_eq!(sizes(&[5000, 400, 5000, 5000], 1000), [1, 1, 1, 1]);
    }
}
