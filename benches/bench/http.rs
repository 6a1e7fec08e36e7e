//! The host over HTTP, beside the bare server.

use std::thread;
use std::time::Instant;

use crate::Effort;
use crate::client::{Client, Request};
use crate::load::{self, CONNECTIONS, Load};
use crate::program::chain;
use crate::server::{Server, WORKERS};
use crate::table::{Samples, Table, figure, measure, micros, millis, nothing};

/// Lengths of long requests, in ops.
const OPS: [usize; 3] = [2, 200, 1_000];
/// Numbers that a request of a busy client loops over.
const LOOP: usize = 1_000_000;
/// Requests before the memory of a server is looked at again.
const REQUESTS: usize = 10_000;

/// Requests a second, for small requests.
pub fn small_requests(effort: &Effort) {
    let title = format!(
        "http: {CONNECTIONS} connections, load by {}, {WORKERS} worker threads each; medians of {} × {} s, in turns \
         (bar: ≥ 0.5)",
        load::generator(),
        effort.rounds,
        effort.round_seconds,
    );
    let mut table = Table::new(&title, &["request", "requests/s", "µs p50", "µs p99", "host ÷ bare"]);
    let (host, bare) = (Server::host(), Server::bare());
    for (name, request) in [("GET a string", Request::get()), ("POST 2 ops", Request::post(chain(2, 1, "s")))] {
        for server in [&host, &bare] {
            Client::connect(server.port).send(&request.to_bytes());
        }
        let (mut host_loads, mut bare_loads) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            host_loads.push(load::put(host.port, &request, CONNECTIONS, effort.round_seconds));
            bare_loads.push(load::put(bare.port, &request, CONNECTIONS, effort.round_seconds));
        }
        let (host, bare) = (middle(&host_loads), middle(&bare_loads));
        load_row(&mut table, &format!("{name}: host"), &host, figure(host.per_second / bare.per_second));
        load_row(&mut table, &format!("{name}: bare"), &bare, nothing());
    }
    table.print();
}

fn load_row(table: &mut Table, name: &str, load: &Load, ratio: String) {
    table.row([name.into(), figure(load.per_second), micros(load.p50), micros(load.p99), ratio]);
}

/// The median of each figure.
fn middle(loads: &[Load]) -> Load {
    let median = |of: fn(&Load) -> f64| {
        let mut figures: Vec<f64> = loads.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Load { per_second: median(|load| load.per_second), p50: median(|load| load.p50), p99: median(|load| load.p99) }
}

/// Time of a request with many ops, one at a time.
pub fn long_requests(effort: &Effort) {
    let title = "request: chains of ops, one request at a time on one connection, client included";
    let mut table = Table::new(title, &["request", "ms p50", "ms p99", "samples", "this ÷ bare"]);
    let (host, bare) = (Server::host(), Server::bare());
    let (mut to_host, mut to_bare) = (Client::connect(host.port), Client::connect(bare.port));
    for ops in OPS {
        let mut number = 0;
        let mut known_shape = || {
            number += 1;
            Request::post(chain(ops, number, "s")).to_bytes()
        };
        let known = measure(effort.request, &mut known_shape, |request: Vec<u8>| to_host.send(&request));
        let echoed = measure(effort.request, &mut known_shape, |request: Vec<u8>| to_bare.send(&request));
        let new_shape = || {
            number += 1;
            Request::post(chain(ops, 1, &format!("s{number}_"))).to_bytes()
        };
        let new = measure(effort.request, new_shape, |request: Vec<u8>| to_host.send(&request));
        let ratio = |samples: &Samples| figure(samples.p50() / echoed.p50());
        samples_row(&mut table, format!("{ops:>4} ops, known shape: host"), &known, ratio(&known));
        samples_row(&mut table, format!("{ops:>4} ops, new shape: host"), &new, ratio(&new));
        samples_row(&mut table, format!("{ops:>4} ops: bare"), &echoed, nothing());
    }
    table.print();
    busy_requests(&host, effort);
}

/// Time until clients that each keep a core busy, at the same time, all have their reply.
fn busy_requests(host: &Server, effort: &Effort) {
    let title = format!("request: a loop over {LOOP} numbers for each of several clients at once (bar: ≤ 1.3)");
    let mut table = Table::new(&title, &["clients", "ms p50", "ms p99", "samples", "this ÷ 1 client"]);
    let request = Request::post(format!(
        r#"{{"op":[["t",{{"/state/tuple/range":[[0,{LOOP},1]]}}],["r",{{"$t/fold":{{"item_name":"n","value":{{"s":0}},
            "op":{{"/state/scalar/op/post":[["_return",{{"s":{{"$s/add":{{"r":{{"$n":[]}}}}}}}}]]}}}}}}]]}}"#
    ));
    let request = request.to_bytes();
    let at_once = |clients: usize| {
        let mut clients: Vec<Client> = (0..clients).map(|_| Client::connect(host.port)).collect();
        let send = |()| {
            thread::scope(|scope| clients.iter_mut().for_each(|client| drop(scope.spawn(|| client.send(&request)))));
        };
        measure(effort.request, || (), send)
    };
    let alone = at_once(1);
    let both = at_once(WORKERS);
    samples_row(&mut table, "1".into(), &alone, nothing());
    samples_row(&mut table, WORKERS.to_string(), &both, figure(both.p50() / alone.p50()));
    table.print();
}

