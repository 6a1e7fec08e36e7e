use std::sync::Mutex;

use hyper::Request;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use prometheus_client::registry::Registry;

use super::*;
use crate::env::SystemClock;
use crate::value::{Link, Verb};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Keeps the spans that have ended.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

fn observer(kept: Option<&Kept>) -> (Observer, Option<SdkTracerProvider>) {
    let provider = kept.map(|kept| SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build());
    let services = ServiceMetrics::register(&mut Registry::default());
    let tracer = provider.as_ref().map(|provider| provider.tracer("test"));
    (Observer::new(services, tracer, Counter::default(), Arc::new(SystemClock)), provider)
}

fn parts(headers: &[(&'static str, &'static str)]) -> Parts {
    let mut request = Request::builder().method("POST").uri("/transact/hypothetical?key=1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn link(text: &str) -> Link {
    text.parse().unwrap()
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|entry| entry.key.as_str() == key).map(|entry| entry.value.to_string())
}

fn ended(error: Option<Kind>, status: Option<u16>) -> Ended {
    Ended { error, status }
}

#[test]
fn without_an_exporter_a_request_costs_nothing_and_passes_the_trace_on() {
    let (observer, _) = observer(None);
    let call = observer.request(&parts(&[]), Instant::now());
    assert!(Arc::ptr_eq(&call, &observer.idle));
    assert!(call.headers().is_empty());
    let call = observer.request(&parts(&[("traceparent", PARENT), ("tracestate", "a=b")]), Instant::now());
    let remote = call.begin(Watched::Remote { verb: Verb::Get, link: &link("http://h/a"), resend: 0 });
    assert_eq!(remote.headers(), [("traceparent", PARENT.to_string()), ("tracestate", "a=b".to_string())]);
    let call = observer.request(&parts(&[("traceparent", "nonsense")]), Instant::now());
    assert!(call.headers().is_empty());
}

#[test]
fn spans_of_calls_are_below_the_span_of_the_request() {
    let kept = Kept::default();
    let (observer, _provider) = observer(Some(&kept));
    let request = observer.request(&parts(&[("traceparent", PARENT)]), Instant::now());
    request.of_txn(TxnId { timestamp: 5, nonce: 6 });
    let buy = link("/service/a/till/1.0.0/buy");
    let method = request.begin(Watched::Method { verb: Verb::Post, link: &buy });
    let remote = method.begin(Watched::Remote { verb: Verb::Get, link: &link("http://h:7/a"), resend: 1 });
    let headers = remote.headers();
    remote.end(ended(Some(Kind::NotFound), Some(404)));
    method.end(ended(Some(Kind::NotFound), None));
    // Only the first time counts.
    method.end(ended(None, None));
    request.end(ended(Some(Kind::NotFound), Some(404)));

    let spans = kept.0.lock().unwrap().clone();
    let [remote, method, request] = spans.as_slice() else { panic!("{} spans", spans.len()) };
    assert!(spans.iter().all(|span| span.span_context.trace_id().to_string() == PARENT[3..35]));
    assert!(spans.iter().all(|span| attribute(span, "tinychain.txn_id").as_deref() == Some("5-6")));
    assert!(spans.iter().all(|span| attribute(span, "error.type").as_deref() == Some("not_found")));
    assert!(spans.iter().all(|span| span.start_time <= span.end_time));
    assert_eq!(request.parent_span_id.to_string(), PARENT[36..52]);
    assert_eq!(method.parent_span_id, request.span_context.span_id());
    assert_eq!(remote.parent_span_id, method.span_context.span_id());
    let traceparent = format!("{}-{}-01", &PARENT[..35], remote.span_context.span_id());
    assert_eq!(headers, [("traceparent", traceparent)]);
    assert_eq!(
        [&*request.name, &*method.name, &*remote.name],
        ["POST /transact/hypothetical", "POST /service/a/till/1.0.0/buy", "GET"]
    );
    assert_eq!(attribute(request, "http.response.status_code").as_deref(), Some("404"));
    assert_eq!(attribute(remote, "http.request.resend_count").as_deref(), Some("1"));
    assert_eq!(attribute(remote, "server.port").as_deref(), Some("7"));
    // That a request makes no sense is a failure of whoever sent it.
    assert_eq!(request.status, Status::Unset);
    assert!(matches!(remote.status, Status::Error { .. }));
}

#[test]
fn what_is_dropped_was_cancelled() {
    let kept = Kept::default();
    let (observer, _provider) = observer(Some(&kept));
    drop(observer.request(&parts(&[]), Instant::now()));
    let spans = kept.0.lock().unwrap().clone();
    assert_eq!(attribute(&spans[0], "error.type").as_deref(), Some("cancelled"));
    assert_eq!(observer.shared.spans.get(), 1);
}
