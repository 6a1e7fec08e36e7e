//! The life of one request, from its head to the reply.
//!
//! Every request is answered, and with a body: errors of any layer, panics and timeouts included, become the status and
//! the body of their kind. Where the body of a request was not read when the reply is known, it is read and forgotten
//! within bounds, because closing a connection on a client that is still sending can cost it the reply, or the next one.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::FutureExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;
use tracing::{Instrument as _, Span, debug, error, info_span};

use super::auth::{Asked, Chain, Mode, Operation, Permit, Right};
use super::body::{KeptBody, ReplyBody};
use super::codec::{Encoding, decode_body, encode_document, encode_error, encode_reply};
use super::diff::Hypothetical;
use super::http::Host;
use super::query::Query;
use super::routes::{self, Endpoint, Route, Target};
use super::watch::Call;
use super::{arrow, docs, openapi, page, replicas, sql};
use crate::compiler::Program;
use crate::error::{Error, Kind, Result};
use crate::exec::{Kernel, Prepared};
use crate::txn::{Ended, Txn, TxnId, Watch};
use crate::value::{Doc, Id, Link, Verb};

/// How far the clock of a client may be ahead of ours, in nanoseconds.
const AHEAD_NANOS_MAX: u64 = 5_000_000_000;
/// How much of a body that nobody wants is read, so that the client gets to read the reply.
const DRAIN_BYTES_MAX: usize = 256 << 20;
/// Bytes of a body that are decoded and compiled among other requests: about a millisecond's work.
const INLINE_BYTES_MAX: usize = 1 << 16;
/// A program stops itself at the deadline, and knows what it was doing; one that cannot is stopped this much later.
const GRACE: Duration = Duration::from_millis(50);

/// A successful reply.
struct Reply {
    content_type: &'static str,
    body: ReplyBody,
    /// The request's place, which is kept until the reply is sent.
    slot: Option<OwnedSemaphorePermit>,
}

impl Reply {
    fn new(content_type: &'static str, body: impl Into<ReplyBody>) -> Self {
        Self { content_type, body: body.into(), slot: None }
    }

    /// The same reply, which keeps the request's place until it is sent.
    fn keeping(self, slot: OwnedSemaphorePermit) -> Self {
        Self { slot: Some(slot), ..self }
    }
}

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

/// What a request says before its body.
struct Head {
    verb: Verb,
    target: Target,
    query: Query,
    /// Read, but not verified.
    token: Option<Chain>,
    txn: Txn,
    /// The page that the request asks for, if it is one for a page.
    page: Option<page::Asked>,
    /// Whether the rows of the result are asked for as Arrow batches.
    wants_arrow: bool,
}

impl Head {
    fn read(host: &Host, parts: &Parts, started: Instant, call: &Arc<Call>) -> Result<Self> {
        let path = parts.uri.path();
        let verb = verb(&parts.method, path)?;
        let target = Target::parse(path)?;
        let mut explains = false;
        if let Target::Route(route) = &target {
            if !route.allows(verb) {
                return Err(unsupported(path, verb.http()));
            }
            explains = route.endpoint == Endpoint::Explain;
        }
        let token = Chain::of_headers(&parts.headers)?;
        let query = Query::parse(parts.uri.query().unwrap_or_default(), verb, explains, host.limits.json_depth)?;
        let id = transaction(host, query.txn_id)?;
        let forwarded = token.as_ref().map(|token| Arc::clone(token.text()));
        call.of_txn(id);
        let watch = Some(Arc::clone(call) as Arc<dyn Watch>);
        let txn =
            Txn { id, deadline: started + host.limits.request_ttl, token: forwarded, actor: None, access: None, watch };
        let page = page::Asked::of(parts, verb, &target, &query);
        let wants_arrow = arrow::is_wanted(&parts.headers) && matches!(verb, Verb::Get | Verb::Post);
        let head = Self { verb, target, query, token, txn, page, wants_arrow };
        head.check()?;
        Ok(head.of_rows())
    }

