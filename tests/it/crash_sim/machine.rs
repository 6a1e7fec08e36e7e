//! A machine with a disk for the log and a store of objects, which share one power supply.
//!
//! The disk is [`LyingDisk`]. The objects keep what they promise too, and nothing else: an object is there once
//! `put`, or the completion of an upload, has returned. One that was being written when the power failed is there as
//! a whole or not at all; of an upload in parts a file of another name may be left; and what was deleted since the
//! machine was started may be there again.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use parking_lot::Mutex;
use tinychain::env::SystemClock;
use tinychain::storage::StoreConfig;
use tinychain::storage::log::Disk;
use tinychain::storage::seal::Keys;

use crate::lying_disk::{LyingDisk, Random, keys};
use crate::support::contains;

/// What there may be in the folder of segments that nobody has put there.
const STRANGERS: [&str; 3] =
    ["segments/.keep", "segments/7.parquet", "segments/backup of 00000000000000000001.parquet"];

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Works,
    /// The power fails while it is done.
    Dies,
    /// There is no power.
    Dead,
}

/// A power supply.
#[derive(Debug, Default)]
struct Power(Mutex<Supply>);

#[derive(Debug, Default)]
struct Supply {
    /// Operations that change something, so far, and the one during which the power fails.
    operations: u64,
    cut_at: Option<u64>,
    is_off: bool,
}

impl Power {
    fn step(&self) -> Step {
        let mut supply = self.0.lock();
        if supply.is_off {
            return Step::Dead;
        }
        supply.operations += 1;
        supply.is_off = supply.cut_at.is_some_and(|at| supply.operations >= at);
        if supply.is_off { Step::Dies } else { Step::Works }
    }

    fn is_off(&self) -> bool {
        self.0.lock().is_off
    }
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    power: Arc<Power>,
    disk: Arc<PoweredDisk>,
    objects: Arc<LyingObjects>,
    /// What encrypts all that is on it, if anything does.
    keys: Option<Arc<Keys>>,
}

impl Machine {
    /// A machine with nothing on it. What will be is encrypted if the seed is odd.
    pub fn new(seed: u64) -> Self {
        let power = Arc::new(Power::default());
        let objects = LyingObjects::new(Random::new(seed), Arc::clone(&power), InMemory::new());
        Self::of(power, LyingDisk::new(seed), objects, (seed % 2 == 1).then(keys))
    }

    fn of(power: Arc<Power>, disk: LyingDisk, objects: LyingObjects, keys: Option<Arc<Keys>>) -> Self {
        let disk = Arc::new(PoweredDisk { power: Arc::clone(&power), disk });
        Self { power, disk, objects: Arc::new(objects), keys }
    }

    /// How a store is opened here. Everything happens when it is called.
    pub fn config(&self) -> StoreConfig {
        StoreConfig {
            disk: Arc::<PoweredDisk>::clone(&self.disk),
            objects: Arc::<LyingObjects>::clone(&self.objects),
            keys: self.keys.clone(),
            cache_bytes: 1 << 20,
            memtable_bytes: 1 << 20,
            clock: Arc::new(SystemClock),
            inline: true,
        }
    }

    /// What is in the object store.
    pub fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    /// The files of the store that contain some bytes. What else is in its folders, a store does not know.
    pub fn files_with(&self, bytes: &[u8]) -> Vec<String> {
        let disk = &self.disk.disk;
        let mut found = disk.list().unwrap_or_default();
        found.retain(|name| disk.read(name).is_ok_and(|content| contains(&content, bytes)));
        for (path, content) in block_on(contents(&self.objects.files)) {
            let is_ours = matches!(path.extension(), Some("parquet" | "json"));
            if is_ours && contains(&content, bytes) {
                found.push(path.to_string());
            }
        }
        found
    }

    /// Lets the power fail during an operation that changes something, after `count` more of them.
    pub fn cut_after(&self, count: u64) {
        let mut supply = self.power.0.lock();
        supply.cut_at = Some(supply.operations + count + 1);
    }

    /// Lets the power be.
    pub fn keep_on(&self) {
        self.power.0.lock().cut_at = None;
    }

    pub fn is_off(&self) -> bool {
        self.power.is_off()
    }

    /// Lets a write to the log, a sync of it, or an object fail, after `count` more of them.
    pub fn fail_after(&self, what: Failure, count: u64) {
        match what {
            Failure::Write => self.disk.disk.fail_write_after(count),
            Failure::Sync => self.disk.disk.fail_sync_after(count),
            Failure::Put => self.objects.state.lock().put_fails_in = Some(count),
        }
    }

    /// Whether something failed, as it was told to, since this was last asked.
    pub fn take_failure(&self) -> bool {
        let put = std::mem::take(&mut self.objects.state.lock().has_failed);
        self.disk.disk.take_failure() | put
    }

