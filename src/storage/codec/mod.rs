//! Stored forms of cells: keys, payloads and Arrow batches.
//!
//! A tree maps keys to payloads. A key ([`key`]) is the key cells of a row as bytes whose order is that of
//! [`crate::value::collate`], column by column, so that everything above compares bytes and nothing else. A payload
//! ([`row`]) is what the key does not say. In segments and in what is read, rows are Arrow batches ([`arrow`]).
//!
//! A cell takes one of four forms: a `State`, key bytes, payload bytes, an element of an Arrow array. Each form is
//! written and read by way of `cell::Cell`, so that the types of columns are known in one place for each form.
//!
//! Keys and payloads are on disk: what any of these modules writes must be readable for ever.

pub mod arrow;
mod cell;
mod json;
pub mod key;
mod order;
mod range;
pub mod row;
#[cfg(test)]
pub(crate) mod sample;
mod value_key;

pub use arrow::{
    KeyColumn, RowBuilder, arrow_schema, cast_batch, cell, data_type, encode_batch_keys, encode_batch_payloads, rows,
};
pub use key::{UNSTAMPED, decode_cell, decode_key, encode_cell, encode_key, is_reversible, stamp};
pub use range::{KeyRange, range, successor};
pub use row::{decode_column, decode_row, encode_payload};
