//! Puts a server under load: with `wrk` where it is installed, else with a few lines of our own.

use std::io;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Request, status_of};
use crate::items::Random;
use crate::table::Samples;

/// Connections that are kept alive, each with one request at a time.
pub const CONNECTIONS: usize = 16;

/// Statuses of replies.
const OK: u16 = 200;
const CONFLICT: u16 = 409;

static HAS_WRK: LazyLock<bool> = LazyLock::new(|| Command::new("wrk").arg("-v").output().is_ok());

/// What a server did under load.
pub struct Load {
    pub per_second: f64,
    /// Times of a request, in nanoseconds.
    pub p50: f64,
    pub p99: f64,
}

impl Load {
    /// That of requests with these times, in nanoseconds, which took so long together.
    pub fn of(nanos: Vec<u64>, duration: Duration) -> Self {
        let per_second = nanos.len() as f64 / duration.as_secs_f64();
        let samples = Samples::new(nanos);
        Self { per_second, p50: samples.p50(), p99: samples.p99() }
    }
}

/// How many requests had which status.
pub struct Statuses {
    pub done: u64,
    pub conflicts: u64,
}

/// What makes the load.
pub fn generator() -> &'static str {
    if *HAS_WRK { "wrk, one thread" } else { "one thread of this program" }
}

/// Sends a request again and again for some seconds, on so many connections.
pub fn put(port: u16, request: &Request, connections: usize, seconds: u64) -> Load {
    if *HAS_WRK {
        by_wrk(port, request, connections, seconds)
    } else {
        by_ourselves(port, request, connections, seconds)
    }
}

fn by_wrk(port: u16, request: &Request, connections: usize, seconds: u64) -> Load {
    let dir = tempfile::tempdir().expect("there is room for a script");
    let script = dir.path().join("request.lua");
    std::fs::write(&script, lua(request)).expect("there is room for a script");
    let output = Command::new("wrk")
        .args(["-t1", "--latency"])
        .arg(format!("-c{connections}"))
        .arg(format!("-d{seconds}s"))
        .arg("-s")
        .arg(&script)
        .arg(format!("http://127.0.0.1:{port}{}", request.target))
        .output()
        .expect("wrk can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("Non-2xx"), "some replies were errors:\n{text}");
    if text.contains("Socket errors") {
        eprintln!("bench: some connections failed:\n{text}");
    }
    read_wrk(&text).unwrap_or_else(|| panic!("wrk said:\n{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// A script that defines no function, so that wrk makes the request once and sends the same bytes each time.
fn lua(request: &Request) -> String {
    let mut script = format!("wrk.method = \"{}\"\n", request.method);
    if !request.body.is_empty() {
        script.push_str("wrk.headers[\"Content-Type\"] = \"application/json\"\n");
        script.push_str(&format!("wrk.body = [==[{}]==]\n", request.body));
    }
    script
}

fn read_wrk(text: &str) -> Option<Load> {
    let field = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let per_second: f64 = field("Requests/sec:")?.parse().ok()?;
    Some(Load { per_second, p50: nanos(field("50%")?)?, p99: nanos(field("99%")?)? })
}

/// Reads a time like `1.02ms`.
fn nanos(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let unit = match unit {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return None,
    };
    number.parse().ok().map(|number: f64| number * unit)
}

fn by_ourselves(port: u16, request: &Request, connections: usize, seconds: u64) -> Load {
    let request = request.to_bytes();
    drive(port, connections, seconds, move |_| request.clone())
}

/// Lets so many clients send requests for some seconds, each the next one when it has the reply to the last, on a
/// connection that is kept alive. All are served by one thread.
pub fn drive(
    port: u16,
    clients: usize,
    seconds: u64,
    next: impl Fn(&mut Random) -> Vec<u8> + Send + Sync + 'static,
) -> Load {
    exchange(port, clients, seconds, &[OK], next).0
}

/// The same for requests that conflict with each other: those that are refused for it are counted, but not part of the
/// load.
pub fn contend(
    port: u16,
    clients: usize,
    seconds: u64,
    next: impl Fn(&mut Random) -> Vec<u8> + Send + Sync + 'static,
) -> (Load, Statuses) {
    exchange(port, clients, seconds, &[OK, CONFLICT], next)
}

fn exchange(
    port: u16,
    clients: usize,
    seconds: u64,
    expected: &'static [u16],
    next: impl Fn(&mut Random) -> Vec<u8> + Send + Sync + 'static,
) -> (Load, Statuses) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let next = Arc::new(next);
    runtime.block_on(async {
        let mut streams = Vec::with_capacity(clients);
        for _ in 0..clients {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
            stream.set_nodelay(true).expect("a socket can send at once");
            streams.push(stream);
        }
        let begin = Instant::now();
        let end = begin + Duration::from_secs(seconds);
        let numbered = (1..).zip(streams);
        let tasks: Vec<_> = numbered
            .map(|(number, stream)| {
                tokio::spawn(connection(stream, Random::new(number), Arc::clone(&next), expected, end))
            })
            .collect();
        let (mut all, mut conflicts) = (Vec::new(), 0);
        for task in tasks {
            let (nanos, refused) = task.await.expect("no other reply is an error").expect("connections stay");
            all.extend(nanos);
            conflicts += refused;
        }
        let statuses = Statuses { done: all.len() as u64, conflicts };
        (Load::of(all, begin.elapsed()), statuses)
    })
}

/// The time of each request on one connection that was done, in nanoseconds, and how many conflicted.
async fn connection(
    mut stream: TcpStream,
    mut random: Random,
    next: Arc<impl Fn(&mut Random) -> Vec<u8>>,
    expected: &'static [u16],
    end: Instant,
) -> io::Result<(Vec<u64>, u64)> {
    let (mut nanos, mut conflicts) = (Vec::new(), 0);
    let mut reply: Vec<u8> = Vec::new();
    let mut begin = Instant::now();
    while begin < end {
        stream.write_all(&next(&mut random)).await?;
        reply.clear();
        let status = loop {
            if stream.read_buf(&mut reply).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(status) = status_of(&reply) {
                break status;
            }
        };
        assert!(expected.contains(&status), "{}", String::from_utf8_lossy(&reply));
        let now = Instant::now();
        match status {
            CONFLICT => conflicts += 1,
            _ => nanos.push((now - begin).as_nanos() as u64),
        }
        begin = now;
    }
    Ok((nanos, conflicts))
}
