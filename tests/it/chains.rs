//! Chains that delete or reduce what is old, on a host whose date the test sets and whose files are on a real disk.

mod crash;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, ManualHost};

/// Seconds since the Unix epoch, 37 seconds after a full minute.
const START: u64 = 1_700_000_017;
const NANOS: u64 = 1_000_000_000;
/// How long what nobody is told the end of may take.
const WAIT: Duration = Duration::from_secs(30);
/// No part of them is there twice, so that they stand in files as they are, also where these are compressed.
const MARKERS: [&str; 2] = ["w8ZqL2vYx7RmC4tKb9NsG1pHd6JfU3aE", "B5yTn0QeXg8VrW2kMz6LcP9oSj4DiA7h"];

/// Starts a host at [`START`], whose requests have the time that a debug build takes.
fn start() -> ManualHost {
    ManualHost::start(START * NANOS, &["--request_ttl=60"])
}

/// Makes a request that must be answered with 200, and returns the reply.
#[track_caller]
fn call(client: &mut Client, method: &str, target: &str, body: &Value) -> Value {
    let body = if matches!(method, "GET" | "DELETE") { String::new() } else { body.to_string() };
    let reply = client.send(method, target, &[], body.as_bytes());
    assert_eq!(reply.status, 200, "{method} {target}: {}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

#[track_caller]
fn get(client: &mut Client, target: &str) -> Value {
    call(client, "GET", target, &Value::Null)
}

/// Installs a service with a chain and some other members. Returns the path of the chain.
fn install(client: &mut Client, chain: Value, mut members: Value) -> &'static str {
    members["t"] = chain;
    call(client, "PUT", "/service?key=%22test%22", &json!(true));
    call(client, "PUT", "/service/test?key=%22chains%22", &json!(false));
    call(client, "PUT", "/service/test/chains?key=%221.0.0%22", &json!({"/service/test/chains": members}));
    "/service/test/chains/1.0.0/t"
}

fn string() -> Value {
    json!({"/state/scalar/value/string": {}})
}

fn integer() -> Value {
    json!({"/state/scalar/value/number/int/64": {}})
}

/// The rows of a table as it is written.
fn rows(table: &Value) -> &Value {
    &table["/state/collection/table"][1]
}

/// An op that adds the values of a window by their keys, which are `a` and `b`.
fn sum_by_key() -> Value {
    let choose = |yes: Value, no: Value| json!({"/state/scalar/ref/if": [{"$is_a": []}, yes, no]});
    let more = |sum: &str| json!({format!("${sum}/add"): [{"$value": []}]});
    json!({"/state/scalar/op/post": [
        ["add", {"/state/scalar/op/post": [
            ["key", {"$item/1/0": []}],
            ["value", {"$item/2/0": []}],
            ["is_a", {"$key/eq": ["a"]}],
            ["_return", {"a": choose(more("a"), json!({"$a": []})), "b": choose(json!({"$b": []}), more("b"))}],
        ]}],
        ["sums", {"$items/fold": {"item_name": "item", "value": {"a": 0, "b": 0}, "op": {"$add": []}}}],
        ["_return", [[["a"], [{"$sums/a": []}]], [["b"], [{"$sums/b": []}]]]],
    ]})
}

/// Sums of values, by their keys.
type Sums = BTreeMap<String, i64>;

/// How many windows a level has, how many rows are in them, and the sums of these.
fn level(client: &mut Client, chain: &str, level: u64) -> (usize, usize, Sums) {
    let windows = get(client, &format!("{chain}/chain/level?key={level}"));
    let windows = windows.as_array().unwrap();
    let (mut count, mut sums) = (0, Sums::new());
    for row in windows.iter().flat_map(|window| window[1].as_array().unwrap()) {
        count += 1;
        *sums.entry(row[0][0].as_str().unwrap().to_string()).or_default() += row[1][0].as_i64().unwrap();
    }
    (windows.len(), count, sums)
}

/// The sums of all levels together.
fn total(levels: [Sums; 2]) -> Sums {
    let mut total = Sums::new();
    for (key, sum) in levels.into_iter().flatten() {
        *total.entry(key).or_default() += sum;
    }
    total
}

#[test]
fn the_points_of_seconds_become_those_of_minutes() {
    const POINTS: u64 = 7200;
    let host = start();
    let client = &mut host.connect();
    let table = json!({"/state/collection/table": [[[[["k", string(), 10]], [["v", integer()]]], []]]});
    let options = json!({"reduce": "sum", "levels": [[1, 60], [60, null]]});
    let chain = install(client, json!({"/state/chain/reduce": [table, options]}), json!({"sum": sum_by_key()}));

    let mut written = Sums::new();
    for second in 0..POINTS {
        host.clock.set((START + second) * NANOS);
        let (key, value) = (if second % 3 == 0 { "a" } else { "b" }, (second * 37 % 101) as i64);
        call(client, "PUT", &format!("{chain}?key=%5B%22{key}%22%5D"), &json!([value]));
        *written.entry(key.to_string()).or_default() += value;
    }
    let subject = get(client, chain);

    // All but the last 97 points are in full minutes that ended a minute ago.
    host.clock.advance(Duration::from_millis(500));
    call(client, "POST", &format!("{chain}/chain/reduce"), &json!({}));
    let (_, raw, left) = level(client, chain, 0);
    let (minutes, sums, reduced) = level(client, chain, 1);
    assert_eq!((raw, minutes, sums), (97, 119, 2 * 119));
    assert_eq!(total([left, reduced]), written);
    assert_eq!(get(client, &format!("{chain}/chain/verify")), json!(true));

    host.clock.advance(Duration::from_secs(3600));
    call(client, "POST", &format!("{chain}/chain/reduce"), &json!({}));
    let (_, raw, left) = level(client, chain, 0);
    let (minutes, _, reduced) = level(client, chain, 1);
    assert_eq!((raw, minutes), (0, 121));
    assert_eq!(total([left, reduced]), written);
    assert_eq!(get(client, &format!("{chain}/chain/verify")), json!(true));
    assert_eq!(get(client, chain), subject);
}

/// An op that makes one row of a window: the second at which it starts, and the sum of its values.
fn sum_of_rows() -> Value {
    json!({"/state/scalar/op/post": [
        ["add", {"/state/scalar/op/post": [["_return", {"sum": {"$sum/add": [{"$item/2/0": []}]}}]]}],
        ["sums", {"$items/fold": {"item_name": "item", "value": {"sum": 0}, "op": {"$add": []}}}],
        ["_return", [[[{"$start": []}], [{"$sums/sum": []}]]]],
    ]})
}

/// An op that does one thing and then another.
fn one_after_the_other(first: &Value, second: &Value) -> Value {
    json!({"/state/scalar/op/post": [
        ["first", first],
        ["_return", {"/state/scalar/ref/after": [{"$first": []}, second]}],
    ]})
}

#[test]
fn a_reduction_replaces_the_rows_too_if_it_is_to() {
    const POINTS: u64 = 180;
    let host = start();
    let client = &mut host.connect();
    let table = json!({"/state/collection/table": [[[[["k", integer()]], [["v", integer()]]], []]]});
    let options = json!({"reduce": "sum", "levels": [[1, 60], [60, null]], "apply": true});
    let (put, reduce) = (json!({"$self/t": [[1], [1]]}), json!({"$self/t/chain/reduce": {}}));
    let others = json!({
        "sum": sum_of_rows(),
        "put_and_reduce": one_after_the_other(&put, &reduce),
        "reduce_and_put": one_after_the_other(&reduce, &put),
    });
    let chain = install(client, json!({"/state/chain/reduce": [table, options]}), others);
    for second in 0..POINTS {
        let now = START + second;
        host.clock.set(now * NANOS);
        call(client, "PUT", &format!("{chain}?key=%5B{now}%5D"), &json!([second]));
    }
    host.clock.advance(Duration::from_secs(1));

    // What is recorded and what is not do not go together.
    let version = chain.trim_end_matches("/t");
    for method in ["put_and_reduce", "reduce_and_put"] {
        let reply = client.send("POST", &format!("{version}/{method}"), &[], b"{}");
        assert_eq!(reply.status, 400, "{method}: {}", reply.text());
        assert!(reply.text().contains("is not in one transaction with writes"), "{}", reply.text());
    }

    call(client, "POST", &format!("{chain}/chain/reduce"), &json!({}));
    let sum = |points: std::ops::Range<u64>| points.sum::<u64>();
    let points = (83..POINTS).map(|second| json!([START + second, second]));
    let minutes = [json!([START - 37, sum(0..23)]), json!([START + 23, sum(23..83)])];
    let expected: Value = minutes.into_iter().chain(points).collect();
    assert_eq!(*rows(&get(client, chain)), expected);
    assert_eq!(get(client, &format!("{chain}/chain/verify")), json!(true));
    assert_eq!(get(client, &format!("{chain}/chain/records/count")), json!(POINTS - 83));
}

/// Waits until no file of a host has any of the markers.
#[track_caller]
fn wait_for_erasure(host: &ManualHost) {
    let end = Instant::now() + WAIT;
    let found = || MARKERS.map(|marker| host.files_with(marker.as_bytes())).concat();
    while !found().is_empty() {
        assert!(Instant::now() < end, "the markers are in {:?}", found());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_disk_has_no_byte_of_blocks_that_were_deleted() {
    let host = start();
    let client = &mut host.connect();
    let table = json!({"/state/collection/table": [[[[["k", integer()]], [["v", string(), 100]]], []]]});
    let chain = install(client, json!({"/state/chain/backup": [table, {"max_age": 2}]}), json!({}));
    let compact = |client: &mut Client| call(client, "POST", &format!("{chain}/chain/compact"), &json!({}));
    let put = |client: &mut Client, key: u64, value: &str| {
        call(client, "PUT", &format!("{chain}?key=%5B{key}%5D"), &json!([value]))
    };
    put(client, 1, MARKERS[0]);
    put(client, 2, MARKERS[1]);
    call(client, "DELETE", &format!("{chain}?key=%5B1%5D"), &Value::Null);
    put(client, 2, "kept");
    let last = get(client, &format!("{chain}/chain/info"))["last"].clone();
    assert!(MARKERS.iter().all(|marker| !host.files_with(marker.as_bytes()).is_empty()), "nothing would be tested");

    // The block is old enough to be closed, and too young to be deleted.
    host.clock.advance(Duration::from_secs(1));
    assert_eq!(compact(client), json!({"deleted": 0, "cutoff": null}));
    host.clock.advance(Duration::from_millis(500));
    put(client, 3, "young");
    host.clock.advance(Duration::from_secs(1));
    // Unless the host has deleted it by itself by now.
    assert_eq!(compact(client)["cutoff"], last);
    wait_for_erasure(&host);

    let check = |client: &mut Client| {
        assert_eq!(*rows(&get(client, chain)), json!([[2, "kept"], [3, "young"]]));
        assert_eq!(get(client, &format!("{chain}/chain/verify")), json!(true));
        let then = get(client, &format!("{chain}/chain/at?key={}", last.to_string().replace('"', "%22")));
        assert_eq!(*rows(&then), json!([[2, "kept"]]));
        assert_eq!(client.send("GET", &format!("{chain}/chain/blocks?key=0"), &[], b"").status, 404);
    };
    check(client);
    let host = host.restart();
    check(&mut host.connect());
    wait_for_erasure(&host);
}