    /// Whoever asks what a request would change must not find out by changing it.
    fn check(&self) -> Result<()> {
        let shows_changes = matches!(&self.target, Target::Route(route) if route.endpoint == Endpoint::Hypothetical)
            && self.query.view.is_none()
            && !self.wants_arrow;
        match self.query.diff && !shows_changes {
            true => Err(Error::bad_request(
                "diff=true is a parameter of /transact/hypothetical alone, whose reply is a document then",
            )),
            false => Ok(()),
        }
    }

    /// The same request, for rows if it wants rows.
    fn of_rows(self) -> Self {
        match self.target {
            Target::Link(link) if self.wants_arrow && self.query.view.is_none() => {
                Self { target: Target::Link(arrow::rows_of(link)), ..self }
            }
            target => Self { target, ..self },
        }
    }
}

impl Head {
    /// What the request asks for, and the path of that.
    fn operation(&self) -> (Operation, Link) {
        match &self.target {
            Target::Route(route) => match route.endpoint {
                // The tables that SQL makes are those of this service.
                Endpoint::Sql => {
                    let service = Link::local([Id::from("service"), Id::from("sql")]);
                    (Operation::ServiceCall(Right::Execute), service)
                }
                Endpoint::Hypothetical | Endpoint::Explain => (Operation::Hypothetical, Link::local(Vec::new())),
                Endpoint::Tokens | Endpoint::Metrics | Endpoint::Health | Endpoint::OpenApi | Endpoint::Docs => {
                    (Operation::Common, Link::local(Vec::new()))
                }
            },
            Target::Link(link) => (Operation::of(self.verb, link.path()), link.clone()),
        }
    }

    /// Whether what the request writes is committed. What is below `/state` belongs to nobody, and a GET reads.
    fn commits(&self) -> bool {
        match &self.target {
            Target::Route(_) => false,
            Target::Link(link) => {
                let is_native = link.path().first().is_some_and(|first| first.as_str() == "state");
                self.verb != Verb::Get && !is_native
            }
        }
    }
}

fn verb(method: &Method, path: &str) -> Result<Verb> {
    match *method {
        Method::GET => Ok(Verb::Get),
        Method::PUT => Ok(Verb::Put),
        Method::POST => Ok(Verb::Post),
        Method::DELETE => Ok(Verb::Delete),
        _ => Err(unsupported(path, method.as_str())),
    }
}

fn unsupported(path: &str, method: &str) -> Error {
    Error::method_not_allowed(format!("endpoint {path} does not support {method}"))
}

/// The id of the transaction that a request names, or a new one.
fn transaction(host: &Host, named: Option<TxnId>) -> Result<TxnId> {
    let Some(id) = named else { return Ok(host.mint.mint(&*host.clock)) };
    if id.timestamp > host.clock.unix_nanos().saturating_add(AHEAD_NANOS_MAX) {
        return Err(Error::bad_request(format!("the transaction id {id} is in the future")));
    }
    host.mint.observe(id);
    Ok(id)
}

/// Whether whoever sent a request may do what it asks for. The keys of tokens may have to be asked for at other hosts.
async fn admit(host: &Host, head: &Head) -> Result<Permit> {
    let (operation, link) = head.operation();
    let names_txn = head.query.txn_id.is_some();
    let asked = Asked { operation, path: link.path(), mode: Mode::DEFAULT, txn: &head.txn, names_txn };
    let permit = timeout_at(head.txn.deadline.into(), host.auth.admit(head.token.as_ref(), &asked)).await;
    permit.unwrap_or_else(|_| Err(timed_out("while verifying the token")))
}

