//! An object store whose objects are sealed in another one.
//!
//! Names, and how many bytes a content has, are as they would be without: what is above knows nothing of this.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use lru::LruCache;
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use parking_lot::Mutex;

use super::blob::{Blob, HEADER_BYTES, Sealing, content_len, place};
use super::keys::Keys;
use crate::error::{Error, Result};
use crate::storage::files::object_error;

/// Objects whose headers are kept: about 1 KiB each. Others are read again.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Seals what is put into another store, and opens what is read from it.
#[derive(Debug)]
pub(crate) struct SealedObjects {
    inner: Arc<dyn ObjectStore>,
    keys: Arc<Keys>,
    known: Arc<Known>,
}

/// What was learned of objects from their headers.
#[derive(Debug)]
struct Known(Mutex<LruCache<Path, Arc<Object>>>);

impl Known {
    fn get(&self, location: &Path) -> Option<Arc<Object>> {
        self.0.lock().get(location).map(Arc::clone)
    }

    fn put(&self, location: &Path, object: &Arc<Object>) {
        self.0.lock().put(location.clone(), Arc::clone(object));
    }

    /// What is at this place may be another object from now on.
    fn forget(&self, location: &Path) {
        self.0.lock().pop(location);
    }
}

/// An object that can be read.
#[derive(Debug)]
struct Object {
    blob: Blob,
    /// Bytes of its content.
    len: u64,
}

impl SealedObjects {
    /// Seals all that is in `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>, keys: Arc<Keys>) -> Self {
        Self { inner, keys, known: Arc::new(Known(Mutex::new(LruCache::new(KNOWN_MAX)))) }
    }

    /// Whether there is an object which was sealed with a key that is not the current one any more.
    ///
    /// # Errors
    /// `Internal` if the object cannot be read.
    pub async fn is_older(&self, location: &Path) -> Result<bool> {
        match self.object(location).await {
            Ok(object) => Ok(object.blob.key() != self.keys.current()),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(object_error("read", location, error)),
        }
    }

    /// The object at this place.
    async fn object(&self, location: &Path) -> object_store::Result<Arc<Object>> {
        match self.known.get(location) {
            Some(object) => Ok(object),
            None => Ok(self.look(location, GetOptions::default()).await?.0),
        }
    }

    /// The object at this place, and what the store says of it, if it meets the conditions in `options`.
    async fn look(&self, location: &Path, options: GetOptions) -> object_store::Result<(Arc<Object>, ObjectMeta)> {
        let header = GetOptions { range: Some(GetRange::Bounded(0..HEADER_BYTES as u64)), head: false, ..options };
        let found = self.inner.get_opts(location, header).await?;
        let mut meta = found.meta.clone();
        let header = found.bytes().await?;
        let blob = Blob::open(&self.keys, location.as_ref(), &header).map_err(damaged)?;
        let len = content_len(meta.size).ok_or_else(|| damaged("it is cut off"))?;
        meta.size = len;
        let object = Arc::new(Object { blob, len });
        self.known.put(location, &object);
        Ok((object, meta))
    }

    /// Parts of an object, each of which has at least a byte.
    async fn read(&self, location: &Path, object: &Object, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let places: Vec<Range<u64>> = ranges.iter().map(|range| place(object.len, range)).collect();
        let sealed = self.inner.get_ranges(location, &places).await?;
        let mut read = Vec::with_capacity(ranges.len());
        for (range, sealed) in ranges.iter().zip(sealed) {
            let content = object.blob.read(object.len, range, sealed.into()).map_err(damaged)?;
            read.push(content.into());
        }
        Ok(read)
    }
}

impl fmt::Display for SealedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedObjects({})", self.inner)
    }
}

/// The range that is asked for, in a content of `len` bytes.
fn resolve(range: &GetRange, len: u64) -> object_store::Result<Range<u64>> {
    range.as_range(len).map_err(|error| damaged(error.to_string()))
}

