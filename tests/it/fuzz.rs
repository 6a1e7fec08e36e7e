//! Hostile requests, from their bytes to the bytes of the reply: no panic, no reply that cannot be read, and no request
//! that outlives its deadline by much.
//!
//! `TINYCHAIN_FUZZ_CASES` says how many, `TINYCHAIN_FUZZ_SEED` which. A million:
//! `TINYCHAIN_FUZZ_CASES=1000000 cargo test --release --test it fuzz -- --nocapture`.
//! `TINYCHAIN_FUZZ_TRACE=1` prints the number of each case before it is run, for those that end the process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tinychain::compiler::Program;
use tinychain::error::{Error, Kind, Result};
use tinychain::limits::Limits;
use tinychain::planner::Optimizer;
use tinychain::server::codec::{Encoding, encode_error, encode_reply, tbon};
use tinychain::value::State;
use tinychain::value::doc::json;

use crate::attacks::{self, Request};
use crate::local::Local;

const CASES: u64 = 20_000;
/// Random and mutated bodies in the suite; `TINYCHAIN_FUZZ_MUTANTS` says otherwise.
const MUTANTS: u64 = 5_000;
/// Bytes that decide a mutant.
const MUTANT_BYTES_MAX: usize = 256;
const THREADS: u64 = 2;
/// The stack of a thread of the host.
const STACK_BYTES: usize = 96 << 20;
const DEADLINE: Duration = Duration::from_millis(200);
/// What a request may take in all. A single operation may run past the deadline, and this machine may be busy.
const TIME_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 5 });
/// Bytes of a body of the corpus that is mutated.
const SEED_BYTES_MAX: usize = 2048;

/// Answers requests, and looks at the replies.
struct Checker {
    local: Local,
    limits: Limits,
}

/// A reply in both encodings.
struct Reply {
    json: Vec<u8>,
    tbon: Vec<u8>,
    error: Option<Error>,
}

impl Checker {
    fn new() -> Self {
        let limits = Limits {
            graph_nodes: 1 << 14,
            request_bytes: 256 << 20,
            compute_time: DEADLINE,
            request_ttl: DEADLINE,
            reply_bytes: 4 << 20,
            ..Limits::default()
        };
        Self { local: Local::new(limits.clone(), Optimizer::default()), limits }
    }

    /// Answers a request; returns whether its result is a value, and how long that took.
    fn check(&self, request: &Request) -> Result<(bool, Duration), String> {
        let began = Instant::now();
        let reply = catch_unwind(AssertUnwindSafe(|| self.answer(request)));
        let time = began.elapsed();
        let reply = reply.map_err(|panic| format!("it panicked: {}", message(&*panic)))?;
        if time > TIME_MAX {
            return Err(format!("it took {time:?}"));
        }
        check_json(&reply.json)?;
        tbon::decode(&reply.tbon, usize::MAX).map_err(|error| format!("the TBON reply is malformed: {error}"))?;
        match reply.error {
            Some(error) if error.kind() == Kind::Internal && !may_raise(request) => Err(error.to_string()),
            error => Ok((error.is_none(), time)),
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        let encoded = self.run(request).and_then(|state| {
            let reply = |encoding| encode_reply(&state, encoding, self.limits.reply_bytes);
            Ok((reply(Encoding::Json)?, reply(Encoding::Tbon)?))
        });
        match encoded {
            Ok((json, tbon)) => Reply { json, tbon, error: None },
            Err(error) => {
                let (json, tbon) = (encode_error(&error, Encoding::Json), encode_error(&error, Encoding::Tbon));
                Reply { json, tbon, error: Some(error) }
            }
        }
    }

    fn run(&self, request: &Request) -> Result<State> {
        let doc = match request.encoding {
            Encoding::Json => json::decode(&request.body, self.limits.json_depth)?,
            Encoding::Tbon => tbon::decode(&request.body, self.limits.json_depth)?,
        };
        let program = match &request.target {
            None => Program::hypothetical(&doc)?,
            Some((verb, link, key)) => Program::call(link.clone(), *verb, key, &doc)?,
        };
        self.local.run(program)
    }
}

/// Whether a request may raise an internal error itself.
fn may_raise(request: &Request) -> bool {
    request.target.is_some() || request.body.windows(5).any(|part| part == b"error")
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".into())
}

/// A reply must be JSON, but for tokens such as `NaN`, to our reader and to another.
fn check_json(reply: &[u8]) -> Result<(), String> {
    json::decode(reply, usize::MAX).map_err(|error| format!("the reply is malformed: {error}"))?;
    let text = std::str::from_utf8(reply).map_err(|error| error.to_string())?;
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => Ok(()),
        Err(_) if text.contains("NaN") || text.contains("Infinity") => Ok(()),
        Err(error) if error.to_string().contains("recursion limit") => Ok(()),
        Err(error) => Err(format!("the reply is malformed: {error}")),
    }
}

/// A thread like those of the host.
fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().name("fuzz".into()).stack_size(STACK_BYTES).spawn(work).unwrap()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.replace('_', "").parse().ok()
}

fn fuzz_seed() -> u64 {
    setting("TINYCHAIN_FUZZ_SEED").unwrap_or_else(rand::random)
}

