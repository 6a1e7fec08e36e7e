use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::ipc::writer::StreamWriter;

use super::*;
use crate::error::Kind;
use crate::txn::TxnId;
use crate::value::TreeId;

const SMALL: LogOptions = LogOptions { file_bytes: 8192, prepares_ahead: false };

/// Counts what is asked of a disk, and fails where it is told to.
#[derive(Debug, Default)]
struct Watched {
    disk: MemoryDisk,
    writes: AtomicU32,
    syncs: AtomicU32,
    /// Which of the next operations of a kind fails, counted from 1; 0 is none.
    fail_create: AtomicU32,
    fail_write: AtomicU32,
    fail_sync: AtomicU32,
}

impl Watched {
    fn step(countdown: &AtomicU32) -> io::Result<()> {
        let down = |count: u32| count.checked_sub(1);
        let before = countdown.fetch_update(Ordering::Relaxed, Ordering::Relaxed, down);
        if before == Ok(1) { Err(io::Error::other("the disk is on fire")) } else { Ok(()) }
    }
}

impl Disk for Watched {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str, len: u64) -> io::Result<()> {
        Self::step(&self.fail_create)?;
        self.disk.create(name, len)
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.disk.read(name)
    }
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Self::step(&self.fail_write)?;
        self.disk.write_at(name, offset, bytes)
    }
    fn sync(&self, name: &str) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Self::step(&self.fail_sync)?;
        self.disk.sync(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
}

/// A commit that writes `bytes` bytes.
fn entry_of(seq: u64, bytes: usize) -> Entry {
    let write = |tree, value| Write { tree: TreeId(tree), key: seq.to_be_bytes().to_vec().into(), value };
    let payload: Arc<[u8]> = vec![seq as u8; bytes].into();
    let writes = vec![write(1, WriteValue::Put(payload)), write(2, WriteValue::Delete)];
    Entry { seq, txn: TxnId { timestamp: 1000 + seq, nonce: 3 }, writes }
}

fn entries(seqs: RangeInclusive<u64>) -> Vec<Entry> {
    seqs.map(|seq| entry_of(seq, 10)).collect()
}

#[track_caller]
fn open(disk: &Arc<Watched>, floor: u64) -> (Log, Vec<Entry>) {
    try_open(disk, floor).unwrap()
}

fn try_open(disk: &Arc<Watched>, floor: u64) -> crate::error::Result<(Log, Vec<Entry>)> {
    let disk: Arc<dyn Disk> = Arc::<Watched>::clone(disk);
    Log::open_with(disk, floor, SMALL)
}

/// A disk with a log of these commits, each in a block of its own.
fn logged(seqs: RangeInclusive<u64>) -> Arc<Watched> {
    let disk = Arc::new(Watched::default());
    let (mut log, found) = open(&disk, seqs.start() - 1);
    assert!(found.is_empty());
    for entry in entries(seqs) {
        log.append(&[entry]).unwrap();
    }
    disk
}

/// The names of the log files.
fn files(disk: &Watched) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| file::first_seq(name).is_some());
    names
}

/// A disk with only this file.
fn with_file(name: &str, bytes: &[u8]) -> Arc<Watched> {
    let disk = Arc::new(Watched::default());
    disk.create(name, bytes.len() as u64).unwrap();
    disk.write_at(name, 0, bytes).unwrap();
    disk
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let disk = Arc::new(Watched::default());
    let (mut log, found) = open(&disk, 0);
    assert!(found.is_empty() && log.next_seq() == 1 && log.bytes() == 0);
    log.append(&entries(1..=3)).unwrap();
    log.append(&[]).unwrap();
    log.append(&[Entry { writes: vec![], ..entry_of(4, 0) }]).unwrap();

    let (mut log, found) = open(&disk, 0);
    assert_eq!(found[..3], entries(1..=3));
    assert_eq!((found[3].seq, found[3].writes.len(), log.next_seq()), (4, 0, 5));
    log.append(&entries(5..=5)).unwrap();
    assert_eq!(open(&disk, 3).1.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 5]);
    assert!(open(&disk, 5).1.is_empty());
    assert_eq!(files(&disk), [file::name(1)]);
}

