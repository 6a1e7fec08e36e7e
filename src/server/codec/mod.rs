//! Encodings: JSON and TBON, which renders the same data model in binary and keeps the classes of numbers.
//!
//! A request and its reply choose their encodings independently: by `Content-Type`, and by `Accept-Encoding` or
//! `Accept`. Decoders make a [`Doc`] and never recurse, so the depth of a text cannot exhaust the stack.

pub(crate) mod rows;
pub mod tbon;

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::value::doc::json;
use crate::value::encode::{Encoder, Json, encode};
use crate::value::{Doc, State};
use tbon::TbonEncoder;

const JSON: &str = "application/json";
const TBON: &str = "application/tbon";

/// How a reply is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    Json,
    Tbon,
}

impl Encoding {
    /// The value of the header `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => JSON,
            Encoding::Tbon => TBON,
        }
    }

    /// The encoding that a client asks for: JSON unless it names TBON with a higher quality, or first.
    pub fn wanted(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Encoding::Json);
        for value in headers.get_all(ACCEPT_ENCODING).iter().chain(headers.get_all(ACCEPT).iter()) {
            let Ok(text) = value.to_str() else { continue };
            for (name, quality) in text.split(',').filter_map(media_range) {
                if let Some(encoding) = Self::named(name)
                    && quality > best.0
                {
                    best = (quality, encoding);
                }
            }
        }
        best.1
    }

    /// The encoding of a media type.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Encoding::Json, Encoding::Tbon].into_iter().find(|encoding| encoding.content_type().eq_ignore_ascii_case(name))
    }
}

/// What one part of an accept header names, and its quality.
pub(super) fn media_range(part: &str) -> Option<(&str, f32)> {
    let mut fields = part.split(';').map(str::trim);
    let name = fields.next()?;
    let quality = fields.find_map(|field| field.strip_prefix("q=").or_else(|| field.strip_prefix("Q=")));
    Some((name, quality.map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0))))
}

/// Decodes a request body that is not empty. A content type that is not known is taken for JSON, since command-line
/// tools send one that nobody chose.
///
/// # Errors
/// `BadRequest` if the body is malformed or nests too deep.
pub fn decode_body(content_type: Option<&HeaderValue>, bytes: &[u8], limits: &Limits) -> Result<Doc> {
    let essence = content_type.and_then(|value| value.to_str().ok()).and_then(|text| text.split(';').next());
    if essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(TBON)) {
        tbon::decode(bytes, limits.json_depth)
    } else {
        json::decode(bytes, limits.json_depth)
    }
}

/// What is replied, in whichever encoding.
pub(super) trait Document {
    fn write(&self, out: &mut impl Encoder);
}

impl Document for State {
    fn write(&self, out: &mut impl Encoder) {
        encode(self, out);
    }
}

/// The body of a successful reply.
///
/// # Errors
/// `TooLarge` past `reply_bytes_max`.
pub fn encode_reply(state: &State, encoding: Encoding, reply_bytes_max: usize) -> Result<Vec<u8>> {
    encode_document(state, encoding, reply_bytes_max)
}

/// The body of a successful reply that is no state.
///
/// # Errors
/// As [`encode_reply`].
pub(super) fn encode_document(document: &impl Document, encoding: Encoding, reply_bytes_max: usize) -> Result<Vec<u8>> {
    let bytes = match encoding {
        Encoding::Json => {
            let mut out = Json::with_bytes_max(reply_bytes_max);
            document.write(&mut out);
            with_newline(out.into_bytes())
        }
        Encoding::Tbon => {
            let mut out = TbonEncoder::default();
            document.write(&mut out);
            out.into_bytes()
        }
    };
    if bytes.len() > reply_bytes_max {
        return Err(Error::too_large(format!("the reply is larger than {reply_bytes_max} bytes")));
    }
    Ok(bytes)
}

/// The body of an error reply: `{"<kind>": "<message>"}`, or, where there is context, `{"<kind>": {…}}`.
pub fn encode_error(error: &Error, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Json => {
            let mut out = Json::default();
            write_error(error, &mut out);
            with_newline(out.into_bytes())
        }
        Encoding::Tbon => {
            let mut out = TbonEncoder::default();
            write_error(error, &mut out);
            out.into_bytes()
        }
    }
}