    /// Cuts the power, and returns the machine as it is when it is started again.
    pub fn crash(&self) -> Self {
        self.power.0.lock().is_off = true;
        let power = Arc::new(Power::default());
        let objects = self.objects.crash(&power);
        Self::of(power, self.disk.disk.crash(), objects, self.keys.clone())
    }
}

/// What can fail by itself.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    Write,
    Sync,
    Put,
}

/// A disk that has power as long as its machine has.
#[derive(Debug)]
struct PoweredDisk {
    power: Arc<Power>,
    disk: LyingDisk,
}

impl PoweredDisk {
    fn change(&self, change: impl FnOnce(&LyingDisk) -> io::Result<()>) -> io::Result<()> {
        match self.power.step() {
            Step::Works => change(&self.disk),
            Step::Dead => Err(no_power()),
            Step::Dies => {
                // So that it is left half done.
                self.disk.crash_after(0);
                change(&self.disk).and_then(|_| Err(no_power()))
            }
        }
    }

    fn look<T>(&self, look: impl FnOnce(&LyingDisk) -> io::Result<T>) -> io::Result<T> {
        if self.power.is_off() { Err(no_power()) } else { look(&self.disk) }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

impl Disk for PoweredDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.look(LyingDisk::list)
    }

    fn create(&self, name: &str, len: u64) -> io::Result<()> {
        self.change(|disk| disk.create(name, len))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.look(|disk| disk.read(name))
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| disk.write_at(name, offset, bytes))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.change(|disk| disk.sync(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|disk| disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|disk| disk.remove(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.change(LyingDisk::sync_dir)
    }
}

/// Objects in memory that keep only what they promised to keep.
#[derive(Debug)]
pub struct LyingObjects {
    power: Arc<Power>,
    /// What is seen.
    files: InMemory,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// What was being written when the power failed.
    unsure: Vec<(Path, Bytes)>,
    /// What was deleted since the machine was started.
    deleted: Vec<(Path, Bytes)>,
    /// The parts of uploads that are under way.
    uploads: BTreeMap<u64, (Path, Vec<Bytes>)>,
    /// Objects until one fails.
    put_fails_in: Option<u64>,
    has_failed: bool,
}

impl LyingObjects {
    fn new(random: Random, power: Arc<Power>, files: InMemory) -> Self {
        let state = State {
            random,
            unsure: vec![],
            deleted: vec![],
            uploads: BTreeMap::new(),
            put_fails_in: None,
            has_failed: false,
        };
        Self { power, files, state: Arc::new(Mutex::new(state)) }
    }

    fn crash(&self, power: &Arc<Power>) -> Self {
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut kept = block_on(contents(&self.files));
        let again = state.deleted.drain(..).chain(state.unsure.drain(..)).collect::<Vec<_>>();
        let left = state.uploads.values().map(|(path, parts)| (Path::from(format!("{path}.1")), parts.concat().into()));
        let strangers = STRANGERS.map(|name| (Path::from(name), Bytes::from_static(b"not ours")));
        for (path, bytes) in again.into_iter().chain(left).chain(strangers) {
            if state.random.below(2) == 0 {
                kept.entry(path).or_insert(bytes);
            }
        }
        let files = InMemory::new();
        for (path, bytes) in kept {
            block_on(files.put(&path, bytes.into())).unwrap();
        }
        Self::new(Random::new(state.random.draw()), Arc::clone(power), files)
    }

    fn check(&self) -> object_store::Result<()> {
        if self.power.is_off() { Err(error("the power is off")) } else { Ok(()) }
    }

    /// Puts an object, which is durable when this returns.
    async fn write(&self, at: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        match self.power.step() {
            Step::Dead => return Err(error("the power is off")),
            Step::Dies => {
                self.state.lock().unsure.push((at.clone(), payload.into()));
                return Err(error("the power is off"));
            }
            Step::Works => {}
        }
        let is_lost = {
            let mut state = self.state.lock();
            let fails = count_down(&mut state.put_fails_in);
            state.has_failed |= fails;
            fails.then(|| state.random.below(2) == 0)
        };
        match is_lost {
            None => self.files.put_opts(at, payload, options).await,
            Some(true) => Err(error("the network failed")),
            Some(false) => {
                // It is there, but nobody knows.
                self.files.put_opts(at, payload, options).await?;
                Err(error("the network failed"))
            }
        }
    }
}

/// Counts down to a failure, which happens once.
fn count_down(left: &mut Option<u64>) -> bool {
    let is_now = *left == Some(0);
    *left = left.and_then(|count| count.checked_sub(1));
    is_now
}

/// All objects.
async fn contents(files: &InMemory) -> BTreeMap<Path, Bytes> {
    let metas: Vec<ObjectMeta> = files.list(None).try_collect().await.unwrap();
    let mut contents = BTreeMap::new();
    for meta in metas {
        let bytes = files.get(&meta.location).await.unwrap().bytes().await.unwrap();
        contents.insert(meta.location, bytes);
    }
    contents
}

fn error(message: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "LyingObjects", source: message.into() }
}

impl fmt::Display for LyingObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LyingObjects")
    }
}

