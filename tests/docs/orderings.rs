//! Chapter 7 names each ordering of the channels: every function that has one is in its table.

use std::collections::BTreeSet;

use super::markdown::{inline_code, paragraphs};
use super::{nothing_wrong, read, texts};

const CHAPTER: &str = "docs/7-channels.md";

/// The functions of a source that name an ordering other than Relaxed. Its tests are not looked at.
fn that_order(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut function = "";
    for line in source.lines().take_while(|line| !line.starts_with("mod tests")) {
        let code = line.split("//").next().unwrap_or(line);
        if let Some((_, name)) = code.split_once("fn ") {
            function = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or(name);
        }
        if ["Acquire", "Release", "AcqRel", "SeqCst"].iter().any(|o| code.contains(&format!("Ordering::{o}"))) {
            found.insert(function.to_owned());
        }
    }
    found
}

/// The names in the tables of a document.
fn in_tables(markdown: &str) -> BTreeSet<String> {
    let rows: Vec<String> = paragraphs(markdown).into_iter().filter(|p| p.starts_with('|')).collect();
    let spans = rows.iter().flat_map(|row| inline_code(row));
    let words = spans.flat_map(|span| {
        span.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect::<Vec<_>>()
    });
    words.filter(|word| !word.is_empty()).collect()
}

#[test]
fn each_ordering_is_in_the_chapter() {
    let named = in_tables(&read(CHAPTER));
    let mut wrong = Vec::new();
    for (path, source) in texts(&["src/channel", "src/sys/fence.rs"], "rs") {
        if path.ends_with("/tests.rs") {
            continue;
        }
        let missing = that_order(&source).into_iter().filter(|function| !named.contains(function));
        wrong.extend(
            missing.map(|f| format!("{path}: `{f}` orders what is shared, and no table of {CHAPTER} names it")),
        );
    }
    nothing_wrong(&wrong);
}

#[test]
fn orderings_are_seen() {
    let source = "fn quiet() {\n    a.load(Ordering::Relaxed); // not Ordering::Acquire\n}\nfn loud<T>(x: T) {\n    \
                  a.store(1, Ordering::Release);\n}\nmod tests {\n    fn not_this() { a.load(Ordering::SeqCst); }\n}\n";
    assert_eq!(that_order(source), ["loud".to_owned()].into());
    assert_eq!(in_tables("`Not::this`\n\n| `A::b`, Release | `c` |\n"), ["A", "b", "c"].map(str::to_owned).into());
}
