//! Servers in processes of their own: the real host, and the bare one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::bare;
use crate::client::{Client, Request};

/// Worker threads of each server.
pub const WORKERS: usize = 2;

/// A running server; killed when dropped.
pub struct Server {
    process: Child,
    pub port: u16,
    _dir: Option<TempDir>,
}

impl Server {
    /// Starts the host with its defaults, on a free port and with an empty data directory.
    pub fn host() -> Self {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        Self::start(host_command(dir.path()), Some(dir))
    }

    /// Starts the host with its data in `dir`, which outlives it, and with more flags. Requests have the time that they
    /// need.
    pub fn host_in(dir: &Path, flags: &[String]) -> Self {
        let mut command = host_command(dir);
        command.args(["--request_ttl=3600", "--max_body_size=64M"]).args(flags);
        Self::start(command, None)
    }

    /// Starts the bare server on a free port.
    pub fn bare() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program is a file"));
        command.arg(bare::FLAG);
        Self::start(command, None)
    }

    fn start(mut command: Command, dir: Option<TempDir>) -> Self {
        // Tokio reads the variable; the host has no flag for it.
        command.env("TOKIO_WORKER_THREADS", WORKERS.to_string()).env_remove("RUST_LOG").stdout(Stdio::piped());
        let mut process = command.spawn().expect("the server can be started");
        let stdout = process.stdout.take().expect("the output is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let port = lines.find_map(|line| port_in(&line)).expect("the server prints its address");
        Self { process, port, _dir: dir }
    }

    /// The most memory that this server ever had, in MiB, where the system tells.
    pub fn peak_mib(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let text = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: f64 = text.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib / 1024.0)
    }

    /// A measurement of the host by its own account.
    pub fn metric(&self, name: &str) -> f64 {
        let mut client = Client::connect(self.port);
        client.send(&Request { method: "GET", target: "/metrics".into(), body: String::new() }.to_bytes());
        let value = client.body().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("the host does not say its {name}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not asked to stop, but killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command that starts the host on a free port with its data in `dir`.
fn host_command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinychain"));
    command
        .arg("--http_port=0")
        .arg(format!("--data_dir={}", dir.join("data").display()))
        .arg(format!("--workspace={}", dir.join("workspace").display()));
    command
}

fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("http://127.0.0.1:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
