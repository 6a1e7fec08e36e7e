//! Files of queries that need more memory than they may have, on a host whose data is encrypted at rest.
//!
//! A file is sealed with a key of its own, which is nowhere but in the memory of this process. It is a sequence of frames:
//! the length of what follows, as 4 bytes, least significant first; up to 128 KiB, encrypted; and the tag, 16 bytes. The
//! nonce of a frame is its number. DataFusion may read a file while it is still being written, up to where it was flushed,
//! which is always the end of a frame.
//!
//! Reading and writing block. The threads of queries have nothing else to do.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::error::Result;
use datafusion::execution::disk_manager::DEFAULT_MAX_TEMP_DIRECTORY_SIZE;
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;
use futures::stream;

use crate::error::Error;
use crate::storage::seal::{Cipher, NONCE_BYTES, TAG_BYTES};

/// Bytes that are encrypted at once.
const FRAME_BYTES: usize = 128 << 10;
/// Bytes that stand before a frame.
const LEN_BYTES: usize = 4;

/// Makes files in a directory.
#[derive(Debug)]
pub(super) struct SealedSpills {
    dir: PathBuf,
    /// The number of the next file.
    next: AtomicU64,
    /// Bytes of all files.
    used: Arc<AtomicU64>,
}

impl SealedSpills {
    /// Files in the directory at `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// `Internal` if it cannot be made.
    pub(super) fn new(dir: &Path) -> crate::error::Result<Self> {
        let made = fs::create_dir_all(dir);
        made.map_err(|error| Error::internal(format!("cannot use {}: {error}", dir.display())))?;
        Ok(Self { dir: dir.to_path_buf(), next: AtomicU64::new(0), used: Arc::default() })
    }
}

impl TempFileFactory for SealedSpills {
    fn create_temp_file(&self, _description: &str) -> Result<Arc<dyn SpillFile>> {
        let path = self.dir.join(format!("{}.spill", self.next.fetch_add(1, Ordering::Relaxed)));
        File::options().write(true).create_new(true).open(&path).map_err(DataFusionError::IoError)?;
        let cipher = Cipher::ephemeral().map_err(|error| DataFusionError::IoError(other(&error)))?;
        let frames =
            Frames { cipher, count: AtomicU64::new(0), bytes: AtomicU64::new(0), used: Arc::clone(&self.used) };
        Ok(Arc::new(Spill { path, frames: Arc::new(frames) }))
    }
}

fn other(error: &Error) -> io::Error {
    io::Error::other(error.message().to_string())
}

/// A file, which is deleted when this is dropped.
#[derive(Debug)]
struct Spill {
    path: PathBuf,
    frames: Arc<Frames>,
}

/// What was written to a file.
#[derive(Debug)]
struct Frames {
    cipher: Cipher,
    count: AtomicU64,
    bytes: AtomicU64,
    /// Bytes of all files.
    used: Arc<AtomicU64>,
}

impl SpillFile for Spill {
    fn size(&self) -> Option<u64> {
        Some(self.frames.bytes.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let file = File::open(&self.path).map_err(DataFusionError::IoError)?;
        Ok(Box::pin(stream::iter(Reader { file, frames: Arc::clone(&self.frames), next: 0 })))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        let file = File::options().append(true).open(&self.path).map_err(DataFusionError::IoError)?;
        Ok(Box::new(Writer { file, frames: Arc::clone(&self.frames), waiting: Vec::new() }))
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.frames.used.fetch_sub(self.frames.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        // What stays behind is deleted with the directory.
        let _ = fs::remove_file(&self.path);
    }
}

fn nonce(number: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[NONCE_BYTES - 8..].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// Writes frames.
struct Writer {
    file: File,
    frames: Arc<Frames>,
    /// What will be in the next frame.
    waiting: Vec<u8>,
}

impl Writer {
    fn write_frame(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let len = self.waiting.len() + TAG_BYTES;
        let mut frame = Vec::with_capacity(LEN_BYTES + len);
        frame.extend_from_slice(&u32::try_from(len).map_err(io::Error::other)?.to_le_bytes());
        frame.append(&mut self.waiting);
        let number = self.frames.count.fetch_add(1, Ordering::Relaxed);
        self.frames.cipher.seal(nonce(number), &[], &mut frame, LEN_BYTES).map_err(|error| other(&error))?;
        let bytes = frame.len() as u64;
        self.frames.bytes.fetch_add(bytes, Ordering::Relaxed);
        let used = self.frames.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if used > DEFAULT_MAX_TEMP_DIRECTORY_SIZE {
            let message = format!("queries may use {DEFAULT_MAX_TEMP_DIRECTORY_SIZE} bytes of the workspace at once");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, message));
        }
        self.file.write_all(&frame)
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.len() >= FRAME_BYTES {
            self.write_frame()?;
        }
        let count = bytes.len().min(FRAME_BYTES - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_frame()
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        self.write_frame().map_err(DataFusionError::IoError)
    }
}

/// Reads frames, until there is none at the moment.
struct Reader {
    file: File,
    frames: Arc<Frames>,
    /// The number of the next frame.
    next: u64,
}

impl Reader {
    fn read_frame(&mut self) -> io::Result<Option<Bytes>> {
        let mut len = [0; LEN_BYTES];
        if self.file.read(&mut len[..1])? == 0 {
            return Ok(None);
        }
        self.file.read_exact(&mut len[1..])?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a file of a query was changed by somebody else");
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
        if len > FRAME_BYTES + TAG_BYTES {
            return Err(damaged());
        }
        let mut frame = vec![0; len];
        self.file.read_exact(&mut frame)?;
        let opened = self.frames.cipher.open(nonce(self.next), &[], &mut frame).map(<[u8]>::len);
        frame.truncate(opened.ok_or_else(damaged)?);
        self.next += 1;
        Ok(Some(frame.into()))
    }
}

impl Iterator for Reader {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_frame().map_err(DataFusionError::IoError).transpose()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt64Array};
    use datafusion::arrow::datatypes::{DataType, Field, Schema, UInt64Type};
    use datafusion::execution::disk_manager::DiskManagerBuilder;
    use datafusion::execution::memory_pool::FairSpillPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext, col};
    use futures::executor::block_on;
    use futures::{StreamExt as _, TryStreamExt as _};

