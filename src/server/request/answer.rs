//! Answers a request whose head was read: whether it may be answered at all ([`answer`]), and then each kind of reply by
//! itself ([`Admitted::reply`]).

use std::sync::Arc;
use std::time::Instant;

use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use tokio::task::block_in_place;
use tokio::time::timeout_at;

use super::deadline::{GRACE, before, timed_out};
use super::head::Head;
use super::receive::read_document;
use super::reply::Reply;
use crate::compiler::Program;
use crate::error::{Error, Kind, Result};
use crate::exec::{Kernel, Prepared};
use crate::limits::Limits;
use crate::server::auth::{Asked, Mode};
use crate::server::codec::{Encoding, decode_body, encode_document, encode_reply};
use crate::server::diff::Hypothetical;
use crate::server::form::Form;
use crate::server::http::Host;
use crate::server::query::{Query, View};
use crate::server::routes::{Endpoint, Route, Target};
use crate::server::{devices, docs, openapi, page, replicas, sql};
use crate::txn::Txn;
use crate::value::{Doc, Link, Verb};

/// Bytes of a body that are decoded and compiled among other requests: about a millisecond's work.
const INLINE_BYTES_MAX: usize = 1 << 16;

/// Answers a request, if its sender may do what it asks for and there is a place for it.
pub(super) async fn answer(
    host: &Host,
    head: &Head,
    headers: &HeaderMap,
    body: &mut Incoming,
    encoding: Encoding,
) -> Result<Reply> {
    let txn = admit(host, head).await?;
    if let Target::Route(route) = &head.target
        && let Some(reply) = fixed(host, route, &head.query)
    {
        return reply;
    }
    let slot = Arc::clone(&host.slots).try_acquire_owned();
    let slot = slot.map_err(|_| Error::unavailable("too many requests are in progress on this host"))?;
    let body = read_document(host, head, body).await?;
    let request = Admitted { host, head, headers, encoding, txn, body };
    Ok(request.reply().await?.keeping(slot))
}

/// Whether whoever sent a request may do what it asks for. The keys of tokens may have to be asked for at other hosts.
async fn admit(host: &Host, head: &Head) -> Result<Txn> {
    let (operation, link) = head.operation();
    let names_txn = head.query.txn_id.is_some();
    let asked = Asked { operation, path: link.path(), mode: Mode::DEFAULT, txn: &head.txn, names_txn };
    let permit = timeout_at(head.txn.deadline.into(), host.auth.identify(head.token.as_ref(), &asked)).await;
    let permit = permit.unwrap_or_else(|_| Err(timed_out("while verifying the token")))?;
    let (checked, actor) = (permit.check(&asked), permit.user()?);
    let txn = Txn { actor, access: Some(permit.access(&host.auth, &head.txn)), ..head.txn.clone() };
    match (checked, &head.target) {
        (Ok(()), _) => Ok(txn),
        // A service may trust whoever has granted the sender something.
        (Err(error), Target::Link(link)) if error.kind() == Kind::Forbidden => {
            match before(head.txn.deadline, Box::pin(host.kernel.trusts(&txn, head.verb, link))).await? {
                true => Ok(txn),
                false => Err(error),
            }
        }
        (Err(error), _) => Err(error),
    }
}

/// The reply of an endpoint that runs no program.
fn fixed(host: &Host, route: &Route, query: &Query) -> Option<Result<Reply>> {
    Some(match route.endpoint {
        Endpoint::Hypothetical | Endpoint::Explain | Endpoint::Sql => return None,
        Endpoint::Tokens if query.key == Doc::Null => {
            Err(Error::bad_request("expected a key: the encrypted token of another host"))
        }
        Endpoint::Tokens => {
            Err(Error::not_implemented("tokens for replication come with services, in a later release"))
        }
        Endpoint::Metrics => {
            let (stats, store, devices) = (host.kernel.stats(), host.store.stats(), host.kernel.devices().stats());
            let text = host.metrics.render(&stats, &store, &devices, host.clock.now());
            text.map(|text| Reply::new(route.content_type, text))
        }
        Endpoint::Health => {
            let text = concat!("{\"status\":\"ok\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\n");
            Ok(Reply::new(route.content_type, text))
        }
        Endpoint::OpenApi => Ok(Reply::new(route.content_type, openapi::DESCRIPTION.clone())),
        Endpoint::Docs => Ok(Reply::new(route.content_type, docs::PAGE.clone())),
        Endpoint::Devices => Ok(Reply::new(route.content_type, devices::text(host.kernel.devices()))),
    })
}

/// A request that is to be answered.
struct Admitted<'a> {
    host: &'a Host,
    head: &'a Head,
    headers: &'a HeaderMap,
    /// That of the reply, if it is a document.
    encoding: Encoding,
    /// With whose it is, and what may be called.
    txn: Txn,
    body: Bytes,
}

