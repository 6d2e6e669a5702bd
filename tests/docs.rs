//! The documents and the code cannot drift apart silently: what the documents name exists.
//!
//! The rule for a piece of inline code (`` `like this` ``) in the documents; blocks of code are not looked at:
//!
//! | looks like | must |
//! |---|---|
//! | `src/process/slot.rs`, `docs/..`, `tests/..`, `examples/..`; `slot.rs` | be there; be somewhere |
//! | `tests/spawn.rs::case`, `src/sys/map.rs: struct Map` | be defined in that file |
//! | `Reader::read_timeout`, `ready::wait` | be defined in a file that also defines, implements or is the first |
//! | `name()`, `name_with_underscores`, `CamelCase`, `UPPER_CASE` | be defined somewhere |
//! | `fork(2)`, `std::..`, `libc::..`, `SIGKILL`, anything of [`FOREIGN`] | nothing: it is somebody else's |
//! | anything else: a single plain word, a command, an expression | nothing |
//!
//! "Defined" is what [`Definitions`] finds by reading lines, which rustfmt makes possible: items, fields, variants,
//! macros, and names that a `pub use` gives on.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/orderings.rs"]
mod orderings;
#[path = "docs/rust.rs"]
mod rust;

use markdown::{inline_code, links, paragraphs};
use rust::{Definitions, is_name};

/// Names of others that the documents use: of Rust, its libraries, C and the kernel, other programs.
const FOREIGN: &str = "
    CLOEXEC
    Acquire Arc AsFd AtomicBool AtomicU32 AtomicU64 BTreeMap BorrowedFd Box BufWriter Cell Clone Command Copy Debug
    Deref Drop Duration Err Errno ExitStatus FnOnce HashMap Instant LineWriter ManuallyDrop MaybeUninit Mutex None Ok
    Option Ordering OwnedFd PhantomData RangeInclusive Rc Read RefCell Relaxed Release Resource Result Send SeqCst Signal
    Some String Sync TcpStream UnixStream Vec VecDeque Write
    asm catch_unwind compare_exchange compile_fail copy_nonoverlapping fetch_add on_unimplemented panic_any pre_exec print
    println read_exact read_to_string resume_unwind try_reserve unsafe_code with_capacity
    FromBytes IntoBytes libtest_mimic static_assertions
    clone3 close_range epoll_ctl futex_waitv shm_open shm_unlink io_submit io_uring memfd_create ns_last_pid oom_kill pidfd_open pidfd_send_signal
    posix_spawn process_mrelease pthread_atfork pthread_exit pthread_mutex_init pthread_mutexattr_setrobust robust_list sched_setaffinity smaps_rollup timer_create
    Array BoundedSemaphore Condition JoinableQueue Manager Pipe Pool Process ProcessPoolExecutor Queue RLock SimpleQueue Value
    cancel_join_thread join_thread parent_process
";

/// How the constants of C and the kernel begin.
const FOREIGN_PREFIXES: &str = "
    PTRACE_ AF_ CARGO_ CLD_ CLOCK_ CLONE_ DONTFORK FD_ FUTEX_ F_ MADV_ MAP_ MFD_ MSG_ O_ PAGEMAP_ PIDFD_ PIPE_BUF PROT_ PR_ P_PIDFD
    RLIMIT_ RUSAGE_ RUST_ RWF_ SA_ SCM_ SECCOMP_ SEM_ SIG SI_ SOCK_ TINE_ WEXITED WIPEONFORK WNOHANG
";

/// Crates of others, and modules of std that are imported as such.
const FOREIGN_ROOTS: &str = "std core alloc libc rustix tokio serde proptest nix crossbeam diagnostic io mem ptr";

fn is_in(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|word| word == name)
}

