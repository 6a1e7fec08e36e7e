//! All chains of services, wherever they are installed.

use std::sync::Arc;

use super::definition::Definition;
use super::registry::{Entry, Registry};
use crate::chain::ChainDef;
use crate::error::{Error, Result};
use crate::storage::Transaction;
use crate::value::{Id, Link, Root};

/// A chain, and the path of what it records.
#[derive(Clone, Debug)]
pub struct Placed {
    pub path: String,
    pub chain: Arc<ChainDef>,
}

/// The chains at a path and below, one after the other, in the order of their paths.
#[derive(Debug)]
pub struct Chains<'a> {
    registry: Registry<'a>,
    /// What is yet to be looked at; the last comes first.
    ahead: Vec<Ahead>,
}

#[derive(Debug)]
enum Ahead {
    /// A directory or an item.
    Node(Link),
    Version(Link),
    Chain(Placed),
}

impl<'a> Chains<'a> {
    /// Those of all services.
    pub fn all(txn: &'a Transaction) -> Self {
        let services = Link::local([Id::from(Root::Service.name())]);
        Self { registry: Registry::new(txn), ahead: vec![Ahead::Node(services)] }
    }

    /// Those at a path: of a directory, a service, a version of it, or of one chain.
    ///
    /// # Errors
    /// `NotFound` if there is nothing, `BadRequest` if it cannot be the path of any of these.
    pub async fn at(txn: &'a Transaction, link: &Link) -> Result<Self> {
        if link.root() != Some(Root::Service) || !link.is_local() {
            return Err(Error::bad_request(format!("{link} is not the path of a service or of a chain of one")));
        }
        let (registry, missing) = (Registry::new(txn), || Error::not_found(format!("there is nothing at {link}")));
        let Some(at) = link.version_at() else {
            let [above @ .., last] = link.path() else { return Err(missing()) };
            if !above.is_empty() {
                registry.entry(&Link::local(above).path_text(), last.as_str()).await?.ok_or_else(missing)?;
            }
            return Ok(Self { registry, ahead: vec![Ahead::Node(link.clone())] });
        };
        let version = Link::local(&link.path()[..=at]);
        let definition = registry.version(&version).await?.ok_or_else(missing)?;
        let mut ahead = chains_of(&definition);
        match &link.path()[at + 1..] {
            [] => {}
            [_] => {
                let path = link.path_text();
                ahead.retain(|ahead| matches!(ahead, Ahead::Chain(placed) if placed.path == path));
                if ahead.is_empty() {
                    return Err(Error::not_found(format!("there is no chain at {link}")));
                }
            }
            _ => return Err(Error::bad_request(format!("{link} is below what could be a chain"))),
        }
        Ok(Self { registry, ahead })
    }

    /// The next chain.
    ///
    /// # Errors
    /// As [`Registry::version`].
    pub async fn next(&mut self) -> Result<Option<Placed>> {
        while let Some(ahead) = self.ahead.pop() {
            match ahead {
                Ahead::Chain(placed) => return Ok(Some(placed)),
                Ahead::Node(link) => {
                    for (name, entry) in self.registry.children(&link.path_text()).await?.into_iter().rev() {
                        let below = link.join(&[name.parse()?]);
                        let is_version = matches!(entry, Entry::Version(_));
                        self.ahead.push(if is_version { Ahead::Version(below) } else { Ahead::Node(below) });
                    }
                }
                Ahead::Version(link) => {
                    let definition = self.registry.version(&link).await?;
                    self.ahead.extend(definition.iter().flat_map(|definition| chains_of(definition)));
                }
            }
        }
        Ok(None)
    }
}

/// The chains of a version, the last of them first.
fn chains_of(definition: &Definition) -> Vec<Ahead> {
    let placed = |(name, chain): (&Id, &Arc<ChainDef>)| {
        Ahead::Chain(Placed { path: definition.subject_path(name), chain: Arc::clone(chain) })
    };
    let mut chains: Vec<Ahead> = definition.chains().map(placed).collect();
    chains.reverse();
    chains
}
