//! What is read as a token, and what is refused.

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hyper::header::HeaderValue;
use serde_json::{Value as Json, json};

use super::*;
use crate::error::Kind;
use crate::value::Value;

const HEADER: &str = "{\"alg\":\"ES256\",\"typ\":\"JWT\"}";

fn encode(header: &str, claims: &Json) -> String {
    let part = |bytes: &[u8]| STANDARD.encode(bytes);
    format!("{}.{}.{}", part(header.as_bytes()), part(claims.to_string().as_bytes()), part(&[7; 64]))
}

fn claims() -> Json {
    json!({"iss": "/a", "iat": 5, "exp": 9, "actor_id": "alice", "custom": ["/b", 64], "inherit": null})
}

/// The claims of a token with `value` in place of the field `name`.
fn with(name: &str, value: Json) -> String {
    let mut claims = claims();
    claims[name] = value;
    encode(HEADER, &claims)
}

#[track_caller]
fn refused(text: &str) -> String {
    let error = Chain::decode(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized, "{error}");
    error.message().to_string()
}

#[test]
fn a_token_is_read() {
    let text = encode(" {\"typ\":\"JWT\", \"alg\":\"ES256\"}", &claims());
    let chain = Chain::decode(&text).unwrap();
    let [token] = chain.tokens() else { panic!("{chain:?}") };
    assert_eq!(token.signer, Signer { issuer: "/a".parse().unwrap(), actor: State::from("alice") });
    assert_eq!((token.issued, token.expires, chain.expires()), (5, 9, 9));
    assert_eq!(token.claims, ["/b:x".parse::<Claim>().unwrap()]);
    assert_eq!(token.signed, text.rsplit_once('.').unwrap().0);
    assert_eq!(&**chain.text(), text);
}

#[test]
fn padding_is_optional() {
    let part = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    let claims = claims().to_string();
    let text = format!("{}.{}.{}", part(HEADER.as_bytes()), part(claims.as_bytes()), part(&[7; 64]));
    assert!(!text.contains('='));
    assert!(Chain::decode(&text).is_ok());
}

#[test]
fn an_actor_is_any_value_and_a_key_with_or_without_padding_is_the_same() {
    let actor = |json: Json| Chain::decode(&with("actor_id", json)).unwrap().tokens()[0].signer.actor.clone();
    let bytes = |text: String| actor(json!({"/state/scalar/value/bytes": text}));
    let key = State::Value(Value::Bytes([9_u8; 32].as_slice().into()));
    assert_eq!(bytes(STANDARD.encode([9_u8; 32])), key);
    assert_eq!(bytes(STANDARD_NO_PAD.encode([9_u8; 32])), key);
    assert_eq!(actor(json!(5)), State::from(5_i64));
    assert!(actor(json!(["a", 1])).is_value());
}

#[test]
fn claims_are_a_pair_or_pairs() {
    let claims = |json: Json| Chain::decode(&with("custom", json)).map(|chain| chain.tokens()[0].claims.clone());
    assert_eq!(claims(json!([["/a", 64], ["/", 511]])).unwrap().len(), 2);
    assert_eq!(claims(json!([["/a", 64]])).unwrap(), ["/a:x".parse::<Claim>().unwrap()]);
    for none in [json!([]), json!(null)] {
        assert!(claims(none).unwrap().is_empty());
    }
    for wrong in [
        json!("/a"),
        json!(["/a"]),
        json!(["/a", 64, 64]),
        json!(["/a", "x"]),
        json!(["/a", 512]),
        json!(["/a", -1]),
        json!(["/a", 1.0]),
        json!(["a", 1]),
        json!(["http://h/a", 1]),
        json!([["/a", 64], 5]),
        json!({"/a": 64}),
    ] {
        assert_eq!(claims(wrong.clone()).unwrap_err().kind(), Kind::Unauthorized, "{wrong}");
    }
}

#[test]
fn malformed_tokens_are_refused_with_the_reason() {
    for text in ["", "a", "a.b", "...", "a.b.c.d"] {
        assert!(refused(text).starts_with("invalid bearer token: "), "{text}");
    }
    let good = encode(HEADER, &claims());
    assert!(refused(&format!("{good}.x")).contains("expected <header>.<claims>.<signature>"));
    assert!(refused(&good.replacen("ey", "-y", 1)).contains("its header is not base64"));
    assert!(refused(&format!("{}A", good.trim_end_matches('='))).contains("its signature"));
    for header in ["{}", "[]", "{\"alg\":\"none\",\"typ\":\"JWT\"}", "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"crit\":[]}"]
    {
        assert!(refused(&encode(header, &claims())).contains("its header"), "{header}");
    }
    assert!(refused(&encode(HEADER, &json!([]))).contains("its claims must be an object"));
    for (name, wrong) in [
        ("iss", json!(5)),
        ("iss", json!("a b")),
        ("iat", json!(null)),
        ("iat", json!(1.5)),
        ("exp", json!(-1)),
        ("exp", json!("9")),
        ("actor_id", json!(null)),
        ("actor_id", json!({"a": 1})),
        ("actor_id", json!({"$a": []})),
        ("inherit", json!(5)),
        ("inherit", json!("a.b.c")),
    ] {
        refused(&with(name, wrong));
    }
}

#[test]
fn chains_are_bounded() {
    let mut text = encode(HEADER, &json!({"iss": "/", "iat": 0, "exp": 0, "actor_id": 1}));
    let mut lengths = vec![];
    while let Ok(chain) = Chain::decode(&text) {
        lengths.push(chain.tokens().len());
        text = encode(HEADER, &json!({"iss": "/", "iat": 0, "exp": 0, "actor_id": 1, "inherit": text}));
    }
    assert_eq!(lengths, (1..=lengths.len()).collect::<Vec<_>>());
    assert!(lengths.len() >= 12, "{}", lengths.len());
    assert!(refused(&"a".repeat(TOKEN_BYTES_MAX + 1)).contains("longer than"));
}

#[test]
fn the_header_names_the_scheme() {
    let read = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        Chain::of_headers(&headers)
    };
    let good = format!("Bearer {}", encode(HEADER, &claims()));
    assert!(read(&[]).unwrap().is_none());
    assert!(read(&[good.as_str()]).unwrap().is_some());
    for wrong in [
        &["Basic abc"][..],
        &["Bearer"],
        &["Bearer "],
        &["bearer a.b.c"],
        &["Bearer abc"],
        &[good.as_str(), good.as_str()],
    ] {
        assert_eq!(read(wrong).unwrap_err().kind(), Kind::Unauthorized, "{wrong:?}");
    }
}
