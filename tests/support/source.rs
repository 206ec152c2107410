//! Looks at Rust source as far as the tidy rules need: code without comments and texts, without
//! what is compiled for tests only, and the paths that it names. It is no parser; it knows where
//! tokens end and braces close.

/// The source with comments and the insides of texts and characters blanked out. Line ends stay
/// where they were, so that a place here is the same place there.
pub fn code_of(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = at
            + match rest[0] {
                b'/' if rest.starts_with(b"//") => find(rest, b"\n").unwrap_or(rest.len()),
                b'/' if rest.starts_with(b"/*") => block_comment(rest),
                b'"' => text(rest),
                b'\'' => character(rest),
                b'r' | b'b' | b'c' if starts_word(bytes, at) => prefixed_text(rest),
                _ => 0,
            };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("whole comments and texts were blanked out")
}

/// The code without the items that are marked `#[cfg(test)]`, and the names of the modules among
/// them that lie in files of their own.
pub fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut rest = code.to_owned();
    let mut modules = Vec::new();
    while let Some(start) = rest.find(MARK) {
        let end = item_end(&rest, start + MARK.len());
        let item = rest[start + MARK.len()..end].trim();
        if let Some(name) = item.strip_suffix(';').and_then(|i| i.rsplit_once("mod ")) {
            modules.push(name.1.trim().to_owned());
        }
        let blank: String =
            rest[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        rest.replace_range(start..end, &blank);
    }
    (rest, modules)
}

/// A path that begins at the crate, such as `["crate", "table", "Reader"]`, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    pub line: usize,
    pub path: Vec<String>,
}

/// All paths of the code that lead to this crate's modules, by `crate::` or by enough `super::`.
/// `module` is the place of the file itself, such as `["rdb", "item"]`.
pub fn mentions(code: &str, module: &[&str]) -> Vec<Mention> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    // Modules written inside the file: a name, and the depth of braces outside of it.
    let mut inside: Vec<(&str, usize)> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].0 {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inside.retain(|(_, outside)| *outside < depth);
            }
            "mod" if text_at(&tokens, at + 2) == "{" => {
                inside.push((text_at(&tokens, at + 1), depth))
            }
            "crate" | "super" if text_at(&tokens, at + 1) == "::" => {
                let inner = inside.iter().map(|(name, _)| *name);
                let place: Vec<_> = module.iter().copied().chain(inner).collect();
                let mut paths = Vec::new();
                let next = path_tree(&tokens, at, &mut Vec::new(), &mut paths);
                let line = line_of(code, tokens[at].1);
                let absolute = paths.into_iter().filter_map(|path| from_the_top(&path, &place));
                found.extend(absolute.map(|path| Mention { line, path }));
                at = next.max(at + 1);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Functions of the code: their names, lines, and how many lines they have.
pub fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let tokens = tokens(code);
    let named = tokens.windows(2).filter(|pair| pair[0].0 == "fn" && is_word(pair[1].0));
    let measured = named.filter_map(|pair| {
        let end = item_end(code, pair[0].1);
        let lines = code[pair[0].1..end].matches('\n').count() + 1;
        code[..end].ends_with('}').then(|| (pair[1].0.to_owned(), line_of(code, pair[0].1), lines))
    });
    measured.collect()
}

/// Where this word stands by itself in the code, as lines.
pub fn word_lines(code: &str, word: &str) -> Vec<usize> {
    tokens(code).iter().filter(|(t, _)| *t == word).map(|(_, at)| line_of(code, *at)).collect()
}

