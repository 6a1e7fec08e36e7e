//! What HTTP itself must hold: every reply has a JSON body, limits are statuses, and calls of other hosts overlap.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{Host, Reply};

/// Sends bytes as they are, and returns everything that comes back until the connection is closed.
fn raw(host: &Host, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", host.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[track_caller]
fn check_error(reply: &Reply, status: u16, kind: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert!(body.get(kind).is_some(), "{body}");
}

#[test]
fn what_is_not_http_gets_a_json_body_too() {
    let host = Host::start(&[]);
    let requests = ["GET /state?key=\"x\" HTTP/1.1\r\nHost: x\r\n\r\n".to_string(), "nonsense\r\n\r\n".into()];
    let long = format!("GET /state HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for request in requests.iter().chain([&long]) {
        let reply = raw(&host, request.as_bytes());
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 4"), "{reply}");
        assert!(head.contains("content-type: application/json"), "{reply}");
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{reply}");
    }
}

#[test]
fn a_body_that_means_nothing_does_not_cost_the_connection() {
    let host = Host::start(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", host.port)).unwrap();
    let body = "x".repeat(1 << 20);
    stream
        .write_all(format!("GET /state?key=1 HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
        .unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream.write_all(b"GET /state?key=2 HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), 2, "{replies}");
    assert!(replies.ends_with("\r\n\r\n2\n"), "{replies}");
}

#[test]
fn limits_are_statuses() {
    let host = Host::start(&["--max_body_size=1K", "--max_depth=20", "--max_graph_nodes=10", "--max_reply_size=1K"]);
    let post = |body: &str| host.connect().send("POST", "/transact/hypothetical", &[], body.as_bytes());
    check_error(&post(&format!("{{\"op\": [[\"a\", \"{}\"]]}}", "x".repeat(2000))), 413, "payload_too_large");
    check_error(&post(&format!("{}1{}", "[".repeat(30), "]".repeat(30))), 400, "bad_request");
    check_error(&post(r#"{"op": [["t", {"/state/tuple/range": [1000]}]]}"#), 413, "payload_too_large");
    let chain =
        (1..30).fold(String::from(r#"["s0",1]"#), |text, i| format!(r#"{text},["s{i}",{{"$s{}/add":[1]}}]"#, i - 1));
    check_error(&post(&format!("{{\"op\": [{chain}]}}")), 413, "payload_too_large");
    assert_eq!(post(r#"{"op": [["a", 1]]}"#).text(), "1\n");
}

#[test]
fn requests_past_the_limit_are_told_so() {
    let host = Host::start(&["--max_requests=1", "--request_ttl=5"]);
    let endless = r#"{"op": [["r",{"/state/scalar/ref/while":[{"/state/scalar/op/get":["i",[["_return",true]]]},{"/state/scalar/op/get":["i",[["_return",1]]]},1]}]]}"#;
    // Either may be refused while the other has the only place, so both ask until they are not.
    let ask = |refused: bool, send: &dyn Fn() -> Reply| loop {
        let reply = send();
        if (reply.status == 503) == refused {
            break reply;
        }
    };
    std::thread::scope(|scope| {
        let busy = || host.connect().send("POST", "/transact/hypothetical", &[], endless.as_bytes());
        let busy = scope.spawn(move || ask(false, &busy));
        let refused = ask(true, &|| host.connect().send("GET", "/state?key=1", &[], b""));
        check_error(&refused, 503, "temporarily_unavailable");
        check_error(&busy.join().unwrap(), 408, "request_timeout");
    });
    assert_eq!(host.connect().send("GET", "/state?key=1", &[], b"").text(), "1\n");
}

#[test]
fn a_reply_that_nobody_reads_keeps_its_place() {
    let host = Host::start(&["--max_requests=2"]);
    let body = r#"{"op": [["t", {"/state/tuple/range": [3000000]}]]}"#;
    let request = format!("POST /transact/hypothetical HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let silent: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", host.port)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            // The reply has begun, and is longer than what the system keeps for a connection.
            assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
            stream
        })
        .collect();
    check_error(&host.connect().send("GET", "/state?key=1", &[], b""), 503, "temporarily_unavailable");
    drop(silent);
    // The places are free again as soon as the host notices.
    while host.connect().send("GET", "/state?key=1", &[], b"").status == 503 {}
}

/// A peer that answers nothing until `count` requests have arrived, and then all of them.
fn peer(count: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut streams = Vec::new();
        while streams.len() < count {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).unwrap() > 0);
            streams.push(stream);
        }
        for (i, mut stream) in streams.into_iter().enumerate() {
            let body = format!("{}\n", i + 1);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        }
    });
    port
}

/// Only if `calls` calls of the peer wait at once does the program end before its time.
#[track_caller]
fn check_overlap(calls: usize, program: &str, expected: &str) {
    let host = Host::start(&["--request_ttl=10"]);
    let url = format!("http://127.0.0.1:{}/x", peer(calls));
    let (status, reply) = host.hypothetical(&program.replace("PEER", &url));
    assert_eq!((status, reply.trim_end()), (200, expected));
}

#[test]
fn independent_calls_of_other_hosts_overlap() {
    check_overlap(
        2,
        r#"[["a",{"PEER":[1]}],["b",{"PEER":[2]}],["sum",{"$a/add":[{"$b":[]}]}],["r",{"$sum/sub":[3]}]]"#,
        "0",
    );
}

#[test]
fn independent_calls_of_ops_that_wait_overlap() {
    check_overlap(
        2,
        r#"[["f",{"/state/scalar/op/get":["n",[["x",{"PEER":[{"$n":[]}]}],["_return",{"$x/mul":[0]}]]]}],
            ["g",{"/state/scalar/ref/with":[[{"$f":[]}],{"/state/scalar/op/get":["n",[["_return",{"$f":[{"$n":[]}]}]]]}]}],
            ["r",[{"$g":[1]},{"$g":[2]}]]]"#,
        "[0,0]",
    );
}

#[test]
fn the_calls_of_a_map_overlap() {
    check_overlap(
        5,
        r#"[["t",[1,2,3,4,5]],["f",{"/state/scalar/op/get":["n",[["x",{"PEER":[{"$n":[]}]}],["_return",{"$x/mul":[{"$n":[]}]}]]]}],
            ["m",{"$t/map":{"op":{"$f":[]}}}],["r",{"$m/len":[]}]]"#,
        "5",
    );
}

#[test]
fn what_follows_in_an_after_waits() {
    // The peer answers the first call only when there is no second one, so this ends only if `then` waits.
    let host = Host::start(&["--request_ttl=10"]);
    let url = format!("http://127.0.0.1:{}/x", peer(1));
    let program = format!(
        r#"[["a",{{"{url}":[1]}}],["late",{{"http://127.0.0.1:1/x":[2]}}],["r",{{"/state/scalar/ref/if":[{{"$a/eq":[1]}},{{"/state/scalar/ref/after":[{{"$a":[]}},"done"]}},{{"$late":[]}}]}}]]"#
    );
    assert_eq!(host.hypothetical(&program), (200, "\"done\"\n".into()));
}

/// Sends requests on one HTTP/2 connection, all at once, and returns their statuses and bodies in order.
fn over_http2(host: &Host, bodies: &[&str]) -> Vec<(u16, String)> {
    use http_body_util::{BodyExt, Full};
    use hyper::body::Bytes;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", host.port)).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        let requests = bodies.iter().map(|body| {
            let mut sender = sender.clone();
            let uri = format!("http://127.0.0.1:{}/transact/hypothetical", host.port);
            let request = hyper::Request::post(uri).body(Full::new(Bytes::from((*body).to_string()))).unwrap();
            async move {
                let reply = sender.send_request(request).await.unwrap();
                assert_eq!(reply.version(), hyper::Version::HTTP_2);
                assert_eq!(reply.headers()["content-type"], "application/json");
                let status = reply.status().as_u16();
                let body = reply.into_body().collect().await.unwrap().to_bytes();
                (status, String::from_utf8(body.to_vec()).unwrap())
            }
        });
        let requests = futures::future::join_all(requests);
        tokio::select! {
            replies = requests => replies,
            result = connection => panic!("the connection ended: {result:?}"),
        }
    })
}

#[test]
fn http2_is_served_without_tls() {
    let host = Host::start(&["--max_body_size=1K"]);
    let large = format!(r#"{{"op": [["a", "{}"]]}}"#, "x".repeat(2000));
    let replies = over_http2(
        &host,
        &[r#"{"op": [["a", 1]]}"#, r#"{"op": [["a", {"$b": []}]]}"#, &large, r#"{"op": [["a", 2]]}"#],
    );
    assert_eq!(replies[0], (200, "1\n".into()));
    assert_eq!(replies[1].0, 404);
    assert_eq!(replies[2].0, 413);
    assert_eq!(replies[3], (200, "2\n".into()));
}
