//! Histories that are wrong, each in one way, and what the checks say of them.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{anomalies, replay};
use super::record::{Event, History, Outcome, Place, Record};

/// A transaction that was committed; the place in the list of records says when.
fn committed(events: Vec<Event>) -> Record {
    Record { events, outcome: Outcome::Committed(None), began: 0, ended: 0 }
}

fn read(list: u64, seen: &[u64]) -> Event {
    Event::Read { list, seen: seen.to_vec() }
}

fn append(list: u64, element: u64) -> Event {
    Event::Append { list, element }
}

fn insert(group: u64, element: u64) -> Event {
    Event::Insert { set: (Place::Ordered, group), element }
}

fn look(group: u64, seen: &[u64]) -> Event {
    Event::Look { set: (Place::Ordered, group), within: 0..=u64::MAX, seen: seen.iter().copied().collect() }
}

/// A history of transactions that were all under way at once, with numbers for those that wrote, in this order.
fn history(mut records: Vec<Record>, lists: &[(u64, &[u64])], sets: &[(u64, &[u64])]) -> History {
    let len = records.len() as u64;
    let mut seq = 0;
    for (began, record) in (0..).zip(&mut records) {
        (record.began, record.ended) = (began, len + began);
        let writes = record.events.iter().any(|event| matches!(event, Event::Append { .. } | Event::Insert { .. }));
        if writes && record.is_committed() {
            seq += 1;
            record.outcome = Outcome::Committed(Some(seq));
        }
    }
    let lists: BTreeMap<u64, Vec<u64>> = lists.iter().map(|(list, seen)| (*list, seen.to_vec())).collect();
    let set =
        |(group, seen): &(u64, &[u64])| ((Place::Ordered, *group), seen.iter().copied().collect::<BTreeSet<u64>>());
    History { records, lists, sets: sets.iter().map(set).collect() }
}

#[track_caller]
fn finds(history: &History, expected: &str) {
    let found = anomalies(history);
    assert!(found.iter().any(|fault| fault.starts_with(expected)), "{expected}: {found:?}");
}

#[test]
fn what_is_right_is_not_found_wrong() {
    let records = vec![
        committed(vec![read(0, &[]), append(0, 1), insert(0, 2), look(0, &[2])]),
        committed(vec![read(0, &[1]), append(0, 3), read(0, &[1, 3]), look(0, &[2])]),
        committed(vec![read(0, &[]), look(0, &[])]),
        committed(vec![read(0, &[1]), look(0, &[2])]),
    ];
    let history = history(records, &[(0, &[1, 3])], &[(0, &[2])]);
    assert_eq!(anomalies(&history), Vec::<String>::new());
    assert_eq!(replay(&history), Vec::<String>::new());
}

#[test]
fn dirty_writes() {
    // The two lists tell two orders.
    let records = vec![committed(vec![append(0, 1), append(1, 2)]), committed(vec![append(0, 3), append(1, 4)])];
    let history = history(records, &[(0, &[1, 3]), (1, &[4, 2])], &[]);
    finds(&history, "G0");
    assert!(!replay(&history).is_empty());
}

#[test]
fn dirty_reads() {
    let refused = Record { outcome: Outcome::Refused, ..committed(vec![append(0, 1)]) };
    finds(&history(vec![refused, committed(vec![read(0, &[1])])], &[], &[]), "G1a");
    let refused = Record { outcome: Outcome::Refused, ..committed(vec![insert(0, 1)]) };
    finds(&history(vec![refused, committed(vec![look(0, &[1])])], &[], &[]), "G1a");
}

#[test]
fn intermediate_reads() {
    let records = vec![committed(vec![append(0, 1), append(0, 2)]), committed(vec![read(0, &[1])])];
    finds(&history(records, &[(0, &[1, 2])], &[]), "G1b");
}

#[test]
fn circular_information() {
    let records = vec![committed(vec![append(0, 1), read(1, &[2])]), committed(vec![append(1, 2), read(0, &[1])])];
    finds(&history(records, &[(0, &[1]), (1, &[2])], &[]), "G1c");
}

