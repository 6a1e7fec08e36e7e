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

/// What makes the load.
pub fn generator() -> &'static str {
    if *HAS_WRK { "wrk, one thread" } else { "one thread of this program" }
}

/// Sends a request again and again for some seconds.
pub fn put(port: u16, request: &Request, seconds: u64) -> Load {
    if *HAS_WRK { by_wrk(port, request, seconds) } else { by_ourselves(port, request, seconds) }
}

fn by_wrk(port: u16, request: &Request, seconds: u64) -> Load {
    let dir = tempfile::tempdir().expect("there is room for a script");
    let script = dir.path().join("request.lua");
    std::fs::write(&script, lua(request)).expect("there is room for a script");
    let output = Command::new("wrk")
        .args(["-t1", "--latency"])
        .arg(format!("-c{CONNECTIONS}"))
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

fn by_ourselves(port: u16, request: &Request, seconds: u64) -> Load {
    let request = request.to_bytes();
    drive(port, CONNECTIONS, seconds, move |_| request.clone())
}

/// Lets so many clients send requests for some seconds, each the next one when it has the reply to the last, on a
/// connection that is kept alive. All are served by one thread.
pub fn drive(
    port: u16,
    clients: usize,
    seconds: u64,
    next: impl Fn(&mut Random) -> Vec<u8> + Send + Sync + 'static,
) -> Load {
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
            .map(|(number, stream)| tokio::spawn(connection(stream, Random::new(number), Arc::clone(&next), end)))
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.expect("no reply is an error").expect("connections stay"));
        }
        Load::of(all, begin.elapsed())
    })
}

/// The time of each request on one connection, in nanoseconds.
async fn connection(
    mut stream: TcpStream,
    mut random: Random,
    next: Arc<impl Fn(&mut Random) -> Vec<u8>>,
    end: Instant,
) -> io::Result<Vec<u64>> {
    let mut nanos = Vec::new();
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
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&reply));
        let now = Instant::now();
        nanos.push((now - begin).as_nanos() as u64);
        begin = now;
    }
    Ok(nanos)
}
