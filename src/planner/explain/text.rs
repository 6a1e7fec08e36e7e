//! Plans as plain text, for a terminal and for tests.
//!
//! ```text
//! # request
//! initial
//!   %0 = literal 0                                              : state
//!   …
//! dead_nodes
//!   …
//! plan
//!   region 1 (call)
//!     %0 = …
//!   region 0 (scalar), the result
//!     %1 = …
//!       → GET /service/…
//!
//! # GET /service/…
//! …
//!
//! literals
//!   0 = "…"
//! ```
//!
//! The regions of a plan stand as the nodes do: each after those that it needs, that of the result last. Below a node that
//! calls a method is the title of its plan. The text depends on nothing but the plan; only an analysis adds times.

use std::collections::HashMap;

use super::{Analysis, Explanation, NodeStats, Part};
use crate::compiler::display::{describe, listing, numbers};
use crate::compiler::{NodeId, OpGraph};
use crate::value::State;
use crate::value::encode::to_json_within;

/// Longest text of a literal, in characters: one line of a terminal.
const LITERAL_CHARS_MAX: usize = 60;

/// Longest text of a result, in characters: enough to recognise it, since the reply itself is elsewhere.
const RESULT_CHARS_MAX: usize = 240;

/// Notes that are shown of one node; one that runs often repeats itself.
const NOTES_MAX: usize = 8;

/// The names of the columns of an analysis.
const COLUMNS: [&str; 4] = ["runs", "rows", "time", "bytes"];

