//! JSON as people and programs write it.

use super::data_support::{check, marks, mutations, path_at};
use contexture_formats::{
    ParsedText, StructureMarkKind, TextStructure, parse_json, parse_json_lines, parse_toml, parse_yaml,
};
use proptest::prelude::*;

const PACKAGE: &str = r#"{
  "name": "lager-api",
  "version": "2.4.1",
  "description": "Stra\u00dfen und Lager \ud83d\ude00, \"quoted\"\n",
  "scripts": {
    "build": "tsc -p tsconfig.json && node scripts/copy-assets.mjs --from assets --to dist/assets",
    "start": "node dist/server.js --port 8080 --log-level info --shutdown-timeout-seconds 30",
    "test": "vitest run --coverage --reporter=junit --outputFile=reports/junit.xml"
  },
  "dependencies": { "express": "^4.19.2", "pg": "^8.12.0" },
  "license": "Apache-2.0",
  "engines": { "node": ">=20" }
}
"#;
const SETTINGS: &str = "// Settings of the editor.\n{\n  // Tabs are spaces.\n  \"editor\": {\"tabSize\": 2,},\n  /* Colours */ \"theme\": \"dark\", // the best\n}\n";
const RECORDS: &str = "{\"id\": 1, \"event\": \"login\", \"user\": \"ada\"}\n{\"id\": 2, \"event\": \"logout\", \"user\": \"bo\"}\n";

fn parse(source: &str) -> ParsedText {
    let parsed = parse_json(source);
    check(&parsed, source);
    parsed
}

fn place(parsed: &ParsedText, part: &str) -> usize {
    parsed.text.find(part).unwrap_or_else(|| panic!("{part} in {}", parsed.text))
}

fn users(count: usize) -> String {
    let users: Vec<String> = (0..count)
        .map(|id| {
            format!("{{\"id\": {id}, \"name\": \"user{id}\", \"role\": \"guest\", \"quota\": {}}}", id * 7)
        })
        .collect();
    format!("{{\"users\": [{}], \"total\": {count}}}", users.join(", "))
}

#[test]
fn a_package_file_stays_as_it_is_and_has_sections_of_keys() {
    let parsed = parse(PACKAGE);
    assert_eq!(parsed.text, PACKAGE.replace("\\u00df", "ß").replace("\\ud83d\\ude00", "😀"));
    assert_eq!(path_at(&parsed, place(&parsed, "\"start\"")), ["scripts"]);
    // A plain member behind a section is not a part of it.
    assert_eq!(path_at(&parsed, place(&parsed, "\"license\"")), ["dependencies, license, engines"]);
    let license = place(&parsed, "  \"license\"");
    assert!(marks(&parsed).iter().any(|mark| mark.at == license && mark.kind == StructureMarkKind::Item));
    assert!(parsed.notes.is_empty());
}

#[test]
fn a_document_on_one_line_is_laid_out() {
    let source = users(122);
    let parsed = parse(&source);
    assert!(
        parsed.text.starts_with("{\n  \"users\": [\n    {\"id\": 0, \"name\": \"user0\","),
        "{}",
        parsed.text
    );
    assert!(parsed.text.ends_with("  ],\n  \"total\": 122\n}"));
    let line = parsed.text.lines().find(|line| line.contains("\"user37\"")).expect("a line");
    assert_eq!(line, "    {\"id\": 37, \"name\": \"user37\", \"role\": \"guest\", \"quota\": 259},");
    let at = place(&parsed, line);
    assert!(marks(&parsed).iter().any(|mark| mark.at == at && mark.kind == StructureMarkKind::Item));
    assert_eq!(path_at(&parsed, at + 8), ["users"]);
    let span = parsed.map.source_span(at..at + line.len() - 1);
    assert_eq!(&source[span], line.trim().trim_end_matches(','));
}

#[test]
fn elements_are_titled_by_what_identifies_them() {
    let worker = |id: usize| {
        format!(
            "{{\"id\": {id}, \"name\": \"worker{id}\", \"limits\": {{\"burst\": {}, \"rate\": {}, \"note\": \"{}\"}}, \"image\": \"registry/worker:{id}\"}}",
            id + 1,
            id * 3,
            "a long note about this worker ".repeat(6).trim()
        )
    };
    let source = format!("{{\"service\":{{\"workers\":[{},{},{}]}}}}", worker(0), worker(1), worker(2));
    let parsed = parse(&source);
    let rate = place(&parsed, "\"rate\": 3");
    assert_eq!(path_at(&parsed, rate), ["service", "workers", "worker1", "limits"], "{}", parsed.text);
    assert_eq!(
        path_at(&parsed, place(&parsed, "registry/worker:1")),
        ["service", "workers", "worker1", "image"]
    );
}

#[test]
fn small_objects_stay_whole() {
    let source = "{\n  \"a\": {\n    \"x\": {\n      \"y\": 1\n    },\n    \"z\": 2\n  },\n  \"b\": 3\n}\n";
    let parsed = parse(source);
    let inner = place(&parsed, "    \"x\"");
    let kinds: Vec<_> =
        marks(&parsed).iter().filter(|mark| mark.at == inner).map(|mark| &mark.kind).collect();
    assert_eq!(kinds, [&StructureMarkKind::Line]);
    assert_eq!(path_at(&parsed, inner), ["a"]);
    assert_eq!(path_at(&parsed, place(&parsed, "\"b\"")), ["b"]);
}

