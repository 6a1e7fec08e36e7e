//! Chains: what history the mutations of a subject leave behind.
//!
//! A chain wraps one subject, a collection or a value, which is a table like any other. A *SyncChain* keeps what
//! recovery needs, which the store's log does for every table. The other kinds also keep records of what was written,
//! in a table beside the subject:
//!
//! 1. [`declaration`] reads what a developer declares, and [`policy`] the options of each kind;
//! 2. [`record`] is what a record is, and what a transaction appends of it, in the transaction itself: so that the
//!    records are durable with what they record, and in the order of the commits;
//! 3. [`block`] cuts records into blocks that are linked by hashes, and [`verify`] checks these;
//! 4. [`replay`] makes the subject again from the records, up to any transaction, `compare` tells how the subject
//!    differs from that, and [`rebuild`] repairs it;
//! 5. [`backup`] deletes what is old, [`reduce`] makes less of it, and of the subject if it is to (`apply`), and both keep
//!    a copy of the subject in its place (`base`); [`compliant`] seals what a user may want to be forgotten, [`owners`]
//!    forgets it, and knows whose rows are (`holders`); [`erasure`] sees to it that no file has any of what was deleted
//!    any more.

mod apply;
pub mod backup;
mod base;
pub mod block;
mod compare;
pub mod compliant;
pub mod declaration;
pub mod erasure;
mod holders;
pub mod owners;
pub mod policy;
pub mod rebuild;
pub mod record;
pub mod reduce;
pub mod replay;
pub(crate) mod rows;
pub mod verify;

pub use declaration::{ChainDef, Kind, Subject};

#[cfg(test)]
mod tests;
