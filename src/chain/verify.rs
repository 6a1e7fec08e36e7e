//! Whether the blocks of a chain are what they were when they were closed.

use super::block::Blocks;
use super::compare::{Derived, Differences};
use super::reduce::Levels;
use crate::error::{Error, Result};

impl Blocks<'_> {
    /// Reads all records, and checks the hash and the links of every block, what took the place of blocks that were
    /// deleted or reduced, and that the subject, and what is noted of whose its rows are, is what all that makes of it.
    ///
    /// # Errors
    /// `Internal` that names the first block or window that is not what it was.
    pub async fn verify(&self) -> Result<()> {
        self.verify_history().await?;
        let subject = Derived::subject(self).await?;
        // Which row it is, is not said: its key may be about somebody.
        self.check_derived(&subject, "a row is not what the records make of it").await?;
        match Derived::holders(self).await? {
            Some(holders) => self.check_derived(&holders, "a row is not noted as that of whom the records name").await,
            None => Ok(()),
        }
    }

    async fn check_derived(&self, derived: &Derived, fault: &'static str) -> Result<()> {
        match Differences::open(self, derived).await?.next().await? {
            Some(_) => Err(Error::internal(fault)),
            None => Ok(()),
        }
    }

    /// The same without the subject.
    ///
    /// # Errors
    /// As [`Blocks::verify`].
    pub(super) async fn verify_history(&self) -> Result<()> {
        if let Some(base) = &self.base {
            base.verify(self.txn).await?;
        }
        if let Some(levels) = Levels::open(self).await? {
            Box::pin(levels.verify()).await?;
        }
        let (mut closed, mut end) = (self.closed()?, self.start());
        while let Some(block) = closed.next().await? {
            let previous = end.previous;
            end = block.after(end)?;
            let read = self.hash(block.first, block.last, &previous).await;
            if read.map_err(|error| block.fault(error.message()))? != block.hash {
                return Err(block.fault("its records are not those that it was closed with"));
            }
        }
        Ok(())
    }

    /// Checks that each block follows the one before it. What is in them is not read, so this takes little time, however
    /// long the history is.
    ///
    /// # Errors
    /// `Internal` that names the first block that does not.
    pub async fn check_links(&self) -> Result<()> {
        let (mut closed, mut end) = (self.closed()?, self.start());
        while let Some(block) = closed.next().await? {
            end = block.after(end)?;
        }
        Ok(())
    }
}
