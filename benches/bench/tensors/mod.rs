//! Tensors: the same programs over HTTP and in this process, so that the time of the client, of HTTP and of JSON is apart.
//!
//! `benches/compare` runs the same functions of the same arrays in NumPy, SciPy and PyTorch (benches/peers/numpy_torch.py). If this
//! machine has a GPU, the host uses it, and so does PyTorch.

mod cases;
mod stored;

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use tinychain::env::SystemClock;
use tinychain::exec::{DeviceChoice, Devices, Status};
use tinychain::value::number::cast::to_f64;
use tinychain::value::{State, Value};

use crate::Effort;
use crate::client::{Client, Request};
use crate::folder;
use crate::inside::{Inside, MEMTABLE_BYTES};
use crate::program::decode;
use crate::record::{Record, record};
use crate::server::Server;
use crate::sizes::Sizes;
use crate::table::{Samples, Table, Until, figure, measure, millis, nothing};
use cases::Case;

/// How long a case is repeated, if it takes less.
const TIME: Duration = Duration::from_millis(200);
/// Between two looks at whether the devices were tried.
const PAUSE: Duration = Duration::from_millis(20);
/// The cache of a host whose memory is measured, in megabytes.
const CACHE_MB: u64 = 50;

/// Measures all cases, and the memory of the largest.
pub fn run(effort: &Effort) {
    let sizes = &effort.sizes;
    let dir = folder::new(sizes);
    let cases = cases::all(sizes);
    let over_http = over_http(dir.path(), &cases, sizes);
    let inside = in_process(dir.path(), &cases, sizes);

    let title = "tensors: programs over stored and generated tensors, one client (bar: matmul 256, sum ≤ 2 ms over HTTP; \
                 peer: benches/compare)";
    let mut table = Table::new(title, &["work", "ms over HTTP", "ms in process", "HTTP, JSON ms", "samples"]);
    for (case, (http, inside)) in cases.iter().zip(over_http.into_iter().zip(inside)) {
        assert_eq!(case.answer(http.result), case.answer(inside.result), "{}", case.name);
        let (total, own) = (http.samples.p50(), inside.samples.p50());
        for (system, nanos) in [("tinychain", total), ("tinychain, in process", own)] {
            let (value, check) = (nanos / 1e6, case.answer(http.result));
            Record {
                group: "tensors",
                name: &case.name,
                system,
                value,
                unit: "ms",
                check: check.as_ref().map(|check| &check[..]),
            }
            .write();
        }
        let count = http.samples.count().to_string();
        table.row([case.name.clone(), millis(total), millis(own), millis(total - own), count]);
    }
    table.print();
    memory(sizes);
}

/// How long a case took, and what it resulted in.
struct Outcome {
    samples: Samples,
    result: f64,
}

fn until(sizes: &Sizes) -> Until {
    Until { at_least: sizes.runs, time: TIME }
}

/// Requests on a connection that is kept alive, to a host that is filled before.
fn over_http(dir: &Path, cases: &[Case], sizes: &Sizes) -> Vec<Outcome> {
    let server = Server::host_in(dir, &[]);
    let mut client = Client::connect(server.port);
    stored::fill(&mut client, sizes);
    await_devices(&mut client);
    let outcomes = cases.iter().map(|case| {
        let setup = || Request::post(case.body.clone()).to_bytes();
        let samples = measure(until(sizes), setup, |request: Vec<u8>| client.send(&request));
        let text = client.body().trim();
        let result = text.parse().unwrap_or_else(|_| panic!("{}: {text} is no number", case.name));
        Outcome { samples, result }
    });
    outcomes.collect()
}

/// The same programs without client, HTTP and JSON, on what the host has stored.
fn in_process(dir: &Path, cases: &[Case], sizes: &Sizes) -> Vec<Outcome> {
    let devices = Devices::start(DeviceChoice::Auto, Arc::new(SystemClock));
    while devices.status() == Status::Looking {
        sleep(PAUSE);
    }
    let inside = Inside::open_on(dir, MEMTABLE_BYTES, devices);
    let outcomes = cases.iter().map(|case| {
        let mut last = State::NONE;
        let samples = measure(until(sizes), || decode(&case.body), |program| last = inside.run_on(program, true));
        let State::Value(Value::Number(number)) = &last else { panic!("{}: {last:?} is no number", case.name) };
        Outcome { samples, result: to_f64(*number) }
    });
    let outcomes = outcomes.collect();
    inside.close();
    outcomes
}

/// Waits until a host has tried its devices, so that it computes as it will from then on.
fn await_devices(client: &mut Client) {
    loop {
        client.send(&Request::new("GET", "/docs/devices", "").to_bytes());
        if !client.body().contains("still being") {
            return;
        }
        sleep(PAUSE);
    }
}

/// The most memory of a host that computes with more elements than it has memory for.
fn memory(sizes: &Sizes) {
    let case = cases::chain(sizes.elements);
    let title = format!("tensors: the most memory of a host with --cache_size={CACHE_MB}M, in MiB");
    let mut table = Table::new(&title, &["work", "MiB of elements", "before", "after"]);
    let dir = folder::new(sizes);
    let server = Server::host_in(dir.path(), &[format!("--cache_size={CACHE_MB}M")]);
    let mut client = Client::connect(server.port);
    await_devices(&mut client);
    let before = server.peak_mib();
    client.send(&Request::post(case.body.clone()).to_bytes());
    let after = server.peak_mib();
    if let Some(mib) = after {
        record("tensors", &format!("memory, {}", case.name), "tinychain", mib, "MiB");
    }
    let mib = |mib: Option<f64>| mib.map_or_else(nothing, figure);
    let elements = figure((sizes.elements * 8) as f64 / f64::from(1 << 20));
    table.row([case.name, elements, mib(before), mib(after)]);
    table.print();
}
