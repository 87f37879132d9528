//! Cuts follow the structure of each format; hostile structure is cut all the same.

use contexture_core::ingest::chunk::{ChunkLimits, NormalisedText, decode_body};

use super::{SentenceGenerator, WordTokenizer, bpe, cut_lawfully, limits, markdown, plain, slice};

/// First lines of the chunks.
fn openings(document: &NormalisedText, limits: &ChunkLimits) -> Vec<String> {
    let chunks = cut_lawfully(document, None, &bpe(), limits);
    chunks.iter().map(|chunk| slice(document, chunk.span).lines().next().unwrap().to_owned()).collect()
}

#[test]
fn headings_are_paths_and_chunks_start_at_them() {
    let mut author = SentenceGenerator(3);
    let mut section =
        |title: &str| format!("{title}\n\n{}\n\n{}\n\n", author.paragraph(), author.paragraph());
    let text = ["# Guide", "## Install *it*", "### From `source`", "## Use\n---", "# Other"]
        .map(&mut section)
        .concat();
    let document = markdown(&text);
    let chunks = cut_lawfully(&document, Some("Manual"), &bpe(), &limits(90, 60));
    let path_at = |wanted: &str| {
        let at = document.text.find(wanted).unwrap();
        let chunk = chunks.iter().find(|chunk| chunk.span.start == at);
        chunk.unwrap_or_else(|| panic!("no chunk starts at {wanted}")).heading.clone()
    };
    assert_eq!(path_at("# Guide"), ["Guide"]);
    assert_eq!(path_at("## Install"), ["Guide", "Install it"]);
    assert_eq!(path_at("### From"), ["Guide", "Install it", "From source"]);
    assert_eq!(path_at("## Use"), ["Guide", "Use"]);
    assert_eq!(path_at("# Other"), ["Other"]);
}

#[test]
fn rows_of_a_table_know_their_header_and_mix_with_nothing() {
    let row = |row| format!("| Plan {row} | {} | {} |\n", row * 3, row % 9);
    let rows = (0..200).map(row).collect::<Vec<_>>().concat();
    let header = "| Plan | Seats | Days kept |";
    let text = format!(
        "# Plans\n\nWhat they have.\n\n{header}\n|---|---|---|\n{rows}\nAsk sales for more of them.\n"
    );
    let document = markdown(&text);
    for (tokens_max, target) in [(64, 40), (256, 120)] {
        for chunk in cut_lawfully(&document, None, &bpe(), &limits(tokens_max, target)) {
            let shown = slice(&document, chunk.span);
            let begins_in_rows = shown.starts_with("| Plan ") && !shown.starts_with(header);
            assert_eq!(chunk.heading.last().is_some_and(|last| last == header), begins_in_rows, "{shown}");
            assert!(!begins_in_rows || shown.trim_end().lines().all(|line| line.starts_with('|')), "{shown}");
            assert!(shown.trim_end().ends_with(['|', '.']), "no row is cut: {shown}");
        }
    }
}

#[test]
fn chunks_know_the_fence_that_they_begin_in() {
    let line = |line| format!("let value_{line} = compute({line});\n");
    let code = (0..80).map(line).collect::<Vec<_>>().concat();
    let document = markdown(&format!("# Code\n\n````rust\n{code}```\n{code}````\n\nText behind it all.\n"));
    let (opening, closing) = (document.text.find("````rust").unwrap(), document.text.rfind("````").unwrap());
    for chunk in cut_lawfully(&document, None, &bpe(), &limits(128, 80)) {
        let inside = opening < chunk.span.start && chunk.span.start <= closing;
        assert_eq!(chunk.open_fence.as_deref(), inside.then_some("````"), "{chunk:?}");
    }
}

#[test]
fn marks_of_a_parser_are_cuts_and_sections() {
    let text = "[servers]\nport = 1\n\n[servers.alpha]\n".to_owned() + &"address = \"10.0.0.1\"\n".repeat(30);
    let document = decode_body(text.as_bytes(), None, "servers.toml").unwrap();
    let chunks = cut_lawfully(&document, None, &bpe(), &limits(96, 48));
    assert_eq!(chunks.last().unwrap().heading, ["servers", "alpha"]);
}

