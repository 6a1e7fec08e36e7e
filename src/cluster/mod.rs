//! Clusters: what is at the paths below `/lib`, `/service` and `/class`.
//!
//! A path leads through directories to an item, which has versions; a version is a set of named attributes: ops, constants,
//! chains and classes.
//!
//! 1. [`definition`] reads what a developer installs, and says what is wrong with it;
//! 2. [`registry`] keeps the tree of names, in tables like any others: so an install is part of its transaction, is forgotten with
//!    it, and conflicts with whoever used what it changes;
//! 3. [`install`] changes the tree;
//! 4. [`chains`] finds all chains in it;
//! 5. `trust` is what services say of each other.
//!
//! What a call of a path does is up to `exec::data`.

pub mod chains;
mod class;
pub mod definition;
mod description;
pub mod install;
pub mod registry;
mod trust;

pub use chains::{Chains, Placed};
pub use definition::{Definition, Member};
pub use description::Description;
pub use registry::{Entry, Registry};
