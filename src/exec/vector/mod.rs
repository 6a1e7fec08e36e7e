//! Ops that are run on whole columns.
//!
//! An op that only computes with numbers, and neither waits nor loops, needs no machine: [`compile`](mod@compile) turns the
//! graphs of the ops of a stream into one [`Program`], which runs on a batch of rows at a time, node by node ([`calls`],
//! [`item`]); [`kernels`] computes a column from others; [`reduce`] adds a column up.
//!
//! **A cell that is null has failed.** A kernel never stops at a row that overflows or divides by zero, it leaves null there.
//! An `if` takes cells of the branch that its condition chooses, so what fails in the other one does no harm, and both can
//! be computed for all rows. If a result has a null in the end, the machine runs the op for the rows of that batch, which
//! raises the very error that it would have raised without this module.

mod calls;
pub(super) mod compile;
mod item;
mod kernels;
mod program;
pub(super) mod reduce;

pub(super) use compile::{compile, needed_columns};
pub(super) use program::Program;
