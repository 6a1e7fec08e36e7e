//! The integration tests, in one binary.

mod attacks;
mod corpus;
mod docs;
mod fuzz;
mod golden;
mod hostile;
mod http;
mod local;
mod programs;
mod props;
mod readme;
mod support;
mod tidy;
