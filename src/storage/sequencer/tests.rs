use proptest::prelude::*;

use super::*;

const TREE: TreeId = TreeId(1);

fn key(byte: u8) -> Key {
    Arc::from([byte].as_slice())
}

fn between(start: u8, end: u8) -> KeyRange {
    KeyRange { start: Bound::Included(vec![start]), end: Bound::Excluded(vec![end]) }
}

/// Admits a transaction that saw commits up to `snapshot`, read `reads` and wrote `writes`.
fn admit(sequencer: &mut Sequencer, snapshot: u64, reads: &ReadSet, writes: &[u8]) -> Result<u64, Conflict> {
    let keys: Vec<Key> = writes.iter().map(|byte| key(*byte)).collect();
    sequencer.admit_writes(snapshot, reads, keys.iter().map(|key| (TREE, key)), vec![])
}

fn points(keys: &[u8]) -> ReadSet {
    let mut reads = ReadSet::default();
    keys.iter().for_each(|byte| reads.add_point(TREE, &[*byte]));
    reads
}

fn range(start: u8, end: u8) -> ReadSet {
    let mut reads = ReadSet::default();
    reads.add_range(TREE, &between(start, end));
    reads
}

#[test]
fn numbers_are_dense_and_begin_after_the_newest() {
    let mut sequencer = Sequencer::new(41);
    assert_eq!(admit(&mut sequencer, 41, &points(&[1]), &[1]), Ok(42));
    assert!(admit(&mut sequencer, 41, &points(&[1]), &[1]).is_err());
    assert_eq!(admit(&mut sequencer, 42, &points(&[1]), &[1]), Ok(43));
    assert_eq!(sequencer.newest(), 43);
}

#[test]
fn a_lost_update_is_refused() {
    let mut sequencer = Sequencer::new(0);
    assert_eq!(admit(&mut sequencer, 0, &points(&[5]), &[5]), Ok(1));
    let conflict = Conflict::Key { tree: TREE, key: key(5), seq: 1 };
    assert_eq!(admit(&mut sequencer, 0, &points(&[5]), &[5]), Err(conflict));
}

#[test]
fn write_skew_and_phantoms_are_refused() {
    let mut sequencer = Sequencer::new(0);
    // Each reads what the other writes.
    assert_eq!(admit(&mut sequencer, 0, &points(&[1, 2]), &[1]), Ok(1));
    assert!(admit(&mut sequencer, 0, &points(&[1, 2]), &[2]).is_err());
    // A row appears where there was none.
    assert_eq!(admit(&mut sequencer, 1, &ReadSet::default(), &[15]), Ok(2));
    assert!(admit(&mut sequencer, 1, &range(10, 20), &[30]).is_err());
    assert_eq!(admit(&mut sequencer, 1, &range(16, 20), &[30]), Ok(3));
}

#[test]
fn blind_writes_never_conflict() {
    let mut sequencer = Sequencer::new(0);
    for seq in 1..10 {
        assert_eq!(admit(&mut sequencer, 0, &ReadSet::default(), &[1]), Ok(seq));
    }
    sequencer.prune(9);
    assert_eq!(admit(&mut sequencer, 0, &ReadSet::default(), &[1]), Ok(10));
}

#[test]
fn trees_do_not_meet() {
    let mut sequencer = Sequencer::new(0);
    assert_eq!(admit(&mut sequencer, 0, &ReadSet::default(), &[1]), Ok(1));
    let mut reads = ReadSet::default();
    reads.add_point(TreeId(2), &[1]);
    assert_eq!(admit(&mut sequencer, 0, &reads, &[1]), Ok(2));
}

