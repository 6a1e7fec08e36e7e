//! Servers in processes of their own: the real host, and the bare one.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::bare;

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
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinychain"));
        command
            .arg("--http_port=0")
            .arg(format!("--data_dir={}", dir.path().join("data").display()))
            .arg(format!("--workspace={}", dir.path().join("workspace").display()));
        Self::start(command, Some(dir))
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let text = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: f64 = text.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("http://127.0.0.1:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
