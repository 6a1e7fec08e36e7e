//! The files of a store: segments and manifests, as objects of an `object_store`.
//!
//! What is assumed of the disk: `rename` and `link` within a directory are atomic, and both a file and its directory
//! entry survive a power cut once the file and the directory were synced. `object_store`'s own [`LocalFileSystem`]
//! syncs nothing, so [`Durable`] writes by itself, and leaves only reading, listing and deleting to it. A file is synced
//! *before* it gets its name. So a file that can be seen is whole, and a manifest or segment that is not is damage,
//! never a crash.
//!
//! Files:
//! - `segments/<id>.parquet`, the id in 20 digits: see [`super::segment`].
//! - `manifest/<number>.json`, the number in 20 digits: see [`super::manifest`].
//! - `<name>#<n>`, beside these: being written. Leftovers are deleted when the store is opened.
//!
//! On a local disk what was deleted is gone for good when that is acknowledged. Elsewhere, or if a deletion is cut off,
//! an entry may come back. The owner finds such files in [`list_segments`].

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, UploadPart,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinError;

use crate::error::{Error, Result};

/// The folder of segments.
const SEGMENTS: &str = "segments";
/// The folder of manifests.
const MANIFESTS: &str = "manifest";
/// Bytes of an upload that may wait in the memory of the system before they are synced. Small enough that the last sync
/// of a large file is short, large enough that the disk writes in long runs.
const UNSYNCED_BYTES_MAX: u64 = 32 << 20;

/// The object of the segment `id`.
pub fn segment_path(id: u64) -> Path {
    Path::from(format!("{SEGMENTS}/{id:020}.parquet"))
}

/// The object of the manifest `number`.
pub fn manifest_path(number: u64) -> Path {
    Path::from(format!("{MANIFESTS}/{number:020}.json"))
}

/// The ids of all segments that have a file, ascending.
///
/// # Errors
/// `Internal` if the folder cannot be read.
pub async fn list_segments(objects: &dyn ObjectStore) -> Result<Vec<u64>> {
    list_numbers(objects, SEGMENTS, ".parquet").await
}

/// The numbers of all manifests, ascending.
///
/// # Errors
/// `Internal` if the folder cannot be read.
pub async fn list_manifests(objects: &dyn ObjectStore) -> Result<Vec<u64>> {
    list_numbers(objects, MANIFESTS, ".json").await
}

/// The numbers that name the files in `folder`. Files of other names are not ours, and left alone.
async fn list_numbers(objects: &dyn ObjectStore, folder: &str, extension: &str) -> Result<Vec<u64>> {
    let folder = Path::from(folder);
    let listed: Vec<ObjectMeta> =
        objects.list(Some(&folder)).try_collect().await.map_err(|error| object_error("list", &folder, error))?;
    let number = |meta: ObjectMeta| {
        let digits = meta.location.filename()?.strip_suffix(extension)?;
        let is_number = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
        if is_number { digits.parse().ok() } else { None }
    };
    let mut numbers: Vec<u64> = listed.into_iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What went wrong when this host tried to `verb` the object at `path`.
pub fn object_error(verb: &str, path: &Path, error: object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => Error::internal(format!("cannot {verb} {path}: it is missing")),
        object_store::Error::AlreadyExists { .. } => {
            Error::internal(format!("cannot {verb} {path}: it exists already, as if another host used this store"))
        }
        object_store::Error::JoinError { source } => join_error(&source),
        error => Error::internal(format!("cannot {verb} {path}: {error}")),
    }
}

/// What became of work that another thread should have done.
pub(crate) fn join_error(error: &JoinError) -> Error {
    if error.is_panic() {
        Error::internal("a task of the storage failed unexpectedly")
    } else {
        Error::unavailable("this host is stopping")
    }
}

/// Runs `work` where it keeps no other request waiting. Without a runtime, as in tests, that is here.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await,
        Err(_) => Ok(work()),
    }
}

