//! Folders to measure in, all on the disk that the environment names.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::sizes::Sizes;

/// A new folder, which is deleted when this is dropped.
pub fn new(sizes: &Sizes) -> TempDir {
    fs::create_dir_all(&sizes.dir).expect("there is room for a directory");
    tempfile::tempdir_in(&sizes.dir).expect("there is room for a directory")
}

/// The bytes of all files below `path`.
pub fn bytes_below(path: &Path) -> u64 {
    let entries = fs::read_dir(path).expect("the directory can be read");
    let bytes = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("the directory can be read");
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            // Deleted meanwhile.
            Err(_) => 0,
        }
    };
    entries.map(bytes).sum()
}

/// The bytes that this process had the disk write, where the system tells.
pub fn bytes_written() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok())
}
