//! From a decoded document to a graph.
//!
//! 1. [`decode`] turns a [`Doc`](crate::value::Doc) into expressions, wherever it stands, with errors that carry
//!    their place;
//! 2. [`Program`] is a request as steps; its literals are the parameters of its plan;
//! 3. [`build`] makes the [`OpGraph`] of what the result may need, with the classes that are known;
//! 4. [`methods`] says what every class can do, [`collection`] and [`tensor`] what calls of these mean,
//!    and [`ml`] what those of networks that learn do.
//!
//! Everything here is pure: no I/O, no clock, the same input gives the same graph.

pub mod build;
pub mod collection;
pub mod decode;
pub mod display;
pub mod graph;
pub mod methods;
pub mod ml;
pub mod program;
pub mod tensor;

pub use build::{BuildContext, build_op, build_program};
pub use decode::decode_state;
pub use graph::{Demand, Edge, Node, NodeId, Op, OpGraph, Target, Trail};
pub use methods::reference::{reference_html, reference_markdown};
pub use program::{Program, Shape as ProgramShape};
