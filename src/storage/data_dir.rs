//! The directories of a host.
//!
//! What is assumed of the disk: `rename` within a directory is atomic, and both a file and its directory entry survive
//! a power cut once the file and the directory were synced.
//!
//! Files:
//! - `<data_dir>/tinychain.json`: `{"format":1}`, the version of everything else in the directory. If that is
//!   encrypted, `{"format":2,"salt":"…","keys":["…"]}`: the same, sealed as [`super::seal`] says, with keys that are
//!   derived from the salt. The names of all keys are here that anything may be sealed with, so that a host does not
//!   start without one of them.
//! - `<data_dir>/tinychain.key`: 64 hexadecimal digits, the secret key of the host, made when it first starts; sealed
//!   like the rest. Only its user may read it. Releases that have no keys leave it alone, so it does not change the
//!   format.
//! - `<data_dir>/tinychain.lock`: empty; locked by the host that uses the directory, for as long as it runs.
//! - `<workspace>/.tinychain/<process>-<number>/`: the scratch directory of one host, with a lock of its own.
//! - `<workspace>/.tinychain/tinychain.lock`: locked while a host starts, so that no other host takes its new, not yet
//!   locked scratch directory for a leftover.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use super::seal::{KeyId, KeyList, Keys, SALT_BYTES, open_bytes, seal_bytes};
use crate::env;
use crate::error::Error;

/// The versions of the files of a data directory that this release writes: as they are, and encrypted.
const FORMAT: u64 = 1;
const SEALED_FORMAT: u64 = 2;
const FORMAT_FILE: &str = "tinychain.json";
const KEY_FILE: &str = "tinychain.key";
const LOCK_FILE: &str = "tinychain.lock";
/// Below this, and only below this, leftovers in a workspace are deleted.
const MARKER: &str = ".tinychain";

/// The directory of the data that outlives a host, locked against other hosts.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Nothing if the directory is not encrypted.
    seal: Option<Seal>,
    /// Released when this is dropped.
    _lock: File,
}

impl DataDir {
    /// Opens the directory at `path`, which is not encrypted, and creates it first if it is missing.
    ///
    /// # Errors
    /// As [`DataDir::open_sealed`].
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_sealed(path, None)
    }

    /// Opens the directory at `path`, which is encrypted if there are `keys`, and creates it first if it is missing.
    ///
    /// # Errors
    /// If the directory cannot be written, another host uses it, or it has a format that this release does not read. If it
    /// is encrypted and not all its keys are given, or is not and there are some.
    pub fn open_sealed(path: &Path, keys: Option<&KeyList>) -> io::Result<Self> {
        let opened = prepare(path, keys);
        let (lock, seal) = opened.map_err(|error| explain(error, format_args!("data directory {}", path.display())))?;
        Ok(Self { path: path.to_path_buf(), seal, _lock: lock })
    }

    /// Opens the directory at `path` as a host left it.
    ///
    /// # Errors
    /// `NotFound` if no host has used the directory; as [`DataDir::open_sealed`].
    pub fn open_existing(path: &Path, keys: Option<&KeyList>) -> io::Result<Self> {
        if !path.join(FORMAT_FILE).is_file() {
            let error = io::Error::new(io::ErrorKind::NotFound, "no host has used it");
            return Err(explain(error, format_args!("data directory {}", path.display())));
        }
        Self::open_sealed(path, keys)
    }

    /// Where this directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What encrypts the directory, if anything does.
    pub fn keys(&self) -> Option<&Arc<Keys>> {
        self.seal.as_ref().map(|seal| &seal.keys)
    }

    /// Whether something may be encrypted with other keys than the newest one.
    pub fn has_older_keys(&self) -> bool {
        self.seal.as_ref().is_some_and(|seal| seal.ids.lock().len() > 1)
    }

    /// Notes that all but the secret key is encrypted with the newest key by now, so that a host can start without the
    /// others.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn forget_older_keys(&self) -> io::Result<()> {
        let Some(seal) = &self.seal else { return Ok(()) };
        let forget = || -> io::Result<()> {
            let secret = read_secret(&self.path, Some(&seal.keys))?;
            write_secret(&self.path, Some(&seal.keys), &secret)?;
            let mut ids = seal.ids.lock();
            let current = vec![seal.keys.current()];
            write_format(&self.path, Some((&seal.salt, current.as_slice())))?;
            *ids = current;
            Ok(())
        };
        forget().map_err(|error| explain(error, format_args!("data directory {}", self.path.display())))
    }

    /// The secret key of the host as text, which `make` makes if there is none yet.
    ///
    /// # Errors
    /// If the key cannot be read or written. A key that is damaged is never replaced.
    pub fn secret(&self, make: impl FnOnce() -> String) -> io::Result<String> {
        let keys = self.keys().map(Arc::as_ref);
        match read_secret(&self.path, keys) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = make();
                let written = write_secret(&self.path, keys, &text);
                written.map_err(|error| explain(error, format_args!("data directory {}", self.path.display())))?;
                Ok(text)
            }
            result => result,
        }
    }

    /// The secret key of the host whose data is at `path`, also while that runs.
    ///
    /// # Errors
    /// `NotFound` if no host has used the directory, or it cannot be read, or not with these keys.
    pub fn read_secret(path: &Path, keys: Option<&KeyList>) -> io::Result<String> {
        let seal = match read_format(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            format => format.and_then(|format| Seal::of(format, keys)),
        };
        let seal = seal.map_err(|error| explain(error, format_args!("data directory {}", path.display())))?;
        read_secret(path, seal.as_ref().map(|seal| &*seal.keys))
    }
}

