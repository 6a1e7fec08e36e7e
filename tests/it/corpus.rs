//! The corpus: requests with their exact replies, over a real socket. See `tests/corpus/README.md` for the format.

use serde_json::{Map, Value, json};

use crate::support::{Client, Host, Reply};

const HYPOTHETICAL: &str = "/transact/hypothetical";

/// Runs every case of a file and fails with a list of those whose reply is wrong.
fn check(file: &str) {
    let path = format!("{}/tests/corpus/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let host = Host::start(&["--request_ttl=3"]);
    let mut client = host.connect();
    let (mut count, mut failures) = (0, Vec::new());
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = match line.contains("own port 8702") {
            true => line.replace("127.0.0.1:8702", &format!("127.0.0.1:{}", host.port)),
            false => line.to_string(),
        };
        let case: Map<String, Value> =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{file}:{}: {e}", number + 1));
        count += 1;
        let reply = send(&mut client, &case);
        if reply.header("connection").is_some_and(|value| value == "close") {
            client = host.connect();
        }
        if let Err(why) = compare(&case, &reply) {
            failures.push(format!("{file}.jsonl:{}: {why}\n    {line}", number + 1));
        }
    }
    println!("{file}: {count} programs");
    assert!(count > 0, "{file} has no cases");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
}

fn text<'a>(case: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    case.get(key).map(|value| value.as_str().unwrap_or_else(|| panic!("{key} is a string")))
}

fn send(client: &mut Client, case: &Map<String, Value>) -> Reply {
    let mut headers: Vec<(String, String)> = Vec::new();
    if let Some(Value::Object(given)) = case.get("headers") {
        headers.extend(given.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_string())));
    }
    if let Some(content_type) = text(case, "content_type") {
        headers.push(("Content-Type".into(), content_type.into()));
    }
    let body = if let Some(op) = case.get("op") {
        json!({"op": expand(op)}).to_string().into_bytes()
    } else if let Some(body) = case.get("body") {
        expand(body).to_string().into_bytes()
    } else if let Some(raw) = text(case, "raw") {
        raw.as_bytes().to_vec()
    } else if let Some(raw) = text(case, "raw_hex") {
        hex::decode(raw).unwrap()
    } else {
        vec![]
    };
    let method = text(case, "method").unwrap_or("POST");
    client.send(method, text(case, "target").unwrap_or(HYPOTHETICAL), &headers, &body)
}

/// Replaces the abbreviations `V/`, `R/` and `O/` at the start of keys.
fn expand(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(expand).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (expand_key(key), expand(value))).collect(),
        other => other.clone(),
    }
}

fn expand_key(key: &str) -> String {
    let short = [("V/", "value"), ("R/", "ref"), ("O/", "op")];
    let found = short.iter().find_map(|(short, long)| Some((key.strip_prefix(short)?, long)));
    match found {
        Some((rest, long)) => format!("/state/scalar/{long}/{rest}"),
        None if key == "V" => "/state/scalar/value".into(),
        None => key.into(),
    }
}

fn compare(case: &Map<String, Value>, reply: &Reply) -> Result<(), String> {
    let expected = case.get("status").map_or(200, |status| status.as_u64().unwrap() as u16);
    let shown = || String::from_utf8_lossy(&reply.body).chars().take(300).collect::<String>();
    if reply.status != expected {
        return Err(format!("status {} instead of {expected}: {}", reply.status, shown()));
    }
    let wanted = if case.contains_key("reply_hex") { "application/tbon" } else { "application/json" };
    if reply.header("content-type") != Some(wanted) {
        return Err(format!("content type {:?} instead of {wanted}", reply.header("content-type")));
    }
    if let Some(wanted) = text(case, "reply_text") {
        return if shown_all(reply) == wanted { Ok(()) } else { Err(format!("{} instead of {wanted}", shown())) };
    }
    if let Some(wanted) = text(case, "reply_hex") {
        let found = hex::encode(&reply.body);
        return if found == wanted.to_lowercase() { Ok(()) } else { Err(format!("{found} instead of {wanted}")) };
    }
    let found: Value = match serde_json::from_slice(&reply.body) {
        Ok(found) => found,
        Err(_) if text(case, "method") == Some("HEAD") => return Ok(()),
        Err(error) => return Err(format!("not JSON ({error}): {}", shown())),
    };
    if expected == 200 {
        let Some(wanted) = case.get("reply").map(expand) else { return Ok(()) };
        let tolerance = case.get("approx").and_then(Value::as_f64);
        return if is_same(&wanted, &found, tolerance) { Ok(()) } else { Err(format!("{found} instead of {wanted}")) };
    }
    compare_error(case, &found)
}

fn shown_all(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

fn compare_error(case: &Map<String, Value>, found: &Value) -> Result<(), String> {
    let Some(kind) = text(case, "kind") else { return Ok(()) };
    let entries = found.as_object().ok_or_else(|| format!("{found} is not an object"))?;
    let Some(detail) = entries.get(kind).filter(|_| entries.len() == 1) else {
        return Err(format!("{found} is not of kind {kind}"));
    };
    if let Some(message) = text(case, "message") {
        let found = detail.as_str().or_else(|| detail.get("message")?.as_str());
        if found != Some(message) {
            return Err(format!("{detail} has not the message {message:?}"));
        }
    }
    if let Some(stack) = case.get("stack")
        && detail.get("stack") != Some(stack)
    {
        return Err(format!("{detail} has not the stack {stack}"));
    }
    Ok(())
}

fn is_same(wanted: &Value, found: &Value, tolerance: Option<f64>) -> bool {
    match (wanted, found) {
        (Value::Number(l), Value::Number(r)) => match tolerance {
            None => l == r,
            Some(tolerance) => {
                let (l, r) = (l.as_f64().unwrap(), r.as_f64().unwrap());
                (l - r).abs() <= tolerance * l.abs().max(1e-300) || (l - r).abs() < 1e-12
            }
        },
        (Value::Array(l), Value::Array(r)) => {
            l.len() == r.len() && l.iter().zip(r).all(|(l, r)| is_same(l, r, tolerance))
        }
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len() && l.iter().all(|(key, l)| r.get(key).is_some_and(|r| is_same(l, r, tolerance)))
        }
        (l, r) => l == r,
    }
}

macro_rules! corpus {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(#[test] fn $name() { check($file); })*

        #[test]
        fn every_file_is_run() {
            let folder = format!("{}/tests/corpus", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(folder).unwrap()
                .filter_map(|entry| Some(entry.unwrap().file_name().into_string().unwrap().strip_suffix(".jsonl")?.to_string()))
                .collect();
            files.sort();
            let mut run = vec![$($file),*];
            run.sort_unstable();
            assert_eq!(files, run);
        }
    };
}

corpus! {
    after = "after", btree = "btree", case = "case", casts = "casts", client_forms = "client_forms", closures = "closures",
    complex_tensor = "complex_tensor", decoding = "decoding", equality = "equality", errors = "errors", hash = "hash", http = "http", if_ = "if",
    laziness = "laziness", limits = "limits", links = "links", maps = "maps", names = "names", numbers = "numbers",
    ops = "ops", seed_era = "seed_era", sparse = "sparse", streams = "streams", strings = "strings", table = "table",
    tensor = "tensor", tensor_math = "tensor_math", tuples = "tuples", values = "values", while_ = "while",
}
