//! Opens a store: finds out what it was when its host stopped, however that happened.
//!
//! The newest manifest says which segments there are, up to its floor; the catalog among them says which trees; and the
//! log has every commit after the floor, which are made again as they were made first. A host that stops in the middle
//! of this changes nothing that the next one would miss: until a checkpoint, the same manifest and the same log give
//! the same store. Files of segments that neither names are deleted; they belonged to transactions, flushes and merges
//! that did not end.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::Value as Json;

use super::cache::BlockCache;
use super::catalog::{CATALOG, Definition, catalog_schema};
use super::codec::rows;
use super::directory::{CatalogWrites, Directory};
use super::draft::{Change, Draft};
use super::edit::{self, Edit};
use super::files::{join_error, list_segments, object_error, run_blocking, segment_path};
use super::garbage::Garbage;
use super::log::{Disk, Entry, Log, LogOptions, WriteValue};
use super::manifest::Manifest;
use super::memtable::{Key, Payload};
use super::metered::MeteredDisk;
use super::seal::{Keys, SealedObjects};
use super::segment::{GarbageSink as _, SegmentMeta, SegmentStore, Sweeper};
use super::shared::{Parts, Shared};
use super::store::StoreConfig;
use super::tree::{Overlay, Source, TreeScan};
use super::version::{TreeVersion, Version};
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::value::TreeId;
use crate::value::schema::{Column, Schema};

/// Bytes of a file of the log, in a store without threads.
const INLINE_FILE_BYTES: u64 = 64 << 10;

/// The log as it was found.
struct Found {
    log: Log,
    /// Those after the floor.
    entries: Vec<Entry>,
}

/// What is named by a manifest and by the log after it.
#[derive(Debug, Default)]
struct Named {
    /// Ids of segments.
    segments: BTreeSet<u64>,
    /// Above all trees, and above all segments.
    next_tree: u64,
    next_segment: u64,
}

/// Opens the store of `config`, which is a new one if there is nothing.
///
/// # Errors
/// `Internal` if something that was durable is missing, damaged or of another release, or if a file cannot be read.
pub(super) async fn open(config: StoreConfig) -> Result<Shared> {
    let sealed = config.keys.as_ref().map(|keys| SealedObjects::new(Arc::clone(&config.objects), Arc::clone(keys)));
    let sealed = sealed.map(Arc::new);
    let objects: Arc<dyn ObjectStore> = match &sealed {
        Some(sealed) => Arc::<SealedObjects>::clone(sealed),
        None => config.objects,
    };
    let manifest = Manifest::load(&*objects).await?.unwrap_or_default();
    let files: BTreeSet<u64> = list_segments(&*objects).await?.into_iter().collect();
    check_files(&manifest, &files)?;

    let sweeper = Sweeper::new(Arc::clone(&objects));
    let cache = Arc::new(BlockCache::new(config.cache_bytes));
    let segments = SegmentStore::new(Arc::clone(&objects), cache, Arc::<Sweeper>::clone(&sweeper));
    let disk = Arc::new(MeteredDisk::new(config.disk));
    let floor = manifest.floor_seq;
    let Found { log, entries } = open_log(Arc::<MeteredDisk>::clone(&disk), config.keys, floor, config.inline).await?;
    let seq = log.next_seq().saturating_sub(1);

    let (version, mut directory) = load(&manifest, &segments).await?;
    let mut named = Named {
        segments: manifest.segments.iter().map(|meta| meta.id).collect(),
        next_tree: manifest.next_tree,
        next_segment: manifest.next_segment.max(files.last().map_or(1, |last| last + 1)),
    };
    let replayed = entries.len();
    let (edits, grown) = replay(Arc::clone(&version), entries, &mut directory, &segments, &files, &mut named)?;
    let unlisted = edits.iter().filter(|edit| matches!(edit, Edit::Ingest { .. })).count() as u64;
    let mut retired = Vec::new();
    let version = version.edit(edits, &mut retired);
    let garbage = Garbage::default();
    garbage.retire(retired);
    remove_unnamed(&*objects, &sweeper, &files, &named.segments).await;
    tracing::info!(seq, floor, replayed, trees = version.trees.len(), "opened the store");

    let log_bytes = log.bytes();
    // What is older than the floor is only left because it shares a file with something.
    let logged = if replayed == 0 { 0 } else { log_bytes };
    let shared = Shared::new(Parts {
        segments,
        sealed,
        sweeper,
        disk,
        clock: config.clock,
        runtime: if config.inline { None } else { Some(tokio::runtime::Handle::current()) },
        memtable_bytes: config.memtable_bytes,
        writer: Writer::new(log, directory),
        version,
        seq,
        garbage,
        manifest: manifest.number,
        floor,
        next_tree: named.next_tree,
        next_segment: named.next_segment,
    });
    shared.load.restore(grown, logged, unlisted);
    shared.counters.log_bytes.set(log_bytes);
    Ok(shared)
}

/// Checks that all segments have their files.
fn check_files(manifest: &Manifest, files: &BTreeSet<u64>) -> Result<()> {
    match manifest.segments.iter().find(|meta| !files.contains(&meta.id)) {
        None => Ok(()),
        Some(meta) => {
            let (path, number) = (segment_path(meta.id), manifest.number);
            Err(Error::internal(format!("{path} is missing, which manifest {number} lists")))
        }
    }
}

async fn open_log(disk: Arc<dyn Disk>, keys: Option<Arc<Keys>>, floor: u64, inline: bool) -> Result<Found> {
    let options = if inline {
        // Many small files, so that tests see what becomes of them.
        LogOptions { file_bytes: INLINE_FILE_BYTES, prepares_ahead: false }
    } else {
        LogOptions::default()
    };
    let open = move || Log::open_sealed(disk, keys, floor, options).map(|(log, entries)| Found { log, entries });
    if inline { open() } else { run_blocking(open).await.map_err(|error| join_error(&error))? }
}

