//! What is known of a segment without reading its file.
//!
//! It is written as JSON into manifests, and into the log where a transaction brings a segment of its own:
//!
//! ```json
//! {"format": 1, "id": 7, "tree": 3, "seq": 120, "ordinal": 0, "rows": 1000, "tombstones": 2, "bytes": 8192,
//!  "footer": {"bytes": 900, "crc32c": 305419896}, "min": "8001", "max": "80ff", "slots": [0, 1],
//!  "fences": [[0, "8001"], [500, "807f"]]}
//! ```
//!
//! Numbers are unsigned, `id`, `seq`, `rows`, `tombstones` and `bytes` of 64 bits; keys are hexadecimal.

use std::ops::Bound;

use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::storage::codec::{KeyRange, successor};
use crate::value::TreeId;

/// The version of the JSON that this release writes.
const FORMAT: u64 = 1;
/// How many fences a segment has at most: what a scan may be split into, with some to spare for uneven ranges.
pub(super) const FENCES_MAX: usize = 32;
/// Bytes of the key of a fence that are kept.
pub(super) const FENCE_KEY_BYTES_MAX: usize = 32;

/// A segment, as manifests list it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SegmentMeta {
    /// Names its file. Ids are never used twice.
    pub id: u64,
    pub tree: TreeId,
    /// The newest commit in it. In a segment that a transaction wrote, that commit wrote all its rows; 0 until then.
    pub seq: u64,
    /// Tells apart segments of one commit in one tree: where two hold a key, that with the higher number wins.
    pub ordinal: u32,
    /// Rows, tombstones included.
    pub rows: u64,
    /// Rows that say that a key was deleted.
    pub tombstones: u64,
    /// The size of the file.
    pub bytes: u64,
    /// The size of the last part of the file, which says where everything else is.
    pub footer_bytes: u32,
    /// The CRC-32C of that part.
    pub footer_crc: u32,
    /// The first and the last key.
    pub min_key: Vec<u8>,
    pub max_key: Vec<u8>,
    /// The slots of the value columns that it has.
    pub slots: Vec<u32>,
    /// Where it may be divided, ascending, the first one at row 0. There are a few dozen at most.
    pub fences: Vec<Fence>,
}

/// A place where the rows of a segment may be divided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fence {
    /// How many rows come before it.
    pub row: u64,
    /// A key that no earlier row begins with or follows, except for rows that agree with it in all these bytes: the key
    /// of that row, cut off after a few bytes.
    pub key: Vec<u8>,
}

impl SegmentMeta {
    /// The keys from the first to the last.
    pub fn key_range(&self) -> KeyRange {
        KeyRange { start: Bound::Included(self.min_key.clone()), end: Bound::Included(self.max_key.clone()) }
    }

