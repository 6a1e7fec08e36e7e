//! What a host keeps on disk.
//!
//! For now this is the two directories of a host: [`DataDir`], which outlives it, and [`Workspace`], which does not.
//! Both are held under a lock, so that two hosts never write to one directory. This module knows nothing of requests,
//! programs or HTTP.

mod data_dir;

pub use data_dir::{DataDir, Workspace};
