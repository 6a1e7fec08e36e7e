//! Calls as commands for a POSIX shell.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::call::{Body, Call};
use crate::value::{Id, Link, Verb};

/// What a segment of a path need not escape, nor a key in a query.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a word need not be quoted for.
const PLAIN: &str = "_./:=,@%+-";

/// The path of a link, as it stands in a URL.
pub(super) fn path(link: &Link) -> String {
    link.path().iter().map(|id| format!("/{}", segment(id))).collect()
}

/// One segment of a path, as it stands in a URL.
pub(super) fn segment(id: &Id) -> String {
    utf8_percent_encode(id.as_str(), SEGMENT).to_string()
}

/// The command that makes a call of the host at `host`, e.g. `http://127.0.0.1:8702`.
pub(super) fn command(host: &str, call: &Call) -> String {
    let url = format!("{host}{}", call.path);
    let key = call.key.as_ref().map(|key| &key.example).filter(|key| !key.is_null());
    let body = match &call.body {
        Body::None => None,
        body => Some(body.example().to_string()),
    };
    let mut words = vec!["curl".to_string()];
    if matches!(call.verb, Verb::Put | Verb::Delete) {
        words.extend(["-X", call.verb.http()].map(str::to_string));
    }
    match (key, body) {
        (None, None) => words.push(quote(&url)),
        (Some(key), None) => {
            words.extend(["-G".to_string(), quote(&url), "--data-urlencode".to_string(), quote(&format!("key={key}"))]);
        }
        (None, Some(body)) => words.extend([quote(&url), "-d".to_string(), quote(&body)]),
        // All data would go where `-G` says, so here the key has to be encoded already.
        (Some(key), Some(body)) => words.extend([quote(&with_key(&url, key)), "-d".to_string(), quote(&body)]),
    }
    words.join(" ")
}

fn with_key(url: &str, key: &Value) -> String {
    format!("{url}?key={}", utf8_percent_encode(&key.to_string(), SEGMENT))
}

/// `text` as one word of a shell.
fn quote(text: &str) -> String {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || PLAIN.contains(c));
    match is_plain {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::page::call::Param;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(quote("http://127.0.0.1:8702/lib/a"), "http://127.0.0.1:8702/lib/a");
        assert_eq!(quote(r#"{"a":"$x `y` \n"}"#), r#"'{"a":"$x `y` \n"}'"#);
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
    }

    #[test]
    fn paths_are_encoded() {
        let link: Link = "/lib/é/a[1]%/1.0.0".parse().unwrap();
        assert_eq!(path(&link), "/lib/%C3%A9/a%5B1%5D%25/1.0.0");
    }

    fn call(verb: Verb, key: Option<Value>, body: Body) -> String {
        let key = key.map(|example| Param { example, ..Param::any("key") });
        command("http://h", &Call { key, body, ..Call::new(verb, "/a".into(), "") })
    }

    #[test]
    fn a_key_is_encoded_and_a_body_is_json() {
        let value = || Body::Value(Param { example: json!("it's"), ..Param::any("value") });
        assert_eq!(call(Verb::Get, None, Body::None), "curl http://h/a");
        assert_eq!(call(Verb::Get, Some(json!(null)), Body::None), "curl http://h/a");
        assert_eq!(
            call(Verb::Get, Some(json!(["a b"])), Body::None),
            r#"curl -G http://h/a --data-urlencode 'key=["a b"]'"#
        );
        assert_eq!(
            call(Verb::Delete, Some(json!(1)), Body::None),
            "curl -X DELETE -G http://h/a --data-urlencode key=1"
        );
        assert_eq!(
            call(Verb::Put, Some(json!("a b")), value()),
            r#"curl -X PUT 'http://h/a?key=%22a%20b%22' -d '"it'\''s"'"#
        );
        assert_eq!(call(Verb::Post, None, Body::Named { params: vec![], required: true }), "curl http://h/a -d '{}'");
    }
}
