//! The log: what was committed, in order, durable before anyone is told.
//!
//! Commits reach the disk here first. A group of them is one block, written at once and synced once; the trees
//! in memory follow. When they in turn are durable in segments, the log is cut off at its start
//! ([`Log::truncate`]), and what is left of it is replayed when the host starts ([`Log::open`]).
//!
//! Invariants:
//! - The entries are commits without gaps. Once [`Log::append`] returned, they are there after any crash that the
//!   [`Disk`] survives.
//! - At most one block is written and not yet durable. So a block that is not whole is the end of the log, and if a
//!   whole one follows it, the disk has lost what it had promised to keep: then the log does not open.
//! - After a write or a sync that failed, nothing is written until the log is opened again, which writes again what
//!   may not be durable.
//! - While the log is open, its files are plain Arrow IPC streams that any reader of them reads, unless they are
//!   encrypted: then each block is sealed by itself ([`frame`]), and all else is the same.
//!
//! This module knows nothing of what keys and values mean, nor of which commits may conflict.

mod block;
mod disk;
mod entry;
mod file;
mod frame;
mod recovery;
mod writer;

pub use disk::{Disk, LocalDisk, MemoryDisk};
pub use entry::{Entry, Write, WriteValue};
pub use file::{Blocks, read_blocks};
pub use writer::{Log, LogOptions};

#[cfg(test)]
mod tests;
