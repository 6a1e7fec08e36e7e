//! Files of segments that are no longer needed.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use object_store::{ObjectStore, ObjectStoreExt as _};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::storage::files::segment_path;
use crate::value::TreeId;

/// Takes the ids of segments that nobody will read any more.
pub trait GarbageSink: Send + Sync + std::fmt::Debug {
    /// Notes that a segment of `tree` will be discarded when those who use it let go of it.
    fn doom(&self, id: u64, tree: TreeId);

    /// Has the file of a segment deleted some time later. This neither waits nor fails: it is called where the last
    /// user of a segment lets go of it, whoever that is.
    fn discard(&self, id: u64);
}

/// Deletes files in the background: at once where there is a runtime, else when it is told to.
#[derive(Debug)]
pub struct Sweeper {
    objects: Arc<dyn ObjectStore>,
    /// Files that are still to be deleted.
    waiting: Mutex<Vec<u64>>,
    /// All files that are to be deleted and are still there, also those that somebody uses, with their trees if these
    /// are known.
    doomed: Mutex<HashMap<u64, Option<TreeId>>>,
    /// This, for tasks that must not keep it alive.
    this: Weak<Self>,
}

impl Sweeper {
    /// A sweeper of the segments in `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            objects,
            waiting: Mutex::new(vec![]),
            doomed: Mutex::default(),
            this: Weak::clone(this),
        })
    }

    /// The files that are to be deleted and are still there, of these trees and of those that nobody knows the tree of.
    pub fn doomed(&self, trees: &[TreeId]) -> Vec<u64> {
        let doomed = self.doomed.lock();
        let theirs = doomed.iter().filter(|(_, tree)| tree.is_none_or(|tree| trees.contains(&tree)));
        theirs.map(|(id, _)| *id).collect()
    }

    /// Whether a file is to be deleted and is still there.
    pub fn is_doomed(&self, id: u64) -> bool {
        self.doomed.lock().contains_key(&id)
    }

    /// How many files are still to be deleted.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Deletes what is to be deleted, and gives the number of files that could not be and are left for the next time.
    /// To lose track of one is not grave: files that no manifest lists are found when the store is opened.
    pub async fn sweep(&self) -> usize {
        let ids = std::mem::take(&mut *self.waiting.lock());
        let mut left = 0;
        for id in ids {
            let path = segment_path(id);
            match self.objects.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                    self.doomed.lock().remove(&id);
                }
                Err(error) => {
                    tracing::warn!(%path, %error, "cannot delete a file that is not needed any more");
                    self.waiting.lock().push(id);
                    left += 1;
                }
            }
        }
        left
    }
}

impl GarbageSink for Sweeper {
    fn doom(&self, id: u64, tree: TreeId) {
        self.doomed.lock().insert(id, Some(tree));
    }

    fn discard(&self, id: u64) {
        self.doomed.lock().entry(id).or_default();
        self.waiting.lock().push(id);
        if let (Ok(runtime), Some(this)) = (Handle::try_current(), self.this.upgrade()) {
            runtime.spawn(async move { this.sweep().await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::{list_segments, open_object_store};

    #[tokio::test]
    async fn files_are_deleted_in_the_background() {
        let objects = open_object_store(None).unwrap();
        for id in 1..=2 {
            objects.put(&segment_path(id), "x".into()).await.unwrap();
        }
        let sweeper = Sweeper::new(Arc::clone(&objects));
        sweeper.discard(1);
        sweeper.discard(7);
        while list_segments(&*objects).await.unwrap() != [2] || sweeper.waiting() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn without_a_runtime_files_wait_for_a_sweep() {
        let objects = open_object_store(None).unwrap();
        let sweeper = Sweeper::new(Arc::clone(&objects));
        sweeper.doom(1, TreeId(5));
        sweeper.doom(3, TreeId(6));
        sweeper.discard(1);
        sweeper.discard(2);
        let doomed = |tree: u64| {
            let mut ids = sweeper.doomed(&[TreeId(tree)]);
            ids.sort_unstable();
            ids
        };
        assert_eq!((sweeper.waiting(), doomed(5), doomed(6)), (2, vec![1, 2], vec![2, 3]));
        assert_eq!(futures::executor::block_on(sweeper.sweep()), 0);
        // What somebody uses is there until it is discarded too.
        assert_eq!((sweeper.waiting(), doomed(5), doomed(6)), (0, vec![], vec![3]));
        assert!(sweeper.is_doomed(3) && !sweeper.is_doomed(1));
    }
}
