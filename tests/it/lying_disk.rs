//! A disk that keeps only what it promised to keep, and the log on it.
//!
//! [`LyingDisk`] holds back what was not synced. When its power fails, it decides for each sector by itself which of the
//! states since the last sync is there, and which of the names that were not synced. So it loses, tears and reorders. A
//! sync that it was told to fail leaves the sectors in doubt for good, also after a later one that succeeds, as systems
//! do that take a page for clean after they failed to write it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use arrow::ipc::reader::StreamReader;
use parking_lot::Mutex;
use tinychain::storage::log::{Disk, Entry, Log, LogOptions, Write, WriteValue};
use tinychain::storage::seal::{KeyList, Keys};
use tinychain::txn::TxnId;
use tinychain::value::TreeId;

const SECTOR: usize = 512;

/// Random numbers that are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    fn index(&mut self, end: usize) -> usize {
        self.below(end as u64) as usize
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What a crash makes of what was not synced.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    Mixed,
}

impl Fate {
    fn draw(random: &mut Random) -> Self {
        [Fate::Lost, Fate::Kept, Fate::Mixed, Fate::Mixed][random.index(4)]
    }
}

/// The contents that a sector had since it was last durable, oldest first.
type Versions = BTreeMap<usize, Vec<Vec<u8>>>;

#[derive(Clone, Debug, Default)]
struct File {
    /// What is there in any case.
    durable: Vec<u8>,
    /// What is read.
    cached: Vec<u8>,
    unsynced: Versions,
    /// What was not synced when a sync failed.
    doubtful: Versions,
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            let content = self.cached[sector * SECTOR..].iter().copied().take(SECTOR).collect();
            self.unsynced.entry(sector).or_default().push(content);
        }
    }

    fn sync(&mut self) {
        for (sector, mut versions) in std::mem::take(&mut self.unsynced) {
            self.doubtful.remove(&sector);
            put_sector(&mut self.durable, sector, &versions.pop().unwrap());
        }
    }

    fn fail_sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.unsynced) {
            self.doubtful.entry(sector).or_default().extend(versions);
        }
    }

    fn crash(&self, random: &mut Random) -> File {
        let mut durable = self.durable.clone();
        let fate = Fate::draw(random);
        let mut versions = self.doubtful.clone();
        for (sector, later) in &self.unsynced {
            versions.entry(*sector).or_default().extend(later.iter().cloned());
        }
        for (sector, versions) in versions {
            let chosen = match fate {
                Fate::Lost => None,
                Fate::Kept => versions.last(),
                Fate::Mixed => versions.get(random.index(versions.len() + 1)),
            };
            if let Some(content) = chosen {
                put_sector(&mut durable, sector, content);
            }
        }
        File { cached: durable.clone(), durable, ..File::default() }
    }
}