/// The text of an explanation.
pub(super) fn render(explanation: &Explanation) -> String {
    let mut text = String::new();
    for part in &explanation.parts {
        render_part(&mut text, part, &explanation.parts);
        text.push('\n');
    }
    let literals = explanation.literals.iter().enumerate();
    let literals: Vec<String> =
        literals.map(|(index, state)| format!("{index} = {}", state_text(state, LITERAL_CHARS_MAX))).collect();
    if !literals.is_empty() {
        section(&mut text, "literals", literals.iter().map(String::as_str));
    }
    if let Some(result) = &explanation.result {
        section(&mut text, "result", [state_text(result, RESULT_CHARS_MAX).as_str()]);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn render_part(text: &mut String, part: &Part, parts: &[Part]) {
    text.push_str("# ");
    text.push_str(&part.title);
    text.push('\n');
    for stage in &part.stages {
        section(text, stage.name, listing(&stage.graph).lines());
    }
    match &part.analysis {
        None => section(text, "plan", plan_lines(part, parts).iter().map(|line| line.text.as_str())),
        Some(analysis) => {
            for line in with_costs(plan_lines(part, parts), analysis) {
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
    }
}

/// A title, and lines indented below it.
fn section<'a>(text: &mut String, title: &str, lines: impl IntoIterator<Item = &'a str>) {
    text.push_str(title);
    text.push('\n');
    for line in lines {
        text.push_str("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// A line of a plan: a region, a node in it, or what that calls.
struct PlanLine {
    text: String,
    node: Option<NodeId>,
}

fn plan_lines(part: &Part, parts: &[Part]) -> Vec<PlanLine> {
    let graph = &part.plan.graph;
    let numbers = numbers(graph);
    let mut lines = Vec::new();
    // Region 0 is the first that was cut off, and users are cut off before what they use.
    for (index, region) in part.plan.regions.iter().enumerate().rev() {
        let result = if index == 0 { ", the result" } else { "" };
        lines.push(PlanLine { text: format!("region {index} ({}){result}", region.engine.name()), node: None });
        for id in &region.nodes {
            lines.push(PlanLine { text: format!("  {}", node_text(graph, *id, &numbers)), node: Some(*id) });
            let called = part.called(*id, parts);
            lines.extend(called.map(|title| PlanLine { text: format!("    → {title}"), node: None }));
        }
    }
    lines
}

/// A node as in the listings of the stages.
fn node_text(graph: &OpGraph, id: NodeId, numbers: &HashMap<NodeId, usize>) -> String {
    let number = numbers.get(&id).copied().unwrap_or_default();
    let line = format!("%{number} = {}", describe(graph, id, numbers));
    format!("{line:<54} : {}", graph.node(id).class)
}

/// The lines of a plan below their title, with a column for each kind of cost.
fn with_costs(lines: Vec<PlanLine>, analysis: &Analysis) -> Vec<String> {
    let mut rows = vec![(String::from("plan"), COLUMNS.map(String::from))];
    for line in lines {
        let stats = line.node.and_then(|id| analysis.get(&id));
        rows.push((format!("  {}", line.text), line.node.map_or_else(Default::default, |_| costs(stats))));
        let notes = stats.map(|stats| stats.notes.as_slice()).unwrap_or_default();
        for text in notes.iter().take(NOTES_MAX).flat_map(|note| note.lines()) {
            rows.push((format!("      {text}"), Default::default()));
        }
    }
    let text_width = rows.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0);
    let mut widths = [0; COLUMNS.len()];
    for (_, costs) in &rows {
        for (width, cost) in widths.iter_mut().zip(costs) {
            *width = cost.chars().count().max(*width);
        }
    }
    rows.into_iter()
        .map(|(text, costs)| {
            let columns = costs.iter().zip(widths).map(|(cost, width)| format!("  {cost:>width$}"));
            format!("{text:<text_width$}{}", columns.collect::<String>())
        })
        .collect()
}

/// What a node cost, in the order of [`COLUMNS`].
fn costs(stats: Option<&NodeStats>) -> [String; 4] {
    match stats {
        Some(stats) if stats.runs > 0 => {
            [stats.runs.to_string(), stats.rows.to_string(), time_text(stats.nanos), bytes_text(stats.bytes)]
        }
        _ => [(); 4].map(|()| String::from("-")),
    }
}

/// What a node cost, in one line.
pub(super) fn cost_text(stats: &NodeStats) -> String {
    let (time, bytes) = (time_text(stats.nanos), bytes_text(stats.bytes));
    format!("runs {} · rows {} · {time} · {bytes}", stats.runs, stats.rows)
}

/// The JSON text of a state, cut to `chars_max` characters.
pub(super) fn state_text(state: &State, chars_max: usize) -> String {
    // A character has at most four bytes, and six more if it is escaped.
    shorten(&to_json_within(state, 10 * chars_max), chars_max)
}

/// `text`, cut to `chars_max` characters.
pub(super) fn shorten(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_string();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// A duration with a unit that suits it.
fn time_text(nanos: u64) -> String {
    match nanos {
        0..=999 => format!("{nanos} ns"),
        1_000..=999_999 => format!("{:.1} µs", nanos as f64 / 1e3),
        1_000_000..=999_999_999 => format!("{:.1} ms", nanos as f64 / 1e6),
        _ => format!("{:.2} s", nanos as f64 / 1e9),
    }
}

/// A number of bytes with a unit that suits it.
fn bytes_text(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..MIB => format!("{:.1} KiB", bytes as f64 / KIB as f64),
        MIB..GIB => format!("{:.1} MiB", bytes as f64 / MIB as f64),
        _ => format!("{:.1} GiB", bytes as f64 / GIB as f64),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::compiler::methods::Shape;
    use crate::compiler::{Op, Target, Trail};
    use crate::planner::{PhysicalPlan, Stage};
    use crate::value::Id;

    fn call(name: &'static str) -> Op {
        Op::Call(Target::Value(Arc::from(vec![Id::from(name)])), Shape::Get)
    }

    /// `sum = literal + 2; if sum > 2 then sum else literal`, for the tests of all forms.
    pub(in crate::planner::explain) fn sample() -> Explanation {
        let mut graph = OpGraph::new();
        let trail = Arc::new(Trail { step: "sum".into(), caller: None });
        let literal = graph.add(Op::Param(0), &[], None);
        let two = graph.add(Op::Const(State::from(2_i64)), &[], None);
        let sum = graph.add(call("add"), &[literal, two], Some(trail));
        let is_large = graph.add(call("gt"), &[sum, two], None);
        let root = graph.add(Op::If, &[is_large, sum, literal], None);
        graph.set_root(root);
        let stages = vec![Stage { name: "initial", graph: graph.clone() }];
        let plan = PhysicalPlan::new(graph, true);
        let parts = vec![Part { title: "request".into(), stages, plan, calls: BTreeMap::new(), analysis: None }];
        Explanation { parts, literals: vec![State::from("<a> & \"b\"")], result: None }
    }

    /// As [`sample`], with a method that the result is said to be a call of, and that calls itself.
    pub(in crate::planner::explain) fn calling() -> Explanation {
        let mut explanation = sample();
        let mut method = explanation.parts[0].clone();
        method.title = "GET /lib/a/b/1.0.0/<m>".into();
        explanation.parts.push(method);
        for part in &mut explanation.parts {
            part.calls.insert(part.plan.graph.root(), 1);
        }
        explanation
    }

    /// As [`sample`], after it ran.
    pub(in crate::planner::explain) fn analyzed() -> Explanation {
        let mut explanation = sample();
        for part in &mut explanation.parts {
            let stats = NodeStats { runs: 1, rows: 3, nanos: 1_500, bytes: 2_048, notes: vec![] };
            part.analysis = Some([(part.plan.graph.root(), stats)].into_iter().collect());
        }
        explanation.result = Some(State::from("done"));
        explanation
    }

    #[test]
    fn stages_come_before_the_plan_and_the_plan_before_the_literals() {
        let text = render(&sample());
        let places: Vec<Option<usize>> =
            ["# request\n", "\ninitial\n  %0 = literal 0", "\nplan\n", "\nliterals\n  0 = \""]
                .map(|section| text.find(section))
                .to_vec();
        assert!(places.iter().all(Option::is_some), "{text}");
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn the_region_of_the_result_is_the_last() {
        let text = render(&sample());
        let result = text.find("  region 0 (scalar), the result\n    %3 = gt (%2, %1)");
        assert!(
            result.is_some_and(|result| text.find("  region 1 (scalar)\n").is_some_and(|other| other < result)),
            "{text}"
        );
    }

    #[test]
    fn a_method_stands_below_its_call_and_has_its_own_plan() {
        let text = render(&calling());
        let node = format!("{:<54} : state", "%4 = if (%3, %2?, %0?)");
        let call = format!("    {node}\n      → GET /lib/a/b/1.0.0/<m>\n");
        assert_eq!(text.matches(call.as_str()).count(), 2, "{text}");
        assert!(text.contains("\n\n# GET /lib/a/b/1.0.0/<m>\ninitial\n"), "{text}");
    }

    #[test]
    fn the_text_is_the_same_each_time() {
        assert_eq!(render(&sample()), render(&sample()));
        assert!(!render(&sample()).contains("time"));
    }

    #[test]
    fn costs_stand_in_aligned_columns() {
        let text = render(&analyzed());
        let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("plan ")).collect();
        assert!(lines[0].ends_with("bytes"), "{text}");
        let costly = lines.iter().find(|line| line.contains("%4 = if")).unwrap();
        assert!(costly.ends_with("1     3  1.5 µs  2.0 KiB"), "{costly}");
        assert_eq!(costly.chars().count(), lines[0].chars().count());
        assert!(text.ends_with("result\n  \"done\"\n"), "{text}");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
    }

    #[test]
    fn units_suit_the_amount() {
        assert_eq!([time_text(7), time_text(2_500_000), time_text(3_000_000_000)], ["7 ns", "2.5 ms", "3.00 s"]);
        assert_eq!([bytes_text(1023), bytes_text(3 << 20)], ["1023 B", "3.0 MiB"]);
    }
}