// ---------------------------------------------------------------------------------------------- the project's files

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of the project, as paths from its root; without what is built, and without the repository's own.
fn files() -> Vec<PathBuf> {
    const SKIPPED: [&str; 5] = ["target", ".git", "corpus", "artifacts", "proptest-regressions"];
    let mut found = Vec::new();
    let mut open = vec![root().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("the project's directories can be read") {
            let path = entry.expect("the project's directories can be read").path();
            if SKIPPED.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(root()).expect("found below the root").to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files below one of `directories` with this extension, and their text.
fn texts(directories: &[&str], extension: &str) -> BTreeMap<String, String> {
    files()
        .into_iter()
        .filter(|p| directories.iter().any(|d| p.starts_with(d)) && p.extension().is_some_and(|e| e == extension))
        .map(|p| (p.to_str().expect("a UTF-8 name").to_owned(), read(&p)))
        .collect()
}

/// The documents: those of `docs`, and of the root.
fn documents() -> BTreeMap<String, String> {
    let mut all = texts(&["docs"], "md");
    for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md"] {
        if root().join(name).exists() {
            all.insert(name.to_owned(), read(name));
        }
    }
    assert!(!all.is_empty(), "the project has no documents");
    all
}

/// Fails with all of `wrong`, one to a line.
#[track_caller]
fn nothing_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} thing(s) are wrong:\n  {}", wrong.len(), wrong.join("\n  "));
}

/// What there is to be named: all files, and what those of Rust define.
struct Project {
    files: BTreeSet<String>,
    code: BTreeMap<String, Definitions>,
}

impl Project {
    fn read() -> Project {
        let sources = texts(&["src", "tests", "examples", "benches", "fuzz"], "rs");
        Project {
            files: files().iter().map(|path| path.to_str().expect("a UTF-8 name").to_owned()).collect(),
            code: sources.iter().map(|(path, source)| (path.clone(), Definitions::of(path, source))).collect(),
        }
    }

    /// Whether there is this file, or this directory.
    fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files.iter().any(|file| file.strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with('/')))
    }

    /// Whether a file anywhere has this name.
    fn has_named(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.rsplit('/').next() == Some(name))
    }

    fn defines(&self, name: &str) -> bool {
        self.code.values().any(|d| d.names.contains(name) || d.owners.contains(name))
    }

    /// Whether one file has both: the owner, or methods of it, and the name.
    fn defines_in(&self, owner: &str, name: &str) -> bool {
        self.code.values().any(|d| d.owners.contains(owner) && (d.names.contains(name) || d.owners.contains(name)))
    }
}

// ------------------------------------------------------------------------------------------------------- the checks

/// What is wrong with a piece of inline code, if anything.
fn wrong_with(project: &Project, span: &str) -> Option<String> {
    const PLACES: [&str; 8] = ["src/", "tests/", "docs/", "examples/", "benches/", "fuzz/", ".ci/", ".github/"];
    let span = span.trim_start_matches("../");
    if PLACES.iter().any(|place| span.starts_with(place)) {
        return wrong_with_path(project, span);
    }
    if let Some((stem, "rs" | "md" | "toml")) = span.rsplit_once('.') {
        let bare = !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        return (bare && !project.has_named(span)).then(|| format!("`{span}`: no file has this name"));
    }
    let name = symbol(span)?;
    let parts: Vec<&str> = name.split("::").filter(|part| *part != "tine" && *part != "crate").collect();
    match parts[..] {
        [] => None,
        [root, ..] if is_in(FOREIGN_ROOTS, root) => None,
        [single] => {
            let called = ["()", "(..)", "!"].iter().any(|end| span.ends_with(end));
            let foreign = is_in(FOREIGN, single)
                || FOREIGN_PREFIXES.split_whitespace().any(|p| single.starts_with(p))
                || (single.starts_with('E') && single.len() <= 12 && single.chars().all(|c| c.is_ascii_uppercase()));
            let telling =
                single.contains('_') || single.starts_with(|c: char| c.is_ascii_uppercase()) && single.len() > 1;
            let looked_at = called || (telling && !single.starts_with('_')) || span.starts_with("tine::");
            (looked_at && !foreign && !project.defines(single)).then(|| format!("`{span}`: nothing is named {single}"))
        }
        _ => parts.windows(2).find_map(|pair| {
            let [owner, name] = [pair[0], pair[1]];
            let foreign = is_in(FOREIGN, owner) && !project.defines_in(owner, name);
            (!foreign && !project.defines_in(owner, name)).then(|| format!("`{span}`: {owner} has no {name}"))
        }),
    }
}

