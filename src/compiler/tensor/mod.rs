//! What is said about tensors: schemas, constructors and calls.
//!
//! 1. [`schema`](fn@schema) reads what a tensor is to look like, and [`construct`](fn@construct) what makes one, with the
//!    elements that `load` reads;
//! 2. [`plan`] reads what is asked of a tensor: an [`Action`] for the executor;
//! 3. each family of methods has a file, which checks shapes and dtypes and says which expression the result is; `promote`
//!    has the rules for dtypes, `sparse` those for layouts, and `build` makes the nodes.
//!
//! Everything here is pure: it knows schemas and expressions, but no element that is stored.

mod args;
mod axes;
mod binary;
mod bounds;
mod build;
mod call;
mod cond;
mod construct;
mod einsum;
mod join;
mod load;
mod matmul;
mod promote;
mod reduce;
#[cfg(test)]
mod sample;
mod schema;
mod sparse;
mod transform;
mod unary;
mod write;

pub use call::{Action, plan};
pub use construct::{construct, is_constructor};
pub use schema::{schema, schema_state};
