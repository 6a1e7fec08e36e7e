//! What is not done in time.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::error::{Error, Result};

/// A program stops itself at the deadline, and knows what it was doing; one that cannot is stopped this much later.
pub(super) const GRACE: Duration = Duration::from_millis(50);

/// The result of `work`, unless that takes until after `deadline`.
pub(super) async fn before<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
    let result = timeout_at(deadline.into(), work).await;
    result.unwrap_or_else(|_| Err(timed_out("while running the program")))
}

pub(super) fn timed_out(context: &str) -> Error {
    Error::timeout("request timed out").while_doing(context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_takes_too_long_times_out() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(before(Instant::now(), std::future::pending::<Result<()>>())).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Timeout, "request timed out"));
        assert_eq!(error.stack(), ["while running the program"]);
    }
}