#[test]
fn a_group_costs_one_write_and_one_sync() {
    let disk = logged(1..=1);
    let (mut log, _) = open(&disk, 0);
    let before = (disk.writes.load(Ordering::Relaxed), disk.syncs.load(Ordering::Relaxed));
    log.append(&entries(2..=6)).unwrap();
    assert_eq!((disk.writes.load(Ordering::Relaxed), disk.syncs.load(Ordering::Relaxed)), (before.0 + 1, before.1 + 1));
}

#[test]
fn files_follow_each_other_and_a_large_block_has_its_own() {
    let disk = logged(1..=20);
    let (mut log, found) = open(&disk, 0);
    assert_eq!(found, entries(1..=20));
    let before = files(&disk).len();
    assert!(before > 2, "{before}");
    log.append(&[entry_of(21, 100_000)]).unwrap();
    log.append(&entries(22..=22)).unwrap();
    assert_eq!(files(&disk)[before..], [file::name(21), file::name(22)]);
    assert!(log.bytes() > 100_000);

    let (_, found) = open(&disk, 20);
    assert_eq!(found, [entry_of(21, 100_000), entry_of(22, 10)]);
    for name in files(&disk) {
        let bytes = disk.read(&name).unwrap();
        assert!(name == file::name(21) || bytes.len() == 8192);
        assert!(read_blocks(bytes).unwrap().all(|block| block.is_ok()));
    }
}

#[test]
fn what_is_in_segments_is_deleted_by_whole_files() {
    let disk = logged(1..=20);
    let (mut log, _) = open(&disk, 0);
    let (before, bytes) = (files(&disk), log.bytes());
    let second = file::first_seq(&before[1]).unwrap();
    log.truncate(second - 2).unwrap();
    assert_eq!(files(&disk), before);
    log.truncate(second - 1).unwrap();
    assert_eq!(files(&disk), before[1..]);
    assert!(log.bytes() < bytes);
    assert_eq!(open(&disk, second - 1).1, entries(second..=20));

    let error = try_open(&disk, second - 2).unwrap_err();
    let expected = format!("it starts with {}, but commit {} is missing", before[1], second - 1);
    assert!(error.message().contains(&expected), "{error}");

    let (mut log, _) = open(&disk, 20);
    log.truncate(u64::MAX).unwrap();
    assert_eq!(files(&disk), before[before.len() - 1..]);
    log.append(&entries(21..=21)).unwrap();
    assert_eq!(open(&disk, 20).1, entries(21..=21));
}

#[test]
fn a_log_that_was_sealed_is_deleted_as_a_whole() {
    let disk = logged(1..=20);
    let (mut log, _) = open(&disk, 0);
    log.seal().unwrap();
    log.truncate(19).unwrap();
    assert_eq!(files(&disk).len(), 1);
    log.truncate(20).unwrap();
    assert_eq!((files(&disk).len(), log.bytes(), log.next_seq()), (0, 0, 21));
    let (mut log, found) = open(&disk, 20);
    assert!(found.is_empty());
    log.append(&entries(21..=22)).unwrap();

    // What came after the seal is in a file of its own.
    log.seal().unwrap();
    log.append(&entries(23..=23)).unwrap();
    log.truncate(22).unwrap();
    assert_eq!(files(&disk), [file::name(23)]);
    assert_eq!(open(&disk, 22).1, entries(23..=23));
    log.append(&entries(24..=24)).unwrap();
    assert_eq!(files(&disk), [file::name(23)]);

    disk.fail_sync.store(1, Ordering::Relaxed);
    assert!(log.append(&entries(25..=25)).is_err());
    assert_eq!(log.seal().unwrap_err().kind(), Kind::Unavailable);
    log.truncate(u64::MAX).unwrap();
    assert_eq!(files(&disk), [file::name(23)]);
}

