//! What services let each other do: whom one trusts (`install`), what it grants while it calls others (`grant`), and
//! whether it was granted something itself (`authorize`).
//!
//! A service has these three routes below its item and below each of its versions, unless the version has a member of
//! that name. Who is trusted is a matter of the item, as is who grants: a token names no versions.

use std::sync::Arc;

use super::Worker;
use super::cluster::{deletes, unsupported};
use crate::cluster::{Definition, Entry};
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::exec::call::{Callee, Invocation, OpArgs, OpCall};
use crate::txn::{Scope, Trust};
use crate::value::{Id, Link, Map, OpKind, Root, State, Value, Verb, cast};

/// The segment that scopes cannot begin with: claims about it are about transactions.
const TXN: &str = "txn";

/// What every service has beside its members.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Route {
    Install,
    Grant,
    Authorize,
}

impl Route {
    fn of(name: &Id) -> Option<Self> {
        match name.as_str() {
            "install" => Some(Route::Install),
            "grant" => Some(Route::Grant),
            "authorize" => Some(Route::Authorize),
            _ => None,
        }
    }

    /// The route of a version that a link names.
    pub(super) fn of_version(definition: &Definition, link: &Link) -> Option<Self> {
        match &link.path()[definition.link.path().len()..] {
            [name] if definition.root == Root::Service && !definition.members.contains_key(name) => Self::of(name),
            _ => None,
        }
    }
}

impl Worker<'_> {
    /// The route of an item that a link names, which is that of no version.
    pub(super) async fn route_of_item(&self, link: &Link) -> Result<Option<Route>> {
        let [above @ .., last] = link.path() else { return Ok(None) };
        let Some(route) = Route::of(last).filter(|_| link.root() == Some(Root::Service)) else { return Ok(None) };
        let [directories @ .., item] = above else { return Ok(None) };
        // Directories may have entries of such names; an item has none but versions.
        let entry = self.registry().entry(&Link::local(directories).path_text(), item.as_str()).await?;
        Ok((entry == Some(Entry::Item)).then_some(route))
    }

    /// Performs a call of a route.
    pub(super) async fn route(&self, link: &Link, route: Route, shape: &Shape, args: &[State]) -> Result<Invocation> {
        let service = service_of(link);
        match (route, shape, args) {
            (Route::Install, Shape::Put, [key, scopes]) => {
                self.check_own(&service, Verb::Put, &service.join(&["install".into()]))?;
                self.check_lasting()?;
                let trust = Trust { issuer: issuer(key)?, scopes: scopes_below(&service, scopes)? };
                self.registry().trust(&service, &trust).await?;
                Ok(Invocation::Done(State::NONE))
            }
            (Route::Grant, Shape::Post(names), args) => {
                self.check_own(&service, Verb::Post, link)?;
                self.grant(&service, &Map::from_sorted(Arc::clone(names), args.into())?)
            }
            (Route::Authorize, Shape::Get, [key]) => {
                let scope = below(&service, &scope(key)?)?;
                let trusted = self.registry().trusted(&service).await?;
                let access = self.access().ok_or_else(|| Error::unauthorized("nobody verifies tokens here"))?;
                access.check_scope(&Scope { service: &service, path: scope.path(), verb: None }, &trusted)?;
                Ok(Invocation::Done(State::NONE))
            }
            _ => Err(unsupported(link, shape)),
        }
    }

    /// Checks that a route of a service may be called: by the service itself, or by who may call the path `called`.
    fn check_own(&self, service: &Link, verb: Verb, called: &Link) -> Result<()> {
        let is_own = self.caller.home.as_ref().is_some_and(|home| home.item() == *service);
        match self.access() {
            Some(access) if !is_own => access.check(verb, called.path(), None),
            _ => Ok(()),
        }
    }

    /// The op that is run with a scope: `{"scope": <scope>, "op": <op>, "context": {<names that the op uses>}}`.
    fn grant(&self, service: &Link, params: &Map) -> Result<Invocation> {
        if let Some(name) = params.keys().iter().find(|name| !["scope", "op", "context"].contains(&name.as_str())) {
            return Err(Error::bad_request(format!("unexpected parameter {name}: expected scope, op and context")));
        }
        let required =
            |name: &str| params.get(name).ok_or_else(|| Error::bad_request(format!("expected the parameter {name}")));
        let scope = scope(required("scope")?).map_err(|error| error.within("scope"))?;
        let call = op_call(required("op")?, params.get("context"))?;
        let access = self.access().ok_or_else(|| Error::not_implemented("nobody signs tokens here"))?;
        Ok(Invocation::Granted(call, Arc::new(access.grant(service, &scope)?)))
    }

    /// Whether a service trusts somebody who has granted a call of `link`.
    pub(super) async fn trusts(&self, verb: Verb, link: &Link) -> Result<bool> {
        let Some(at) = link.version_at() else { return Ok(false) };
        let (version, below) = link.path().split_at(at + 1);
        match self.registry().version(&Link::local(version)).await? {
            Some(definition) if !deletes(below, verb) => self.is_trusted(&definition, below, verb).await,
            _ => Ok(false),
        }
    }

    /// Whether a service trusts somebody who has granted a call of what is at the path `below` a version of it.
    pub(super) async fn is_trusted(&self, definition: &Definition, below: &[Id], verb: Verb) -> Result<bool> {
        if definition.root != Root::Service {
            return Ok(false);
        }
        let service = definition.link.item();
        let trusted = self.registry().trusted(&service).await?;
        let scope = Scope { service: &service, path: below, verb: Some(verb) };
        Ok(self.access().is_some_and(|access| access.check_scope(&scope, &trusted).is_ok()))
    }
}

