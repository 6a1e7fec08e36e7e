//! A connection as this host wants it: what the HTTP library replies by itself has a body, and who does not read is left.
//!
//! What is not HTTP at all (a malformed request line, a head that is too large) never becomes a request: hyper answers it
//! with a status and no body, and has no hook for another. But a client of ours reads every body as JSON, so this wrapper
//! around the connection recognises such a reply and writes one with a body in its place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Sleep, sleep};

use crate::error::{Error, Kind};

/// How long a client may not read before its connection is closed, since replies are kept until they are read.
const STALL_MAX: Duration = Duration::from_secs(30);

/// A connection on which every error of HTTP/1 has a JSON body.
pub(super) struct Connection<T> {
    inner: T,
    /// Since when the client has not read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is written in place of a reply, and how much of it was.
    substitute: Vec<u8>,
    written: usize,
}

impl<T: Write + Unpin> Connection<T> {
    /// Writes, unless the client has not read for too long.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(Pin::new(&mut self.inner), cx);
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL_MAX)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T> Connection<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, stalled: None, substitute: vec![], written: 0 }
    }
}

/// The reply to write in place of `reply`, if that is an error of the library. The replies of this host always have a body.
fn substitute(reply: &[u8]) -> Option<Vec<u8>> {
    let reply = reply.strip_prefix(b"HTTP/1.1 ").or_else(|| reply.strip_prefix(b"HTTP/1.0 "))?;
    if !matches!(reply.first(), Some(b'4' | b'5')) || !reply.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(reply).ok()?;
    if !head.to_ascii_lowercase().contains("\r\ncontent-length: 0\r\n") {
        return None;
    }
    let status = head.get(..3)?;
    let kind = if status == "400" { Kind::BadRequest } else { Kind::from_status(status.parse().ok()?) };
    let kind = if matches!(status, "414" | "431") { Kind::TooLarge } else { kind };
    let message = match kind {
        Kind::TooLarge => "the head of the request is too large",
        _ => "this is not an HTTP request; quotes and blanks in a URL must be percent-encoded",
    };
    let body = super::codec::encode_error(&Error::new(kind, message), super::codec::Encoding::Json);
    let line = head.lines().next()?;
    let mut bytes = format!(
        "HTTP/1.1 {line}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend(body);
    Some(bytes)
}

impl<T: Read + Unpin> Read for Connection<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.substitute.is_empty() {
            match substitute(buf) {
                None => return this.write(cx, |inner, cx| inner.poll_write(cx, buf)),
                Some(bytes) => this.substitute = bytes,
            }
        }
        while this.written < this.substitute.len() {
            let rest = this.substitute[this.written..].to_vec();
            match ready!(this.write(cx, |inner, cx| inner.poll_write(cx, &rest)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => this.written += written,
            }
        }
        (this.substitute, this.written) = (vec![], 0);
        Poll::Ready(Ok(buf.len()))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// Large bodies are written from where they are, so that they are kept only until they are sent.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        match (filled.next(), filled.next()) {
            // Replies of the library itself have no body.
            (Some(only), None) => self.poll_write(cx, only),
            _ => self.write(cx, |inner, cx| inner.poll_write_vectored(cx, bufs)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_without_a_body_are_replaced() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let text = String::from_utf8(substitute(bare).unwrap()).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"), "{text}");
        assert!(text.ends_with("percent-encoded\"}\n"), "{text}");
        let head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert!(String::from_utf8(substitute(head).unwrap()).unwrap().contains("{\"payload_too_large\":"));
        assert_eq!(substitute(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), None);
        assert_eq!(substitute(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}"), None);
    }
}
