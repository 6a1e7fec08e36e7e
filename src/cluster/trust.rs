//! Whom services trust, as a transaction sees it: a table of the host itself.

use super::registry::Registry;
use crate::chain::rows::Rows;
use crate::error::{Error, Result};
use crate::storage::codec;
use crate::txn::Trust;
use crate::value::schema::Column;
use crate::value::{Link, State, Value};

/// A row for each service and each whom it trusts: the scopes, with blanks between them, since no path has any.
pub(super) const TRUST: &str = "/host/trust";

impl Registry<'_> {
    /// Those whom a service trusts. It is given without a version.
    ///
    /// # Errors
    /// As [`Registry::entry`], as all of these.
    pub async fn trusted(&self, service: &Link) -> Result<Vec<Trust>> {
        let Some(table) = self.txn.table(TRUST).await? else { return Ok(vec![]) };
        let key: Vec<&Column> = table.schema.key().iter().collect();
        let mut rows = Rows::new(self.txn, &table, codec::range(&key, &[State::from(service.path_text())], None)?);
        let mut trusted = Vec::new();
        while let Some(row) = rows.next().await? {
            trusted.push(of_row(&row)?);
        }
        Ok(trusted)
    }

    /// Says with what a service trusts another from now on: with nothing, if there are no scopes.
    pub async fn trust(&self, service: &Link, trust: &Trust) -> Result<()> {
        let key = [State::from(service.path_text()), State::from(trust.issuer.to_string())];
        if trust.scopes.is_empty() {
            if let Some(table) = self.txn.table(TRUST).await? {
                self.txn.delete(&table, &key).await?;
            }
            return Ok(());
        }
        let table = self.table(TRUST, &["service", "issuer", "scopes"], 2).await?;
        let scopes: Vec<String> = trust.scopes.iter().map(Link::to_string).collect();
        let [service, issuer] = key;
        self.txn.put(&table, &[service, issuer, State::from(scopes.join(" "))]).await
    }

    /// Forgets whom a service trusts, which is removed.
    pub(super) async fn distrust(&self, service: &Link) -> Result<()> {
        for trust in self.trusted(service).await? {
            self.trust(service, &Trust { scopes: vec![], ..trust }).await?;
        }
        Ok(())
    }
}

fn of_row(row: &[State]) -> Result<Trust> {
    let damaged = || Error::internal(format!("whom a service trusts is damaged: {row:?}"));
    let text = |at: usize| match row.get(at) {
        Some(State::Value(Value::String(text))) => Ok(&**text),
        _ => Err(damaged()),
    };
    let read = |text: &str| text.parse::<Link>().map_err(|_| damaged());
    Ok(Trust { issuer: read(text(1)?)?, scopes: text(2)?.split(' ').map(read).collect::<Result<_>>()? })
}