fn read_secret(dir: &Path, keys: Option<&Keys>) -> io::Result<String> {
    let path = dir.join(KEY_FILE);
    let read = fs::read(&path).and_then(|bytes| {
        let bytes = match keys {
            None => bytes,
            Some(keys) => open_bytes(keys, KEY_FILE, &bytes).map_err(invalid)?,
        };
        String::from_utf8(bytes).map_err(|_| invalid("it is not text"))
    });
    read.map_err(|error| explain(error, format_args!("key {}", path.display())))
}

fn write_secret(dir: &Path, keys: Option<&Keys>, text: &str) -> io::Result<()> {
    match keys {
        None => write_whole(dir, KEY_FILE, text.as_bytes(), &mut private()),
        Some(keys) => {
            let sealed = seal_bytes(keys, KEY_FILE, text.as_bytes()).map_err(internal)?;
            write_whole(dir, KEY_FILE, &sealed, &mut private())
        }
    }
}

fn prepare(path: &Path, keys: Option<&KeyList>) -> io::Result<(File, Option<Seal>)> {
    if !path.is_dir() {
        fs::create_dir_all(path)?;
        sync_dir(parent(path))?;
    }
    let lock = lock(&path.join(LOCK_FILE))?;
    let seal = check_format(path, keys)?;
    Ok((lock, seal))
}

/// How a directory is encrypted.
#[derive(Debug)]
struct Seal {
    salt: [u8; SALT_BYTES],
    keys: Arc<Keys>,
    /// All keys that something may be sealed with, which are among `keys`.
    ids: Mutex<Vec<KeyId>>,
}

/// What the format file says of a directory that is encrypted.
#[derive(Debug)]
struct SealedFormat {
    salt: [u8; SALT_BYTES],
    ids: Vec<KeyId>,
}