/// The service whose route a link names, below its item or below a version.
fn service_of(link: &Link) -> Link {
    let path = link.path();
    Link::local(&path[..link.version_at().unwrap_or_else(|| path.len().saturating_sub(1))])
}

/// The service that is to be trusted, with all its versions.
fn issuer(key: &State) -> Result<Link> {
    let link: Link = match key {
        State::Value(Value::Link(link)) => link.clone(),
        State::Value(Value::String(text)) => text.parse()?,
        other => {
            return Err(Error::bad_request(format!(
                "expected a key: the link of the service to trust, not a {}",
                other.class()
            )));
        }
    };
    match link.root() == Some(Root::Service) && link.path().len() > 1 {
        true => Ok(link.item()),
        false => Err(Error::bad_request(format!("{link} is no service, and so cannot be trusted"))),
    }
}

/// A list of scopes of a service.
fn scopes_below(service: &Link, list: &State) -> Result<Vec<Link>> {
    let State::Tuple(list) = list else {
        return Err(Error::bad_request(format!("expected a list of scopes, not a {}", list.class())));
    };
    list.items().iter().map(|item| below(service, &scope(item)?)).collect()
}

/// A scope: a path, with or without the slash before it.
fn scope(state: &State) -> Result<Link> {
    let link: Link = match state {
        State::Value(Value::String(text)) if text.starts_with('/') => text.parse()?,
        State::Value(Value::String(text)) => format!("/{text}").parse()?,
        State::Value(Value::Id(name)) => Link::local([name.clone()]),
        State::Value(Value::Link(link)) => link.clone(),
        other => {
            return Err(Error::bad_request(format!("expected a scope, such as \"/debit\", not a {}", other.class())));
        }
    };
    match link.path().first() {
        Some(first) if link.is_local() && first.as_str() != TXN => Ok(link),
        _ => Err(Error::bad_request(format!("{link} is no scope: it must be a path that does not begin with /{TXN}"))),
    }
}

/// A scope of a service, which may be written with the path of the service before it.
fn below(service: &Link, scope: &Link) -> Result<Link> {
    match scope.path().strip_prefix(service.path()) {
        None => Ok(scope.clone()),
        Some([]) => Err(Error::bad_request(format!("{scope} is the whole service, and no scope of it"))),
        Some(path) => Ok(Link::local(path)),
    }
}