/// The path of names that a span is, without what it is called with and what it is generic over. None if it is
/// something else: a command, an expression, a page of the manual.
fn symbol(span: &str) -> Option<&str> {
    let span = span.trim_start_matches(['&', '*']);
    let mut name = span;
    if let Some(open) = span.find('(') {
        let inside = span[open..].strip_prefix('(')?.strip_suffix(')')?;
        if inside.len() == 1 && inside.chars().all(|c| c.is_ascii_digit()) {
            return None;
        }
        name = &span[..open];
    }
    let name = name.trim_end_matches(['!', '?']);
    let name = match name.find('<') {
        Some(open) if name.ends_with('>') => name[..open].trim_end_matches("::"),
        _ => name,
    };
    name.split("::").all(is_name).then_some(name)
}

fn wrong_with_path(project: &Project, span: &str) -> Option<String> {
    // `path`, `path::symbol`, `path: words symbol`
    let (path, rest) = match (span.find("::"), span.find(": ")) {
        (Some(at), None) => (&span[..at], &span[at + 2..]),
        (_, Some(at)) => (&span[..at], &span[at + 2..]),
        (None, None) => (span, ""),
    };
    if path.contains(['*', ' ', '{', '<']) {
        return None;
    }
    if let Some((file, line)) = path.rsplit_once(':')
        && line.chars().all(|c| c.is_ascii_digit())
    {
        return Some(format!("`{span}`: a line number, which will be wrong; name the symbol in {file}"));
    }
    if !project.has(path) {
        return Some(format!("`{span}`: there is no {path}"));
    }
    if rest.is_empty() {
        return None;
    }
    let Some(definitions) = project.code.get(path) else { return Some(format!("`{span}`: {path} is no file of Rust")) };
    let symbol = rest.split(['(', '<']).next().unwrap_or(rest).rsplit([' ', ':']).next().unwrap_or(rest);
    let known = definitions.names.contains(symbol) || definitions.owners.contains(symbol);
    (!known).then(|| format!("`{span}`: {path} defines no {symbol}"))
}

#[test]
fn what_the_documents_name_exists() {
    let project = Project::read();
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for (document, text) in documents() {
        for span in paragraphs(&text).iter().flat_map(|p| inline_code(p)) {
            looked_at += 1;
            wrong.extend(wrong_with(&project, &span).map(|what| format!("{document}: {what}")));
        }
    }
    assert!(looked_at > 100, "only {looked_at} pieces of code were found: the reader of Markdown is broken");
    nothing_wrong(&wrong);
}

#[test]
fn links_between_documents_resolve() {
    let mut wrong = Vec::new();
    for (document, text) in documents() {
        let here = Path::new(&document).parent().expect("a document is in a directory");
        for link in paragraphs(&text).iter().flat_map(|p| links(p)) {
            wrong.extend(
                broken_link(&link, |path| root().join(here).join(path).exists()).map(|w| format!("{document}: {w}")),
            );
        }
    }
    nothing_wrong(&wrong);
}

fn broken_link(link: &str, exists: impl Fn(&str) -> bool) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") || link.starts_with('#') {
        return None;
    }
    let path = link.split(['#', ' ']).next().unwrap_or(link);
    (!exists(path)).then(|| format!("the link to {link} leads nowhere"))
}

/// The paths in the first column of the tables of a document.
fn first_column(markdown: &str) -> BTreeSet<String> {
    let rows = markdown.lines().filter_map(|line| line.trim().strip_prefix('|')?.trim().strip_prefix('`'));
    rows.filter_map(|row| row.split('`').next()).filter(|cell| cell.starts_with("src/")).map(str::to_owned).collect()
}

