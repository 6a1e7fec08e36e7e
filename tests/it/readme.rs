//! That the README is true: its flags and tests are there, and its commands print what it shows.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::Host;
use crate::tidy::{ROOT, check, identifier, is_identifier, read};

/// The address in the README, which is replaced by that of a running host.
const ADDRESS: &str = "127.0.0.1:8702";

/// All flags in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").map(|(at, _)| &text[at + 2..]);
    let names = starts.map(identifier).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    names.map(str::to_string).collect()
}

#[test]
fn the_readme_lists_all_flags_with_their_defaults() {
    let output = Command::new(env!("CARGO_BIN_EXE_tinychain")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let readme = read("README.md");
    let section = readme.split("\n## Flags\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let is_flag = |name: &String| !matches!(name.as_str(), "help" | "version");
    let of = |text: &str| flags(text).into_iter().filter(is_flag).collect::<BTreeSet<_>>();
    assert_eq!(of(section), of(&help));
    for line in help.lines() {
        let default = line.split_once("[default: ").and_then(|(_, rest)| rest.split(']').next());
        let name = line.trim_start().strip_prefix("--").map(identifier);
        let (Some(default), Some(name)) = (default, name) else { continue };
        // Flags that do nothing yet have no row.
        let Some(row) = section.lines().find(|row| row.starts_with(&format!("| `--{name}`"))) else { continue };
        let said = row.split('|').nth(2).unwrap().replace('`', "");
        assert_eq!(said.trim(), default, "{name}");
    }
}

#[test]
fn the_readme_names_tests_that_exist() {
    let (readme, manifest) = (read("README.md"), read("Cargo.toml"));
    let mut faults = Vec::new();
    for line in readme.lines().filter(|line| line.contains("cargo ")) {
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('`')).collect();
        for pair in words.windows(2).filter(|pair| matches!(pair[0], "--test" | "--bench")) {
            if !manifest.contains(&format!("name = \"{}\"", pair[1])) {
                faults.push(format!("Cargo.toml has no {}: {line}", pair[1]));
            }
        }
        // In a command, the word after the binary is a module of it; in a sentence it is a word.
        let module = line.split_once("--test it ").map(|(_, rest)| identifier(rest)).unwrap_or_default();
        if line.starts_with(is_identifier) && !module.is_empty() {
            let path = format!("tests/it/{module}.rs");
            if !Path::new(ROOT).join(&path).exists() {
                faults.push(format!("there is no {path}: {line}"));
            }
        }
    }
    check(&faults);
}

/// Commands of the README that belong together, and what they should print.
struct Example {
    line: usize,
    script: String,
    shown: Option<String>,
}

/// The examples in the README: each `sh` block is cut after the lines `# → …`, which show a reply; a `text` block that
/// follows a `sh` block shows the reply of its last command.
fn examples(readme: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut language = None;
    let mut follows = false;
    for (number, line) in readme.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        match (language, line.strip_prefix("```")) {
            (None, Some("sh")) => {
                language = Some("sh");
                examples.push(Example { line: number + 1, script: String::new(), shown: None });
            }
            (None, Some("text")) if follows => language = Some("text"),
            (None, Some(_)) => language = Some("other"),
            (None, None) => follows &= line.is_empty(),
            (Some(ended), Some(_)) => (language, follows) = (None, ended == "sh"),
            (Some("sh"), None) => add_command(&mut examples, number, line),
            (Some("text"), None) => show(examples.last_mut().unwrap(), line),
            (Some(_), None) => {}
        }
    }
    examples
}

fn add_command(examples: &mut Vec<Example>, number: usize, line: &str) {
    let last = examples.last_mut().unwrap();
    if let Some(reply) = line.strip_prefix("# → ") {
        show(last, reply);
    } else if last.shown.is_some() {
        examples.push(Example { line: number, script: format!("{line}\n"), shown: None });
    } else {
        last.script.push_str(line);
        last.script.push('\n');
    }
}

fn show(example: &mut Example, line: &str) {
    let shown = example.shown.get_or_insert_default();
    shown.push_str(line);
    shown.push('\n');
}

/// Whether `found` is `shown`, in which `…` stands for any text.
fn is_shown(shown: &str, found: &str) -> bool {
    let pieces: Vec<&str> = shown.trim_end().split('…').collect();
    let mut rest = found.trim_end();
    for (at, piece) in pieces.iter().enumerate() {
        let is_last = at + 1 == pieces.len();
        let place = match (at, is_last) {
            (0, true) => return rest == *piece,
            (0, false) => rest.starts_with(piece).then_some(0),
            (_, true) => return rest.ends_with(piece),
            _ => rest.find(piece),
        };
        let Some(place) = place else { return false };
        rest = &rest[place + piece.len()..];
    }
    true
}

#[test]
fn examples_are_cut_where_replies_are_shown() {
    let first = "```sh\na\n# → 1\nb \\\n  c\n# → 2\n# → 3\n```\n\n";
    let second = "```sh\nd\n```\n\n```text\n4\n…\n```\ne\n```text\n5\n```\n";
    let found: Vec<_> =
        examples(&format!("{first}{second}")).into_iter().map(|e| (e.line, e.script, e.shown.unwrap())).collect();
    let wanted = [(2, "a\n", "1\n"), (4, "b \\\n  c\n", "2\n3\n"), (11, "d\n", "4\n…\n")];
    assert_eq!(found, wanted.map(|(line, script, shown)| (line, script.to_string(), shown.to_string())));
    for (shown, found, is) in [("a…c", "abc\n", true), ("a…", "b", false), ("a", "ab", false), ("…b…", "abc", true)]
    {
        assert_eq!(is_shown(shown, found), is, "{shown} {found}");
    }
}

#[test]
fn the_tour_of_the_readme_is_true() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: curl is not installed");
        return;
    }
    // The tour shows a request that takes all of its time.
    let host = Host::start(&["--request_ttl=1"]);
    let folder = tempfile::tempdir().unwrap();
    let tour: Vec<Example> = examples(&read("README.md")).into_iter().filter(|e| e.script.contains(ADDRESS)).collect();
    assert!(tour.len() > 10, "the README has a tour");
    let mut faults = Vec::new();
    for example in &tour {
        let script = example.script.replace(ADDRESS, &format!("127.0.0.1:{}", host.port));
        let output = Command::new("sh").args(["-e", "-c", &script]).current_dir(folder.path()).output().unwrap();
        let found = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || !example.shown.as_ref().is_none_or(|shown| is_shown(shown, &found)) {
            let errors = String::from_utf8_lossy(&output.stderr);
            faults.push(format!("README.md:{}: {}\nprinted {found}{errors}", example.line, output.status));
        }
    }
    check(&faults);
}
