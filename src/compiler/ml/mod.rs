//! What is said about networks that learn: the functions below `/state/ml/sequential`.
//!
//! 1. [`plan`] reads what a call asks for: a [`Request`] for the executor;
//! 2. [`layer`](mod@layer) and [`optimizer`](mod@optimizer) read how a network is built and how it learns, with the help of
//!    `fields`;
//! 3. a [`Network`] knows the shape of what is between its layers, and which parameters they have.
//!
//! The functions keep nothing. Parameters are tensors like any others, in a map by their names, so that a service keeps them in
//! chains and writes them in its own transaction. Names and shapes are those of PyTorch's `nn.Sequential`.
//!
//! Everything here is pure: it knows shapes, but no element.

mod fields;
pub mod layer;
mod methods;
pub mod network;
pub mod optimizer;
mod request;

pub use layer::Layer;
pub(crate) use methods::METHODS;
pub use network::{Network, Parameter, Stage, Start};
pub use optimizer::{Optimizer, Past};
pub use request::{Fit, Labels, Loss, Request, is_function, plan};
