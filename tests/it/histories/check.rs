//! Finds what is wrong with a history, in two ways that share nothing.
//!
//! [`anomalies`] trusts nobody: it infers from what transactions saw in which order they must have come, and looks
//! for cycles, after K. Kingsbury and P. Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations"
//! (2020). The names are those of A. Adya, "Weak Consistency: A Generalized Theory and Optimistic Implementations for
//! Distributed Transactions" (1999). [`replay`] trusts the numbers of the commits, and does again what transactions
//! did, one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph::{ALL, ALL_AND_TIME, Graph, Kind, Path, READS, WRITES};
use super::record::{Event, History, Outcome, Place, Record, Set};

/// Who wrote the elements of a history.
type Writers = HashMap<u64, usize>;

/// What cannot have happened if transactions came one after the other.
pub fn anomalies(history: &History) -> Vec<String> {
    let writers = writers(history);
    let mut found = Vec::new();
    for (number, record) in history.records.iter().enumerate() {
        let mut faults = internal(record);
        faults.extend(dirty_reads(history, &writers, number));
        faults.extend(orders(history, &writers, number));
        found.extend(faults.into_iter().map(|fault| format!("{fault}: transaction {number}: {record:?}")));
    }
    found.extend(losses(history, &writers));
    if found.is_empty() {
        found.extend(cycles(history, &graph(history, &writers)));
    }
    found
}

fn writers(history: &History) -> Writers {
    let mut writers = Writers::new();
    for (number, record) in history.records.iter().enumerate() {
        for event in &record.events {
            if let Event::Append { element, .. } | Event::Insert { element, .. } = event {
                assert!(writers.insert(*element, number).is_none(), "element {element} is written twice");
            }
        }
    }
    writers
}

/// A transaction must see what it wrote itself, and the same of others each time.
fn internal(record: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    let mut others: BTreeMap<u64, &[u64]> = BTreeMap::new();
    let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut inserted: BTreeMap<Set, BTreeSet<u64>> = BTreeMap::new();
    for event in &record.events {
        match event {
            Event::Read { list, seen } => {
                let mine = own.entry(*list).or_default();
                let Some(before) = seen.strip_suffix(mine.as_slice()) else {
                    faults.push(format!("internal: list {list} lacks its own elements {mine:?}"));
                    continue;
                };
                if *others.entry(*list).or_insert(before) != before {
                    faults.push(format!("internal: list {list} changed"));
                }
            }
            Event::Append { list, element } => own.entry(*list).or_default().push(*element),
            Event::Insert { set, element } => drop(inserted.entry(*set).or_default().insert(*element)),
            Event::Look { set, within, seen } => {
                let mine = inserted.entry(*set).or_default();
                if let Some(missing) = mine.iter().find(|element| within.contains(*element) && !seen.contains(*element))
                {
                    faults.push(format!("internal: {set:?} lacks its own element {missing}"));
                }
            }
            Event::Count { .. } => {}
        }
    }
    faults
}

/// What a transaction saw must have been committed (G1a), and must not have been overwritten by its own writer (G1b).
fn dirty_reads(history: &History, writers: &Writers, number: usize) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |element: &u64| match writers.get(element) {
        None => faults.push(format!("element {element} was written by nobody")),
        Some(writer) if *writer != number && !history.records[*writer].is_committed() => {
            faults.push(format!("G1a: element {element} of transaction {writer}, which was refused, was seen"));
        }
        Some(_) => {}
    };
    let record = &history.records[number];
    for event in &record.events {
        match event {
            Event::Read { seen, .. } => seen.iter().for_each(&mut check),
            Event::Look { seen, .. } => seen.iter().for_each(&mut check),
            _ => {}
        }
    }
    for event in &record.events {
        let Event::Read { list, seen } = event else { continue };
        let Some((last, writer)) = seen.last().and_then(|last| Some((last, *writers.get(last)?))) else { continue };
        if writer != number && history.records[writer].appended(*list).last() != Some(*last) {
            faults.push(format!("G1b: list {list} was seen at element {last}, which transaction {writer} appended to"));
        }
    }
    faults
}

/// What a transaction saw of a list must be how the list began in the end.
fn orders(history: &History, writers: &Writers, number: usize) -> Vec<String> {
    let mut faults = Vec::new();
    for event in &history.records[number].events {
        let Event::Read { list, seen } = event else { continue };
        let others = foreign(seen, writers, number);
        let end = history.lists.get(list).map_or(&[][..], Vec::as_slice);
        if !end.starts_with(others) {
            faults.push(format!("list {list} was seen as {seen:?}, but was {end:?} in the end"));
        }
    }
    faults
}

