//! SQL.

use super::markup_support::{checked, mutations};
use contexture_formats::{StructureMarkKind, TextStructure, parse_sql};
use proptest::prelude::*;

const SQL: &str = "-- Orders of a shop; one row each.\nCREATE TABLE IF NOT EXISTS shop.\"orders\" (\n  id int, -- key; unique\n  note text DEFAULT 'a;b''c'\n);\n\
    CREATE UNIQUE INDEX i ON shop.orders (id);\n\n/* totals; */\nCREATE OR REPLACE FUNCTION total(x int) RETURNS int AS $f$\nBEGIN\n  RETURN 1; -- done\nEND;\n$f$ LANGUAGE plpgsql;\n\n\
    INSERT INTO customers (id, name) VALUES\n  (1, 'O''Hara (sr);'),\n  (2, 'Bo');\nSELECT 1; SELECT 2;\n\
    COPY items (a, b) FROM stdin;\n1\tx;\n2\ty\n\\.\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  UPDATE b SET c = CASE WHEN 1 THEN 2 END;\n  DELETE FROM d;\nEND;\nSELECT 3;\n";

fn marks(source: &str, wanted: fn(&StructureMarkKind) -> bool) -> Vec<(String, StructureMarkKind)> {
    let parsed = checked(parse_sql, source);
    let TextStructure::Marked(marks) = parsed.structure else { panic!("no marks") };
    let line = |at: usize| parsed.text[at..].lines().next().unwrap_or_default().trim().to_owned();
    marks.into_iter().filter(|mark| wanted(&mark.kind)).map(|mark| (line(mark.at), mark.kind)).collect()
}

#[test]
fn statements_are_blocks_with_their_comments() {
    let blocks: Vec<_> =
        marks(SQL, |kind| *kind == StructureMarkKind::Block).into_iter().map(|(line, _)| line).collect();
    assert_eq!(
        blocks,
        [
            "-- Orders of a shop; one row each.",
            "CREATE UNIQUE INDEX i ON shop.orders (id);",
            "/* totals; */",
            "INSERT INTO customers (id, name) VALUES",
            "SELECT 1; SELECT 2;",
            "SELECT 2;",
            "COPY items (a, b) FROM stdin;",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN",
            "SELECT 3;",
        ]
    );
    assert_eq!(checked(parse_sql, SQL).text, SQL);
}

#[test]
fn objects_are_sections_and_rows_are_items() {
    let sections = marks(SQL, |kind| matches!(kind, StructureMarkKind::Section { .. }));
    let titles: Vec<_> = sections
        .into_iter()
        .map(
            |(_, kind)| {
                if let StructureMarkKind::Section { title, .. } = kind { title } else { String::new() }
            },
        )
        .collect();
    assert_eq!(titles, ["shop.orders", "total", "customers", "", "items", "t", ""]);
    let items: Vec<_> =
        marks(SQL, |kind| *kind == StructureMarkKind::Item).into_iter().map(|(line, _)| line).collect();
    assert_eq!(items, ["(1, 'O''Hara (sr);'),", "(2, 'Bo');", "1\tx;", "2\ty"]);
}

#[test]
fn dialects_end_statements_in_their_ways() {
    let mysql = "DELIMITER //\nCREATE PROCEDURE `p`()\nBEGIN\n  SELECT 'it\\'s; fine';\nEND//\nDELIMITER ;\nSELECT 1;\n";
    let blocks: Vec<_> =
        marks(mysql, |kind| *kind == StructureMarkKind::Block).into_iter().map(|(line, _)| line).collect();
    assert_eq!(blocks, ["CREATE PROCEDURE `p`()", "SELECT 1;"]);
    let tsql = "CREATE TABLE [dbo].[a] (id int)\nGO\nSELECT 1\nGO\n";
    let sections = marks(tsql, |kind| *kind != StructureMarkKind::Line);
    assert_eq!(sections[0].1, StructureMarkKind::Section { depth: 1, title: "dbo.a".into() });
    assert_eq!(sections.last().expect("marks").0, "SELECT 1");
}

proptest! {
    #[test]
    fn any_sql_is_parsed(source in mutations(SQL, &["'", "\"", "$f$", "$$", "/*", "*/", "--", ";", "BEGIN ", "END ", "GO\n", "DELIMITER //\n", "\\", "VALUES (", "COPY a FROM stdin;"])) {
        checked(parse_sql, &source);
    }
}
