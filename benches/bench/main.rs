//! Measures the host beside simpler programs that do the same work, in the same run.
//!
//! ```text
//! cargo bench                        all groups, about 8 minutes
//! cargo bench -- --quick             all groups, about a minute, with more noise
//! cargo bench -- http stages         only these groups
//! ```
//!
//! Groups about programs: `stages` (the parts of a request, in process), `fold` (loops, in process), `http` (requests a
//! second), `request` (long requests on one connection) and `start` (time to start, and memory).
//!
//! Groups about stored rows, whose sizes are in [`sizes`]: `commits` and `reads` (one row each, by many clients),
//! `lookups` (reads in process), `load` (many rows at once), `scan` and `tpch` (queries, beside bare DataFusion),
//! `closure` (ops over rows),
//! `restart` (after kill -9), `memory`, and `amplification` (bytes written for each byte of a user). `benches/compare`
//! runs them beside other databases.
//!
//! `services` is about what is installed: calls, rows of services, transfers between services, and chains. `tensors` is about
//! products, chains of functions, reductions, sparse matrices and a training.
//!
//! Nothing here passes or fails by its time; a wrong reply ends the run, since its figures would mean nothing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures and prints"
)]

mod amplification;
mod bare;
mod bare_sql;
mod client;
mod closure;
mod commits;
mod duel;
mod facts;
mod fold;
mod folder;
mod http;
mod ingest;
mod inside;
mod items;
mod load;
mod memory;
mod program;
mod queries;
mod reads;
mod record;
mod restart;
mod scan;
mod server;
mod services;
mod sizes;
mod stages;
mod table;
mod tensors;
mod tpch;

use std::process::ExitCode;
use std::time::Duration;

use sizes::Sizes;
use table::Until;

/// The allocator of the real host, so that what is measured in process is what the host does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much to measure.
struct Effort {
    /// For each stage of a request in process.
    stage: Until,
    /// For each loop over many items.
    items: Until,
    /// For each kind of long request over HTTP.
    request: Until,
    /// How often each server is put under load, and for how many seconds.
    rounds: usize,
    round_seconds: u64,
    /// How often each server is started.
    starts: usize,
    /// For groups about stored rows.
    sizes: Sizes,
}

impl Effort {
    fn new(is_quick: bool) -> Self {
        let until = |at_least, millis| Until { at_least, time: Duration::from_millis(millis) };
        match is_quick {
            true => Self {
                stage: until(5, 20),
                items: until(3, 0),
                request: until(10, 100),
                rounds: 1,
                round_seconds: 1,
                starts: 3,
                sizes: Sizes::new(true),
            },
            false => Self {
                stage: until(20, 250),
                items: until(9, 500),
                request: until(50, 1_000),
                rounds: 3,
                round_seconds: 3,
                starts: 10,
                sizes: Sizes::new(false),
            },
        }
    }
}

/// A name and what it measures.
type Group = (&'static str, fn(&Effort));

const GROUPS: [Group; 17] = [
    ("stages", stages::run),
    ("fold", fold::run),
    ("http", http::small_requests),
    ("request", http::long_requests),
    ("start", http::start),
    ("commits", commits::run),
    ("reads", reads::over_http),
    ("lookups", reads::in_process),
    ("load", ingest::run),
    ("scan", scan::run),
    ("closure", closure::run),
    ("tpch", tpch::run),
    ("restart", restart::run),
    ("memory", memory::run),
    ("amplification", amplification::run),
    ("services", services::run),
    ("tensors", tensors::run),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == bare::FLAG) {
        return bare::serve();
    }
    match chosen(&args) {
        Ok((groups, is_quick)) => {
            println!("{}", machine());
            let effort = Effort::new(is_quick);
            groups.into_iter().for_each(|(_, run)| run(&effort));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::from(2)
        }
    }
}

/// The groups that the command line names, or all, and whether to be quick.
fn chosen(args: &[String]) -> Result<(Vec<Group>, bool), String> {
    let mut groups = Vec::new();
    let mut is_quick = false;
    for arg in args {
        match arg.as_str() {
            // Cargo passes this to every benchmark.
            "--bench" => {}
            "--quick" => is_quick = true,
            "all" => groups.extend(GROUPS),
            name => {
                let group = GROUPS.into_iter().find(|(known, _)| *known == name);
                groups.push(group.ok_or_else(|| unknown(name))?);
            }
        }
    }
    if groups.is_empty() {
        groups.extend(GROUPS);
    }
    Ok((groups, is_quick))
}

fn unknown(name: &str) -> String {
    format!("there is no group {name:?}, only {}", GROUPS.map(|(name, _)| name).join(", "))
}

/// What the figures depend on: the machine and the build.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let checks = if cfg!(debug_assertions) { "with" } else { "without" };
    format!("{cores} cores ({model}); profile {}, {checks} debug assertions", profile())
}

/// The name of the folder of this build, `target/<profile>/deps/<this program>`: that of the profile, but `release` for
/// the profile `bench`.
fn profile() -> String {
    let exe = std::env::current_exe().unwrap_or_default();
    let folder = exe.ancestors().nth(2).and_then(|path| path.file_name());
    folder.map_or_else(|| "unknown".into(), |name| name.to_string_lossy().into_owned())
}
