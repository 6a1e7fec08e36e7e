//! Which transactions must have come before which others, and whether that can be.

use std::collections::VecDeque;

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The other one wrote the next version of something that the one wrote.
    Ww = 1,
    /// The other one saw what the one wrote.
    Wr = 2,
    /// The one did not see what the other one wrote.
    Rw = 4,
    /// The one had ended when the other one began.
    Time = 8,
}

/// Some kinds.
pub type Kinds = u8;

pub const WRITES: Kinds = Kind::Ww as u8;
pub const READS: Kinds = WRITES | Kind::Wr as u8;
pub const ALL: Kinds = READS | Kind::Rw as u8;
pub const ALL_AND_TIME: Kinds = ALL | Kind::Time as u8;

/// A way from a transaction to others: each with the reason why it comes after the one before.
pub type Path = Vec<(usize, Kind)>;

/// Transactions by number, and the edges between them.
#[derive(Debug, Default)]
pub struct Graph {
    edges: Vec<Vec<(usize, Kind)>>,
}

impl Graph {
    pub fn new(nodes: usize) -> Self {
        Self { edges: vec![vec![]; nodes] }
    }

    /// Adds a node, which is no transaction.
    pub fn add_node(&mut self) -> usize {
        self.edges.push(vec![]);
        self.edges.len() - 1
    }

    /// Notes that `from` comes before `to`, unless they are the same.
    pub fn add(&mut self, from: usize, to: usize, kind: Kind) {
        if from != to && !self.edges[from].contains(&(to, kind)) {
            self.edges[from].push((to, kind));
        }
    }

    /// All edges of a kind.
    pub fn edges(&self, kind: Kind) -> impl Iterator<Item = (usize, usize)> {
        let numbered = self.edges.iter().enumerate();
        numbered.flat_map(move |(from, edges)| {
            edges.iter().filter(move |(_, other)| *other == kind).map(move |(to, _)| (from, *to))
        })
    }

    /// The shortest way from one node to another by edges of some kinds.
    pub fn path(&self, from: usize, to: usize, kinds: Kinds) -> Option<Path> {
        let mut before: Vec<Option<(usize, Kind)>> = vec![None; self.edges.len()];
        let mut waiting = VecDeque::from([from]);
        while let Some(node) = waiting.pop_front() {
            for (next, kind) in self.edges[node].iter().filter(|(_, kind)| *kind as u8 & kinds != 0) {
                if before[*next].is_some() {
                    continue;
                }
                before[*next] = Some((node, *kind));
                if *next == to {
                    return Some(way(&before, from, to));
                }
                waiting.push_back(*next);
            }
        }
        None
    }

    /// A cycle of edges of some kinds, from a node back to itself.
    pub fn cycle(&self, kinds: Kinds) -> Option<(usize, Path)> {
        let start = self.on_a_cycle(kinds)?;
        self.path(start, start, kinds).map(|path| (start, path))
    }

    /// A node that is on a cycle: one from which the search comes back to a node that it is not done with.
    fn on_a_cycle(&self, kinds: Kinds) -> Option<usize> {
        #[derive(Clone, Copy, Eq, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.edges.len()];
        for start in 0..self.edges.len() {
            let mut stack = vec![(start, 0)];
            if marks[start] != Mark::New {
                continue;
            }
            marks[start] = Mark::Open;
            while let Some((node, at)) = stack.last_mut() {
                let Some((next, kind)) = self.edges[*node].get(*at) else {
                    marks[*node] = Mark::Done;
                    stack.pop();
                    continue;
                };
                *at += 1;
                if *kind as u8 & kinds == 0 {
                    continue;
                }
                match marks[*next] {
                    Mark::Open => return Some(*next),
                    Mark::Done => {}
                    Mark::New => {
                        marks[*next] = Mark::Open;
                        stack.push((*next, 0));
                    }
                }
            }
        }
        None
    }
}

fn way(before: &[Option<(usize, Kind)>], from: usize, to: usize) -> Path {
    let (mut path, mut node) = (Path::new(), to);
    while let Some((previous, kind)) = before[node] {
        path.push((node, kind));
        node = previous;
        if node == from {
            break;
        }
    }
    path.reverse();
    path
}

#[test]
fn cycles_and_paths_are_found() {
    let mut graph = Graph::new(5);
    for (from, to, kind) in [(0, 1, Kind::Ww), (1, 2, Kind::Wr), (2, 3, Kind::Rw), (3, 1, Kind::Ww), (0, 4, Kind::Rw)] {
        graph.add(from, to, kind);
    }
    assert_eq!(graph.path(0, 3, ALL).unwrap(), [(1, Kind::Ww), (2, Kind::Wr), (3, Kind::Rw)]);
    assert_eq!(graph.path(3, 0, ALL), None);
    assert_eq!((graph.cycle(READS), graph.cycle(WRITES)), (None, None));
    let (start, path) = graph.cycle(ALL).unwrap();
    assert_eq!((start, path.len(), path.last().map(|(node, _)| *node)), (1, 3, Some(1)));
    assert_eq!(graph.edges(Kind::Rw).collect::<Vec<_>>(), [(0, 4), (2, 3)]);
    graph.add(4, 4, Kind::Rw);
    assert_eq!(graph.path(4, 4, ALL), None);
}
