//! The keys of data at rest: those that an operator gives, and those that are derived from them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT as BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};

use crate::env;
use crate::error::{Error, Result};

/// Bytes of a key of AES-256.
const KEY_BYTES: usize = 32;
/// Bytes of what makes the keys of a directory, or of a file, different from those of all others.
pub(crate) const SALT_BYTES: usize = 32;
/// Bytes of a nonce of AES-GCM, which must be different whenever the same key seals something.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes by which what is sealed is longer than what it holds.
pub(crate) const TAG_BYTES: usize = 16;
/// What the name of a key is derived for.
const ID_PURPOSE: [&[u8]; 1] = [b"tinychain key id\0"];
const EXPECTED: &str = "a key is 32 bytes: as they are, as 64 hexadecimal digits, or in base64";

/// The keys that an operator gives, the newest first: that one seals what is written, the others open what is older.
/// They are never printed.
#[derive(Clone)]
pub struct KeyList(Vec<[u8; KEY_BYTES]>);

impl KeyList {
    /// Reads keys: 32 bytes, or text in which each key is 64 hexadecimal digits or base64, and commas or white space
    /// stand between them.
    ///
    /// # Errors
    /// What is wrong. The text is secret, so the message repeats nothing of it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if let Ok(key) = <[u8; KEY_BYTES]>::try_from(bytes) {
            return Ok(Self(vec![key]));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| EXPECTED.to_string())?;
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let mut keys = Vec::new();
        for (number, word) in (1..).zip(words) {
            keys.push(read_key(word).ok_or_else(|| format!("key {number} is not valid: {EXPECTED}"))?);
        }
        if keys.is_empty() { Err(format!("there is no key: {EXPECTED}")) } else { Ok(Self(keys)) }
    }

    /// The keys of the directory with this salt.
    ///
    /// # Errors
    /// `Internal` if a key cannot be derived, for which there is no reason.
    pub fn of(&self, salt: &[u8; SALT_BYTES]) -> Result<Keys> {
        let salt = Salt::new(HKDF_SHA256, salt);
        let mut keys = Vec::with_capacity(self.0.len());
        for key in &self.0 {
            let prk = salt.extract(key);
            keys.push((KeyId::of(&prk)?, prk));
        }
        Ok(Keys(keys))
    }
}

impl fmt::Debug for KeyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyList({} keys)", self.0.len())
    }
}

fn read_key(word: &str) -> Option<[u8; KEY_BYTES]> {
    let bytes = if word.len() == 2 * KEY_BYTES { hex::decode(word).ok() } else { BASE64.decode(word).ok() };
    bytes?.try_into().ok()
}

/// The name of a key in one directory, which says nothing of the key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct KeyId([u8; Self::BYTES]);

impl KeyId {
    /// Bytes of a name.
    pub(crate) const BYTES: usize = 8;

    fn of(prk: &Prk) -> Result<Self> {
        let mut whole = [0; 32];
        let filled = prk.expand(&ID_PURPOSE, HKDF_SHA256).and_then(|okm| okm.fill(&mut whole));
        filled.map_err(|_| Error::internal("cannot derive the name of a key"))?;
        let mut id = [0; Self::BYTES];
        id.copy_from_slice(&whole[..Self::BYTES]);
        Ok(Self(id))
    }

    /// The key that has this name.
    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of this name.
    pub(crate) fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The key whose name is written like this.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut id = [0; Self::BYTES];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Self(id))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The keys of one directory, of which there is at least one; the newest first.
pub struct Keys(Vec<(KeyId, Prk)>);

impl Keys {
    /// The key that seals what is written.
    pub fn current(&self) -> KeyId {
        self.0[0].0
    }

    /// Whether this key is one of these.
    pub fn has(&self, id: KeyId) -> bool {
        self.0.iter().any(|(known, _)| *known == id)
    }

