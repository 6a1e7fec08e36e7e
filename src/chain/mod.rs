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
//! 4. [`replay`] makes the subject again from the records, up to any transaction;
//! 5. [`backup`] deletes what is old, and [`compliant`] what a user wants to be forgotten; [`erasure`] sees to it that
//!    no file has it any more.

pub mod backup;
pub mod block;
pub mod compliant;
pub mod declaration;
pub mod erasure;
pub mod policy;
pub mod record;
pub mod replay;
mod rows;
pub mod verify;

pub use declaration::{ChainDef, Kind, Subject};

#[cfg(test)]
mod tests;
