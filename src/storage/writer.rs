//! Commits groups of transactions.
//!
//! A group takes four steps: each transaction is admitted or refused, in order ([`Sequencer`]), and the rows that it
//! appended get its number; what was admitted goes to the log, which makes it durable at once; it is applied to
//! memtables, where nobody sees it yet; and it is published, so that snapshots from now on see it. Whoever is told that
//! a transaction was committed can see it.
//!
//! Invariants:
//! - Numbers of commits are dense, in the log as in what is published.
//! - If the log fails halfway, nobody knows whether the group is there. So nothing is published, and nothing is
//!   committed until the store is opened again, which finds out.
//! - A failure before anything was written changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::catalog::CATALOG;
use super::commit::Commit;
use super::directory::{CatalogWrites, Directory};
use super::draft::{Change, Draft};
use super::edit::Edit;
use super::log::{Entry, Log, Write, WriteValue};
use super::memtable::{Key, Memtable};
use super::segment::Segment;
use super::sequencer::Sequencer;
use super::shared::Shared;
use super::version::Version;
use crate::error::{Error, Kind, Result};
use crate::value::TreeId;

/// The only one who commits.
#[derive(Debug)]
pub(super) struct Writer {
    log: Log,
    sequencer: Sequencer,
    directory: Directory,
}

/// The transactions of a group that were admitted.
#[derive(Debug, Default)]
struct Group {
    entries: Vec<Entry>,
    changes: Vec<Change>,
    /// Bytes of keys and payloads, and of the segments that transactions bring.
    row_bytes: u64,
    segment_bytes: u64,
    /// Bytes in the log, roughly.
    log_bytes: u64,
}

impl Writer {
    /// A writer whose next commit is the next one of `log`, when the tables are those of `directory`.
    pub(super) fn new(log: Log, directory: Directory) -> Self {
        let sequencer = Sequencer::new(log.next_seq().saturating_sub(1));
        Self { log, sequencer, directory }
    }

    /// Commits transactions in order, and returns what became of each: its number, or why it was not committed.
    ///
    /// # Errors
    /// For each, `Conflict` if something that it had read was changed; `Unavailable` if nothing can be committed;
    /// `Internal` if the log failed, so that it is not known what became of the transaction, or if the transaction
    /// makes no sense.
    pub(super) fn commit(&mut self, shared: &Shared, commits: Vec<Commit>) -> Vec<Result<u64>> {
        if self.log.is_poisoned() {
            commits.iter().flat_map(|commit| &commit.ingests).for_each(|segment| segment.mark_garbage());
            let error = Error::unavailable("the log has failed, and takes no commits until the store is opened again");
            return commits.iter().map(|_| Err(error.clone())).collect();
        }
        let changes_catalog = commits.iter().flat_map(|commit| &commit.writes).any(|(tree, _, _)| *tree == CATALOG);
        let before = changes_catalog.then(|| self.directory.clone());
        let mut group = Group::default();
        let mut outcomes: Vec<Result<u64>> = Vec::with_capacity(commits.len());
        let mut admitted: Vec<Vec<Arc<Segment>>> = Vec::new();
        for commit in commits {
            let ingests = commit.ingests.clone();
            let outcome = self.admit(commit, &mut group);
            match &outcome {
                Ok(_) => admitted.push(ingests),
                Err(error) => {
                    shared.counters.conflicts.add(u64::from(error.kind() == Kind::Conflict));
                    ingests.iter().for_each(|segment| segment.mark_garbage());
                }
            }
            outcomes.push(outcome);
        }
        if group.entries.is_empty() {
            return outcomes;
        }
        if let Err(error) = self.log.append(&group.entries) {
            let error = self.fail(error, before, &admitted);
            let failed = outcomes.iter_mut().filter(|outcome| outcome.is_ok());
            failed.for_each(|outcome| *outcome = Err(error.clone()));
            return outcomes;
        }
        self.publish(shared, group);
        outcomes
    }

    /// Admits a transaction to the group, or refuses it.
    fn admit(&mut self, mut commit: Commit, group: &mut Group) -> Result<u64> {
        let catalog = CatalogWrites::read(commit.writes.iter().map(|(tree, key, value)| (*tree, key, value.as_ref())))?;
        let trees: BTreeSet<TreeId> = commit.trees().collect();
        if let Err(error) = self.directory.check(&catalog, &trees) {
            // If what was read has changed too, that says more: it names the table.
            self.sequencer.validate(&commit).map_err(|conflict| self.directory.explain(&conflict))?;
            return Err(error);
        }
        let seq = self.sequencer.admit(&mut commit).map_err(|conflict| self.directory.explain(&conflict))?;
        let ingests: Vec<Arc<Segment>> =
            (0..).zip(&commit.ingests).map(|(ordinal, segment)| segment.committed(seq, ordinal)).collect();
        group.segment_bytes += ingests.iter().map(|segment| segment.meta().bytes).sum::<u64>();
        group.row_bytes += commit.writes.iter().map(|(_, key, value)| bytes_of(key, value.as_deref())).sum::<u64>();
        group.log_bytes += commit.log_bytes() as u64;
        group.entries.push(entry(seq, &commit, &ingests));
        let trees = self.directory.apply(catalog);
        group.changes.push(Change { seq, trees, cleared: commit.cleared, ingests, writes: commit.writes });
        Ok(seq)
    }

