//! Watches what requests do: calls of methods are counted, and where traces are exported, a request and each call that
//! it makes is a span.
//!
//! A call knows the call that makes it, so the spans of a request, and those of the other hosts that it calls, are one
//! trace. Where nothing is exported, a request is not watched itself, unless its sender wants a trace to be passed on.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::http::request::Parts;
use hyper::{Method, Version};
use opentelemetry::propagation::{Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use prometheus_client::metrics::counter::Counter;

use super::routes;
use super::service_metrics::{Series, ServiceMetrics};
use crate::env::Clock;
use crate::error::Kind;
use crate::txn::{Ended, TxnId, Watch, Watched};

/// The headers of W3C Trace Context.
const HEADERS: [&str; 2] = ["traceparent", "tracestate"];
/// The port of a URL that names none.
const PORT_DEFAULT: u16 = 80;
/// What is said of a call that nobody waited for until it ended.
const CANCELLED: &str = "cancelled";
/// The attribute of spans for the id of the transaction.
const TXN_ID: &str = "tinychain.txn_id";

/// Watches the requests of a host.
pub(super) struct Observer {
    shared: Arc<Shared>,
    /// Stands for every request that is not watched itself.
    idle: Arc<Call>,
}

/// What all calls have in common.
struct Shared {
    services: ServiceMetrics,
    /// Where traces are exported.
    tracer: Option<SdkTracer>,
    /// Spans that have ended.
    spans: Counter,
    clock: Arc<dyn Clock>,
}

/// A request, or a call that it makes.
pub(super) struct Call {
    shared: Arc<Shared>,
    what: What,
    began: Moment,
    /// Its span, or that of the sender of the request where none are exported.
    context: Context,
    txn: OnceLock<TxnId>,
    has_ended: AtomicBool,
}

enum What {
    Request,
    /// Of a method, with where it is counted.
    Method(Option<Arc<Series>>),
    Remote,
}

/// A time on both clocks, of which one never goes back.
#[derive(Clone, Copy)]
struct Moment {
    instant: Instant,
    wall: SystemTime,
}

impl Moment {
    fn at(self, instant: Instant) -> Self {
        Self { instant, wall: self.wall + instant.saturating_duration_since(self.instant) }
    }
}

impl Observer {
    /// A observer that counts calls, and makes spans if there is a tracer, which `spans` counts.
    pub(super) fn new(
        services: ServiceMetrics,
        tracer: Option<SdkTracer>,
        spans: Counter,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let began = Moment { instant: clock.now(), wall: UNIX_EPOCH };
        let shared = Arc::new(Shared { services, tracer, spans, clock });
        let idle = Call::with_context(&shared, What::Request, began, Context::new());
        Self { shared, idle: Arc::new(idle) }
    }

    /// Begins to watch a request that was received at `began`.
    pub(super) fn request(&self, parts: &Parts, began: Instant) -> Arc<Call> {
        let parent = match parts.headers.contains_key(HEADERS[0]) {
            true => {
                let extractor = HeaderExtractor(&parts.headers);
                TraceContextPropagator::new().extract_with_context(&Context::new(), &extractor)
            }
            false => Context::new(),
        };
        if self.shared.tracer.is_none() && !parent.has_active_span() {
            return Arc::clone(&self.idle);
        }
        let wall = UNIX_EPOCH + Duration::from_nanos(self.shared.clock.unix_nanos());
        let began = Moment { instant: began, wall };
        Arc::new(Call::new(&self.shared, What::Request, began, &parent, || request_span(parts)))
    }
}

impl Call {
    fn new(
        shared: &Arc<Shared>,
        what: What,
        began: Moment,
        parent: &Context,
        span: impl FnOnce() -> SpanBuilder,
    ) -> Self {
        let context = match &shared.tracer {
            Some(tracer) => {
                let builder = span().with_start_time(began.wall);
                parent.with_span(tracer.build_with_context(builder, parent))
            }
            None => parent.clone(),
        };
        Self::with_context(shared, what, began, context)
    }

    fn with_context(shared: &Arc<Shared>, what: What, began: Moment, context: Context) -> Self {
        let shared = Arc::clone(shared);
        Self { shared, what, began, context, txn: OnceLock::new(), has_ended: AtomicBool::new(false) }
    }

    /// Notes the transaction of the request.
    pub(super) fn of_txn(&self, id: TxnId) {
        if self.shared.tracer.is_some() {
            // A request has one only.
            let _ = self.txn.set(id);
            self.context.span().set_attribute(KeyValue::new(TXN_ID, id.to_string()));
        }
    }

    fn finish(&self, error: Option<&'static str>, status: Option<u16>) {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let is_span = self.shared.tracer.is_some() && self.context.span().is_recording();
        let series = match &self.what {
            What::Method(series) => series.as_ref(),
            What::Request | What::Remote => None,
        };
        if series.is_none() && !is_span {
            return;
        }
        let took = self.shared.clock.now().saturating_duration_since(self.began.instant);
        if let Some(series) = series {
            series.note(error, took);
        }
        if is_span {
            self.end_span(error, status, self.began.wall + took);
        }
    }

    fn end_span(&self, error: Option<&'static str>, status: Option<u16>, at: SystemTime) {
        let span = self.context.span();
        if let Some(status) = status {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error));
            // A host that refuses what makes no sense has not failed; whoever sent it has.
            let is_refused = matches!(self.what, What::Request) && status.is_some_and(|status| status < 500);
            if !is_refused {
                span.set_status(Status::error(error));
            }
        }
        span.end_with_timestamp(at);
        self.shared.spans.inc();
    }
}

