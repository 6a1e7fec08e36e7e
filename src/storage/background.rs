//! What a store does by itself: checkpoints and merges.
//!
//! Each has one task, which waits until it is woken or some time has passed, does what there is to do, and ends when
//! the store is closed. A failure is reported and tried again later; meanwhile commits go on until there is no room.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::compaction::plan::Effort;
use super::shared::Shared;

/// How long to wait before something that has failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a store takes no commits before it is idle, and few overlapping segments are merged too.
const IDLE: Duration = Duration::from_secs(5);

/// The tasks of a store.
#[derive(Debug)]
pub(super) struct Background {
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Background {
    /// Starts the tasks.
    pub(super) fn start(runtime: &Handle, shared: &Arc<Shared>) -> Self {
        let tasks =
            vec![runtime.spawn(make_checkpoints(Arc::clone(shared))), runtime.spawn(make_merges(Arc::clone(shared)))];
        Self { tasks: Mutex::new(tasks) }
    }

    /// Waits until the tasks have ended, after [`Shared::close_background`].
    pub(super) async fn join(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            // If it ended in a panic, that was reported where it happened.
            let _ = task.await;
        }
    }
}

impl Shared {
    /// Ends the tasks when they are done with what they are doing.
    pub(super) fn close_background(&self) {
        self.signals.is_closing.store(true, Ordering::Release);
        self.signals.checkpoint.notify_one();
        self.signals.merge.notify_one();
    }

    fn is_closing(&self) -> bool {
        self.signals.is_closing.load(Ordering::Acquire)
    }
}

async fn make_checkpoints(shared: Arc<Shared>) {
    while !shared.is_closing() {
        if !shared.needs_checkpoint() {
            shared.signals.checkpoint.notified().await;
            continue;
        }
        match shared.checkpoint().await {
            Ok(()) => shared.signals.merge.notify_one(),
            Err(error) => {
                tracing::error!(%error, "cannot make a checkpoint; the log grows meanwhile");
                // Not earlier, though every commit asks for it.
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn make_merges(shared: Arc<Shared>) {
    let mut effort = Effort::BUSY;
    while !shared.is_closing() {
        let seq = shared.seq();
        match shared.merge(effort).await {
            Ok(true) if shared.seq() == seq => {}
            Ok(true) => effort = Effort::BUSY,
            Ok(false) => {
                let is_woken = pause(&shared.signals.merge, IDLE).await;
                let is_idle = !is_woken && shared.seq() == seq;
                effort = if is_idle { Effort::IDLE } else { Effort::BUSY };
                // The space of tables that were dropped is given back with the next manifest.
                if is_idle && shared.garbage.has_retired() {
                    shared.load.is_unsaved.store(true, Ordering::Relaxed);
                    shared.signals.checkpoint.notify_one();
                }
                // What was held by readers may be free by now.
                shared.sweeper.sweep().await;
            }
            Err(error) => {
                tracing::error!(%error, "cannot merge segments; reads become slower meanwhile");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Waits for a signal, but not for longer than `time`. Returns whether it came.
async fn pause(signal: &Notify, time: Duration) -> bool {
    tokio::time::timeout(time, signal.notified()).await.is_ok()
}
