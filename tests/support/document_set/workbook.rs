//! Excel files: two sheets of words, numbers, shares and dates, and a hidden one.

use std::fmt::Write as _;

use super::super::office_files::{SHEET, content_types, relations};
use super::{LanguageText, MadePart, joined, xml, zipped};

/// Days from Excel's first to 1 March 2026.
const FIRST_DAY: usize = 46_082;

/// A workbook with as many rows as there are parts, and its text as Excel shows it.
pub(crate) fn xlsx(text: &LanguageText, parts: &[MadePart]) -> (Vec<u8>, String) {
    let names = [text.title, text.headings[0], "invisible"];
    let mut truth = String::new();
    let mut shared: Vec<String> = Vec::new();
    let mut sheets = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let mut rows = String::new();
        let header = [text.table[0][0], text.table[0][1], text.table[0][2], "%", "ISO"];
        let hidden = number == 2;
        if !hidden {
            writeln!(truth, "{name}\n{}", header.join(" | ")).unwrap();
        }
        row(&mut rows, &mut shared, 1, &header.map(|cell| MadeCell::Words(cell.to_owned())));
        for line in 0..parts.len() {
            let [first, count, last] = text.table[1 + (line + number) % 3];
            let count = count.parse::<usize>().unwrap() + line;
            let (percent, day) = ((line * 7) % 100, FIRST_DAY + line % 28);
            let cells = [
                MadeCell::Words(format!("{first} {}", line + 1)),
                MadeCell::Number(count),
                MadeCell::Words(last.to_owned()),
                MadeCell::Percent(percent),
                MadeCell::Day(day),
            ];
            row(&mut rows, &mut shared, line + 2, &cells);
            if !hidden {
                let shown = format!(
                    "{first} {} | {count} | {last} | {percent}% | 2026-03-{:02}",
                    line + 1,
                    1 + line % 28
                );
                writeln!(truth, "{shown}").unwrap();
            }
        }
        sheets.push(format!("<worksheet {SHEET}><sheetData>{rows}</sheetData></worksheet>"));
    }
    let styles = format!(
        r#"<styleSheet {SHEET}><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/></numFmts><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="9" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs></styleSheet>"#
    );
    let strings = joined(shared.iter().map(|text| format!("<si><t>{}</t></si>", xml(text))));
    let listed = joined(names.iter().enumerate().map(|(index, name)| {
        let state = if index == 2 { r#" state="hidden""# } else { "" };
        format!(r#"<sheet name="{}" sheetId="{}"{state} r:id="rId{}"/>"#, xml(name), index + 1, index + 1)
    }));
    let types = [
        ("xl/workbook.xml", "spreadsheetml.sheet.main"),
        ("xl/worksheets/sheet1.xml", "spreadsheetml.worksheet"),
        ("xl/worksheets/sheet2.xml", "spreadsheetml.worksheet"),
        ("xl/worksheets/sheet3.xml", "spreadsheetml.worksheet"),
        ("xl/styles.xml", "spreadsheetml.styles"),
        ("xl/sharedStrings.xml", "spreadsheetml.sharedStrings"),
    ];
    let related = [
        ("worksheet", "worksheets/sheet1.xml"),
        ("worksheet", "worksheets/sheet2.xml"),
        ("worksheet", "worksheets/sheet3.xml"),
        ("styles", "styles.xml"),
        ("sharedStrings", "sharedStrings.xml"),
    ];
    let entry = |name: &str, content: String| (name.to_owned(), content);
    let mut entries = vec![
        entry("[Content_Types].xml", content_types(&types)),
        entry("_rels/.rels", relations(&[("officeDocument", "xl/workbook.xml")])),
        entry("xl/_rels/workbook.xml.rels", relations(&related)),
        entry("xl/workbook.xml", format!("<workbook {SHEET}><sheets>{listed}</sheets></workbook>")),
        entry("xl/styles.xml", styles),
        entry("xl/sharedStrings.xml", format!("<sst {SHEET}>{strings}</sst>")),
    ];
    for (index, sheet) in sheets.into_iter().enumerate() {
        entries.push((format!("xl/worksheets/sheet{}.xml", index + 1), sheet));
    }
    (zipped(&entries), truth)
}

enum MadeCell {
    Words(String),
    Number(usize),
    Percent(usize),
    /// Days since Excel's first.
    Day(usize),
}

fn row(out: &mut String, shared: &mut Vec<String>, number: usize, cells: &[MadeCell]) {
    write!(out, r#"<row r="{number}">"#).unwrap();
    for (column, cell) in ('A'..='Z').zip(cells) {
        let (attributes, value) = match cell {
            MadeCell::Words(text) => {
                shared.push(text.clone());
                (r#" t="s""#, (shared.len() - 1).to_string())
            }
            MadeCell::Number(number) => ("", number.to_string()),
            MadeCell::Percent(percent) => (r#" s="1""#, format!("0.{percent:02}")),
            MadeCell::Day(day) => (r#" s="2""#, day.to_string()),
        };
        write!(out, r#"<c r="{column}{number}"{attributes}><v>{value}</v></c>"#).unwrap();
    }
    out.push_str("</row>");
}
