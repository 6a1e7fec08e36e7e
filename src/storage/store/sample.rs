//! Stores for tests: on disks that lose what was not synced, and that fail when they are told to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use parking_lot::Mutex;

use super::{Store, StoreConfig};
use crate::env::SystemClock;
use crate::error::Result;
use crate::storage::cache::BlockCache;
use crate::storage::catalog::{CATALOG, Definition, catalog_schema};
use crate::storage::codec::{RowBuilder, encode_batch_keys, encode_key, encode_payload, rows as batch_rows};
use crate::storage::commit::Commit;
use crate::storage::files::open_object_store;
use crate::storage::log::Disk;
use crate::storage::memtable::{Key, Payload};
use crate::storage::read_set::ReadSet;
use crate::storage::segment::{Fence, Segment, SegmentMeta, SegmentStore, Sweeper};
use crate::storage::tree::{Overlay, TreeScan};
use crate::storage::version::Snapshot;
use crate::txn::TxnId;
use crate::value::schema::{Column, ColumnType, Kind, Schema, Table, TreeId};
use crate::value::{Class, Number, NumberClass, State, Value};

/// How many more operations succeed.
#[derive(Debug)]
pub(in crate::storage) struct Budget(AtomicI64);

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Works,
    /// It fails, and may have done something.
    Breaks,
    Fails,
}

impl Budget {
    fn unlimited() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(i64::MAX)))
    }

    /// Lets the next `count` operations succeed, and no more.
    pub(in crate::storage) fn set(&self, count: i64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// Lets everything succeed.
    pub(in crate::storage) fn lift(&self) {
        self.set(i64::MAX);
    }

    fn step(&self) -> Step {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            left if left > 0 => Step::Works,
            0 => Step::Breaks,
            _ => Step::Fails,
        }
    }

    fn io(&self) -> io::Result<()> {
        if self.step() == Step::Works { Ok(()) } else { Err(broken()) }
    }
}

fn broken() -> io::Error {
    io::Error::other("the disk is on fire")
}

fn object_broken() -> object_store::Error {
    object_store::Error::Generic { store: "sample", source: Box::new(broken()) }
}

/// A disk that keeps only what was synced when it crashes.
#[derive(Debug)]
pub(in crate::storage) struct LossyDisk {
    files: Mutex<Files>,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Files {
    /// By the names that they have, and those that they have after a crash.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    contents: HashMap<u64, Content>,
    next: u64,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What is there after a crash.
    durable: Vec<u8>,
    /// Where they differ.
    unsynced: Vec<Range<usize>>,
}

impl Content {
    fn new(len: usize) -> Self {
        Self { bytes: vec![0; len], durable: vec![0; len], unsynced: vec![] }
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        let range = offset..offset + bytes.len();
        self.bytes.resize(self.bytes.len().max(range.end), 0);
        self.bytes[range.clone()].copy_from_slice(bytes);
        self.unsynced.push(range);
    }

