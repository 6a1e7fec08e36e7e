//! Scrubbing: nothing is left in files of what some trees had once and have no more.
//!
//! Deleted rows and older versions of rows are in the log, in segments until these are merged, in files that readers
//! hold, and their keys in manifests. A scrub takes these steps:
//! 1. The log goes on in a new file, and a checkpoint brings what is in memory to segments. Then the files before are
//!    deleted, all of them. A file of the log is made of zeros and never used again, so nothing is in those that are
//!    made ahead.
//! 2. All segments of the trees are written again, without tombstones and what these hide.
//! 3. Manifests are written until all that are kept list the new segments only.
//! 4. The old files are deleted when their last readers are gone, which is waited for.
//!
//! What comes after the first step is as of then or later, and what was deleted is gone durably. A scrub that fails has
//! changed nothing that anybody can see, and can be made again.

use std::sync::Arc;
use std::time::Duration;

use super::manifest::{self, Manifest};
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::value::TreeId;

/// How long to wait until nobody reads old files. Requests take less time, unless they are allowed more.
const READERS_WAIT: Duration = Duration::from_secs(10);
/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

impl Shared {
    /// Removes from all files what is not visible any more of some trees.
    ///
    /// # Errors
    /// `Unavailable` if old files are still read after a while, or if the log has failed; `Internal` if something
    /// cannot be read, written or deleted.
    pub(super) async fn scrub(self: &Arc<Self>, trees: &[TreeId]) -> Result<()> {
        self.with_writer(|writer, _| writer.seal()).await??;
        self.checkpoint().await?;
        let floor = self.floor();
        // Again, because a checkpoint that has nothing to write leaves the log alone, and is done without it.
        self.with_writer(move |writer, shared| writer.truncate(shared, floor)).await??;
        for tree in trees {
            self.rewrite(*tree).await?;
        }
        // Each takes the place of the older one of two.
        for _ in 0..manifest::KEPT {
            self.save_manifest(None).await?;
        }
        Manifest::prune(&**self.segments.objects()).await?;
        self.wait_for_deletion(trees).await?;
        tracing::info!(trees = trees.len(), floor, "removed what was deleted from all files");
        Ok(())
    }

    /// Waits until the files of these trees are gone that are to be deleted now.
    async fn wait_for_deletion(&self, trees: &[TreeId]) -> Result<()> {
        let deadline = self.clock.now() + READERS_WAIT;
        let mut left = self.sweeper.doomed(trees);
        loop {
            self.sweeper.sweep().await;
            left.retain(|id| self.sweeper.is_doomed(*id));
            if left.is_empty() {
                return Ok(());
            }
            // Without a runtime nobody lets go of anything meanwhile.
            if self.runtime.is_none() || self.clock.now() >= deadline {
                let (files, snapshots) = (left.len(), self.open_snapshots());
                let message = format!(
                    "{files} files with rows that were deleted cannot be removed yet; {snapshots} transactions are open, \
                     which may read them: try again when they have ended"
                );
                return Err(Error::unavailable(message));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests;
