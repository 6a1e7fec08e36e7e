//! The thread that commits.
//!
//! It takes all transactions that wait, commits them as one group, and tells them. While the disk is busy with a group
//! the next ones gather, so groups are as large as the disk is slow, and one transaction alone does not wait for
//! others. There is no timer. A transaction that is the only one can be committed where it is: to wake a thread and to be
//! woken takes as long as a fast disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::commit::Commit;
use super::shared::{Shared, closing};
use crate::error::{Error, Result};

/// Bytes of a group in the log, unless a single transaction has more. Whoever waits for a group waits for all of it.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Commits transactions on a thread of its own.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The transactions that wait.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    wakes: Condvar,
    /// Whether the last group had several transactions: then the next ones should gather too.
    is_gathering: AtomicBool,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: VecDeque<Waiting>,
    is_closed: bool,
}

#[derive(Debug)]
struct Waiting {
    commit: Commit,
    reply: oneshot::Sender<Result<u64>>,
}

impl Committer {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Internal` if there can be no more threads.
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self> {
        let queue = Arc::new(Queue::default());
        let theirs = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("tinychain-commit".into()).spawn(move || run(&shared, &theirs));
        let thread =
            thread.map_err(|error| Error::internal(format!("cannot start the thread that commits: {error}")))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Hands a transaction over. It is committed whether or not somebody waits for the reply.
    ///
    /// # Errors
    /// `Unavailable` if the thread has stopped.
    pub(super) fn submit(&self, commit: Commit) -> Result<oneshot::Receiver<Result<u64>>> {
        let (reply, receiver) = oneshot::channel();
        let mut state = self.queue.state.lock();
        if state.is_closed {
            commit.ingests.iter().for_each(|segment| segment.mark_garbage());
            return Err(closing());
        }
        state.waiting.push_back(Waiting { commit, reply });
        drop(state);
        self.queue.wakes.notify_one();
        Ok(receiver)
    }

    /// Commits a transaction on this thread, unless others are being committed, wait for it, or came together
    /// lately: then it comes back.
    /// This blocks as long as the disk takes.
    ///
    /// # Errors
    /// The transaction itself, which is still to be committed.
    pub(super) fn commit_here(&self, shared: &Shared, commit: Commit) -> Result<Result<u64>, Box<Commit>> {
        if self.queue.is_gathering.load(Ordering::Relaxed) {
            return Err(Box::new(commit));
        }
        let Some(mut writer) = shared.writer.try_lock() else { return Err(Box::new(commit)) };
        let is_free = {
            let state = self.queue.state.lock();
            !state.is_closed && state.waiting.is_empty()
        };
        if !is_free {
            return Err(Box::new(commit));
        }
        let _close = CloseOnPanic(&self.queue);
        let outcome = writer.commit(shared, vec![commit]).pop();
        drop(writer);
        if shared.needs_checkpoint() {
            shared.signals.checkpoint.notify_one();
        }
        Ok(outcome.unwrap_or_else(|| Err(closing())))
    }

    /// Stops the thread when what waits is committed, and takes nothing more.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Waits until the thread has stopped. This blocks.
    pub(super) fn join(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // If it ended in a panic, that was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn close(&self) {
        self.state.lock().is_closed = true;
        self.wakes.notify_all();
    }

    /// Waits for the next group; nothing once the queue is closed and empty.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.is_closed {
                return None;
            }
            self.wakes.wait(&mut state);
        }
        let mut bytes = 0;
        let fits = |waiting: &&Waiting| {
            bytes += waiting.commit.log_bytes();
            bytes <= GROUP_BYTES_MAX
        };
        let count = state.waiting.iter().take_while(fits).count().max(1);
        Some(state.waiting.drain(..count).collect())
    }
}

/// Refuses transactions when the thread ends, however it ends: with nobody to commit them they would wait for ever.
struct CloseAtEnd<'a>(&'a Queue);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        state.waiting.clear();
    }
}

/// Refuses transactions after a panic, which leaves nobody knows what.
struct CloseOnPanic<'a>(&'a Queue);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(CloseAtEnd(self.0));
        }
    }
}

fn run(shared: &Shared, queue: &Queue) {
    let _close = CloseAtEnd(queue);
    while let Some(group) = queue.next() {
        queue.is_gathering.store(group.len() > 1, Ordering::Relaxed);
        let (commits, replies): (Vec<Commit>, Vec<oneshot::Sender<Result<u64>>>) =
            group.into_iter().map(|waiting| (waiting.commit, waiting.reply)).unzip();
        let outcomes = shared.writer.lock().commit(shared, commits);
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Who does not wait any more finds out in another way.
            let _ = reply.send(outcome);
        }
        if shared.needs_checkpoint() {
            shared.signals.checkpoint.notify_one();
        }
    }
}
