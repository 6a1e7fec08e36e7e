//! Programs that cost more than they look: each is answered, in about the time that a request may take, and the host
//! serves others afterwards. Wrong answers that were found by reading have their programs here too.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::support::Host;

/// The time that a request may take in these tests, and what an answer may take beyond: the machine may be busy.
const TTL: &str = "--request_ttl=2";
const PATIENCE: Duration = Duration::from_secs(10);
/// The most memory that a host may have had, in MiB, where states may take 256 of them: there are also the body, the graph and
/// the code.
const MEMORY_MIB_MAX: u64 = 1024;

const RANGE: &str = "/state/tuple/range";
const IF: &str = "/state/scalar/ref/if";
const GET: &str = "/state/scalar/op/get";
const POST: &str = "/state/scalar/op/post";

/// Runs a program that may fail in any way but not hang, and then a small one.
#[track_caller]
fn check_bounded(program: &str) {
    let host = Host::start(&[TTL, "--max_request_memory=256M"]);
    let begin = Instant::now();
    let (status, reply) = host.hypothetical(program);
    let took = begin.elapsed();
    assert!(matches!(status, 200 | 400 | 404 | 408 | 413), "{status}: {}", &reply[..reply.len().min(300)]);
    assert!(took < PATIENCE, "took {took:?}");
    assert!(memory_max(&host) < MEMORY_MIB_MAX, "{} MiB", memory_max(&host));
    assert_eq!(host.hypothetical(r#"[["a",1]]"#), (200, "1\n".into()));
}

/// Runs a program that has the time that it needs, also on a slow machine.
#[track_caller]
fn check(program: &str, status: u16, reply: &str) {
    let host = Host::start(&["--request_ttl=30"]);
    let (found, text) = host.hypothetical(program);
    assert_eq!(found, status, "{text}");
    assert!(text.contains(reply), "{text} does not contain {reply}");
}

/// `open` n times, `inner`, `close` n times.
fn nest(open: &str, inner: &str, close: &str, levels: usize) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

/// Items with commas between them.
fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for i in 0..count {
        let _ = write!(text, "{}{}", if i == 0 { "" } else { "," }, item(i));
    }
    text
}

#[test]
fn nested_maps_are_decoded_once() {
    check_bounded(&format!(r#"[["r",{}]]"#, nest(r#"{"/state/map":{"x":"#, "1", "}}", 100)));
    check_bounded(&format!(
        r#"[["r",{}]]"#,
        nest(r#"{"a":"#, &format!("[{}]", list(300_000, |_| "1".into())), "}", 200)
    ));
}

#[test]
fn nested_ops_are_decoded_once() {
    let open = format!(r#"{{"{POST}":[["_return",{{"$g":{{"x":"#);
    check_bounded(&format!(r#"[["r",{}]]"#, nest(&open, "1", "}}]]}", 80)));
}

#[test]
fn long_chains_do_not_use_the_stack() {
    for step in [
        r#"["a#",{"IF":[{"$c":[]},{"$a%":[]},{"$c":[]}]}]"#,
        r#"["a#",{"/state/scalar/ref/after":[{"$c":[]},{"$a%":[]}]}]"#,
    ] {
        let count = 60_000;
        let chain = list(count, |i| {
            step.replace("IF", IF).replace('#', &(count - i).to_string()).replace('%', &(count - i - 1).to_string())
        });
        check_bounded(&format!(r#"[["c",1],["a0",7],{chain}]"#));
    }
}

#[test]
fn templates_are_bounded() {
    let template = "{{{b}}}".repeat(2000);
    let large = "x".repeat(500_000);
    check(&format!(r#"[["t","{template}"],["r",{{"$t/render":{{"b":"{large}"}}}}]]"#), 400, "larger than");
}

#[test]
fn one_instruction_cannot_outlast_the_request() {
    let contains = list(900, |i| format!(r#"{{"$t/contains":[-{}]}}"#, i + 1));
    check_bounded(&format!(r#"[["t",{{"{RANGE}":[3000000]}}],["r",[{contains}]]]"#));
    // A long text that reads as a number, compared with many.
    let digits = "0".repeat(1_000_000);
    check_bounded(&format!(
        r#"[["t",{{"{RANGE}":[3000000]}}],["s","{digits}.5"],["r",{{"$t/contains":[{{"$s":[]}}]}}]]"#
    ));
    check_bounded(&format!(
        r#"[["t",{{"{RANGE}":[1000000]}}],["i",{{"{RANGE}":[500]}}],
            ["f",{{"/state/scalar/ref/with":[["t"],{{"{GET}":["n",[["_return",{{"$t/hash":[null]}}]]]}}]}}],
            ["r",{{"$i/map":{{"op":{{"$f":[]}}}}}}]]"#
    ));
}

#[test]
fn compiling_is_bounded() {
    // Many equal nodes.
    check_bounded(&format!(r#"[["x",1],["r",[{}]]]"#, list(50_000, |_| r#"{"$x":[]},null"#.into())));
    // Constants that would be large.
    let ranges = list(400, |i| format!(r#"{{"{RANGE}":[[{i},3000000]]}}"#));
    check_bounded(&format!(
        r#"[["f",{{"{GET}":["n",[["_return",{{"{IF}":[{{"$n":[]}},1,[{ranges}]]}}]]]}}],["r",{{"$f":[1]}}]]"#
    ));
    // A large op that is called often.
    let body = list(20_000, |i| format!(r#"["s{}",{{"$s{i}/add":[1]}}]"#, i + 1));
    let calls = list(1000, |_| r#"{"$f":[1]}"#.into());
    check_bounded(&format!(r#"[["f",{{"{GET}":["s0",[{body}]]}}],["r",[{calls}]]]"#));
    // Many calls of what is not known.
    let calls = list(20_000, |i| format!(r#"{{"$p":[{i}]}}"#));
    check_bounded(&format!(
        r#"[["f",{{"{POST}":[["_return",[{calls}]]]}}],["p",{{"{GET}":["n",[["_return",{{"$n":[]}}]]]}}],["r",{{"$f":{{"p":{{"$p":[]}}}}}}]]"#
    ));
}

/// The most memory that a host has ever had, in MiB.
fn memory_max(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Runs a program that takes more memory than it may, with time enough to do so.
#[track_caller]
fn check_too_large(program: &str) {
    let host = Host::start(&["--max_request_memory=256M", "--request_ttl=20"]);
    let (status, reply) = host.hypothetical(program);
    assert_eq!(status, 413, "{}", &reply[..reply.len().min(300)]);
    assert!(memory_max(&host) < MEMORY_MIB_MAX, "{} MiB", memory_max(&host));
}

#[test]
fn states_that_are_held_at_once_are_bounded() {
    let ranges = list(30, |i| format!(r#"["t{i}",{{"{RANGE}":[3000000]}}]"#));
    let lengths = list(30, |i| format!(r#"{{"$t{i}/len":[]}}"#));
    check_too_large(&format!(r#"[{ranges},["r",[{lengths}]]]"#).replace("[3000000]", "[[0,3000000]]"));
}

#[test]
fn registers_of_calls_are_bounded() {
    let unused = list(5_000, |i| format!(r#"["u{}",{{"$u{i}/add":[{{"$n":[]}}]}}]"#, i + 1));
    check_too_large(&format!(
        r#"[["f",{{"{POST}":[["u0",{{"$n/sub":[2]}}],{unused},["m",{{"$n/sub":[1]}}],["_return",{{"{IF}":[{{"$n/gt":[0]}},{{"$f":{{"n":{{"$m":[]}},"f":{{"$f":[]}}}}}},{{"$u5000":[]}}]}}]]}}],
            ["r",{{"$f":{{"n":5000,"f":{{"$f":[]}}}}}}]]"#
    ));
}

#[test]
fn results_of_calls_are_bounded() {
    let op = format!(r#"{{"{POST}":[["_return",{{"r":{{"{RANGE}":[{{"$k":[]}}]}}}}]]}}"#);
    let folds = list(60, |i| format!(r#"["f{i}",{{"$t/fold":{{"item_name":"k","value":{{}},"op":{op}}}}}]"#));
    let lengths = list(60, |i| format!(r#"{{"$f{i}/r/len":[]}}"#));
    check_too_large(&format!(r#"[["t",[1000000]],{folds},["r",[{lengths}]]]"#));
}

#[test]
fn large_parameters_are_not_copied_for_ever() {
    let map = list(200_000, |i| format!(r#""k{i}":1"#));
    check_bounded(&format!(
        r#"[["m",{{{map}}}],["f",{{"/state/scalar/ref/with":[["m"],{{"{POST}":[["_return",{{"$m":[]}}]]}}]}}],
            ["r",{{"/state/scalar/ref/while":[{{"{POST}":[["_return",true]]}},{{"$f":[]}},{{"$m":[]}}]}}]]"#
    ));
}

#[test]
fn a_reply_is_no_larger_than_it_may_be() {
    let text = "\\u0001".repeat(300_000);
    let all = list(100, |_| r#"{"$s":[]}"#.into());
    check_bounded(&format!(r#"[["s","{text}"],["r",[{all}]]]"#));
}

#[test]
fn recursion_ends() {
    check(
        &format!(
            r#"[["f",{{"{POST}":[["_return",{{"$f":{{"f":{{"$f":[]}}}}}}]]}}],["r",{{"$f":{{"f":{{"$f":[]}}}}}}]]"#
        ),
        400,
        "calls nest deeper",
    );
}

#[test]
fn depth_counts_calls_and_not_what_is_unfinished() {
    // Each step is wanted twice, so each is a region of its own, and all are unfinished when the first is reached.
    let chain = list(12_000, |i| {
        format!(
            r#"["a{}",{{"{IF}":[{{"$c":[]}},{{"/state/scalar/ref/after":[{{"$a{i}":[]}},{{"$a{i}":[]}}]}},0]}}]"#,
            i + 1
        )
    });
    check(&format!(r#"[["c",true],["a0",7],{chain}]"#), 200, "7");
}

#[test]
fn requests_that_are_compiled_at_once_do_not_meet() {
    let host = Host::start(&[]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let host = &host;
            scope.spawn(move || {
                for i in 0..100 {
                    // Each has names of its own, so that each is compiled.
                    let x = format!("x{thread}_{i}");
                    let items = list(1 + i % 7, |_| format!(r#"{{"${x}":[]}},null,{{"${x}/is_none":[null]}}"#));
                    let (status, reply) = host.hypothetical(&format!(r#"[["{x}",{i}],["r",[{items}]]]"#));
                    let expected = format!("[{}]\n", list(1 + i % 7, |_| format!("{i},null,false")));
                    assert_eq!((status, reply), (200, expected));
                }
            });
        }
    });
}

#[test]
fn a_put_op_needs_two_names() {
    check(
        r#"[["f",{"/state/scalar/op/put":["k","k",[["_return",{"$y":[]}]]]}],["r",{"$f":[1,2]}]]"#,
        400,
        "both named k",
    );
}

#[test]
fn an_error_is_raised_though_its_message_is_missing() {
    let op = format!(r#"{{"{POST}":[["_return",{{"/error/conflict":[{{"$msg":[]}}]}}]]}}"#);
    check(&format!(r#"[["f",{op}],["r",{{"$f":{{}}}}]]"#), 409, "msg");
    check(&format!(r#"[["g",{{"f":{op}}}],["r",{{"$g/f":{{}}}}]]"#), 409, "msg");
}

#[test]
fn a_case_that_is_folded_compares_as_one_that_is_run() {
    let case = r#"{"/state/scalar/ref/case":[{"a":1},[{"a":1}],["one","other"]]}"#;
    check(&format!(r#"[["r",{case}]]"#), 400, "a case compares values");
    check(
        &format!(r#"[["f",{{"{GET}":["n",[["_return",{case}]]]}}],["r",{{"$f":[1]}}]]"#),
        400,
        "a case compares values",
    );
}
