//! Where the keys of data at rest come from: a file that a flag names, or the environment.

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use crate::storage::seal::KeyList;

/// The variable with the keys, where no flag names a file.
const VARIABLE: &str = "TC_AT_REST_KEY";

/// The keys in `file`, or else in the environment; nothing if there is neither.
///
/// # Errors
/// If the file cannot be read, or there is something else than keys. What is wrong is said without repeating any of it.
pub fn key_list(file: Option<&Path>) -> io::Result<Option<KeyList>> {
    let (from, bytes) = match (file, env::var_os(VARIABLE)) {
        (Some(file), _) => {
            let from = format!("the file {} of --at_rest_key", file.display());
            let bytes = fs::read(file);
            let bytes = bytes.map_err(|error| io::Error::new(error.kind(), format!("cannot read {from}: {error}")))?;
            (from, bytes)
        }
        (None, Some(text)) => (VARIABLE.to_string(), text.into_encoded_bytes()),
        (None, None) => return Ok(None),
    };
    let explain = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("cannot use {from}: {why}"));
    KeyList::parse(&bytes).map(Some).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_a_file_and_errors_name_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("key");
        let error = key_list(Some(&path)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with(&format!("cannot read the file {} of --at_rest_key", path.display())));
        fs::write(&path, format!("{}\n{}\n", "01".repeat(32), "02".repeat(32))).unwrap();
        assert_eq!(format!("{:?}", key_list(Some(&path)).unwrap()), "Some(KeyList(2 keys))");
        fs::write(&path, "secret").unwrap();
        let error = key_list(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("key 1 is not valid") && !error.contains("secret"), "{error}");
    }
}
