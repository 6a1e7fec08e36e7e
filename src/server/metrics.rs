//! Measurements of a host, in the text format of Prometheus.
//!
//! What a request touches is looked up once, at the start, so that counting is a few atomic additions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::Method;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::device_metrics::DeviceMetrics;
use super::export::SpanCounts;
use super::service_metrics::ServiceMetrics;
use super::store_metrics::StoreMetrics;
use crate::error::{Error, Result};
use crate::exec::{DeviceStats, Stats};
use crate::storage::StoreStats;

/// The latency of the first bucket, in seconds; each of the others has twice that of the one before.
const LATENCY_MIN: f64 = 0.000_025;
/// So the last bucket ends at 13 seconds.
const LATENCY_BUCKETS: u16 = 20;

const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "other"];
const STATUSES: [&str; 3] = ["2xx", "4xx", "5xx"];

type Labels = [(&'static str, &'static str); 2];

/// The measurements of one host.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    started: Instant,
    /// By index of the method, then of the class of the status.
    requests: [[Counter; STATUSES.len()]; METHODS.len()],
    latency: Histogram,
    in_flight: Gauge,
    received: Counter,
    sent: Counter,
    plan_hits: Counter,
    plan_misses: Counter,
    plans: Gauge,
    store: StoreMetrics,
    devices: DeviceMetrics,
    /// What is counted elsewhere.
    pub(super) services: ServiceMetrics,
    pub(super) retries: Counter,
    uptime: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// All measurements at zero, for a host that starts now; `spans` are counted elsewhere.
    pub(super) fn new(now: Instant, spans: &SpanCounts) -> Self {
        let family = Family::<Labels, Counter>::default();
        let requests = METHODS
            .map(|method| STATUSES.map(|status| family.get_or_create_owned(&[("method", method), ("status", status)])));
        let mut registry = Registry::with_prefix("tinychain");
        spans.register(&mut registry);
        let mut metrics = Self {
            store: StoreMetrics::register(&mut registry),
            devices: DeviceMetrics::register(&mut registry),
            services: ServiceMetrics::register(&mut registry),
            retries: Counter::default(),
            registry,
            started: now,
            requests,
            latency: Histogram::new(exponential_buckets(LATENCY_MIN, 2.0, LATENCY_BUCKETS)),
            in_flight: Gauge::default(),
            received: Counter::default(),
            sent: Counter::default(),
            plan_hits: Counter::default(),
            plan_misses: Counter::default(),
            plans: Gauge::default(),
            uptime: Gauge::default(),
        };
        metrics.registry.register("requests", "Requests that were answered", family);
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let (latency, uptime) = (self.latency.clone(), self.uptime.clone());
        registry.register_with_unit("request_duration", "Time to answer a request", Unit::Seconds, latency);
        registry.register("requests_in_flight", "Requests that are being answered", self.in_flight.clone());
        registry.register_with_unit("received", "Size of request bodies", Unit::Bytes, self.received.clone());
        registry.register_with_unit("sent", "Size of reply bodies", Unit::Bytes, self.sent.clone());
        registry.register("plan_cache_hits", "Programs that ran a cached plan", self.plan_hits.clone());
        registry.register("plan_cache_misses", "Programs that had to be planned", self.plan_misses.clone());
        registry.register("plan_cache_plans", "Plans in the cache", self.plans.clone());
        let help = "Calls of other hosts that were made again after they failed";
        registry.register("remote_retries", help, self.retries.clone());
        registry.register_with_unit("uptime", "Time since this host started", Unit::Seconds, uptime);
    }

    /// Counts a request as in progress until the returned guard is dropped.
    pub(super) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts the body of a request.
    pub(super) fn receive(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// Counts a reply.
    pub(super) fn reply(&self, method: &Method, status: u16, duration: Duration, bytes: usize) {
        self.requests[method_index(method)][status_index(status)].inc();
        self.latency.observe(duration.as_secs_f64());
        self.sent.inc_by(bytes as u64);
    }

    /// All measurements as text.
    pub(super) fn render(
        &self,
        stats: &Stats,
        store: &StoreStats,
        devices: &DeviceStats,
        now: Instant,
    ) -> Result<String> {
        self.store.set(store);
        self.devices.set(devices);
        self.plan_hits.inner().store(stats.plan_hits, Ordering::Relaxed);
        self.plan_misses.inner().store(stats.plan_misses, Ordering::Relaxed);
        self.plans.set(i64::try_from(stats.plans).unwrap_or(i64::MAX));
        self.uptime.set(now.saturating_duration_since(self.started).as_secs_f64());
        let mut out = String::new();
        text::encode(&mut out, &self.registry).map_err(|_| Error::internal("cannot write the metrics"))?;
        Ok(out)
    }
}

/// Counts a request as in progress until it is dropped, also if the client goes away.
#[derive(Debug)]
pub(super) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn method_index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::PUT => 1,
        Method::POST => 2,
        Method::DELETE => 3,
        _ => 4,
    }
}

fn status_index(status: u16) -> usize {
    match status {
        0..400 => 0,
        400..500 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_method_and_status() {
        let now = Instant::now();
        let metrics = Metrics::new(now, &SpanCounts::default());
        metrics.reply(&Method::GET, 200, Duration::from_millis(1), 10);
        metrics.reply(&Method::PATCH, 405, Duration::from_millis(1), 10);
        metrics.receive(5);
        let guard = metrics.enter();
        let stats = Stats { plan_hits: 7, plan_misses: 2, plans: 1 };
        let render = |now| metrics.render(&stats, &StoreStats::default(), &DeviceStats::default(), now).unwrap();
        let text = render(now + Duration::from_secs(2));
        for line in [
            "tinychain_requests_total{method=\"GET\",status=\"2xx\"} 1",
            "tinychain_requests_total{method=\"other\",status=\"4xx\"} 1",
            "tinychain_requests_total{method=\"PUT\",status=\"5xx\"} 0",
            "tinychain_request_duration_seconds_count 2",
            "tinychain_requests_in_flight 1",
            "tinychain_received_bytes_total 5",
            "tinychain_sent_bytes_total 20",
            "tinychain_plan_cache_hits_total 7",
            "tinychain_plan_cache_plans 1",
            "tinychain_remote_retries_total 0",
            "tinychain_trace_spans_lost_total 0",
            "tinychain_uptime_seconds 2.0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
        drop(guard);
        let text = render(now);
        assert!(text.contains("tinychain_requests_in_flight 0\n"));
    }
}
