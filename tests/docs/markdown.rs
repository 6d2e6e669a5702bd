//! Reading Markdown, as far as the checks of the documents need it.

/// The text of a document without its blocks of code: one string for each run of lines.
pub fn paragraphs(markdown: &str) -> Vec<String> {
    let (mut all, mut now, mut fence) = (Vec::new(), String::new(), None::<String>);
    for line in markdown.lines() {
        let bare = line.trim_start();
        let ticks: String = bare.chars().take_while(|&c| c == '`').collect();
        match &fence {
            Some(open) if ticks.len() >= open.len() && bare.trim_end() == ticks => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => {
                all.push(std::mem::take(&mut now));
                fence = Some(ticks);
            }
            None if bare.is_empty() || bare.starts_with('|') || bare.starts_with('#') => {
                all.push(std::mem::take(&mut now));
                all.push(bare.to_owned());
            }
            None => {
                now.push_str(bare);
                now.push(' ');
            }
        }
    }
    all.push(now);
    all.retain(|p| !p.trim().is_empty());
    all
}

/// The inline code of a paragraph.
pub fn inline_code(paragraph: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = paragraph;
    while let Some(at) = rest.find('`') {
        let ticks = rest[at..].chars().take_while(|&c| c == '`').count();
        let after = &rest[at + ticks..];
        let Some(end) = closing(after, ticks) else { break };
        found.push(after[..end].trim().to_owned());
        rest = &after[end + ticks..];
    }
    found
}

/// Where a run of exactly so many backticks begins.
fn closing(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = text[at..].find('`') {
        let here = at + next;
        let run = text[here..].chars().take_while(|&c| c == '`').count();
        if run == ticks {
            return Some(here);
        }
        at = here + run;
    }
    None
}

/// The targets of the links of a paragraph: what stands in round brackets after square ones.
pub fn links(paragraph: &str) -> Vec<String> {
    // What is code is no link: `a[0](x)`.
    let mut text = String::new();
    let mut code = false;
    for c in paragraph.chars() {
        match c {
            '`' => code = !code,
            '(' | ')' if code => {}
            _ => text.push(c),
        }
    }
    let ends = text.match_indices("](").map(|(at, _)| at + 2);
    ends.filter_map(|at| Some(text[at..at + text[at..].find(')')?].trim().to_owned())).collect()
}
