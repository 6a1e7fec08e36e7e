//! Chains that the host is to reduce by itself, and why it could not.
//!
//! A timer says which ([`super::upkeep`]); the op that reduces runs as if somebody had asked for it
//! (`Kernel::reduce_chains`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::chain::CHAIN;
use crate::error::{Error, Kind, Result};
use crate::value::{Link, State};

/// The chains that are to be reduced, by the paths of what they record.
#[derive(Debug, Default)]
pub(in crate::exec) struct Reductions {
    due: Mutex<BTreeSet<Arc<str>>>,
    added: Notify,
    /// Why the last one failed of each chain where it did.
    failures: Mutex<HashMap<Arc<str>, Error>>,
}

impl Reductions {
    /// Has a chain reduced.
    pub fn add(&self, chain: &Arc<str>) {
        self.due.lock().insert(Arc::clone(chain));
        self.added.notify_one();
    }

    /// The next chain that is to be reduced.
    ///
    /// # Cancel safety
    /// If this is dropped, none is lost.
    pub async fn next(&self) -> Arc<str> {
        loop {
            let first = self.due.lock().pop_first();
            match first {
                Some(chain) => return chain,
                None => self.added.notified().await,
            }
        }
    }

    /// Notes what became of a reduction, whose reply is `{"reduced": [<items of each level>]}`. If there were any, there
    /// may be more.
    pub fn note(&self, chain: &Arc<str>, outcome: Result<State>) {
        match outcome {
            Ok(reply) => {
                self.failures.lock().remove(chain);
                if has_reduced(&reply) {
                    self.add(chain);
                }
            }
            // Others were faster, or have removed it.
            Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {
                debug!(%chain, %error, "a chain is not reduced now");
            }
            Err(error) => {
                warn!(%chain, %error, "cannot reduce a chain");
                drop(self.failures.lock().insert(Arc::clone(chain), error));
            }
        }
    }

    /// Why a chain could not be reduced when that was last tried.
    pub fn failure(&self, chain: &str) -> Option<Error> {
        self.failures.lock().get(chain).cloned()
    }
}

/// What is called to reduce a chain.
///
/// # Errors
/// `BadRequest` if its path is none.
pub(in crate::exec) fn reduce_link(chain: &str) -> Result<Link> {
    format!("{chain}/{CHAIN}/reduce").parse()
}

fn has_reduced(reply: &State) -> bool {
    let counts = match reply {
        State::Map(map) => map.get("reduced"),
        _ => None,
    };
    matches!(counts, Some(State::Tuple(counts)) if counts.items().iter().any(|count| *count != State::from(0u64)))
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::future::FutureExt as _;

    use super::*;
    use crate::value::{Id, Map, Tuple};

    fn reply(counts: [u64; 2]) -> Result<State> {
        let counts = Tuple::try_new(counts.map(State::from))?;
        Ok(Map::try_new([(Id::from("reduced"), counts.into())])?.into())
    }

    #[test]
    fn a_chain_is_due_until_nothing_of_it_is() {
        let (reductions, chain) = (Reductions::default(), Arc::from("/service/a/b/1.0.0/c"));
        assert!(reductions.next().now_or_never().is_none());
        reductions.add(&chain);
        reductions.add(&chain);
        assert_eq!(block_on(reductions.next()), chain);
        assert!(reductions.next().now_or_never().is_none());
        reductions.note(&chain, reply([0, 3]));
        assert_eq!(block_on(reductions.next()), chain);
        reductions.note(&chain, reply([0, 0]));
        assert!(reductions.next().now_or_never().is_none());
        assert_eq!(reduce_link(&chain).unwrap().to_string(), "/service/a/b/1.0.0/c/chain/reduce");
    }

    #[test]
    fn a_failure_is_known_until_it_is_over() {
        let (reductions, chain) = (Reductions::default(), Arc::from("/service/a/b/1.0.0/c"));
        let failure = Error::bad_request("no");
        reductions.note(&chain, Err(failure.clone()));
        reductions.note(&chain, Err(Error::conflict("others were faster")));
        assert_eq!(reductions.failure(&chain), Some(failure));
        reductions.note(&chain, reply([0, 0]));
        assert_eq!(reductions.failure(&chain), None);
    }
}
