//! Whether the blocks of a chain are what they were when they were closed.

use super::block::Blocks;
use super::reduce::Levels;
use super::replay;
use crate::error::{Error, Result};

impl Blocks<'_> {
    /// Reads all records, and checks the hash and the links of every block, what took the place of blocks that were
    /// deleted or reduced, and that the subject is what all that makes of it.
    ///
    /// # Errors
    /// `Internal` that names the first block or window that is not what it was.
    pub async fn verify(&self) -> Result<()> {
        if let Some(base) = &self.base {
            base.verify(self.txn).await?;
        }
        if let Some(levels) = Levels::open(self).await? {
            Box::pin(levels.verify()).await?;
        }
        let mut end = self.start();
        for block in self.closed().await? {
            let fault = |what: &str| Error::internal(format!("block {}: {what}", block.ordinal));
            if !block.begins_at(&end) {
                return Err(fault("it does not follow the block before it, or what took the place of that"));
            }
            let read = self.hash(block.first, block.last, &end.previous).await;
            if read.map_err(|error| fault(error.message()))? != block.hash {
                return Err(fault("its records are not those that it was closed with"));
            }
            end = block.end();
        }
        replay::check(self).await
    }
}
