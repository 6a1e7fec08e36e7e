//! Tables of services that are used in another way than by their paths: by SQL.

use std::sync::Arc;

use super::chain::{CHAIN, unrecorded};
use super::{Session, Worker};
use crate::chain::{ChainDef, Subject, record};
use crate::cluster::{Member, Registry};
use crate::compiler::methods::Shape;
use crate::error::{Error, Result};
use crate::exec::sql;
use crate::txn::TxnId;
use crate::value::{Link, Table};

impl Session {
    /// Notes that rows of a table are about to be written, so that the chain of a service that records them does so.
    ///
    /// # Errors
    /// `MethodNotAllowed` for what a chain keeps, and for a value, which is more than its row: it has a class; `Unauthorized` or
    /// `Forbidden` if the request may not write there.
    pub(crate) async fn will_write(&self, table: &Arc<Table>) -> Result<()> {
        match sql::owns(&table.name) {
            true => Ok(()),
            false => Box::pin(self.will_write_subject(table)).await,
        }
    }

    async fn will_write_subject(&self, table: &Arc<Table>) -> Result<()> {
        check_writable(table)?;
        Worker::of(self).check_permitted(&table.name, &Shape::Put).await?;
        self.check_erased(&table.name)?;
        let chain = self.chain_of(&table.name).await?;
        if let Subject::Value(_) = chain.subject {
            return Err(Error::method_not_allowed(format!(
                "{} is a value, which is written by its path and not as a table",
                table.name
            )));
        }
        self.track(table, &chain);
        self.chains.write(table)
    }

    /// Checks that the table at a path may be read by a query. A table that SQL made is open to all whom SQL is open to.
    ///
    /// # Errors
    /// As [`Session::check_erased`]; `Unauthorized` or `Forbidden` if the request may not read it.
    pub(crate) async fn will_read(&self, path: &str) -> Result<()> {
        self.check_erased(path)?;
        match sql::owns(path) {
            true => Ok(()),
            false => Box::pin(Worker::of(self).check_permitted(path, &Shape::Get)).await,
        }
    }

    /// A table as it was after a transaction, which only this session has.
    ///
    /// # Errors
    /// `BadRequest` if no chain keeps that; as [`Session::will_read`] and [`Session::past`].
    pub(crate) async fn table_as_of(&self, table: &Arc<Table>, txn: TxnId) -> Result<Arc<Table>> {
        if sql::owns(&table.name) || record::is_path(&table.name) {
            return Err(unrecorded(&table.name));
        }
        self.will_read(&record::path(&table.name)).await?;
        let chain = self.chain_of(&table.name).await?;
        Box::pin(self.past(&chain, table, txn)).await
    }

    /// The chain that records what is written to the table at a path.
    async fn chain_of(&self, path: &str) -> Result<Arc<ChainDef>> {
        let lost = || Error::internal(format!("the chain of {path} is lost"));
        let link: Link = path.parse()?;
        let (name, version) = link.path().split_last().ok_or_else(lost)?;
        let definition = Registry::new(&self.txn).version(&Link::local(version)).await?;
        match definition.ok_or_else(lost)?.members.get(name) {
            Some(Member::Chain(chain)) => Ok(Arc::clone(chain)),
            _ => Err(lost()),
        }
    }

    /// Notes that what a chain records may be written.
    pub(super) fn track(&self, subject: &Arc<Table>, chain: &Arc<ChainDef>) {
        if chain.kind.has_records() {
            self.chains.track(subject, chain);
        }
    }
}

impl Worker<'_> {
    /// Checks that a table may be written here.
    ///
    /// # Errors
    /// `MethodNotAllowed` for what a chain keeps; `BadRequest` for what a reduction has changed; as
    /// [`Worker::check_lasting`].
    pub(super) async fn check_write(&self, table: &Table) -> Result<()> {
        check_writable(table)?;
        self.session.chains.write(table)?;
        if table.rows.is_ephemeral() {
            return Ok(());
        }
        self.check_lasting()?;
        Box::pin(self.check_permitted(&table.name, &Shape::Put)).await
    }

    /// Checks that what is at the path of a table may be called so, also by who has got hold of it by another call.
    ///
    /// # Errors
    /// `Unauthorized` or `Forbidden` if it may not.
    pub(super) async fn check_permitted(&self, path: &str, shape: &Shape) -> Result<()> {
        if self.access().is_none() {
            return Ok(());
        }
        let subject: Link = record::subject_of(path).parse()?;
        let version = subject.path().split_last().map_or(&[] as &[_], |(_, version)| version);
        let definition = self.registry().version(&Link::local(version)).await?;
        let link = match record::name_of(path) {
            Some(kept) => subject.join(&[CHAIN.into(), kept.parse()?]),
            None => subject,
        };
        self.check_access(&link, shape, definition.as_deref()).await
    }

    /// Checks that what lasts may be written here. What a GET method writes is forgotten with the request that it is; within one
    /// that is committed it would last.
    ///
    /// # Errors
    /// `MethodNotAllowed` in a GET method that is called by a request which is committed.
    pub(super) fn check_lasting(&self) -> Result<()> {
        match &self.caller.reads {
            Some(endpoint) if self.session.commits() => {
                Err(Error::method_not_allowed(format!("{} is called by GET, and so may not write", endpoint.link)))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that a table is not one that only a chain itself writes to.
///
/// # Errors
/// `MethodNotAllowed` if it is.
pub(super) fn check_writable(table: &Table) -> Result<()> {
    match record::is_path(&table.name) {
        true => Err(Error::method_not_allowed(format!("{} is what a chain keeps, and cannot be changed", table.name))),
        false => Ok(()),
    }
}