/// Opens the objects below the directory `root`, or, without one, new objects in memory.
///
/// On disk, what was written is durable when `put` or the completion of an upload returns, and what was deleted is gone
/// for good when that returns.
///
/// # Errors
/// `Internal` if the directory cannot be read or written.
pub fn open_object_store(root: Option<&FsPath>) -> Result<Arc<dyn ObjectStore>> {
    match root {
        None => Ok(Arc::new(InMemory::new())),
        Some(root) => Ok(Arc::new(Durable::open(root)?)),
    }
}

/// A directory as an object store whose writes and deletions survive a power cut once they are acknowledged.
#[derive(Clone, Debug)]
pub struct Durable {
    files: LocalFileSystem,
}

impl Durable {
    /// Opens the directory `root`, which must exist and be used by nobody else, and deletes what was left half written.
    ///
    /// # Errors
    /// `Internal` if the directory cannot be read or written.
    pub fn open(root: &FsPath) -> Result<Self> {
        let explain = |error: &dyn fmt::Display| Error::internal(format!("cannot use {}: {error}", root.display()));
        for folder in [SEGMENTS, MANIFESTS] {
            let folder = root.join(folder);
            create_dirs(&folder).and_then(|()| remove_leftovers(&folder)).map_err(|error| explain(&error))?;
        }
        let files = LocalFileSystem::new_with_prefix(root).map_err(|error| explain(&error))?;
        Ok(Self { files })
    }

    fn place(&self, location: &Path) -> object_store::Result<PathBuf> {
        self.files.path_to_filesystem(location)
    }

    /// Syncs a file that got its name by other means, and the directory that it is in.
    async fn sync(&self, location: &Path) -> object_store::Result<()> {
        let path = self.place(location)?;
        let synced = run_blocking(move || {
            File::open(&path)?.sync_all()?;
            sync_dir(parent(&path))
        });
        synced.await?.map_err(|error| failed(location, error))
    }

    /// Syncs the directory that a file was in.
    async fn sync_removal(&self, location: &Path) -> object_store::Result<()> {
        let path = self.place(location)?;
        let synced = run_blocking(move || sync_dir(parent(&path)));
        synced.await?.map_err(|error| failed(location, error))
    }
}

impl fmt::Display for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({})", self.files)
    }
}