#[test]
fn what_was_written_as_a_whole_conflicts_with_what_was_read_of_it() {
    let mut sequencer = Sequencer::new(0);
    let none = std::iter::empty;
    let ranges = vec![(TREE, between(10, 20)), (TreeId(2), KeyRange::all())];
    assert_eq!(sequencer.admit_writes(0, &ReadSet::default(), none(), ranges), Ok(1));
    assert_eq!(admit(&mut sequencer, 0, &points(&[9, 20]), &[]), Ok(2));
    let conflict = Conflict::Range { tree: TREE, range: between(10, 20), seq: 1 };
    assert_eq!(admit(&mut sequencer, 0, &points(&[9, 10]), &[]), Err(conflict));
    let mut reads = ReadSet::default();
    reads.add_point(TreeId(2), &[0]);
    assert!(admit(&mut sequencer, 0, &reads, &[]).is_err());
    assert_eq!(admit(&mut sequencer, 2, &reads, &[]), Ok(3));
}

#[test]
fn who_began_before_what_is_forgotten_is_too_old() {
    let mut sequencer = Sequencer::new(0);
    for byte in 0..10 {
        admit(&mut sequencer, u64::from(byte), &ReadSet::default(), &[byte]).unwrap();
    }
    sequencer.prune(5);
    let conflict = Conflict::TooOld { snapshot: 4, floor: 5 };
    assert_eq!(admit(&mut sequencer, 4, &points(&[200]), &[1]), Err(conflict));
    assert_eq!(admit(&mut sequencer, 5, &points(&[200]), &[1]), Ok(11));
    assert_eq!(sequencer.commits.len(), 6);
    sequencer.prune(100);
    assert!(sequencer.commits.is_empty() && sequencer.trees.is_empty());
    assert_eq!(sequencer.bytes, 0);
    assert_eq!(admit(&mut sequencer, 11, &points(&[200]), &[1]), Ok(12));
}

#[test]
fn admissions_are_taken_back() {
    let mut sequencer = Sequencer::new(5);
    assert_eq!(admit(&mut sequencer, 5, &points(&[1]), &[1]), Ok(6));
    sequencer.reset(5);
    assert_eq!((sequencer.newest(), sequencer.bytes), (5, 0));
    assert_eq!(admit(&mut sequencer, 5, &points(&[1]), &[1]), Ok(6));
    assert!(admit(&mut sequencer, 4, &points(&[9]), &[1]).is_err());
}

#[test]
fn memory_is_bounded() {
    let mut sequencer = Sequencer::with_bytes_max(0, 10_000);
    for seq in 1..=1000u64 {
        assert_eq!(admit(&mut sequencer, seq - 1, &ReadSet::default(), &[1, 2]), Ok(seq));
        assert!(sequencer.bytes <= 10_000);
    }
    let kept = sequencer.commits.len();
    assert!((10..100).contains(&kept), "{kept}");
    let floor = 1000 - kept as u64;
    let conflict = Conflict::TooOld { snapshot: floor - 1, floor };
    assert_eq!(admit(&mut sequencer, floor - 1, &points(&[7]), &[7]), Err(conflict));
    assert_eq!(admit(&mut sequencer, floor, &points(&[7]), &[7]), Ok(1001));
    // One commit that is larger than the bound is forgotten at once.
    let large: Vec<u8> = (0..=255).collect();
    assert_eq!(admit(&mut sequencer, 1001, &ReadSet::default(), &large), Ok(1002));
    assert_eq!((sequencer.commits.len(), sequencer.bytes), (0, 0));
    assert!(admit(&mut sequencer, 1001, &points(&[7]), &[7]).is_err());
}

/// What one transaction did.
#[derive(Clone, Debug)]
struct Action {
    /// How many commits before the newest one its snapshot is.
    age: u64,
    points: Vec<(u8, u8)>,
    ranges: Vec<(u8, u8, u8)>,
    writes: Vec<(u8, u8)>,
    replaced: Option<(u8, u8, u8)>,
    /// Whether everything that no transaction younger than this needs is forgotten afterwards, and how young.
    prune: Option<u64>,
}

