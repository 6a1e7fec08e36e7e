//! The directories of a host.
//!
//! What is assumed of the disk: `rename` within a directory is atomic, and both a file and its directory entry survive
//! a power cut once the file and the directory were synced.
//!
//! Files:
//! - `<data_dir>/tinychain.json`: `{"format":1}`, the version of everything else in the directory.
//! - `<data_dir>/tinychain.key`: 64 hexadecimal digits, the secret key of the host, made when it first starts. Only its
//!   user may read it. Releases that have no keys leave it alone, so it does not change the format.
//! - `<data_dir>/tinychain.lock`: empty; locked by the host that uses the directory, for as long as it runs.
//! - `<workspace>/.tinychain/<process>-<number>/`: the scratch directory of one host, with a lock of its own.
//! - `<workspace>/.tinychain/tinychain.lock`: locked while a host starts, so that no other host takes its new, not yet
//!   locked scratch directory for a leftover.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The version of the files of a data directory that this release writes.
const FORMAT: u64 = 1;
const FORMAT_FILE: &str = "tinychain.json";
const KEY_FILE: &str = "tinychain.key";
const LOCK_FILE: &str = "tinychain.lock";
/// Below this, and only below this, leftovers in a workspace are deleted.
const MARKER: &str = ".tinychain";

/// The directory of the data that outlives a host, locked against other hosts.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Released when this is dropped.
    _lock: File,
}

impl DataDir {
    /// Opens the directory at `path`, and creates it first if it is missing.
    ///
    /// # Errors
    /// If the directory cannot be written, another host uses it, or it has a format that this release does not read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let lock = prepare(path).map_err(|error| explain(error, format_args!("data directory {}", path.display())))?;
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// Opens the directory at `path` as a host left it.
    ///
    /// # Errors
    /// `NotFound` if no host has used the directory; as [`DataDir::open`].
    pub fn open_existing(path: &Path) -> io::Result<Self> {
        if !path.join(FORMAT_FILE).is_file() {
            let error = io::Error::new(io::ErrorKind::NotFound, "no host has used it");
            return Err(explain(error, format_args!("data directory {}", path.display())));
        }
        Self::open(path)
    }

    /// Where this directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret key of the host as text, which `make` makes if there is none yet.
    ///
    /// # Errors
    /// If the key cannot be read or written. A key that is damaged is never replaced.
    pub fn secret(&self, make: impl FnOnce() -> String) -> io::Result<String> {
        match Self::read_secret(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = make();
                let written = write_whole(&self.path, KEY_FILE, &text, &mut private());
                written.map_err(|error| explain(error, format_args!("data directory {}", self.path.display())))?;
                Ok(text)
            }
            result => result,
        }
    }

    /// The secret key of the host whose data is at `path`, also while that runs.
    ///
    /// # Errors
    /// `NotFound` if no host has used the directory, or it cannot be read.
    pub fn read_secret(path: &Path) -> io::Result<String> {
        let path = path.join(KEY_FILE);
        fs::read_to_string(&path).map_err(|error| explain(error, format_args!("key {}", path.display())))
    }
}

fn prepare(path: &Path) -> io::Result<File> {
    if !path.is_dir() {
        fs::create_dir_all(path)?;
        sync_dir(parent(path))?;
    }
    let lock = lock(&path.join(LOCK_FILE))?;
    check_format(path)?;
    Ok(lock)
}

/// The scratch directory of one host. It is deleted when this is dropped, or else when the next host starts.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    /// Released when this is dropped.
    _lock: File,
}

impl Workspace {
    /// Makes a scratch directory below `root`, and deletes those that hosts left behind which did not stop properly.
    ///
    /// # Errors
    /// If `root` cannot be created or written.
    pub fn open(root: &Path) -> io::Result<Self> {
        claim(root).map_err(|error| explain(error, format_args!("workspace {}", root.display())))
    }

    /// Where the scratch directory of this host is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What stays behind is deleted by the next host.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn claim(root: &Path) -> io::Result<Workspace> {
    let marker = root.join(MARKER);
    fs::create_dir_all(&marker)?;
    let starting = open_lock_file(&marker.join(LOCK_FILE))?;
    starting.lock()?;
    remove_leftovers(&marker)?;
    let path = create_numbered(&marker)?;
    let lock = lock(&path.join(LOCK_FILE))?;
    Ok(Workspace { path, _lock: lock })
}

