//! Manifests: which segments a store consists of.
//!
//! A checkpoint writes a new manifest, which replaces the one before as a whole; then log entries up to its floor are
//! not needed any more. Files: `manifest/<number>.json`, numbers ascending, one JSON document on one line each:
//!
//! ```json
//! {"format":1,"crc32c":"e3069283","manifest":{"number":4,"floor_seq":120,"next_tree":9,"next_segment":31,"segments":[]
//! }}
//! ```
//!
//! The checksum is the CRC-32C, in 8 hexadecimal digits, of the bytes of the value of `manifest` as they stand there.
//! Segments are as in [`SegmentMeta`].
//!
//! The newest manifest is the one that counts, and the one before is kept for a person to look at. If the newest is
//! damaged, the store does not open by itself: a manifest gets its name only when it is whole and durable (see
//! [`super::files`]), so the damage came later; and the log may no longer have what happened after the one before. To
//! go on with that would lose commits without a word.

use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use serde_json::{Value as Json, json};

use super::files::{list_manifests, manifest_path, object_error};
use super::segment::SegmentMeta;
use crate::error::{Error, Result};

/// The version of the files that this release writes.
const FORMAT: u64 = 1;
/// How many manifests are kept: the newest, and the one before.
pub(super) const KEPT: usize = 2;

/// The segments of a store after a checkpoint.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Manifest {
    /// Counts manifests, from 1.
    pub number: u64,
    /// Commits up to this one are in the segments; later ones are in the log.
    pub floor_seq: u64,
    /// Trees from this number on were never used.
    pub next_tree: u64,
    /// Segments from this number on were never listed. There may be files of them, which a crash left.
    pub next_segment: u64,
    /// In no order that means anything.
    pub segments: Vec<SegmentMeta>,
}

impl Manifest {
    /// The newest manifest, nothing in a new store.
    ///
    /// # Errors
    /// `Internal` if it cannot be read, is damaged, or was written by a newer release.
    pub async fn load(objects: &dyn ObjectStore) -> Result<Option<Self>> {
        let numbers = list_manifests(objects).await?;
        let Some(number) = numbers.last().copied() else {
            return Ok(None);
        };
        let path = manifest_path(number);
        let explain = |error| object_error("read", &path, error);
        let bytes = objects.get(&path).await.map_err(explain)?.bytes().await.map_err(explain)?;
        let damaged = |what: String| {
            let earlier = numbers
                .iter()
                .nth_back(1)
                .map(|earlier| format!("; {} is older and lacks what was committed since", manifest_path(*earlier)));
            Error::internal(format!("{path} is damaged: {what}{}", earlier.unwrap_or_default()))
        };
        let manifest = Self::decode(&bytes).map_err(damaged)?;
        if manifest.number != number {
            return Err(damaged(format!("it is number {}", manifest.number)));
        }
        Ok(Some(manifest))
    }

    /// Writes this manifest, which is durable and the newest then.
    ///
    /// # Errors
    /// `Internal` if it cannot be written, or if there is one of this number: someone else uses the store.
    pub async fn save(&self, objects: &dyn ObjectStore) -> Result<()> {
        let path = manifest_path(self.number);
        let text = PutPayload::from(self.encode());
        let put = objects.put_opts(&path, text, PutMode::Create.into()).await;
        put.map(|_| ()).map_err(|error| object_error("write", &path, error))
    }

    /// Deletes manifests that are older than the last two.
    ///
    /// # Errors
    /// `Internal` if they cannot be deleted, which can be tried again.
    pub async fn prune(objects: &dyn ObjectStore) -> Result<()> {
        let numbers = list_manifests(objects).await?;
        for number in numbers.iter().rev().skip(KEPT) {
            let path = manifest_path(*number);
            match objects.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(object_error("delete", &path, error)),
            }
        }
        Ok(())
    }

    fn encode(&self) -> String {
        let manifest = json!({
            "number": self.number,
            "floor_seq": self.floor_seq,
            "next_tree": self.next_tree,
            "next_segment": self.next_segment,
            "segments": self.segments.iter().map(SegmentMeta::to_json).collect::<Vec<_>>(),
        });
        let text = manifest.to_string();
        let crc = crc32c::crc32c(text.as_bytes());
        format!("{{\"format\":{FORMAT},\"crc32c\":\"{crc:08x}\",\"manifest\":{text}}}\n")
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string())?;
        let json: Json = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        match json.get("format").and_then(Json::as_u64) {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("it has format {other}, but this release reads format {FORMAT}")),
            None => return Err("it does not name its format".to_string()),
        }
        let crc = json.get("crc32c").and_then(Json::as_str);
        let crc = crc.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or("it has no checksum")?;
        let body = body(text).ok_or("it has no manifest")?;
        if crc32c::crc32c(body.as_bytes()) != crc {
            return Err("it has a wrong checksum".to_string());
        }
        let manifest = json.get("manifest").ok_or("it has no manifest")?;
        let number =
            |name: &str| manifest.get(name).and_then(Json::as_u64).ok_or_else(|| format!("it has no number {name:?}"));
        let segments = manifest.get("segments").and_then(Json::as_array).ok_or("it has no segments")?;
        let segments = segments.iter().map(SegmentMeta::from_json).collect::<Result<Vec<_>>>();
        let manifest = Self {
            number: number("number")?,
            floor_seq: number("floor_seq")?,
            next_tree: number("next_tree")?,
            next_segment: number("next_segment")?,
            segments: segments.map_err(|error| error.message().to_string())?,
        };
        match manifest.segments.iter().find(|segment| segment.id >= manifest.next_segment) {
            Some(segment) => Err(format!("segment {} is not below its bound {}", segment.id, manifest.next_segment)),
            None => Ok(manifest),
        }
    }
}