/// Whether a file opens `unsafe`, and whether it says why. The lint's name in a comment opens nothing.
fn opens_unsafe(source: &str) -> Option<bool> {
    let is_opening = |line: &str| {
        let line = line.trim_start();
        (line.starts_with("#![") || line.starts_with("#[")) && line.contains("allow(") && line.contains("unsafe_code")
    };
    let lines: Vec<&str> = source.lines().collect();
    let openings: Vec<usize> = (0..lines.len()).filter(|&n| is_opening(lines[n])).collect();
    if openings.is_empty() {
        return None;
    }
    if lines.iter().any(|line| line.trim_end() == "//! # Safety") {
        return Some(true);
    }
    // No section for the whole: then each opening, of one item, has its reason in the comment beside it.
    let reasoned = |&at: &usize| {
        let beside = lines[..at].iter().rev().take_while(|line| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with("#[")
        });
        !lines[at].contains("#![")
            && beside.chain(lines.get(at + 1)).any(|l| l.contains("SAFETY:") || l.contains("# Safety"))
    };
    Some(openings.iter().all(reasoned))
}

/// The differences between the table and the sources, and the files without a reason.
fn wrong_in_safety(table: &BTreeSet<String>, sources: &BTreeMap<String, String>) -> Vec<String> {
    let opening: BTreeMap<&String, bool> = sources.iter().filter_map(|(p, s)| Some((p, opens_unsafe(s)?))).collect();
    let mut wrong: Vec<String> = Vec::new();
    wrong.extend(
        opening.keys().filter(|p| !table.contains(**p)).map(|p| format!("{p} opens unsafe and is not in the table")),
    );
    wrong.extend(
        table.iter().filter(|p| !opening.contains_key(p)).map(|p| format!("{p} is in the table and opens no unsafe")),
    );
    wrong.extend(
        opening.iter().filter(|(_, why)| !**why).map(|(p, _)| format!("{p} opens unsafe without a reason beside it")),
    );
    wrong
}

#[test]
fn the_files_that_open_unsafe_are_listed() {
    let path = "docs/safety.md";
    assert!(root().join(path).exists(), "{path} is missing: it holds the table of the files that open `unsafe`");
    nothing_wrong(&wrong_in_safety(&first_column(&read(path)), &texts(&["src"], "rs")));
}

#[test]
fn the_files_that_open_unsafe_say_why() {
    let sources = texts(&["src"], "rs");
    let all = sources.iter().filter(|(_, s)| opens_unsafe(s).is_some()).map(|(p, _)| p.clone()).collect();
    nothing_wrong(&wrong_in_safety(&all, &sources));
}

/// References to where the project was made rather than to the project. Put together here, so that this file
/// does not hold them.
fn outside_references() -> [String; 4] {
    [["/wo", "rk/"], ["../sha", "red"], ["/tmp/", "wt/"], ["/tmp/", "brief"]].map(|parts| parts.concat())
}

fn outside_references_in(text: &str, needles: &[String]) -> Vec<String> {
    let hits = text.lines().enumerate().flat_map(|(n, line)| {
        needles
            .iter()
            .filter(move |needle| line.contains(*needle))
            .map(move |needle| format!("line {}: {needle}", n + 1))
    });
    hits.collect()
}

#[test]
fn the_project_stands_alone() {
    let mut wrong = Vec::new();
    for path in files() {
        // What is not text cannot refer to anything.
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        wrong.extend(
            outside_references_in(&text, &outside_references()).iter().map(|w| format!("{}: {w}", path.display())),
        );
    }
    nothing_wrong(&wrong);
}

/// The examples that the text does not name.
fn unnamed(examples: &[String], readme: &str) -> Vec<String> {
    let words: BTreeSet<&str> = readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    examples
        .iter()
        .filter(|name| !words.contains(name.as_str()))
        .map(|n| format!("examples/{n}.rs is not named"))
        .collect()
}

