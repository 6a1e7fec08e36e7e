//! The integration tests, in one binary.

mod corpus;
mod golden;
mod http;
mod readme;
mod support;
mod tidy;
