//! Threads of their own for queries.
//!
//! An operator may compute for seconds without letting others run. On the threads that serve requests it would stop the
//! whole host; here it can only hold up other queries, and whoever waits for it can stop waiting.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Enough for the deepest plan of a statement that is accepted.
const STACK_BYTES: usize = 64 << 20;
/// Batches that are computed ahead of their reader.
const BATCHES_AHEAD: usize = 2;

/// The threads of all queries of a host.
#[derive(Clone)]
pub(super) struct Threads(Arc<Inner>);

struct Inner(Option<Runtime>);

impl Drop for Inner {
    fn drop(&mut self) {
        // A query may be in the middle of something, and nobody wants its result.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A task that ends with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Threads {
    /// So many threads.
    ///
    /// # Errors
    /// `Internal` if they cannot be started.
    pub(super) fn new(count: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| Error::internal(format!("cannot start the threads of queries: {error}")))?;
        Ok(Self(Arc::new(Inner(Some(runtime)))))
    }

    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<Task<T>> {
        let runtime = self.0.0.as_ref().ok_or_else(|| Error::unavailable("this host is stopping"))?;
        Ok(Task(runtime.spawn(work)))
    }

    /// Does `work` here. If the returned future is dropped, the work ends as soon as it lets others run.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let mut task = self.spawn(work)?;
        match (&mut task.0).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::unavailable("this host is stopping")),
        }
    }

    /// Reads a stream here, a little ahead of its reader.
    pub(super) fn stream(
        &self,
        schema: SchemaRef,
        begin: impl FnOnce() -> Result<SendableRecordBatchStream, DataFusionError> + Send + 'static,
    ) -> Result<SendableRecordBatchStream> {
        let (sender, receiver) = mpsc::channel::<Result<RecordBatch, DataFusionError>>(BATCHES_AHEAD);
        let task = self.spawn(async move {
            let mut batches = match begin() {
                Ok(batches) => batches,
                // If nobody is there any more, nobody needs to know.
                Err(error) => return drop(sender.send(Err(error)).await),
            };
            while let Some(batch) = batches.next().await {
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        })?;
        let batches = futures::stream::unfold((receiver, task), |(mut receiver, mut task)| async move {
            match receiver.recv().await {
                Some(batch) => Some((batch, (receiver, task))),
                None => match (&mut task.0).await {
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    _ => None,
                },
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}