    /// What seals and opens one file, whose purpose and place `info` tells: no two files have the same, and no part of it
    /// can be taken for the end of the one before.
    ///
    /// # Errors
    /// `Internal` if the key is none of these.
    pub(crate) fn cipher(&self, id: KeyId, info: &[&[u8]]) -> Result<Cipher> {
        let Some((_, prk)) = self.0.iter().find(|(known, _)| *known == id) else {
            return Err(Error::internal(format!("it is encrypted with key {id}, which --at_rest_key does not give")));
        };
        let okm = prk.expand(info, &AES_256_GCM).map_err(|_| Error::internal("cannot derive the key of a file"))?;
        Ok(Cipher(LessSafeKey::new(UnboundKey::from(okm))))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

/// Seals and opens with one key.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    /// A cipher with a key that nobody will ever know.
    ///
    /// # Errors
    /// `Internal` if the key cannot be used, for which there is no reason.
    pub fn ephemeral() -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, &env::secret());
        Ok(Self(LessSafeKey::new(key.map_err(|_| Error::internal("cannot make a key"))?)))
    }

    /// Encrypts what is in `bytes` from `start` on, and appends the tag, by which that and `context` are authenticated.
    ///
    /// # Errors
    /// `Internal` if there are more bytes than AES-GCM can seal at once, which are 64 GiB.
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], context: &[u8], bytes: &mut Vec<u8>, start: usize) -> Result<()> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(context), &mut bytes[start..]);
        let tag = tag.map_err(|_| Error::internal("cannot encrypt so many bytes at once"))?;
        bytes.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Decrypts `sealed` in place and returns what it holds; nothing if it is not what was sealed with this nonce and
    /// `context`.
    pub fn open<'a>(&self, nonce: [u8; NONCE_BYTES], context: &[u8], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(context), sealed).ok()?;
        Some(&*opened)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn keys(text: &str) -> Keys {
        KeyList::parse(text.as_bytes()).unwrap().of(&[1; SALT_BYTES]).unwrap()
    }

    #[test]
    fn a_key_has_three_forms() {
        let raw: Vec<u8> = (0..32).collect();
        let padded = BASE64.encode(&raw);
        let forms =
            [raw.clone(), HEX.into(), HEX.to_uppercase().into(), format!("{HEX}\n").into(), padded.clone().into()];
        let forms = forms.into_iter().chain([padded.trim_end_matches('=').into()]);
        for form in forms {
            let list = KeyList::parse(&form).unwrap();
            assert_eq!(list.0, [<[u8; 32]>::try_from(raw.as_slice()).unwrap()]);
        }
    }

    #[test]
    fn several_keys_are_told_apart() {
        let other = "ff".repeat(32);
        for text in [format!("{other},{HEX}"), format!("\n{other}\n\n{HEX}\n"), format!("{other} , {HEX}")] {
            let list = KeyList::parse(text.as_bytes()).unwrap();
            assert_eq!((list.0.len(), list.0[0]), (2, [0xff; 32]));
        }
        let both = keys(&format!("{other},{HEX}"));
        assert!(both.has(keys(HEX).current()) && both.current() == keys(&other).current());
        assert!(!keys(HEX).has(both.current()));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let short = &HEX[1..];
        for text in ["", " \n", "secret", short, &format!("{HEX}0"), &format!("{HEX},secret"), &"z".repeat(64)] {
            let error = KeyList::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(EXPECTED) && !error.contains("secret") && !error.contains(short), "{error}");
        }
        assert!(KeyList::parse(&[0xff; 33]).is_err());
        assert_eq!(format!("{:?}", KeyList::parse(HEX.as_bytes()).unwrap()), "KeyList(1 keys)");
    }

    #[test]
    fn what_was_sealed_opens_only_at_its_place() {
        let keys = keys(HEX);
        let cipher = |info: &[&[u8]]| keys.cipher(keys.current(), info).unwrap();
        let mut sealed = b"head, secret".to_vec();
        cipher(&[b"a\0", b"b"]).seal([1; 12], b"here", &mut sealed, 6).unwrap();
        assert!(sealed.starts_with(b"head, ") && sealed.len() == 12 + TAG_BYTES && !sealed.ends_with(b"secret"));
        let open = |info: &[&[u8]], nonce: u8, context: &[u8]| {
            let mut sealed = sealed[6..].to_vec();
            cipher(info).open([nonce; 12], context, &mut sealed).map(<[u8]>::to_vec)
        };
        assert_eq!(open(&[b"a\0", b"b"], 1, b"here").as_deref(), Some(&b"secret"[..]));
        assert_eq!(open(&[b"a\0", b"c"], 1, b"here"), None);
        assert_eq!(open(&[b"a\0", b"b"], 2, b"here"), None);
        assert_eq!(open(&[b"a\0", b"b"], 1, b"there"), None);
        let others = KeyList::parse(HEX.as_bytes()).unwrap().of(&[2; SALT_BYTES]).unwrap();
        assert!(others.current() != keys.current() && keys.cipher(others.current(), &[]).is_err());
    }

    #[test]
    fn names_read_back() {
        let id = keys(HEX).current();
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        assert_eq!(KeyId::from_bytes(*id.as_bytes()), id);
        for text in ["", "00", "zz00000000000000", "000000000000000000"] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }
}