    /// Whether `key` is none that this segment cannot have.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.min_key.as_slice() <= key && key <= self.max_key.as_slice()
    }

    /// How many rows there are in `range` at most, tombstones included.
    pub fn rows_max_in(&self, range: &KeyRange) -> u64 {
        if !range.intersects(&self.min_key, &self.max_key) {
            return 0;
        }
        let ends = self.fences.iter().skip(1).map(Some).chain([None]);
        let parts = self.fences.iter().zip(ends);
        let rows = parts.filter(|(fence, next)| range.overlaps(&self.part(fence, *next)));
        rows.map(|(fence, next)| next.map_or(self.rows, |next| next.row).saturating_sub(fence.row)).sum()
    }

    /// A range that has all keys from one fence to the next.
    fn part(&self, fence: &Fence, next: Option<&Fence>) -> KeyRange {
        let end = match next {
            None => Bound::Included(self.max_key.clone()),
            // Rows before the next fence may begin with the same bytes as its key, which was cut off.
            Some(next) => successor(&next.key).map_or(Bound::Unbounded, Bound::Excluded),
        };
        KeyRange { start: Bound::Included(fence.key.clone()), end }
    }

    /// This as JSON, which [`SegmentMeta::from_json`] reads.
    pub fn to_json(&self) -> Json {
        let fences: Vec<Json> = self.fences.iter().map(|fence| json!([fence.row, hex::encode(&fence.key)])).collect();
        json!({
            "format": FORMAT,
            "id": self.id,
            "tree": self.tree.0,
            "seq": self.seq,
            "ordinal": self.ordinal,
            "rows": self.rows,
            "tombstones": self.tombstones,
            "bytes": self.bytes,
            "footer": { "bytes": self.footer_bytes, "crc32c": self.footer_crc },
            "min": hex::encode(&self.min_key),
            "max": hex::encode(&self.max_key),
            "slots": self.slots,
            "fences": fences,
        })
    }

    /// Reads what [`SegmentMeta::to_json`] wrote, in this release or an earlier one.
    ///
    /// # Errors
    /// `Internal` if it has another format or is not whole, naming what is wrong.
    pub fn from_json(json: &Json) -> Result<Self> {
        match json.get("format").and_then(Json::as_u64) {
            Some(FORMAT) => {
                Self::of_json(json).map_err(|what| Error::internal(format!("a segment has {what}: {json}")))
            }
            Some(other) => Err(Error::internal(format!(
                "a segment has format {other}, but this release reads format {FORMAT}: use a newer release"
            ))),
            None => Err(Error::internal(format!("a segment does not name its format: {json}"))),
        }
    }

    fn of_json(json: &Json) -> Result<Self, String> {
        let footer = json.get("footer").ok_or_else(|| "no \"footer\"".to_string())?;
        let meta = Self {
            id: number(json, "id")?,
            tree: TreeId(number(json, "tree")?),
            seq: number(json, "seq")?,
            ordinal: short(json, "ordinal")?,
            rows: number(json, "rows")?,
            tombstones: number(json, "tombstones")?,
            bytes: number(json, "bytes")?,
            footer_bytes: short(footer, "bytes")?,
            footer_crc: short(footer, "crc32c")?,
            min_key: key(json.get("min"), "min")?,
            max_key: key(json.get("max"), "max")?,
            slots: list(json, "slots")?.iter().map(|slot| short_of(slot, "slots")).collect::<Result<_, _>>()?,
            fences: list(json, "fences")?.iter().map(fence).collect::<Result<_, _>>()?,
        };
        meta.check()?;
        Ok(meta)
    }

    /// Checks what readers rely on.
    fn check(&self) -> Result<(), String> {
        let is_ascending = self.fences.windows(2).all(|pair| pair[0].row < pair[1].row && pair[0].key <= pair[1].key);
        if self.rows == 0 || self.tombstones > self.rows {
            return Err(format!("{} tombstones among {} rows", self.tombstones, self.rows));
        }
        if self.min_key > self.max_key {
            return Err("a first key above its last key".to_string());
        }
        if u64::from(self.footer_bytes) > self.bytes {
            return Err("a \"footer\" that is larger than its file".to_string());
        }
        if !is_ascending || self.fences.first().is_none_or(|fence| fence.row != 0) {
            return Err("\"fences\" that are not in order".to_string());
        }
        Ok(())
    }
}

fn number(json: &Json, name: &str) -> Result<u64, String> {
    json.get(name).and_then(Json::as_u64).ok_or_else(|| format!("no number {name:?}"))
}

fn short(json: &Json, name: &str) -> Result<u32, String> {
    short_of(json.get(name).unwrap_or(&Json::Null), name)
}

fn short_of(json: &Json, name: &str) -> Result<u32, String> {
    json.as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| format!("no number of 32 bits in {name:?}"))
}

fn list<'a>(json: &'a Json, name: &str) -> Result<&'a Vec<Json>, String> {
    json.get(name).and_then(Json::as_array).ok_or_else(|| format!("no list {name:?}"))
}

fn key(json: Option<&Json>, name: &str) -> Result<Vec<u8>, String> {
    let digits = json.and_then(Json::as_str).ok_or_else(|| format!("no key {name:?}"))?;
    hex::decode(digits).map_err(|_| format!("a key {name:?} that is not hexadecimal"))
}

fn fence(json: &Json) -> Result<Fence, String> {
    let row = json.get(0).and_then(Json::as_u64).ok_or_else(|| "a fence without its row".to_string())?;
    Ok(Fence { row, key: key(json.get(1), "fences")? })
}

