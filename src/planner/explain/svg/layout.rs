//! Where the boxes and edges of a picture go.
//!
//! Nodes stand on levels, each as close above its users as it can, the result at the bottom. An edge that passes a level
//! has a bend there, which takes part in the layout like a thin node, so that no edge runs through a box. The library
//! `rust_sugiyama` orders each level such that few edges cross and aligns what belongs together; all else is done here.
//! If the library fails, or if there is too much for it, the nodes of a level simply stand side by side.
//!
//! Knows nothing of what the nodes mean. Coordinates are pixels, y grows downward.

use std::panic::catch_unwind;

use rust_sugiyama::configure::{Config, CrossingMinimization, RankingType};
use rust_sugiyama::from_vertices_and_edges;

/// Between boxes of one level.
const NODE_GAP: f64 = 28.0;

/// Between anything of one level, if the library leaves less.
const NODE_GAP_MIN: f64 = 10.0;

/// Between levels: enough for the border and the title of a group.
const LEVEL_GAP_MIN: f64 = 54.0;

/// Between levels that are joined by long edges, which would else be too flat to follow.
const LEVEL_GAP_MAX: f64 = 130.0;

/// Between the ends of two edges at one box.
const PORT_GAP: f64 = 16.0;

const BEND_WIDTH: f64 = 2.0;

/// Nodes and bends for which the library is asked: it recurses over them, and its time grows with their square.
const VERTICES_MAX: usize = 1000;

/// Nodes and bends for which the library may try all swaps of neighbours.
const TRANSPOSED_MAX: usize = 300;

/// A place: x, y.
pub(super) type Point = (f64, f64);

/// The width and height of a box.
pub(super) type Size = (f64, f64);

/// The place of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Rect {
    fn around(centre: Point, size: Size) -> Self {
        let (x, y) = centre;
        let (half_width, half_height) = (size.0 / 2.0, size.1 / 2.0);
        Self { left: x - half_width, top: y - half_height, right: x + half_width, bottom: y + half_height }
    }

    /// The smallest rectangle that covers both.
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// Whether the two share a point.
    pub(super) fn touches(self, other: Self) -> bool {
        self.left <= other.right && other.left <= self.right && self.top <= other.bottom && other.top <= self.bottom
    }

    pub(super) fn width(self) -> f64 {
        self.right - self.left
    }

    pub(super) fn height(self) -> f64 {
        self.bottom - self.top
    }

    pub(super) fn centre(self) -> Point {
        (f64::midpoint(self.left, self.right), f64::midpoint(self.top, self.bottom))
    }
}

