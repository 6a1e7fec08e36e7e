//! Properties of programs at random. `PROPTEST_CASES` says how many, `PROPTEST_RNG_SEED` which. A failure prints the
//! seed and the smallest program that fails.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tinychain::compiler::decode_state;
use tinychain::error::{Error, Kind, Result};
use tinychain::limits::Limits;
use tinychain::planner::{Explanation, Optimizer};
use tinychain::server::codec::{Encoding, encode_reply, tbon};
use tinychain::value::doc::json;
use tinychain::value::encode::to_json;
use tinychain::value::number::{Complex32, Complex64};
use tinychain::value::{Id, Link, Map, Number, State, Tuple, Value};

use crate::local::Local;
use crate::programs::{Source, op_sources, program, sources};

/// Programs that are run to see how many have a value.
const SAMPLES: usize = 400;

/// Runs `test` on a part of the usual number of cases, one in `share`.
fn check<S: Strategy>(share: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(rand::random());
    }
    config.cases = (config.cases / share).max(1);
    println!("PROPTEST_RNG_SEED={}", config.rng_seed);
    if let Err(error) = TestRunner::new(config).run(&strategy, test) {
        panic!("{error}");
    }
}

fn local(optimizer: Optimizer) -> Local {
    let time = Duration::from_secs(10);
    Local::new(Limits { compute_time: time, request_ttl: time, ..Limits::default() }, optimizer)
}

fn run(local: &Local, source: &Source) -> Result<State> {
    local.run(source.program()?)
}

/// Whether two states are the same, in class and bits; of NaN there is but one.
fn is_same(l: &State, r: &State) -> bool {
    l == r || (to_json(l).contains("NaN") && to_json(l) == to_json(r))
}

/// Two runs of a program must both yield the same value, or both fail.
fn compare(what: &str, expected: &Result<State>, found: &Result<State>) -> Result<(), TestCaseError> {
    let shown = |result: &Result<State>| match result {
        Ok(state) => to_json(state),
        Err(error) => error.to_string(),
    };
    let is_alike = match (expected, found) {
        (Ok(l), Ok(r)) => is_same(l, r),
        (Err(l), Err(r)) => l.kind() != Kind::Internal && r.kind() != Kind::Internal,
        // Who is slow may have failed at last, or not.
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => error.kind() == Kind::Timeout,
    };
    prop_assert!(is_alike, "{what}: {} instead of {}", shown(found), shown(expected));
    Ok(())
}

#[test]
fn many_programs_have_a_value() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut values = 0;
    for _ in 0..SAMPLES {
        let words: Vec<u16> = (0..rng.random_range(0..400)).map(|_| rng.random()).collect();
        values += usize::from(run(&local(Optimizer::default()), &Source::new(&program(&words))).is_ok());
    }
    println!("{values} of {SAMPLES} programs have a value");
    assert!(values > SAMPLES / 3, "{values} of {SAMPLES} programs have a value");
}

/// Where several parts of a program fail, a rule may change which of them is reported. That is rare: a rule that changed
/// the kind of errors would show here.
#[test]
fn rules_seldom_change_which_error_is_reported() {
    let mut rng = StdRng::seed_from_u64(2);
    let (mut errors, mut others) = (0, Vec::new());
    for _ in 0..20 * SAMPLES {
        let words: Vec<u16> = (0..rng.random_range(0..400)).map(|_| rng.random()).collect();
        let source = Source::new(&program(&words));
        let (all, none) = (run(&local(Optimizer::default()), &source), run(&local(Optimizer::none()), &source));
        if let (Err(all), Err(none)) = (all, none) {
            errors += 1;
            if all.kind() != none.kind() {
                others.push(format!("{all} instead of {none}"));
            }
        }
    }
    println!("{} of {errors} errors are of another kind", others.len());
    assert!(errors > 50 && others.len() * 10 < errors, "{} of {errors}:\n{}", others.len(), others.join("\n"));
}

#[test]
fn no_rule_changes_a_result() {
    check(1, sources(), |source| {
        let expected = run(&local(Optimizer::none()), &source);
        compare("all rules", &expected, &run(&local(Optimizer::default()), &source))?;
        for rule in Optimizer::names() {
            let alone = local(Optimizer::with_rules(|name| name == rule));
            compare(rule, &expected, &run(&alone, &source))?;
            let others = local(Optimizer::with_rules(|name| name != rule));
            compare(&format!("all but {rule}"), &expected, &run(&others, &source))?;
        }
        Ok(())
    });
}

