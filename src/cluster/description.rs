//! What is at a path, for whoever describes it.

use std::sync::Arc;

use super::definition::Definition;

/// What is at a path.
#[derive(Clone, Debug)]
pub enum Description {
    Version(Arc<Definition>),
    /// The names in a directory, in their order, and whether each is a directory too.
    Directory(Vec<(String, bool)>),
    /// The versions of an item, in the order of their numbers.
    Item(Vec<String>),
}
