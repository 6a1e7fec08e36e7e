//! Measurements of what computes tensors: copied from the counts of the devices when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::exec::DeviceStats;

/// The CPU, and what there is beside it. The name of that is at `/docs/devices`.
const DEVICES: [&str; 2] = ["cpu", "accelerator"];
const VERDICTS: [&str; 3] = ["exact", "placed", "refused"];

type Labels = [(&'static str, &'static str); 1];
type Seconds = Counter<f64, AtomicU64>;

/// The measurements of the devices of one host.
#[derive(Debug)]
pub(super) struct DeviceMetrics {
    pieces: [Counter; DEVICES.len()],
    seconds: [Seconds; DEVICES.len()],
    functions: [Gauge; VERDICTS.len()],
}

impl DeviceMetrics {
    /// Adds the measurements to `registry`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let pieces = Family::<Labels, Counter>::default();
        let seconds = Family::<Labels, Seconds>::default();
        let functions = Family::<Labels, Gauge>::default();
        let metrics = Self {
            pieces: DEVICES.map(|device| pieces.get_or_create_owned(&[("device", device)])),
            seconds: DEVICES.map(|device| seconds.get_or_create_owned(&[("device", device)])),
            functions: VERDICTS.map(|verdict| functions.get_or_create_owned(&[("verdict", verdict)])),
        };
        registry.register("tensor_pieces", "Pieces of tensors that were computed", pieces);
        let help = "Time that computing them took, over all threads";
        registry.register_with_unit("tensor_compute", help, Unit::Seconds, seconds);
        let help = "Functions of classes of numbers, by whether the accelerator computes them as the CPU does";
        registry.register("tensor_functions", help, functions);
        metrics
    }

    /// Copies what the devices say.
    pub(super) fn set(&self, stats: &DeviceStats) {
        let usages = [stats.cpu, stats.accelerator];
        for ((pieces, seconds), usage) in self.pieces.iter().zip(&self.seconds).zip(usages) {
            pieces.inner().store(usage.pieces, Ordering::Relaxed);
            seconds.inner().store(usage.time.as_secs_f64().to_bits(), Ordering::Relaxed);
        }
        for (gauge, count) in self.functions.iter().zip([stats.exact, stats.placed, stats.refused]) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text;

    use super::*;
    use crate::exec::Usage;

    #[test]
    fn each_device_has_its_figures() {
        let mut registry = Registry::with_prefix("tinychain");
        let metrics = DeviceMetrics::register(&mut registry);
        let usage = |pieces, millis| Usage { pieces, time: Duration::from_millis(millis) };
        metrics.set(&DeviceStats {
            cpu: usage(7, 1500),
            accelerator: usage(2, 250),
            exact: 500,
            placed: 20,
            refused: 30,
        });
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        for line in [
            "tinychain_tensor_pieces_total{device=\"cpu\"} 7",
            "tinychain_tensor_pieces_total{device=\"accelerator\"} 2",
            "tinychain_tensor_compute_seconds_total{device=\"cpu\"} 1.5",
            "tinychain_tensor_compute_seconds_total{device=\"accelerator\"} 0.25",
            "tinychain_tensor_functions{verdict=\"exact\"} 500",
            "tinychain_tensor_functions{verdict=\"placed\"} 20",
            "tinychain_tensor_functions{verdict=\"refused\"} 30",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
    }
}
