//! A client that does nothing but send bytes and read replies.

use std::borrow::Cow;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Replies that take longer than this end the run.
const REPLY_TIME_MAX: Duration = Duration::from_secs(600);

/// A request to send, perhaps many times.
pub struct Request {
    pub method: &'static str,
    pub target: Cow<'static, str>,
    pub body: String,
}

impl Request {
    /// Any request; without a body if that is empty.
    pub fn new(method: &'static str, target: impl Into<Cow<'static, str>>, body: impl Into<String>) -> Self {
        Self { method, target: target.into(), body: body.into() }
    }

    /// A small GET.
    pub fn get() -> Self {
        Self { method: "GET", target: "/state/scalar/value/string?key=%22Hello%22".into(), body: String::new() }
    }

    /// A program to run.
    pub fn post(body: String) -> Self {
        Self { method: "POST", target: "/transact/hypothetical".into(), body }
    }

    /// This request as it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { method, target, body } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        if !body.is_empty() {
            text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        text.into_bytes()
    }
}

/// A connection that is kept alive, for one request after the other.
pub struct Client {
    stream: TcpStream,
    reply: Vec<u8>,
}

impl Client {
    /// A connection to a port of this machine.
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_nodelay(true).expect("a socket can send at once");
        stream.set_read_timeout(Some(REPLY_TIME_MAX)).expect("a socket has a timeout");
        Self { stream, reply: Vec::new() }
    }

    /// Sends a request, and waits for the whole reply, which must be a success.
    pub fn send(&mut self, request: &[u8]) {
        let status = self.exchange(request).expect("the server replies");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&self.reply));
    }

    /// The body of the last reply.
    pub fn body(&self) -> &str {
        let text = std::str::from_utf8(&self.reply).expect("the reply is text");
        text.split_once("\r\n\r\n").expect("the reply has a head").1
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request)?;
        self.reply.clear();
        let mut chunk = [0; 16 << 10];
        loop {
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.reply.extend_from_slice(&chunk[..count]),
            }
            if let Some(status) = status_of(&self.reply) {
                return Ok(status);
            }
        }
    }
}

/// The status of a reply, once it is complete.
pub fn status_of(reply: &[u8]) -> Option<u16> {
    let head_bytes = reply.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&reply[..head_bytes]).ok()?;
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let (_, body_bytes) = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    let body_bytes: usize = body_bytes.trim().parse().ok()?;
    if reply.len() < head_bytes + body_bytes {
        return None;
    }
    head.split(' ').nth(1)?.parse().ok()
}