fn samples_row(table: &mut Table, name: String, samples: &Samples, ratio: String) {
    table.row([name, millis(samples.p50()), millis(samples.p99()), samples.count().to_string(), ratio]);
}

/// Time from the start of a server to its first reply, and its memory.
pub fn start(effort: &Effort) {
    let title = "start: from the command to the first reply, and the most memory ever used (bar: idle ≤ 150 MB)";
    let after = format!("MiB after {REQUESTS} requests");
    let mut table = Table::new(title, &["server", "ms p50", "ms p99", "starts", "MiB idle", after.as_str()]);
    let host = Start::of(Server::host, effort.starts);
    let bare = Start::of(Server::bare, effort.starts);
    host.row(&mut table, "host");
    bare.row(&mut table, "bare");
    table.row([
        "host ÷ bare".into(),
        figure(host.times.p50() / bare.times.p50()),
        figure(host.times.p99() / bare.times.p99()),
        nothing(),
        ratio(host.idle_mib, bare.idle_mib),
        ratio(host.later_mib, bare.later_mib),
    ]);
    table.print();
}

/// What starting a server takes.
struct Start {
    times: Samples,
    idle_mib: Option<f64>,
    later_mib: Option<f64>,
}

impl Start {
    fn of(start: fn() -> Server, starts: usize) -> Self {
        let request = Request::get().to_bytes();
        let time = || {
            let begin = Instant::now();
            let server = start();
            Client::connect(server.port).send(&request);
            (begin.elapsed().as_nanos() as u64, server)
        };
        let times = (0..starts).map(|_| time().0).collect();
        let (_, server) = time();
        let idle_mib = server.peak_mib();
        let mut client = Client::connect(server.port);
        for number in 0..REQUESTS {
            client.send(&Request::post(chain(2, number, "s")).to_bytes());
        }
        Self { times: Samples::new(times), idle_mib, later_mib: server.peak_mib() }
    }

    fn row(&self, table: &mut Table, name: &str) {
        let mib = |mib: Option<f64>| mib.map_or_else(nothing, figure);
        let (times, count) = (&self.times, self.times.count().to_string());
        table.row([
            name.into(),
            millis(times.p50()),
            millis(times.p99()),
            count,
            mib(self.idle_mib),
            mib(self.later_mib),
        ]);
    }
}

fn ratio(l: Option<f64>, r: Option<f64>) -> String {
    l.zip(r).map_or_else(nothing, |(l, r)| figure(l / r))
}