fn put_sector(bytes: &mut Vec<u8>, sector: usize, content: &[u8]) {
    let start = sector * SECTOR;
    if bytes.len() < start + content.len() {
        bytes.resize(start + content.len(), 0);
    }
    bytes[start..start + content.len()].copy_from_slice(content);
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

#[derive(Debug)]
struct State {
    random: Random,
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    operations: u64,
    /// During which operation the power fails.
    off_at: Option<u64>,
    is_off: bool,
    /// Writes and syncs until one fails.
    write_fails_in: Option<u64>,
    sync_fails_in: Option<u64>,
    has_failed: bool,
}

/// A disk in memory that keeps only what it promised to keep. The same seed and operations give the same disk.
#[derive(Debug)]
pub struct LyingDisk(Mutex<State>);

impl LyingDisk {
    /// A disk without files, which works until it is told otherwise.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            random: Random::new(seed),
            files: vec![],
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: vec![],
            operations: 0,
            off_at: None,
            is_off: false,
            write_fails_in: None,
            sync_fails_in: None,
            has_failed: false,
        }))
    }

    /// Lets the power fail during an operation that changes something, after `count` more of them.
    pub fn crash_after(&self, count: u64) {
        let mut state = self.0.lock();
        state.off_at = Some(state.operations + count);
    }

    /// Lets one write fail, after `count` more of them. Some of it is written.
    pub fn fail_write_after(&self, count: u64) {
        self.0.lock().write_fails_in = Some(count);
    }

    /// Lets one sync of a file fail, after `count` more of them.
    pub fn fail_sync_after(&self, count: u64) {
        self.0.lock().sync_fails_in = Some(count);
    }

    /// Whether the power has failed. Then everything does.
    pub fn is_off(&self) -> bool {
        self.0.lock().is_off
    }

    /// Whether a write or a sync failed, as it was told to, since this was last asked.
    pub fn take_failure(&self) -> bool {
        std::mem::take(&mut self.0.lock().has_failed)
    }

    /// Cuts the power, and returns the disk as it is when the power is back.
    pub fn crash(&self) -> Self {
        let mut state = self.0.lock();
        let state = &mut *state;
        state.is_off = true;
        let random = &mut state.random;
        let files = state.files.iter().map(|file| file.crash(random)).collect();
        let fate = Fate::draw(random);
        // Journals keep the order, other file systems do not.
        let is_ordered = random.flip();
        let kept = random.index(state.name_changes.len() + 1);
        let mut names = state.durable_names.clone();
        for (number, change) in state.name_changes.iter().enumerate() {
            let is_kept = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Mixed if is_ordered => number < kept,
                Fate::Mixed => random.flip(),
            };
            if is_kept {
                change.apply(&mut names);
            }
        }
        let after = Self::new(random.draw());
        {
            let mut state = after.0.lock();
            state.files = files;
            state.durable_names = names.clone();
            state.names = names;
        }
        after
    }
}

impl State {
    /// Begins an operation that changes something. Returns whether it goes on to its end.
    fn step(&mut self) -> io::Result<bool> {
        self.check()?;
        self.operations += 1;
        self.is_off = self.off_at.is_some_and(|at| self.operations > at);
        Ok(!self.is_off)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_off { Err(no_power()) } else { Ok(()) }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let file = self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.files[*file])
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }
}