    fn sync(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for range in self.unsynced.drain(..) {
            self.durable[range.clone()].copy_from_slice(&self.bytes[range]);
        }
    }
}

impl LossyDisk {
    /// Forgets what was not synced.
    fn crash(&self) {
        let mut files = self.files.lock();
        files.names = files.durable_names.clone();
        for content in files.contents.values_mut() {
            content.bytes = content.durable.clone();
            content.unsynced.clear();
        }
    }
}

impl Files {
    fn file(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content(&mut self, name: &str) -> io::Result<&mut Content> {
        let file = self.file(name)?;
        self.contents.get_mut(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for LossyDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<()> {
        self.budget.io()?;
        let mut files = self.files.lock();
        let file = files.next;
        files.next += 1;
        files.names.insert(name.to_owned(), file);
        files.contents.insert(file, Content::new(len as usize));
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.budget.io()?;
        Ok(self.files.lock().content(name)?.bytes.clone())
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let step = self.budget.step();
        let count = if step == Step::Works { bytes.len() } else { bytes.len() / 2 };
        if step != Step::Fails {
            self.files.lock().content(name)?.write_at(offset as usize, &bytes[..count]);
        }
        if step == Step::Works { Ok(()) } else { Err(broken()) }
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let step = self.budget.step();
        if step != Step::Fails {
            // One that breaks has done its work, and nobody knows.
            self.files.lock().content(name)?.sync();
        }
        if step == Step::Works { Ok(()) } else { Err(broken()) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.budget.io()?;
        let mut files = self.files.lock();
        let file = files.file(from)?;
        files.names.remove(from);
        files.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.budget.io()?;
        self.files.lock().names.remove(name);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.budget.io()?;
        let mut files = self.files.lock();
        files.durable_names = files.names.clone();
        Ok(())
    }
}

/// Objects in memory, which are durable at once.
#[derive(Debug)]
struct Objects {
    inner: InMemory,
    budget: Arc<Budget>,
}

impl Objects {
    fn check(budget: &Budget) -> object_store::Result<()> {
        budget.io().map_err(|_| object_broken())
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Objects")
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        match self.budget.step() {
            Step::Works => self.inner.put_opts(at, payload, opts).await,
            Step::Fails => Err(object_broken()),
            Step::Breaks => {
                // It is there, and nobody knows.
                self.inner.put_opts(at, payload, opts).await?;
                Err(object_broken())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Self::check(&self.budget)?;
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        Self::check(&self.budget)?;
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        Self::check(&self.budget)?;
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let budget = Arc::clone(&self.budget);
        let checked = locations.and_then(move |path| {
            let checked = Self::check(&budget).map(|()| path);
            async move { checked }
        });
        self.inner.delete_stream(checked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A host whose store is opened again and again.
#[derive(Debug)]
pub(in crate::storage) struct Host {
    pub(in crate::storage) disk: Arc<LossyDisk>,
    objects: Arc<Objects>,
    pub(in crate::storage) budget: Arc<Budget>,
    times: AtomicU64,
}

impl Host {
    /// A host that has nothing yet.
    pub(in crate::storage) fn new() -> Self {
        let budget = Budget::unlimited();
        let disk = LossyDisk { files: Mutex::default(), budget: Arc::clone(&budget) };
        let objects = Objects { inner: InMemory::new(), budget: Arc::clone(&budget) };
        Self { disk: Arc::new(disk), objects: Arc::new(objects), budget, times: AtomicU64::new(0) }
    }

    /// How its store is opened.
    pub(in crate::storage) fn config(&self, inline: bool) -> StoreConfig {
        StoreConfig {
            disk: Arc::<LossyDisk>::clone(&self.disk),
            objects: self.objects(),
            keys: None,
            cache_bytes: 16 << 20,
            memtable_bytes: 1 << 20,
            clock: Arc::new(SystemClock),
            inline,
        }
    }

    /// Opens its store, where everything happens when it is called.
    pub(in crate::storage) async fn open(&self) -> Arc<Store> {
        Store::open(self.config(true)).await.unwrap()
    }

    /// Loses what was not synced. The store must be gone by then.
    pub(in crate::storage) fn crash(&self) {
        self.disk.crash();
        self.budget.lift();
    }

    pub(in crate::storage) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::<Objects>::clone(&self.objects)
    }

    /// A transaction that has read nothing and does nothing yet, as of what the store has now.
    pub(in crate::storage) fn begin(&self, store: &Store) -> Commit {
        let timestamp = self.times.fetch_add(1, Ordering::Relaxed);
        Commit {
            txn: TxnId { timestamp, nonce: 1 },
            snapshot: store.snapshot().seq,
            reads: ReadSet::default(),
            cleared: vec![],
            ingests: vec![],
            writes: vec![],
            stamped: vec![],
        }
    }
}

/// The definition of a table at `path` with the key `id` and the value `name`, and no indexes.
pub(in crate::storage) fn define(path: &str, rows: TreeId) -> Arc<Definition> {
    let column = |name: &'static str, class, ty| Column {
        name: name.into(),
        class,
        ty,
        max_len: None,
        nullable: false,
        slot: 0,
        ordinal: 0,
        default: State::NONE,
    };
    let integer = NumberClass::I64;
    let id = column("id", Class::Exactly(integer), ColumnType::Number(integer));
    let name = column("name", Class::String, ColumnType::String);
    let schema = Schema { kind: Kind::Table, columns: vec![id, name], key_len: 1, indexes: vec![] };
    let table = Table { name: path.into(), schema: Arc::new(schema), rows, indexes: vec![] };
    Arc::new(Definition::new(Arc::new(table)))
}

/// Creates, or drops, a table.
pub(in crate::storage) fn write_catalog(commit: &mut Commit, definition: &Definition, exists: bool) {
    let (key, payload) = definition.entry().unwrap();
    commit.writes.push((CATALOG, key.into(), exists.then(|| payload.into())));
}

/// The key of a row.
pub(in crate::storage) fn key_of(table: &Table, id: i64) -> Key {
    encode_key(table.schema.key(), &[id.into()]).unwrap().into()
}

/// Puts a row, or deletes it if there is no name.
pub(in crate::storage) fn write_row(commit: &mut Commit, table: &Table, id: i64, name: Option<&str>) {
    let payload = |name: &str| -> Payload {
        encode_payload(&table.schema, &[State::from(id), State::from(name)]).unwrap().into()
    };
    commit.writes.push((table.rows, key_of(table, id), name.map(payload)));
}

/// A segment of a transaction, with rows in the order of their ids.
pub(in crate::storage) async fn write_segment(
    store: &Store,
    table: &Table,
    rows: impl IntoIterator<Item = (i64, String)>,
) -> Result<Arc<Segment>> {
    let schema = &table.schema;
    let mut writer = store.new_segment_writer(table.rows, schema, false)?;
    let mut builder = RowBuilder::new(schema, &[0, 1], 16);
    for (id, name) in rows {
        builder.append_row(&[id.into(), name.into()])?;
    }
    let batch = builder.finish()?;
    let columns: Vec<&Column> = schema.key().iter().collect();
    let keys = encode_batch_keys(&columns, &batch.columns()[..1])?;
    writer.push(batch, None, None, &keys).await?;
    Ok(store.open_segment(writer.finish().await?.unwrap(), schema))
}

/// All rows of a table as a snapshot has them, in order.
pub(in crate::storage) async fn read_rows(snapshot: &Snapshot, table: &Table) -> Result<Vec<(i64, String)>> {
    let rows = read_tree(snapshot, table.rows, &table.schema).await?;
    Ok(rows.iter().map(|row| read_row(row)).collect())
}

/// The rows of all tables as a snapshot has them, by path.
pub(in crate::storage) async fn read_tables(snapshot: &Snapshot) -> Result<BTreeMap<String, Vec<(i64, String)>>> {
    let mut tables = BTreeMap::new();
    for row in read_tree(snapshot, CATALOG, catalog_schema()).await? {
        let table = Arc::clone(&Definition::of_row(&row)?.table);
        tables.insert(table.name.to_string(), read_rows(snapshot, &table).await?);
    }
    Ok(tables)
}

async fn read_tree(snapshot: &Snapshot, tree: TreeId, schema: &Arc<Schema>) -> Result<Vec<Vec<State>>> {
    let scan = TreeScan { columns: schema.primary_columns(), batch_rows: 100, ..TreeScan::default() };
    let mut batches = snapshot.source(tree, Overlay::default()).scan(schema, scan);
    let columns: Vec<&Column> = schema.columns.iter().collect();
    let mut found = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        found.extend(batch_rows(&columns, &batch)?);
    }
    Ok(found)
}

/// One row of a table as a snapshot has it.
pub(in crate::storage) async fn get_row(snapshot: &Snapshot, table: &Table, id: i64) -> Result<Option<String>> {
    let row = snapshot.source(table.rows, Overlay::default()).get(&table.schema, &key_of(table, id)).await?;
    Ok(row.map(|row| read_row(&row).1))
}

fn read_row(row: &[State]) -> (i64, String) {
    match row {
        [State::Value(Value::Number(Number::I64(id))), State::Value(Value::String(name))] => (*id, name.to_string()),
        other => panic!("{other:?} is not a row"),
    }
}

/// A segment that has no file, with these keys, of a commit.
pub(in crate::storage) fn unwritten(tree: TreeId, id: u64, seq: u64, keys: [u8; 2]) -> Arc<Segment> {
    let objects = open_object_store(None).unwrap();
    let sweeper = Sweeper::new(Arc::clone(&objects));
    let segments = SegmentStore::new(objects, Arc::new(BlockCache::new(0)), sweeper);
    let [min, max] = keys;
    let meta = SegmentMeta {
        id,
        tree,
        seq,
        ordinal: 0,
        rows: 2,
        tombstones: 0,
        bytes: 1000,
        footer_bytes: 100,
        footer_crc: 0,
        min_key: vec![min],
        max_key: vec![max],
        slots: vec![0],
        fences: vec![Fence { row: 0, key: vec![min] }],
    };
    segments.open(meta, &define("/unwritten", tree).table.schema)
}
