//! The style of the tree, and that lists and documents are complete. Nothing here knows how the crate is built.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Lines of a source file. The files that grow past this are the ones that nobody can hold in mind.
const SOURCE_LINES_MAX: usize = 700;
/// The modules that everyone may import, and that import only each other.
const VOCABULARY: [&str; 6] = ["env", "error", "limits", "txn", "types", "value"];
/// What each of the other modules may import beside the vocabulary. Arrows point down only; see ARCHITECTURE.md.
const LAYERS: [(&str, &[&str]); 7] = [
    ("storage", &[]),
    ("compiler", &[]),
    ("planner", &["compiler"]),
    ("chain", &["compiler", "storage"]),
    ("cluster", &["compiler", "storage", "chain"]),
    ("exec", &["compiler", "planner", "storage", "chain", "cluster"]),
    ("server", &["compiler", "planner", "exec", "storage", "chain", "cluster"]),
];
/// What has no place outside of tests.
const NOT_IN_SOURCES: [&str; 6] = [".unwrap()", "dbg!(", "todo!(", "unimplemented!(", "print!(", "println!("];

/// A text file of the tree, with its path from the root.
struct File {
    path: String,
    text: String,
}

/// The text of a file of the tree.
pub fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below `folder` that end in one of `extensions`, in order.
fn files(folder: &str, extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join(folder)) else { return found };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in names {
        let path = format!("{folder}/{name}");
        if Path::new(ROOT).join(&path).is_dir() {
            found.extend(files(&path, extensions));
        } else if name.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension)) {
            found.push(File { text: read(&path), path });
        }
    }
    found
}

