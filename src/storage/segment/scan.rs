//! Streams of blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::block::{Block, Wanted};
use super::footer::Footer;
use super::reader::Segment;
use super::task::{Started, start};
use crate::error::{Error, Result};
use crate::storage::codec::KeyRange;

/// Says of each block whether it has to be read.
///
/// It is given the footer, not just what Parquet knows: columns must be found by [`Footer::position`], since the
/// statistics of a column of the same name may be those of one that was dropped.
///
/// A block that is not read hides nothing: where older rows of its keys may be in other segments, they would come back
/// to life. So prune only what nothing older overlaps.
pub type Prune = Arc<dyn Fn(&Footer) -> Vec<bool> + Send + Sync>;

/// Which blocks to read, and what of them.
#[derive(Clone)]
pub struct BlockScan {
    /// Blocks are cut to this.
    pub range: KeyRange,
    pub wanted: Wanted,
    /// Whether blocks come last first. The rows of each are ascending nevertheless.
    pub is_reverse: bool,
    /// Which blocks to leave out, beside those that are not in the range.
    pub prune: Option<Prune>,
}

impl std::fmt::Debug for BlockScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("BlockScan");
        debug.field("range", &self.range).field("wanted", &self.wanted).field("is_reverse", &self.is_reverse);
        debug.field("prunes", &self.prune.is_some()).finish()
    }
}

impl BlockScan {
    /// All that is wanted of the blocks in `range`, in ascending order.
    pub fn new(range: KeyRange, wanted: Wanted) -> Self {
        Self { range, wanted, is_reverse: false, prune: None }
    }

    /// The numbers of the blocks to read, in order.
    fn select(&self, footer: &Footer) -> VecDeque<usize> {
        let kept = self.prune.as_ref().map(|prune| prune(footer)).unwrap_or_default();
        let blocks = footer.blocks_in(&self.range).filter(|block| kept.get(*block).copied().unwrap_or(true));
        if self.is_reverse { blocks.rev().collect() } else { blocks.collect() }
    }
}

impl Segment {
    /// The blocks that have rows in a range, cut to it. While one is being worked on, the next one is read ahead; no
    /// more than two are in memory.
    ///
    /// # Errors
    /// The stream ends with an `Internal` error if the file cannot be read or is damaged.
    pub fn blocks(self: &Arc<Self>, scan: BlockScan) -> BoxStream<'static, Result<Block>> {
        let segment = Arc::clone(self);
        let opened = async move {
            let footer = segment.footer().await?;
            let waiting = scan.select(&footer);
            let cursor = Cursor { segment, footer, scan: Arc::new(scan), waiting, ahead: None, is_warm: false };
            let next = |mut cursor: Cursor| async move {
                let block = cursor.next().await;
                block.map(|block| block.map(|block| (block, cursor)))
            };
            Ok::<_, Error>(stream::try_unfold(cursor, next))
        };
        stream::once(opened).try_flatten().boxed()
    }

    /// Reads the rows of a block that are in `range`, nothing if there are none. Keys come with them if they are
    /// wanted, or if the block had to be cut.
    ///
    /// # Errors
    /// As [`Segment::footer`].
    pub async fn read_within(
        &self,
        footer: &Arc<Footer>,
        number: usize,
        wanted: &Wanted,
        range: &KeyRange,
    ) -> Result<Option<Block>> {
        let is_within = |block: &super::BlockInfo| range.contains(&block.min_key) && range.contains(&block.max_key);
        if footer.blocks().get(number).is_none_or(is_within) {
            return self.read(footer, number, wanted).await.map(Some);
        }
        let has_key_columns = wanted.columns.iter().any(|column| *column < wanted.schema.key_len);
        let keys = self.keys(footer, number, has_key_columns).await?;
        let rows = keys.rows_within(range);
        if rows.is_empty() {
            return Ok(None);
        }
        let block = self.read_columns(footer, number, wanted).await?;
        Ok(Some(Block { keys: Some(keys), ..block }.slice(rows)))
    }
}

/// Where a stream of blocks is.
struct Cursor {
    segment: Arc<Segment>,
    footer: Arc<Footer>,
    scan: Arc<BlockScan>,
    waiting: VecDeque<usize>,
    /// The block after the last one that was given out.
    ahead: Option<Started<Option<Block>>>,
    /// Whether a block was asked for before. The first one may be all that is needed, so only then the next is read
    /// ahead.
    is_warm: bool,
}

impl Cursor {
    async fn next(&mut self) -> Result<Option<Block>> {
        loop {
            let Some(current) = self.ahead.take().or_else(|| self.start()) else {
                return Ok(None);
            };
            if self.is_warm {
                self.ahead = self.start();
            }
            if let Some(block) = current.wait().await? {
                self.is_warm = true;
                return Ok(Some(block));
            }
        }
    }

    /// Starts to read the next block.
    fn start(&mut self) -> Option<Started<Option<Block>>> {
        let number = self.waiting.pop_front()?;
        let (segment, footer, scan) = (Arc::clone(&self.segment), Arc::clone(&self.footer), Arc::clone(&self.scan));
        Some(start(async move { segment.read_within(&footer, number, &scan.wanted, &scan.range).await }))
    }
}
