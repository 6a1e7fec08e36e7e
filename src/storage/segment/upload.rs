//! Writes a file of unknown size in parts, with a bounded number of bytes in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};

use super::task::{Started, start};
use crate::error::Result;
use crate::storage::files::object_error;

/// The size of all parts but the last. S3 takes none below 5 MiB; some stores want all of one size.
const PART_BYTES: usize = 8 << 20;
/// How many parts are on their way at once, at most.
const PARTS_RUNNING_MAX: usize = 2;

/// A file that is being written. Nothing is seen of it before it is finished; what was written vanishes if this is
/// dropped, though stores on the network need [`Upload::abort`] for that.
pub(super) struct Upload {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    /// What was not sent yet.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// Begun when there is more than one part.
    parts: Option<Box<dyn MultipartUpload>>,
    running: VecDeque<Started<()>>,
    bytes: u64,
}

impl Upload {
    /// A file at `path`. Nothing is written yet.
    pub fn new(objects: Arc<dyn ObjectStore>, path: Path) -> Self {
        let (waiting, running) = (VecDeque::new(), VecDeque::new());
        Self { objects, path, waiting, waiting_bytes: 0, parts: None, running, bytes: 0 }
    }

    /// How many bytes were added.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends `bytes` to the file. Waits while too much is on its way.
    pub async fn add(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
        while self.waiting_bytes >= PART_BYTES {
            self.send(PART_BYTES).await?;
        }
        Ok(())
    }

    /// Completes the file, which is durable then.
    pub async fn finish(mut self) -> Result<()> {
        if self.parts.is_none() {
            let all = self.take(self.waiting_bytes);
            let put = self.objects.put(&self.path, all).await;
            return put.map(|_| ()).map_err(|error| object_error("write", &self.path, error));
        }
        if self.waiting_bytes > 0 {
            self.send(self.waiting_bytes).await?;
        }
        while let Some(part) = self.running.pop_front() {
            part.wait().await?;
        }
        if let Some(mut parts) = self.parts.take() {
            parts.complete().await.map_err(|error| object_error("write", &self.path, error))?;
        }
        Ok(())
    }

    /// Gives up what was written.
    pub async fn abort(mut self) {
        // Parts that are still running must not arrive after the end.
        while let Some(part) = self.running.pop_front() {
            let _ = part.wait().await;
        }
        if let Some(mut parts) = self.parts.take() {
            // What cannot be removed is no part of any file; a store on the network drops it in time.
            let _ = parts.abort().await;
        }
    }

    async fn send(&mut self, bytes: usize) -> Result<()> {
        let part = self.take(bytes);
        let failed = |error| object_error("write", &self.path, error);
        if self.parts.is_none() {
            self.parts = Some(self.objects.put_multipart(&self.path).await.map_err(failed)?);
        }
        if let Some(parts) = &mut self.parts {
            let (sent, path) = (parts.put_part(part), self.path.clone());
            let work = async move { sent.await.map_err(|error| object_error("write", &path, error)) };
            self.running.push_back(start(work));
        }
        while self.running.len() > PARTS_RUNNING_MAX {
            if let Some(first) = self.running.pop_front() {
                first.wait().await?;
            }
        }
        Ok(())
    }

    /// Takes the next `bytes` of what is waiting.
    fn take(&mut self, bytes: usize) -> PutPayload {
        let mut missing = bytes.min(self.waiting_bytes);
        self.waiting_bytes -= missing;
        let mut taken = vec![];
        while let Some(mut first) = self.waiting.pop_front() {
            if first.len() > missing {
                if missing > 0 {
                    taken.push(first.split_to(missing));
                }
                self.waiting.push_front(first);
                break;
            }
            missing -= first.len();
            taken.push(first);
        }
        taken.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::{list_segments, open_object_store, segment_path};

    async fn check(pieces: &[usize]) {
        let root = tempfile::tempdir().unwrap();
        for objects in [open_object_store(None).unwrap(), open_object_store(Some(root.path())).unwrap()] {
            let mut upload = Upload::new(Arc::clone(&objects), segment_path(1));
            let mut expected = vec![];
            for (number, size) in pieces.iter().enumerate() {
                let piece = vec![number as u8 + 1; *size];
                expected.extend_from_slice(&piece);
                upload.add(piece.into()).await.unwrap();
                assert!(upload.waiting_bytes < PART_BYTES && upload.running.len() <= PARTS_RUNNING_MAX);
            }
            assert_eq!(upload.bytes(), expected.len() as u64);
            assert!(list_segments(&*objects).await.unwrap().is_empty());
            upload.finish().await.unwrap();
            let written = objects.get(&segment_path(1)).await.unwrap().bytes().await.unwrap();
            assert!(written == expected, "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn a_file_is_what_was_added() {
        check(&[]).await;
        check(&[5, 0, 7]).await;
        check(&[PART_BYTES]).await;
        check(&[1, PART_BYTES, 1]).await;
        check(&[3 * PART_BYTES + 1, PART_BYTES - 1, 10]).await;
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_file_that_was_given_up() {
        let root = tempfile::tempdir().unwrap();
        let objects = open_object_store(Some(root.path())).unwrap();
        for is_aborted in [true, false] {
            let mut upload = Upload::new(Arc::clone(&objects), segment_path(1));
            upload.add(vec![1; 2 * PART_BYTES].into()).await.unwrap();
            if is_aborted {
                upload.abort().await;
                assert_eq!(std::fs::read_dir(root.path().join("segments")).unwrap().count(), 0);
            }
        }
        assert!(list_segments(&*objects).await.unwrap().is_empty());
    }
}