#[test]
fn lost_updates() {
    let records = vec![committed(vec![read(0, &[]), append(0, 1)]), committed(vec![read(0, &[]), append(0, 2)])];
    finds(&history(records.clone(), &[(0, &[2])], &[]), "lost");
    // Where both are kept, one of them saw too little.
    let history = history(records, &[(0, &[1, 2])], &[]);
    finds(&history, "G-single");
    assert!(!replay(&history).is_empty());
}

#[test]
fn fractured_reads() {
    let records = vec![committed(vec![append(0, 1), append(1, 2)]), committed(vec![read(0, &[1]), read(1, &[])])];
    let lists = history(records, &[(0, &[1]), (1, &[2])], &[]);
    finds(&lists, "G-single");
    assert!(!replay(&lists).is_empty());
    let records = vec![committed(vec![insert(0, 1), insert(0, 2)]), committed(vec![look(0, &[2])])];
    finds(&history(records, &[], &[(0, &[1, 2])]), "G-single");
}

#[test]
fn skewed_writes() {
    let records = vec![
        committed(vec![read(0, &[]), read(1, &[]), append(0, 1)]),
        committed(vec![read(0, &[]), read(1, &[]), append(1, 2)]),
    ];
    let lists = history(records, &[(0, &[1]), (1, &[2])], &[]);
    finds(&lists, "G2");
    assert!(!replay(&lists).is_empty());
    // The same with phantoms.
    let records = vec![committed(vec![look(0, &[]), insert(0, 1)]), committed(vec![look(0, &[]), insert(0, 2)])];
    let sets = history(records, &[], &[(0, &[1, 2])]);
    finds(&sets, "G2");
    assert!(!replay(&sets).is_empty());
}

#[test]
fn readers_that_see_an_order_that_there_was_not() {
    // Without the reader, the first came before the second. The reader saw the second, but not the first.
    let mut records = vec![
        committed(vec![read(0, &[]), read(1, &[]), append(0, 1)]),
        committed(vec![read(1, &[]), append(1, 2)]),
        committed(vec![read(0, &[]), read(1, &[2])]),
    ];
    finds(&history(records.clone(), &[(0, &[1]), (1, &[2])], &[]), "G2");
    // That is right if the first did not look at what the second wrote.
    records[0].events.remove(1);
    assert_eq!(anomalies(&history(records, &[(0, &[1]), (1, &[2])], &[])), Vec::<String>::new());
}

#[test]
fn stale_reads() {
    let records = vec![committed(vec![read(0, &[]), append(0, 1)]), committed(vec![read(0, &[])])];
    let mut history = history(records, &[(0, &[1])], &[]);
    assert_eq!(anomalies(&history), Vec::<String>::new());
    // It began when the other had ended.
    (history.records[1].began, history.records[1].ended) = (10, 11);
    finds(&history, "real time");
    assert!(!replay(&history).is_empty());
}

#[test]
fn what_a_transaction_does_not_see_of_itself() {
    let records = vec![committed(vec![read(0, &[]), append(0, 1), read(0, &[])])];
    finds(&history(records, &[(0, &[1])], &[]), "internal");
    let records = vec![committed(vec![insert(0, 1), look(0, &[])])];
    finds(&history(records, &[], &[(0, &[1])]), "internal");
}

#[test]
fn lists_of_two_kinds() {
    let records = vec![committed(vec![append(0, 1)]), committed(vec![append(0, 2)]), committed(vec![read(0, &[2, 1])])];
    finds(&history(records, &[(0, &[1, 2])], &[]), "list 0 was seen as");
}

#[test]
fn counts_are_replayed() {
    let count = |seen| Event::Count { place: Place::Ordered, seen };
    let records = |seen| vec![committed(vec![insert(0, 1)]), committed(vec![insert(1, 2), count(seen)])];
    let of = |seen| replay(&history(records(seen), &[], &[(0, &[1]), (1, &[2])]));
    assert!(of(2).is_empty() && !of(1).is_empty() && !of(3).is_empty());
}