fn action() -> impl Strategy<Value = Action> {
    let point = || (0u8..3, 0u8..16);
    let range = || (0u8..3, 0u8..16, 0u8..17);
    (
        0u64..12,
        prop::collection::vec(point(), 0..3),
        prop::collection::vec(range(), 0..2),
        prop::collection::vec(point(), 0..4),
        prop::option::weighted(0.1, range()),
        prop::option::weighted(0.2, 0u64..12),
    )
        .prop_map(|(age, points, ranges, writes, replaced, prune)| Action {
            age,
            points,
            ranges,
            writes,
            replaced,
            prune,
        })
}

/// Does the same as a sequencer, by comparing everything with everything.
#[derive(Default)]
struct Model {
    /// What each commit wrote: keys by tree.
    commits: Vec<Vec<(u8, u8)>>,
    floor: u64,
}

impl Model {
    fn admit(&mut self, snapshot: u64, action: &Action) -> Option<u64> {
        let is_read = |(tree, key): &(u8, u8)| {
            let ranges = &action.ranges;
            action.points.contains(&(*tree, *key))
                || ranges.iter().any(|(of, start, end)| of == tree && (start..end).contains(&key))
        };
        let reads = !action.points.is_empty() || action.ranges.iter().any(|(_, start, end)| start < end);
        let later = self.commits.iter().skip(snapshot as usize);
        if reads && (snapshot < self.floor || later.flatten().any(is_read)) {
            return None;
        }
        let mut writes = action.writes.clone();
        if let Some((tree, start, end)) = action.replaced {
            writes.extend((start..end).map(|key| (tree, key)));
        }
        self.commits.push(writes);
        Some(self.commits.len() as u64)
    }
}

fn check(bytes_max: usize, actions: &[Action]) -> Result<(), TestCaseError> {
    let mut sequencer = Sequencer::with_bytes_max(0, bytes_max);
    let mut model = Model::default();
    for action in actions {
        let snapshot = sequencer.newest().saturating_sub(action.age);
        let mut reads = ReadSet::default();
        for (tree, byte) in &action.points {
            reads.add_point(TreeId(u64::from(*tree)), &[*byte]);
        }
        for (tree, start, end) in &action.ranges {
            reads.add_range(TreeId(u64::from(*tree)), &between(*start, *end));
        }
        let keys: Vec<(TreeId, Key)> =
            action.writes.iter().map(|(tree, byte)| (TreeId(u64::from(*tree)), key(*byte))).collect();
        let replaced =
            action.replaced.iter().map(|(tree, start, end)| (TreeId(u64::from(*tree)), between(*start, *end)));
        // The bound on memory forgets earlier than the model; then both know the same.
        model.floor = model.floor.max(sequencer.floor);
        let expected = model.admit(snapshot, action);
        let keys = keys.iter().map(|(tree, key)| (*tree, key));
        let admitted = sequencer.admit_writes(snapshot, &reads, keys, replaced.collect());
        prop_assert_eq!(admitted.clone().ok(), expected, "{:?} of {:?} at {}", admitted, action, snapshot);
        if let Some(age) = action.prune {
            let oldest = sequencer.newest().saturating_sub(age);
            sequencer.prune(oldest);
            model.floor = model.floor.max(oldest);
            prop_assert_eq!(sequencer.floor, model.floor.max(sequencer.floor));
        }
        let remembered: usize = sequencer.commits.iter().map(|commit| commit.bytes).sum();
        prop_assert_eq!(sequencer.bytes, remembered);
        let oldest = sequencer.commits.front().map_or(u64::MAX, |commit| commit.seq);
        prop_assert!(oldest > sequencer.floor);
        for recent in sequencer.trees.values() {
            prop_assert!(recent.keys.len() <= recent.order.len() && !recent.is_empty());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_sequencer_decides_as_the_model_does(actions in prop::collection::vec(action(), 0..60)) {
        check(usize::MAX, &actions)?;
    }

    #[test]
    fn and_also_when_it_forgets(actions in prop::collection::vec(action(), 0..60)) {
        check(2_000, &actions)?;
    }
}