fn with_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(b'\n');
    bytes
}

/// `{"<kind>": "<message>"}`, or with the stack `{"<kind>": {"message": …, "stack": […]}}`. The place in the request, if
/// it is known, ends the message.
fn write_error(error: &Error, out: &mut impl Encoder) {
    let message = match error.at() {
        Some(at) => format!("{} (at {at})", error.message()),
        None => error.message().to_string(),
    };
    out.begin_map();
    out.key(error.kind().name());
    if error.stack().is_empty() {
        out.string(&message);
    } else {
        out.begin_map();
        out.key("message");
        out.string(&message);
        out.key("stack");
        out.begin_list();
        for context in error.stack() {
            out.item();
            out.string(context);
        }
        out.end_list();
        out.end_map();
    }
    out.end_map();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(headers: &[(&'static str, &'static str)]) -> Encoding {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Encoding::wanted(&map)
    }

    #[test]
    fn replies_are_json_unless_tbon_is_asked_for() {
        for value in ["gzip, deflate", "identity", "*", "gzip;q=0.5", "", "application/tbon;q=0"] {
            assert_eq!(wanted(&[("accept-encoding", value)]), Encoding::Json, "{value}");
        }
        assert_eq!(wanted(&[]), Encoding::Json);
        assert_eq!(wanted(&[("accept", "*/*")]), Encoding::Json);
        assert_eq!(wanted(&[("accept-encoding", "application/tbon")]), Encoding::Tbon);
        assert_eq!(wanted(&[("accept", "application/tbon"), ("accept-encoding", "gzip")]), Encoding::Tbon);
    }

    #[test]
    fn the_higher_quality_wins_then_the_first() {
        let both = |value| wanted(&[("accept-encoding", value)]);
        assert_eq!(both("application/json;q=0.5, application/tbon;q=0.8"), Encoding::Tbon);
        assert_eq!(both("application/tbon; q=0.5, application/json"), Encoding::Json);
        assert_eq!(both("application/tbon, application/json"), Encoding::Tbon);
        assert_eq!(both("application/json, application/tbon"), Encoding::Json);
    }

    #[test]
    fn bodies_are_decoded_by_content_type() {
        let limits = Limits::default();
        let decode = |content_type: Option<&'static str>, bytes: &[u8]| {
            decode_body(content_type.map(HeaderValue::from_static).as_ref(), bytes, &limits)
        };
        assert_eq!(decode(Some("application/tbon"), &[1]), Ok(Doc::Null));
        for content_type in ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"]
        {
            assert_eq!(decode(Some(content_type), b"null"), Ok(Doc::Null), "{content_type}");
        }
        assert_eq!(decode(None, b" null "), Ok(Doc::Null));
        assert!(decode(None, &[1]).is_err());
    }

    #[test]
    fn errors_have_context_only_where_there_is_some() {
        let text = |error: &Error| String::from_utf8(encode_error(error, Encoding::Json)).unwrap();
        let error = Error::not_found("/foo");
        assert_eq!(text(&error), "{\"not_found\":\"/foo\"}\n");
        assert_eq!(encode_error(&error, Encoding::Tbon), b"{\"not_found\"\"/foo\"}");
        let error = Error::bad_request("no\n").while_doing("while resolving x");
        assert_eq!(text(&error), "{\"bad_request\":{\"message\":\"no\\n\",\"stack\":[\"while resolving x\"]}}\n");
        let error = Error::bad_request("no").within(1).within("op");
        assert_eq!(text(&error), "{\"bad_request\":\"no (at /op/1)\"}\n");
    }

    #[test]
    fn a_reply_past_its_limit_is_an_error() {
        let state = State::from("12345");
        assert_eq!(encode_reply(&state, Encoding::Json, 8).unwrap(), b"\"12345\"\n");
        let error = encode_reply(&state, Encoding::Json, 7).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::TooLarge);
    }
}