#[test]
fn a_log_that_ends_before_the_floor_goes_on_after_it() {
    let disk = logged(1..=3);
    let (mut log, found) = open(&disk, 10);
    assert!(found.is_empty() && log.next_seq() == 11);
    log.append(&entries(11..=12)).unwrap();
    assert_eq!(files(&disk), [file::name(1), file::name(11)]);
    assert_eq!(open(&disk, 10).1, entries(11..=12));
    assert_eq!(files(&disk), [file::name(11)]);
}

#[test]
fn a_file_that_is_missing_is_noticed() {
    let disk = logged(1..=20);
    let names = files(&disk);
    disk.remove(&names[1]).unwrap();
    let error = try_open(&disk, 0).unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    let missing = format!("commit {} is missing", file::first_seq(&names[1]).unwrap());
    let start = format!("log damaged: {} has no block at byte ", names[0]);
    assert!(error.message().starts_with(&start) && error.message().contains(&missing), "{error}");
}

#[test]
fn a_log_that_is_cut_off_anywhere_is_cut_to_whole_blocks() {
    let name = file::name(1);
    let whole = logged(1..=3).read(&name).unwrap();
    let mut blocks = read_blocks(whole.as_slice()).unwrap();
    let mut ends = vec![];
    while blocks.next().is_some() {
        ends.push(blocks.offset());
    }
    for len in (0..ends[2]).step_by(5).chain(ends.clone()) {
        let mut bytes = whole[..len].to_vec();
        // Both a file that is short, and one whose rest is zeros.
        for is_padded in [false, true] {
            bytes.resize(if is_padded { 8192 } else { len }, 0);
            // The padding of a block is zeros too.
            let is_whole = |end: &&usize| bytes.get(..**end) == Some(&whole[..**end]);
            let kept = ends.iter().filter(is_whole).count() as u64;
            let disk = with_file(&name, &bytes);
            let (mut log, found) = open(&disk, 0);
            assert_eq!(found, entries(1..=kept), "{len}");
            log.append(&entries(kept + 1..=kept + 2)).unwrap();
            assert_eq!(open(&disk, 0).1, entries(1..=kept + 2), "{len}");
            for name in files(&disk) {
                assert!(read_blocks(disk.read(&name).unwrap()).unwrap().all(|block| block.is_ok()), "{len}");
            }
        }
    }
}

#[test]
fn a_damaged_byte_never_goes_unnoticed() {
    let name = file::name(1);
    let whole = logged(1..=3).read(&name).unwrap();
    let mut blocks = read_blocks(whole.as_slice()).unwrap();
    let first = blocks.offset();
    let last = blocks.by_ref().take(2).map(Result::unwrap).count();
    assert_eq!(last, 2);
    let last = blocks.offset();
    blocks.next();
    for at in (0..blocks.offset()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        match try_open(&with_file(&name, &bytes), 0) {
            // The last block may have been in the making.
            Ok((_, found)) if at >= last => assert_eq!(found, entries(1..=2), "{at}"),
            // Some bits of a header have no meaning.
            Ok((_, found)) if at < first => assert_eq!(found, entries(1..=3), "{at}"),
            Ok(_) => panic!("byte {at} does not matter"),
            Err(error) => {
                assert!(at < last, "{at}: {error}");
                assert!(error.message().contains(&name), "{at}: {error}");
            }
        }
    }
}

#[test]
fn what_follows_a_hole_is_not_taken_for_the_log() {
    let disk = logged(1..=3);
    let bytes = disk.read(&file::name(1)).unwrap();
    let mut blocks = read_blocks(bytes).unwrap();
    let second = blocks.next().map(|_| blocks.offset()).unwrap();
    disk.write_at(&file::name(1), second as u64, &[0; 512]).unwrap();
    let error = try_open(&disk, 0).unwrap_err();
    assert!(error.message().contains(&format!("has no block at byte {second}, but there is a whole one")), "{error}");
}

#[test]
fn another_format_is_refused_by_name() {
    let metadata = HashMap::from([("tinychain:format".to_string(), "3".to_string())]);
    let mut writer = StreamWriter::try_new(Vec::new(), &block::schema(metadata)).unwrap();
    let error = try_open(&with_file(&file::name(1), writer.get_mut()), 0).unwrap_err();
    let expected = r#"it has format "3", but this release reads formats "1" and "2""#;
    assert_eq!(error.message(), format!("cannot read the log file {}: {expected}", file::name(1)));
}

