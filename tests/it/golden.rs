//! Golden plans: programs with the text that EXPLAIN shows, and what they reply.
//!
//! A file in `tests/golden/plan` is a list of cases: a comment, `> ` and the program, the text of EXPLAIN, and the reply
//! after `reply`. `TINYCHAIN_ACCEPT=1 cargo test golden` writes what is replied now; read the diff before you commit it.

use crate::support::Host;

struct Case {
    comment: String,
    program: String,
    shown: String,
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut comment = String::new();
    for line in text.lines() {
        if let Some(program) = line.strip_prefix("> ") {
            cases.push(Case { comment: std::mem::take(&mut comment), program: program.into(), shown: String::new() });
        } else if let Some(words) = line.strip_prefix("## ") {
            comment.push_str(words);
        } else if let Some(case) = cases.last_mut().filter(|_| comment.is_empty()) {
            case.shown.push_str(line);
            case.shown.push('\n');
        }
    }
    cases
}

fn show(host: &Host, program: &str) -> String {
    let mut client = host.connect();
    let body = format!("{{\"op\": {program}}}");
    let plan = client.send("POST", "/explain", &[], body.as_bytes());
    assert_eq!(plan.status, 200, "{}", plan.text());
    let reply = client.send("POST", "/transact/hypothetical", &[], body.as_bytes());
    format!("{}reply {}\n  {}", plan.text(), reply.status, reply.text())
}

#[test]
fn plans_are_as_they_were() {
    let host = Host::start(&[]);
    let folder = format!("{}/tests/golden/plan", env!("CARGO_MANIFEST_DIR"));
    let accept = std::env::var_os("TINYCHAIN_ACCEPT").is_some();
    let (mut count, mut failures) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut written = String::new();
        for case in parse(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            let found = show(&host, &case.program);
            if found.trim_end() != case.shown.trim_end() && !accept {
                failures.push(format!("{}: {}\n{}\ninstead of\n{}", path.display(), case.program, found, case.shown));
            }
            written.push_str(&format!("## {}\n> {}\n{found}\n", case.comment, case.program));
        }
        if accept {
            std::fs::write(&path, written.trim_end().to_string() + "\n").unwrap();
        }
    }
    println!("{count} golden plans");
    assert!(count > 0 && failures.is_empty(), "{}", failures.join("\n\n"));
}
