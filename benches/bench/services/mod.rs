//! Libraries and services that are installed on a host: calls, rows, transfers, and the blocks of a chain.
//!
//! What is installed is in benches/services.json, by the path under which it is.

mod blocks;
mod calls;
mod installed;
mod rows;
mod transfers;

use crate::Effort;

/// Measures all of these, each on a host of its own.
pub fn run(effort: &Effort) {
    calls::run(&effort.sizes);
    rows::run(&effort.sizes);
    transfers::run(&effort.sizes);
    blocks::run(&effort.sizes);
}
