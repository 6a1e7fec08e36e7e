//! Frames: blocks as they are in a file, which may be sealed.
//!
//! Without keys a frame is the block. With keys it is longer by 64 bytes, so that all stays aligned:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `TCframe1` |
//! | 8 | the length of the block, least significant byte first |
//! | 8 | the name of the key |
//! | 12 | a random nonce |
//! | 8 | zeros |
//! | 4 | the CRC-32C of all before it, least significant byte first |
//! | length | the block, encrypted |
//! | 16 | the tag |
//!
//! The key is derived for one file, by its first commit, and the tag is over the place too: the prefix, the first commit of
//! the file, and the offset of the frame in it, as 8 bytes each, least significant first. Nonces are random, because after
//! a crash other commits may take the place of those that were cut off; a file has far fewer frames than would make it
//! likely that two have the same nonce. Frames are written once and never changed, like blocks, so what is durable stays
//! so whatever happens to what is written behind it.
//!
//! A frame that is not whole does not authenticate, and is what a block with a wrong checksum is: the end of the log in its
//! last place, and damage anywhere else. The checksum of the prefix tells a frame of another key from one that is not whole.

use std::sync::Arc;

use arrow::buffer::Buffer;
use parking_lot::Mutex;

use super::block::{self, ALIGNMENT, Block, Encoded, FIND_FACTOR, Fault, Place};
use crate::env;
use crate::error::Result;
use crate::storage::seal::{Cipher, KeyId, Keys, NONCE_BYTES, TAG_BYTES};

const MAGIC: &[u8; 8] = b"TCframe1";
const LEN_AT: usize = 8;
const KEY_AT: usize = 16;
const NONCE_AT: usize = KEY_AT + KeyId::BYTES;
const CRC_AT: usize = PREFIX_BYTES - 4;
const PREFIX_BYTES: usize = 48;
/// Bytes by which a frame that is sealed is longer than its block.
const SEAL_BYTES: usize = PREFIX_BYTES + TAG_BYTES;
/// Bytes of what is authenticated beside a block.
const CONTEXT_BYTES: usize = PREFIX_BYTES + 16;
const PURPOSE: &[u8] = b"tinychain log\0";

/// How blocks are written to files, and read.
#[derive(Debug)]
pub(super) struct Framing(Option<Sealer>);

#[derive(Debug)]
struct Sealer {
    keys: Arc<Keys>,
    /// That of the file that was used last, mostly the only one.
    last: Mutex<Option<FileCipher>>,
}

#[derive(Clone, Debug)]
struct FileCipher {
    key: KeyId,
    file: u64,
    cipher: Arc<Cipher>,
}

impl Framing {
    /// Seals blocks if there are keys.
    pub(super) fn new(keys: Option<Arc<Keys>>) -> Self {
        Self(keys.map(|keys| Sealer { keys, last: Mutex::default() }))
    }

    /// Whether blocks are sealed.
    pub(super) fn is_sealed(&self) -> bool {
        self.0.is_some()
    }

    /// Bytes of the frame of a block.
    pub(super) fn len_of(&self, block: &Encoded) -> u64 {
        let more = if self.is_sealed() { SEAL_BYTES } else { 0 };
        (block.len() + more) as u64
    }

    /// The frame of a block, to be written at a place.
    pub(super) fn encode(&self, block: Encoded, place: Place) -> Result<Vec<u8>> {
        let block = block.seal(place);
        match &self.0 {
            None => Ok(block),
            Some(sealer) => sealer.seal(&block, place),
        }
    }

    /// Reads the frame at offset `at` of a file whose first commit is `file`. Its length is that of the frame.
    pub(super) fn decode(&self, buffer: &Buffer, at: usize, file: u64) -> Result<Block, Fault> {
        match &self.0 {
            None => block::decode(buffer, at, file),
            Some(sealer) => {
                sealer.open(buffer.as_slice().get(at..).unwrap_or_default(), Place { file, offset: at as u64 })
            }
        }
    }

    /// Where the first whole frame is at offset `at` of the file or after it, whatever is before it.
    pub(super) fn find(&self, buffer: &Buffer, at: usize, file: u64) -> Option<usize> {
        match &self.0 {
            None => block::find(buffer, at, file),
            Some(sealer) => sealer.find(buffer.as_slice(), at, file),
        }
    }
}

impl Sealer {
    /// What seals and opens the frames of a file.
    fn cipher(&self, key: KeyId, file: u64) -> Result<Arc<Cipher>> {
        let mut last = self.last.lock();
        if let Some(known) = last.as_ref().filter(|known| known.key == key && known.file == file) {
            return Ok(Arc::clone(&known.cipher));
        }
        let cipher = Arc::new(self.keys.cipher(key, &[PURPOSE, &file.to_le_bytes()])?);
        *last = Some(FileCipher { key, file, cipher: Arc::clone(&cipher) });
        Ok(cipher)
    }

