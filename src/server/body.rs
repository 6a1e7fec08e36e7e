//! The body of a reply: whole, or in parts as they are computed.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use crate::error::Error;

/// What is sent to a client.
pub(super) enum ReplyBody {
    Full(Bytes),
    /// Parts, and how many bytes they have together, if that is known before they are computed.
    Stream {
        chunks: BoxStream<'static, Result<Bytes, BodyError>>,
        bytes: Option<u64>,
    },
}

impl ReplyBody {
    /// The size of a body that is known.
    pub(super) fn len(&self) -> usize {
        match self {
            ReplyBody::Full(bytes) => bytes.len(),
            ReplyBody::Stream { bytes, .. } => usize::try_from(bytes.unwrap_or(0)).unwrap_or(usize::MAX),
        }
    }
}

impl<T: Into<Bytes>> From<T> for ReplyBody {
    fn from(bytes: T) -> Self {
        ReplyBody::Full(bytes.into())
    }
}

/// Why a body ends early. The client sees that it is not whole, and the log says why.
#[derive(Debug)]
pub(super) struct BodyError(Error);

impl From<Error> for BodyError {
    fn from(error: Error) -> Self {
        warn!(%error, "a reply was cut short");
        Self(error)
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for BodyError {}

impl From<Infallible> for BodyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A body with the place of its request, which it keeps until it is sent: a reply that nobody reads takes memory.
pub(super) enum KeptBody {
    /// Who sends it keeps the bytes, and with them the place.
    Full(Full<Bytes>),
    /// Parts, and how many bytes are left, if that is known.
    Stream { chunks: BoxStream<'static, Result<Bytes, BodyError>>, left: Option<u64> },
}

/// Bytes with the place of their request.
struct Kept {
    bytes: Bytes,
    _slot: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl KeptBody {
    pub(super) fn new(body: ReplyBody, slot: Option<OwnedSemaphorePermit>) -> Self {
        match (body, slot) {
            (ReplyBody::Full(bytes), Some(slot)) => {
                KeptBody::Full(Full::new(Bytes::from_owner(Kept { bytes, _slot: slot })))
            }
            (ReplyBody::Full(bytes), None) => KeptBody::Full(Full::new(bytes)),
            (ReplyBody::Stream { chunks, bytes }, slot) => KeptBody::Stream { chunks: keep(chunks, slot), left: bytes },
        }
    }
}

/// The same stream, which keeps the place until it is dropped.
fn keep(
    stream: BoxStream<'static, Result<Bytes, BodyError>>,
    slot: Option<OwnedSemaphorePermit>,
) -> BoxStream<'static, Result<Bytes, BodyError>> {
    stream
        .map(move |chunk| {
            let _kept = &slot;
            chunk
        })
        .boxed()
}

impl Body for KeptBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            KeptBody::Full(body) => Pin::new(body).poll_frame(context).map_err(BodyError::from),
            KeptBody::Stream { chunks, left } => {
                let chunk = chunks.poll_next_unpin(context);
                if let (Poll::Ready(Some(Ok(bytes))), Some(left)) = (&chunk, left) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                chunk.map_ok(Frame::data)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, KeptBody::Full(body) if body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            KeptBody::Full(body) => body.size_hint(),
            KeptBody::Stream { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    fn body(bytes: Option<u64>) -> KeptBody {
        let chunks = [&b"ab"[..], b"c"].map(|chunk| Ok(Bytes::from_static(chunk)));
        KeptBody::new(ReplyBody::Stream { chunks: stream::iter(chunks).boxed(), bytes }, None)
    }

    #[test]
    fn a_stream_knows_how_much_of_it_is_left() {
        let mut body = body(Some(3));
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(block_on(body.frame()).unwrap().unwrap().into_data().unwrap(), "ab");
        assert_eq!(body.size_hint().exact(), Some(1));
        assert_eq!(block_on(body.collect()).unwrap().to_bytes(), "c");
    }

    #[test]
    fn a_stream_of_unknown_length_has_none() {
        assert_eq!(body(None).size_hint().exact(), None);
    }
}
