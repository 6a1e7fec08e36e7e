//! Hosts that are really running, and a client that sends exactly what it is told.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::Parser as _;
use tempfile::TempDir;
use tinychain::env::{Clock, ManualClock};
use tinychain::server::{CommandLine, Server};
use tokio::sync::oneshot;

/// A running host with its own data directory; stopped when dropped.
pub struct Host {
    process: Child,
    pub port: u16,
    _dir: TempDir,
}

impl Host {
    /// Starts the binary on a free port.
    pub fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tinychain"))
            .arg("--http_port=0")
            .arg(format!("--data_dir={}", dir.path().join("data").display()))
            .arg(format!("--workspace={}", dir.path().join("workspace").display()))
            .arg("--log_level=error")
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                let line = line.unwrap();
                let rest = line.split("http://127.0.0.1:").nth(1)?;
                rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
            })
            .expect("the host prints its address");
        Self { process, port, _dir: dir }
    }

    /// The process id of this host.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A new connection to this host.
    pub fn connect(&self) -> Client {
        Client::connect(self.port)
    }

    /// Runs a program and returns the status and the text of the reply.
    pub fn hypothetical(&self, op: &str) -> (u16, String) {
        let body = format!("{{\"op\": {op}}}");
        let reply = self.connect().send("POST", "/transact/hypothetical", &[], body.as_bytes());
        (reply.status, reply.text())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A host in this process, of whose date the test disposes. It is what the binary runs, at a real address and on a real
/// disk.
pub struct ManualHost {
    pub clock: Arc<ManualClock>,
    port: u16,
    flags: Vec<String>,
    /// Tells it to stop.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    dir: Arc<TempDir>,
}

impl ManualHost {
    /// Starts a host whose clock stands at a time, in nanoseconds since the Unix epoch.
    pub fn start(unix_nanos: u64, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_string()).collect();
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), Arc::new(ManualClock::at(unix_nanos)), flags)
    }

    fn start_in(dir: Arc<TempDir>, clock: Arc<ManualClock>, flags: Vec<String>) -> Self {
        let place = |name: &str| format!("--{name}={}", dir.path().join(name).display());
        let own = ["tinychain".to_string(), "--http_port=0".into(), place("data_dir"), place("workspace")];
        let config = CommandLine::try_parse_from(own.iter().chain(&flags)).unwrap().config;
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let timer: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let thread = thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.enable_all().thread_stack_size(config.stack_bytes()).build().unwrap();
            runtime.block_on(async {
                let server = Box::pin(Server::start(&config, timer)).await.unwrap();
                ready.send(server.address().port()).unwrap();
                let stopped = async {
                    // Whoever drops the host stops it too.
                    let _ = stopped.await;
                };
                Box::pin(server.run(stopped)).await;
            });
            runtime.shutdown_background();
        });
        let port = started.recv().expect("the host starts");
        Self { clock, port, flags, stop: Some(stop), thread: Some(thread), dir }
    }

    /// A new connection to this host.
    pub fn connect(&self) -> Client {
        Client::connect(self.port)
    }

    /// Stops the host, and starts it again with the same data.
    pub fn restart(mut self) -> Self {
        self.stop();
        Self::start_in(Arc::clone(&self.dir), Arc::clone(&self.clock), self.flags.clone())
    }

    /// The files of this host that contain some bytes.
    pub fn files_with(&self, bytes: &[u8]) -> Vec<PathBuf> {
        let mut found = vec![];
        find(self.dir.path(), bytes, &mut found);
        found
    }

    fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have stopped by itself, which the thread says.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the host panicked");
        }
    }
}

impl Drop for ManualHost {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Finds the files below a folder that contain some bytes.
fn find(folder: &Path, bytes: &[u8], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, bytes, found);
        } else if fs::read(&path).is_ok_and(|content| contains(&content, bytes)) {
            // A file that is missing was deleted since it was listed.
            found.push(path);
        }
    }
}

/// Whether `content` has `bytes` somewhere, which are at least one.
pub fn contains(content: &[u8], bytes: &[u8]) -> bool {
    let length = bytes.len();
    // Wherever they are, one of them is at one of these places. Files of the log are mostly zeros.
    (length - 1..content.len()).step_by(length).any(|at| {
        let around = &content[at + 1 - length..content.len().min(at + length)];
        bytes.contains(&content[at]) && around.windows(length).any(|window| window == bytes)
    })
}

/// A connection that is kept alive.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// A reply as it was received.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request and reads the reply.
    pub fn send(&mut self, method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Reply {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" || method == "PUT" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        self.read(method == "HEAD")
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    fn read(&mut self, is_head: bool) -> Reply {
        let status = self.line();
        let status = status.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {status:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
        let mut reply = Reply { status, headers, body: vec![] };
        let length: usize = reply.header("content-length").expect("a reply has a length").parse().unwrap();
        if !is_head {
            reply.body.resize(length, 0);
            self.stream.read_exact(&mut reply.body).unwrap();
        }
        reply
    }
}
