//! Blobs: files that are written once, sealed so that any part can be read by itself.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `TCsealed` |
//! | 4 | the version of this format, 1, least significant byte first |
//! | 8 | the name of the key |
//! | 32 | a random salt |
//! | 12 | zeros |
//! | then | blocks of 16 KiB of the content, the last of 1 byte to 16 KiB, or of none if all is empty; 16 bytes of tag after each |
//!
//! The key of a blob is derived from the salt and the name of the file. The nonce of a block is its number, with a mark on
//! the last one, and the header is authenticated with each. So blocks cannot be exchanged, repeated or left out, nor the
//! file cut off or given another name. This is STREAM (Hoang, Reyhanitabar, Rogaway and Vizár 2015), as in the streaming
//! AEAD of Tink, with blocks that are decrypted in any order.

use std::ops::Range;

use super::keys::{Cipher, KeyId, Keys, NONCE_BYTES, SALT_BYTES, TAG_BYTES};
use crate::env;
use crate::error::Result;

/// Bytes of content in a block: what is decrypted to read one byte.
const BLOCK_BYTES: usize = 16 << 10;
const SEALED_BYTES: usize = BLOCK_BYTES + TAG_BYTES;
/// Bytes before the first block.
pub(super) const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"TCsealed";
const VERSION: u32 = 1;
const KEY_AT: usize = 12;
const SALT_AT: usize = KEY_AT + KeyId::BYTES;
const PURPOSE: &[u8] = b"tinychain blob\0";

/// What seals and opens the blocks of one file.
#[derive(Debug)]
pub(super) struct Blob {
    header: [u8; HEADER_BYTES],
    key: KeyId,
    cipher: Cipher,
}

impl Blob {
    /// A new file of this name, whose key is the current one.
    fn create(keys: &Keys, name: &str) -> Result<Self> {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..KEY_AT].copy_from_slice(&VERSION.to_le_bytes());
        header[KEY_AT..SALT_AT].copy_from_slice(keys.current().as_bytes());
        header[SALT_AT..SALT_AT + SALT_BYTES].copy_from_slice(&env::secret());
        Self::of(keys, name, header, keys.current())
    }

    /// The file of this name that begins with `bytes`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn open(keys: &Keys, name: &str, bytes: &[u8]) -> Result<Self, String> {
        let header = bytes.first_chunk::<HEADER_BYTES>().filter(|header| header.starts_with(MAGIC));
        let header = *header.ok_or("it is not encrypted, as all files here are")?;
        let [a, b, c, d] = [header[8], header[9], header[10], header[11]];
        match u32::from_le_bytes([a, b, c, d]) {
            VERSION => {}
            other => return Err(format!("it has format {other}, but this release reads format {VERSION}")),
        }
        let mut id = [0; KeyId::BYTES];
        id.copy_from_slice(&header[KEY_AT..SALT_AT]);
        Self::of(keys, name, header, KeyId::from_bytes(id)).map_err(|error| error.message().to_string())
    }

    fn of(keys: &Keys, name: &str, header: [u8; HEADER_BYTES], key: KeyId) -> Result<Self> {
        let salt = &header[SALT_AT..SALT_AT + SALT_BYTES];
        let cipher = keys.cipher(key, &[PURPOSE, salt, name.as_bytes()])?;
        Ok(Self { header, key, cipher })
    }

    /// The key that seals this file.
    pub(super) fn key(&self) -> KeyId {
        self.key
    }

    fn seal_block(&self, number: u64, is_last: bool, content: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.extend_from_slice(content);
        self.cipher.seal(nonce(number, is_last), &self.header, out, start)
    }

    /// The bytes `range` of the content, which has `len`, from the blocks that have them. The range is not empty.
    ///
    /// # Errors
    /// Which block is not what was written there.
    pub(super) fn read(&self, len: u64, range: &Range<u64>, mut sealed: Vec<u8>) -> Result<Vec<u8>, String> {
        let (first, last) = (range.start / BLOCK_BYTES as u64, last_block(len));
        let mut content = Vec::with_capacity(sealed.len());
        for (number, block) in (first..).zip(sealed.chunks_mut(SEALED_BYTES)) {
            let opened = self.cipher.open(nonce(number, number == last), &self.header, block);
            let opened =
                opened.ok_or_else(|| format!("block {number} is damaged, or is not what was written there"))?;
            content.extend_from_slice(opened);
        }
        let before = to_usize(range.start - first * BLOCK_BYTES as u64);
        let end = before.saturating_add(to_usize(range.end - range.start));
        if end > content.len() {
            return Err("it is cut off".to_string());
        }
        content.truncate(end);
        content.drain(..before);
        Ok(content)
    }
}