/// Each case has a seed of its own, so that it does not depend on how many there are.
fn rng_of_case(seed: u64, case: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ case.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// How many requests had a value, how many an error, and how long the slowest took.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    values: u64,
    errors: u64,
    slowest: Duration,
}

fn run_cases(seed: u64, first: u64, cases: u64) -> Result<Tally, String> {
    let (checker, is_traced) = (Checker::new(), setting("TINYCHAIN_FUZZ_TRACE").is_some());
    let mut tally = Tally::default();
    for case in (first..cases).step_by(THREADS as usize) {
        if is_traced {
            eprintln!("case {case}");
        }
        let request = attacks::request(&mut rng_of_case(seed, case));
        let (is_value, time) = checker
            .check(&request)
            .map_err(|why| format!("TINYCHAIN_FUZZ_SEED={seed}, case {case}: {why}\n{request:?}"))?;
        tally.values += u64::from(is_value);
        tally.errors += u64::from(!is_value);
        tally.slowest = tally.slowest.max(time);
    }
    Ok(tally)
}

#[test]
fn hostile_requests_are_answered() {
    let cases = setting("TINYCHAIN_FUZZ_CASES").unwrap_or(CASES);
    let seed = fuzz_seed();
    println!("TINYCHAIN_FUZZ_SEED={seed} TINYCHAIN_FUZZ_CASES={cases}");
    let threads: Vec<_> = (0..THREADS).map(|first| spawn(move || run_cases(seed, first, cases))).collect();
    let mut sum = Tally::default();
    let mut failures = Vec::new();
    for thread in threads {
        match thread.join().unwrap() {
            Ok(tally) => {
                sum.values += tally.values;
                sum.errors += tally.errors;
                sum.slowest = sum.slowest.max(tally.slowest);
            }
            Err(why) => failures.push(why),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("{} values, {} errors, the slowest took {:?}", sum.values, sum.errors, sum.slowest);
}

/// The bodies of the corpus that end by themselves.
fn corpus() -> Vec<Vec<u8>> {
    let folder = format!("{}/tests/corpus", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let texts = paths.into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    let bodies: Vec<Vec<u8>> = texts.flat_map(|text| text.lines().filter_map(body).collect::<Vec<_>>()).collect();
    assert!(!bodies.is_empty());
    bodies
}

/// The body of the request in a line of the corpus.
fn body(line: &str) -> Option<Vec<u8>> {
    if line.is_empty() || line.starts_with('#') || line.contains("\"status\": 408") {
        return None;
    }
    let case: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = match (case.get("op"), case.get("body"), case.get("raw")) {
        (Some(op), _, _) => format!("{{\"op\":{op}}}"),
        (_, Some(body), _) => body.to_string(),
        (_, _, raw) => raw?.as_str()?.to_string(),
    };
    let mut text = text.replace("{\"V\":", "{\"/state/scalar/value\":");
    for (short, long) in [("V", "value"), ("R", "ref"), ("O", "op")] {
        text = text.replace(&format!("\"{short}/"), &format!("\"/state/scalar/{long}/"));
    }
    (text.len() <= SEED_BYTES_MAX).then(|| text.into_bytes())
}

/// A request that `bytes` decide: themselves, or a body of the corpus with some changes.
fn mutant(corpus: &[Vec<u8>], bytes: &[u8]) -> Request {
    let [how, low, high, edits @ ..] = bytes else { return Request::hypothetical(Encoding::Json, bytes.to_vec()) };
    match how % 8 {
        0 => return Request::hypothetical(Encoding::Json, bytes[1..].to_vec()),
        1 => return Request::hypothetical(Encoding::Tbon, bytes[1..].to_vec()),
        _ => {}
    }
    let mut body = corpus[usize::from(u16::from_le_bytes([*low, *high])) % corpus.len()].clone();
    for edit in edits.chunks_exact(4).take(1 + usize::from(how / 64)) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % body.len().max(1);
        match edit[2] % 4 {
            _ if body.is_empty() => {}
            0 => body[at] = edit[3],
            1 => body.insert(at, b"[]{}\",:0123456789.eE+-$/\\ntf "[usize::from(edit[3]) % 29]),
            2 => {
                body.remove(at);
            }
            _ => {
                // Some text occurs twice, as far as the next comma.
                let length = body[at..].iter().position(|byte| *byte == b',').unwrap_or(0);
                let copy = body[at..at + length].to_vec();
                drop(body.splice(at..at, copy));
            }
        }
    }
    Request::hypothetical(Encoding::Json, body)
}

#[test]
fn random_and_mutated_bodies_are_answered() {
    let (seed, cases) = (fuzz_seed(), setting("TINYCHAIN_FUZZ_MUTANTS").unwrap_or(MUTANTS));
    println!("TINYCHAIN_FUZZ_SEED={seed} TINYCHAIN_FUZZ_MUTANTS={cases}");
    let thread = spawn(move || {
        let (checker, corpus) = (Checker::new(), corpus());
        for case in 0..cases {
            let mut rng = rng_of_case(seed, case);
            let mut bytes = vec![0; rng.random_range(0..MUTANT_BYTES_MAX)];
            rng.fill(&mut bytes[..]);
            let request = mutant(&corpus, &bytes);
            if let Err(why) = checker.check(&request) {
                panic!("TINYCHAIN_FUZZ_SEED={seed}, mutant {case}: {why}\n{request:?}");
            }
        }
    });
    thread.join().unwrap();
}