/// The names of the files of `directory` itself, without `.rs`; of a directory with a `main.rs`, its name.
fn programs_in(directory: &str) -> Vec<String> {
    let all = files();
    let inside = all.iter().filter_map(|path| path.strip_prefix(directory).ok());
    let names = inside.filter_map(|path| {
        let parts: Vec<&str> = path.iter().filter_map(|p| p.to_str()).collect();
        match parts[..] {
            [file] => file.strip_suffix(".rs").map(str::to_owned),
            [name, "main.rs"] => Some(name.to_owned()),
            _ => None,
        }
    });
    names.collect()
}

#[test]
fn the_examples_are_named_in_the_readme() {
    assert!(root().join("README.md").exists(), "README.md is missing: it names the examples");
    nothing_wrong(&unnamed(&programs_in("examples"), &read("README.md")));
}

/// The targets of this kind that a manifest says to run by their own `main`.
fn without_harness(manifest: &str, kind: &str) -> BTreeSet<String> {
    let tables = manifest.split("\n[").filter(|table| table.starts_with(&format!("[{kind}]]")));
    let own = tables.filter(|table| table.lines().any(|l| l.replace(' ', "") == "harness=false"));
    let names = own.filter_map(|t| t.lines().find_map(|l| l.replace(' ', "").strip_prefix("name=").map(str::to_owned)));
    names.map(|name| name.trim_matches('"').to_owned()).collect()
}

/// What is wrong with one target: a `main` that libtest would replace, or no `main` where libtest does not make one.
fn wrong_harness(name: &str, source: &str, own: &BTreeSet<String>) -> Option<String> {
    let has_main = source.lines().any(|line| line.starts_with("fn main("));
    match (has_main, own.contains(name)) {
        (true, false) => Some(format!("{name} has a main, but no entry with `harness = false`: none of it would run")),
        (false, true) => Some(format!("{name} has no main, but an entry with `harness = false`")),
        _ => None,
    }
}

#[test]
fn tests_with_a_main_are_in_the_manifest() {
    let manifest = read("Cargo.toml");
    let own = without_harness(&manifest, "test");
    let tests = programs_in("tests");
    assert!(tests.contains(&"docs".to_owned()));
    let mut wrong: Vec<String> = Vec::new();
    wrong.extend(
        own.iter().filter(|n| !tests.contains(n)).map(|n| format!("Cargo.toml names tests/{n}.rs, which is not there")),
    );
    for name in &tests {
        let file = format!("tests/{name}.rs");
        let file = if root().join(&file).exists() { file } else { format!("tests/{name}/main.rs") };
        wrong.extend(wrong_harness(name, &read(file), &own));
    }
    nothing_wrong(&wrong);
}

/// The cases that a test program defines and does not run: functions without arguments that nothing mentions.
fn forgotten_cases(source: &str) -> Vec<String> {
    let code: String =
        source.lines().map(|l| l.split("//").next().unwrap_or(l)).fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{line}");
            all
        });
    let defined = source.lines().filter_map(|l| l.strip_prefix("fn ")?.split_once("() {")).map(|(name, _)| name);
    let uses = |name: &str| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| *w == name).count();
    defined.filter(|name| *name != "main" && uses(name) < 2).map(|n| format!("{n} is defined and never run")).collect()
}

#[test]
fn every_case_is_run() {
    let own = without_harness(&read("Cargo.toml"), "test");
    let all = own.iter().map(|name| format!("tests/{name}.rs")).filter(|path| root().join(path).exists());
    let wrong: Vec<String> =
        all.flat_map(|path| forgotten_cases(&read(&path)).into_iter().map(move |w| format!("{path}: {w}"))).collect();
    nothing_wrong(&wrong);
}

// ------------------------------------------------------------------------------------- the checks see what is wrong