#[test]
fn a_plan_that_was_kept_does_what_a_new_one_does() {
    check(1, sources(), |source| {
        let (kept, other) = (local(Optimizer::default()), source.varied());
        let first = run(&kept, &source);
        let second = run(&kept, &other);
        let third = run(&kept, &source);
        let fresh = run(&local(Optimizer::default()), &other);
        compare(&format!("a kept plan for {other:?}"), &fresh, &second)?;
        compare("the same plan again", &first, &third)
    });
}

fn encoded(state: &State, encoding: Encoding) -> Vec<u8> {
    encode_reply(state, encoding, usize::MAX).unwrap()
}

fn decoded(bytes: &[u8], encoding: Encoding) -> Result<State> {
    let doc = match encoding {
        Encoding::Json => json::decode(bytes, usize::MAX)?,
        Encoding::Tbon => tbon::decode(bytes, usize::MAX)?,
    };
    decode_state(&doc)
}

#[test]
fn a_state_in_json_reads_back_as_the_same() {
    check(1, states(Encoding::Json), |state| {
        prop_assert_eq!(decoded(&encoded(&state, Encoding::Json), Encoding::Json), Ok(state));
        Ok(())
    });
}

#[test]
fn a_state_in_tbon_reads_back_as_the_same() {
    check(1, states(Encoding::Tbon), |state| {
        prop_assert_eq!(decoded(&encoded(&state, Encoding::Tbon), Encoding::Tbon), Ok(state));
        Ok(())
    });
}

#[test]
fn an_op_that_is_replied_and_sent_again_is_the_same() {
    check(1, op_sources(), |source| {
        // A literal in a definition that cannot be read is the fault of the program.
        let Ok(op) = run(&local(Optimizer::default()), &source) else { return Ok(()) };
        prop_assert!(matches!(op, State::Op(_)));
        let reply = encoded(&op, Encoding::Tbon);
        let again = decoded(&reply, Encoding::Tbon).map_err(failed)?;
        prop_assert_eq!(&again, &op);
        // JSON keeps no classes of numbers, but the text is the same from then on.
        let reply = encoded(&op, Encoding::Json);
        let again = decoded(&reply, Encoding::Json).map_err(failed)?;
        prop_assert_eq!(String::from_utf8(encoded(&again, Encoding::Json)), String::from_utf8(reply));
        Ok(())
    });
}

fn failed(error: Error) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

#[test]
fn explain_shows_every_program_and_changes_none() {
    check(4, sources(), |source| {
        let expected = run(&local(Optimizer::default()), &source);
        let Ok(program) = source.program() else { return Ok(()) };
        let local = local(Optimizer::default());
        let plan = local.explain(program.clone(), false).map_err(failed)?;
        check_forms(&plan)?;
        let analyzed = local.explain(program, true);
        let result = analyzed.as_ref().map(|shown| shown.result.clone().unwrap_or(State::NONE)).map_err(Clone::clone);
        compare("EXPLAIN ANALYZE", &expected, &result)?;
        analyzed.map_or(Ok(()), |shown| check_forms(&shown))
    });
}

/// Every form of an explanation must be well-formed.
fn check_forms(explanation: &Explanation) -> Result<(), TestCaseError> {
    prop_assert!(explanation.to_text().starts_with("# request\n"));
    let document = explanation.to_json().to_string();
    let read = serde_json::from_str::<serde_json::Value>(&document);
    prop_assert!(read.is_ok(), "{:?}: {}", read, document);
    let dot = explanation.to_dot();
    prop_assert!(is_balanced(&dot), "{}", dot);
    check_xml(&explanation.to_svg())
}

/// Whether braces outside of strings are balanced, and every string ends.
fn is_balanced(dot: &str) -> bool {
    let (mut depth, mut is_string, mut is_escaped) = (0_i64, false, false);
    for c in dot.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_string => is_escaped = true,
            '"' => is_string = !is_string,
            '{' if !is_string => depth += 1,
            '}' if !is_string => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0 && !is_string
}

/// Every tag must be closed in order, and `<` and `&` must not stand for themselves.
fn check_xml(svg: &str) -> Result<(), TestCaseError> {
    prop_assert!(svg.chars().all(|c| c >= ' ' || matches!(c, '\n' | '\t')), "a control character in {}", svg);
    let references = svg.split('&').skip(1).filter_map(|rest| rest.split_once(';'));
    let is_reference = |(name, _): (&str, &str)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#');
    prop_assert_eq!(references.filter(|parts| is_reference(*parts)).count(), svg.matches('&').count(), "{}", svg);
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let Some(end) = end_of_tag(rest) else {
            return Err(TestCaseError::fail(format!("a tag does not end in {svg}")));
        };
        let (tag, name) = (&rest[..end], rest[..end].split([' ', '\n', '/']).next().unwrap_or_default());
        match tag.strip_prefix('/') {
            Some(name) => prop_assert_eq!(open.pop(), Some(name.trim()), "{}", svg),
            None if tag.ends_with('/') || tag.starts_with(['?', '!']) => {}
            None => open.push(name),
        }
        rest = &rest[end + 1..];
    }
    prop_assert!(open.is_empty(), "{:?} are not closed in {}", open, svg);
    Ok(())
}