    use super::*;

    /// A file, and where it is.
    fn file(dir: &Path) -> (Arc<dyn SpillFile>, PathBuf) {
        let file = SealedSpills::new(dir).unwrap().create_temp_file("a test").unwrap();
        (file, dir.join("0.spill"))
    }

    fn content(file: &Arc<dyn SpillFile>) -> Result<Vec<u8>> {
        Ok(block_on(file.read_stream()?.try_collect::<Vec<Bytes>>())?.concat())
    }

    #[test]
    fn what_is_written_is_read_and_not_seen_on_disk() {
        let root = tempfile::tempdir().unwrap();
        let text = b"a marker that nobody may see. ".repeat(20_000);
        let (file, path) = file(&root.path().join("a/b"));
        let mut writer = file.open_writer().unwrap();
        for piece in text.chunks(7777) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap();
        assert!(content(&file).unwrap() == text);
        let on_disk = fs::read(&path).unwrap();
        assert_eq!(file.size(), Some(on_disk.len() as u64));
        assert!(on_disk.len() > text.len() && !on_disk.windows(8).any(|part| part == b"a marker"));
        drop((writer, file));
        assert!(!path.exists());
    }

    #[test]
    fn what_was_flushed_is_read_while_more_is_written() {
        let root = tempfile::tempdir().unwrap();
        let (file, _) = file(root.path());
        let mut writer = file.open_writer().unwrap();
        writer.write_all(b"one").unwrap();
        writer.flush().unwrap();
        let mut stream = file.read_stream().unwrap();
        assert_eq!(block_on(stream.next()).unwrap().unwrap(), "one");
        writer.write_all(b"two").unwrap();
        writer.flush().unwrap();
        writer.flush().unwrap();
        assert_eq!(block_on(stream.next()).unwrap().unwrap(), "two");
        writer.finish().unwrap();
        assert!(block_on(stream.next()).is_none());
    }

    #[test]
    fn what_somebody_changes_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let (file, path) = file(root.path());
        let mut writer = file.open_writer().unwrap();
        for text in [b"one", b"two"] {
            writer.write_all(text).unwrap();
            writer.flush().unwrap();
        }
        let good = fs::read(&path).unwrap();
        let (first, second) = good.split_at(good.len() / 2);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(content(&file).is_err(), "{at}");
        }
        fs::write(&path, [second, first].concat()).unwrap();
        assert!(content(&file).is_err());
        fs::write(&path, good).unwrap();
        assert_eq!(content(&file).unwrap(), b"onetwo");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_sort_that_needs_files_has_the_right_order() {
        let root = tempfile::tempdir().unwrap();
        let spills = Arc::new(SealedSpills::new(root.path()).unwrap());
        let factory: Arc<dyn TempFileFactory> = Arc::<SealedSpills>::clone(&spills);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(1 << 20)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_temp_file_factory(factory))
            .build_arc()
            .unwrap();
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .with_batch_size(1024)
            .with_sort_spill_reservation_bytes(64 << 10);
        let context = SessionContext::new_with_config_rt(config, runtime);
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::UInt64, false)]));
        let batch = |number: u64| {
            let scattered = (0..1024).map(|n| (number * 1024 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let column: ArrayRef = Arc::new(UInt64Array::from_iter_values(scattered));
            RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap()
        };
        let rows = context.read_batches((0..400).map(batch)).unwrap();
        let sorted = rows.sort(vec![col("n").sort(true, false)]).unwrap().collect().await.unwrap();
        let numbers: Vec<u64> =
            sorted.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().values().to_vec()).collect();
        assert!(numbers.len() == 400 * 1024 && numbers.is_sorted());
        assert!(spills.next.load(Ordering::Relaxed) > 0, "it had enough memory");
    }
}
