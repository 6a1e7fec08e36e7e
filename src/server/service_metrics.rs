//! Measurements of services: how often their methods are called, how that ends, and how long it takes.
//!
//! Names come from whoever installs services, so there is a bound on how many are told apart.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::value::{Id, Link, Verb};

/// Methods, by verb, that are counted apart; those that are called first after that are counted together.
const SERIES_MAX: usize = 1000;
/// The duration of the first bucket, in seconds; each of the others has four times that of the one before.
const DURATION_MIN: f64 = 0.000_1;
/// So the last bucket ends at 1.6 seconds.
const DURATION_BUCKETS: u16 = 8;
/// The outcome of a call that did not fail.
const OK: &str = "ok";

type Labels = Vec<(&'static str, String)>;
type Durations = Family<Labels, Histogram, fn() -> Histogram>;

/// The measurements of the services of one host. Cloning yields the same measurements.
#[derive(Clone)]
pub(super) struct ServiceMetrics {
    calls: Family<Labels, Counter>,
    durations: Durations,
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    methods: HashMap<Link, Vec<(Verb, Arc<Series>)>>,
    count: usize,
    /// Where all others are counted.
    other: Option<Arc<Series>>,
}

impl Known {
    fn find(&self, verb: Verb, link: &Link) -> Option<Arc<Series>> {
        let verbs = self.methods.get(link)?;
        verbs.iter().find(|(of, _)| *of == verb).map(|(_, series)| Arc::clone(series))
    }
}

/// The measurements of one method.
pub(super) struct Series {
    labels: Labels,
    calls: Family<Labels, Counter>,
    /// Calls that did not fail, which are most.
    ok: Counter,
    duration: Histogram,
}

impl fmt::Debug for ServiceMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceMetrics").field("methods", &self.known.read().count).finish_non_exhaustive()
    }
}

impl ServiceMetrics {
    /// Adds the measurements to `registry`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let calls = Family::<Labels, Counter>::default();
        let durations = Durations::new_with_constructor(histogram);
        registry.register("service_calls", "Calls of methods that are installed, by how they ended", calls.clone());
        let help = "Time that calls of methods that are installed took";
        registry.register_with_unit("service_call_duration", help, Unit::Seconds, durations.clone());
        Self { calls, durations, known: Arc::default() }
    }

    /// Where calls of a method are counted; nowhere if it belongs to no version, because then it is not installed.
    pub(super) fn of(&self, verb: Verb, link: &Link) -> Option<Arc<Series>> {
        {
            let known = self.known.read();
            if let Some(series) = known.find(verb, link) {
                return Some(series);
            }
            if known.count >= SERIES_MAX && known.other.is_some() {
                return known.other.clone();
            }
        }
        let [service, version, method] = names(link)?;
        let mut known = self.known.write();
        if let Some(series) = known.find(verb, link) {
            return Some(series);
        }
        if known.count >= SERIES_MAX {
            let other = || self.series(["other".into(), String::new(), String::new()], "");
            return Some(Arc::clone(known.other.get_or_insert_with(other)));
        }
        let series = self.series([service, version, method], verb.http());
        known.count += 1;
        known.methods.entry(link.clone()).or_default().push((verb, Arc::clone(&series)));
        Some(series)
    }

    fn series(&self, [service, version, method]: [String; 3], verb: &str) -> Arc<Series> {
        let labels = vec![("service", service), ("version", version), ("method", method), ("verb", verb.to_string())];
        let ok = self.calls.get_or_create_owned(&with_outcome(&labels, OK));
        let duration = self.durations.get_or_create_owned(&labels);
        Arc::new(Series { labels, calls: self.calls.clone(), ok, duration })
    }
}

impl Series {
    /// Counts a call that took `duration`, with the name of what it failed by.
    pub(super) fn note(&self, error: Option<&str>, duration: Duration) {
        match error {
            None => {
                self.ok.inc();
            }
            Some(error) => {
                self.calls.get_or_create(&with_outcome(&self.labels, error)).inc();
            }
        }
        self.duration.observe(duration.as_secs_f64());
    }
}

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(DURATION_MIN, 4.0, DURATION_BUCKETS))
}

fn with_outcome(labels: &Labels, outcome: &str) -> Labels {
    let mut labels = labels.clone();
    labels.push(("outcome", outcome.to_string()));
    labels
}

/// The path of a service, the version, and the name of a method of that.
fn names(link: &Link) -> Option<[String; 3]> {
    let at = link.version_at()?;
    let path = link.path();
    let method: Vec<&str> = path[at + 1..].iter().map(Id::as_str).collect();
    Some([Link::local(&path[..at]).path_text(), path[at].as_str().to_string(), method.join("/")])
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    fn link(text: &str) -> Link {
        text.parse().unwrap()
    }

    fn rendered(registry: &Registry) -> String {
        let mut out = String::new();
        text::encode(&mut out, registry).unwrap();
        out
    }

    #[test]
    fn calls_are_counted_by_method_and_outcome() {
        let mut registry = Registry::default();
        let metrics = ServiceMetrics::register(&mut registry);
        let buy = link("/service/a/till/1.0.0/buy");
        metrics.of(Verb::Post, &buy).unwrap().note(None, Duration::from_millis(1));
        metrics.of(Verb::Post, &buy).unwrap().note(Some("bad_request"), Duration::from_millis(1));
        metrics.of(Verb::Get, &link("/class/a/1.0.0/Item/label")).unwrap().note(None, Duration::ZERO);
        let text = rendered(&registry);
        for line in [
            "service_calls_total{service=\"/service/a/till\",version=\"1.0.0\",method=\"buy\",verb=\"POST\",outcome=\"ok\"} 1",
            "service_calls_total{service=\"/service/a/till\",version=\"1.0.0\",method=\"buy\",verb=\"POST\",outcome=\"bad_request\"} 1",
            "service_calls_total{service=\"/class/a\",version=\"1.0.0\",method=\"Item/label\",verb=\"GET\",outcome=\"ok\"} 1",
            "service_call_duration_seconds_count{service=\"/service/a/till\",version=\"1.0.0\",method=\"buy\",verb=\"POST\"} 2",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
    }

    #[test]
    fn what_is_not_installed_is_not_counted() {
        let metrics = ServiceMetrics::register(&mut Registry::default());
        assert!(metrics.of(Verb::Get, &link("/a/b")).is_none());
        assert!(metrics.of(Verb::Get, &link("/service/a/b")).is_none());
    }

    #[test]
    fn there_is_a_bound_on_what_is_counted_apart() {
        let mut registry = Registry::default();
        let metrics = ServiceMetrics::register(&mut registry);
        for n in 0..SERIES_MAX + 5 {
            metrics.of(Verb::Get, &link(&format!("/service/s{n}/1.0.0/f"))).unwrap().note(None, Duration::ZERO);
        }
        // One that is known goes on being counted apart.
        metrics.of(Verb::Get, &link("/service/s0/1.0.0/f")).unwrap().note(None, Duration::ZERO);
        let text = rendered(&registry);
        assert_eq!(text.matches("service_calls_total{").count(), SERIES_MAX + 1);
        assert!(text.contains("{service=\"other\",version=\"\",method=\"\",verb=\"\",outcome=\"ok\"} 5\n"), "{text}");
        assert!(
            text.contains("{service=\"/service/s0\",version=\"1.0.0\",method=\"f\",verb=\"GET\",outcome=\"ok\"} 2\n")
        );
    }
}