/// The place of the `>` that ends a tag.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote: Option<char> = None;
    for (at, c) in text.char_indices() {
        match quote {
            None if c == '>' => return Some(at),
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

#[test]
fn the_checks_of_forms_find_what_is_wrong() {
    assert!(is_balanced("a { \"}\\\"\" }") && !is_balanced("}{") && !is_balanced("{ \"}\" "));
    assert!(check_xml("<?xml?><a b=\"/>\"><c/>&amp;</a>").is_ok());
    for svg in ["<a>", "</a>", "<a></b>", "<a", "<a>&</a>", "<a>b & c;</a>", "<a>\u{1}</a>"] {
        assert!(check_xml(svg).is_err(), "{svg}");
    }
}

/// States that an encoding can say exactly.
fn states(encoding: Encoding) -> impl Strategy<Value = State> {
    leaves(encoding).prop_recursive(4, 24, 4, |item| {
        let tuples = prop::collection::vec(item.clone(), 0..4).prop_map(to_tuple);
        let maps = prop::collection::vec((ids(), item), 0..4).prop_map(to_map);
        prop_oneof![tuples, maps]
    })
}

fn to_tuple(items: Vec<State>) -> State {
    Tuple::try_new(items).unwrap().into()
}

/// A map, but not `{x: []}`: that reads as the Id `x`.
fn to_map(entries: Vec<(Id, State)>) -> State {
    let map = Map::try_new(entries).unwrap();
    match map.values() {
        [State::Tuple(tuple)] if tuple.items().is_empty() => State::NONE,
        _ => map.into(),
    }
}

fn leaves(encoding: Encoding) -> BoxedStrategy<State> {
    let links = ["/", "/a/b", "http://127.0.0.1:8702/a", "https://a.b", "/state/scalar/value/number/int/32"];
    let links = prop::sample::select(links.to_vec()).prop_map(|text| State::from(text.parse::<Link>().unwrap()));
    let texts = prop::collection::vec(any::<char>(), 0..8).prop_map(|text| State::from(String::from_iter(text)));
    let both = prop_oneof![
        4 => numbers(encoding).prop_map(State::from),
        2 => texts,
        1 => Just(State::NONE),
        1 => ids().prop_map(State::from),
        1 => links,
        1 => Just(State::Value(Value::Email("a.b+c@example.com".parse().unwrap()))),
    ];
    let bytes = prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| State::Value(Value::Bytes(bytes.into())));
    match encoding {
        Encoding::Json => both.boxed(),
        Encoding::Tbon => prop_oneof![8 => both, 1 => bytes].boxed(),
    }
}

fn ids() -> impl Strategy<Value = Id> {
    "[a-zé_][a-z0-9é_+-]{0,3}".prop_map(|name| name.parse::<Id>().unwrap())
}

fn numbers(encoding: Encoding) -> BoxedStrategy<Number> {
    let both = prop_oneof![
        any::<bool>().prop_map(Number::Bool),
        any::<i64>().prop_map(Number::I64),
        any::<u64>().prop_map(|n| Number::U64(n | 1 << 63)),
        floats().prop_map(Number::F64),
        (floats(), floats()).prop_map(|(re, im)| Number::C64(Complex64::new(re, im))),
    ];
    let short = || prop_oneof![any::<f32>(), prop::sample::select(vec![0.0, -0.0, f32::NAN, f32::INFINITY])];
    match encoding {
        Encoding::Json => both.boxed(),
        Encoding::Tbon => prop_oneof![
            both,
            any::<u8>().prop_map(Number::U8),
            any::<u16>().prop_map(Number::U16),
            any::<u32>().prop_map(Number::U32),
            any::<u64>().prop_map(Number::U64),
            any::<i16>().prop_map(Number::I16),
            any::<i32>().prop_map(Number::I32),
            short().prop_map(Number::F32),
            (short(), short()).prop_map(|(re, im)| Number::C32(Complex32::new(re, im))),
        ]
        .boxed(),
    }
}

fn floats() -> impl Strategy<Value = f64> {
    let special = vec![0.0, -0.0, 1.0, 1e16, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    prop_oneof![3 => any::<f64>(), 1 => prop::sample::select(special)]
}
