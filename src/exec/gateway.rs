//! The way to other hosts. `server` implements it over HTTP.

use futures::future::BoxFuture;

use crate::error::Result;
use crate::txn::Txn;
use crate::value::{Authority, Link, Map, State};

/// The arguments of a call of another host.
#[derive(Clone, Debug)]
pub enum RemoteArgs {
    Get(State),
    Put(State, State),
    Post(Map),
    Delete(State),
}

/// Calls other hosts.
pub trait Gateway: Send + Sync {
    /// Whether an address is that of this host, so that its calls need no network.
    fn is_local(&self, authority: &Authority) -> bool;

    /// Calls another host, within the transaction and before its deadline.
    ///
    /// # Errors
    /// `BadGateway` if the host cannot be reached, `Timeout` if it does not answer in time, else the error that it
    /// replied.
    fn call<'a>(&'a self, txn: &'a Txn, link: &'a Link, args: RemoteArgs) -> BoxFuture<'a, Result<State>>;
}