fn small() -> Project {
    let slot = "pub(super) struct Slot {\n    header: u8,\n}\n\nimpl Slot {\n    pub(super) fn commit(&self) {}\n}\n\
                pub(super) mod state {\n    pub(crate) const BORN: u32 = 0;\n}\npub enum Cause {\n    Code(i32),\n    TimedOut,\n}\n\
                pub use elsewhere::{Signal, Resource};\n// fn in_a_comment() {}\nmacro_rules! plain { () => {} }\n\
                pub const unsafe fn taken() {}\n";
    let spawn = "fn the_result_arrives() {\n    let Nothing = 1;\n    nor_this(2);\n}\n";
    let files = [("src/process/slot.rs", slot), ("tests/spawn.rs", spawn)];
    Project {
        files: files.iter().map(|(path, _)| *path).chain(["docs/a.md", "Cargo.toml"]).map(str::to_owned).collect(),
        code: files.iter().map(|(path, source)| ((*path).to_owned(), Definitions::of(path, source))).collect(),
    }
}

/// Looks at pieces of code, which are separated by `; `.
fn looked_at(spans: &str) -> Vec<(&str, Option<String>)> {
    let project = small();
    spans.split("; ").map(|span| (span, wrong_with(&project, span))).collect()
}

#[track_caller]
fn accepted(spans: &str) {
    for (_, wrong) in looked_at(spans) {
        assert_eq!(wrong, None);
    }
}

#[track_caller]
fn refused(spans: &str) {
    for (span, wrong) in looked_at(spans) {
        assert!(wrong.is_some(), "{span} was accepted");
    }
}

#[test]
fn names_that_exist_are_accepted() {
    accepted("Slot; Slot::commit; slot::Slot; state::BORN; Cause::TimedOut; Slot::header; Signal; plain!; BORN");
    accepted("tine::Slot::commit(&outcome); Slot<T>; &Slot; commit(); commit(..); taken(); the_result_arrives");
    accepted(
        "tests/spawn.rs::the_result_arrives; src/process/slot.rs: struct Slot; src/process/slot.rs: fn commit(&self)",
    );
    accepted("src/process/slot.rs; src/process; docs/; ../docs/a.md; slot.rs; Cargo.toml");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    accepted("std::process::Command; libc::fork; io::Error; Drop; Signal::STOP; Vec::with_capacity; mem::forget(f)");
    accepted("SIGKILL; EINTR; PR_SET_PDEATHSIG; fork(2); pipe2(O_DIRECT); Some(()); u64; x; T; fork; _exit");
    accepted(
        "nohup make | tee log; Err(Errno::INTR) => {}; multiprocessing.Pipe; src/*/mod.rs; cargo test --test docs",
    );
}

#[test]
fn names_that_do_not_exist_are_refused() {
    refused("Slit; Slot::comit; slot::Nothing; state::DEAD; Cause::Nothing; the_result_never_arrives; WAIT_LONG");
    refused("nothing(); nothing(..); in_a_comment(); nor_this(); plane!; tine::nothing; Slot::header::more");
    refused("tests/spawn.rs::no_such_case; tests/spown.rs::the_result_arrives; src/process/slot.rs: struct Table");
    refused("src/process/nowhere.rs; src/proc; docs/b.md; nowhere.rs; tests/spawn.rs:12; docs/a.md::heading");
    // Of two files, each has a half.
    refused("spawn::commit; Slot::the_result_arrives");
}

#[test]
fn markdown_is_read() {
    let text = "See `One`, ``two `ticks` ``, and `three\nfour`.\n\n```text\n`NotThis` [nor](this.md)\n```\n| `Cell` | [a](b.md) |\n\
                # `Head`\nand [one](x.md#y), [two](<z>), `f[0](no.md)`";
    let all = paragraphs(text);
    let spans: Vec<String> = all.iter().flat_map(|p| inline_code(p)).collect();
    assert_eq!(spans, ["One", "two `ticks`", "three four", "Cell", "Head", "f[0](no.md)"]);
    let targets: Vec<String> = all.iter().flat_map(|p| links(p)).collect();
    assert_eq!(targets, ["b.md", "x.md#y", "<z>"]);
    assert_eq!(broken_link("x.md#y", |p| p == "x.md"), None);
    assert_eq!(broken_link("https://example.org/x", |_| false), None);
    assert!(broken_link("y.md", |p| p == "x.md").is_some());
}

