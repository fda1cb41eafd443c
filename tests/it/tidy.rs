//! The house rules that a machine can check.
//!
//! Layers: imports point downwards only, and the siblings of L1 never know each other. Files: each says
//! on its first line what it is. Words: one word for one idea. Documents: the tables in them are those of
//! the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module's layer. DESIGN.md §4, but that the command line stands above the server that it runs.
const LAYERS: [(&str, u8); 29] = [
    ("model", 0),
    ("zone", 1),
    ("geo", 1),
    ("health", 1),
    ("steer", 1),
    ("config", 2),
    ("snapshot", 2),
    ("dns", 2),
    ("clock", 3),
    ("memory", 3),
    ("turns", 3),
    ("metrics", 3),
    ("listen", 3),
    ("probe", 3),
    ("feed", 3),
    ("alias", 3),
    ("intake", 3),
    ("stop", 3),
    ("state", 3),
    ("files", 3),
    ("load", 3),
    ("fleet", 3),
    ("conscience", 3),
    ("watch", 3),
    ("admin", 4),
    ("publish", 5),
    ("server", 5),
    ("agent", 5),
    ("cli", 6),
];

/// What the pure layers may not name: clocks, files, sockets, tasks, chance.
const IMPURE: [&str; 8] = [
    "Instant::now",
    "SystemTime::now",
    "tokio::",
    "std::fs",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::thread",
    "RandomState::new",
];

/// Words that stand for an idea that has another word (DESIGN.md §2), and the right one.
const BANNED: [(&str, &str); 8] = [
    ("backend", "endpoint or pool"),
    ("datacenter", "region"),
    ("datacentre", "region"),
    ("data-center", "region"),
    ("prober location", "vantage"),
    ("monitor", "check"),
    ("is_healthy", "verdict"),
    ("wideip", "steer"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What fuzzing leaves behind, which `.gitignore` names and nobody keeps.
fn is_left_behind(directory: &Path) -> bool {
    let left = ["artifacts", "corpus", "coverage", "target"];
    directory.parent() == Some(&root().join("tests/fuzz"))
        && left.iter().any(|name| directory.ends_with(name))
}

/// Every Rust file below `directory`, by its path from the root, with its text.
fn rust_files(directory: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory of the repository").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.extend(Some(path).filter(|path| !is_left_behind(path)));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                files.insert(shown(&path), text);
            }
        }
    }
    files
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").display().to_string()
}

/// The module of `src` that a file belongs to.
fn module_of(path: &str) -> &str {
    let inside = path.trim_start_matches("src/");
    let end = inside.find(['/', '.']).expect("a directory or an ending");
    &inside[..end]
}

fn layer_of(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// The lines of a file that are shipped code, with their numbers: no comments, and nothing behind the
/// tests' beginning.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .enumerate()
        .map(|(number, line)| (number + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path == "src/testing.rs"
}

/// Modules of the crate that a line names.
fn modules_named(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, prefix)| {
        let rest = &line[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn imports_point_downwards_only() {
    let mut faults = Vec::new();
    for (path, text) in rust_files("src") {
        let module = module_of(&path);
        if ["lib", "main", "testing"].contains(&module) || is_test_file(&path) {
            continue;
        }
        let own = layer_of(module).unwrap_or_else(|| panic!("{path}: give `{module}` a layer"));
        for (number, line) in code_lines(&text) {
            for named in modules_named(line).filter(|named| *named != module) {
                let Some(layer) = layer_of(named) else { continue };
                if layer > own || (own == 1 && layer == 1) {
                    faults.push(format!("{path}:{number}: L{own} names `{named}` of L{layer}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_pure_layers_know_no_clock_file_task_or_chance() {
    let mut faults = Vec::new();
    for (path, text) in rust_files("src") {
        if layer_of(module_of(&path)).is_none_or(|layer| layer > 2) || is_test_file(&path) {
            continue;
        }
        for (number, line) in code_lines(&text) {
            let named = IMPURE.iter().find(|name| line.contains(*name));
            faults.extend(named.map(|name| format!("{path}:{number}: `{name}`")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_has_a_layer_and_is_declared() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("the crate root");
    for (module, _) in LAYERS {
        assert!(lib.contains(&format!("pub mod {module};")), "lib.rs does not declare {module}");
        assert!(lib.contains(&format!("[`{module}`]")), "lib.rs does not describe {module}");
    }
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|directory| rust_files(directory))
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "files that do not open with `//!`: {silent:?}");
}

/// Whether `word` stands in `line` by itself, in the singular or plural: what other crates call things is
/// theirs.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let behind = line[at + word.len()..].trim_start_matches('s');
        !line[..at].ends_with(is_part) && !behind.starts_with(is_part)
    })
}

#[test]
fn one_word_stands_for_one_idea() {
    let mut faults = Vec::new();
    for (path, text) in rust_files("src") {
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            for (word, right) in BANNED.iter().filter(|(word, _)| has_word(&line, word)) {
                faults.push(format!("{path}:{}: `{word}`; we say {right}", number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn tests_do_not_wait_by_sleeping() {
    let mut faults = Vec::new();
    for (path, text) in rust_files("tests").into_iter().chain(rust_files("src")) {
        if path.ends_with("tidy.rs") || !(path.starts_with("tests/it") || is_test_file(&path)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if line.contains("thread::sleep")
                || line.contains("time::sleep")
                || line.contains("#[ignore")
            {
                faults.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_readme_lists_every_metric() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    for (name, kind, help) in windrose::metrics::METRICS {
        let row = format!("| `{name}` | {kind} | {help} |");
        assert!(readme.contains(&row), "README.md lacks the row\n{row}");
    }
}

#[test]
fn no_tracked_text_names_a_machine_path() {
    let machine = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/wt")];
    let mut faults = Vec::new();
    for directory in ["src", "tests", "zones", "deploy", "geoip", ".ci"] {
        let mut open = vec![root().join(directory)];
        while let Some(directory) = open.pop() {
            let Ok(entries) = fs::read_dir(directory) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    open.extend(Some(path).filter(|path| !is_left_behind(path)));
                } else if let Ok(text) = fs::read_to_string(&path)
                    && machine.iter().any(|name| text.contains(name))
                {
                    faults.push(shown(&path));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}
