//! What is said about collections: schemas, selectors, views and calls.
//!
//! 1. [`literal`] reads what makes a collection, with the help of [`schema`];
//! 2. [`call`] reads what is asked of one, and `write` what is written to it: an [`Action`] for the executor;
//! 3. [`selector`](mod@selector) and [`condition`] say which rows are meant, and [`view`] adds that to what was meant before;
//!    [`numbers`] says which columns are meant as a tensor;
//! 4. [`access`](mod@access) chooses the index that serves a view.
//!
//! Everything here is pure: it knows schemas and states, but no row that is stored. Where the contract leaves a choice,
//! it is this: conditions and orders that no index serves are served by a scan and a sort.

pub mod access;
pub mod call;
pub mod condition;
pub mod literal;
pub mod numbers;
#[cfg(test)]
pub(crate) mod sample;
pub mod schema;
pub mod selector;
pub mod view;
mod write;

pub use access::{Access, access};
pub use call::{Action, first_reply, plan};
pub use condition::{compare, meets, meets_all};
pub use literal::{Literal, Source, copy, copy_from, create, load};
pub use numbers::NumberColumns;
pub use schema::{parse_schema, schema_state};
pub use selector::{Selector, conditions, selector};
pub use view::{btree_slice, limit, order, reverse, select, table_where};
