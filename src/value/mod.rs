//! What programs are made of: values, collections of values, op definitions, and their laws.
//!
//! This is the vocabulary that every other module shares. It knows nothing of HTTP, graphs or storage. The laws are
//! those of the protocol: which class a sum has ([`number`]), when two states are equal ([`equal`]), how they are
//! ordered ([`collate`]), cast ([`cast`]), hashed ([`hash`]) and written ([`encode`]).
//!
//! Invariants: a [`State`] never nests deeper than [`state::DEPTH_MAX`] and never weighs more than
//! [`state::WEIGHT_MAX`] bytes, because [`Tuple`] and [`Map`] refuse to be built otherwise. So code that walks a state
//! may recurse, and ends.

pub mod atom;
pub mod cast;
pub mod cell;
pub mod class;
pub mod collate;
pub mod collection;
pub mod doc;
pub mod encode;
mod encode_collection;
mod encode_tensor;
pub mod equal;
pub mod expr;
pub mod hash;
pub mod hash_collection;
pub mod hash_tensor;
pub mod id;
pub mod link;
pub mod number;
pub mod object;
mod parts;
#[cfg(test)]
pub(crate) mod sample;
pub mod schema;
pub mod state;
pub mod stream;
pub mod template;
pub mod tensor;
pub mod text;

pub use atom::{Email, Value, Version};
pub use class::Class;
pub use collection::Collection;
pub use doc::Doc;
pub use expr::{Args, Closure, Expr, Flow, OpDef, OpKind, Step, Subject, Verb};
pub use id::Id;
pub use link::{Authority, Link, Root};
pub use number::{Number, NumberClass};
pub use object::Object;
pub use schema::{Schema, Table, TreeId};
pub use state::{Map, State, Tuple};
pub use stream::Stream;
pub use tensor::Tensor;
