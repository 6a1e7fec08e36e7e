//! Calls to other hosts, over HTTP.
//!
//! A call carries what trace it belongs to, and ends at the deadline of the transaction that makes it. A GET carries the
//! id of that transaction, too. A write does not, since a host commits what it is sent at once: until hosts commit
//! together, it is a transaction of its own there, and saying otherwise would not be true.
//!
//! A token allows whoever holds it what it allows its owner, so it is sent only to hosts that the command line names.
//!
//! Some calls are tried again if they fail (`retry`). What another host replies is judged like a request: bounded in size
//! and depth, and never trusted to be well-formed.

use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{Instant, sleep, timeout_at};

use super::auth::issuer::is_same_host;
use super::retry::{CALLING, Cause, Failure, Retry, cause_of};
use crate::compiler::decode_state;
use crate::error::{Error, Kind, Result};
use crate::exec::{Gateway, RemoteArgs};
use crate::txn::{Ended, Txn, Watched};
use crate::value::doc::json;
use crate::value::encode::{expr_to_json, to_json};
use crate::value::state::DEPTH_MAX;
use crate::value::{Authority, Doc, Expr, Link, State, Verb};

/// What a segment of a path need not escape.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The port of a URL that names none.
const PORT_DEFAULT: u16 = 80;
/// How long a connection to another host is kept when nobody uses it. Shorter than hosts keep theirs, so that a call
/// rarely meets a connection that is being closed.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// How much of a reply that makes no sense is quoted, in characters.
const QUOTED_CHARS_MAX: usize = 200;

/// Calls other hosts over HTTP.
#[derive(Debug)]
pub(super) struct HttpGateway {
    client: Client<HttpConnector, Full<Bytes>>,
    /// Where this host listens.
    listen: SocketAddr,
    /// Other addresses of this host.
    own: Vec<IpAddr>,
    /// The hosts that are sent tokens.
    sent_tokens: Vec<Authority>,
    reply_bytes_max: usize,
    retry: Retry,
}

/// What is called.
#[derive(Clone, Copy)]
struct Target<'a> {
    verb: Verb,
    link: &'a Link,
    /// The host and port of the link, as in a URL.
    host: &'a str,
    /// Whether there is a token that the host is not sent.
    is_withheld: bool,
}

impl Target<'_> {
    /// What is said of this call in the stack of an error that was replied with `status`.
    fn context(&self, status: u16) -> String {
        let link = self.link;
        match self.is_withheld && status == Kind::Unauthorized.status() {
            true => format!("{CALLING}{link} without the token of the request: --trust does not name that host"),
            false => format!("{CALLING}{link}"),
        }
    }
}