/// The places of everything, from (0, 0) to (width, height).
pub(super) struct Layout {
    /// Of each node.
    pub(super) boxes: Vec<Rect>,
    /// Of each edge, the points that it passes vertically.
    pub(super) routes: Vec<Vec<Point>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Places nodes of the given sizes. An edge runs from an operand to a user, which has the higher number.
pub(super) fn arrange(sizes: &[Size], edges: &[(usize, usize)]) -> Layout {
    let levels = Levels::new(sizes, edges);
    let mut xs = levels.ask_library().unwrap_or_else(|| levels.side_by_side());
    levels.separate(&mut xs);
    let left = bound(&xs, |vertex, x| x - levels.width[vertex] / 2.0, f64::min);
    for x in &mut xs {
        *x -= left;
    }
    let width = bound(&xs, |vertex, x| x + levels.width[vertex] / 2.0, f64::max);
    let bands = levels.bands(sizes, &xs);
    let centre = |node: usize| (xs[node], f64::midpoint(bands[levels.level[node]].0, bands[levels.level[node]].1));
    let boxes: Vec<Rect> = sizes.iter().enumerate().map(|(node, size)| Rect::around(centre(node), *size)).collect();
    let ends = levels.ends(sizes, &xs);
    let routes = levels.chains.iter().zip(ends).map(|(chain, end)| levels.route(chain, end, &xs, &boxes, &bands));
    let height = bands.first().map_or(0.0, |(_, bottom)| *bottom);
    Layout { routes: routes.collect(), boxes, width, height }
}

/// The extreme of `side` over all vertices.
fn bound(xs: &[f64], side: impl Fn(usize, f64) -> f64, extreme: fn(f64, f64) -> f64) -> f64 {
    xs.iter().enumerate().map(|(vertex, x)| side(vertex, *x)).reduce(extreme).unwrap_or(0.0)
}

/// The nodes, then the bends of the edges, each on a level. Level 0 is at the bottom.
struct Levels {
    /// Of each vertex.
    level: Vec<usize>,
    /// Of each vertex.
    width: Vec<f64>,
    /// The vertices of each edge, from operand to user.
    chains: Vec<Vec<usize>>,
    /// The vertices of each level.
    rows: Vec<Vec<usize>>,
    /// Whether the library is asked: there are few vertices, and no edge passes a level without a bend.
    is_small: bool,
}

impl Levels {
    fn new(sizes: &[Size], edges: &[(usize, usize)]) -> Self {
        let mut level = levels_of(sizes.len(), edges);
        let mut width: Vec<f64> = sizes.iter().map(|size| size.0).collect();
        let bends: usize = edges.iter().map(|(from, to)| level[*from].saturating_sub(level[*to] + 1)).sum();
        let is_small = sizes.len() + bends <= VERTICES_MAX;
        let mut chains = Vec::with_capacity(edges.len());
        for (from, to) in edges {
            let mut chain = vec![*from];
            if is_small {
                for passed in (level[*to] + 1..level[*from]).rev() {
                    chain.push(level.len());
                    level.push(passed);
                    width.push(BEND_WIDTH);
                }
            }
            chain.push(*to);
            chains.push(chain);
        }
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); level.iter().max().map_or(0, |top| top + 1)];
        for (vertex, level) in level.iter().enumerate() {
            rows[*level].push(vertex);
        }
        Self { level, width, chains, rows, is_small }
    }

    /// The centres of all vertices, as the library places them.
    fn ask_library(&self) -> Option<Vec<f64>> {
        // The library has no use for a lone vertex.
        if !self.is_small || self.level.len() < 2 {
            return None;
        }
        // Users first: the library ranks in this order, and finds the levels that we already have.
        let order: Vec<usize> = self.rows.iter().flatten().copied().collect();
        let mut place = vec![0_u32; order.len()];
        let mut vertices: Vec<(u32, Size)> = Vec::with_capacity(order.len());
        for (position, vertex) in order.iter().enumerate() {
            place[*vertex] = position as u32;
            vertices.push((position as u32, (self.width[*vertex], 1.0)));
        }
        let pairs = self.chains.iter().flat_map(|chain| chain.windows(2));
        let edges: Vec<(u32, u32)> = pairs.map(|pair| (place[pair[0]], place[pair[1]])).collect();
        let config = Config {
            minimum_length: 1,
            vertex_spacing: NODE_GAP,
            dummy_vertices: true,
            dummy_size: 1.0,
            ranking_type: RankingType::Down,
            c_minimization: CrossingMinimization::Barycenter,
            transpose: order.len() <= TRANSPOSED_MAX,
        };
        // The library unwraps in many places. A picture that is less than beautiful is better than none.
        let parts = catch_unwind(|| from_vertices_and_edges(&vertices, &edges, &config)).ok()?;
        let parts: Vec<Vec<(usize, Point)>> = parts.into_iter().map(|(part, _, _)| part).collect();
        self.join(&order, &parts)
    }

    /// Puts parts that are not connected side by side. `None` if a vertex has no sensible place.
    fn join(&self, order: &[usize], parts: &[Vec<(usize, Point)>]) -> Option<Vec<f64>> {
        let mut xs = vec![f64::NAN; order.len()];
        let mut left = 0.0_f64;
        for part in parts {
            let mut places: Vec<(usize, f64)> = Vec::with_capacity(part.len());
            for (position, (x, _)) in part {
                places.push((*order.get(*position)?, *x));
            }
            let start = places.iter().map(|(vertex, x)| x - self.width[*vertex] / 2.0).fold(f64::INFINITY, f64::min);
            let mut right = left;
            for (vertex, x) in places {
                xs[vertex] = left + x - start;
                right = right.max(xs[vertex] + self.width[vertex] / 2.0);
            }
            left = right + NODE_GAP;
        }
        xs.iter().all(|x| x.is_finite()).then_some(xs)
    }

    /// The centres of all vertices, each level on its own and centred.
    fn side_by_side(&self) -> Vec<f64> {
        let mut xs = vec![0.0; self.level.len()];
        for row in &self.rows {
            let total: f64 = row.iter().map(|vertex| self.width[*vertex] + NODE_GAP).sum();
            let mut left = -total / 2.0;
            for vertex in row {
                xs[*vertex] = left + (self.width[*vertex] + NODE_GAP) / 2.0;
                left += self.width[*vertex] + NODE_GAP;
            }
        }
        xs
    }

    /// Moves vertices to the right until none overlaps another of its level.
    fn separate(&self, xs: &mut [f64]) {
        for row in &self.rows {
            let mut row = row.clone();
            row.sort_by(|a, b| xs[*a].total_cmp(&xs[*b]));
            for pair in row.windows(2) {
                let least = xs[pair[0]] + (self.width[pair[0]] + self.width[pair[1]]) / 2.0 + NODE_GAP_MIN;
                xs[pair[1]] = xs[pair[1]].max(least);
            }
        }
    }

    /// The top and bottom of each level.
    fn bands(&self, sizes: &[Size], xs: &[f64]) -> Vec<(f64, f64)> {
        let mut reach = vec![0.0_f64; self.rows.len()];
        for pair in self.chains.iter().flat_map(|chain| chain.windows(2)) {
            let below = &mut reach[self.level[pair[0]]];
            *below = below.max((xs[pair[0]] - xs[pair[1]]).abs());
        }
        let mut bands = vec![(0.0, 0.0); self.rows.len()];
        let mut top = 0.0;
        for (level, row) in self.rows.iter().enumerate().rev() {
            let height = row.iter().filter_map(|vertex| sizes.get(*vertex)).map(|size| size.1).fold(0.0, f64::max);
            bands[level] = (top, top + height);
            top += height + (reach[level] * 0.15).clamp(LEVEL_GAP_MIN, LEVEL_GAP_MAX);
        }
        bands
    }

    /// Where each edge ends at the top of its user: side by side, in the order in which the edges come.
    fn ends(&self, sizes: &[Size], xs: &[f64]) -> Vec<f64> {
        let mut entering: Vec<Vec<(f64, usize)>> = vec![Vec::new(); sizes.len()];
        for (edge, chain) in self.chains.iter().enumerate() {
            if let [.., before, user] = chain.as_slice() {
                entering[*user].push((xs[*before], edge));
            }
        }
        let mut ends = vec![0.0; self.chains.len()];
        for (node, mut edges) in entering.into_iter().enumerate() {
            edges.sort_by(|a, b| a.0.total_cmp(&b.0));
            let gap = PORT_GAP.min(sizes[node].0 / (edges.len() as f64 + 1.0));
            let mut end = xs[node] - gap * (edges.len() as f64 - 1.0) / 2.0;
            for (_, edge) in edges {
                ends[edge] = end;
                end += gap;
            }
        }
        ends
    }

    /// The points of an edge. Within a level it is vertical, and only between levels it is not.
    fn route(&self, chain: &[usize], end: f64, xs: &[f64], boxes: &[Rect], bands: &[(f64, f64)]) -> Vec<Point> {
        let mut points = Vec::with_capacity(2 * chain.len());
        for (place, vertex) in chain.iter().enumerate() {
            let (top, bottom) = bands[self.level[*vertex]];
            if place == 0 {
                points.extend([(xs[*vertex], boxes[*vertex].bottom), (xs[*vertex], bottom)]);
            } else if place + 1 == chain.len() {
                points.extend([(end, top), (end, boxes[*vertex].top)]);
            } else {
                points.extend([(xs[*vertex], top), (xs[*vertex], bottom)]);
            }
        }
        points
    }
}