/// Fails with all of these, unless there are none.
#[track_caller]
pub fn check(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

impl File {
    /// The lines of code with their numbers, without comments, and without the tests at the end of the file.
    fn code(&self) -> Vec<(usize, &str)> {
        let is_test =
            ["/tests.rs", "/sample.rs"].iter().any(|end| self.path.ends_with(end)) || self.path.contains("/tests/");
        if is_test {
            return vec![];
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let is_end =
            |at: usize| lines[at] == "#[cfg(test)]" && lines.get(at + 1).is_some_and(|next| next.contains("mod "));
        let end = (0..lines.len()).find(|at| is_end(*at)).unwrap_or(lines.len());
        let code = lines[..end].iter().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        code.map(|(at, line)| (at + 1, *line)).collect()
    }

    /// The module below the crate that this file belongs to.
    fn module(&self) -> &str {
        let path = self.path.trim_start_matches("src/");
        path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// How many times `super` leads from this file to the crate.
    fn depth(&self) -> usize {
        let segments = self.path.trim_start_matches("src/").split('/').count();
        if self.path.ends_with("/mod.rs") { segments - 1 } else { segments }
    }
}

/// Whether `c` may stand in the name of a module or a flag.
pub fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The name at the start of `text`.
pub fn identifier(text: &str) -> &str {
    &text[..text.find(|c| !is_identifier(c)).unwrap_or(text.len())]
}

/// The places of `word` in `text` where it is not the end of a longer word.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let places = text.match_indices(word).map(|(at, _)| at);
    places.filter(move |at| !word.starts_with(is_identifier) || !text[..*at].ends_with(is_identifier))
}

/// The names that follow `crate::`, alone or in braces.
fn crate_paths(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for at in words(code, "crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => names.push(identifier(rest)),
            Some(group) => names.extend(group_names(group)),
        }
    }
    names
}

/// The first segment of each path in a group such as `{a, b::{c, d}}`, whose opening brace is not in `group`.
fn group_names(group: &str) -> Vec<&str> {
    let (mut names, mut depth, mut begins) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && depth == 0 && is_identifier(c) => {
                names.push(identifier(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// The length of the longest chain of `super::` in a line.
fn supers(line: &str) -> usize {
    (1..).take_while(|count| line.contains(&"super::".repeat(*count))).last().unwrap_or(0)
}

#[test]
fn paths_are_found_in_groups_too() {
    let code = "use crate::a::X;\nuse crate::{b, c::{d, e},\n    f::g};\nlet x = crate::h::y(mycrate::i);";
    assert_eq!(crate_paths(code), ["a", "b", "c", "f", "h"]);
    assert_eq!((supers("use super::super::a;"), supers("a::b")), (2, 0));
}

#[test]
fn modules_import_only_what_is_below_them() {
    let sources = files("src", &["rs"]);
    let modules: BTreeSet<&str> = sources.iter().map(File::module).filter(|m| !matches!(*m, "lib" | "main")).collect();
    let mut faults = Vec::new();
    for file in sources.iter().filter(|file| modules.contains(file.module())) {
        let module = file.module();
        let layer = LAYERS.iter().find(|(name, _)| *name == module).map(|(_, below)| *below);
        if layer.is_none() && !VOCABULARY.contains(&module) {
            faults.push(format!("{}: {module} is in no layer; add it here and to ARCHITECTURE.md", file.path));
            continue;
        }
        let below = layer.unwrap_or_default();
        let may = |name: &str| name == module || VOCABULARY.contains(&name) || below.contains(&name);
        let code: Vec<&str> = file.code().into_iter().map(|(_, line)| line).collect();
        for name in crate_paths(&code.join("\n")) {
            if modules.contains(name) && !may(name) {
                faults.push(format!("{}: {module} may not import {name}", file.path));
            }
        }
        for (number, line) in file.code() {
            if supers(line) >= file.depth() {
                faults.push(format!("{}:{number}: say crate:: in place of super::", file.path));
            }
        }
    }
    check(&faults);
}

#[test]
fn sources_do_not_panic_or_print() {
    let mut faults = Vec::new();
    // These are compiled for tests only.
    let is_test = |path: &str| path.ends_with("/sample.rs") || path.ends_with("/tests.rs");
    for file in files("src", &["rs"]).into_iter().filter(|file| !is_test(&file.path)) {
        for (number, line) in file.code() {
            for word in NOT_IN_SOURCES {
                if words(line, word).next().is_some() {
                    faults.push(format!("{}:{number}: {word}", file.path));
                }
            }
        }
    }
    check(&faults);
}

#[test]
fn sources_are_short() {
    let long = files("src", &["rs"]).into_iter().filter(|file| file.text.lines().count() > SOURCE_LINES_MAX);
    let faults: Vec<String> = long.map(|file| format!("{}: {} lines", file.path, file.text.lines().count())).collect();
    check(&faults);
}

#[test]
fn every_rule_is_listed() {
    let list = read("src/planner/rules/mod.rs");
    let mut faults = Vec::new();
    for file in files("src/planner/rules", &["rs"]) {
        let name = file.path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        if name != "mod" && !(list.contains(&format!("mod {name};")) && list.contains(&format!("{name}::"))) {
            faults.push(format!("{} is not in default_rules", file.path));
        }
    }
    check(&faults);
}

#[test]
fn every_file_of_these_tests_is_a_module() {
    let main = read("tests/it/main.rs");
    let mut faults = Vec::new();
    for file in files("tests/it", &["rs"]) {
        let name = file.path.trim_start_matches("tests/it/").trim_end_matches(".rs");
        if name != "main" && !name.contains('/') && !main.contains(&format!("mod {name};")) {
            faults.push(format!("{} is not run", file.path));
        }
    }
    check(&faults);
}

#[test]
fn no_file_has_words_that_do_not_belong() {
    // In two parts each, because this file is checked too.
    let pairs =
        [("FIX", "ME"), ("XX", "X:"), ("blaz", "ing"), ("seam", "less"), ("world-", "class"), ("cutting-", "edge")];
    let mut words: Vec<String> = pairs.iter().map(|(l, r)| format!("{l}{r}")).collect();
    if Path::new(ROOT).components().count() > 2 {
        // Where somebody happened to have the tree says nothing to anyone else.
        words.push(format!("{ROOT}/"));
    }
    let todo = ["TO", "DO"].concat();
    let extensions = ["rs", "md", "toml", "py", "sh", "jsonl", "txt", "svg"];
    let mut faults = Vec::new();
    for file in
        ["src", "tests", "benches", "docs"].iter().flat_map(|folder| files(folder, &extensions)).chain(documents())
    {
        for (number, line) in file.text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            let found = words.iter().filter(|word| line.contains(word.as_str()));
            faults.extend(found.map(|word| format!("{}:{number}: {word}", file.path)));
            if line.contains(&todo) && !line.contains(&format!("{todo}(")) {
                faults.push(format!("{}:{number}: {todo} names no issue", file.path));
            }
        }
    }
    check(&faults);
}

/// The texts at the root.
fn documents() -> Vec<File> {
    let paths = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "deny.toml",
        "clippy.toml",
        "rustfmt.toml",
        "test",
    ];
    paths.iter().map(|path| File { path: (*path).into(), text: read(path) }).collect()
}

#[test]
fn the_reference_is_that_of_the_declarations() {
    let written = tinychain::compiler::reference_markdown();
    if std::env::var_os("TINYCHAIN_ACCEPT").is_some() {
        fs::write(Path::new(ROOT).join("docs/methods.md"), &written).unwrap();
    }
    let hint = "docs/methods.md is out of date: TINYCHAIN_ACCEPT=1 cargo test --test it tidy writes it";
    assert!(read("docs/methods.md") == written, "{hint}");
}

#[test]
fn the_changelog_has_a_place_for_what_is_new() {
    assert!(read("CHANGELOG.md").lines().any(|line| line == "## [Unreleased]"));
}

/// The names of the dependencies in Cargo.toml.
fn dependencies() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let mut is_list = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_list = line == "[dependencies]" || line == "[dev-dependencies]";
        } else if let Some((name, _)) = line.split_once('=').filter(|_| is_list) {
            names.push(name.trim().to_string());
        }
    }
    assert!(!names.is_empty(), "Cargo.toml has dependencies");
    names
}

#[test]
fn every_dependency_is_used_and_explained() {
    let files: Vec<File> = ["src", "tests", "benches"].iter().flat_map(|folder| files(folder, &["rs"])).collect();
    let is_used = |name: &str| {
        let forms =
            [format!("{name}::"), format!("{name}!"), format!("{name} as _;")].map(|form| form.replace('-', "_"));
        files.iter().any(|file| forms.iter().any(|form| words(&file.text, form).next().is_some()))
    };
    let dependencies = dependencies();
    check(
        &dependencies
            .iter()
            .filter(|name| !is_used(name))
            .map(|name| format!("{name} is not used"))
            .collect::<Vec<_>>(),
    );

    let architecture = read("ARCHITECTURE.md");
    let section = architecture.split("\n## Why each dependency\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let explained: BTreeSet<&str> =
        section.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(explained, dependencies.iter().map(String::as_str).collect::<BTreeSet<_>>());
}

#[test]
fn the_architecture_names_everything() {
    let text = read("ARCHITECTURE.md");
    let sources = files("src", &["rs"]);
    let mut names: BTreeSet<&str> = sources.iter().map(File::module).collect();
    names.extend(tinychain::planner::Optimizer::names());
    let has = |name: &str| {
        [format!("`{name}`"), format!("`src/{name}/`"), format!("`src/{name}.rs`")]
            .iter()
            .any(|form| text.contains(form))
    };
    let faults: Vec<String> = names.into_iter().filter(|name| !has(name)).map(|name| format!("`{name}`")).collect();
    check(&faults);
}
