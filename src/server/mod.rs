//! HTTP: from bytes to a program, and from its result back to bytes.
//!
//! The life of a request:
//!
//! 1. `http` accepts the connection and parses the HTTP messages on it, one task a connection.
//! 2. `request` reads the head (path, `query`, token, transaction id), asks [`auth`] whether its sender may do that,
//!    and reads the body, under the limits of [`crate::limits`]: bytes, depth, time, and requests in progress.
//! 3. `routes` tells the few fixed endpoints from paths that name something in the world of programs.
//! 4. [`codec`] decodes JSON or TBON to a [`Doc`](crate::value::Doc), which `compiler` makes a program of.
//! 5. `exec` runs the program before its deadline. If it calls other hosts, it does so through `gateway`.
//! 6. [`codec`] encodes the resulting state, or `request` turns the error into a status and a body.
//! 7. `metrics` counts, and `watch` counts calls of services and makes traces, which are exported (`export`) where the
//!    environment names a collector.
//!
//! `sql` answers scripts of SQL in the same way. What is asked for in another `form` is streamed as it is computed (`arrow`,
//! `body`): rows, also those of a collection, and tensors (`tensor`), which come in these forms, too. `diff` shows what a
//! request that is hypothetical would change.
//!
//! Beside that, `config` is the command line, `at_rest` reads the keys of what is encrypted on disk, [`offline`] does what
//! takes a host that is stopped, `openapi` and `docs` describe the host to people and tools, `devices` says what computes
//! tensors, and `page` describes what is installed.
//!
//! Invariants: every reply has a body in the encoding that it announces, whatever went wrong; no request outlives its
//! deadline by more than a moment; nothing here knows what a program means.

mod arrow;
mod at_rest;
pub mod auth;
mod body;
pub mod codec;
mod config;
mod connection;
mod device_metrics;
mod devices;
mod diff;
mod docs;
mod export;
mod form;
mod gateway;
mod http;
mod metrics;
pub mod offline;
mod openapi;
mod page;
mod query;
mod replicas;
mod request;
mod retry;
mod routes;
mod service_metrics;
mod sql;
mod store_metrics;
mod tensor;
mod watch;

pub use at_rest::key_list;
pub use config::{Command, CommandLine, Config};
pub use http::{ServeError, Server, serve};