#[test]
fn a_chunk_over_small_sections_stands_in_what_holds_them_all() {
    let document = markdown("# Names\n\n## Ada\n\nShe counted.\n\n## Bob\n\nHe did not.\n");
    let chunks = cut_lawfully(&document, None, &bpe(), &limits(256, 200));
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].heading, ["Names"]);
}

#[test]
fn a_full_section_does_not_run_into_the_next() {
    let mut author = SentenceGenerator(4);
    let text: Vec<String> = (0..40)
        .map(|index| format!("## Part {index}\n\n{}\n{}\n\n", author.sentence(), author.paragraph()))
        .collect();
    let document = markdown(&text.concat());
    for chunk in cut_lawfully(&document, None, &bpe(), &limits(256, 60)) {
        let parts = slice(&document, chunk.span).matches("## Part").count();
        assert!(parts <= 2, "{parts} sections in one chunk");
    }
}

#[test]
fn lists_tables_and_fences_come_apart_between_their_parts() {
    let mut author = SentenceGenerator(5);
    let list: Vec<String> = (0..60)
        .map(|_| format!("- {}\n  {}\n", author.sentence(), author.sentence().to_lowercase()))
        .collect();
    let table: Vec<String> = (0..60).map(|index| format!("| {index} | {} |\n", author.sentence())).collect();
    let code: Vec<String> = (0..80).map(|index| format!("let value_{index} = compute({index});\n")).collect();
    let (list, table, code) = (list.concat(), table.concat(), code.concat());
    let document = markdown(&format!("intro\n\n{list}\n| a | b |\n|---|---|\n{table}\n```rust\n{code}```\n"));
    for opening in openings(&document, &limits(128, 100)) {
        let starts =
            ["intro", "- ", "| ", "```", "let value_"].iter().any(|start| opening.starts_with(start));
        assert!(starts, "{opening}");
    }
}

#[test]
fn an_unclosed_fence_is_cut_by_lines() {
    let document = markdown(&format!("# A\n\n```\n{}", "no end in sight of it\n".repeat(500)));
    let openings = openings(&document, &limits(64, 50));
    assert!(openings.len() > 30);
    assert!(openings[1..].iter().all(|opening| opening == "no end in sight of it"));
}

#[test]
fn code_comes_apart_between_items_with_their_comments() {
    let filler =
        |indent: &str, end: &str| format!("{indent}total = total + count(queue, index, 1){end}\n").repeat(11);
    let cases = [
        (
            "a.rs",
            "use std::fmt;\n\n",
            format!(
                "/// Doc of it.\n#[inline]\nfn NAME(queue: u32) -> u32 {{\n{}}}\n\n",
                filler("    ", ";")
            ),
        ),
        (
            "a.py",
            "import os\n\n",
            format!("# Doc of it.\n@cached\ndef NAME(queue):\n{}\n\n", filler("    ", "")),
        ),
        (
            "a.js",
            "import x from 'x';\n\n",
            format!("// Doc of it.\nfunction NAME(queue) {{\n{}}}\n\n", filler("  ", ";")),
        ),
        (
            "a.ts",
            "import x from 'x';\n\n",
            format!(
                "// Doc of it.\nexport function NAME(queue: number): void {{\n{}}}\n\n",
                filler("  ", ";")
            ),
        ),
        (
            "a.tsx",
            "import x from 'x';\n\n",
            format!(
                "// Doc of it.\nfunction NAME(queue: number) {{\n{}  return <b>x</b>;\n}}\n\n",
                filler("  ", ";")
            ),
        ),
        (
            "a.go",
            "package main\n\n",
            format!("// Doc of it.\nfunc NAME(queue int) int {{\n{}\treturn total\n}}\n\n", filler("\t", "")),
        ),
        (
            "a.java",
            "import java.util.List;\n\n",
            format!("/** Doc of it. */\nclass NAME {{\n  void run() {{\n{}  }}\n}}\n\n", filler("    ", ";")),
        ),
        (
            "a.c",
            "#include <stdio.h>\n\n",
            format!("/* Doc of it. */\nint NAME(int queue) {{\n{}}}\n\n", filler("    ", ";")),
        ),
    ];
    for (id, head, item) in cases {
        let names = ["alpha", "beta", "gamma", "delta"];
        let items: String = names.iter().map(|name| item.replace("NAME", name)).collect();
        let document = decode_body(format!("{head}{items}").as_bytes(), None, id).unwrap();
        let chunks = cut_lawfully(&document, None, &bpe(), &limits(170, 120));
        let starting: Vec<_> =
            chunks.iter().filter(|chunk| slice(&document, chunk.span).contains("Doc of it")).collect();
        assert_eq!(starting.len(), 4, "{id}");
        for (chunk, name) in starting[1..].iter().zip(&names[1..]) {
            let text = slice(&document, chunk.span);
            let first = text.lines().next().unwrap();
            assert!(first.contains("Doc of it"), "{id}: starts at {first:?}");
            assert_eq!(chunk.heading, [(*name).to_owned()], "{id}");
        }
    }
}

