//! The tree of names, as a transaction sees it.
//!
//! Two tables of the host itself hold it: [`ENTRIES`] has a row for each name, under the path that it is in; [`DEFINITIONS`]
//! has the text of each version. Both are made by the first transaction that needs them.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::definition::{Definition, Member};
use super::trust::TRUST;
use crate::chain::rows::{self, Rows};
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::storage::codec;
use crate::value::doc::{Quoted, json};
use crate::value::object::ClassDef;
use crate::value::schema::Column;
use crate::value::state::DEPTH_MAX;
use crate::value::{Link, Root, State, Table, Value, Version};

const ENTRIES: &str = "/host/entries";
const DEFINITIONS: &str = "/host/definitions";

/// Whether a table is one of those, or of whom services trust, which belong to the host itself.
pub fn owns(table: &str) -> bool {
    [ENTRIES, DEFINITIONS, TRUST].contains(&table)
}

/// How many versions are kept as they were read. Most take some kilobytes.
const MEMO_DEFINITIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// How many classes one may extend, one after the other.
const ANCESTORS_MAX: usize = 64;

/// Versions by their path and the hash of their text, which say all there is, so that nothing here can be out of date.
type Memo = LruCache<(Arc<str>, Arc<str>), Arc<Definition>>;

static MEMO: LazyLock<Mutex<Memo>> = LazyLock::new(|| Mutex::new(LruCache::new(MEMO_DEFINITIONS)));

/// What a name stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    Directory,
    /// A library, a service or a set of classes, with its versions.
    Item,
    /// A version, by the hash of its text.
    Version(Arc<str>),
}

impl Entry {
    fn of_row(row: &[State]) -> Result<(String, Self)> {
        let text = |at: usize| match row.get(at) {
            Some(State::Value(Value::String(text))) => Ok(Arc::clone(text)),
            _ => Err(Error::internal(format!("an entry is damaged: {row:?}"))),
        };
        let entry = match &*text(2)? {
            "directory" => Entry::Directory,
            "item" => Entry::Item,
            "version" => Entry::Version(text(3)?),
            other => return Err(Error::internal(format!("there is no kind of entry {other:?}"))),
        };
        Ok((text(1)?.to_string(), entry))
    }

    fn row(&self, parent: &str, name: &str) -> Vec<State> {
        let (kind, digest) = match self {
            Entry::Directory => ("directory", ""),
            Entry::Item => ("item", ""),
            Entry::Version(digest) => ("version", &**digest),
        };
        [parent, name, kind, digest].map(State::from).into()
    }
}

/// The tree of names, as a transaction sees and changes it.
#[derive(Clone, Copy, Debug)]
pub struct Registry<'a> {
    pub(super) txn: &'a Transaction,
}

impl<'a> Registry<'a> {
    /// The tree that `txn` sees.
    pub fn new(txn: &'a Transaction) -> Self {
        Self { txn }
    }

    /// What is at `path`, which is no root and has no version. An empty name is never there.
    ///
    /// # Errors
    /// As [`Transaction::get`], as all of these.
    pub async fn entry(&self, parent: &str, name: &str) -> Result<Option<Entry>> {
        let Some(table) = self.txn.table(ENTRIES).await? else { return Ok(None) };
        let row = self.txn.get(&table, &[State::from(parent), State::from(name)]).await?;
        Ok(row.map(|row| Entry::of_row(&row)).transpose()?.map(|(_, entry)| entry))
    }

    /// The names at `path`, in their order.
    pub async fn children(&self, path: &str) -> Result<Vec<(String, Entry)>> {
        let Some(table) = self.txn.table(ENTRIES).await? else { return Ok(vec![]) };
        let key: Vec<&Column> = table.schema.key().iter().collect();
        let mut found = Rows::new(self.txn, &table, codec::range(&key, &[State::from(path)], None)?);
        let mut children = Vec::new();
        while let Some(row) = found.next().await? {
            children.push(Entry::of_row(&row)?);
        }
        Ok(children)
    }

    /// Puts a name into the tree.
    pub async fn put(&self, parent: &str, name: &str, entry: &Entry) -> Result<()> {
        let table = self.table(ENTRIES, &["parent", "name", "kind", "hash"], 2).await?;
        self.txn.put(&table, &entry.row(parent, name)).await
    }

    /// Removes a name from the tree. Returns whether it was there.
    pub async fn remove(&self, parent: &str, name: &str) -> Result<bool> {
        let Some(table) = self.txn.table(ENTRIES).await? else { return Ok(false) };
        self.txn.delete(&table, &[State::from(parent), State::from(name)]).await
    }