impl Admitted<'_> {
    async fn reply(&self) -> Result<Reply> {
        if let Some(view) = &self.head.query.view {
            return self.plan(view).await;
        }
        match (&self.head.target, &self.head.page) {
            (Target::Route(Route { endpoint: Endpoint::Sql, .. }), _) => self.script().await,
            (Target::Link(link), Some(page)) => self.page(page, link).await,
            (Target::Link(link), None) => match self.members(link).await? {
                Some(reply) => Ok(reply),
                None => self.program().await,
            },
            (Target::Route(_), _) => self.program().await,
        }
    }

    /// How a program runs, in place of its result.
    async fn plan(&self, view: &View) -> Result<Reply> {
        let without_rules = (!view.without.is_empty()).then(|| self.host.kernel.without_rules(&view.without));
        let kernel = without_rules.as_ref().unwrap_or(&self.host.kernel);
        let prepared = self.prepare(kernel)?;
        let explanation = before(self.stop(), Box::pin(kernel.explain(&self.txn, &prepared, view.analyze))).await?;
        let (content_type, text) = view.show(&explanation, self.host.limits.reply_bytes)?;
        Ok(Reply::new(content_type, text))
    }

    /// The result of a script of SQL.
    async fn script(&self) -> Result<Reply> {
        let script = sql::answer(&self.host.kernel, &self.txn, self.headers, &self.body);
        let (content_type, body) = before(self.stop(), Box::pin(script)).await?;
        Ok(Reply::new(content_type, body))
    }

    /// A page about what is at a path.
    async fn page(&self, page: &page::Asked, link: &Link) -> Result<Reply> {
        let description = before(self.stop(), Box::pin(self.host.kernel.describe(&self.head.txn, link))).await?;
        let (content_type, text) = page.show(link, &description, self.host.limits.reply_bytes)?;
        Ok(Reply::new(content_type, text))
    }

    /// Who serves what is at a path, if that is asked for.
    async fn members(&self, link: &Link) -> Result<Option<Reply>> {
        if link.root().is_none() {
            return Ok(None);
        }
        let (verb, key) = (self.head.verb, &self.head.query.key);
        match Box::pin(replicas::answer(self.host, &self.txn, verb, link, key)).await? {
            Some(state) => {
                let body = encode_reply(&state, self.encoding, self.host.limits.reply_bytes)?;
                Ok(Some(Reply::new(self.encoding.content_type(), body)))
            }
            None => Ok(None),
        }
    }

    /// The result of a program: its rows, with what it would change, or as it is.
    async fn program(&self) -> Result<Reply> {
        let prepared = self.prepare(&self.host.kernel)?;
        if let Some(form) = self.head.form {
            self.contents(&prepared, form).await
        } else if self.head.query.diff {
            self.changes(&prepared).await
        } else {
            self.state(&prepared).await
        }
    }

    /// The result in a form that is no document.
    async fn contents(&self, prepared: &Prepared, form: Form) -> Result<Reply> {
        let answer = form.answer(&self.host.kernel, &self.txn, prepared, self.head.commits());
        let (content_type, body) = before(self.stop(), Box::pin(answer)).await?;
        Ok(Reply::new(content_type, body))
    }

    /// The result, and what the program would change.
    async fn changes(&self, prepared: &Prepared) -> Result<Reply> {
        let work = self.host.kernel.run_with_diff(&self.txn, prepared);
        let (result, diff) = before(self.stop(), Box::pin(work)).await?;
        let document = Hypothetical { result: &result, diff: &diff };
        let encode = || encode_document(&document, self.encoding, self.host.limits.reply_bytes);
        Ok(Reply::new(self.encoding.content_type(), block_in_place(encode)?))
    }

    /// The result as a document.
    async fn state(&self, prepared: &Prepared) -> Result<Reply> {
        let kernel = &self.host.kernel;
        let state = match self.head.commits() {
            true => before(self.stop(), kernel.execute(&self.txn, prepared)).await?,
            false => before(self.stop(), kernel.run(&self.txn, prepared)).await?,
        };
        let encode = || encode_reply(&state, self.encoding, self.host.limits.reply_bytes);
        let body = if state.weight() > INLINE_BYTES_MAX as u64 { block_in_place(encode)? } else { encode()? };
        Ok(Reply::new(self.encoding.content_type(), body))
    }

    /// When what does not end by itself is stopped.
    fn stop(&self) -> Instant {
        self.head.txn.deadline + GRACE
    }

    /// Decodes and compiles the program of the request.
    fn prepare(&self, kernel: &Kernel) -> Result<Prepared> {
        let work = || kernel.prepare(self.decode(kernel.limits())?, self.head.txn.deadline);
        // What takes long must not keep other requests waiting.
        if self.body.len() > INLINE_BYTES_MAX { block_in_place(work) } else { work() }
    }

    /// The program of the request. A body in another form than a document is the value of a PUT.
    fn decode(&self, limits: &Limits) -> Result<Program> {
        let (verb, key) = (self.head.verb, &self.head.query.key);
        let has_body = matches!(verb, Verb::Put | Verb::Post);
        if let Some(form) = Form::of_body(self.headers).filter(|_| has_body) {
            return match &self.head.target {
                Target::Link(link) if verb == Verb::Put => Program::put(link.clone(), key, form.decode(&self.body)?),
                _ => Err(Error::bad_request(format!("a body of type {} is the value of a PUT", form.name()))),
            };
        }
        let body = match verb {
            _ if !self.body.is_empty() => decode_body(self.headers.get(CONTENT_TYPE), &self.body, limits)?,
            Verb::Post => Doc::Map(Vec::new()),
            _ => Doc::Null,
        };
        match &self.head.target {
            Target::Route(_) => Program::hypothetical(&body),
            Target::Link(link) => Program::call(link.clone(), verb, key, &body),
        }
    }
}
