//! Streams as states: the rows of a collection, and what ops make of them one after the other.
//!
//! A stream is a description. Its items are read when a method asks for them, such as `fold` or `count`, or when it is the
//! result of a request, so that they show what the transaction has written by then. So a stream takes no memory, however
//! many rows there are.

use std::sync::Arc;

use super::{Collection, State};
use crate::error::{Error, Result};

/// What happens to each item. Ops are as they were given, an op or a closure.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Stage {
    /// The item becomes what the op makes of it.
    Map(State),
    /// The item goes on if the op is true for it.
    Filter(State),
    /// The item goes on unless it equals the one before.
    Distinct,
}

/// Items that are computed as they are read.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Stream {
    /// The view whose rows are the items of the first stage, each a tuple of cells.
    pub source: Collection,
    pub stages: Vec<Stage>,
}

impl Stream {
    /// The rows of a view.
    pub fn new(source: Collection) -> Self {
        Self { source: Collection { rows: None, ..source }, stages: vec![] }
    }

    /// The same items after one more stage.
    #[must_use]
    pub fn then(&self, stage: Stage) -> Self {
        let mut stages = self.stages.clone();
        stages.push(stage);
        Self { source: self.source.clone(), stages }
    }

    /// The view whose rows these are, if nothing was done to them.
    ///
    /// # Errors
    /// `BadRequest` if something was.
    pub fn rows(&self) -> Result<&Collection> {
        match self.stages.is_empty() {
            true => Ok(&self.source),
            false => Err(Error::bad_request("rows cannot be loaded from what ops make of a stream: collect it first")),
        }
    }

    /// How many bytes this stands for, roughly.
    pub fn weight(&self) -> u64 {
        let ops = self.stages.iter().map(|stage| match stage {
            Stage::Map(op) | Stage::Filter(op) => op.weight(),
            Stage::Distinct => 0,
        });
        size_of::<Self>() as u64 + ops.sum::<u64>()
    }
}

impl From<Stream> for State {
    fn from(stream: Stream) -> Self {
        State::Stream(Arc::new(stream))
    }
}
