//! Queries: tables and B-trees as DataFusion sees them.
//!
//! 1. [`provider`] is a table for DataFusion, and chooses the way to its rows with the help of [`predicate`];
//! 2. [`scan`] is the leaf of its plans, which reads a transaction's snapshot, less the row groups that [`pruning`] leaves
//!    out;
//! 3. [`statistics`] says what the planner may guess of columns;
//! 4. [`sort_key`] orders what Arrow orders otherwise;
//! 5. [`tensor`] is a tensor for DataFusion;
//! 6. [`engine`] makes plans of views and of queries with the [`rules`] that are sound ([`planner`]), and runs them on [`threads`] of
//!    their own, and [`spill`] has what needs more memory than there is, where the data is encrypted.

pub(crate) mod cells;
mod engine;
pub(crate) mod error;
mod planner;
mod predicate;
mod provider;
mod pruning;
mod rules;
mod scan;
mod sort_key;
mod spill;
mod statistics;
mod tensor;
mod threads;

pub use engine::{Engine, EngineConfig};
pub(crate) use provider::CollectionProvider;
pub(crate) use tensor::TensorProvider;
