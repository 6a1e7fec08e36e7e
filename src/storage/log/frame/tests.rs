//! Logs that are sealed: what is found of them again, and what is not taken for them.

use super::super::disk::{Disk, MemoryDisk};
use super::super::entry::{Entry, Write, WriteValue};
use super::super::file;
use super::super::writer::{Log, LogOptions};
use super::*;
use crate::storage::seal::KeyList;
use crate::txn::TxnId;
use crate::value::TreeId;

const MARKER: &[u8] = b"a marker that nobody may ever see";
const SMALL: LogOptions = LogOptions { file_bytes: 8192, prepares_ahead: false };

fn keys(list: &[u8]) -> Arc<Keys> {
    let words: Vec<String> = list.iter().map(|byte| format!("{byte:02x}").repeat(32)).collect();
    Arc::new(KeyList::parse(words.join(",").as_bytes()).unwrap().of(&[1; 32]).unwrap())
}

/// A commit that writes the marker.
fn entry(seq: u64) -> Entry {
    let write =
        Write { tree: TreeId(1), key: seq.to_be_bytes().to_vec().into(), value: WriteValue::Put(MARKER.into()) };
    Entry { seq, txn: TxnId { timestamp: seq, nonce: 1 }, writes: vec![write] }
}

fn entries(seqs: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    seqs.map(entry).collect()
}

fn try_open(disk: &Arc<MemoryDisk>, list: &[u8]) -> Result<(Log, Vec<Entry>)> {
    let disk: Arc<dyn Disk> = Arc::<MemoryDisk>::clone(disk);
    let keys = (!list.is_empty()).then(|| keys(list));
    Log::open_sealed(disk, keys, 0, SMALL)
}

fn open(disk: &Arc<MemoryDisk>, list: &[u8]) -> (Log, Vec<Entry>) {
    try_open(disk, list).unwrap()
}

/// A disk with a log of these commits, each in a block of its own, sealed with key 1.
fn logged(count: u64) -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::new());
    let (mut log, _) = open(&disk, &[1]);
    for entry in entries(1..=count) {
        log.append(&[entry]).unwrap();
    }
    disk
}

/// A disk with only a first file.
fn with_file(bytes: &[u8]) -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::new());
    disk.create(&file::name(1), bytes.len() as u64).unwrap();
    disk.write_at(&file::name(1), 0, bytes).unwrap();
    disk
}

/// The bytes of the first file of three commits, and where its frames begin and the last one ends.
fn three() -> (Vec<u8>, [usize; 4]) {
    let bytes = logged(3).read(&file::name(1)).unwrap();
    let (framing, buffer) = (Framing::new(Some(keys(&[1]))), Buffer::from(bytes.clone()));
    let mut at = file::read_header(&bytes).unwrap().bytes;
    let places = [(); 4].map(|()| {
        let place = at;
        at += framing.decode(&buffer, at, 1).map_or(0, |block| block.bytes);
        place
    });
    assert_eq!(framing.decode(&buffer, places[3], 1).map(|block| block.bytes), Err(Fault::End));
    assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
    (bytes, places)
}

#[test]
fn a_sealed_log_goes_on_where_it_ended_and_shows_nothing() {
    let disk = logged(20);
    let (mut log, found) = open(&disk, &[1]);
    assert_eq!(found, entries(1..=20));
    log.append(&entries(21..=23)).unwrap();
    let mut large = entry(24);
    large.writes[0].value = WriteValue::Put(MARKER.repeat(1000).into());
    log.append(std::slice::from_ref(&large)).unwrap();
    assert_eq!(open(&disk, &[1]).1, [entries(1..=23), vec![large]].concat());
    let names = disk.list().unwrap();
    assert!(names.len() > 3, "{names:?}");
    for name in names {
        let bytes = disk.read(&name).unwrap();
        assert!(!bytes.windows(MARKER.len()).any(|part| part == MARKER), "{name}");
    }
}

#[test]
fn a_log_that_is_cut_off_anywhere_is_cut_to_whole_frames() {
    let (whole, places) = three();
    let ends = &places[1..];
    for len in (places[0]..places[3]).step_by(5).chain(ends.iter().copied()) {
        for is_padded in [false, true] {
            let mut bytes = whole[..len].to_vec();
            bytes.resize(if is_padded { 8192 } else { len }, 0);
            // A tag may end in zeros.
            let is_whole = |end: &&usize| bytes.get(..**end) == Some(&whole[..**end]);
            let kept = ends.iter().filter(is_whole).count() as u64;
            let disk = with_file(&bytes);
            let (mut log, found) = open(&disk, &[1]);
            assert_eq!(found, entries(1..=kept), "{len}");
            log.append(&entries(kept + 1..=kept + 2)).unwrap();
            assert_eq!(open(&disk, &[1]).1, entries(1..=kept + 2), "{len}");
        }
    }
}

#[test]
fn a_damaged_byte_never_goes_unnoticed() {
    let (whole, places) = three();
    for at in (places[0]..places[3]).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        match try_open(&with_file(&bytes), &[1]) {
            // The last frame may have been in the making.
            Ok((_, found)) => assert!(at >= places[2] && found == entries(1..=2), "{at}"),
            Err(error) => assert!(at < places[2] && error.message().contains(&file::name(1)), "{at}: {error}"),
        }
    }
}

#[test]
fn a_frame_is_none_at_another_place() {
    let (whole, places) = three();
    let frame = |number: usize| &whole[places[number]..places[number + 1]];
    assert_eq!(frame(0).len(), frame(1).len());
    let swapped = [&whole[..places[0]], frame(1), frame(0), &whole[places[2]..]].concat();
    let error = try_open(&with_file(&swapped), &[1]).unwrap_err();
    let expected =
        format!("has no block at byte {} (it is not what was encrypted), but there is a whole one", places[0]);
    assert!(error.message().contains(&expected), "{error}");

    let framing = Framing::new(Some(keys(&[1])));
    let buffer = Buffer::from(whole);
    assert!(framing.decode(&buffer, places[0], 1).is_ok());
    assert_eq!(
        framing.decode(&buffer, places[0], 2).map(|block| block.bytes),
        Err(Fault::Broken("it is not what was encrypted"))
    );
    assert_eq!(framing.find(&buffer, places[0] + 1, 1), Some(places[1]));
    assert_eq!(framing.find(&buffer, places[2] + 1, 1), None);
}

#[test]
fn a_log_is_read_with_older_keys_and_written_with_the_newest() {
    let disk = logged(2);
    let (mut log, found) = open(&disk, &[2, 1]);
    assert_eq!(found, entries(1..=2));
    log.append(&entries(3..=3)).unwrap();
    assert_eq!(open(&disk, &[1, 2]).1, entries(1..=3));
    for list in [&[1][..], &[2], &[3]] {
        let error = try_open(&disk, list).unwrap_err();
        assert!(error.message().contains("which --at_rest_key does not give"), "{error}");
    }
    assert_eq!(open(&disk, &[2, 1]).1, entries(1..=3), "a log that was not opened is as it was");
}

#[test]
fn a_log_with_a_key_is_none_without_and_the_other_way_round() {
    let sealed = logged(1);
    assert!(try_open(&sealed, &[]).unwrap_err().message().ends_with("it is encrypted"));
    let plain = Arc::new(MemoryDisk::new());
    open(&plain, &[]).0.append(&entries(1..=1)).unwrap();
    assert!(try_open(&plain, &[1]).unwrap_err().message().ends_with("it is not encrypted"));
    assert_eq!((open(&sealed, &[1]).1, open(&plain, &[]).1), (entries(1..=1), entries(1..=1)));
}
