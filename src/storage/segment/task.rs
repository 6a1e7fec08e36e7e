//! Work that goes on while its owner does something else.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::storage::files::{join_error, run_blocking};

/// Runs `work`, which computes for long or waits for the disk, where it keeps no other request waiting.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    run_blocking(work).await.map_err(|error| join_error(&error))?
}

/// Work that was started. It ends early if this is dropped.
pub(super) enum Started<T> {
    Done(Result<T>),
    Running(Task<T>),
    /// Where there is no runtime: what remains is done when it is waited for.
    Waiting(BoxFuture<'static, Result<T>>),
}

/// Starts `work`. What can be done without waiting is done at once, so that data at hand costs no task.
pub(super) fn start<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Started<T> {
    let mut work = work.boxed();
    if let Some(done) = (&mut work).now_or_never() {
        return Started::Done(done);
    }
    match Handle::try_current() {
        Ok(runtime) => Started::Running(Task(runtime.spawn(work))),
        Err(_) => Started::Waiting(work),
    }
}

impl<T> Started<T> {
    /// What came of it, when it is done.
    pub async fn wait(self) -> Result<T> {
        match self {
            Started::Done(done) => done,
            Started::Running(mut task) => (&mut task.0).await.map_err(|error| join_error(&error))?,
            Started::Waiting(work) => work.await,
        }
    }
}

/// A task that ends when nobody waits for it any more.
pub(super) struct Task<T>(JoinHandle<Result<T>>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::error::Error;

    #[tokio::test]
    async fn what_needs_no_waiting_is_done_at_once() {
        assert!(matches!(start(async { Ok(1) }), Started::Done(Ok(1))));
        assert_eq!(start(blocking(|| Ok(2))).wait().await.unwrap(), 2);
        let failed = start(blocking(|| Err::<(), _>(Error::internal("no"))));
        assert_eq!(failed.wait().await.unwrap_err().message(), "no");
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let failed = start(blocking(|| -> Result<()> { panic!("on purpose") }));
        assert_eq!(failed.wait().await.unwrap_err().kind(), crate::error::Kind::Internal);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends() {
        /// Notes that it was dropped.
        struct Guard(Arc<AtomicBool>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let guard = Guard(Arc::clone(&is_over));
        let endless = start(async move {
            futures::future::pending::<()>().await;
            drop(guard);
            Ok(())
        });
        drop(endless);
        while !is_over.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn without_a_runtime_work_is_done_when_it_is_waited_for() {
        assert_eq!(start(blocking(|| Ok(1))).wait().now_or_never().unwrap().unwrap(), 1);
    }
}
