//! Reads the body of a request, or forgets it.

use std::time::Instant;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use tokio::time::timeout_at;

use super::deadline::timed_out;
use super::head::Head;
use crate::error::{Error, Result};
use crate::server::http::Host;
use crate::value::Verb;

/// How much of a body that nobody wants is read, so that the client gets to read the reply.
const DRAIN_BYTES_MAX: usize = 256 << 20;

/// The body of a request. That of a GET or DELETE means nothing.
pub(super) async fn read_document(host: &Host, head: &Head, body: &mut Incoming) -> Result<Bytes> {
    if matches!(head.verb, Verb::Get | Verb::Delete) {
        return Ok(Bytes::new());
    }
    let reading = timeout_at(head.txn.deadline.into(), read_body(body, host.limits.body_bytes));
    let bytes = reading.await.unwrap_or_else(|_| Err(timed_out("while reading the body")))?;
    host.metrics.receive(bytes.len());
    Ok(bytes)
}

async fn read_body(body: &mut Incoming, bytes_max: usize) -> Result<Bytes> {
    let too_large = || Error::too_large(format!("the body is larger than {bytes_max} bytes"));
    // What is known to be too large is refused before it is sent.
    if usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes > bytes_max) {
        return Err(too_large());
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Error::bad_request(format!("cannot read the body: {error}"))),
    }
}

/// Reads what is left of a body, within bounds, and forgets it.
pub(super) async fn forget(body: &mut Incoming, deadline: Instant) {
    let reading = async {
        let mut bytes = 0;
        while bytes < DRAIN_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Whether or not all was read in time, the reply is sent next.
    let _ = timeout_at(deadline.into(), reading).await;
}
