//! The life of one request, from its head to the reply.
//!
//! Every request is answered, and with a body: errors of any layer, panics and timeouts included, become the status and
//! the body of their kind. Where the body of a request was not read when the reply is known, it is read and forgotten
//! within bounds, because closing a connection on a client that is still sending can cost it the reply, or the next one.
//!
//! 1. [`head`] reads what comes before the body;
//! 2. [`answer`](mod@answer) asks whether the request may be answered, and finds the reply, of whichever kind;
//! 3. [`receive`] reads the body, and [`deadline`] stops what takes too long;
//! 4. [`reply`] makes the response of that, or of an error.

mod answer;
mod deadline;
mod head;
mod receive;
mod reply;

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::future::FutureExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::EXPECT;
use hyper::{Request, Response};
use tracing::{Instrument as _, Span, debug, error, info_span};

use self::answer::answer;
use self::head::Head;
use self::receive::forget;
use self::reply::{Reply, to_response};
use super::body::KeptBody;
use super::codec::Encoding;
use super::http::Host;
use crate::error::{Error, Result};
use crate::txn::{Ended, Watch as _};

/// Answers a request.
pub(super) async fn respond(host: Arc<Host>, request: Request<Incoming>) -> Result<Response<KeptBody>, Infallible> {
    let started = host.clock.now();
    let _in_flight = host.metrics.enter();
    let (parts, mut body) = request.into_parts();
    let encoding = Encoding::wanted(&parts.headers);
    let call = host.observer.request(&parts, started);

    let head = catch_unwind(AssertUnwindSafe(|| Head::read(&host, &parts, started, &call)));
    let (result, span) = match head.unwrap_or_else(|panic| Err(panicked(&*panic))) {
        Ok(head) => {
            let (id, path) = (head.txn.id, parts.uri.path());
            let span = info_span!("request", txn_id = %id, method = head.verb.http(), path);
            let answer = answer(&host, &head, &parts.headers, &mut body, encoding);
            let stopped = host.stopped();
            let result = async {
                tokio::select! {
                    biased;
                    result = guard(answer) => result,
                    () = stopped => Err(Error::unavailable("this host is stopping")),
                }
            };
            (result.instrument(span.clone()).await, span)
        }
        Err(error) => (Err(error), Span::none()),
    };
    if !body.is_end_stream() && !parts.headers.contains_key(EXPECT) {
        tokio::select! {
            () = forget(&mut body, started + host.limits.request_ttl) => {}
            () = host.stopped() => {}
        }
    }

    let error = result.as_ref().err().map(Error::kind);
    let (response, bytes) = to_response(result, encoding, &parts);
    let status = response.status().as_u16();
    call.end(Ended { error, status: Some(status) });
    let duration = host.clock.now().saturating_duration_since(started);
    host.metrics.reply(&parts.method, status, duration, bytes);
    span.in_scope(|| debug!(status, duration_us = duration.as_micros() as u64, "answered"));
    Ok(response)
}

/// Turns a panic into an error.
async fn guard(answer: impl Future<Output = Result<Reply>>) -> Result<Reply> {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(panicked(&*panic)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    error!(panic = text.unwrap_or("unknown"), "a request panicked");
    Error::internal("this host has a fault; its log says more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_panic_is_an_internal_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(guard(async { panic!("at the disco") }));
        assert_eq!(result.err().map(|error| error.kind()), Some(Kind::Internal));
    }
}
