//! Reading Rust by lines, which rustfmt makes possible.
use std::collections::BTreeSet;
use std::path::Path;

/// The names that a file of Rust defines.
#[derive(Debug, Default)]
pub struct Definitions {
    pub names: BTreeSet<String>,
    /// Types, traits and modules that have methods or variants here.
    pub owners: BTreeSet<String>,
}

pub fn is_name(word: &str) -> bool {
    !word.is_empty()
        && !word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name at the start of `text`.
fn leading_name(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// What `line` defines, without its words of visibility and the like, as kind and rest.
fn item(line: &str) -> Option<(&'static str, &str)> {
    const KINDS: [&str; 10] =
        ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod", "macro_rules!"];
    let mut rest = line;
    loop {
        let kind = KINDS.iter().find(|k| rest.strip_prefix(**k).is_some_and(|r| r.starts_with(' ')));
        if let Some(&kind) = kind {
            let after = rest[kind.len()..].trim_start();
            // `const fn`, `const unsafe fn`
            let more = ["fn ", "unsafe fn ", "extern "].iter().any(|m| after.starts_with(m));
            if kind != "const" || !more {
                return Some((kind, after.strip_prefix("mut ").unwrap_or(after)));
            }
            rest = after;
            continue;
        }
        rest = ["pub ", "unsafe ", "async ", "extern \"C\" ", "default "]
            .iter()
            .find_map(|w| rest.strip_prefix(w))
            .or_else(|| {
                let inside = rest.strip_prefix("pub(")?;
                Some(inside.split_once(')')?.1.trim_start())
            })?;
    }
}

impl Definitions {
    pub fn of(path: &str, source: &str) -> Definitions {
        let mut found = Definitions::default();
        // A module is its file.
        let path = Path::new(path);
        let stem = |p: &Path| p.file_stem().and_then(|s| s.to_str()).map(str::to_owned);
        found.owners.extend(match stem(path).as_deref() {
            Some("mod" | "lib" | "main") => path.parent().and_then(stem),
            other => other.map(str::to_owned),
        });
        // The struct or enum whose body we are in: the indentation of its first line.
        let mut body = None::<(usize, &str)>;
        let mut importing = false;
        for line in source.lines() {
            let text = line.trim_start();
            let indent = line.len() - text.len();
            if text.starts_with("//") || text.is_empty() {
                continue;
            }
            if importing || text.starts_with("pub use ") {
                importing = !text.ends_with(';');
                let given = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| is_name(w));
                found.names.extend(given.map(str::to_owned));
                continue;
            }
            if let Some((at, kind)) = body {
                if indent == at && text.starts_with('}') {
                    body = None;
                } else if indent == at + 4 {
                    let text = text.strip_prefix("pub ").unwrap_or(text);
                    let text = text.strip_prefix("pub(").and_then(|t| Some(t.split_once(") ")?.1)).unwrap_or(text);
                    let name = leading_name(text);
                    let field = kind == "struct" && text[name.len()..].starts_with(':');
                    let variant = kind == "enum" && name.starts_with(|c: char| c.is_ascii_uppercase());
                    if is_name(name) && (field || variant) {
                        found.names.insert(name.to_owned());
                    }
                }
            }
            if let Some((kind, rest)) = item(text) {
                let name = leading_name(rest);
                if is_name(name) {
                    found.names.insert(name.to_owned());
                    if matches!(kind, "struct" | "enum" | "union" | "trait" | "mod" | "type") {
                        found.owners.insert(name.to_owned());
                    }
                    if matches!(kind, "struct" | "enum" | "union") && text.ends_with('{') {
                        body = Some((indent, kind));
                    }
                }
            } else if text.starts_with("impl") || text.starts_with("unsafe impl") {
                // `impl<T: X> Trait for Type<T> {`: both have methods here.
                let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                found
                    .owners
                    .extend(words.filter(|w| w.starts_with(|c: char| c.is_ascii_uppercase())).map(str::to_owned));
            }
        }
        found
    }
}
