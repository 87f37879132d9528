//! Reads Rust source as far as the layer test needs it: the paths it names.

/// The source without comments, strings and character literals; line breaks stay.
pub(crate) fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = comment_len(rest).or_else(|| text_len(rest, code.chars().next_back())).unwrap_or(0);
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|one| *one == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

fn comment_len(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        (at, depth) = (at + step, depth + change);
        if depth == 0 {
            break;
        }
    }
    Some(at)
}

/// The length of a string or character literal at the start, with its prefix.
fn text_len(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(is_word) {
        return None;
    }
    let prefix = rest.find(|one: char| !"bcr".contains(one)).filter(|length| *length <= 2)?;
    let body = &rest[prefix..];
    let raw = rest[..prefix].ends_with('r');
    let hashes = body.len() - body.trim_start_matches('#').len();
    if raw && body[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = hashes + 1;
        return Some(body[inside..].find(&end).map_or(rest.len(), |at| prefix + inside + at + end.len()));
    }
    if body.starts_with('"') {
        return Some(prefix + quoted_len(body, b'"'));
    }
    // A quote and one character, or an escape, then a quote; else it is a lifetime.
    let mut chars = body.strip_prefix('\'')?.chars();
    let first = chars.next()?;
    (first == '\\' || chars.next() == Some('\'')).then(|| prefix + quoted_len(body, b'\''))
}

fn quoted_len(body: &str, quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = body.as_bytes().get(at) {
        at += if *byte == b'\\' { 2 } else { 1 };
        if *byte == quote {
            break;
        }
    }
    at.min(body.len())
}

fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

/// Words and punctuation, `::` as one.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|one| !is_word(one)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The types that a file defines: structs, enums, traits, unions and aliases, but no associated types.
pub(crate) fn type_names(source: &str) -> Vec<String> {
    let code = code_only(source);
    let tokens = tokens(&code);
    let mut names = Vec::new();
    // For every open brace, whether it is the body of an `impl` or a `trait`.
    let mut bodies: Vec<bool> = Vec::new();
    let (mut opens_members, mut in_signature) = (false, false);
    for (at, token) in tokens.iter().enumerate() {
        let name = tokens.get(at + 1).filter(|next| next.starts_with(char::is_uppercase));
        match *token {
            "struct" | "enum" | "trait" | "union" => {
                names.extend(name.map(|name| (*name).to_owned()));
                opens_members = *token == "trait";
            }
            "type" if bodies.last() != Some(&true) => names.extend(name.map(|name| (*name).to_owned())),
            // In a signature it is a type, and the brace after it opens a function's body.
            "impl" if !in_signature && !bodies.contains(&true) => opens_members = true,
            "fn" => (opens_members, in_signature) = (false, true),
            ";" => (opens_members, in_signature) = (false, false),
            "{" => {
                bodies.push(std::mem::take(&mut opens_members));
                in_signature = false;
            }
            "}" => drop(bodies.pop()),
            _ => {}
        }
    }
    names
}

/// What a file names: the paths of its `use` items and of its code, from their first segment.
#[derive(Debug, Default)]
pub(crate) struct NamedPaths {
    pub(crate) paths: Vec<Vec<String>>,
    /// Names that mean something of our own here: its modules, and what it imports from us.
    pub(crate) own: Vec<String>,
}

/// Collects the paths of a file.
pub(crate) fn named(source: &str) -> NamedPaths {
    let code = code_only(source);
    let tokens = tokens(&code);
    let mut named = NamedPaths::default();
    let mut at = 0;
    while at < tokens.len() {
        let starts_path =
            tokens[at].starts_with(is_word) && (at == 0 || !["::", "."].contains(&tokens[at - 1]));
        if tokens[at] == "mod" && tokens.get(at + 1).is_some_and(|name| name.starts_with(is_word)) {
            named.own.push(tokens[at + 1].to_owned());
            at += 2;
        } else if tokens[at] == "use" {
            at += 1;
            at += usize::from(tokens.get(at) == Some(&"::"));
            let from = named.paths.len();
            at = tree(&tokens, at, &[], &mut named.paths);
            named.own.extend(
                named.paths[from..]
                    .iter()
                    .filter(|path| is_own(path))
                    .filter_map(|path| path.last().cloned()),
            );
        } else if starts_path && tokens.get(at + 1) == Some(&"::") {
            at = tree(&tokens, at, &[], &mut named.paths);
        } else {
            at += 1;
        }
    }
    named
}

fn is_own(path: &[String]) -> bool {
    ["crate", "self", "super"].contains(&path[0].as_str()) || path[0].starts_with("contexture")
}

/// Reads one path or one tree of paths; returns the position after it.
fn tree(tokens: &[&str], mut at: usize, parent: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = parent.to_vec();
    while let Some(token) = tokens.get(at) {
        match *token {
            "{" if !parent.is_empty()
                || !path.is_empty()
                || tokens.get(at.wrapping_sub(1)) == Some(&"use") =>
            {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    let from = at;
                    at = tree(tokens, at, &path, paths);
                    at += usize::from(tokens.get(at) == Some(&",") || at == from);
                }
                return at + 1;
            }
            "as" => {
                path.extend(tokens.get(at + 1).map(|&name| name.to_owned()));
                at += 2;
                break;
            }
            word if word.starts_with(is_word) || word == "*" => path.push(word.to_owned()),
            _ => break,
        }
        at += 1;
        if tokens.get(at) == Some(&"::") {
            at += 1;
        } else if tokens.get(at) != Some(&"as") {
            break;
        }
    }
    if !path.is_empty() {
        paths.push(path);
    }
    at
}