impl Seal {
    /// What encrypts a directory of this format, if anything does.
    ///
    /// # Errors
    /// If not all its keys are given, or some for a directory that is not encrypted.
    fn of(format: Option<SealedFormat>, keys: Option<&KeyList>) -> io::Result<Option<Self>> {
        let (format, keys) = match (format, keys) {
            (None, None) => return Ok(None),
            (Some(format), Some(keys)) => (format, keys),
            (Some(_), None) => {
                return Err(invalid("it is encrypted: give its key by --at_rest_key or TC_AT_REST_KEY"));
            }
            (None, Some(_)) => {
                return Err(invalid(
                    "it is not encrypted, and --at_rest_key or TC_AT_REST_KEY is only for a directory that was from the start",
                ));
            }
        };
        let keys = keys.of(&format.salt).map_err(internal)?;
        let missing = format.ids.iter().copied().find(|id| !keys.has(*id));
        match missing {
            None => Ok(Some(Self { salt: format.salt, keys: Arc::new(keys), ids: Mutex::new(format.ids) })),
            Some(id) => Err(invalid(format!(
                "it is encrypted with another key, whose name is {id}: --at_rest_key or TC_AT_REST_KEY must give that one too"
            ))),
        }
    }
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

/// Reads the format file of `dir`, or writes it if there is none, or if it does not name the newest key.
fn check_format(dir: &Path, keys: Option<&KeyList>) -> io::Result<Option<Seal>> {
    let (format, is_new) = match read_format(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (keys.map(|_| SealedFormat { salt: env::secret(), ids: vec![] }), true)
        }
        format => (format?, false),
    };
    let seal = Seal::of(format, keys)?;
    let Some(sealed) = &seal else {
        if is_new {
            write_format(dir, None)?;
        }
        return Ok(None);
    };
    let mut ids = sealed.ids.lock();
    let current = sealed.keys.current();
    if ids.first() != Some(&current) {
        // Before anything is sealed with it.
        ids.retain(|id| *id != current);
        ids.insert(0, current);
        write_format(dir, Some((&sealed.salt, ids.as_slice())))?;
    }
    drop(ids);
    Ok(seal)
}

/// Reads the format file of `dir`: how it is encrypted, if it is.
fn read_format(dir: &Path) -> io::Result<Option<SealedFormat>> {
    let text = fs::read(dir.join(FORMAT_FILE))?;
    let json: Json =
        serde_json::from_slice(&text).map_err(|error| invalid(format!("its {FORMAT_FILE} is not valid: {error}")))?;
    match json.get("format").and_then(Json::as_u64) {
        Some(FORMAT) => Ok(None),
        Some(SEALED_FORMAT) => {
            let format = read_sealed_format(&json);
            format.map(Some).ok_or_else(|| invalid(format!("its {FORMAT_FILE} does not name its salt and keys")))
        }
        Some(other) => Err(invalid(format!(
            "it has format {other}, but this release reads format {FORMAT} and, encrypted, {SEALED_FORMAT}"
        ))),
        None => Err(invalid(format!("its {FORMAT_FILE} does not name a format"))),
    }
}

fn read_sealed_format(json: &Json) -> Option<SealedFormat> {
    let mut salt = [0; SALT_BYTES];
    hex::decode_to_slice(json.get("salt")?.as_str()?, &mut salt).ok()?;
    let ids = json.get("keys")?.as_array()?.iter().map(|id| KeyId::parse(id.as_str()?));
    let ids: Vec<KeyId> = ids.collect::<Option<_>>()?;
    // A directory that names no key would open with any.
    (!ids.is_empty()).then_some(SealedFormat { salt, ids })
}

/// Writes the format file of a directory, with the salt and the names of the keys of one that is encrypted.
fn write_format(dir: &Path, seal: Option<(&[u8; SALT_BYTES], &[KeyId])>) -> io::Result<()> {
    let json = match seal {
        None => json!({ "format": FORMAT }),
        Some((salt, ids)) => {
            let ids: Vec<String> = ids.iter().map(KeyId::to_string).collect();
            json!({ "format": SEALED_FORMAT, "salt": hex::encode(salt), "keys": ids })
        }
    };
    write_whole(dir, FORMAT_FILE, format!("{json}\n").as_bytes(), &mut OpenOptions::new())
}