#[async_trait]
impl ObjectStore for Durable {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        let replaces = match &opts.mode {
            PutMode::Overwrite => true,
            PutMode::Create => false,
            PutMode::Update(_) => return Err(unsupported("a conditional update")),
        };
        if !opts.attributes.is_empty() {
            return Err(unsupported("a file with attributes"));
        }
        let path = self.place(location)?;
        let written = run_blocking(move || {
            let mut staged = Staged::create(path)?;
            for part in payload.iter() {
                staged.file.write_all(part)?;
            }
            staged.publish(replaces)
        });
        written.await?.map_err(|error| failed(location, error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() {
            return Err(unsupported("a file with attributes"));
        }
        let path = self.place(location)?;
        let staged = run_blocking(move || Staged::create(path)).await?.map_err(|error| failed(location, error))?;
        Ok(Box::new(Upload { location: location.clone(), staged: Arc::new(Mutex::new(Some(staged))), offset: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let this = self.clone();
        let deleted = self.files.delete_stream(locations).and_then(move |location| {
            let this = this.clone();
            async move {
                this.sync_removal(&location).await?;
                Ok(location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.files.copy_opts(from, to, options).await?;
        self.sync(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> object_store::Result<()> {
        self.files.rename_opts(from, to, options).await?;
        self.sync(to).await
    }
}

/// A file in parts, which gets its name when it is complete.
#[derive(Debug)]
struct Upload {
    location: Path,
    /// Nothing once the upload was completed or aborted.
    staged: Arc<Mutex<Option<Staged>>>,
    /// Where the next part goes.
    offset: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let offset = self.offset;
        self.offset += data.content_length() as u64;
        let (staged, location) = (Arc::clone(&self.staged), self.location.clone());
        Box::pin(async move {
            let written = run_blocking(move || match staged.lock().as_mut() {
                Some(staged) => staged.write_at(offset, &data),
                None => Err(io::Error::other("the upload has ended")),
            });
            written.await?.map_err(|error| failed(&location, error))
        })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let staged = Arc::clone(&self.staged);
        let published = run_blocking(move || match staged.lock().take() {
            Some(staged) => staged.publish(true),
            None => Err(io::Error::other("the upload has ended")),
        });
        published.await?.map_err(|error| failed(&self.location, error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        let staged = Arc::clone(&self.staged);
        // Dropping it deletes its file.
        run_blocking(move || drop(staged.lock().take())).await?;
        Ok(())
    }
}

/// A file that is being written under another name, which is deleted unless it is published.
#[derive(Debug)]
struct Staged {
    file: File,
    from: PathBuf,
    to: PathBuf,
    /// Bytes that were written since the last sync.
    unsynced: u64,
    /// Whether there is still a file named `from`.
    is_left: bool,
}

impl Staged {
    fn create(to: PathBuf) -> io::Result<Self> {
        create_dirs(parent(&to))?;
        let mut number: u32 = 1;
        loop {
            let mut from = to.clone().into_os_string();
            from.push(format!("#{number}"));
            let from = PathBuf::from(from);
            match OpenOptions::new().write(true).create_new(true).open(&from) {
                Ok(file) => return Ok(Self { file, from, to, unsynced: 0, is_left: true }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn write_at(&mut self, offset: u64, data: &PutPayload) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        for part in data.iter() {
            self.file.write_all(part)?;
            self.unsynced += part.len() as u64;
        }
        if self.unsynced >= UNSYNCED_BYTES_MAX {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Syncs the file, gives it its name, and syncs that. Unless it `replaces` another, there must be none of this
    /// name.
    fn publish(mut self, replaces: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if replaces {
            fs::rename(&self.from, &self.to)?;
            self.is_left = false;
        } else {
            fs::hard_link(&self.from, &self.to)?;
        }
        sync_dir(parent(&self.to))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.is_left {
            // What stays behind is deleted when the store is opened again.
            let _ = fs::remove_file(&self.from);
        }
    }
}

/// Deletes the files in `folder` that were being written when their host stopped.
fn remove_leftovers(folder: &FsPath) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| Some(name.rsplit_once('#')?.1));
        if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Creates `dir` and what is missing above it, durably.
fn create_dirs(dir: &FsPath) -> io::Result<()> {
    let missing: Vec<&FsPath> = dir.ancestors().take_while(|dir| *dir != FsPath::new("") && !dir.is_dir()).collect();
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_dir(parent(dir))?,
        }
    }
    Ok(())
}

fn parent(path: &FsPath) -> &FsPath {
    match path.parent() {
        Some(parent) if parent != FsPath::new("") => parent,
        _ => FsPath::new("."),
    }
}

/// Makes new entries of a directory survive a power cut.
#[cfg(unix)]
fn sync_dir(path: &FsPath) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Directories cannot be synced here; the file system does so by itself.
#[cfg(not(unix))]
fn sync_dir(_path: &FsPath) -> io::Result<()> {
    Ok(())
}

fn failed(location: &Path, error: io::Error) -> object_store::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            object_store::Error::AlreadyExists { path: location.to_string(), source: Box::new(error) }
        }
        io::ErrorKind::NotFound => {
            object_store::Error::NotFound { path: location.to_string(), source: Box::new(error) }
        }
        _ => object_store::Error::Generic { store: "Durable", source: Box::new(error) },
    }
}

fn unsupported(what: &str) -> object_store::Error {
    object_store::Error::NotSupported { source: format!("{what} is not supported on a local disk").into() }
}

#[cfg(test)]
mod tests;