#[test]
fn comments_belong_to_the_member_below() {
    let parsed = parse(SETTINGS);
    assert_eq!(parsed.text, SETTINGS);
    let at = place(&parsed, "  // Tabs");
    assert!(marks(&parsed).iter().any(|mark| mark.at == at), "{:?}", parsed.structure);
}

#[test]
fn base64_values_are_shortened() {
    let data: String =
        (0..1200_u32).map(|at| char::from(b"QmFzZTY0IGlzIG5vIHRleHQ5"[(at * 7 % 24) as usize])).collect();
    let source =
        format!("{{\"name\": \"logo\", \"png\": \"{data}\", \"url\": \"data:image\\/png;base64,{data}==\"}}");
    let parsed = parse(&source);
    assert!(parsed.text.contains("\"png\": \"<base64, 900 bytes>\""), "{}", parsed.text);
    assert!(
        parsed.text.contains("\"url\": \"<data:image/png, 901 bytes>\"")
            || parsed.text.contains("<data:image\\/png, "),
        "{}",
        parsed.text
    );
    assert_eq!(parsed.notes.len(), 1);
}

#[test]
fn lines_are_records() {
    let parsed = parse_json_lines(RECORDS);
    check(&parsed, RECORDS);
    assert_eq!(parsed.text, RECORDS);
    let second = place(&parsed, "{\"id\": 2");
    assert!(marks(&parsed).iter().any(|mark| mark.at == second && mark.kind == StructureMarkKind::Item));
    let broken = format!("{RECORDS}{{\"id\": 3, \"ev\n{RECORDS}");
    let parsed = parse_json_lines(&broken);
    check(&parsed, &broken);
    assert_eq!(parsed.text, broken);
    assert!(parsed.notes[0].contains("line 3, column"), "{:?}", parsed.notes);
    let large = format!(
        "{{\"name\":\"big\",\"list\":[{}]}}\n{RECORDS}",
        "{\"some\":\"thing longer than a few letters\"},".repeat(30).trim_end_matches(',')
    );
    let parsed = parse_json_lines(&large);
    check(&parsed, &large);
    assert_eq!(path_at(&parsed, place(&parsed, "{\"some\"")), ["big", "list"]);
    assert_ne!(path_at(&parsed, place(&parsed, "{\"id\": 2")), ["big", "list"]);
}

#[test]
fn numbers_fill_lines() {
    let numbers: Vec<String> = (0..400).map(|number| format!("0.{number:04}")).collect();
    let parsed = parse(&format!("{{\"vector\":[{}]}}", numbers.join(",")));
    assert!(parsed.text.lines().count() < 40, "{}", parsed.text);
}

#[test]
fn broken_json_is_plain_text_with_a_place() {
    for (source, place) in [
        ("{\n  \"a\": 1,\n  \"b\" 2\n}", "line 3, column 7"),
        ("{\"ä\": tru}", "line 1, column 7"),
        ("[1, 2", "line 1, column 6"),
        ("{\"a\": \"x\ny\"}", "line 1, column 9"),
    ] {
        let parsed = parse(source);
        assert_eq!((&parsed.structure, parsed.text.as_str()), (&TextStructure::Plain, source));
        assert!(parsed.notes[0].contains(place), "{:?}", parsed.notes);
    }
}

#[test]
fn nesting_and_size_have_no_bound() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    parse(&deep);
    parse(&("{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000)));
    parse(&"[\n".repeat(50_000));
    parse(&("[\n".repeat(50_000) + &"]\n".repeat(50_000)));
    parse(&users(20_000));
    parse(&format!("[{}1]", "1,".repeat(200_000)));
    parse(&format!("[{}1]", "[],".repeat(100_000)));
    let parsed = parse_yaml(&deep);
    check(&parsed, &deep);
    check(&parse_toml(&format!("a = {deep}")), &format!("a = {deep}"));
}

proptest! {
    #[test]
    fn damaged_json_is_read(source in mutations(&[PACKAGE, SETTINGS, RECORDS], &["\"", ",", "{", "}", "[", "]", ":", "\n", "\r\n", "\\", "\0", "ü", "//", "/*", "1", ""])) {
        parse(&source);
        check(&parse_json_lines(&source), &source);
    }

    #[test]
    fn any_json_is_laid_out(source in "(\\[|\\]|\\{|\\}|\"k\":|\"k\\\\u00fc\"|,|1|null|\n|//x|\\s){0,80}") {
        parse(&source);
    }

    #[test]
    fn long_lines_are_laid_out(count in 1..40_usize, depth in 0..6_usize) {
        let source = "{\"a\":".repeat(depth) + &users(count) + &"}".repeat(depth);
        let parsed = parse(&source);
        let squeezed: String = parsed.text.split_whitespace().collect();
        prop_assert_eq!(squeezed, source.split_whitespace().collect::<String>());
    }
}