async fn answer(
    host: &Host,
    head: &Head,
    headers: &HeaderMap,
    body: &mut Incoming,
    encoding: Encoding,
) -> Result<Reply> {
    let permit = admit(host, head).await?;
    let actor = permit.user()?;
    let txn = Txn { actor, access: permit.access(&head.txn), ..head.txn.clone() };
    if let Target::Route(route) = &head.target
        && let Some(reply) = fixed(host, route, &head.query)
    {
        return reply;
    }
    let slot = Arc::clone(&host.slots).try_acquire_owned();
    let slot = slot.map_err(|_| Error::unavailable("too many requests are in progress on this host"))?;
    let bytes = read_document(host, head, &mut *body).await?;
    let deadline = head.txn.deadline + GRACE;
    if let Some(view) = &head.query.view {
        let without_rules = (!view.without.is_empty()).then(|| host.kernel.without_rules(&view.without));
        let kernel = without_rules.as_ref().unwrap_or(&host.kernel);
        let prepared = prepare(kernel, head, headers, &bytes)?;
        let explanation = before(deadline, kernel.explain(&txn, &prepared, view.analyze)).await?;
        let (content_type, text) = view.show(&explanation, host.limits.reply_bytes)?;
        return Ok(Reply::new(content_type, text).keeping(slot));
    }
    if let Target::Route(Route { endpoint: Endpoint::Sql, .. }) = &head.target {
        let (content_type, body) = before(deadline, Box::pin(sql::answer(&host.kernel, &txn, headers, &bytes))).await?;
        return Ok(Reply::new(content_type, body).keeping(slot));
    }
    if let (Some(page), Target::Link(link)) = (&head.page, &head.target) {
        let description = before(deadline, Box::pin(host.kernel.describe(&head.txn, link))).await?;
        let (content_type, text) = page.show(link, &description, host.limits.reply_bytes)?;
        return Ok(Reply::new(content_type, text).keeping(slot));
    }
    if let Target::Link(link) = &head.target
        && link.root().is_some()
        && let Some(state) = Box::pin(replicas::answer(host, &txn, head.verb, link, &head.query.key)).await?
    {
        let body = encode_reply(&state, encoding, host.limits.reply_bytes)?;
        return Ok(Reply::new(encoding.content_type(), body).keeping(slot));
    }
    let prepared = prepare(&host.kernel, head, headers, &bytes)?;
    if head.wants_arrow {
        let rows = arrow::answer(&host.kernel, &txn, &prepared, head.commits());
        let (content_type, body) = before(deadline, Box::pin(rows)).await?;
        return Ok(Reply::new(content_type, body).keeping(slot));
    }
    if head.query.diff {
        let (result, diff) = before(deadline, Box::pin(host.kernel.run_with_diff(&txn, &prepared))).await?;
        let document = Hypothetical { result: &result, diff: &diff };
        let encode = || encode_document(&document, encoding, host.limits.reply_bytes);
        return Ok(Reply::new(encoding.content_type(), tokio::task::block_in_place(encode)?).keeping(slot));
    }
    let state = match head.commits() {
        true => before(deadline, host.kernel.execute(&txn, &prepared)).await?,
        false => before(deadline, host.kernel.run(&txn, &prepared)).await?,
    };
    let encode = || encode_reply(&state, encoding, host.limits.reply_bytes);
    let body = if state.weight() > INLINE_BYTES_MAX as u64 { tokio::task::block_in_place(encode)? } else { encode()? };
    Ok(Reply::new(encoding.content_type(), body).keeping(slot))
}

/// The reply of an endpoint that runs no program.
fn fixed(host: &Host, route: &Route, query: &Query) -> Option<Result<Reply>> {
    Some(match route.endpoint {
        Endpoint::Hypothetical | Endpoint::Explain | Endpoint::Sql => return None,
        Endpoint::Tokens if query.key == Doc::Null => {
            Err(Error::bad_request("expected a key: the encrypted token of another host"))
        }
        Endpoint::Tokens => {
            Err(Error::not_implemented("tokens for replication come with services, in a later release"))
        }
        Endpoint::Metrics => {
            let text = host.metrics.render(&host.kernel.stats(), &host.store.stats(), host.clock.now());
            text.map(|text| Reply::new(route.content_type, text))
        }
        Endpoint::Health => {
            let text = concat!("{\"status\":\"ok\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\n");
            Ok(Reply::new(route.content_type, text))
        }
        Endpoint::OpenApi => Ok(Reply::new(route.content_type, openapi::DESCRIPTION.clone())),
        Endpoint::Docs => Ok(Reply::new(route.content_type, docs::PAGE.clone())),
    })
}

