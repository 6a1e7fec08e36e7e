//! What is on disk after writing, failing and crashing.

use object_store::ObjectStoreExt as _;

use super::*;

fn names(folder: &FsPath) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn read(objects: &dyn ObjectStore, path: &Path) -> Vec<u8> {
    objects.get(path).await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_file_is_written_whole_and_replaced() {
    let root = tempfile::tempdir().unwrap();
    let objects = open_object_store(Some(root.path())).unwrap();
    let path = segment_path(7);
    for text in ["one", "two"] {
        objects.put(&path, text.into()).await.unwrap();
        assert_eq!(read(&*objects, &path).await, text.as_bytes());
    }
    assert_eq!(names(&root.path().join(SEGMENTS)), ["00000000000000000007.parquet"]);
    objects.delete(&path).await.unwrap();
    assert!(names(&root.path().join(SEGMENTS)).is_empty());
}

#[tokio::test]
async fn a_file_that_must_be_new_replaces_none() {
    let root = tempfile::tempdir().unwrap();
    let objects = open_object_store(Some(root.path())).unwrap();
    let path = manifest_path(1);
    objects.put_opts(&path, "one".into(), PutMode::Create.into()).await.unwrap();
    let error = objects.put_opts(&path, "two".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}");
    assert_eq!(read(&*objects, &path).await, b"one");
    assert_eq!(names(&root.path().join(MANIFESTS)), ["00000000000000000001.json"]);
}

#[tokio::test]
async fn an_upload_is_seen_only_when_it_is_complete() {
    let root = tempfile::tempdir().unwrap();
    let objects = open_object_store(Some(root.path())).unwrap();
    let path = segment_path(1);
    let mut upload = objects.put_multipart(&path).await.unwrap();
    let (first, second) = (upload.put_part("he".into()), upload.put_part("llo".into()));
    // Parts may arrive in any order.
    second.await.unwrap();
    first.await.unwrap();
    assert!(list_segments(&*objects).await.unwrap().is_empty());
    upload.complete().await.unwrap();
    assert_eq!(list_segments(&*objects).await.unwrap(), [1]);
    assert_eq!(read(&*objects, &path).await, b"hello");
    assert!(upload.put_part("!".into()).await.is_err());
    assert!(upload.complete().await.is_err());
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let objects = open_object_store(Some(root.path())).unwrap();
    let mut aborted = objects.put_multipart(&segment_path(1)).await.unwrap();
    aborted.put_part("x".into()).await.unwrap();
    aborted.abort().await.unwrap();
    let mut dropped = objects.put_multipart(&segment_path(2)).await.unwrap();
    dropped.put_part("x".into()).await.unwrap();
    drop(dropped);
    assert!(names(&root.path().join(SEGMENTS)).is_empty());
}

#[tokio::test]
async fn leftovers_are_neither_listed_nor_kept() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(SEGMENTS);
    fs::create_dir(&folder).unwrap();
    for name in ["00000000000000000003.parquet", "00000000000000000004.parquet#12", "notes.txt", "5.parquet"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    let objects = open_object_store(Some(root.path())).unwrap();
    assert_eq!(names(&folder), ["00000000000000000003.parquet", "5.parquet", "notes.txt"]);
    assert_eq!(list_segments(&*objects).await.unwrap(), [3]);
}

#[tokio::test]
async fn renames_and_copies_are_done_by_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let objects = open_object_store(Some(root.path())).unwrap();
    objects.put(&segment_path(1), "x".into()).await.unwrap();
    objects.copy(&segment_path(1), &segment_path(2)).await.unwrap();
    objects.rename(&segment_path(1), &segment_path(3)).await.unwrap();
    assert_eq!(list_segments(&*objects).await.unwrap(), [2, 3]);
}

#[test]
fn without_a_runtime_the_work_is_done_at_once() {
    use futures::FutureExt as _;
    let root = tempfile::tempdir().unwrap();
    let objects = open_object_store(Some(root.path())).unwrap();
    let put = async { objects.put(&segment_path(1), "x".into()).await };
    assert!(put.now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn a_missing_file_is_named() {
    for objects in [open_object_store(None).unwrap(), {
        let root = tempfile::tempdir().unwrap();
        open_object_store(Some(root.path())).unwrap()
    }] {
        let error = objects.get(&segment_path(9)).await.unwrap_err();
        let error = object_error("read", &segment_path(9), error);
        assert_eq!(error.message(), "cannot read segments/00000000000000000009.parquet: it is missing");
    }
}
