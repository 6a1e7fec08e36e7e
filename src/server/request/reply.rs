//! Replies, and the responses of HTTP that they become.

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::head::verb;
use crate::error::{Kind, Result};
use crate::server::body::{KeptBody, ReplyBody};
use crate::server::codec::{Encoding, encode_error};
use crate::server::routes;

/// A successful reply.
pub(super) struct Reply {
    content_type: &'static str,
    body: ReplyBody,
    /// The request's place, which is kept until the reply is sent.
    slot: Option<OwnedSemaphorePermit>,
}

impl Reply {
    pub fn new(content_type: &'static str, body: impl Into<ReplyBody>) -> Self {
        Self { content_type, body: body.into(), slot: None }
    }

    /// The same reply, which keeps the request's place until it is sent.
    pub fn keeping(self, slot: OwnedSemaphorePermit) -> Self {
        Self { slot: Some(slot), ..self }
    }
}

/// The response, and the size of its body.
pub(super) fn to_response(result: Result<Reply>, encoding: Encoding, parts: &Parts) -> (Response<KeptBody>, usize) {
    let (status, reply, extra) = match result {
        Ok(reply) => (StatusCode::OK, reply, None),
        Err(error) => {
            let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let reply = Reply::new(encoding.content_type(), encode_error(&error, encoding));
            (status, reply, advice(error.kind(), parts))
        }
    };
    let bytes = reply.body.len();
    let mut response = Response::new(KeptBody::new(reply.body, reply.slot));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Some((name, value)) = extra {
        response.headers_mut().insert(name, value);
    }
    (response, bytes)
}

/// The header that HTTP asks for beside some statuses.
fn advice(kind: Kind, parts: &Parts) -> Option<(HeaderName, HeaderValue)> {
    match kind {
        Kind::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        Kind::Unavailable => Some((RETRY_AFTER, HeaderValue::from_static("1"))),
        Kind::MethodNotAllowed => {
            let allow = match routes::find(parts.uri.path()) {
                Some(route) => route.allow(),
                // What is below /state is never written.
                None if parts.uri.path().starts_with("/state") => "GET, POST".to_string(),
                None if verb(&parts.method, "").is_err() => "GET, PUT, POST, DELETE".to_string(),
                None => return None,
            };
            HeaderValue::from_str(&allow).ok().map(|allow| (ALLOW, allow))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Method, Request};

    use super::super::head::unsupported;
    use super::*;
    use crate::error::Error;

    #[test]
    fn errors_carry_the_headers_that_http_asks_for() {
        let reply = |method: Method, path: &str, error: Error| {
            let (parts, ()) = Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
            to_response(Err(error), Encoding::Json, &parts).0
        };
        let response = reply(Method::PATCH, "/state", unsupported("/state", "PATCH"));
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET, POST");
        assert_eq!(response.headers()["content-type"], "application/json");
        let response = reply(Method::PUT, "/explain", unsupported("/explain", "PUT"));
        assert_eq!(response.headers()["allow"], "POST");
        let response = reply(Method::GET, "/", Error::unauthorized("no"));
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
}