/// The bytes of the value of `manifest`. What comes before it is written by us, and has no other name that reads so.
fn body(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\"manifest\":")?;
    rest.trim_end().strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::storage::files::open_object_store;
    use crate::storage::segment::Fence;
    use crate::value::TreeId;

    fn segment(id: u64) -> SegmentMeta {
        SegmentMeta {
            id,
            tree: TreeId(3),
            seq: u64::MAX,
            ordinal: 1,
            rows: 10,
            tombstones: 2,
            bytes: 1 << 60,
            footer_bytes: 100,
            footer_crc: 7,
            min_key: b"\"manifest\":".to_vec(),
            max_key: vec![0xff; 3],
            slots: vec![0],
            fences: vec![Fence { row: 0, key: vec![1] }],
        }
    }

    fn manifest(number: u64) -> Manifest {
        let segments = vec![segment(1), segment(5)];
        Manifest { number, floor_seq: (1 << 53) + 1, next_tree: u64::MAX, next_segment: 6, segments }
    }

    #[test]
    fn a_manifest_reads_back() {
        let text = manifest(3).encode();
        assert!(text.starts_with("{\"format\":1,\"crc32c\":\"") && text.ends_with("}\n"), "{text}");
        assert_eq!(Manifest::decode(text.as_bytes()).unwrap(), manifest(3));
        assert_eq!(Manifest::decode(Manifest::default().encode().as_bytes()).unwrap(), Manifest::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = Manifest::decode(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let text = manifest(3).encode();
        check("", "not JSON");
        check(&text[..text.len() / 2], "not JSON");
        check("{}", "does not name its format");
        check(&text.replace("{\"format\":1", "{\"format\":2"), "it has format 2, but this release reads format 1");
        check("{\"format\":1}", "no checksum");
        check("{\"format\":1,\"crc32c\":\"00000000\"}", "no manifest");
        check(&text.replace("\"number\":3", "\"number\":4"), "wrong checksum");
        check(&Manifest { next_segment: 5, ..manifest(3) }.encode(), "segment 5 is not below its bound 5");
    }

    #[tokio::test]
    async fn the_newest_counts_and_the_one_before_is_kept() {
        let root = tempfile::tempdir().unwrap();
        for objects in [open_object_store(None).unwrap(), open_object_store(Some(root.path())).unwrap()] {
            assert_eq!(Manifest::load(&*objects).await.unwrap(), None);
            for number in 1..=4 {
                manifest(number).save(&*objects).await.unwrap();
                assert_eq!(Manifest::load(&*objects).await.unwrap(), Some(manifest(number)));
            }
            Manifest::prune(&*objects).await.unwrap();
            assert_eq!(list_manifests(&*objects).await.unwrap(), [3, 4]);
            let error = manifest(4).save(&*objects).await.unwrap_err();
            assert!(error.message().contains("as if another host used this store"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_damaged_manifest_is_not_passed_over() {
        let objects = open_object_store(None).unwrap();
        for number in 1..=2 {
            manifest(number).save(&*objects).await.unwrap();
        }
        let damage = |text: String| {
            let objects = Arc::clone(&objects);
            async move { objects.put(&manifest_path(2), text.into()).await.unwrap() }
        };
        damage("{".to_string()).await;
        let error = Manifest::load(&*objects).await.unwrap_err();
        let expected = "manifest/00000000000000000002.json is damaged: it is not JSON";
        assert!(error.message().starts_with(expected), "{error}");
        assert!(error.message().contains("manifest/00000000000000000001.json is older"), "{error}");

        damage(manifest(1).encode()).await;
        let error = Manifest::load(&*objects).await.unwrap_err();
        assert!(error.message().contains("it is number 1"), "{error}");
    }

    proptest! {
        #[test]
        fn no_turned_bit_goes_unnoticed(at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let mut bytes = manifest(3).encode().into_bytes();
            // The line end at the end says nothing.
            let at = at.index(bytes.len() - 1);
            bytes[at] ^= 1 << bit;
            if let Ok(read) = Manifest::decode(&bytes) {
                prop_assert_eq!(read, manifest(3));
            }
        }
    }
}
