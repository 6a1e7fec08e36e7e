//! The integration tests, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fail loudly, and in real time"
)]

mod attacks;
mod chains;
mod corpus;
mod crash_sim;
mod docs;
mod fuzz;
mod golden;
mod histories;
mod hostile;
mod http;
mod local;
mod lying_disk;
mod programs;
mod props;
mod readme;
mod slt;
mod streams;
mod support;
mod tidy;