    /// The version at `link`, which ends with it.
    pub async fn version(&self, link: &Link) -> Result<Option<Arc<Definition>>> {
        let (item, version) = split(link)?;
        match self.entry(&item, version).await? {
            Some(Entry::Version(digest)) => self.definition(link, digest).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn definition(&self, link: &Link, digest: Arc<str>) -> Result<Arc<Definition>> {
        let path: Arc<str> = link.path_text().into();
        let id = (Arc::clone(&path), digest);
        if let Some(known) = MEMO.lock().get(&id) {
            return Ok(Arc::clone(known));
        }
        let lost = || Error::internal(format!("the definition of {path} is lost"));
        let table = self.txn.table(DEFINITIONS).await?.ok_or_else(lost)?;
        let row = self.txn.get(&table, &[State::from(&*path)]).await?.ok_or_else(lost)?;
        let Some(State::Value(Value::String(text))) = row.get(1) else { return Err(lost()) };
        let doc = json::decode(text.as_bytes(), usize::from(DEPTH_MAX))?;
        let read = Arc::new(Definition::parse(link.clone(), &doc)?);
        MEMO.lock().put(id, Arc::clone(&read));
        Ok(read)
    }

    /// Puts a version into the tree, whose definition was read from `text`.
    pub async fn put_version(&self, definition: Definition, text: &Quoted) -> Result<()> {
        let link = definition.link.clone();
        let (item, version) = split(&link)?;
        let path: Arc<str> = link.path_text().into();
        let table = self.table(DEFINITIONS, &["path", "definition"], 1).await?;
        self.txn.put(&table, &[State::from(&*path), State::from(text.text())]).await?;
        let digest = digest(text);
        self.put(&item, version, &Entry::Version(Arc::clone(&digest))).await?;
        MEMO.lock().put((path, digest), Arc::new(definition));
        Ok(())
    }

    /// Removes a version from the tree.
    pub async fn remove_version(&self, link: &Link) -> Result<()> {
        let (item, version) = split(link)?;
        self.remove(&item, version).await?;
        if let Some(table) = self.txn.table(DEFINITIONS).await? {
            self.txn.delete(&table, &[State::from(link.path_text())]).await?;
        }
        Ok(())
    }

    /// The class at `link`, with those that it extends.
    ///
    /// # Errors
    /// `NotFound` if there is no such class, or no class that it extends; `BadRequest` if it extends itself.
    pub async fn class(&self, link: &Link) -> Result<Arc<ClassDef>> {
        let class = self.own_class(link).await?;
        let mut ancestors: Vec<Arc<ClassDef>> = Vec::new();
        let mut parent = class.parent.clone();
        while parent.root() == Some(Root::Class) && parent.path().len() > 1 {
            if parent == *link || ancestors.iter().any(|known| known.link == parent) {
                return Err(Error::bad_request(format!("{parent} extends itself")));
            }
            if ancestors.len() == ANCESTORS_MAX {
                return Err(Error::bad_request(format!("{link} extends more than {ANCESTORS_MAX} classes")));
            }
            let found = self.own_class(&parent.to_local()).await;
            let found = found.map_err(|error| error.while_doing(format!("while looking for what {link} extends")))?;
            parent = found.parent.clone();
            ancestors.push(found);
        }
        match ancestors.is_empty() {
            true => Ok(class),
            false => Ok(Arc::new(ClassDef { ancestors, ..class.as_ref().clone() })),
        }
    }

    /// The class at `link`, without those that it extends.
    async fn own_class(&self, link: &Link) -> Result<Arc<ClassDef>> {
        let missing = || Error::not_found(link.path_text());
        let at = link.version_at().filter(|at| link.path().len() == at + 2).ok_or_else(missing)?;
        let version = Link::local(&link.path()[..=at]);
        let definition = self.version(&version).await?.ok_or_else(missing)?;
        match definition.members.get(&link.path()[at + 1]) {
            Some(Member::Class(class)) => Ok(Arc::clone(class)),
            _ => Err(missing()),
        }
    }

    /// A table of the host, which is made if it is not there yet.
    pub(super) async fn table(&self, path: &str, columns: &[&'static str], key_len: usize) -> Result<Arc<Table>> {
        match self.txn.table(path).await? {
            Some(table) => Ok(table),
            None => {
                self.txn
                    .create_table(path, rows::table(columns.iter().copied().map(rows::texts).collect(), key_len))
                    .await
            }
        }
    }
}

/// The hash of a text.
pub(super) fn digest(text: &Quoted) -> Arc<str> {
    hex::encode(Sha256::digest(text.text())).into()
}

/// The path of the item, and the version, of a link that ends with a version.
fn split(link: &Link) -> Result<(String, &str)> {
    match link.path() {
        [item @ .., version] if version.as_str().parse::<Version>().is_ok() => {
            Ok((Link::local(item).path_text(), version.as_str()))
        }
        _ => Err(Error::internal(format!("{link} does not end with a version"))),
    }
}
