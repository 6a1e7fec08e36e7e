//! What a host keeps: its directories, and the store of rows.
//!
//! ```text
//! Transaction: a snapshot, its own writes above it, what it has read
//!    │ commit
//! committer: validate ─► one block of the log for a group ─► one sync ─► memtables ─► publish
//!    │ checkpoint, in the background
//! segments and a manifest in the object store; the log is cut off
//! ```
//!
//! 1. [`txn`] is what everything above uses; [`load`] brings many rows, [`diff`] and [`changes`] say what a transaction
//!    changed;
//! 2. [`store`] opens and recovers; [`committer`] and [`sequencer`] commit; [`checkpoint`] and [`compaction`] tidy up in the
//!    background, [`scrub`] leaves nothing behind where that is asked for, and [`reseal`] does without older keys;
//! 3. [`tree`] reads one sorted tree at one snapshot, and [`merge`](mod@merge) its parts: [`memtable`]s and [`segment`]s, which a
//!    [`version`] lists;
//! 4. [`codec`] is how cells, keys and rows are stored, [`log`] and [`files`] are where, [`manifest`] says what there is;
//! 5. [`catalog`] is the tree of tables; [`seal`] encrypts what is on disk, below all of this.
//!
//! Invariants: a segment never changes, and lives as long as somebody reads it; what was acknowledged is in the log or in
//! a segment that a durable manifest lists; everybody sees all of a commit or nothing of it.

mod background;
pub mod cache;
pub mod catalog;
mod changes;
mod checkpoint;
pub mod codec;
pub mod commit;
mod committer;
mod compaction;
mod counters;
mod cursor;
mod data_dir;
mod definition;
mod diff;
mod directory;
mod draft;
mod edit;
pub mod files;
mod garbage;
mod index;
pub mod load;
pub mod log;
pub mod manifest;
pub mod memtable;
mod merge;
mod metered;
mod pins;
pub mod read_set;
mod recovery;
mod reseal;
mod scrub;
pub mod seal;
pub mod segment;
mod sequencer;
mod shared;
pub mod store;
pub mod tree;
pub mod txn;
pub mod version;
mod write_set;
mod writer;

pub use changes::{Changes, RowChange};
pub use counters::Stats as StoreStats;
pub use data_dir::{DataDir, Workspace};
pub use diff::{TableChange, TableDiff};
pub use load::Loader;
pub use store::{Store, StoreConfig};
pub use tree::Estimate;
pub use txn::{Mode, Scan, Transaction};