/// The part of a list before a transaction's own elements.
fn foreign<'a>(seen: &'a [u64], writers: &Writers, number: usize) -> &'a [u64] {
    let len = seen.iter().position(|element| writers.get(element) == Some(&number)).unwrap_or(seen.len());
    &seen[..len]
}

/// In the end there must be what was committed, once, and nothing else.
fn losses(history: &History, writers: &Writers) -> Vec<String> {
    let mut left: Writers = writers.clone();
    left.retain(|_, writer| history.records[*writer].is_committed());
    let mut faults = Vec::new();
    let elements = history.lists.values().flatten().chain(history.sets.values().flatten());
    for element in elements {
        if left.remove(element).is_none() {
            faults.push(format!("element {element} was there in the end, twice or without having been committed"));
        }
    }
    faults.extend(left.iter().map(|(element, writer)| format!("lost: element {element} of transaction {writer}")));
    faults
}

/// Who must have come before whom.
fn graph(history: &History, writers: &Writers) -> Graph {
    let mut graph = Graph::new(history.records.len());
    for list in history.lists.values() {
        for pair in list.windows(2) {
            graph.add(writers[&pair[0]], writers[&pair[1]], Kind::Ww);
        }
    }
    for (number, record) in history.records.iter().enumerate() {
        for event in &record.events {
            match event {
                Event::Read { list, seen } => {
                    let others = foreign(seen, writers, number);
                    if let Some(last) = others.last() {
                        graph.add(writers[last], number, Kind::Wr);
                    }
                    if let Some(next) = history.lists.get(list).and_then(|end| end.get(others.len())) {
                        graph.add(number, writers[next], Kind::Rw);
                    }
                }
                Event::Look { set, within, seen } => {
                    let there = history.sets.get(set).into_iter().flatten();
                    for element in there.filter(|element| within.contains(*element)) {
                        match seen.contains(element) {
                            true => graph.add(writers[element], number, Kind::Wr),
                            false => graph.add(number, writers[element], Kind::Rw),
                        }
                    }
                }
                Event::Append { .. } | Event::Insert { .. } | Event::Count { .. } => {}
            }
        }
    }
    add_times(&mut graph, history);
    graph
}

/// A transaction that had ended comes before each that began later. Moments are nodes too, so that there need not be an
/// edge for each pair.
fn add_times(graph: &mut Graph, history: &History) {
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (number, record) in history.records.iter().enumerate() {
        moments.push((record.began, number, false));
        moments.push((record.ended, number, true));
    }
    moments.sort_unstable();
    let mut last = None;
    for (_, number, is_end) in moments {
        let moment = graph.add_node();
        if let Some(last) = last.replace(moment) {
            graph.add(last, moment, Kind::Time);
        }
        match is_end {
            true => graph.add(number, moment, Kind::Time),
            false => graph.add(moment, number, Kind::Time),
        }
    }
}

/// The worst cycle.
fn cycles(history: &History, graph: &Graph) -> Option<String> {
    let show = |name: &str, (start, path): (usize, Path)| {
        let mut text = format!("{name}: {start}");
        let steps = path.iter().filter(|(node, _)| *node < history.records.len());
        steps.for_each(|(node, kind)| text.push_str(&format!(" -{kind:?}-> {node}")));
        for (node, _) in path.iter().filter(|(node, _)| *node < history.records.len()) {
            text.push_str(&format!("\n  {node}: {:?}", history.records[*node]));
        }
        text
    };
    if let Some(cycle) = graph.cycle(WRITES) {
        return Some(show("G0", cycle));
    }
    if let Some(cycle) = graph.cycle(READS) {
        return Some(show("G1c", cycle));
    }
    if let Some(cycle) = graph.cycle(ALL) {
        let single = graph.edges(Kind::Rw).find_map(|(from, to)| {
            let mut path = graph.path(to, from, READS)?;
            path.insert(0, (to, Kind::Rw));
            Some((from, path))
        });
        return Some(match single {
            Some(single) => show("G-single", single),
            None => show("G2", cycle),
        });
    }
    graph.cycle(ALL_AND_TIME).map(|cycle| show("real time", cycle))
}

/// What there is after some commits.
#[derive(Debug, Default)]
struct Model {
    lists: BTreeMap<u64, Vec<u64>>,
    sets: BTreeMap<Set, BTreeSet<u64>>,
}