#[test]
fn members_know_their_type() {
    let method = |name: &str| {
        format!(
            "    pub fn {name}(&self) -> u32 {{\n{}    }}\n\n",
            "        self.count += self.queue.len();\n".repeat(8)
        )
    };
    let text = format!("impl Index {{\n{}{}{}}}\n", method("open"), method("read"), method("close"));
    let document = decode_body(text.as_bytes(), None, "index.rs").unwrap();
    let chunks = cut_lawfully(&document, None, &bpe(), &limits(120, 80));
    assert!(chunks.iter().any(|chunk| chunk.heading == ["Index", "read"]), "{chunks:?}");
}

#[test]
fn broken_and_hostile_code_is_cut() {
    let many = 30_000;
    for text in [
        "fn broken( { } ] let ".repeat(3000),
        format!("fn deep() {{ {} }}", "(".repeat(many)),
        format!("{}{}", "{".repeat(many), "}".repeat(many)),
        "\"unclosed string ".repeat(2000),
    ] {
        let document = decode_body(text.as_bytes(), None, "a.rs").unwrap();
        cut_lawfully(&document, None, &bpe(), &limits(128, 100));
    }
}

#[test]
fn hostile_text_is_cut() {
    let combining = format!("e{}", "\u{301}".repeat(1_000_000));
    let texts = [
        combining,
        "x".repeat(500_000),
        "word ".repeat(100_000),
        format!("a{}b", " ".repeat(1_000_000)),
        format!("{}a", "\n".repeat(1_000_000)),
        "漢字".repeat(200_000),
        "👩‍👩‍👧‍👦".repeat(20_000),
        "🇩🇪".repeat(50_000),
        "\u{202e}\u{200b}abc ".repeat(20_000),
        "a\n\n".repeat(100_000),
        "....... ".repeat(50_000),
    ];
    for text in texts {
        let document = plain(&text);
        cut_lawfully(&document, None, &bpe(), &limits(256, 200));
    }
    cut_lawfully(&plain(&"x".repeat(50_000)), None, &WordTokenizer, &limits(256, 200));
}

#[test]
fn hostile_markdown_is_cut() {
    let many = 20_000;
    let texts = [
        "> ".repeat(many),
        "- ".repeat(many),
        format!("{}x", "> ".repeat(500).repeat(3) + "\n"),
        "[".repeat(many),
        "*a_ ".repeat(many),
        "![](".repeat(many),
        "`".repeat(many),
        "# a\n".repeat(many),
        "|a".repeat(many) + "\n" + &"|-".repeat(many),
        "<!--".repeat(many),
    ];
    for text in texts {
        cut_lawfully(&markdown(&format!("{text}\n\nthe end")), None, &bpe(), &limits(256, 200));
    }
}

#[test]
fn clusters_stay_whole_at_the_borders_of_chunks() {
    let family = "👩‍👩‍👧‍👦";
    let document = plain(&family.repeat(300));
    for chunk in cut_lawfully(&document, None, &bpe(), &limits(64, 50)) {
        assert_eq!(chunk.span.len() % family.len(), 0);
    }
}

#[test]
fn sentences_of_scripts_without_spaces_are_cut_between() {
    let document = plain(&"東京は日本の首都である。人口は多い。".repeat(60));
    for chunk in cut_lawfully(&document, None, &bpe(), &limits(100, 80)) {
        assert!(slice(&document, chunk.span).ends_with('。'));
    }
}