impl HttpGateway {
    /// A gateway for a host that listens at `listen` and announces `address`. It sends tokens to nobody.
    pub(super) fn new(listen: SocketAddr, address: Option<IpAddr>, reply_bytes_max: usize, retry: Retry) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        let detected = if listen.ip().is_unspecified() { outbound_ip() } else { None };
        let own = address.into_iter().chain(detected).collect();
        Self { client, listen, own, sent_tokens: vec![], reply_bytes_max, retry }
    }

    /// The same gateway, which sends tokens to these hosts.
    pub(super) fn sending_tokens<'a>(self, hosts: impl Iterator<Item = &'a Link>) -> Self {
        Self { sent_tokens: hosts.filter_map(Link::authority).cloned().collect(), ..self }
    }

    /// The token for a call of a link, if there is one and the host may have it.
    fn token_for<'a>(&self, txn: &'a Txn, link: &Link) -> Option<&'a str> {
        let authority = link.authority()?;
        let may_have = self.sent_tokens.iter().any(|host| is_same_host(host, authority));
        txn.token.as_deref().filter(|_| may_have)
    }

    async fn send(&self, txn: &Txn, link: &Link, args: RemoteArgs) -> Result<State> {
        let host = host_of(link)?;
        let token = self.token_for(txn, link);
        let is_withheld = token.is_none() && txn.token.is_some();
        let target = Target { verb: verb_of(&args), link, host: &host, is_withheld };
        let request = request(txn, target, token, args)?;
        let mut attempt = 0;
        loop {
            let failure = match self.watched(txn, target, request.clone(), attempt).await {
                Ok(state) => return Ok(state),
                Err(failure) => failure,
            };
            let pause = self.retry.pause(target.verb, attempt, failure.cause);
            // What would time out is better refused as what it is.
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < Instant::from_std(txn.deadline)) else {
                return Err(failure.error);
            };
            sleep(pause).await;
            attempt += 1;
            self.retry.note();
        }
    }

    /// One attempt, as a part of the trace that the transaction belongs to.
    async fn watched(
        &self,
        txn: &Txn,
        target: Target<'_>,
        mut request: Request<Full<Bytes>>,
        resend: u32,
    ) -> Result<State, Failure> {
        let Target { verb, link, .. } = target;
        let watch = txn.watch.as_ref().map(|watch| watch.begin(Watched::Remote { verb, link, resend }));
        for (name, value) in watch.iter().flat_map(|watch| watch.headers()) {
            if let Ok(value) = HeaderValue::try_from(value) {
                request.headers_mut().insert(name, value);
            }
        }
        let mut status = None;
        let result = self.attempt(target, request, &mut status).await;
        if let Some(watch) = watch {
            watch.end(Ended { error: result.as_ref().err().map(|failure| failure.error.kind()), status });
        }
        result
    }

    /// One attempt. Notes the status of the reply, if there is one.
    async fn attempt(
        &self,
        target: Target<'_>,
        request: Request<Full<Bytes>>,
        status: &mut Option<u16>,
    ) -> Result<State, Failure> {
        let host = target.host;
        let response = self.client.request(request).await.map_err(|error| Failure {
            error: Error::bad_gateway(format!("cannot reach {host}: {}", causes(&error))),
            cause: if error.is_connect() { Cause::Unconnected } else { Cause::Connection },
        })?;
        *status = Some(response.status().as_u16());
        self.receive(target, response).await
    }

    async fn receive(&self, target: Target<'_>, response: Response<Incoming>) -> Result<State, Failure> {
        let host = target.host;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, self.reply_bytes_max).collect().await.map_err(|error| Failure {
            cause: if error.is::<LengthLimitError>() { Cause::Final } else { Cause::Connection },
            error: Error::bad_gateway(format!("cannot read the reply of {host}: {error}")),
        })?;
        let status = parts.status.as_u16();
        read_reply(target, status, &body.to_bytes()).map_err(|error| {
            // The last context is that of this very call.
            let cause = match error.stack().split_last() {
                Some((_, further)) if status != 200 => cause_of(status, &parts.headers, further),
                _ => Cause::Final,
            };
            Failure { error, cause }
        })
    }
}

impl Gateway for HttpGateway {
    fn is_local(&self, authority: &Authority) -> bool {
        if authority.secure || authority.port.unwrap_or(PORT_DEFAULT) != self.listen.port() {
            return false;
        }
        let listen = self.listen.ip();
        match authority.ip() {
            Some(ip) if ip == listen || self.own.contains(&ip) => true,
            // Another host may listen at another address of the loopback interface.
            Some(ip) => listen.is_unspecified() && ip.is_loopback(),
            None => {
                authority.host.eq_ignore_ascii_case("localhost") && (listen.is_unspecified() || listen.is_loopback())
            }
        }
    }

    fn call<'a>(&'a self, txn: &'a Txn, link: &'a Link, args: RemoteArgs) -> BoxFuture<'a, Result<State>> {
        async move {
            let deadline = Instant::from_std(txn.deadline);
            let reply = timeout_at(deadline, self.send(txn, link, args)).await;
            reply.unwrap_or_else(|_| Err(Error::timeout("request timed out").while_doing(format!("{CALLING}{link}"))))
        }
        .boxed()
    }
}