/// Counts down to a failure, which happens once.
fn fails(countdown: &mut Option<u64>) -> bool {
    match *countdown {
        Some(0) => {
            *countdown = None;
            true
        }
        Some(count) => {
            *countdown = Some(count - 1);
            false
        }
        None => false,
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

fn failure() -> io::Error {
    io::Error::other("the disk failed")
}

impl Disk for LyingDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        state.check()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        let is_whole = state.step()?;
        let len = if is_whole { len } else { state.random.below(len + 1) };
        let zeros = vec![0; len as usize];
        state.files.push(File { durable: zeros.clone(), cached: zeros, ..File::default() });
        let file = state.files.len() - 1;
        state.change_name(NameChange::Create(name.to_string(), file));
        if is_whole { Ok(()) } else { Err(no_power()) }
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.0.lock();
        state.check()?;
        Ok(state.file(name)?.cached.clone())
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        let is_whole = state.step()?;
        if is_whole && fails(&mut state.write_fails_in) {
            state.has_failed = true;
            let count = state.random.index(bytes.len() + 1);
            state.file(name)?.write(offset as usize, &bytes[..count]);
            return Err(failure());
        }
        state.file(name)?.write(offset as usize, bytes);
        if is_whole { Ok(()) } else { Err(no_power()) }
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        if !state.step()? {
            return Err(no_power());
        }
        if fails(&mut state.sync_fails_in) {
            state.has_failed = true;
            state.file(name)?.fail_sync();
            return Err(failure());
        }
        state.file(name)?.sync();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let is_whole = state.step()?;
        state.file(from)?;
        state.change_name(NameChange::Rename(from.to_string(), to.to_string()));
        if is_whole { Ok(()) } else { Err(no_power()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let is_whole = state.step()?;
        state.change_name(NameChange::Remove(name.to_string()));
        if is_whole { Ok(()) } else { Err(no_power()) }
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if !state.step()? {
            return Err(no_power());
        }
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }
}

/// Keys of data at rest.
pub fn keys() -> Arc<Keys> {
    Arc::new(KeyList::parse(&[7; 32]).unwrap().of(&[1; 32]).unwrap())
}

/// A host that appends to its log, and may lose its power at any time. Every second one encrypts it.
struct Life {
    seed: u64,
    keys: Option<Arc<Keys>>,
    random: Random,
    disk: Arc<LyingDisk>,
    /// What was appended: commit 1 first. What a crash has taken away is taken away here too.
    history: Vec<Entry>,
    /// How many of them are durable.
    acknowledged: usize,
    /// How many of them are no longer needed.
    floor: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let disk = Arc::new(LyingDisk::new(seed));
        let keys = (seed % 2 == 1).then(keys);
        Self { seed, keys, random: Random::new(!seed), disk, history: vec![], acknowledged: 0, floor: 0 }
    }

    /// Opens the log and compares it with what must be there. None if the power failed meanwhile.
    fn open(&mut self) -> Option<Log> {
        let options = LogOptions { file_bytes: 8192, prepares_ahead: false };
        loop {
            let disk: Arc<dyn Disk> = Arc::<LyingDisk>::clone(&self.disk);
            match Log::open_sealed(disk, self.keys.clone(), self.floor as u64, options) {
                Ok((log, found)) => {
                    self.compare(&found);
                    assert_eq!(log.next_seq(), self.history.len() as u64 + 1, "seed {}", self.seed);
                    return Some(log);
                }
                Err(_) if self.disk.is_off() => return None,
                Err(error) => assert!(self.disk.take_failure(), "seed {}: {error}", self.seed),
            }
        }
    }

    /// Every acknowledged entry is there, and what is there was appended in this order.
    fn compare(&mut self, found: &[Entry]) {
        let end = self.floor + found.len();
        assert!(end >= self.acknowledged, "seed {}: commit {} was lost", self.seed, end + 1);
        assert!(end <= self.history.len(), "seed {}: commit {end} was never made", self.seed);
        assert!(*found == self.history[self.floor..end], "seed {}: other commits", self.seed);
        self.history.truncate(end);
        self.acknowledged = end;
    }

    /// Appends until the power fails.
    fn run(&mut self) {
        while let Some(mut log) = self.open() {
            self.check_files();
            while !log.is_poisoned() && !self.disk.is_off() {
                if self.random.below(8) == 0 {
                    self.floor += self.random.index(self.acknowledged - self.floor + 1);
                    // A file that could not be deleted is deleted later.
                    let _ = log.truncate(self.floor as u64);
                } else {
                    self.append(&mut log);
                }
            }
            self.disk.take_failure();
        }
    }

    fn append(&mut self, log: &mut Log) {
        let first = self.history.len();
        for _ in 0..=self.random.below(4) {
            let entry = self.entry();
            self.history.push(entry);
        }
        match log.append(&self.history[first..]) {
            Ok(()) => self.acknowledged = self.history.len(),
            // No file could be made, so nothing was written.
            Err(_) if !log.is_poisoned() => self.history.truncate(first),
            Err(_) => {}
        }
    }

    /// The next commit, with random content.
    fn entry(&mut self) -> Entry {
        let seq = self.history.len() as u64 + 1;
        let writes = (0..self.random.below(4)).map(|_| {
            // Now and then one that is larger than a file.
            let sizes = [0, 20, 20, 200, 200, 200, 3000, 20_000];
            let len = sizes[self.random.index(sizes.len())];
            let payload: Vec<u8> = (0..len).map(|_| self.random.draw() as u8).collect();
            let value = if self.random.flip() { WriteValue::Put(payload.into()) } else { WriteValue::Delete };
            Write { tree: TreeId(self.random.below(3)), key: self.random.draw().to_be_bytes().to_vec().into(), value }
        });
        let writes = writes.collect();
        Entry { seq, txn: TxnId { timestamp: self.random.draw(), nonce: 1 }, writes }
    }

    /// Files are plain Arrow streams whenever the log is open, unless they are encrypted.
    fn check_files(&self) {
        if self.keys.is_some() {
            return;
        }
        for name in self.disk.list().unwrap_or_default() {
            if let Ok(bytes) = self.disk.read(&name)
                && name.starts_with(|c: char| c.is_ascii_digit())
            {
                let stream = StreamReader::try_new(bytes.as_slice(), None);
                let batches = stream.and_then(|stream| stream.collect::<Result<Vec<_>, _>>());
                assert!(batches.is_ok(), "seed {}: {name}: {batches:?}", self.seed);
            }
        }
    }

    fn crash(&mut self) {
        self.disk = Arc::new(self.disk.crash());
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_in_a_crash() {
    let mut kept = 0;
    for seed in 0..300 {
        let mut life = Life::new(seed);
        for _ in 0..3 {
            life.disk.crash_after(life.random.below(60));
            life.run();
            life.crash();
        }
        // The power may fail while the log is being opened.
        for count in 0..4 {
            life.disk.crash_after(count);
            life.open();
            life.crash();
        }
        life.open().unwrap();
        let history = life.history.clone();
        let mut log = life.open().unwrap();
        assert!(life.history == history, "seed {seed}: the second time, other commits were found");
        life.append(&mut log);
        drop(log);
        life.crash();
        life.open().unwrap();
        assert!(life.history.len() > history.len(), "seed {seed}");
        kept += history.len();
    }
    assert!(kept > 400, "only {kept} commits were ever made");
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_disk_fails() {
    for seed in 0..300 {
        let mut life = Life::new(seed);
        for _ in 0..3 {
            life.disk.crash_after(20 + life.random.below(60));
            if life.random.flip() {
                life.disk.fail_sync_after(life.random.below(20));
            }
            if life.random.flip() {
                life.disk.fail_write_after(life.random.below(20));
            }
            life.run();
            life.crash();
        }
        life.open().unwrap();
    }
}

#[test]
fn the_disk_keeps_its_promises_and_no_others() {
    let (mut kept, mut lost, mut torn) = (0, 0, 0);
    for seed in 0..100 {
        let disk = LyingDisk::new(seed);
        disk.create("a", 2048).unwrap();
        disk.sync_dir().unwrap();
        disk.write_at("a", 0, &[1; 2048]).unwrap();
        disk.sync("a").unwrap();
        disk.write_at("a", 100, &[2; 1500]).unwrap();
        disk.create("b", 10).unwrap();
        assert_eq!(disk.read("a").unwrap()[100..1600], [2; 1500]);
        let disk = disk.crash();

        let bytes = disk.read("a").unwrap();
        assert_eq!((&bytes[..100], &bytes[1600..]), (&[1; 100][..], &[1; 448][..]));
        let sectors = [100..512, 512..1024, 1024..1536, 1536..1600];
        let written = sectors.into_iter().filter(|sector| bytes[sector.clone()].iter().all(|byte| *byte == 2)).count();
        assert_eq!(bytes[100..1600].iter().filter(|byte| **byte == 2).count() > 0, written > 0);
        match written {
            0 => lost += 1,
            4 => kept += 1,
            _ => torn += 1,
        }
        assert!(disk.read("b").is_err() || disk.read("b").unwrap() == [0; 10]);
    }
    assert!(kept > 10 && lost > 10 && torn > 10, "{kept} kept, {lost} lost, {torn} torn");
}

#[test]
fn what_a_failed_sync_left_in_doubt_stays_in_doubt_until_it_is_written_again() {
    let survives = |is_written_again: bool| {
        let survives = |seed| {
            let disk = LyingDisk::new(seed);
            disk.create("a", 512).unwrap();
            disk.sync_dir().unwrap();
            disk.fail_sync_after(0);
            disk.write_at("a", 0, &[1; 512]).unwrap();
            assert!(disk.sync("a").is_err() && disk.take_failure() && !disk.take_failure());
            if is_written_again {
                disk.write_at("a", 0, &[1; 512]).unwrap();
            }
            disk.sync("a").unwrap();
            disk.crash().read("a").unwrap() == [1; 512]
        };
        (0..50).filter(|seed| survives(*seed)).count()
    };
    assert!((5..45).contains(&survives(false)));
    assert_eq!(survives(true), 50);
}