impl Watch for Call {
    fn begin(&self, call: Watched<'_>) -> Arc<dyn Watch> {
        let what = match call {
            Watched::Method { verb, link } => What::Method(self.shared.services.of(verb, link)),
            Watched::Remote { .. } => What::Remote,
        };
        let txn = self.txn.get().copied();
        let began = self.began.at(self.shared.clock.now());
        let call = Self::new(&self.shared, what, began, &self.context, || call_span(call));
        if let Some(id) = txn {
            call.of_txn(id);
        }
        Arc::new(call)
    }

    fn end(&self, ended: Ended) {
        self.finish(ended.error.map(Kind::name), ended.status);
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Headers(Vec::new());
        TraceContextPropagator::new().inject_context(&self.context, &mut headers);
        headers.0
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Some(CANCELLED), None);
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The headers that say what trace a call belongs to.
struct Headers(Vec<(&'static str, String)>);

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        // An empty state says nothing.
        if let Some(name) = HEADERS.into_iter().find(|name| *name == key && !value.is_empty()) {
            self.0.push((name, value));
        }
    }
}

/// A span for a request, by the conventions of OpenTelemetry for servers of HTTP. The query is left out, because keys
/// are data.
fn request_span(parts: &Parts) -> SpanBuilder {
    let method = match parts.method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "_OTHER",
    };
    let version = match parts.version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    let mut attributes = vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("url.path", parts.uri.path().to_string()),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("network.protocol.version", version),
    ];
    let mut name = method.to_string();
    if let Some(route) = routes::find(parts.uri.path()) {
        attributes.push(KeyValue::new("http.route", route.path));
        name = format!("{method} {}", route.path);
    }
    SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes)
}

/// A span for a call, by the conventions for calls within a host (RPC) and for clients of HTTP.
fn call_span(call: Watched<'_>) -> SpanBuilder {
    match call {
        Watched::Method { verb, link } => {
            let path = link.path_text();
            let name = format!("{} {path}", verb.http());
            let attributes = [
                KeyValue::new("rpc.system.name", "tinychain"),
                KeyValue::new("rpc.method", path),
                KeyValue::new("tinychain.verb", verb.http()),
            ];
            SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_attributes(attributes)
        }
        Watched::Remote { verb, link, resend } => {
            let mut attributes =
                vec![KeyValue::new("http.request.method", verb.http()), KeyValue::new("url.full", link.to_string())];
            if let Some(authority) = link.authority() {
                attributes.push(KeyValue::new("server.address", authority.host.to_string()));
                attributes.push(KeyValue::new("server.port", i64::from(authority.port.unwrap_or(PORT_DEFAULT))));
            }
            if resend > 0 {
                attributes.push(KeyValue::new("http.request.resend_count", i64::from(resend)));
            }
            SpanBuilder::from_name(verb.http()).with_kind(SpanKind::Client).with_attributes(attributes)
        }
    }
}

#[cfg(test)]
mod tests;
