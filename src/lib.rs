//! TinyChain: an all-in-one transactional database and application server.
//!
//! A request goes through the modules in the order of their names in this list:
//!
//! 1. [`server`] reads it under limits and decodes it ([`server::codec`]);
//! 2. [`compiler`] turns the document into a [`Program`](compiler::Program), and the program into a graph;
//! 3. [`planner`] rewrites the graph by its rules and cuts it into regions;
//! 4. [`exec`] compiles the regions, keeps the code for the next request of the same shape, and runs it;
//! 5. [`server`] writes the reply.
//!
//! What all of them share is the vocabulary: [`error`], [`value`], [`txn`], [`limits`] and [`env`]. `storage` owns the
//! data directory, `cluster` knows what is at which path. ARCHITECTURE.md has the map and the reasons.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests use the real time"))]

pub mod chain;
pub mod cluster;
pub mod compiler;
pub mod env;
pub mod error;
pub mod exec;
pub mod limits;
pub mod planner;
pub mod server;
pub mod storage;
pub mod txn;
pub mod value;