/// The level of each node: one above the topmost of its users.
fn levels_of(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for (from, to) in edges {
        users[*from].push(*to);
    }
    let mut level = vec![0_usize; nodes];
    for node in (0..nodes).rev() {
        level[node] = users[node].iter().map(|user| level[*user] + 1).max().unwrap_or(0);
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what every layout must keep.
    #[track_caller]
    fn check(nodes: usize, edges: &[(usize, usize)]) -> Layout {
        let sizes: Vec<Size> = (0..nodes).map(|node| (60.0 + 40.0 * (node % 4) as f64, 45.0)).collect();
        let layout = arrange(&sizes, edges);
        assert_eq!((layout.boxes.len(), layout.routes.len()), (nodes, edges.len()));
        for (index, rect) in layout.boxes.iter().enumerate() {
            assert!(rect.left >= -0.01 && rect.top >= 0.0, "{rect:?}");
            assert!(rect.right <= layout.width + 0.01 && rect.bottom <= layout.height + 0.01, "{rect:?}");
            assert!(layout.boxes[..index].iter().all(|other| !rect.touches(*other)), "{rect:?} overlaps another");
        }
        for ((from, to), route) in edges.iter().zip(&layout.routes) {
            assert!(layout.boxes[*from].bottom < layout.boxes[*to].top);
            assert_eq!(route.first().map(|point| point.1), Some(layout.boxes[*from].bottom));
            assert_eq!(route.last().map(|point| point.1), Some(layout.boxes[*to].top));
        }
        layout
    }

    #[test]
    fn nothing_and_single_nodes_are_placed() {
        check(0, &[]);
        let layout = check(1, &[]);
        assert_eq!((layout.width, layout.height), (60.0, 45.0));
    }

    #[test]
    fn parts_that_are_not_connected_stand_side_by_side() {
        check(3, &[]);
        check(5, &[(0, 1), (2, 3)]);
    }

    #[test]
    fn operands_stand_above_their_users() {
        check(5, &[(0, 2), (1, 2), (2, 3), (1, 3), (3, 4), (2, 4), (0, 4)]);
    }

    #[test]
    fn long_edges_pass_beside_the_boxes() {
        let layout = check(4, &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        for rect in &layout.boxes[1..3] {
            let beside = layout.routes[3].iter().filter(|(_, y)| *y > rect.top - 0.01 && *y < rect.bottom + 0.01);
            assert_eq!(beside.filter(|(x, _)| *x < rect.left || *x > rect.right).count(), 2);
        }
    }

    #[test]
    fn many_nodes_are_placed_without_the_library() {
        let edges: Vec<(usize, usize)> =
            (1..300).map(|node| (node - 1, node)).chain((0..298).map(|n| (n, 299))).collect();
        check(300, &edges);
    }

    #[test]
    fn a_wide_graph_is_placed() {
        let edges: Vec<(usize, usize)> = (0..120).map(|node| (node, 120 + node % 7)).collect();
        let edges: Vec<(usize, usize)> = edges.into_iter().chain((120..127).map(|node| (node, 127))).collect();
        check(128, &edges);
    }
}
