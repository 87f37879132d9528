//! `docs/errors.md` names every error code that the sources make, and no other.
//!
//! The scanner reads the code in the calls that make errors: a literal, or a constant. Where a function takes the
//! code from its caller, every literal of its file that looks like a code and opens a call or a tuple counts.

#![expect(clippy::case_sensitive_file_extension_comparisons, reason = "fields of a struct, no files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{root, source_files};

/// Calls that make an error, and which of their arguments is its code.
const MAKERS: [(&str, usize); 14] = [
    ("Refusal::new(", 1),
    ("Refusal::invalid(", 0),
    ("Refusal::not_found(", 0),
    ("Refusal::exhausted(", 0),
    ("Self::new(RefusalKind", 1),
    ("Self::exhausted(", 0),
    ("CommandFailure::failed(", 0),
    ("print_error(", 0),
    ("path_refusal(", 0),
    ("Fault::permanent(", 0),
    ("Fault::permanent_error(", 0),
    ("FailureReason::new(", 0),
    ("MessageRejection::for_field(", 0),
    // Names of tenants and collections: the macro gets the code.
    ("name_id!(", 2),
];
/// Fields that hold a code.
const FIELDS: [&str; 2] = [" code: \"", " rejected: \""];
/// The file whose constants are all codes: reasons of dead letters.
const REASONS: &str = "crates/core/src/fault/reason.rs";

/// The codes that these files make.
fn codes_in(files: &[(String, String)]) -> BTreeSet<String> {
    let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    let shipped_files = files.iter().filter(|(path, _)| !is_test(path));
    let sources: Vec<(&str, String)> =
        shipped_files.map(|(path, source)| (path.as_str(), shipped(source))).collect();
    let constants: BTreeMap<&str, &str> =
        sources.iter().flat_map(|(_, source)| text_constants(source)).collect();
    let mut codes = BTreeSet::new();
    for (path, source) in &sources {
        if *path == REASONS {
            codes.extend(text_constants(source).map(|(_, code)| code.to_owned()));
        }
        for field in FIELDS {
            let values =
                source.match_indices(field).filter_map(|(at, _)| literal(&source[at + field.len() - 1..]));
            codes.extend(values.map(str::to_owned));
        }
        let mut takes_codes = false;
        for (maker, place) in MAKERS {
            for (at, _) in source.match_indices(maker) {
                let opened = at + maker.find('(').unwrap() + 1;
                let Some(argument) = arguments(&source[opened..]).get(place).copied() else { continue };
                let constant = argument.rsplit("::").next().and_then(|name| constants.get(name));
                match literal(argument).or(constant.copied()) {
                    Some(code) => drop(codes.insert(code.to_owned())),
                    // An error that is passed on with its code, or a name that holds one.
                    None => takes_codes |= !argument.ends_with(".code"),
                }
            }
        }
        if takes_codes {
            codes.extend(opening_literals(source).map(str::to_owned));
        }
    }
    codes
}

/// The part of a file that is no test, without comments on lines of their own.
fn shipped(source: &str) -> String {
    let end = source.find("\nmod tests {").unwrap_or(source.len());
    let lines = source[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// Names and values of the constants that are text.
fn text_constants(source: &str) -> impl Iterator<Item = (&str, &str)> {
    source.split("const ").skip(1).filter_map(|constant| {
        let (name, value) = constant.split_once(": &str = ")?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        literal(value).filter(|_| is_name).map(|value| (name, value))
    })
}

/// The text literal at the start, if it can be a code.
fn literal(text: &str) -> Option<&str> {
    let (value, _) = text.strip_prefix('"')?.split_once('"')?;
    let is_code =
        value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (is_code && value.starts_with(|first: char| first.is_ascii_lowercase())).then_some(value)
}

/// The arguments of a call, up to its end.
fn arguments(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth, mut is_quoted) = (Vec::new(), 0, 0, false);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if is_quoted => drop(bytes.next()),
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth > 0 => depth -= 1,
            b',' | b')' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
                if byte == b')' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Literals with an underscore that open a call or a tuple and are not all of it, but names of debug fields.
fn opening_literals(source: &str) -> impl Iterator<Item = &str> {
    source.match_indices('(').filter_map(|(at, _)| {
        let rest = source[at + 1..].trim_start();
        let code = literal(rest).filter(|code| code.contains('_'))?;
        let is_field = source[..at].ends_with(".field");
        (rest[code.len() + 2..].starts_with(',') && !is_field).then_some(code)
    })
}

/// The codes that the page's tables have in their first column.
fn documented(page: &str) -> Vec<&str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(code, _)| code)
        .collect()
}

#[test]
fn every_error_code_is_documented() {
    let made = codes_in(&source_files());
    assert!(made.len() > 200, "reads the sources: {made:?}");
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let listed = documented(&page);
    let named: BTreeSet<String> = listed.iter().map(|code| (*code).to_owned()).collect();
    assert_eq!(listed.len(), named.len(), "docs/errors.md has a code twice");
    let missing: Vec<_> = made.difference(&named).collect();
    let unmade: Vec<_> = named.difference(&made).collect();
    assert!(
        missing.is_empty() && unmade.is_empty(),
        "docs/errors.md lacks {missing:?}, and has {unmade:?}, which nothing makes"
    );
}

#[test]
fn codes_are_read_from_calls_constants_and_callers() {
    let file = |path: &str, source: &str| (path.to_owned(), source.to_owned());
    let files = [
        file(
            "a.rs",
            "fn f() { Err(Refusal::new(kind_of(a, b), \"one\", \"field\", format!(\"x, {}\", y))) }
            // Refusal::invalid(\"in_a_comment\", \"\", \"\")
            fn g() { Refusal::invalid(\n    \"two_lines\",\n    \"field\", \"not_a_code\") }
            fn h() { Fault::permanent(names::THREE, why) }
            fn i() { Refusal::not_found(refusal.code, \"passed_on\") }
            struct S; impl S { const A: Remote = Remote { name: \"x\", rejected: \"four\" }; }
            \nmod tests { fn t() { Refusal::invalid(\"of_a_test\", \"\", \"\"); } }",
        ),
        file("b.rs", "pub const THREE: &str = \"three\"; pub const OTHER: &str = \"other\";"),
        file(
            "c.rs",
            "fn refuse(code: &'static str) -> Refusal { Refusal::invalid(code, \"\", \"\") }
            fn f() { refuse_with(\n \"five_five\", 1); shown.field(\"no_code\", 1); let x = (\"six_six\", 2); }",
        ),
        file("d.rs", "fn f() { other(\"seven_seven\", 1) }"),
        file("d/tests.rs", "fn f() { Refusal::not_found(\"of_tests\", \"\") }"),
        file(REASONS, "pub mod reason { pub const EIGHT: &str = \"eight\"; }"),
    ];
    let expected = ["eight", "five_five", "four", "one", "six_six", "three", "two_lines"];
    assert_eq!(codes_in(&files), BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn codes_are_read_from_the_first_column() {
    let page = "| code | HTTP |\n|---|---|\n| `one` | 400 |\n| `two_two` | `no_code` |\ntext `three` |\n";
    assert_eq!(documented(page), ["one", "two_two"]);
}