impl Model {
    /// Why a transaction cannot have seen this.
    fn fault(&self, record: &Record) -> Option<String> {
        let mut lists: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut sets: BTreeMap<Set, BTreeSet<u64>> = BTreeMap::new();
        for event in &record.events {
            match event {
                Event::Append { list, element } => lists.entry(*list).or_default().push(*element),
                Event::Insert { set, element } => drop(sets.entry(*set).or_default().insert(*element)),
                Event::Read { list, seen } => {
                    let there = self.lists.get(list).into_iter().flatten();
                    let there: Vec<u64> = there.chain(lists.get(list).into_iter().flatten()).copied().collect();
                    if *seen != there {
                        return Some(format!("list {list} was {there:?}, not {seen:?}"));
                    }
                }
                Event::Look { set, within, seen } => {
                    let there = self.sets.get(set).into_iter().flatten();
                    let there = there.chain(sets.get(set).into_iter().flatten()).copied();
                    let there: BTreeSet<u64> = there.filter(|element| within.contains(element)).collect();
                    if *seen != there {
                        return Some(format!("{set:?} had {there:?} within {within:?}, not {seen:?}"));
                    }
                }
                Event::Count { place, seen } => {
                    let there = self.count(*place) + count(&sets, *place);
                    if *seen != there {
                        return Some(format!("{place:?} had {there} elements, not {seen}"));
                    }
                }
            }
        }
        None
    }

    fn count(&self, place: Place) -> u64 {
        count(&self.sets, place)
    }

    fn apply(&mut self, record: &Record) {
        for event in &record.events {
            match event {
                Event::Append { list, element } => self.lists.entry(*list).or_default().push(*element),
                Event::Insert { set, element } => drop(self.sets.entry(*set).or_default().insert(*element)),
                _ => {}
            }
        }
    }
}

fn count(sets: &BTreeMap<Set, BTreeSet<u64>>, at: Place) -> u64 {
    sets.iter().filter(|((place, _), _)| *place == at).map(|(_, set)| set.len() as u64).sum()
}

/// What is wrong if the transactions happened in the order of their commits. One that wrote nothing, or was refused,
/// must have seen what there was at some time since it began.
pub fn replay(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    let mut commits: BTreeMap<u64, usize> = BTreeMap::new();
    let mut readers: Vec<(usize, u64)> = Vec::new();
    // The newest commit that was acknowledged before a moment.
    let newest = |moment: u64| {
        let ended = history.records.iter().filter(|other| other.ended < moment);
        let seqs = ended.filter_map(|other| match other.outcome {
            Outcome::Committed(seq) => seq,
            Outcome::Refused => None,
        });
        seqs.max().unwrap_or(0)
    };
    for (number, record) in history.records.iter().enumerate() {
        match record.outcome {
            Outcome::Committed(Some(seq)) => {
                if let Some(other) = commits.insert(seq, number) {
                    faults.push(format!("transactions {other} and {number} are both commit {seq}"));
                }
                if seq <= newest(record.began) {
                    faults.push(format!("commit {seq} is older than one that had ended when it began"));
                }
            }
            Outcome::Committed(None) | Outcome::Refused => readers.push((number, newest(record.began))),
        }
    }
    let mut model = Model::default();
    let mut why: HashMap<usize, String> = HashMap::new();
    let mut look = |readers: &mut Vec<(usize, u64)>, model: &Model, seq: u64| {
        readers.retain(|(number, oldest)| {
            let fault =
                if *oldest > seq { Some("it began later".into()) } else { model.fault(&history.records[*number]) };
            let is_left = fault.is_some();
            why.insert(*number, fault.unwrap_or_default());
            is_left
        });
    };
    // What was acknowledged first may not be commit 1: tables were made before.
    let first = commits.keys().next().copied().unwrap_or(1);
    look(&mut readers, &model, first - 1);
    for (seq, number) in &commits {
        let record = &history.records[*number];
        if let Some(fault) = model.fault(record) {
            faults.push(format!("commit {seq}: {fault}: {record:?}"));
        }
        model.apply(record);
        look(&mut readers, &model, *seq);
    }
    for (number, oldest) in readers {
        let (record, fault) = (&history.records[number], &why[&number]);
        faults.push(format!("what it saw was never there since commit {oldest}, last because {fault}: {record:?}"));
    }
    if (&model.lists, &model.sets) != (&history.lists, &history.sets) {
        faults.push(format!("in the end there should be {model:?}"));
    }
    faults
}
