//! Chains that nobody may use yet: the host stopped before files were rid of what was purged from them.
//!
//! Whoever finds that a chain is one of these fails and is run again when it is not ([`Kernel`]), rather than wait where it
//! is: a transaction that has begun keeps files from being deleted.
//!
//! [`Kernel`]: crate::exec::Kernel

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::chain::record;
use crate::error::{Error, Result};

/// The chains that nobody may use yet, by the paths of what they record.
#[derive(Debug)]
pub(super) struct Unerased(watch::Sender<HashSet<Arc<str>>>);

impl Unerased {
    /// All chains may be used.
    pub fn new() -> Self {
        Self(watch::Sender::new(HashSet::new()))
    }

    /// Keeps a chain from being used.
    pub fn add(&self, subject: &Arc<str>) {
        self.0.send_if_modified(|unerased| unerased.insert(Arc::clone(subject)));
    }

    /// Lets a chain be used.
    pub fn remove(&self, subject: &str) {
        self.0.send_if_modified(|unerased| unerased.remove(subject));
    }

    /// Whether a chain may not be used yet.
    pub fn has(&self, subject: &str) -> bool {
        self.0.borrow().contains(subject)
    }

    /// Checks that a table is not of a chain that may not be used yet.
    ///
    /// # Errors
    /// `Unavailable` if it is.
    pub fn check(&self, table: &str) -> Result<()> {
        let subject = record::subject_of(table);
        match self.has(subject) {
            true => Err(Error::unavailable(format!(
                "what was purged from {subject} is not yet erased from the files of this host: try again later"
            ))),
            false => Ok(()),
        }
    }

    /// Completes when a chain may be used.
    pub async fn wait(&self, subject: &str) {
        // The sender is this, so it does not go away meanwhile.
        let _ = self.0.subscribe().wait_for(|unerased| !unerased.contains(subject)).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_chain_with_its_tables_is_kept_from_use_until_it_is_let_go() {
        let unerased = Unerased::new();
        let (subject, other): (Arc<str>, Arc<str>) = ("/service/a".into(), "/service/b".into());
        unerased.add(&subject);
        unerased.add(&other);
        for table in ["/service/a", "/service/a~records", "/service/a~records/blocks"] {
            assert_eq!(unerased.check(table).map_err(|error| error.kind()), Err(Kind::Unavailable), "{table}");
        }
        assert_eq!(unerased.check("/service/ab"), Ok(()));
        let mut waiting = Box::pin(unerased.wait(&subject));
        assert_eq!((&mut waiting).now_or_never(), None);
        unerased.remove(&other);
        assert_eq!((&mut waiting).now_or_never(), None);
        unerased.remove(&subject);
        assert_eq!((&mut waiting).now_or_never(), Some(()));
        assert_eq!(unerased.check(&subject), Ok(()));
        assert_eq!(unerased.wait(&subject).now_or_never(), Some(()));
    }
}
