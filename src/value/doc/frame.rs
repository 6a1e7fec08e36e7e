//! Lists and maps that are being read.

use std::collections::HashMap;
use std::sync::Arc;

use super::Doc;

/// Maps with more entries than this are indexed, so that looking for repeated names takes linear time in all.
const SCANNED_ENTRIES_MAX: usize = 16;

/// The entries of a map that is being decoded.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    list: Vec<(Arc<str>, Doc)>,
    /// The place of each name in `list`, once there are many.
    index: Option<HashMap<Arc<str>, usize>>,
}

impl Entries {
    /// Adds an entry, or replaces the value of the entry with that name.
    fn insert(&mut self, key: Arc<str>, doc: Doc) {
        if let Some(position) = self.position(&key) {
            self.list[position].1 = doc;
            return;
        }
        if let Some(index) = &mut self.index {
            index.insert(Arc::clone(&key), self.list.len());
        }
        self.list.push((key, doc));
        if self.index.is_none() && self.list.len() > SCANNED_ENTRIES_MAX {
            let positions = self.list.iter().enumerate();
            self.index = Some(positions.map(|(position, (key, _))| (Arc::clone(key), position)).collect());
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.list.iter().position(|(name, _)| &**name == key),
        }
    }
}

/// A list or map that a decoder is in the middle of.
#[derive(Debug)]
pub(crate) enum Frame {
    List(Vec<Doc>),
    Map {
        entries: Entries,
        /// The name of the entry whose value comes next.
        key: Option<Arc<str>>,
    },
}

impl Frame {
    pub(crate) fn map(key: Option<Arc<str>>) -> Self {
        Frame::Map { entries: Entries::default(), key }
    }

    /// Adds an item, or the value of the current entry.
    pub(crate) fn push(&mut self, doc: Doc) {
        match self {
            Frame::List(items) => items.push(doc),
            Frame::Map { entries, key } => {
                if let Some(key) = key.take() {
                    entries.insert(key, doc);
                }
            }
        }
    }

    /// The finished list or map, which leaves an empty one behind.
    pub(crate) fn finish(&mut self) -> Doc {
        match self {
            Frame::List(items) => Doc::List(std::mem::take(items)),
            Frame::Map { entries, .. } => Doc::Map(std::mem::take(entries).list),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_repeated_names_wins_with_and_without_an_index() {
        for count in [2, 100] {
            let mut entries = Entries::default();
            for round in [Doc::Null, Doc::List(vec![])] {
                for number in 0..count {
                    entries.insert(number.to_string().into(), round.clone());
                }
            }
            assert_eq!(entries.list.len(), count);
            assert!(entries.list.iter().all(|(_, doc)| *doc == Doc::List(vec![])));
        }
    }
}
