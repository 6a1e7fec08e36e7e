//! Functions over pieces of tensors.
//!
//! A [`Chunk`] is elements of one dtype on a device, in a row; shapes are the business of whoever cuts tensors into pieces.
//! burn computes what it computes as the protocol wants it, and what only a device can do fast: arithmetic, comparisons,
//! choices, functions of floats, products of matrices. The rest are loops over elements in memory, because
//!
//! - burn panics where an integer is divided by zero, knows no negative powers of integers, and rounds halves to even;
//! - numpy's remainder of zero has the sign of the divisor, and burn's has not;
//! - burn has no complex numbers: their sums and products are made of those of their parts, other functions are not;
//! - sums have to be accumulated in more bits than the elements have, and in the same order every time.
//!
//! On the CPU (flex) the elements are in memory anyway, and loops take and give back the same memory. Elsewhere they would have
//! to be brought there and back, so [`device`](super::device) does not place these functions elsewhere; they work there
//! nevertheless. Each of these functions gives an error, not a panic, for what it cannot do.

mod binary;
mod cast;
mod chunk;
mod complex;
mod concat;
mod float;
mod fold;
mod integer;
mod matmul;
mod native;
mod reduce;
mod select;
mod sort;
mod transfer;
mod unary;

// burn is what computes; this only turns on features that it leaves off.
use burn_flex as _;

pub use chunk::{Chunk, Operand, burn_dtype};
pub use fold::combine;

#[cfg(test)]
mod sample;