#[async_trait]
impl ObjectStore for LyingObjects {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.write(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        _options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.check()?;
        let mut state = self.state.lock();
        let id = state.uploads.keys().next_back().map_or(0, |last| last + 1);
        state.uploads.insert(id, (at.clone(), vec![]));
        // The upload shares what it writes to.
        let objects =
            Self { power: Arc::clone(&self.power), files: self.files.clone(), state: Arc::clone(&self.state) };
        Ok(Box::new(Upload { objects, id }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.check()?;
        self.files.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.check()?;
        self.files.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let (power, files, state) = (Arc::clone(&self.power), self.files.clone(), Arc::clone(&self.state));
        let deleted = locations.and_then(move |path| {
            let (power, files, state) = (Arc::clone(&power), files.clone(), Arc::clone(&state));
            async move {
                let step = power.step();
                if step == Step::Dead {
                    return Err(error("the power is off"));
                }
                let bytes = files.get(&path).await?.bytes().await?;
                state.lock().deleted.push((path.clone(), bytes));
                files.delete(&path).await?;
                if step == Step::Dies { Err(error("the power is off")) } else { Ok(path) }
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.check() {
            Ok(()) => self.files.list(prefix),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.check()?;
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.check()?;
        self.files.copy_opts(from, to, options).await
    }
}

/// An object in parts.
#[derive(Debug)]
struct Upload {
    objects: LyingObjects,
    id: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        // Parts have their places in the order in which they are begun.
        let step = self.objects.power.step();
        if step == Step::Works
            && let Some((_, parts)) = self.objects.state.lock().uploads.get_mut(&self.id)
        {
            parts.push(data.into());
        }
        let outcome = if step == Step::Works { Ok(()) } else { Err(error("the power is off")) };
        Box::pin(std::future::ready(outcome))
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let upload = self.objects.state.lock().uploads.remove(&self.id);
        let (path, parts) = upload.ok_or_else(|| error("the upload has ended"))?;
        self.objects.write(&path, parts.into_iter().collect(), PutOptions::default()).await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.objects.check()?;
        self.objects.state.lock().uploads.remove(&self.id);
        Ok(())
    }
}

#[test]
fn objects_keep_their_promises_and_no_others() {
    let (mut cut, mut again, mut left) = (0, 0, 0);
    for seed in 0..60 {
        let machine = Machine::new(seed);
        let (kept, gone, late) = (Path::from("segments/a"), Path::from("segments/b"), Path::from("segments/c"));
        block_on(async {
            let objects = machine.objects();
            objects.put(&kept, "kept".into()).await.unwrap();
            objects.put(&gone, "gone".into()).await.unwrap();
            objects.delete(&gone).await.unwrap();
            assert!(objects.get(&gone).await.is_err());
            let mut upload = objects.put_multipart(&late).await.unwrap();
            upload.put_part("half".into()).await.unwrap();
            machine.cut_after(0);
            assert!(objects.put(&late, "late".into()).await.is_err() && machine.is_off());
            assert!(objects.get(&kept).await.is_err() && upload.put_part("more".into()).await.is_err());
        });
        let files = block_on(contents(&machine.crash().objects.files));
        assert_eq!(files[&kept], "kept");
        assert!(files.get(&late).is_none_or(|bytes| *bytes == "late"));
        cut += usize::from(files.contains_key(&late));
        again += usize::from(files.contains_key(&gone));
        left += usize::from(files.len() > 3);
    }
    assert!((10..50).contains(&cut) && (10..50).contains(&again) && left > 10, "{cut}, {again}, {left}");
}

#[test]
fn an_object_that_could_not_be_put_may_be_there() {
    let there = |seed| {
        let machine = Machine::new(seed);
        machine.fail_after(Failure::Put, 1);
        let path = Path::from("a");
        block_on(async {
            machine.objects().put(&Path::from("b"), "b".into()).await.unwrap();
            assert!(machine.objects().put(&path, "a".into()).await.is_err());
            assert!(machine.take_failure() && !machine.take_failure());
            machine.objects().get(&path).await.is_ok()
        })
    };
    let count = (0..50).filter(|seed| there(*seed)).count();
    assert!((10..40).contains(&count), "{count}");
}
