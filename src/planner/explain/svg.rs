//! Plans as a picture, which needs nothing else to be shown.
//!
//! Each part is drawn below its title: operands above their users, the result at the bottom. A box says what its node
//! computes, its number in the listings, its class and step, the value of a literal, the method that it calls, and what it
//! cost; hovering shows the operands in order. [`layout`] says where everything goes; here it is only drawn.

mod layout;

use std::collections::HashMap;
use std::fmt::Write as _;

use super::text::{cost_text, shorten, state_text};
use super::{Explanation, Part};
use crate::compiler::display::{describe, label, numbers};
use crate::compiler::{Demand, NodeId, Op, OpGraph};
use crate::planner::Engine;
use crate::value::State;
use layout::{Layout, Point, Rect, Size, arrange};

/// Nodes of a part that is drawn: with more, a picture is neither readable nor quick.
const NODES_MAX: usize = 400;

/// Longest line in a box, in characters.
const LINE_CHARS_MAX: usize = 40;

/// Longest text that is shown when hovering, in characters.
const TIP_CHARS_MAX: usize = 400;

/// Longest title or result below, in characters.
const TITLE_CHARS_MAX: usize = 90;

/// The width of a character of the font, as a part of the font's size. Monospaced fonts have 0.55 to 0.61.
const CHAR_WIDTH: f64 = 0.62;

/// Around everything; also room for the borders of groups.
const MARGIN: f64 = 32.0;

const LINE_HEIGHT: f64 = 15.0;
const BOX_WIDTH_MIN: f64 = 76.0;