#[async_trait]
impl ObjectStore for SealedObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        let sealed = seal(&self.keys, location, &payload).map_err(failed)?;
        let put = self.inner.put_opts(location, sealed.into(), opts).await;
        self.known.forget(location);
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let sealing = Sealing::begin(&self.keys, location.as_ref()).map_err(failed)?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        let (location, known) = (location.clone(), Arc::clone(&self.known));
        Ok(Box::new(Upload { inner, sealing: Some(sealing), location, known }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let (asked, is_head) = (options.range.clone(), options.head);
        let (object, meta) = self.look(location, options).await?;
        let range = match asked {
            Some(range) => resolve(&range, object.len)?,
            None => 0..object.len,
        };
        let mut content = Bytes::new();
        if !is_head && !range.is_empty() {
            content = self.read(location, &object, std::slice::from_ref(&range)).await?.concat().into();
        }
        let payload = GetResultPayload::Stream(stream::once(std::future::ready(Ok(content))).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::new() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let object = self.object(location).await?;
        let resolved = ranges.iter().map(|range| resolve(&GetRange::Bounded(range.clone()), object.len));
        let resolved: Vec<Range<u64>> = resolved.collect::<object_store::Result<_>>()?;
        self.read(location, &object, &resolved).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let known = Arc::clone(&self.known);
        self.inner.delete_stream(locations).inspect_ok(move |location| known.forget(location)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix).map_ok(with_content_len).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let mut listed = self.inner.list_with_delimiter(prefix).await?;
        listed.objects = listed.objects.into_iter().map(with_content_len).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> object_store::Result<()> {
        // Its key is derived from its name.
        Err(object_store::Error::NotSupported { source: "an encrypted object has no other name".into() })
    }
}

/// What a store says of an object, with the length of its content. What has none is left as it is: others may be there.
fn with_content_len(meta: ObjectMeta) -> ObjectMeta {
    ObjectMeta { size: content_len(meta.size).unwrap_or(meta.size), ..meta }
}

fn seal(keys: &Keys, location: &Path, payload: &PutPayload) -> Result<Vec<u8>> {
    let mut sealing = Sealing::begin(keys, location.as_ref())?;
    for part in payload {
        sealing.add(part)?;
    }
    sealing.finish()
}

/// An object in parts. What is sealed of them is shorter or longer than they are, since blocks reach across them.
#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    /// Nothing once the upload was completed or aborted.
    sealing: Option<Sealing>,
    location: Path,
    known: Arc<Known>,
}

impl Upload {
    fn seal(&mut self, payload: &PutPayload) -> object_store::Result<Vec<u8>> {
        let sealing = self.sealing.as_mut().ok_or_else(has_ended)?;
        for part in payload {
            sealing.add(part).map_err(failed)?;
        }
        Ok(sealing.take())
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.seal(&data) {
            Ok(sealed) => self.inner.put_part(sealed.into()),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let sealing = self.sealing.take().ok_or_else(has_ended)?;
        let rest = sealing.finish().map_err(failed)?;
        self.inner.put_part(rest.into()).await?;
        let completed = self.inner.complete().await;
        self.known.forget(&self.location);
        completed
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.sealing = None;
        self.inner.abort().await
    }
}

fn has_ended() -> object_store::Error {
    damaged("the upload has ended")
}

fn failed(error: Error) -> object_store::Error {
    damaged(error.message())
}

fn damaged(what: impl Into<String>) -> object_store::Error {
    let what: String = what.into();
    object_store::Error::Generic { store: "SealedObjects", source: what.into() }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;

    use super::super::KeyList;
    use super::*;
    use crate::storage::files::segment_path;

    fn keys(text: &[u8]) -> Arc<Keys> {
        Arc::new(KeyList::parse(text).unwrap().of(&[1; 32]).unwrap())
    }

    /// A store, and the one that it is in.
    fn store() -> (SealedObjects, Arc<dyn ObjectStore>) {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        (SealedObjects::new(Arc::clone(&inner), keys(&[7; 32])), inner)
    }

    async fn content(objects: &dyn ObjectStore, at: &Path) -> Vec<u8> {
        objects.get(at).await.unwrap().bytes().await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn what_is_put_is_read_and_is_not_seen_below() {
        let (objects, inner) = store();
        let at = segment_path(1);
        let text: Vec<u8> = b"a marker that nobody may see. ".repeat(3000);
        objects.put(&at, text.clone().into()).await.unwrap();
        assert!(content(&objects, &at).await == text);
        let below = content(&*inner, &at).await;
        assert!(below.len() > text.len() && !below.windows(8).any(|part| part == b"a marker"));

        let (meta, len) = (objects.head(&at).await.unwrap(), text.len() as u64);
        assert_eq!((meta.size, meta.location), (len, at.clone()));
        let listed: Vec<ObjectMeta> = objects.list(None).try_collect().await.unwrap();
        assert_eq!(listed.iter().map(|meta| meta.size).collect::<Vec<_>>(), [len]);
        let ranges = [0..1, 16_000..17_000, len - 1..len, 5..len];
        let read = objects.get_ranges(&at, &ranges).await.unwrap();
        for (range, read) in ranges.iter().zip(read) {
            assert!(read == text[range.start as usize..range.end as usize], "{range:?}");
        }
        let end = GetOptions { range: Some(GetRange::Suffix(4)), ..GetOptions::default() };
        let end = objects.get_opts(&at, end).await.unwrap();
        assert_eq!((end.range.clone(), end.bytes().await.unwrap()), (len - 4..len, "ee. ".into()));
        assert!(objects.get_range(&at, len..len + 1).await.is_err());
    }

    #[tokio::test]
    async fn an_upload_in_parts_is_one_object() {
        let (objects, _) = store();
        let at = segment_path(1);
        for parts in [vec![], vec![0], vec![5], vec![16_384], vec![1, 16_384, 1], vec![100_000, 16_383, 2, 40_000]] {
            let mut upload = objects.put_multipart(&at).await.unwrap();
            let mut expected = vec![];
            for (number, len) in parts.iter().enumerate() {
                let part = vec![number as u8 + 1; *len];
                expected.extend_from_slice(&part);
                upload.put_part(part.into()).await.unwrap();
            }
            upload.complete().await.unwrap();
            assert!(content(&objects, &at).await == expected, "{parts:?}");
            assert!(upload.put_part("x".into()).await.is_err() && upload.complete().await.is_err());
        }
    }

    #[tokio::test]
    async fn an_object_that_is_replaced_or_deleted_is_forgotten() {
        let (objects, _) = store();
        let at = segment_path(1);
        for text in ["one", "another"] {
            objects.put(&at, text.into()).await.unwrap();
            assert_eq!(objects.get_range(&at, 0..3).await.unwrap(), text[..3]);
            assert_eq!(content(&objects, &at).await, text.as_bytes());
        }
        objects.delete(&at).await.unwrap();
        assert!(objects.get_range(&at, 0..3).await.is_err());
    }

    #[tokio::test]
    async fn what_is_damaged_or_elsewhere_is_an_error_that_names_it() {
        let (objects, inner) = store();
        let (here, there) = (segment_path(1), segment_path(2));
        objects.put(&here, "text".into()).await.unwrap();
        inner.copy(&here, &there).await.unwrap();
        let error = object_error("read", &there, objects.get(&there).await.unwrap_err());
        assert!(error.message().contains("segments/00000000000000000002.parquet"), "{error}");
        assert!(error.message().contains("block 0 is damaged"), "{error}");
        assert!(objects.copy(&here, &there).await.is_err());
        inner.put(&there, "text".into()).await.unwrap();
        let error = objects.get(&there).await.unwrap_err();
        assert!(error.to_string().contains("not encrypted"), "{error}");
    }

    #[tokio::test]
    async fn older_keys_open_what_they_sealed() {
        let (old, inner) = store();
        let (first, second) = (segment_path(1), segment_path(2));
        old.put(&first, "first".into()).await.unwrap();
        let both = format!("{},{}", "08".repeat(32), "07".repeat(32));
        let new = SealedObjects::new(Arc::clone(&inner), keys(both.as_bytes()));
        new.put(&second, "second".into()).await.unwrap();
        assert_eq!((content(&new, &first).await, content(&new, &second).await), (b"first".into(), b"second".into()));
        assert!(new.is_older(&first).await.unwrap() && !new.is_older(&second).await.unwrap());
        let error = old.get(&second).await.unwrap_err();
        assert!(error.to_string().contains("which --at_rest_key does not give"), "{error}");
    }
}
