//! Runs plans.
//!
//! 1. [`codegen`] turns the regions of a plan into code for a register machine ([`unit`]);
//! 2. [`step`] runs straight-line code, without allocation or task per node;
//! 3. [`machine`] does the rest, in [`fiber`]s: calls of ops, loops, and waiting for other hosts, with as much at once as the program
//!    allows;
//! 4. [`object`] calls what has methods of its own, and [`data`] reads and writes rows for them, by key or through DataFusion ([`relation`]);
//! 5. [`stream`] goes through the items of streams, whose ops [`vector`] runs on whole columns where it can, and
//!    [`reduce`] through what is due of a chain;
//! 6. [`kernel`] puts it together, and keeps compiled programs and ops in [`cache`]; [`explain`] shows plans and what they
//!    cost.
//!
//! [`tensor`] computes what calls of tensors ask for, piece by piece, and [`ml`] trains networks.
//!
//! [`sql`] does without the machine: scripts of SQL run in the same transactions.
//!
//! The machine does no I/O and knows no task: calls of other hosts go through the [`Gateway`], time comes from the
//! [`Clock`](crate::env::Clock).

mod cache;
mod call;
mod codegen;
mod data;
mod explain;
mod fiber;
mod gateway;
mod items;
mod kernel;
mod loops;
mod machine;
mod ml;
mod object;
mod reduce;
pub mod relation;
pub mod sql;
mod step;
mod stream;
pub(crate) mod tensor;
mod trace;
mod unit;
mod unwind;
mod vector;

pub use cache::Stats;
pub use data::{Contents, Session, SqlReply, TensorReader};
pub use gateway::{Gateway, RemoteArgs};
pub use kernel::{Kernel, Prepared};
pub use relation::{Engine, EngineConfig};
pub use tensor::device::{DeviceChoice, DeviceStats, Devices, OpKey, Row, Status, Thresholds, Usage, Verdict};