/// The host and port of a link, as in a URL.
fn host_of(link: &Link) -> Result<String> {
    let authority = link.authority().ok_or_else(|| Error::internal(format!("{link} is not on another host")))?;
    if authority.secure {
        return Err(Error::not_implemented(format!("cannot call {link}: https is not offered by this host")));
    }
    let host = &authority.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    Ok(match authority.port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

fn verb_of(args: &RemoteArgs) -> Verb {
    match args {
        RemoteArgs::Get(_) => Verb::Get,
        RemoteArgs::Put(..) => Verb::Put,
        RemoteArgs::Post(_) => Verb::Post,
        RemoteArgs::Delete(_) => Verb::Delete,
    }
}

fn request(txn: &Txn, target: Target<'_>, token: Option<&str>, args: RemoteArgs) -> Result<Request<Full<Bytes>>> {
    let (key, body) = match args {
        RemoteArgs::Get(key) | RemoteArgs::Delete(key) => (Some(key), None),
        RemoteArgs::Put(key, value) => (Some(key), Some(to_json(&value))),
        RemoteArgs::Post(params) => (None, Some(to_json(&State::Map(params)))),
    };
    let mut request = Request::builder()
        .method(target.verb.http())
        .uri(url(txn, target, key.as_ref()))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = Full::new(Bytes::from(body.unwrap_or_default()));
    request.body(body).map_err(|error| Error::bad_request(format!("cannot call {}: {error}", target.link)))
}

fn url(txn: &Txn, target: Target<'_>, key: Option<&State>) -> String {
    let Target { verb, link, host, .. } = target;
    let mut url = format!("http://{host}");
    for segment in link.path() {
        url.push('/');
        url.extend(utf8_percent_encode(segment.as_str(), SEGMENT));
    }
    if link.path().is_empty() {
        url.push('/');
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(key) = key.filter(|key| **key != State::NONE) {
        // With its class, where the text alone would be read as another: the key of an actor is bytes, not a string.
        query.append_pair("key", &expr_to_json(&Expr::Literal(key.clone())));
    }
    if verb == Verb::Get {
        query.append_pair("txn_id", &txn.id.to_string());
    }
    let query = query.finish();
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query);
    }
    url
}

/// The result or the error that another host replied with.
fn read_reply(target: Target<'_>, status: u16, body: &[u8]) -> Result<State> {
    let host = target.host;
    let doc = json::decode(body, usize::from(DEPTH_MAX));
    if status != 200 {
        return Err(read_error(host, status, doc.ok().as_ref(), body).while_doing(target.context(status)));
    }
    let state = doc.and_then(|doc| decode_state(&doc));
    state.map_err(|error| Error::bad_gateway(format!("the reply of {host} makes no sense: {}", error.message())))
}

/// The error in a reply: its kind is that of the status, its message and stack are those of the body.
fn read_error(host: &str, status: u16, doc: Option<&Doc>, body: &[u8]) -> Error {
    let kind = Kind::from_status(status);
    match doc {
        Some(Doc::Map(entries)) if entries.len() == 1 => match &entries[0].1 {
            Doc::String(message) => return Error::new(kind, &**message),
            Doc::Map(detail) => return read_detail(kind, detail),
            _ => {}
        },
        _ => {}
    }
    let quoted: String = String::from_utf8_lossy(body).chars().take(QUOTED_CHARS_MAX).collect();
    Error::new(kind, format!("{host} replied with status {status}: {}", quoted.trim()))
}

fn read_detail(kind: Kind, detail: &[(std::sync::Arc<str>, Doc)]) -> Error {
    let entry = |name: &str| detail.iter().find(|(key, _)| &**key == name).map(|(_, doc)| doc);
    let message = match entry("message") {
        Some(Doc::String(message)) => &**message,
        _ => "",
    };
    let stack = match entry("stack") {
        Some(Doc::List(items)) => items.iter().filter_map(text).collect(),
        _ => vec![],
    };
    Error::new(kind, message).with_stack(stack)
}

fn text(doc: &Doc) -> Option<String> {
    match doc {
        Doc::String(text) => Some(text.to_string()),
        _ => None,
    }
}

/// An error with its causes, outermost first.
fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What others know a host by that listens at `listen` and announces `address`.
pub(super) fn own_link(listen: SocketAddr, address: Option<IpAddr>) -> Link {
    let detected = || if listen.ip().is_unspecified() { outbound_ip() } else { None };
    let ip = address.or_else(detected).unwrap_or_else(|| listen.ip());
    let link = format!("http://{}", SocketAddr::new(ip, listen.port())).parse();
    link.unwrap_or_else(|_| Link::local(Vec::new()))
}

/// The address that this machine would reach others from. Connecting a datagram socket sends nothing.
fn outbound_ip() -> Option<IpAddr> {
    // An address that is reserved for documentation.
    let remote = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(remote).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::TxnId;

    fn txn() -> Txn {
        Txn {
            id: TxnId { timestamp: 5, nonce: 6 },
            deadline: std::time::Instant::now(),
            token: Some("a.b.c".into()),
            actor: None,
            access: None,
            watch: None,
        }
    }

    fn link(text: &str) -> Link {
        text.parse().unwrap()
    }

    fn target<'a>(verb: Verb, link: &'a Link, host: &'a str) -> Target<'a> {
        Target { verb, link, host, is_withheld: false }
    }

    #[test]
    fn a_call_names_the_path_the_key_and_the_transaction() {
        let link = link("http://[::1]:80/a/é b".replace(' ', "+").as_str());
        let (host, args) = (host_of(&link).unwrap(), RemoteArgs::Get("x y".into()));
        let request = request(&txn(), target(Verb::Get, &link, &host), Some("a.b.c"), args).unwrap();
        assert_eq!(request.uri().to_string(), "http://[::1]:80/a/%C3%A9%2Bb?key=%22x+y%22&txn_id=5-6");
        assert_eq!(request.method(), "GET");
        assert_eq!(request.headers()["authorization"], "Bearer a.b.c");
    }

    #[test]
    fn a_token_is_sent_to_hosts_that_are_named_and_to_nobody_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _context = runtime.enter();
        let named = [link("http://10.0.0.1:8702"), link("http://example.com")];
        let gateway = HttpGateway::new("127.0.0.1:1".parse().unwrap(), None, 1, Retry::default());
        let gateway = gateway.sending_tokens(named.iter());
        let (with, without) = (txn(), Txn { token: None, ..txn() });
        for url in ["http://10.0.0.1:8702/a", "http://example.com/a/b", "http://Example.com:80"] {
            assert_eq!(gateway.token_for(&with, &link(url)), Some("a.b.c"), "{url}");
            assert_eq!(gateway.token_for(&without, &link(url)), None, "{url}");
        }
        for url in ["http://10.0.0.1:8703/a", "http://10.0.0.2:8702/a", "http://a.example.com/a", "/a"] {
            assert_eq!(gateway.token_for(&with, &link(url)), None, "{url}");
        }
    }

    #[test]
    fn an_error_for_want_of_a_token_says_that_it_was_not_sent() {
        let link = link("http://h/a");
        let withheld = Target { is_withheld: true, ..target(Verb::Get, &link, "h") };
        let stack = |target, status| read_reply(target, status, b"{}").unwrap_err().stack().to_vec();
        assert!(stack(withheld, 401)[0].starts_with("while calling http://h/a without the token"));
        assert_eq!(stack(withheld, 404), ["while calling http://h/a"]);
        assert_eq!(stack(target(Verb::Get, &link, "h"), 401), ["while calling http://h/a"]);
    }

    #[test]
    fn no_key_is_sent_for_none() {
        let link = link("http://example.com");
        let url = |verb| url(&txn(), target(verb, &link, "example.com"), Some(&State::NONE));
        assert_eq!(url(Verb::Get), "http://example.com/?txn_id=5-6");
        assert_eq!(url(Verb::Put), "http://example.com/");
    }

    #[test]
    fn a_key_keeps_its_class() {
        let link = link("http://h/a");
        let key = State::Value(crate::value::Value::Bytes([1, 2].as_slice().into()));
        let url = url(&txn(), target(Verb::Get, &link, "h"), Some(&key));
        assert!(url.contains("key=%7B%22%2Fstate%2Fscalar%2Fvalue%2Fbytes%22%3A%22AQI%3D%22%7D"), "{url}");
    }

    #[test]
    fn https_is_not_implemented() {
        assert_eq!(host_of(&link("https://a/b")).unwrap_err().kind(), Kind::NotImplemented);
    }

    #[test]
    fn errors_of_other_hosts_keep_kind_message_and_stack() {
        let link = link("http://h/a");
        let error =
            |status, body: &str| read_reply(target(Verb::Get, &link, "h"), status, body.as_bytes()).unwrap_err();
        assert_eq!(error(404, "{\"not_found\":\"/a\"}").kind(), Kind::NotFound);
        assert_eq!(error(404, "{\"not_found\":\"/a\"}").message(), "/a");
        let conflict = error(409, "{\"conflict\":{\"message\":\"m\",\"stack\":[\"s\"]}}");
        assert_eq!((conflict.kind(), conflict.message()), (Kind::Conflict, "m"));
        assert_eq!(conflict.stack(), ["s", "while calling http://h/a"]);
        assert_eq!(error(500, "oops").kind(), Kind::BadGateway);
        assert!(error(500, "oops").message().contains("h replied with status 500: oops"));
        assert_eq!(error(200, "nonsense").kind(), Kind::BadGateway);
    }

    #[test]
    fn a_host_knows_its_own_addresses() {
        let is_local = |gateway: &HttpGateway, url: &str| gateway.is_local(link(url).authority().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _context = runtime.enter();

        let address = Some("10.0.0.1".parse().unwrap());
        let gateway = HttpGateway::new("0.0.0.0:8702".parse().unwrap(), address, 1, Retry::default());
        for url in ["http://127.0.0.1:8702", "http://localhost:8702", "http://10.0.0.1:8702/a", "http://[::1]:8702"] {
            assert!(is_local(&gateway, url), "{url}");
        }
        for url in ["http://127.0.0.1:8703", "https://127.0.0.1:8702", "http://203.0.113.7:8702", "http://a.b:8702"] {
            assert!(!is_local(&gateway, url), "{url}");
        }

        let gateway = HttpGateway::new("127.0.0.1:80".parse().unwrap(), None, 1, Retry::default());
        assert!(is_local(&gateway, "http://127.0.0.1"));
        assert!(is_local(&gateway, "http://localhost"));
        assert!(!is_local(&gateway, "http://127.0.0.2"));
    }

    #[test]
    fn an_unreachable_host_is_a_bad_gateway() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let free = listener.local_addr().unwrap();
        drop(listener);
        let txn = Txn { deadline: std::time::Instant::now() + Duration::from_secs(5), ..txn() };
        let link = link(&format!("http://{free}/a"));
        let error = runtime.block_on(async {
            let gateway = HttpGateway::new("127.0.0.1:1".parse().unwrap(), None, 1000, Retry::default());
            gateway.call(&txn, &link, RemoteArgs::Get(State::NONE)).await.unwrap_err()
        });
        assert_eq!(error.kind(), Kind::BadGateway);
        assert!(error.message().contains(&free.to_string()), "{error}");
    }
}
