//! Resealing: after a key was replaced, everything is written again with the new one.
//!
//! Merges do that in time, but never with what lies still. This does what a scrub does, to all trees that have a segment
//! which an older key sealed; the log and the manifests begin anew with any scrub.

use std::sync::Arc;

use super::files::segment_path;
use super::shared::Shared;
use crate::error::Result;
use crate::value::TreeId;

impl Shared {
    /// Writes all again that is not sealed with the current key.
    ///
    /// # Errors
    /// As [`Shared::scrub`].
    pub(super) async fn reseal(self: &Arc<Self>) -> Result<()> {
        let trees = self.older_trees().await?;
        self.scrub(&trees).await?;
        tracing::info!(trees = trees.len(), "nothing is encrypted with older keys any more");
        Ok(())
    }

    /// The trees that have a segment which is sealed with an older key.
    async fn older_trees(&self) -> Result<Vec<TreeId>> {
        let Some(sealed) = &self.sealed else { return Ok(vec![]) };
        // Not the segments themselves, which would keep the files that are to be deleted.
        let version = self.version();
        let segments = version.trees.values().flat_map(|tree| &tree.segments);
        let segments: Vec<(TreeId, u64)> = segments.map(|segment| (segment.meta().tree, segment.meta().id)).collect();
        drop(version);
        let mut trees: Vec<TreeId> = Vec::new();
        for (tree, id) in segments {
            if !trees.contains(&tree) && sealed.is_older(&segment_path(id)).await? {
                trees.push(tree);
            }
        }
        Ok(trees)
    }
}

#[cfg(test)]
mod tests {
    use super::super::seal::{KeyList, Keys};
    use super::super::store::sample::{Host, define, read_tables, write_catalog, write_row};
    use super::super::store::{Store, StoreConfig};
    use super::*;

    async fn open(host: &Host, list: &[u8]) -> Result<Arc<Store>> {
        let words: Vec<String> = list.iter().map(|byte| format!("{byte:02x}").repeat(32)).collect();
        let keys: Keys = KeyList::parse(words.join(",").as_bytes()).unwrap().of(&[1; 32]).unwrap();
        Store::open(StoreConfig { keys: Some(Arc::new(keys)), ..host.config(true) }).await
    }

    #[tokio::test]
    async fn an_older_key_is_not_needed_any_more() {
        let host = Host::new();
        let store = open(&host, &[1]).await.unwrap();
        let definition = define("/t", store.next_tree_id());
        let mut commit = host.begin(&store);
        write_catalog(&mut commit, &definition, true);
        for id in 0..10 {
            write_row(&mut commit, &definition.table, id, Some("in a segment"));
        }
        store.commit(commit).await.unwrap();
        store.checkpoint().await.unwrap();
        let mut commit = host.begin(&store);
        write_row(&mut commit, &definition.table, 3, Some("in the log"));
        store.commit(commit).await.unwrap();
        let before = read_tables(&store.snapshot()).await.unwrap();
        drop(store);
        assert!(open(&host, &[2]).await.is_err());

        let store = open(&host, &[2, 1]).await.unwrap();
        assert_eq!(read_tables(&store.snapshot()).await.unwrap(), before);
        store.reseal().await.unwrap();
        drop(store);
        assert!(open(&host, &[1]).await.is_err());
        let store = open(&host, &[2]).await.unwrap();
        assert_eq!(read_tables(&store.snapshot()).await.unwrap(), before);
    }
}