#[test]
fn openings_of_unsafe_are_seen() {
    assert_eq!(opens_unsafe("//! Text about allow(unsafe_code).\nfn f() {}\n"), None);
    assert_eq!(opens_unsafe("//! Text.\n//!\n//! # Safety\n//!\n//! Why.\n#![allow(unsafe_code)]\n"), Some(true));
    assert_eq!(opens_unsafe("//! Text.\n#![allow(unsafe_code)]\n// SAFETY: none\nunsafe {}\n"), Some(false));
    assert_eq!(opens_unsafe("/// # Safety\n///\n/// Why.\n#[allow(unsafe_code)]\nunsafe fn f() {}\n"), Some(true));
    assert_eq!(opens_unsafe("// SAFETY: why.\n#[allow(unsafe_code)]\nunsafe {}\n"), Some(true));
    assert_eq!(
        opens_unsafe("// SAFETY: why.\n#[allow(unsafe_code)]\nunsafe {}\n\n#[allow(unsafe_code)]\nf();\n"),
        Some(false)
    );

    let table = |paths: &[&str]| first_column(&paths.iter().map(|p| format!("| `{p}` | why |\n")).collect::<String>());
    let sources = |texts: [(&str, &str); 2]| texts.map(|(p, s)| (p.to_owned(), s.to_owned())).into_iter().collect();
    let good = sources([("src/a.rs", "//! # Safety\n#![allow(unsafe_code)]\n"), ("src/b.rs", "fn f() {}\n")]);
    assert_eq!(
        first_column("| file | why |\n|---|---|\n| `src/a.rs` | `src/b.rs` |\n| `x` | |\n"),
        ["src/a.rs".to_owned()].into()
    );
    assert!(wrong_in_safety(&table(&["src/a.rs"]), &good).is_empty());
    assert_eq!(wrong_in_safety(&table(&[]), &good).len(), 1);
    assert_eq!(wrong_in_safety(&table(&["src/a.rs", "src/b.rs"]), &good).len(), 1);
    assert_eq!(wrong_in_safety(&table(&["src/a.rs", "src/c.rs"]), &good).len(), 1);
}

#[test]
fn outside_references_are_seen() {
    let needles = outside_references();
    for needle in &needles {
        assert_eq!(outside_references_in(&format!("one\nsee {needle}x\n"), &needles).len(), 1);
    }
    assert!(outside_references_in("work/shared and /workers", &needles).is_empty());
}

#[test]
fn targets_are_compared_with_the_manifest() {
    let manifest = "[package]\nname = \"x\"\n\n[[test]]\nname = \"a\"\nharness = false\n\n[[test]]\nname = \"b\"\n\n\
                    [[bench]]\nname = \"c\"\nharness = false\n";
    let own = without_harness(manifest, "test");
    assert_eq!(own, ["a".to_owned()].into());
    assert_eq!(wrong_harness("a", "fn main() {}\n", &own), None);
    assert_eq!(wrong_harness("b", "#[test]\nfn t() {}\n", &own), None);
    assert!(wrong_harness("a", "#[test]\nfn t() {}\n", &own).is_some());
    assert!(wrong_harness("b", "fn main() {}\n", &own).is_some());
    assert_eq!(
        unnamed(&["tour".into(), "hello_fork".into()], "run `cargo run --example tour` and hello_forks").len(),
        1
    );
    assert_eq!(forgotten_cases("fn main() {\n    run(cases![one])\n}\nfn one() {}\nfn two() {}\n// two\n").len(), 1);
}