/// Where these tokens follow each other in the code, as lines; spaces separate them in `pattern`.
pub fn pattern_lines(code: &str, pattern: &str) -> Vec<usize> {
    let pattern: Vec<_> = pattern.split(' ').collect();
    let tokens = tokens(code);
    let runs = tokens.windows(pattern.len());
    let alike = runs.filter(|run| run.iter().map(|(t, _)| *t).eq(pattern.iter().copied()));
    alike.map(|run| line_of(code, run[0].1)).collect()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn text(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character, or 0 for a lifetime, which has no end.
fn character(rest: &[u8]) -> usize {
    match rest {
        [b'\'', b'\\', _, tail @ ..] => find(tail, b"'").map_or(0, |end| end + 4),
        // Of several bytes where it is not ASCII.
        [b'\'', first, ..] => {
            let len = match first {
                0..0x80 => 1,
                0x80..0xE0 => 2,
                0xE0..0xF0 => 3,
                _ => 4,
            };
            if rest.get(1 + len) == Some(&b'\'') { len + 2 } else { 0 }
        }
        _ => 0,
    }
}

/// Raw, byte and C texts and byte characters; 0 where it is only a word that begins like one.
fn prefixed_text(rest: &[u8]) -> usize {
    let prefix = rest.iter().take_while(|b| matches!(b, b'r' | b'b' | b'c')).count();
    let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
    let body = &rest[prefix + hashes..];
    let raw = rest[..prefix].contains(&b'r');
    match body.first() {
        Some(b'"') if raw => {
            let mut end = vec![b'"'];
            end.resize(1 + hashes, b'#');
            find(&body[1..], &end).map_or(rest.len(), |at| prefix + hashes + 1 + at + end.len())
        }
        Some(b'"') if hashes == 0 => prefix + text(body),
        Some(b'\'') if hashes == 0 && rest[..prefix] == *b"b" => match character(body) {
            0 => 0,
            len => prefix + len,
        },
        _ => 0,
    }
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Words, `::`, and single signs, with their places.
fn tokens(code: &str) -> Vec<(&str, usize)> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let len = if word(first) {
            code[at..].find(|c| !word(c)).unwrap_or(code.len() - at)
        } else if code[at..].starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push((&code[at..at + len], at));
        }
        at += len;
    }
    tokens
}

fn text_at<'a>(tokens: &[(&'a str, usize)], at: usize) -> &'a str {
    tokens.get(at).map_or("", |(text, _)| text)
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Where the item that begins here ends: behind its `;` or its closing brace. Attributes between
/// belong to it; brackets are not looked into, since `[u8; 4]` has a `;` of its own.
fn item_end(code: &str, start: usize) -> usize {
    let (mut braces, mut brackets) = (0, 0);
    for (at, sign) in code[start..].char_indices() {
        match sign {
            '[' | '(' => brackets += 1,
            ']' | ')' => brackets -= 1,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 && brackets == 0 {
                    return start + at + 1;
                }
            }
            ';' if braces == 0 && brackets == 0 => return start + at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Collects the paths of a tree such as `crate::{a, b::{self, c}}`, and returns the place behind.
fn path_tree(
    tokens: &[(&str, usize)],
    start: usize,
    before: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let kept = before.len();
    let mut at = start;
    loop {
        match text_at(tokens, at) {
            "{" => {
                at += 1;
                while !matches!(text_at(tokens, at), "}" | "") {
                    at = path_tree(tokens, at, before, found);
                    // `as name` and the comma.
                    while !matches!(text_at(tokens, at), "," | "}" | "") {
                        at += 1;
                    }
                    at += usize::from(text_at(tokens, at) == ",");
                }
                before.truncate(kept);
                return at + 1;
            }
            word if is_word(word) => before.push(word.to_owned()),
            // `::<T>` behind a function, or the `*` of a glob: the path ends here.
            _ => break,
        }
        at += 1;
        if text_at(tokens, at) != "::" {
            break;
        }
        at += 1;
    }
    found.push(before.clone());
    before.truncate(kept);
    at
}

/// The path as it reads from the top of the crate, or None where it stays below the file's own
/// topmost module.
fn from_the_top(path: &[String], place: &[&str]) -> Option<Vec<String>> {
    let mut here: Vec<_> = place.iter().map(|&name| name.to_owned()).collect();
    let mut words = path.iter();
    for word in words.by_ref() {
        match word.as_str() {
            "crate" => here.clear(),
            "super" => {
                here.pop();
            }
            "self" => {}
            _ => {
                here.push(word.clone());
                break;
            }
        }
    }
    let crosses = place.first() != here.first().map(String::as_str).as_ref();
    let all = std::iter::once("crate".to_owned()).chain(here).chain(words.cloned());
    crosses.then(|| all.collect())
}