    /// What to tell the transactions of a group that was not logged, or maybe was.
    fn fail(&mut self, error: Error, before: Option<Directory>, admitted: &[Vec<Arc<Segment>>]) -> Error {
        if self.log.is_poisoned() {
            // The log may name the segments of the group, so they are kept.
            let message = format!("whether the transaction was committed is not known: {}", error.message());
            return Error::internal(message);
        }
        self.sequencer.reset(self.log.next_seq().saturating_sub(1));
        if let Some(before) = before {
            self.directory = before;
        }
        admitted.iter().flatten().for_each(|segment| segment.mark_garbage());
        error
    }

    /// Applies a group that is durable, and lets everyone see it.
    fn publish(&mut self, shared: &Shared, group: Group) {
        let commits = group.changes.len() as u64;
        let ingests = group.changes.iter().map(|change| change.ingests.len() as u64).sum();
        let mut draft = Draft::new(shared.version());
        for change in group.changes {
            draft.apply(change);
        }
        let (edits, grown) = draft.finish();
        shared.publish(edits, Some(self.sequencer.newest()));
        self.sequencer.prune(shared.oldest());

        shared.load.grow(grown);
        shared.load.logged_bytes.fetch_add(group.log_bytes, Ordering::Relaxed);
        shared.load.unlisted.fetch_add(ingests, Ordering::Relaxed);
        let counters = &shared.counters;
        counters.groups.add(1);
        counters.commits.add(commits);
        counters.accepted_bytes.add(group.row_bytes + group.segment_bytes);
        counters.ingested_bytes.add(group.segment_bytes);
        counters.log_bytes.set(self.log.bytes());
    }

    /// Freezes all memtables that have rows, and returns the version that has them frozen with its newest commit: all
    /// rows of commits up to there are in frozen memtables and in segments, and none of later ones.
    pub(super) fn freeze(&mut self, shared: &Shared) -> (Arc<Version>, u64) {
        let version = shared.version();
        let dirty = version.trees.values().filter(|tree| !tree.active.is_empty());
        let freeze = |tree: TreeId| Edit::Freeze { tree, active: Arc::new(Memtable::new()) };
        let edits: Vec<Edit> = dirty.map(|tree| freeze(tree.id)).collect();
        shared.load.freeze();
        shared.publish(edits, None);
        shared.newest()
    }

    /// Has the log go on in a new file, so that it can be cut off after what it has now.
    ///
    /// # Errors
    /// `Unavailable` if the log has failed.
    pub(super) fn seal(&mut self) -> Result<()> {
        self.log.seal()
    }

    /// Deletes what the log has only of commits up to `floor`.
    ///
    /// # Errors
    /// `Internal` if a file cannot be deleted.
    pub(super) fn truncate(&mut self, shared: &Shared, floor: u64) -> Result<()> {
        let done = self.log.truncate(floor);
        shared.counters.log_bytes.set(self.log.bytes());
        done
    }
}

fn bytes_of(key: &Key, value: Option<&[u8]>) -> u64 {
    (key.len() + value.map_or(0, <[u8]>::len)) as u64
}

/// What the log keeps of a commit: first what concerns trees, then what replaces their content, then rows.
fn entry(seq: u64, commit: &Commit, ingests: &[Arc<Segment>]) -> Entry {
    let whole = |tree, value| Write { tree, key: Arc::default(), value };
    let row = |(tree, key, value): &(TreeId, Key, Option<Arc<[u8]>>)| {
        let value = value.as_ref().map_or(WriteValue::Delete, |value| WriteValue::Put(Arc::clone(value)));
        Write { tree: *tree, key: Arc::clone(key), value }
    };
    let is_catalog = |write: &&(TreeId, Key, Option<Arc<[u8]>>)| write.0 == CATALOG;
    let mut writes = Vec::with_capacity(commit.writes.len() + commit.cleared.len() + ingests.len());
    writes.extend(commit.writes.iter().filter(is_catalog).map(row));
    writes.extend(commit.cleared.iter().map(|tree| whole(*tree, WriteValue::Truncate)));
    for segment in ingests {
        let json = segment.meta().to_json().to_string();
        writes.push(whole(segment.meta().tree, WriteValue::Ingest(json.into_bytes().into())));
    }
    writes.extend(commit.writes.iter().filter(|write| !is_catalog(write)).map(row));
    Entry { seq, txn: commit.txn, writes }
}