/// Decodes and compiles a request.
fn prepare(kernel: &Kernel, head: &Head, headers: &HeaderMap, bytes: &Bytes) -> Result<Prepared> {
    let work = || {
        let body = match head.verb {
            _ if !bytes.is_empty() => decode_body(headers.get(CONTENT_TYPE), bytes, kernel.limits())?,
            Verb::Post => Doc::Map(Vec::new()),
            _ => Doc::Null,
        };
        let program = match &head.target {
            Target::Route(_) => Program::hypothetical(&body)?,
            Target::Link(link) => Program::call(link.clone(), head.verb, &head.query.key, &body)?,
        };
        kernel.prepare(program, head.txn.deadline)
    };
    // What takes long must not keep other requests waiting.
    if bytes.len() > INLINE_BYTES_MAX { tokio::task::block_in_place(work) } else { work() }
}

/// The result of `work`, unless that takes until after `deadline`.
async fn before<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
    let result = timeout_at(deadline.into(), work).await;
    result.unwrap_or_else(|_| Err(timed_out("while running the program")))
}

fn timed_out(context: &str) -> Error {
    Error::timeout("request timed out").while_doing(context)
}

/// The body of a request. That of a GET or DELETE means nothing.
async fn read_document(host: &Host, head: &Head, body: &mut Incoming) -> Result<Bytes> {
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
async fn forget(body: &mut Incoming, deadline: Instant) {
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

/// The response, and the size of its body.
fn to_response(result: Result<Reply>, encoding: Encoding, parts: &Parts) -> (Response<KeptBody>, usize) {
    let (status, reply, extra) = match result {
        Ok(reply) => (StatusCode::OK, reply, None),
        Err(error) => {
            let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let reply = Reply::new(encoding.content_type(), encode_error(&error, encoding));
            (status, reply, advice(error.kind(), parts))
        }
    };
    let bytes = reply.body.len();
    let mut response = Response::new(KeptBody::new(reply.body, reply.slot));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Some((name, value)) = extra {
        response.headers_mut().insert(name, value);
    }
    (response, bytes)
}

/// The header that HTTP asks for beside some statuses.
fn advice(kind: Kind, parts: &Parts) -> Option<(HeaderName, HeaderValue)> {
    match kind {
        Kind::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        Kind::Unavailable => Some((RETRY_AFTER, HeaderValue::from_static("1"))),
        Kind::MethodNotAllowed => {
            let allow = match routes::find(parts.uri.path()) {
                Some(route) => route.allow(),
                // What is below /state is never written.
                None if parts.uri.path().starts_with("/state") => "GET, POST".to_string(),
                None if verb(&parts.method, "").is_err() => "GET, PUT, POST, DELETE".to_string(),
                None => return None,
            };
            HeaderValue::from_str(&allow).ok().map(|allow| (ALLOW, allow))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_the_headers_that_http_asks_for() {
        let reply = |method: Method, path: &str, error: Error| {
            let (parts, ()) = Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
            to_response(Err(error), Encoding::Json, &parts).0
        };
        let response = reply(Method::PATCH, "/state", unsupported("/state", "PATCH"));
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET, POST");
        assert_eq!(response.headers()["content-type"], "application/json");
        let response = reply(Method::PUT, "/explain", unsupported("/explain", "PUT"));
        assert_eq!(response.headers()["allow"], "POST");
        let response = reply(Method::GET, "/", Error::unauthorized("no"));
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(guard(async { panic!("at the disco") }));
        assert_eq!(result.err().map(|error| error.kind()), Some(Kind::Internal));
    }

    #[test]
    fn what_takes_too_long_times_out() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(before(Instant::now(), std::future::pending::<Result<()>>())).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Timeout, "request timed out"));
        assert_eq!(error.stack(), ["while running the program"]);
    }
}