/// Deletes the scratch directories that no running host has locked.
fn remove_leftovers(marker: &Path) -> io::Result<()> {
    for entry in fs::read_dir(marker)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if let Ok(_unused) = lock(&entry.path().join(LOCK_FILE)) {
            // A leftover of another user may resist; it is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Creates a directory that is named after this process and did not exist before.
fn create_numbered(marker: &Path) -> io::Result<PathBuf> {
    let process = std::process::id();
    let mut number: u32 = 0;
    loop {
        let path = marker.join(format!("{process}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn open_lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Locks the file at `path`, which is created if it is missing, or fails if it is locked.
fn lock(path: &Path) -> io::Result<File> {
    let file = open_lock_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "another tinychain host is using it"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Reads the format file of `dir`, or writes it if there is none.
fn check_format(dir: &Path) -> io::Result<()> {
    match fs::read(dir.join(FORMAT_FILE)) {
        Ok(text) => read_format(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => write_format(dir),
        Err(error) => Err(error),
    }
}

fn read_format(text: &[u8]) -> io::Result<()> {
    let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let json: serde_json::Value = match serde_json::from_slice(text) {
        Ok(json) => json,
        Err(error) => return invalid(format!("its {FORMAT_FILE} is not valid: {error}")),
    };
    match json.get("format").and_then(serde_json::Value::as_u64) {
        Some(FORMAT) => Ok(()),
        Some(other) => invalid(format!("it has format {other}, but this release reads format {FORMAT}")),
        None => invalid(format!("its {FORMAT_FILE} does not name a format")),
    }
}

fn write_format(dir: &Path) -> io::Result<()> {
    write_whole(dir, FORMAT_FILE, &format!("{{\"format\":{FORMAT}}}\n"), &mut OpenOptions::new())
}

/// Writes a file so that it is either complete or absent, whatever happens.
fn write_whole(dir: &Path, name: &str, text: &str, options: &mut OpenOptions) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let mut file = options.create(true).truncate(true).write(true).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    sync_dir(dir)
}

/// Makes files that only their owner can read.
#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Files get the permissions of their directory here.
#[cfg(not(unix))]
fn private() -> OpenOptions {
    OpenOptions::new()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Makes new entries of a directory survive a power cut.
#[cfg(unix)]
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Directories cannot be synced here; the file system does so by itself.
#[cfg(not(unix))]
fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn explain(error: io::Error, what: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(error.kind(), format!("cannot use the {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_created_and_opens_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        drop(DataDir::open(&path).unwrap());
        assert_eq!(fs::read_to_string(path.join(FORMAT_FILE)).unwrap(), "{\"format\":1}\n");
        assert_eq!(DataDir::open(&path).unwrap().path(), path);
    }

    #[test]
    fn only_what_a_host_has_used_is_opened_as_it_was_left() {
        let root = tempfile::tempdir().unwrap();
        for path in [root.path().to_path_buf(), root.path().join("none")] {
            let error = DataDir::open_existing(&path).unwrap_err();
            assert!(error.to_string().contains("no host has used it"), "{error}");
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let running = DataDir::open(root.path()).unwrap();
        assert!(DataDir::open_existing(root.path()).unwrap_err().to_string().contains("another tinychain host"));
        drop(running);
        assert_eq!(DataDir::open_existing(root.path()).unwrap().path(), root.path());
    }

    #[test]
    fn two_hosts_cannot_share_a_data_directory() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path()).unwrap();
        let error = DataDir::open(root.path()).unwrap_err();
        assert!(error.to_string().contains("another tinychain host"), "{error}");
        drop(first);
        assert!(DataDir::open(root.path()).is_ok());
    }

    #[test]
    fn a_format_of_the_future_is_refused_and_left_alone() {
        for text in ["{\"format\":2}", "{}", "nonsense", ""] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(FORMAT_FILE), text).unwrap();
            assert!(DataDir::open(root.path()).is_err(), "{text}");
            assert_eq!(fs::read_to_string(root.path().join(FORMAT_FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_secret_is_made_once_and_is_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(DataDir::read_secret(root.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        let dir = DataDir::open(root.path()).unwrap();
        assert_eq!(dir.secret(|| "first".into()).unwrap(), "first");
        assert_eq!(dir.secret(|| "second".into()).unwrap(), "first");
        assert_eq!(DataDir::read_secret(root.path()).unwrap(), "first");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(root.path().join(KEY_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_is_not_a_data_directory() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, "mine").unwrap();
        assert!(DataDir::open(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn leftovers_are_deleted_but_nothing_outside_the_marker_and_no_running_host() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("precious"), "mine").unwrap();
        let running = Workspace::open(root.path()).unwrap();
        let leftover = root.path().join(MARKER).join("1-0");
        fs::create_dir(&leftover).unwrap();
        fs::write(leftover.join("scratch"), "old").unwrap();

        let second = Workspace::open(root.path()).unwrap();
        assert!(!leftover.exists());
        assert!(running.path().is_dir() && second.path().is_dir());
        assert_ne!(running.path(), second.path());
        assert_eq!(fs::read_to_string(root.path().join("precious")).unwrap(), "mine");

        let path = second.path().to_path_buf();
        drop(second);
        assert!(!path.exists());
    }
}