/// The store as the manifest tells it, and its tables.
async fn load(manifest: &Manifest, segments: &SegmentStore) -> Result<(Arc<Version>, Directory)> {
    let mut catalog = TreeVersion::new(CATALOG, Arc::clone(catalog_schema()));
    add_segments(&mut catalog, manifest, segments);
    let catalog = Arc::new(catalog);
    let directory = Directory::try_new(definitions(&catalog, manifest.floor_seq).await?)?;
    let mut version = Version::default();
    version.trees.insert(CATALOG, catalog);
    for (id, schema) in directory.trees() {
        let mut tree = TreeVersion::new(id, Arc::clone(schema));
        add_segments(&mut tree, manifest, segments);
        version.trees.insert(id, Arc::new(tree));
    }
    match manifest.segments.iter().find(|meta| !version.trees.contains_key(&meta.tree)) {
        None => Ok((Arc::new(version), directory)),
        Some(meta) => {
            let (number, id, tree) = (manifest.number, meta.id, meta.tree);
            let message =
                format!("manifest {number} lists segment {id} of tree {tree}, which the catalog does not have");
            Err(Error::internal(message))
        }
    }
}

/// Adds the segments of a tree, newest first.
fn add_segments(tree: &mut TreeVersion, manifest: &Manifest, segments: &SegmentStore) {
    let listed = manifest.segments.iter().filter(|meta| meta.tree == tree.id);
    tree.segments = listed.map(|meta| segments.open(meta.clone(), &tree.schema)).collect();
    edit::sort(&mut tree.segments);
}

/// All definitions of tables.
async fn definitions(catalog: &Arc<TreeVersion>, seq: u64) -> Result<Vec<Arc<Definition>>> {
    let schema = catalog_schema();
    let source = Source { tree: Some(Arc::clone(catalog)), overlay: Overlay::default(), seq };
    let scan = TreeScan { columns: schema.primary_columns(), ..TreeScan::default() };
    let columns: Vec<&Column> = schema.columns.iter().collect();
    let mut batches = source.scan(schema, scan);
    let mut definitions = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        for row in rows(&columns, &batch)? {
            definitions.push(Definition::of_row(&row)?);
        }
    }
    Ok(definitions)
}

/// Makes the commits of the log again, on top of `version`: rows go to its memtables. Returns what else becomes of it,
/// and by how many bytes the memtables have grown.
fn replay(
    version: Arc<Version>,
    entries: Vec<Entry>,
    directory: &mut Directory,
    segments: &SegmentStore,
    files: &BTreeSet<u64>,
    named: &mut Named,
) -> Result<(Vec<Edit>, i64)> {
    let mut draft = Draft::new(version);
    for entry in entries {
        let seq = entry.seq;
        let explain = |error: Error| {
            Error::internal(format!("cannot make commit {seq} again, which is in the log: {}", error.message()))
        };
        let change = change(entry, directory, segments, named).map_err(explain)?;
        for segment in &change.ingests {
            let id = segment.meta().id;
            if !files.contains(&id) {
                return Err(explain(Error::internal(format!("{} is missing", segment_path(id)))));
            }
        }
        draft.apply(change);
    }
    named.next_tree = named.next_tree.max(directory.next_tree());
    Ok(draft.finish())
}

/// What an entry of the log does.
fn change(entry: Entry, directory: &mut Directory, segments: &SegmentStore, named: &mut Named) -> Result<Change> {
    let mut writes: Vec<(TreeId, Key, Option<Payload>)> = Vec::with_capacity(entry.writes.len());
    let (mut cleared, mut metas) = (Vec::new(), Vec::new());
    for write in entry.writes {
        match write.value {
            WriteValue::Put(payload) => writes.push((write.tree, write.key, Some(payload))),
            WriteValue::Delete => writes.push((write.tree, write.key, None)),
            WriteValue::Ingest(json) => metas.push(read_meta(&json)?),
            // A tree vanishes with its definition; all that is left of it until then are its rows.
            WriteValue::Truncate | WriteValue::DropTree => cleared.push(write.tree),
        }
    }
    let catalog = CatalogWrites::read(writes.iter().map(|(tree, key, value)| (*tree, key, value.as_ref())))?;
    let trees = directory.apply(catalog);
    let mut ingests = Vec::with_capacity(metas.len());
    for meta in metas {
        named.segments.insert(meta.id);
        named.next_segment = named.next_segment.max(meta.id + 1);
        let schema: Option<&Arc<Schema>> = directory.schema(meta.tree);
        let schema = schema.ok_or_else(|| Error::internal(format!("there is no tree {}", meta.tree)))?;
        ingests.push(segments.open(meta, schema));
    }
    Ok(Change { seq: entry.seq, trees, cleared, ingests, writes })
}

fn read_meta(json: &[u8]) -> Result<SegmentMeta> {
    let json: Json =
        serde_json::from_slice(json).map_err(|error| Error::internal(format!("a segment is not JSON: {error}")))?;
    SegmentMeta::from_json(&json)
}

/// Deletes the files that nothing names.
async fn remove_unnamed(objects: &dyn ObjectStore, sweeper: &Sweeper, files: &BTreeSet<u64>, named: &BTreeSet<u64>) {
    for id in files.difference(named) {
        let path = segment_path(*id);
        match objects.delete(&path).await {
            Ok(()) => tracing::info!(%path, "deleted a segment that was not finished or not needed any more"),
            Err(error) => {
                let error = object_error("delete", &path, error);
                tracing::warn!(%error, "a file is left that nobody needs; trying again later");
                sweeper.discard(*id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
