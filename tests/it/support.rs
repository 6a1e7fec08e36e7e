//! A host that is really running, and a client that sends exactly what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A running host with its own data directory; stopped when dropped.
pub struct Host {
    process: Child,
    pub port: u16,
    _dir: tempfile::TempDir,
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
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream: BufReader::new(stream) }
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
