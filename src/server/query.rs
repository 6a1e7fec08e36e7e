//! The query of a request: its key, its transaction, the one after which it wants to see what was, whether and how to show its
//! plan or what it would change, and whether to describe its path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::routes;
use crate::error::{Error, Result};
use crate::planner::{Explanation, Optimizer};
use crate::txn::TxnId;
use crate::value::doc::json;
use crate::value::{Doc, Verb};

/// The parameters of a request that mean something to a host.
#[derive(Debug)]
pub(super) struct Query {
    /// Null if there is none.
    pub(super) key: Doc,
    pub(super) txn_id: Option<TxnId>,
    /// The transaction after which the request wants to see what is at its path.
    pub(super) as_of: Option<TxnId>,
    /// How to show the plan, if that is what the request asks for.
    pub(super) view: Option<View>,
    /// Whether the request asks for a description of what is at its path, for tools.
    pub(super) openapi: bool,
    /// Whether the request asks for what it would change.
    pub(super) diff: bool,
}

/// The last text of each parameter, still encoded.
#[derive(Default)]
struct RawQuery<'a> {
    key: Option<&'a str>,
    txn_id: Option<&'a str>,
    as_of: Option<&'a str>,
    explain: Option<&'a str>,
    format: Option<&'a str>,
    analyze: Option<&'a str>,
    without: Option<&'a str>,
    openapi: Option<&'a str>,
    diff: Option<&'a str>,
}

impl<'a> RawQuery<'a> {
    fn parse(text: &'a str) -> Self {
        let mut raw = Self::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match decode_text(name).as_deref() {
                Ok("key") => raw.key = Some(value),
                Ok("txn_id") => raw.txn_id = Some(value),
                Ok("as_of") => raw.as_of = Some(value),
                Ok("explain") => raw.explain = Some(value),
                Ok("format") => raw.format = Some(value),
                Ok("analyze") => raw.analyze = Some(value),
                Ok("without") => raw.without = Some(value),
                Ok("openapi") => raw.openapi = Some(value),
                Ok("diff") => raw.diff = Some(value),
                _ => {}
            }
        }
        raw
    }
}

impl Query {
    pub(super) fn parse(text: &str, verb: Verb, explains: bool, depth_max: usize) -> Result<Self> {
        let raw = RawQuery::parse(text);
        let key = match raw.key {
            Some(key) if verb != Verb::Post => parse_key(key, depth_max)?,
            _ => Doc::Null,
        };
        let txn = |text: Option<&str>| text.map(|id| decode_text(id)?.parse::<TxnId>()).transpose();
        let (txn_id, as_of) = (txn(raw.txn_id)?, txn(raw.as_of).map_err(|error| error.within("?as_of"))?);
        let view = if explains || flag("explain", raw.explain)? { Some(View::parse(&raw)?) } else { None };
        Ok(Self { key, txn_id, as_of, view, openapi: flag("openapi", raw.openapi)?, diff: flag("diff", raw.diff)? })
    }
}

fn parse_key(text: &str, depth_max: usize) -> Result<Doc> {
    json::decode(decode_text(text)?.as_bytes(), depth_max).map_err(|error| {
        let message = format!("the key: {}", error.message());
        error.with_message(message)
    })
}

/// Decodes form encoding.
fn decode_text(text: &str) -> Result<Cow<'_, str>> {
    let invalid = || Error::bad_request("a query parameter is not UTF-8");
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().map_err(|_| invalid());
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| invalid())?;
    Ok(Cow::Owned(decoded.into_owned()))
}

fn flag(name: &str, text: Option<&str>) -> Result<bool> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Error::bad_request(format!("{name} must be true or false, not {other:?}"))),
    }
}

/// How to show a plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct View {
    format: Format,
    /// Whether to run the program as well.
    pub(super) analyze: bool,
    /// The rules to leave out.
    pub(super) without: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Format {
    Text,
    Json,
    Dot,
    Svg,
}

impl View {
    fn parse(raw: &RawQuery<'_>) -> Result<Self> {
        let format = match raw.format {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some("dot") => Format::Dot,
            Some("svg") => Format::Svg,
            Some(other) => {
                return Err(Error::bad_request(format!("format must be text, json, dot or svg, not {other:?}")));
            }
        };
        let without = decode_text(raw.without.unwrap_or_default())?;
        let without: Vec<String> = without.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect();
        Optimizer::check_names(&without)?;
        Ok(Self { format, analyze: flag("analyze", raw.analyze)?, without })
    }