/// The call of an op without arguments; names that it uses are found in `context`.
fn op_call(op: &State, context: Option<&State>) -> Result<OpCall> {
    let Callee { op, context: captured } = Callee::of(op).map_err(|error| error.within("op"))?;
    let args = match &op.kind {
        OpKind::Get { .. } => OpArgs::Positional(vec![State::NONE]),
        OpKind::Post => OpArgs::Named(Arc::new([]), vec![]),
        kind => {
            let verb = kind.verb().http();
            return Err(Error::bad_request(format!("expected a GET or a POST op, not a {verb} op")).within("op"));
        }
    };
    let context = match context.filter(|context| **context != State::NONE) {
        None => captured,
        Some(given) => {
            let expected = || Error::bad_request(format!("expected a map of states, not a {}", given.class()));
            let given = cast::to_map(given).ok_or_else(|| expected().within("context"))?;
            let entries = captured.iter().flat_map(|captured| captured.iter()).chain(given.iter());
            Some(Map::try_new(entries.map(|(name, state)| (name.clone(), state.clone())))?)
        }
    };
    Ok(OpCall { op, context, args, keeps_result: true, callee: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn link(text: &str) -> Link {
        text.parse().unwrap()
    }

    #[test]
    fn scopes_are_paths_below_a_service() {
        let service = link("/service/bank");
        let read =
            |state: State| scope(&state).and_then(|scope| below(&service, &scope)).map(|scope| scope.to_string());
        for state in
            [State::from("debit"), "/debit".into(), Id::from("debit").into(), link("/service/bank/debit").into()]
        {
            assert_eq!(read(state), Ok("/debit".to_string()));
        }
        assert_eq!(read("/debit/small".into()), Ok("/debit/small".to_string()));
        for wrong in ["", "/", "/service/bank", "/txn/5-6", "a b", "http://h/debit"] {
            assert_eq!(read(wrong.into()).unwrap_err().kind(), Kind::BadRequest, "{wrong}");
        }
        assert!(read(link("http://h/debit").into()).is_err());
        assert!(read(State::from(5_i64)).is_err());
    }

    #[test]
    fn a_route_is_below_an_item_or_a_version() {
        assert_eq!(service_of(&link("/service/bank/grant")), link("/service/bank"));
        assert_eq!(service_of(&link("http://h/service/a/bank/1.0.0/grant")), link("/service/a/bank"));
    }

    #[test]
    fn services_are_trusted_with_all_their_versions() {
        let read = |state: State| issuer(&state).map(|issuer| issuer.to_string());
        assert_eq!(read("/service/till".into()), Ok("/service/till".to_string()));
        assert_eq!(read(link("http://h:1/service/a/till/1.0.0").into()), Ok("http://h:1/service/a/till".to_string()));
        for wrong in ["/service", "/lib/till", "/user/ann", "till", "http://h:1"] {
            assert!(read(wrong.into()).is_err(), "{wrong}");
        }
        assert!(read(State::NONE).is_err());
    }

    #[test]
    fn an_op_finds_names_in_its_context() {
        let op = |kind| State::Op(Arc::new(crate::value::OpDef::new(kind, vec![])));
        let context = |value: i64| Map::try_new([(Id::from("x"), State::from(value))]).unwrap();
        let call = op_call(&op(OpKind::Post), Some(&context(1).into())).unwrap();
        assert_eq!(call.context, Some(context(1)));
        assert!(op_call(&op(OpKind::Get { key: "key".into() }), None).unwrap().context.is_none());

        let closure = crate::value::Closure { context: context(1), op: Callee::of(&op(OpKind::Post)).unwrap().op };
        let closure = State::Closure(Arc::new(closure));
        assert_eq!(op_call(&closure, None).unwrap().context, Some(context(1)));
        assert_eq!(op_call(&closure, Some(&context(2).into())).unwrap().context, Some(context(2)));

        assert!(op_call(&op(OpKind::Delete { key: "key".into() }), None).is_err());
        assert!(op_call(&State::from(1_i64), None).is_err());
        assert!(op_call(&op(OpKind::Post), Some(&State::from(1_i64))).is_err());
    }
}
