//! What a request says before its body: what is called, how, by whom, and in which transaction.

use std::sync::Arc;
use std::time::Instant;

use hyper::Method;
use hyper::http::request::Parts;

use crate::error::{Error, Result};
use crate::server::auth::{Chain, Operation, Right};
use crate::server::form::Form;
use crate::server::http::Host;
use crate::server::query::Query;
use crate::server::routes::{Endpoint, Target};
use crate::server::watch::Call;
use crate::server::{arrow, page, routes};
use crate::txn::{Txn, TxnId, Watch};
use crate::value::{Id, Link, Verb};

/// How far the clock of a client may be ahead of ours, in nanoseconds.
const AHEAD_NANOS_MAX: u64 = 5_000_000_000;

/// What a request says before its body.
pub(super) struct Head {
    pub verb: Verb,
    pub target: Target,
    pub query: Query,
    /// Read, but not verified.
    pub token: Option<Chain>,
    pub txn: Txn,
    /// The page that the request asks for, if it is one for a page.
    pub page: Option<page::Asked>,
    /// The form that the result is asked for in, if it is no document.
    pub form: Option<Form>,
}

impl Head {
    /// Reads the head of a request, and gives the request its transaction.
    ///
    /// # Errors
    /// `BadRequest` or `MethodNotAllowed` if the request makes no sense, whatever its body is.
    pub fn read(host: &Host, parts: &Parts, started: Instant, call: &Arc<Call>) -> Result<Self> {
        let path = parts.uri.path();
        let verb = verb(&parts.method, path)?;
        let target = Target::parse(path)?;
        let mut explains = false;
        if let Target::Route(route) = &target {
            if !route.allows(verb) {
                return Err(unsupported(path, verb.http()));
            }
            explains = route.endpoint == Endpoint::Explain;
        }
        let token = Chain::of_headers(&parts.headers)?;
        let query = Query::parse(parts.uri.query().unwrap_or_default(), verb, explains, host.limits.json_depth)?;
        let target = match query.as_of {
            Some(txn) => past_of(target, verb, txn)?,
            None => target,
        };
        let id = transaction(host, query.txn_id)?;
        let forwarded = token.as_ref().map(|token| Arc::clone(token.text()));
        call.of_txn(id);
        let watch = Some(Arc::clone(call) as Arc<dyn Watch>);
        let deadline = started + host.limits.request_ttl;
        let txn = Txn { id, deadline, token: forwarded, actor: None, access: None, watch };
        let page = page::Asked::of(parts, verb, &target, &query);
        let form = Form::wanted(&parts.headers).filter(|_| matches!(verb, Verb::Get | Verb::Post));
        let head = Self { verb, target, query, token, txn, page, form };
        head.check()?;
        Ok(head.of_rows())
    }

    /// Whoever asks what a request would change must not find out by changing it.
    fn check(&self) -> Result<()> {
        let shows_changes = matches!(&self.target, Target::Route(route) if route.endpoint == Endpoint::Hypothetical)
            && self.query.view.is_none()
            && self.form.is_none();
        match self.query.diff && !shows_changes {
            true => Err(Error::bad_request(
                "diff=true is a parameter of /transact/hypothetical alone, whose reply is a document then",
            )),
            false => Ok(()),
        }
    }

    /// The same request, for rows if it wants rows.
    fn of_rows(self) -> Self {
        match self.target {
            Target::Link(link) if self.form == Some(Form::Arrow) && self.query.view.is_none() => {
                Self { target: Target::Link(arrow::rows_of(link)), ..self }
            }
            target => Self { target, ..self },
        }
    }

    /// What the request asks for, and the path of that.
    pub fn operation(&self) -> (Operation, Link) {
        match &self.target {
            Target::Route(route) => match route.endpoint {
                // The tables that SQL makes are those of this service.
                Endpoint::Sql => {
                    let service = Link::local([Id::from("service"), Id::from("sql")]);
                    (Operation::ServiceCall(Right::Execute), service)
                }
                Endpoint::Hypothetical | Endpoint::Explain => (Operation::Hypothetical, Link::local(Vec::new())),
                Endpoint::Tokens
                | Endpoint::Metrics
                | Endpoint::Health
                | Endpoint::OpenApi
                | Endpoint::Docs
                | Endpoint::Devices => (Operation::Common, Link::local(Vec::new())),
            },
            Target::Link(link) => (Operation::of(self.verb, link.path()), link.clone()),
        }
    }

    /// Whether what the request writes is committed. What is below `/state` belongs to nobody, and a GET reads.
    pub fn commits(&self) -> bool {
        match &self.target {
            Target::Route(_) => false,
            Target::Link(link) => {
                let is_native = link.path().first().is_some_and(|first| first.as_str() == "state");
                self.verb != Verb::Get && !is_native
            }
        }
    }
}

pub(super) fn verb(method: &Method, path: &str) -> Result<Verb> {
    match *method {
        Method::GET => Ok(Verb::Get),
        Method::PUT => Ok(Verb::Put),
        Method::POST => Ok(Verb::Post),
        Method::DELETE => Ok(Verb::Delete),
        _ => Err(unsupported(path, method.as_str())),
    }
}

pub(super) fn unsupported(path: &str, method: &str) -> Error {
    Error::method_not_allowed(format!("endpoint {path} does not support {method}"))
}

/// What a request is for that wants to see what was at its path after a transaction.
fn past_of(target: Target, verb: Verb, txn: TxnId) -> Result<Target> {
    match target {
        Target::Link(link) if verb == Verb::Get => routes::past_of(&link, txn).map(Target::Link),
        _ => Err(Error::bad_request("as_of is a parameter of GET alone, for what a chain of a service recorded")),
    }
}

/// The id of the transaction that a request names, or a new one.
fn transaction(host: &Host, named: Option<TxnId>) -> Result<TxnId> {
    let Some(id) = named else { return Ok(host.mint.mint(&*host.clock)) };
    if id.timestamp > host.clock.unix_nanos().saturating_add(AHEAD_NANOS_MAX) {
        return Err(Error::bad_request(format!("the transaction id {id} is in the future")));
    }
    host.mint.observe(id);
    Ok(id)
}
