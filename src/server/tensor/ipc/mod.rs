//! Tensors as streams of Arrow batches.
//!
//! A dense tensor is one column, `value`, whose rows follow each other along the first axis. With more axes than that, the
//! column has the canonical extension type `arrow.fixed_shape_tensor`, of the shape of the other axes; so a stream of any
//! length can be read back as one array. A sparse tensor has a row for each element that is not zero: its coordinate in the
//! columns `axis_0`, `axis_1` and so on, and the element in `value`.
//!
//! | what | where it is said |
//! |---|---|
//! | the shape | metadata [`SHAPE`] of the schema: a JSON list |
//! | the dtype | metadata `tinychain:class` of the field `value`: the path of the class, as columns of tables have it |
//! | a complex number | its two parts, as a list of two floats; in the column of a dense tensor this is one more axis |
//!
//! What is read need have no metadata: a column of numbers, or of lists of a fixed size, is a dense tensor. Only the shape of a
//! sparse tensor must be said, and that two floats are a complex number.

mod entries;
mod messages;
mod read;
mod write;

pub use read::decode;
pub use write::{batches, check};

/// The metadata of a schema that says which shape the tensor has.
const SHAPE: &str = "tinychain:shape";
/// The metadata of a field that says of which extension type it is.
const EXTENSION: &str = "ARROW:extension:name";
/// The metadata of a field that says what there is to know of its extension type.
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
/// The extension type of columns whose cells are tensors.
const FIXED_SHAPE_TENSOR: &str = "arrow.fixed_shape_tensor";

#[cfg(test)]
mod tests;
