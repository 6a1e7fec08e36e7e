//! Encryption at rest: what is on disk cannot be read without a key.
//!
//! ```text
//! key of the operator ─HKDF, salt of the directory─► directory key ─HKDF, purpose and place─► key of one file
//! ```
//!
//! Everything is sealed with AES-256-GCM, by keys that are derived with HKDF-SHA256 (RFC 5869) for one file each, so no
//! key seals more than one file, and what is at one place authenticates at no other:
//! - Objects (segments, manifests) and the secret key of the host are [`blob`]s: blocks that are sealed one by one, so
//!   that a part can be read without the rest. [`SealedObjects`] is the object store that does this.
//! - Blocks of the log are frames: see `storage::log`.
//! - Files of queries in the workspace are sealed with keys that no other process ever knows: see `exec::relation`.
//!
//! What is not hidden: how many files there are, their sizes and names, and the times at which they were written. Who can
//! write to the disk can put an older version of a file, or of the whole directory, in place of the newer one.

mod blob;
mod keys;
mod objects;

pub(crate) use blob::{open_bytes, seal_bytes};
pub(crate) use keys::{Cipher, NONCE_BYTES, SALT_BYTES, TAG_BYTES};
pub use keys::{KeyId, KeyList, Keys};
pub(crate) use objects::SealedObjects;