fn invalid(why: impl Into<String>) -> io::Error {
    let why: String = why.into();
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn internal(error: Error) -> io::Error {
    io::Error::other(error.message().to_string())
}

/// Writes a file so that it is either complete or absent, whatever happens.
fn write_whole(dir: &Path, name: &str, bytes: &[u8], options: &mut OpenOptions) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let mut file = options.create(true).truncate(true).write(true).open(&temporary)?;
    file.write_all(bytes)?;
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
            let error = DataDir::open_existing(&path, None).unwrap_err();
            assert!(error.to_string().contains("no host has used it"), "{error}");
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let running = DataDir::open(root.path()).unwrap();
        assert!(DataDir::open_existing(root.path(), None).unwrap_err().to_string().contains("another tinychain host"));
        drop(running);
        assert_eq!(DataDir::open_existing(root.path(), None).unwrap().path(), root.path());
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
        for text in ["{\"format\":3}", "{\"format\":2}", "{}", "nonsense", ""] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(FORMAT_FILE), text).unwrap();
            assert!(DataDir::open(root.path()).is_err(), "{text}");
            assert_eq!(fs::read_to_string(root.path().join(FORMAT_FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_secret_is_made_once_and_is_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(DataDir::read_secret(root.path(), None).unwrap_err().kind(), io::ErrorKind::NotFound);
        let dir = DataDir::open(root.path()).unwrap();
        assert_eq!(dir.secret(|| "first".into()).unwrap(), "first");
        assert_eq!(dir.secret(|| "second".into()).unwrap(), "first");
        assert_eq!(DataDir::read_secret(root.path(), None).unwrap(), "first");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(root.path().join(KEY_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    fn keys(list: &[u8]) -> KeyList {
        let words: Vec<String> = list.iter().map(|byte| format!("{byte:02x}").repeat(32)).collect();
        KeyList::parse(words.join(",").as_bytes()).unwrap()
    }

    #[test]
    fn an_encrypted_directory_opens_with_its_key_only() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open_sealed(root.path(), Some(&keys(&[1]))).unwrap();
        assert_eq!(dir.secret(|| "secret text".into()).unwrap(), "secret text");
        assert!(dir.keys().is_some() && !dir.has_older_keys());
        drop(dir);
        let text = fs::read_to_string(root.path().join(FORMAT_FILE)).unwrap();
        assert!(text.contains("\"format\":2"), "{text}");
        let sealed = fs::read(root.path().join(KEY_FILE)).unwrap();
        assert!(!sealed.windows(11).any(|part| part == b"secret text"));

        let refused = |keys: Option<&KeyList>| DataDir::open_sealed(root.path(), keys).unwrap_err().to_string();
        assert!(refused(None).contains("it is encrypted: give its key by --at_rest_key"));
        assert!(refused(Some(&keys(&[2]))).contains("it is encrypted with another key"));
        assert!(DataDir::read_secret(root.path(), None).is_err());
        assert!(DataDir::read_secret(root.path(), Some(&keys(&[2]))).is_err());
        assert_eq!(fs::read_to_string(root.path().join(FORMAT_FILE)).unwrap(), text);
        assert_eq!(DataDir::read_secret(root.path(), Some(&keys(&[1]))).unwrap(), "secret text");
        let dir = DataDir::open_sealed(root.path(), Some(&keys(&[1]))).unwrap();
        assert_eq!(dir.secret(|| "another".into()).unwrap(), "secret text");
    }

    #[test]
    fn a_plain_directory_takes_no_key() {
        let root = tempfile::tempdir().unwrap();
        drop(DataDir::open(root.path()).unwrap());
        let error = DataDir::open_sealed(root.path(), Some(&keys(&[1]))).unwrap_err();
        assert!(error.to_string().contains("it is not encrypted, and --at_rest_key"), "{error}");
        assert!(DataDir::open(root.path()).is_ok());
    }

    #[test]
    fn an_older_key_is_needed_until_it_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let open = |list: &[u8]| DataDir::open_sealed(root.path(), Some(&keys(list)));
        open(&[1]).unwrap().secret(|| "secret".into()).unwrap();
        assert!(open(&[2]).is_err());
        let dir = open(&[2, 1]).unwrap();
        assert!(dir.has_older_keys() && dir.secret(String::new).unwrap() == "secret");
        drop(dir);
        assert!(open(&[2]).is_err() && open(&[1]).is_err());
        let dir = open(&[2, 1]).unwrap();
        dir.forget_older_keys().unwrap();
        assert!(!dir.has_older_keys());
        drop(dir);
        assert!(open(&[1]).is_err());
        assert_eq!(open(&[2]).unwrap().secret(String::new).unwrap(), "secret");
        // A key that is not used may be given all the same.
        assert!(!open(&[2, 3]).unwrap().has_older_keys());
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