/// The rules name the class of the picture, so that they touch nothing else on a page that it is part of.
const STYLE: &str = r##"<style>
.tc-plan text { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1f2937; }
.tc-plan .title { font-size: 16px; font-weight: bold; }
.tc-plan .op { font-size: 13px; font-weight: bold; text-anchor: middle; }
.tc-plan .detail { font-size: 11px; fill: #6b7280; text-anchor: middle; }
.tc-plan .value { font-size: 11px; fill: #15803d; text-anchor: middle; }
.tc-plan .cost { font-size: 11px; fill: #9a3412; text-anchor: middle; }
.tc-plan .note { font-size: 11px; fill: #6b7280; }
.tc-plan .scalar { fill: #dbeafe; stroke: #5b8fc7; stroke-width: 1.2; }
.tc-plan .call { fill: #fde8cc; stroke: #d08b3a; stroke-width: 1.2; }
.tc-plan .data { fill: #dcf3e6; stroke: #3a8f6b; stroke-width: 1.2; }
.tc-plan .result { stroke: #1f2937; stroke-width: 2.6; }
.tc-plan .group { fill: #f1f5f9; stroke: #cbd5e1; }
.tc-plan .edge { fill: none; stroke: #64748b; stroke-width: 1.3; }
.tc-plan .lazy { stroke-dasharray: 6 4; }
.tc-plan .recall { stroke-dasharray: 1.5 4; stroke-linecap: round; stroke: #7c3aed; }
</style>
<defs><marker id="tc-arrow" viewBox="0 0 10 10" refX="9.5" refY="5" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 1 10 5 0 9z" fill="#64748b"/></marker></defs>
"##;

/// Something drawn, from (0, 0) to (width, height).
struct Picture {
    svg: String,
    width: f64,
    height: f64,
}

/// The picture of an explanation.
pub(super) fn render(explanation: &Explanation) -> String {
    let mut pictures = vec![legend()];
    for part in &explanation.parts {
        pictures.push(title(&part.title, 16.0));
        pictures.push(draw_part(part, &explanation.parts, &explanation.literals));
    }
    if let Some(result) = &explanation.result {
        pictures.push(title(&format!("result {}", state_text(result, TITLE_CHARS_MAX)), 16.0));
    }
    let width = pictures.iter().map(|picture| picture.width).fold(0.0, f64::max) + 2.0 * MARGIN;
    let mut body = String::new();
    let mut y = MARGIN;
    for picture in pictures {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(body, r#"<g transform="translate({MARGIN} {y:.1})">"#);
        body.push_str(&picture.svg);
        body.push_str("</g>\n");
        y += picture.height + MARGIN;
    }
    let size = format!(r#"width="{width:.0}" height="{y:.0}" viewBox="0 0 {width:.0} {y:.0}""#);
    // The background is drawn, so that a dark viewer does not put dark text on dark ground.
    let ground = r##"<rect width="100%" height="100%" fill="#fcfdfe"/>"##;
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tc-plan\" {size}>\n{STYLE}{ground}\n{body}</svg>\n")
}

fn title(text: &str, font_size: f64) -> Picture {
    let text = shorten(text, TITLE_CHARS_MAX);
    let svg = format!("<text class=\"title\" x=\"0\" y=\"{font_size}\">{}</text>\n", escape(&text));
    Picture { svg, width: text_width(&text, font_size), height: font_size + 4.0 }
}

/// What the looks mean, in one row.
fn legend() -> Picture {
    let swatch = |class: &str| format!(r#"<rect class="{class}" x="1" y="1" width="26" height="14" rx="4"/>"#);
    let line = |class: &str| format!(r#"<path class="{class}" d="M0 8H28" marker-end="url(#tc-arrow)"/>"#);
    let entries = [
        (swatch("scalar"), "scalar region"),
        (swatch("data"), "data region"),
        (swatch("call"), "call region"),
        (swatch("scalar result"), "result"),
        (line("edge"), "operand"),
        (line("edge lazy"), "lazy operand"),
        (line("edge recall"), "recall"),
    ];
    let (mut svg, mut x) = (String::new(), 0.0);
    for (symbol, text) in entries {
        let _ = writeln!(
            svg,
            r#"<g transform="translate({x:.1} 0)">{symbol}<text class="note" x="35" y="12">{text}</text></g>"#
        );
        x += 35.0 + text_width(text, 11.0) + 22.0;
    }
    Picture { svg, width: x, height: 16.0 }
}

/// How a line of a box looks.
#[derive(Clone, Copy)]
enum Look {
    Op,
    Detail,
    Value,
    Cost,
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Look::Op => "op",
            Look::Detail => "detail",
            Look::Value => "value",
            Look::Cost => "cost",
        }
    }

    fn font_size(self) -> f64 {
        match self {
            Look::Op => 13.0,
            Look::Detail | Look::Value | Look::Cost => 11.0,
        }
    }
}

/// A node as it is drawn.
struct Card {
    lines: Vec<(Look, String)>,
    tip: String,
    class: &'static str,
}

impl Card {
    fn new(part: &Part, parts: &[Part], literals: &[State], numbers: &HashMap<NodeId, usize>, id: NodeId) -> Self {
        let graph = &part.plan.graph;
        let node = graph.node(id);
        let number = numbers.get(&id).copied().unwrap_or_default();
        let mut lines = vec![(Look::Op, label(graph, &node.op))];
        let step = node.trail.as_ref().map(|trail| format!(" · {}", trail.step)).unwrap_or_default();
        lines.push((Look::Detail, format!("%{number} : {}{step}", node.class)));
        if let Op::Param(index) = &node.op
            && let Some(literal) = literals.get(*index as usize)
        {
            lines.push((Look::Value, state_text(literal, LINE_CHARS_MAX)));
        }
        let called = part.called(id, parts);
        lines.extend(called.map(|title| (Look::Detail, format!("→ {title}"))));
        for (_, line) in &mut lines {
            *line = shorten(line, LINE_CHARS_MAX);
        }
        if let Some(stats) = part.analysis.as_ref().and_then(|analysis| analysis.get(&id)) {
            lines.push((Look::Cost, cost_text(stats)));
        }
        let region = part.plan.region_of.get(&id).copied().unwrap_or_default();
        let mut tip = format!("%{number} = {}\nregion {region}", shorten(&describe(graph, id, numbers), TIP_CHARS_MAX));
        if let Some(title) = called {
            let _ = write!(tip, "\ncalls {}", shorten(title, TIP_CHARS_MAX));
        }
        Self { lines, tip, class: box_class(part, region, id == graph.root()) }
    }

    fn size(&self) -> Size {
        let width = self.lines.iter().map(|(look, line)| text_width(line, look.font_size())).fold(0.0, f64::max);
        (BOX_WIDTH_MIN.max(width + 24.0), 16.0 + LINE_HEIGHT * self.lines.len() as f64)
    }

    fn draw(&self, svg: &mut String, place: Rect) {
        let _ = writeln!(svg, "<g><title>{}</title>", escape(&self.tip));
        let _ = writeln!(svg, "<rect class=\"{}\" rx=\"8\" {}/>", self.class, rect_attributes(place));
        let x = place.centre().0;
        let mut y = place.top + 20.0;
        for (look, line) in &self.lines {
            let _ = writeln!(svg, r#"<text class="{}" x="{x:.1}" y="{y:.1}">{}</text>"#, look.class(), escape(line));
            y += LINE_HEIGHT;
        }
        svg.push_str("</g>\n");
    }
}

/// The look of a box: by the engine of its region, and whether it is the result.
fn box_class(part: &Part, region: usize, is_result: bool) -> &'static str {
    match (part.plan.regions.get(region).map(|region| region.engine), is_result) {
        (Some(Engine::Data), false) => "data",
        (Some(Engine::Data), true) => "data result",
        (Some(Engine::Call), false) => "call",
        (Some(Engine::Call), true) => "call result",
        (_, false) => "scalar",
        (_, true) => "scalar result",
    }
}

/// An edge as it is drawn: one for each operand and user, however often the operand is used.
struct Wire {
    from: usize,
    to: usize,
    demand: Demand,
}

fn wires(graph: &OpGraph, order: &[NodeId], numbers: &HashMap<NodeId, usize>) -> Vec<Wire> {
    let mut wires: Vec<Wire> = Vec::new();
    let mut places: HashMap<(usize, usize), usize> = HashMap::new();
    for (to, id) in order.iter().enumerate() {
        for (slot, operand) in graph.operands(*id).into_iter().enumerate() {
            let Some(from) = numbers.get(&operand).copied() else { continue };
            let demand = graph.op(*id).demand(slot);
            let place = *places.entry((from, to)).or_insert_with(|| {
                wires.push(Wire { from, to, demand });
                wires.len() - 1
            });
            if demand == Demand::Strict {
                wires[place].demand = demand;
            }
        }
    }
    wires
}

fn draw_part(part: &Part, parts: &[Part], literals: &[State]) -> Picture {
    let graph = &part.plan.graph;
    let order = graph.topological();
    if order.len() > NODES_MAX {
        return message(&format!("{} nodes are too many for a picture: ask for text, JSON or DOT", order.len()));
    }
    let numbers = numbers(graph);
    let cards: Vec<Card> = order.iter().map(|id| Card::new(part, parts, literals, &numbers, *id)).collect();
    let wires = wires(graph, &order, &numbers);
    let sizes: Vec<Size> = cards.iter().map(Card::size).collect();
    let ends: Vec<(usize, usize)> = wires.iter().map(|wire| (wire.from, wire.to)).collect();
    let layout = arrange(&sizes, &ends);
    // What is drawn later covers what was drawn before.
    let mut svg = String::new();
    draw_groups(&mut svg, part, &layout, &numbers);
    for (wire, route) in wires.iter().zip(&layout.routes) {
        let class = if wire.demand == Demand::Lazy { "edge lazy" } else { "edge" };
        let _ = writeln!(svg, r#"<path class="{class}" d="{}" marker-end="url(#tc-arrow)"/>"#, curve(route));
    }
    let right = draw_recalls(&mut svg, graph, &order, &layout, &numbers);
    for (card, place) in cards.iter().zip(&layout.boxes) {
        card.draw(&mut svg, *place);
    }
    Picture { svg, width: right, height: layout.height }
}

/// A box with a text, in place of a drawing.
fn message(text: &str) -> Picture {
    let place = Rect { left: 0.0, top: 0.0, right: text_width(text, 13.0) + 40.0, bottom: 48.0 };
    let (x, y) = place.centre();
    let frame = rect_attributes(place);
    let svg = format!(
        "<rect class=\"group\" rx=\"8\" {frame}/>\n<text class=\"op\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>\n",
        y + 5.0,
        escape(text)
    );
    Picture { svg, width: place.width(), height: place.height() }
}

/// A frame around the nodes of each region, where no other node is in the way.
fn draw_groups(svg: &mut String, part: &Part, layout: &Layout, numbers: &HashMap<NodeId, usize>) {
    if part.plan.regions.len() < 2 {
        return;
    }
    for (index, region) in part.plan.regions.iter().enumerate() {
        let members: Vec<usize> = region.nodes.iter().filter_map(|id| numbers.get(id).copied()).collect();
        let places = members.iter().filter_map(|member| layout.boxes.get(*member).copied());
        let Some(inner) = places.reduce(Rect::union) else { continue };
        let frame = Rect {
            left: inner.left - 10.0,
            top: inner.top - 19.0,
            right: inner.right + 10.0,
            bottom: inner.bottom + 10.0,
        };
        let is_free = |(node, place): (usize, &Rect)| members.contains(&node) || !frame.touches(*place);
        if members.len() < 2 || !layout.boxes.iter().enumerate().all(is_free) {
            continue;
        }
        let _ = writeln!(svg, r#"<rect class="group" rx="12" {}/>"#, rect_attributes(frame));
        let (x, y) = (frame.left + 10.0, frame.top + 13.0);
        let _ = writeln!(svg, r#"<text class="note" x="{x:.1}" y="{y:.1}">region {index}</text>"#);
    }
}

/// Dotted lines from the nodes that are recalled, to the right of both boxes. Returns the right end of the drawing.
fn draw_recalls(
    svg: &mut String,
    graph: &OpGraph,
    order: &[NodeId],
    layout: &Layout,
    numbers: &HashMap<NodeId, usize>,
) -> f64 {
    let mut right = layout.width;
    for (node, id) in order.iter().enumerate() {
        let Op::Recall(target) = graph.op(*id) else { continue };
        let target = numbers.get(target).and_then(|target| layout.boxes.get(*target));
        let (Some(from), Some(to)) = (target, layout.boxes.get(node)) else { continue };
        let (from_y, to_y) = (from.centre().1, to.centre().1);
        let bend = from.right.max(to.right) + 48.0;
        right = right.max(bend);
        let _ = writeln!(
            svg,
            r#"<path class="edge recall" d="M{:.1} {from_y:.1}C{bend:.1} {from_y:.1} {bend:.1} {to_y:.1} {:.1} {to_y:.1}" marker-end="url(#tc-arrow)"/>"#,
            from.right, to.right
        );
    }
    right
}

/// A smooth path that is vertical at each of `points`.
fn curve(points: &[Point]) -> String {
    let is_close = |a: f64, b: f64| (a - b).abs() < 0.05;
    let mut path = String::new();
    let mut last: Option<Point> = None;
    for (x, y) in points.iter().copied() {
        let _ = match last {
            None => write!(path, "M{x:.1} {y:.1}"),
            Some((last_x, last_y)) if is_close(last_x, x) && is_close(last_y, y) => continue,
            Some((last_x, _)) if is_close(last_x, x) => write!(path, "V{y:.1}"),
            Some((last_x, last_y)) => {
                let middle = f64::midpoint(last_y, y);
                write!(path, "C{last_x:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}")
            }
        };
        last = Some((x, y));
    }
    path
}

fn rect_attributes(rect: Rect) -> String {
    let (width, height) = (rect.width(), rect.height());
    format!(r#"x="{:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}""#, rect.left, rect.top)
}

/// The width of a text, estimated. Characters of East Asian scripts are twice as wide as others.
fn text_width(text: &str, font_size: f64) -> f64 {
    let columns: u32 =
        text.chars().map(|c| if c < '\u{1100}' || ('\u{2000}'..'\u{2e80}').contains(&c) { 1 } else { 2 }).sum();
    f64::from(columns) * font_size * CHAR_WIDTH
}

/// Text as XML, without the characters that XML cannot hold.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::text::tests::{analyzed, calling, sample};
    use super::*;
    use crate::planner::PhysicalPlan;

    fn part_of(graph: OpGraph) -> Part {
        let (title, plan) = ("a <title>".into(), PhysicalPlan::new(graph, true));
        Part { title, stages: vec![], plan, calls: BTreeMap::new(), analysis: None }
    }

    #[test]
    fn every_node_has_a_box_and_every_edge_a_path() {
        let svg = render(&sample());
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<title>").count(), 5);
        // Seven operands, of which no two join the same nodes; three lines are in the legend.
        assert_eq!(svg.matches("<path class=\"edge").count(), 7 + 3);
        assert_eq!(svg.matches("class=\"edge lazy\"").count(), 2 + 1);
        assert_eq!(svg.matches("class=\"scalar result\"").count(), 1 + 1);
    }

    #[test]
    fn text_is_escaped() {
        let svg = render(&sample());
        assert!(svg.contains(r"&quot;&lt;a&gt; &amp; \&quot;b\&quot;&quot;"), "{svg}");
        assert_eq!(escape("a\u{0}\"\n"), "a\u{fffd}&quot;\n");
    }

    #[test]
    fn the_picture_is_the_same_each_time() {
        assert_eq!(render(&sample()), render(&sample()));
    }

    #[test]
    fn a_call_names_its_method_which_is_drawn_too() {
        let svg = render(&calling());
        assert_eq!(svg.matches(">→ GET /lib/a/b/1.0.0/&lt;m&gt;</text>").count(), 2, "{svg}");
        assert_eq!(svg.matches("calls GET /lib/a/b/1.0.0/&lt;m&gt;</title>").count(), 2, "{svg}");
        assert!(svg.contains("<text class=\"title\" x=\"0\" y=\"16\">GET /lib/a/b/1.0.0/&lt;m&gt;</text>"), "{svg}");
    }

    #[test]
    fn costs_and_result_are_shown_after_a_run() {
        let svg = render(&analyzed());
        assert!(svg.contains("runs 1 · rows 3 · 1.5 µs · 2.0 KiB"));
        assert!(svg.contains("result &quot;done&quot;"));
    }

    #[test]
    fn a_single_node_is_drawn() {
        let picture = draw_part(&part_of(OpGraph::new()), &[], &[]);
        assert!(picture.svg.contains("scalar result"));
        assert!(picture.width >= BOX_WIDTH_MIN && picture.height > 0.0);
    }

    #[test]
    fn a_recall_is_a_dotted_line() {
        let mut graph = OpGraph::new();
        let inner = graph.add(Op::Const(State::from(1_i64)), &[], None);
        let root = graph.add(Op::Tuple, &[inner], None);
        graph.rewrite(inner, Op::Recall(root), &[]);
        graph.set_root(root);
        let picture = draw_part(&part_of(graph), &[], &[]);
        assert_eq!(picture.svg.matches("edge recall").count(), 1);
    }

    #[test]
    fn a_huge_graph_is_a_message() {
        let mut graph = OpGraph::new();
        let items: Vec<NodeId> =
            (0..NODES_MAX).map(|item| graph.add(Op::Const(State::from(item as u64)), &[], None)).collect();
        let root = graph.add(Op::Tuple, &items, None);
        graph.set_root(root);
        let picture = draw_part(&part_of(graph), &[], &[]);
        assert!(picture.svg.contains("401 nodes are too many"));
    }

    #[test]
    fn curves_are_straight_where_they_can_be() {
        assert_eq!(curve(&[(0.0, 0.0), (0.0, 0.0), (0.0, 10.0)]), "M0.0 0.0V10.0");
        assert_eq!(curve(&[(0.0, 0.0), (4.0, 10.0)]), "M0.0 0.0C0.0 5.0 4.0 5.0 4.0 10.0");
    }
}
