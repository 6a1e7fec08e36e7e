//! Results that are sent as they are read: the rows of a collection, or the elements of a tensor.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use super::{Session, Worker};
use crate::error::{Error, Result};
use crate::exec::sql::Outcome;
use crate::exec::tensor::Evaluation;
use crate::value::tensor::elements::width;
use crate::value::tensor::{Elements, Entries, TensorSchema};
use crate::value::{State, Tensor};

/// Bytes of elements that are computed for one part of a reply.
const PIECE_BYTES: u64 = 1 << 20;
/// Parts that are computed at the same time.
const PARALLEL: usize = 2;
/// What the paths begin with at which services keep what they have.
const SERVICES: &str = "/service/";

/// A result that is sent as it is read.
#[derive(Debug)]
pub enum Contents {
    Rows(Outcome),
    Tensor(TensorReader),
}

/// Reads a tensor, as it is when this is made, in the transaction that the tensor belongs to.
pub struct TensorReader {
    tensor: Arc<Tensor>,
    evaluation: Evaluation,
    /// The transaction lasts as long as anything is read in it.
    session: Arc<Session>,
}

impl Session {
    /// What a result consists of.
    ///
    /// # Errors
    /// `BadRequest` if it is neither a collection nor a tensor; as reading the rows.
    pub(crate) async fn contents(self: &Arc<Self>, state: &State) -> Result<Contents> {
        match state {
            State::Collection(collection) => self.batches(collection).await.map(Contents::Rows),
            State::Tensor(tensor) => {
                let tensor = Worker::of(self).frozen_tensor(tensor)?;
                Ok(Contents::Tensor(TensorReader::new(self, tensor)))
            }
            other => {
                let class = other.class();
                Err(Error::bad_request(format!(
                    "only collections and tensors are sent as they are read, not a {class}"
                )))
            }
        }
    }

    /// The tensor that a service keeps at a path, as it is now, and what computes its elements.
    ///
    /// # Errors
    /// `NotFound` if there is nothing, `BadRequest` if it is no tensor.
    pub(crate) async fn tensor_at(&self, path: &str) -> Result<(Arc<Tensor>, Evaluation)> {
        let no_tensor = || Error::bad_request(format!("{path} is not the path of a tensor"));
        if !path.starts_with(SERVICES) {
            return Err(no_tensor());
        }
        let table = self.txn.table(path).await?.ok_or_else(|| Error::not_found(path))?;
        self.will_read(path).await?;
        let tensor = Tensor::stored(&table).ok_or_else(no_tensor)?;
        let evaluation = Evaluation::new(&self.devices, &self.txn, Arc::default());
        Ok((evaluation.frozen(&Arc::new(tensor))?, evaluation))
    }
}

impl Contents {
    /// The same, in memory.
    ///
    /// # Errors
    /// As reading it; `TooLarge` if it takes more than `bytes_max`.
    pub(in crate::exec) async fn collect(self, bytes_max: usize) -> Result<Self> {
        match self {
            Contents::Rows(rows) => rows.collect(bytes_max).await.map(Contents::Rows),
            Contents::Tensor(TensorReader { tensor, session, .. }) => {
                let tensor = Box::pin(Worker::of(&session).filled_tensor(&tensor, bytes_max as u64)).await?;
                Ok(Contents::Tensor(TensorReader::new(&session, tensor)))
            }
        }
    }
}

impl TensorReader {
    fn new(session: &Arc<Session>, tensor: Arc<Tensor>) -> Self {
        let evaluation = Evaluation::new(&session.devices, session.txn(), Arc::default());
        Self { tensor, evaluation, session: Arc::clone(session) }
    }

    /// What the tensor looks like.
    pub fn schema(&self) -> &TensorSchema {
        &self.tensor.schema
    }

    /// The elements of a dense tensor, in order, in pieces of whole rows of `row_len` elements. The tensor consists of such
    /// rows.
    pub fn pieces(self, row_len: u64) -> BoxStream<'static, Result<Elements>> {
        let (size, row_len) = (self.tensor.size(), row_len.max(1));
        let piece_len = PIECE_BYTES / width(self.tensor.dtype()) as u64;
        let len = (piece_len / row_len).max(1).saturating_mul(row_len);
        let reader = Arc::new(self);
        let pieces = (0..size.div_ceil(len)).map(move |at| {
            let (reader, start) = (Arc::clone(&reader), at * len);
            let range = start..size.min(start.saturating_add(len));
            async move { reader.evaluation.piece(&reader.tensor, range).await }
        });
        stream::iter(pieces).buffered(PARALLEL).boxed()
    }

    /// The entries of a sparse tensor.
    ///
    /// # Errors
    /// As computing them; `TooLarge` if they take more than `bytes_max`.
    pub async fn entries(&self, bytes_max: usize) -> Result<Entries> {
        let entries = self.evaluation.entries(&self.tensor).await?;
        match entries.weight() > bytes_max as u64 {
            true => Err(Error::too_large(format!("the entries of a tensor take more than {bytes_max} bytes"))),
            false => Ok(entries),
        }
    }
}

impl std::fmt::Debug for TensorReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorReader")
            .field("tensor", &self.tensor)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
