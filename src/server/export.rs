//! Exports traces by OTLP over HTTP, as the environment variables of OpenTelemetry say.
//!
//! The library of OpenTelemetry gathers spans in a bounded queue, and sends them in batches from a thread of its own;
//! what finds the queue full is dropped. The requests go through the runtime of the host, by the HTTP client that its
//! calls go by.

use std::env;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, Protocol, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::{info, warn};

/// How long a collector may take to answer.
const REPLY_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of its answer.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// How long a connection to it is kept when nobody uses it.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// How long a host that stops tries to send the last spans.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(800);

/// What becomes of spans.
#[derive(Clone, Debug, Default)]
pub(super) struct SpanCounts {
    /// Those that have ended.
    pub(super) ended: Counter,
    sent: Counter,
    lost: Counter,
}

impl SpanCounts {
    /// Adds the counts to `registry`.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("trace_spans", "Spans that have ended and are to be exported", self.ended.clone());
        registry.register("trace_spans_sent", "Spans that a collector accepted", self.sent.clone());
        registry.register("trace_spans_lost", "Spans that no collector accepted", self.lost.clone());
    }
}

/// Sends spans to a collector, if there is one.
#[derive(Debug)]
pub(super) struct Exporter {
    provider: Option<SdkTracerProvider>,
    pub(super) counts: SpanCounts,
}

impl Exporter {
    /// An exporter to the collector that the environment names. To be called in the runtime.
    ///
    /// # Errors
    /// What is wrong with the environment.
    pub(super) fn from_env() -> Result<Self, String> {
        let counts = SpanCounts::default();
        if !is_wanted(|name| env::var(name).ok()) {
            return Ok(Self { provider: None, counts });
        }
        let mut builder = opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(Sender::new());
        if [OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL]
            .iter()
            .all(|name| env::var_os(name).is_none())
        {
            builder = builder.with_protocol(Protocol::HttpBinary);
        }
        let exporter = builder.build().map_err(|error| error.to_string())?;
        let exporter = Counted { exporter, counts: counts.clone() };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        info!("traces are exported");
        Ok(Self { provider: Some(provider), counts })
    }

    /// What makes spans, if they are exported.
    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        self.provider.as_ref().map(|provider| provider.tracer("tinychain"))
    }

    /// Sends what is left.
    pub(super) async fn close(self) {
        let Some(provider) = self.provider else { return };
        // It waits for its thread, which waits for the runtime.
        let closing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(CLOSE_TIME_MAX));
        if let Ok(Err(error)) = closing.await {
            warn!(%error, "not all traces were exported");
        }
    }
}

/// Whether the environment asks for traces.
fn is_wanted(read: impl Fn(&str) -> Option<String>) -> bool {
    let says = |name: &str, word: &str| read(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
    let names_one = |name: &str| read(name).is_some_and(|value| !value.trim().is_empty());
    !says("OTEL_SDK_DISABLED", "true")
        && !says("OTEL_TRACES_EXPORTER", "none")
        && (names_one(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) || names_one(OTEL_EXPORTER_OTLP_ENDPOINT))
}

/// What the spans of this host have in common.
fn resource() -> Resource {
    let is_named = env::var_os("OTEL_SERVICE_NAME").is_some()
        || env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
    let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    match is_named {
        true => resource.build(),
        false => resource.with_service_name("tinychain").build(),
    }
}

/// Counts what is exported.
#[derive(Debug)]
struct Counted {
    exporter: opentelemetry_otlp::SpanExporter,
    counts: SpanCounts,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        let count = if result.is_ok() { &self.counts.sent } else { &self.counts.lost };
        count.inc_by(spans);
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends requests to a collector, from any thread.
#[derive(Debug)]
struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
}

impl Sender {
    fn new() -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(HttpConnector::new());
        Self { client, runtime: Handle::current() }
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = self.client.request(request.map(Full::new));
        let work = async move {
            let (parts, body) = sending.await?.into_parts();
            let body = Limited::new(body, REPLY_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        // Whoever sends is a thread that the runtime does not know.
        self.runtime.spawn(async move { timeout(REPLY_TIME_MAX, work).await }).await??
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_exported_only_where_a_collector_is_named() {
        let wanted = |variables: &[(&str, &str)]| {
            is_wanted(|name| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_string()))
        };
        let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        assert!(!wanted(&[]));
        assert!(!wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]));
        assert!(wanted(&[collector]));
        assert!(wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces")]));
        assert!(!wanted(&[collector, ("OTEL_SDK_DISABLED", "TRUE")]));
        assert!(!wanted(&[collector, ("OTEL_TRACES_EXPORTER", "none")]));
    }

    #[test]
    fn a_collector_is_reached_from_a_thread_outside_of_the_runtime() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sender = {
            let _context = runtime.enter();
            Sender::new()
        };
        let collector = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"spans") {
                let mut bytes = [0; 512];
                let count = stream.read(&mut bytes).unwrap();
                heard.extend_from_slice(&bytes[..count]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        });
        let request = Request::post(format!("http://{address}/v1/traces")).body(Bytes::from_static(b"spans")).unwrap();
        let response = futures::executor::block_on(sender.send_bytes(request)).unwrap();
        assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, &b"{}"[..]));
        collector.join().unwrap();
    }
}
