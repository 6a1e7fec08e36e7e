//! What a developer may choose about a chain.

use crate::error::{Error, Result};
use crate::value::doc::Entries;
use crate::value::number::cast::to_f64;
use crate::value::{Doc, Id, Number, State, Tuple};

/// Seconds that a BackupChain keeps blocks, unless it is told otherwise.
const MAX_AGE: f64 = 604_800.0;
const NANOS: f64 = 1e9;

/// How long a BackupChain keeps blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backup {
    /// Seconds after which a block may be deleted.
    pub max_age: f64,
    /// Seconds after which a block is closed though it is not full.
    pub block_age: f64,
}

/// Whose data a record of a CompliantChain is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Owner {
    /// The user in this column of the row.
    Column(Id),
    /// The user who wrote the row last, by the oldest token of the request.
    Token,
}

/// Whose data a CompliantChain keeps, and what purging removes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compliant {
    pub owner: Owner,
    /// Whether the rows themselves are removed too.
    pub purge_subject: bool,
}

/// A level of a ReduceChain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Seconds that one block covers.
    pub window: f64,
    /// Seconds after which a block is reduced to the next level; nothing to keep it.
    pub keep: Option<f64>,
}

/// How a ReduceChain compresses what is old.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// The op of the service that reduces.
    pub op: Id,
    /// Finest first.
    pub levels: Vec<Level>,
    /// Whether what it returns replaces the rows of the subject, too.
    pub apply: bool,
}

/// The options that are given, each of which has to be asked for.
pub(super) struct Options<'a> {
    entries: &'a Entries,
    known: Vec<&'static str>,
}

impl<'a> Options<'a> {
    /// # Errors
    /// `BadRequest` if `doc` is not an object.
    pub fn new(doc: Option<&'a Doc>) -> Result<Self> {
        let entries = match doc {
            None => &[],
            Some(Doc::Map(entries)) => entries.as_slice(),
            Some(other) => {
                return Err(Error::bad_request(format!(
                    "the options of a chain are an object, not {}",
                    other.describe()
                )));
            }
        };
        Ok(Self { entries, known: vec![] })
    }

    fn get(&mut self, name: &'static str) -> Option<&'a Doc> {
        self.known.push(name);
        self.entries.iter().find(|(key, _)| &**key == name).map(|(_, doc)| doc)
    }

    /// A number of seconds greater than none.
    fn seconds(&mut self, name: &'static str) -> Result<Option<f64>> {
        self.get(name).map(seconds).transpose().map_err(|error| error.within(name))
    }

    fn flag(&mut self, name: &'static str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(Doc::Number(Number::Bool(value))) => Ok(*value),
            Some(other) => {
                Err(Error::bad_request(format!("expected true or false, found {}", other.describe())).within(name))
            }
        }
    }

    fn name(&mut self, name: &'static str) -> Result<Id> {
        match self.get(name) {
            Some(Doc::String(text)) => text.parse().map_err(|error: Error| error.within(name)),
            Some(other) => Err(Error::bad_request(format!("expected a name, found {}", other.describe())).within(name)),
            None => Err(Error::bad_request(format!("this chain needs the option {name:?}"))),
        }
    }

    /// # Errors
    /// `BadRequest` if there is an option that nobody asked for.
    pub fn end(self) -> Result<()> {
        match self.entries.iter().find(|(key, _)| !self.known.contains(&&**key)) {
            Some((key, _)) => Err(Error::bad_request(format!("this chain has no option {key:?}"))),
            None => Ok(()),
        }
    }
}

fn seconds(doc: &Doc) -> Result<f64> {
    let seconds = match doc {
        Doc::Number(Number::Bool(_)) => None,
        Doc::Number(number) => Some(to_f64(*number)),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds > 0.0 && seconds.is_finite() => Ok(seconds),
        _ => Err(Error::bad_request("expected a number of seconds greater than 0")),
    }
}

impl Backup {
    pub(super) fn parse(options: &mut Options<'_>) -> Result<Self> {
        let max_age = options.seconds("max_age")?.unwrap_or(MAX_AGE);
        Ok(Self { max_age, block_age: options.seconds("block_age")?.unwrap_or(max_age / 8.0) })
    }

    pub(super) fn options(&self) -> Vec<(Id, State)> {
        vec![("max_age".into(), self.max_age.into()), ("block_age".into(), self.block_age.into())]
    }
}

impl Compliant {
    pub(super) fn options(&self) -> Vec<(Id, State)> {
        let owner = match &self.owner {
            Owner::Column(name) => name.as_str(),
            Owner::Token => "token",
        };
        vec![("owner".into(), owner.into()), ("purge_subject".into(), self.purge_subject.into())]
    }

    pub(super) fn parse(options: &mut Options<'_>) -> Result<Self> {
        let owner = match options.name("owner")? {
            name if name.as_str() == "token" => Owner::Token,
            name => Owner::Column(name),
        };
        Ok(Self { owner, purge_subject: options.flag("purge_subject", true)? })
    }
}

impl Reduce {
    pub(super) fn options(&self) -> Result<Vec<(Id, State)>> {
        let level = |level: &Level| {
            let keep = level.keep.map_or(State::NONE, State::from);
            Ok(Tuple::try_new(vec![level.window.into(), keep])?.into())
        };
        let levels = self.levels.iter().map(level).collect::<Result<Vec<State>>>()?;
        Ok(vec![
            ("reduce".into(), self.op.as_str().into()),
            ("levels".into(), Tuple::try_new(levels)?.into()),
            ("apply".into(), self.apply.into()),
        ])
    }

