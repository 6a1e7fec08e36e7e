//! The stages of a request, one by one, in this process.

use tinychain::compiler::{BuildContext, Program, build_program};
use tinychain::exec::Prepared;
use tinychain::limits::Limits;
use tinychain::planner::{Optimizer, PhysicalPlan, RuleContext};
use tinychain::value::{Authority, State};

use crate::Effort;
use crate::program::{InProcess, chain, chain_result, decode};
use crate::table::{Samples, Table, Until, figure, measure, micros, nothing};

/// Lengths of programs.
const OPS: [usize; 4] = [2, 10, 200, 1_000];
/// Programs of one shape with other literals.
const LITERALS: usize = 64;

const COLUMNS: [&str; 7] = ["ops, stage", "µs p50", "µs p99", "ns/op", "samples", "peer µs p50", "ratio"];

/// Measures all stages for programs of several lengths.
pub fn run(effort: &Effort) {
    let title = "stages: a chain of scalar ops in one request, in process (peer: serde_json parses the same text)";
    let mut table = Table::new(title, &COLUMNS);
    for ops in OPS {
        let mut chain = Chain { ops, until: effort.stage, table: &mut table };
        chain.decoding();
        chain.planning();
        chain.running();
        chain.whole();
    }
    table.print();
}

struct Chain<'a> {
    ops: usize,
    until: Until,
    table: &'a mut Table,
}

impl Chain<'_> {
    fn row(&mut self, stage: &str, samples: &Samples, peer: Option<&Samples>) {
        self.table.row([
            format!("{:>4} {stage}", self.ops),
            micros(samples.p50()),
            micros(samples.p99()),
            figure(samples.p50() / self.ops as f64),
            samples.count().to_string(),
            peer.map_or_else(nothing, |peer| micros(peer.p50())),
            peer.map_or_else(nothing, |peer| figure(samples.p50() / peer.p50())),
        ]);
    }

    fn text(&self, literal: usize) -> String {
        chain(self.ops, literal, "s")
    }

    /// Programs of one shape.
    fn texts(&self) -> Vec<String> {
        (1..=LITERALS).map(|literal| self.text(literal)).collect()
    }

    /// JSON to a document, and that to a program.
    fn decoding(&mut self) {
        let text = self.text(1);
        let samples = measure(self.until, || (), |()| decode(&text));
        let peer = measure(self.until, || (), |()| serde_json::from_str::<serde_json::Value>(&text));
        self.row("decode", &samples, Some(&peer));
    }

    /// A program to a graph, and that to a plan.
    fn planning(&mut self) {
        let program = decode(&self.text(1));
        let nodes_max = Limits::default().graph_nodes;
        let build = BuildContext::new(nodes_max, |_: &Authority| false, || Ok(()));
        let samples = measure(self.until, || (), |()| build_program(&program, &build));
        self.row("build the graph", &samples, None);

        let (optimizer, rules) = (Optimizer::default(), RuleContext { build: &build });
        let mut graph = build_program(&program, &build).expect("the program has a graph");
        let optimized = measure(
            self.until,
            || graph.clone(),
            |mut graph| {
                optimizer.optimize(&mut graph, &rules).expect("the rules work");
                graph
            },
        );
        self.row("optimise", &optimized, None);

        optimizer.optimize(&mut graph, &rules).expect("the rules work");
        let merges = optimizer.merges_regions();
        let planned = measure(self.until, || graph.clone(), |graph| PhysicalPlan::new(graph, merges));
        self.row("plan", &planned, None);
    }

    /// What the kernel does with a program: compile it, unless it knows the shape, and run it.
    fn running(&mut self) {
        let programs: Vec<Program> = self.texts().iter().map(|text| decode(text)).collect();
        let fresh = || (InProcess::new(), programs[0].clone());
        let compiled = measure(self.until, fresh, |(host, program): (InProcess, Program)| {
            let prepared = host.prepare(program);
            (host, prepared)
        });
        self.row("compile, new shape", &compiled, None);

        let host = InProcess::new();
        let prepared: Vec<Prepared> = programs.iter().map(|program| host.prepare(program.clone())).collect();
        let mut cycle = programs.iter().cycle();
        let next = || cycle.next().expect("there are programs").clone();
        let found = measure(self.until, next, |program: Program| host.prepare(program));
        self.row("compile, known shape", &found, None);

        for (i, program) in prepared.iter().enumerate() {
            assert_eq!(host.run(program), State::from(chain_result(self.ops, i + 1)));
        }
        let mut cycle = prepared.iter().cycle();
        let run = measure(self.until, || cycle.next().expect("there are programs"), |program| host.run(program));
        self.row("run", &run, None);
    }

    /// From JSON to the result.
    fn whole(&mut self) {
        let texts = self.texts();
        let new = measure(self.until, InProcess::new, |host: InProcess| {
            let state = answer(&host, &texts[0]);
            (host, state)
        });
        self.row("whole, new shape", &new, None);

        let host = InProcess::new();
        let mut cycle = texts.iter().cycle();
        let known = measure(self.until, || cycle.next().expect("there are texts"), |text| answer(&host, text));
        self.row("whole, known shape", &known, None);
    }
}

fn answer(host: &InProcess, text: &str) -> State {
    host.run(&host.prepare(decode(text)))
}
