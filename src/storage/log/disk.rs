//! Where log files are kept.
//!
//! What is assumed of a disk:
//! - What was written to a file is there after a power cut once [`Disk::sync`] returned without an error. Before that,
//!   any part of it may be there or not, in no order.
//! - After a sync that failed, nobody knows what is there, and a later sync that succeeds says nothing of what was
//!   written before the one that failed. Only writing it again does.
//! - A new, renamed or removed name is there, or gone, after a power cut once [`Disk::sync_dir`] returned. Before that,
//!   the old or the new state may be there, but never neither: a rename is atomic.
//! - A sector of 512 bytes is written as a whole or not at all, so that what was durable in it stays.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// Bytes of zeros that are written at once into a new file.
const ZEROS_BYTES: usize = 1 << 20;

/// One directory of files. Names are plain: no separators, no folders.
///
/// At most one thread at a time uses a file, but several may use different files.
pub trait Disk: fmt::Debug + Send + Sync {
    /// The names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file of `len` zero bytes, in place of one that may have the name. When this returns, the zeros are
    /// durable; the name is only after [`Disk::sync_dir`].
    fn create(&self, name: &str, len: u64) -> io::Result<()>;

    /// All bytes of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Writes all of `bytes` at `offset` of a file, which grows if they reach past its end.
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written to a file.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, and removes the file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. It is not an error if there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which files there are.
    fn sync_dir(&self) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct LocalDisk {
    dir: PathBuf,
    /// Open files by name: opening one for each write would cost more than the write.
    files: Mutex<HashMap<String, Arc<File>>>,
}

impl LocalDisk {
    /// The directory at `dir`, which is created if it is missing.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        if !dir.is_dir() {
            fs::create_dir_all(&dir)?;
            if let Some(parent) = dir.parent().filter(|parent| *parent != Path::new("")) {
                sync_dir(parent)?;
            }
        }
        Ok(Self { dir, files: Mutex::default() })
    }

    /// The open file of a name.
    fn file(&self, name: &str) -> io::Result<Arc<File>> {
        if let Some(file) = self.files.lock().get(name) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::options().read(true).write(true).open(self.dir.join(name))?);
        self.files.lock().insert(name.to_string(), Arc::clone(&file));
        Ok(file)
    }
}

/// A new file of zeros at `path`, durable but for its name.
fn filled(path: &Path, len: u64) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; ZEROS_BYTES.min(usize::try_from(len).unwrap_or(usize::MAX))];
    let mut left = len;
    while left > 0 {
        let count = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        // Zeros that are really written: space that was only reserved costs a change of metadata at each sync.
        write_all_at(&file, len - left, &zeros[..count])?;
        left -= count as u64;
    }
    file.sync_all()?;
    Ok(file)
}

impl Disk for LocalDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // A name that is not text is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&self, name: &str, len: u64) -> io::Result<()> {
        self.files.lock().remove(name);
        let path = self.dir.join(name);
        let file = filled(&path, len).inspect_err(|_| {
            // What is half written would only keep others from the space.
            let _ = fs::remove_file(&path);
        })?;
        self.files.lock().insert(name.to_string(), Arc::new(file));
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.dir.join(name))
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_all_at(self.file(name)?.as_ref(), offset, bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        // Without what only concerns metadata, such as the time of the last write; a new length does count as data.
        self.file(name)?.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        files.remove(to);
        let file = files.remove(from);
        fs::rename(self.dir.join(from), self.dir.join(to))?;
        files.extend(file.map(|file| (to.to_string(), file)));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name);
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_dir(&self.dir)
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn write_all_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek as _, SeekFrom, Write as _};

    // Nobody else moves the position in between: a file is used by one thread at a time.
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

#[cfg(unix)]
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Directories cannot be synced here; the file system does so by itself.
#[cfg(not(unix))]
fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Files in memory, for hosts that keep nothing.
#[derive(Default)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<String, MemoryFile>>,
}

/// A file whose zeros at the end take no memory.
struct MemoryFile {
    /// What was written, from the start.
    bytes: Vec<u8>,
    len: u64,
}

impl MemoryDisk {
    /// A disk without files.
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").finish_non_exhaustive()
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<()> {
        self.files.lock().insert(name.to_string(), MemoryFile { bytes: vec![], len });
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let files = self.files.lock();
        let file = files.get(name).ok_or_else(|| missing(name))?;
        let mut bytes = Vec::with_capacity(size(file.len)?);
        bytes.extend_from_slice(&file.bytes);
        bytes.resize(size(file.len)?, 0);
        Ok(bytes)
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.get_mut(name).ok_or_else(|| missing(name))?;
        let start = size(offset)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if file.bytes.len() < end {
            file.bytes.resize(end, 0);
        }
        file.bytes[start..end].copy_from_slice(bytes);
        file.len = file.len.max(end as u64);
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        if self.files.lock().contains_key(name) { Ok(()) } else { Err(missing(name)) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or_else(|| missing(from))?;
        files.insert(to.to_string(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

fn size(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(disk: &dyn Disk) {
        assert!(disk.list().unwrap().is_empty());
        disk.create("a", 5).unwrap();
        assert_eq!(disk.read("a").unwrap(), [0; 5]);
        disk.write_at("a", 3, &[1, 2, 3]).unwrap();
        disk.sync("a").unwrap();
        assert_eq!(disk.read("a").unwrap(), [0, 0, 0, 1, 2, 3]);

        disk.create("b", 0).unwrap();
        disk.write_at("b", 0, &[7]).unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(disk.list().unwrap(), ["b"]);
        disk.write_at("b", 0, &[9]).unwrap();
        disk.sync("b").unwrap();
        assert_eq!(disk.read("b").unwrap(), [9, 0, 0, 1, 2, 3]);

        disk.create("b", 2).unwrap();
        assert_eq!(disk.read("b").unwrap(), [0, 0]);
        disk.remove("b").unwrap();
        disk.remove("b").unwrap();
        assert!(disk.list().unwrap().is_empty());
        assert!(disk.read("b").is_err() && disk.write_at("b", 0, &[1]).is_err() && disk.sync("b").is_err());
        assert!(disk.rename("b", "c").is_err());
    }

    #[test]
    fn a_disk_keeps_what_is_written() {
        check(&MemoryDisk::new());
        let root = tempfile::tempdir().unwrap();
        check(&LocalDisk::open(root.path().join("a/b")).unwrap());
    }

    #[test]
    fn what_one_wrote_another_reads() {
        let root = tempfile::tempdir().unwrap();
        let first = LocalDisk::open(root.path()).unwrap();
        first.create("a", 3 << 20).unwrap();
        first.write_at("a", 1 << 20, b"hello").unwrap();
        let bytes = LocalDisk::open(root.path()).unwrap().read("a").unwrap();
        assert_eq!((bytes.len(), &bytes[1 << 20..][..5]), (3 << 20, &b"hello"[..]));
    }
}