    /// The content type and the text of an explanation.
    ///
    /// # Errors
    /// `TooLarge` past `bytes_max`.
    pub(super) fn show(&self, explanation: &Explanation, bytes_max: usize) -> Result<(&'static str, String)> {
        let (content_type, text) = tokio::task::block_in_place(|| match self.format {
            Format::Text => (routes::TEXT, explanation.to_text()),
            Format::Json => (routes::JSON, format!("{}\n", explanation.to_json())),
            Format::Dot => ("text/vnd.graphviz", explanation.to_dot()),
            Format::Svg => ("image/svg+xml", explanation.to_svg()),
        });
        match text.len() > bytes_max {
            true => Err(Error::too_large(format!("the explanation is larger than {bytes_max} bytes"))),
            false => Ok((content_type, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::value::Number;

    fn query(text: &str) -> Result<Query> {
        Query::parse(text, Verb::Get, false, 8)
    }

    fn key(text: &str) -> Doc {
        query(text).unwrap().key
    }

    #[test]
    fn keys_are_json_in_form_encoding() {
        assert_eq!(key("key=%22two+words%2C+%5Cu00e9%26%3D%2B%22"), Doc::String("two words, é&=+".into()));
        assert_eq!(key("key=%22%C3%A9%22"), Doc::String("é".into()));
        assert_eq!(key("key=5"), Doc::Number(Number::I64(5)));
        for text in ["", "key=null", "other=1", "&&", "%ff=1"] {
            assert_eq!(key(text), Doc::Null, "{text}");
        }
    }

    #[test]
    fn the_last_of_repeated_parameters_wins() {
        assert_eq!(key("key=%22x%22&key=%22y%22"), Doc::String("y".into()));
        assert_eq!(key("key=foo&k%65y=1"), Doc::Number(Number::I64(1)));
    }

    #[test]
    fn malformed_parameters_are_refused() {
        let odd = ["key=foo", "key=", "key", "key=%22%ff%22", "txn_id=abc", "txn_id=1", "as_of=", "as_of=%2212-5%22"];
        for text in odd.into_iter().chain(["explain=maybe", "openapi=1"]) {
            assert_eq!(query(text).unwrap_err().kind(), Kind::BadRequest, "{text}");
        }
        assert!(query("diff=yes").is_err());
        assert!(query("explain=true&format=png").is_err());
        assert!(query("explain=true&analyze=1").is_err());
    }

    #[test]
    fn parameters_that_mean_nothing_here_are_ignored() {
        assert!(query("format=png&analyze=1").is_ok());
        assert_eq!(Query::parse("key=foo", Verb::Post, false, 8).unwrap().key, Doc::Null);
    }

    #[test]
    fn a_plan_can_be_asked_for_in_four_formats() {
        assert_eq!(query("key=1").unwrap().view, None);
        assert_eq!(query("explain=false").unwrap().view, None);
        let view = |format, analyze| Some(View { format, analyze, without: vec![] });
        assert_eq!(query("explain=true").unwrap().view, view(Format::Text, false));
        assert_eq!(query("explain=true&format=svg&analyze=true").unwrap().view, view(Format::Svg, true));
        assert_eq!(Query::parse("format=dot", Verb::Post, true, 8).unwrap().view, view(Format::Dot, false));
    }

    #[test]
    fn the_changes_can_be_asked_for() {
        assert!(query("diff=true").unwrap().diff);
        assert!(!query("diff=false").unwrap().diff && !query("key=1").unwrap().diff);
    }

    #[test]
    fn transaction_ids_are_read() {
        let id = query("txn_id=1700000000000000000-5").unwrap().txn_id;
        assert_eq!(id, Some(TxnId { timestamp: 1_700_000_000_000_000_000, nonce: 5 }));
        let past = query("as_of=12-5").unwrap();
        assert_eq!((past.as_of, past.txn_id), (Some(TxnId { timestamp: 12, nonce: 5 }), None));
    }
}