    pub(super) fn parse(options: &mut Options<'_>) -> Result<Self> {
        let op = options.name("reduce")?;
        let levels = match options.get("levels") {
            Some(Doc::List(levels)) if !levels.is_empty() => levels,
            _ => return Err(Error::bad_request("expected a list of levels [window, keep]").within("levels")),
        };
        let at = |index: usize| move |error: Error| error.within(index).within("levels");
        let levels = levels.iter().enumerate().map(|(index, level)| parse_level(level).map_err(at(index)));
        let levels = levels.collect::<Result<Vec<_>>>()?;
        for (index, pair) in levels.windows(2).enumerate() {
            let ratio = pair[1].window / pair[0].window;
            if ratio < 2.0 || ratio.fract() != 0.0 {
                let message = "the window of a level is a whole multiple of the one before";
                return Err(at(index + 1)(Error::bad_request(message)));
            }
            if pair[0].keep.is_none() {
                return Err(at(index)(Error::bad_request("only the last level may be kept for ever")));
            }
        }
        if levels.last().is_some_and(|level| level.keep.is_some()) {
            let message =
                "the last level is kept for ever, since there is none to reduce it to: expected [window, null]";
            return Err(at(levels.len() - 1)(Error::bad_request(message)));
        }
        Ok(Self { op, levels, apply: options.flag("apply", false)? })
    }

    /// The nanoseconds that a window of a level covers: a whole multiple of those of the level before, as in seconds.
    pub fn window(&self, level: usize) -> u64 {
        let Some(first) = self.levels.first() else { return u64::MAX };
        let finest = ((first.window * NANOS).round() as u64).max(1);
        let times = self.levels.get(level).map_or(f64::INFINITY, |level| level.window / first.window);
        finest.saturating_mul(times.round() as u64)
    }

    /// What began before this time is to be reduced from a level to the next one: all windows of the next level that
    /// end before then are older than the level is kept. In nanoseconds, as `now`; 0 for nothing.
    pub fn due_before(&self, level: usize, now: u64) -> u64 {
        match self.levels.get(level).and_then(|level| level.keep) {
            Some(keep) => floor(ago(now, keep), self.window(level + 1)),
            None => 0,
        }
    }
}

/// So many seconds before `now`, in nanoseconds.
pub(super) fn ago(now: u64, seconds: f64) -> u64 {
    now.saturating_sub((seconds * NANOS) as u64)
}

/// The start of the window that a time is in.
pub(super) fn floor(nanos: u64, window: u64) -> u64 {
    nanos - nanos % window.max(1)
}

fn parse_level(doc: &Doc) -> Result<Level> {
    let Doc::List(pair) = doc else { return Err(Error::bad_request("a level is a pair [window, keep]")) };
    match pair.as_slice() {
        [window, Doc::Null] => Ok(Level { window: seconds(window)?, keep: None }),
        [window, keep] => Ok(Level { window: seconds(window)?, keep: Some(seconds(keep)?) }),
        _ => Err(Error::bad_request("a level is a pair [window, keep]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn reduce(levels: &[(f64, Option<f64>)]) -> Reduce {
        let levels = levels.iter().map(|(window, keep)| Level { window: *window, keep: *keep }).collect();
        Reduce { op: "sum".into(), levels, apply: false }
    }

    #[test]
    fn windows_are_whole_multiples() {
        let hours = reduce(&[(1.0, Some(60.0)), (60.0, Some(3600.0)), (3600.0, None)]);
        assert_eq!([0, 1, 2].map(|level| hours.window(level)), [SECOND, 60 * SECOND, 3600 * SECOND]);
        // Also where a nanosecond does not divide them, or is too long, or a century too short.
        let odd = reduce(&[(1.0 / 3.0, Some(1.0)), (2.0 / 3.0, Some(1.0)), (4.0 / 3.0, None)]);
        assert_eq!([0, 1, 2].map(|level| odd.window(level)), [333_333_333, 666_666_666, 1_333_333_332]);
        assert_eq!(reduce(&[(1e-12, Some(1.0)), (3e-12, None)]).window(1), 3);
        assert_eq!(reduce(&[(1e300, Some(1.0)), (2e300, None)]).window(1), u64::MAX);
    }

    #[test]
    fn a_window_is_due_when_all_of_it_is_old() {
        let minutes = reduce(&[(1.0, Some(60.0)), (60.0, None)]);
        let due = |now| minutes.due_before(0, now);
        assert_eq!(due(120 * SECOND - 1), 0);
        assert_eq!(due(120 * SECOND), 60 * SECOND);
        assert_eq!(due(179 * SECOND), 60 * SECOND);
        assert_eq!(due(180 * SECOND), 120 * SECOND);
        // What is kept for ever, and what is not there.
        assert_eq!(minutes.due_before(1, u64::MAX), 0);
        assert_eq!(minutes.due_before(2, u64::MAX), 0);
        assert_eq!(reduce(&[(1.0, Some(1e300)), (60.0, None)]).due_before(0, u64::MAX), 0);
    }
}