    fn seal(&self, block: &[u8], place: Place) -> Result<Vec<u8>> {
        let key = self.keys.current();
        let prefix = Prefix { len: block.len(), key, nonce: new_nonce() };
        let bytes = prefix.to_bytes();
        let mut frame = Vec::with_capacity(SEAL_BYTES + block.len());
        frame.extend_from_slice(&bytes);
        frame.extend_from_slice(block);
        let cipher = self.cipher(key, place.file)?;
        cipher.seal(prefix.nonce, &context(&bytes, place), &mut frame, PREFIX_BYTES)?;
        Ok(frame)
    }

    /// Reads the frame at the start of `bytes`, which are at `place`.
    fn open(&self, bytes: &[u8], place: Place) -> Result<Block, Fault> {
        let prefix = Prefix::read(bytes)?;
        let cipher = self.cipher(prefix.key, place.file).map_err(|_| Fault::Locked(prefix.key))?;
        let (head, rest) = bytes.split_at(PREFIX_BYTES);
        let mut content = rest[..prefix.len + TAG_BYTES].to_vec();
        let opened = cipher.open(prefix.nonce, &context(head, place), &mut content).map(<[u8]>::len);
        content.truncate(opened.ok_or(Fault::Broken("it is not what was encrypted"))?);
        let block = block::decode_from(&Buffer::from(content), 0, place)?;
        match block.bytes == prefix.len {
            true => Ok(Block { bytes: prefix.frame_len(), ..block }),
            false => Err(Fault::Broken("its length is wrong")),
        }
    }

    fn find(&self, bytes: &[u8], at: usize, file: u64) -> Option<usize> {
        let mut budget = bytes.len().saturating_mul(FIND_FACTOR);
        for at in (at.next_multiple_of(ALIGNMENT)..bytes.len()).step_by(ALIGNMENT) {
            let Ok(prefix) = Prefix::read(&bytes[at..]) else { continue };
            budget = budget.checked_sub(prefix.frame_len())?;
            // One that cannot be opened may be whole.
            if let Ok(_) | Err(Fault::Locked(_)) = self.open(&bytes[at..], Place { file, offset: at as u64 }) {
                return Some(at);
            }
        }
        None
    }
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug)]
struct Prefix {
    /// Bytes of the block.
    len: usize,
    key: KeyId,
    nonce: [u8; NONCE_BYTES],
}

impl Prefix {
    fn to_bytes(self) -> [u8; PREFIX_BYTES] {
        let mut bytes = [0; PREFIX_BYTES];
        bytes[..LEN_AT].copy_from_slice(MAGIC);
        bytes[LEN_AT..KEY_AT].copy_from_slice(&(self.len as u64).to_le_bytes());
        bytes[KEY_AT..NONCE_AT].copy_from_slice(self.key.as_bytes());
        bytes[NONCE_AT..NONCE_AT + NONCE_BYTES].copy_from_slice(&self.nonce);
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the prefix at the start of `bytes`, in which the whole frame must be.
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else {
            let is_end = bytes.iter().all(|byte| *byte == 0);
            return Err(if is_end { Fault::End } else { Fault::Broken("it is cut off") });
        };
        if *prefix == [0; PREFIX_BYTES] {
            return Err(Fault::End);
        }
        if !prefix.starts_with(MAGIC) {
            return Err(Fault::Broken("it does not begin as a frame"));
        }
        if prefix[CRC_AT..] != crc32c::crc32c(&prefix[..CRC_AT]).to_le_bytes() {
            return Err(Fault::Broken("its prefix is not whole"));
        }
        let (mut len, mut key, mut nonce) = ([0; 8], [0; KeyId::BYTES], [0; NONCE_BYTES]);
        len.copy_from_slice(&prefix[LEN_AT..KEY_AT]);
        key.copy_from_slice(&prefix[KEY_AT..NONCE_AT]);
        nonce.copy_from_slice(&prefix[NONCE_AT..NONCE_AT + NONCE_BYTES]);
        let len = usize::try_from(u64::from_le_bytes(len)).unwrap_or(usize::MAX);
        if len > bytes.len().saturating_sub(SEAL_BYTES) {
            return Err(Fault::Broken("it is cut off"));
        }
        if !len.is_multiple_of(ALIGNMENT) {
            return Err(Fault::Broken("it is not padded"));
        }
        Ok(Self { len, key: KeyId::from_bytes(key), nonce })
    }

    fn frame_len(&self) -> usize {
        SEAL_BYTES + self.len
    }
}

fn new_nonce() -> [u8; NONCE_BYTES] {
    let (mut nonce, random) = ([0; NONCE_BYTES], env::secret());
    nonce.copy_from_slice(&random[..NONCE_BYTES]);
    nonce
}

/// What is authenticated beside a block.
fn context(prefix: &[u8], place: Place) -> [u8; CONTEXT_BYTES] {
    let mut context = [0; CONTEXT_BYTES];
    context[..PREFIX_BYTES].copy_from_slice(prefix);
    context[PREFIX_BYTES..PREFIX_BYTES + 8].copy_from_slice(&place.file.to_le_bytes());
    context[PREFIX_BYTES + 8..].copy_from_slice(&place.offset.to_le_bytes());
    context
}

#[cfg(test)]
mod tests;