#[test]
fn only_the_next_commits_are_appended() {
    let disk = logged(1..=2);
    let (mut log, _) = open(&disk, 0);
    for wrong in [entries(2..=2), entries(4..=4), vec![entry_of(3, 1), entry_of(3, 1)]] {
        assert_eq!(log.append(&wrong).unwrap_err().kind(), Kind::Internal);
    }
    assert!(!log.is_poisoned());
    log.append(&entries(3..=3)).unwrap();
    assert_eq!(open(&disk, 0).1, entries(1..=3));
}

#[test]
fn a_full_disk_refuses_commits_until_there_is_room() {
    let disk = Arc::new(Watched::default());
    let (mut log, _) = open(&disk, 0);
    for size in [10, 100_000] {
        disk.fail_create.store(1, Ordering::Relaxed);
        let error = log.append(&[entry_of(1, size)]).unwrap_err();
        assert_eq!((error.kind(), log.is_poisoned()), (Kind::Unavailable, false));
    }
    log.append(&entries(1..=1)).unwrap();
    assert_eq!(open(&disk, 0).1, entries(1..=1));
}

#[test]
fn after_a_failure_nothing_is_written_until_the_log_is_opened_again() {
    for (is_write, size) in [(true, 10), (false, 10), (true, 20_000), (false, 20_000)] {
        let disk = logged(1..=2);
        let (mut log, _) = open(&disk, 0);
        let countdown = if is_write { &disk.fail_write } else { &disk.fail_sync };
        countdown.store(1, Ordering::Relaxed);
        assert_eq!(log.append(&[entry_of(3, size)]).unwrap_err().kind(), Kind::Internal);
        assert!(log.is_poisoned());
        let writes = disk.writes.load(Ordering::Relaxed);
        let error = log.append(&entries(3..=3)).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().ends_with("the disk is on fire"), "{error}");
        assert_eq!(disk.writes.load(Ordering::Relaxed), writes);

        let (mut log, found) = open(&disk, 0);
        let is_kept = found.len() == 3;
        assert_eq!(found[..2], entries(1..=2));
        // A block that was written is there, as far as this disk can tell; a file that never got its name is not.
        assert_eq!(is_kept, !is_write && size == 10);
        log.append(&[entry_of(log.next_seq(), 10)]).unwrap();
        assert_eq!(open(&disk, 0).1.len(), found.len() + 1);
        assert!(!disk.list().unwrap().contains(&file::LARGE.to_string()));
    }
}

#[test]
fn opening_writes_again_what_may_not_be_durable() {
    let disk = logged(1..=1);
    for countdown in [&disk.fail_write, &disk.fail_sync] {
        countdown.store(1, Ordering::Relaxed);
        assert_eq!(try_open(&disk, 0).unwrap_err().kind(), Kind::Internal);
    }
    assert_eq!(open(&disk, 0).1, entries(1..=1));
}

#[test]
fn a_thread_makes_files_ahead() {
    let root = tempfile::tempdir().unwrap();
    let options = LogOptions { file_bytes: 4096, prepares_ahead: true };
    let open = |floor| Log::open_with(Arc::new(LocalDisk::open(root.path()).unwrap()), floor, options).unwrap();
    let (mut log, _) = open(0);
    for entry in entries(1..=40) {
        log.append(&[entry]).unwrap();
    }
    log.truncate(30).unwrap();
    drop(log);
    let (mut log, found) = open(30);
    assert_eq!(found, entries(31..=40));
    log.append(&entries(41..=41)).unwrap();
    drop(log);
    assert_eq!(open(40).1, entries(41..=41));
}

#[test]
fn an_ordinary_log_is_made_of_large_files() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (mut log, _) = Log::open(Arc::clone(&disk), 0).unwrap();
    log.append(&entries(1..=2)).unwrap();
    drop(log);
    assert_eq!(disk.read(&file::name(1)).unwrap().len(), 16 << 20);
    assert_eq!(Log::open(disk, 0).unwrap().1, entries(1..=2));
}