/// Chooses a few of the blocks of a segment as fences, given the first key and the number of rows of each.
pub(super) fn fences_of<'a>(blocks: impl ExactSizeIterator<Item = (&'a [u8], u64)>) -> Vec<Fence> {
    let step = blocks.len().div_ceil(FENCES_MAX).max(1);
    let mut fences = vec![];
    let mut row = 0;
    for (number, (key, rows)) in blocks.enumerate() {
        if number % step == 0 {
            fences.push(Fence { row, key: key[..key.len().min(FENCE_KEY_BYTES_MAX)].to_vec() });
        }
        row += rows;
    }
    fences
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> SegmentMeta {
        SegmentMeta {
            id: u64::MAX,
            tree: TreeId(u64::MAX - 1),
            seq: (1 << 53) + 1,
            ordinal: u32::MAX,
            rows: 100,
            tombstones: 3,
            bytes: u64::MAX,
            footer_bytes: 900,
            footer_crc: u32::MAX,
            min_key: vec![0],
            max_key: vec![0xff, 0],
            slots: vec![0, 2],
            fences: vec![Fence { row: 0, key: vec![0] }, Fence { row: 40, key: vec![0x80] }],
        }
    }

    #[test]
    fn numbers_are_exact_and_keys_are_bytes() {
        let text = sample().to_json().to_string();
        let json: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(SegmentMeta::from_json(&json).unwrap(), sample());
    }

    #[test]
    fn what_is_not_whole_is_refused_by_name() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut Json), expected: &str) {
            let mut json = sample().to_json();
            change(&mut json);
            let error = SegmentMeta::from_json(&json).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
        check(|json| json["format"] = 2.into(), "use a newer release");
        check(|json| json["format"] = Json::Null, "does not name its format");
        check(|json| json["seq"] = (-1).into(), "no number \"seq\"");
        check(|json| json["ordinal"] = (1u64 << 32).into(), "no number of 32 bits in \"ordinal\"");
        check(|json| json["footer"] = Json::Null, "no number of 32 bits in \"bytes\"");
        check(|json| json["min"] = "zz".into(), "not hexadecimal");
        check(|json| json["min"] = "ffff".into(), "a first key above its last key");
        check(|json| json["tombstones"] = 101.into(), "101 tombstones among 100 rows");
        check(|json| json["slots"] = "0".into(), "no list \"slots\"");
        check(|json| json["fences"] = json!([]), "not in order");
        check(|json| json["fences"] = json!([[0]]), "no key \"fences\"");
        check(|json| json["fences"] = json!([[0, "01"], [0, "02"]]), "not in order");
    }

    #[test]
    fn rows_are_counted_by_fences() {
        let range =
            |start: u8, end: u8| KeyRange { start: Bound::Included(vec![start]), end: Bound::Excluded(vec![end]) };
        let meta = sample();
        assert_eq!(meta.rows_max_in(&KeyRange::all()), 100);
        assert_eq!(meta.rows_max_in(&range(0x10, 0x20)), 40);
        assert_eq!(meta.rows_max_in(&range(0x90, 0xa0)), 60);
        assert_eq!(meta.rows_max_in(&range(0x10, 0x90)), 100);
        // A key before the fence may begin with its bytes, since it was cut off.
        assert_eq!(meta.rows_max_in(&KeyRange::point(vec![0x80, 1])), 100);
        assert_eq!(meta.rows_max_in(&KeyRange::point(vec![0xff, 1])), 0);
        assert!(meta.may_contain(&[0xff]) && !meta.may_contain(&[0xff, 1]));
    }

    #[test]
    fn fences_are_few_and_short() {
        let keys: Vec<Vec<u8>> = (0..1000u32).map(|n| [&n.to_be_bytes()[..], &[7; 100]].concat()).collect();
        let fences = fences_of(keys.iter().map(|key| (key.as_slice(), 10)));
        assert!(fences.len() <= FENCES_MAX && fences.len() > FENCES_MAX / 2);
        assert_eq!((fences[0].row, fences[1].row), (0, 320));
        assert!(fences.iter().all(|fence| fence.key.len() == FENCE_KEY_BYTES_MAX));
        assert!(fences_of(std::iter::empty()).is_empty());
    }

    proptest! {
        #[test]
        fn any_meta_reads_back(
            numbers in any::<[u64; 4]>(), words in any::<[u32; 3]>(), mut keys in any::<[Vec<u8>; 2]>(),
            slots in any::<Vec<u32>>(),
        ) {
            keys.sort();
            let [min_key, max_key] = keys;
            let [id, tree, seq, rows] = numbers;
            let meta = SegmentMeta {
                id, tree: TreeId(tree), seq, ordinal: words[0], rows: rows.max(1), tombstones: rows / 2,
                bytes: u64::MAX, footer_bytes: words[1], footer_crc: words[2], fences: vec![Fence { row: 0, key: min_key.clone() }],
                min_key, max_key, slots,
            };
            let json: Json = serde_json::from_str(&meta.to_json().to_string()).unwrap();
            prop_assert_eq!(SegmentMeta::from_json(&json).unwrap(), meta);
        }
    }
}