fn nonce(number: u64, is_last: bool) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[0] = u8::from(is_last);
    nonce[NONCE_BYTES - 8..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The number of the last block of a content of `len` bytes.
fn last_block(len: u64) -> u64 {
    len.saturating_sub(1) / BLOCK_BYTES as u64
}

/// Bytes of the content of a file of `bytes` bytes; nothing if no file has so many.
pub(super) fn content_len(bytes: u64) -> Option<u64> {
    let body = bytes.checked_sub(HEADER_BYTES as u64)?;
    let blocks = body.div_ceil(SEALED_BYTES as u64);
    let last = body.checked_sub(blocks.checked_sub(1)? * SEALED_BYTES as u64)?;
    // Only a block that is alone may be empty.
    let least = TAG_BYTES as u64 + u64::from(blocks > 1);
    (last >= least).then(|| body - blocks * TAG_BYTES as u64)
}

/// Bytes of a file whose content has `len` bytes.
fn sealed_len(len: u64) -> u64 {
    HEADER_BYTES as u64 + len + (last_block(len) + 1) * TAG_BYTES as u64
}

/// Where in a file the blocks are that have the bytes `range` of its content, which has `len`. The range is not empty.
pub(super) fn place(len: u64, range: &Range<u64>) -> Range<u64> {
    let at = |number: u64| HEADER_BYTES as u64 + number * SEALED_BYTES as u64;
    let end = at(last_block(range.end) + 1);
    at(range.start / BLOCK_BYTES as u64)..end.min(sealed_len(len))
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Sealing {
    blob: Blob,
    /// The number of the next block.
    next: u64,
    /// Its content so far.
    waiting: Vec<u8>,
    /// What can be written.
    out: Vec<u8>,
}

impl Sealing {
    /// A new file of this name.
    pub(super) fn begin(keys: &Keys, name: &str) -> Result<Self> {
        let blob = Blob::create(keys, name)?;
        let out = blob.header.to_vec();
        Ok(Self { blob, next: 0, waiting: Vec::new(), out })
    }

    /// Adds to the content.
    pub(super) fn add(&mut self, mut content: &[u8]) -> Result<()> {
        // The last block has a mark, so a block that is full waits until it is known whether it is that.
        while self.waiting.len() + content.len() > BLOCK_BYTES {
            let (head, rest) = content.split_at(BLOCK_BYTES - self.waiting.len());
            self.waiting.extend_from_slice(head);
            self.seal_waiting(false)?;
            content = rest;
        }
        self.waiting.extend_from_slice(content);
        Ok(())
    }

    /// Takes what can be written by now.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Ends the content, and takes the rest of what is to be written.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.seal_waiting(true)?;
        Ok(self.out)
    }

    fn seal_waiting(&mut self, is_last: bool) -> Result<()> {
        self.blob.seal_block(self.next, is_last, &self.waiting, &mut self.out)?;
        self.next += 1;
        self.waiting.clear();
        Ok(())
    }
}

/// A whole file of this name.
///
/// # Errors
/// `Internal` if it cannot be sealed, for which there is no reason.
pub(crate) fn seal_bytes(keys: &Keys, name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut sealing = Sealing::begin(keys, name)?;
    sealing.add(content)?;
    sealing.finish()
}

/// The content of a whole file of this name.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn open_bytes(keys: &Keys, name: &str, file: &[u8]) -> Result<Vec<u8>, String> {
    let blob = Blob::open(keys, name, file)?;
    let len = content_len(file.len() as u64).ok_or("it is cut off")?;
    blob.read(len, &(0..len), file[HEADER_BYTES..].to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::KeyList;
    use super::*;

    fn keys() -> Keys {
        KeyList::parse(&[7; 32]).unwrap().of(&[1; SALT_BYTES]).unwrap()
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n / 7 % 251) as u8).collect()
    }

    /// Lengths around the ends of blocks.
    const LENS: [usize; 9] = [
        0,
        1,
        100,
        BLOCK_BYTES - 1,
        BLOCK_BYTES,
        BLOCK_BYTES + 1,
        2 * BLOCK_BYTES,
        3 * BLOCK_BYTES + 5,
        SEALED_BYTES * 4,
    ];

    #[test]
    fn a_file_holds_what_was_added_in_any_pieces() {
        let keys = keys();
        for len in LENS {
            let expected = content(len);
            let whole = seal_bytes(&keys, "a", &expected).unwrap();
            assert_eq!(whole.len() as u64, sealed_len(len as u64));
            assert_eq!(content_len(whole.len() as u64), Some(len as u64), "{len}");
            assert!(open_bytes(&keys, "a", &whole).unwrap() == expected, "{len}");
            for piece in [1000, BLOCK_BYTES, BLOCK_BYTES * 2] {
                let mut sealing = Sealing::begin(&keys, "a").unwrap();
                let mut file = vec![];
                for piece in expected.chunks(piece) {
                    sealing.add(piece).unwrap();
                    file.extend(sealing.take());
                }
                file.extend(sealing.finish().unwrap());
                assert!(file.len() == whole.len() && open_bytes(&keys, "a", &file).unwrap() == expected, "{len}");
            }
        }
    }

    #[test]
    fn no_other_length_is_that_of_a_file() {
        let lens: Vec<u64> = (0..=3 * BLOCK_BYTES as u64).map(sealed_len).collect();
        for bytes in 0..lens[lens.len() - 1] {
            let found = lens.binary_search(&bytes).ok().map(|len| len as u64);
            assert_eq!(content_len(bytes), found, "{bytes}");
        }
    }

    #[test]
    fn a_file_is_bound_to_its_name_and_its_keys() {
        let file = seal_bytes(&keys(), "a", b"secret").unwrap();
        assert!(open_bytes(&keys(), "b", &file).unwrap_err().contains("block 0"));
        let others = KeyList::parse(&[8; 32]).unwrap().of(&[1; SALT_BYTES]).unwrap();
        let error = open_bytes(&others, "a", &file).unwrap_err();
        assert!(error.contains(&format!("encrypted with key {}", keys().current())), "{error}");
        assert!(open_bytes(&keys(), "a", b"PAR1").unwrap_err().contains("not encrypted"));
        assert!(file != seal_bytes(&keys(), "a", b"secret").unwrap(), "the same content looks different each time");
    }

    #[test]
    fn blocks_cannot_be_exchanged_left_out_or_cut_off() {
        let keys = keys();
        let file = seal_bytes(&keys, "a", &content(3 * BLOCK_BYTES)).unwrap();
        let (header, body) = file.split_at(HEADER_BYTES);
        let blocks: Vec<&[u8]> = body.chunks(SEALED_BYTES).collect();
        for order in [&[1, 0, 2][..], &[0, 1], &[0], &[1, 2], &[0, 1, 1, 2], &[0, 2], &[]] {
            let blocks: Vec<u8> = order.iter().flat_map(|number: &usize| blocks[*number]).copied().collect();
            assert!(open_bytes(&keys, "a", &[header, &blocks].concat()).is_err(), "{order:?}");
        }
        let other = seal_bytes(&keys, "a", &content(3 * BLOCK_BYTES)).unwrap();
        let mixed = [&file[..HEADER_BYTES + SEALED_BYTES], &other[HEADER_BYTES + SEALED_BYTES..]].concat();
        assert!(open_bytes(&keys, "a", &mixed).is_err());
    }

    proptest! {
        #[test]
        fn any_range_is_read_from_its_blocks(len in 1u64..60_000, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
            let keys = keys();
            let content = content(len as usize);
            let file = seal_bytes(&keys, "a", &content).unwrap();
            let (a, b) = (a.index(len as usize), b.index(len as usize));
            let range = a.min(b) as u64..a.max(b) as u64 + 1;
            let place = place(len, &range);
            let sealed = file[place.start as usize..place.end as usize].to_vec();
            let read = Blob::open(&keys, "a", &file).unwrap().read(len, &range, sealed).unwrap();
            prop_assert!(read == content[range.start as usize..range.end as usize]);
        }

        #[test]
        fn no_turned_bit_goes_unnoticed(at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let keys = keys();
            let mut file = seal_bytes(&keys, "a", &content(20_000)).unwrap();
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
            prop_assert!(open_bytes(&keys, "a", &file).is_err());
        }
    }
}
