//! Small PDF and Office files, made by the test that needs them.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

/// A PDF with a page for each text, a line for each of its lines. An empty text makes a page without words.
pub(crate) fn pdf(pages: &[&str]) -> Vec<u8> {
    // Objects 1 to 3 are catalog, page tree and font; each page has two more.
    let count = pages.len();
    let kids: Vec<String> = (0..count).map(|index| format!("{} 0 R", 4 + 2 * index)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{}] /Count {count} >>", kids.join(" ")),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    for (index, page) in pages.iter().enumerate() {
        let mut content = String::new();
        for (line, text) in page.lines().enumerate() {
            let text = text.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
            writeln!(content, "BT /F1 11 Tf 72 {} Td ({text}) Tj ET", 720 - 16 * line).unwrap();
        }
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R \
             /Resources << /Font << /F1 3 0 R >> >> >>",
            5 + 2 * index
        ));
        objects.push(format!("<< /Length {} >>\nstream\n{content}endstream", content.len()));
    }
    pdf_of(&objects)
}

/// A PDF of these objects, the first of which is its catalog.
pub(crate) fn pdf_of(objects: &[String]) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        write!(out, "{} 0 obj\n{object}\nendobj\n", index + 1).unwrap();
    }
    let table = out.len();
    write!(out, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).unwrap();
    for offset in offsets {
        writeln!(out, "{offset:010} 00000 n ").unwrap();
    }
    write!(out, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1)
        .unwrap();
    out
}

/// A ZIP archive of these entries.
fn archive(entries: &[(&str, String)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The list of the types of its parts, which each such archive has.
pub(crate) fn content_types(parts: &[(&str, &str)]) -> String {
    let mut xml = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">"#,
        r#"<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>"#,
        r#"<Default Extension="xml" ContentType="application/xml"/>"#
    )
    .to_owned();
    for (name, kind) in parts {
        write!(
            xml,
            r#"<Override PartName="/{name}" ContentType="application/vnd.openxmlformats-officedocument.{kind}+xml"/>"#
        )
        .unwrap();
    }
    xml + "</Types>"
}

/// How parts of such an archive refer to others, as `rId1` and so on.
pub(crate) fn relations(parts: &[(&str, &str)]) -> String {
    let mut xml = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?>"#,
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#
    )
    .to_owned();
    for (index, (kind, target)) in parts.iter().enumerate() {
        write!(
            xml,
            r#"<Relationship Id="rId{}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/>"#,
            index + 1
        )
        .unwrap();
    }
    xml + "</Relationships>"
}

const WORD: &str = r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main""#;
pub(crate) const SHEET: &str = r#"xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships""#;
pub(crate) const SLIDE: &str = r#"xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships""#;

/// A Word file with a paragraph for each text; one that begins with `# ` is a heading, one in brackets is hidden.
pub(crate) fn docx(paragraphs: &[&str]) -> Vec<u8> {
    let mut body = String::new();
    for text in paragraphs {
        let (style, run, text) = if let Some(heading) = text.strip_prefix("# ") {
            (r#"<w:pPr><w:pStyle w:val="Heading1"/><w:outlineLvl w:val="0"/></w:pPr>"#, "", heading)
        } else if let Some(hidden) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            ("", "<w:rPr><w:vanish/></w:rPr>", hidden)
        } else {
            ("", "", *text)
        };
        write!(body, "<w:p>{style}<w:r>{run}<w:t xml:space=\"preserve\">{text}</w:t></w:r></w:p>").unwrap();
    }
    let styles = format!(
        r#"<w:styles {WORD}><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style></w:styles>"#
    );
    archive(&[
        (
            "[Content_Types].xml",
            content_types(&[
                ("word/document.xml", "wordprocessingml.document.main"),
                ("word/styles.xml", "wordprocessingml.styles"),
            ]),
        ),
        ("_rels/.rels", relations(&[("officeDocument", "word/document.xml")])),
        ("word/_rels/document.xml.rels", relations(&[("styles", "styles.xml")])),
        ("word/styles.xml", styles),
        ("word/document.xml", format!("<w:document {WORD}><w:body>{body}</w:body></w:document>")),
    ])
}

/// A sheet of a workbook.
pub(crate) struct TestSheet<'a> {
    pub(crate) name: &'a str,
    pub(crate) hidden: bool,
    /// Texts by the number of their row, from 1.
    pub(crate) rows: Vec<(usize, Vec<&'a str>)>,
}

/// An Excel file.
pub(crate) fn xlsx(sheets: &[TestSheet<'_>]) -> Vec<u8> {
    let names: Vec<String> =
        (1..=sheets.len()).map(|number| format!("xl/worksheets/sheet{number}.xml")).collect();
    let mut types = vec![("xl/workbook.xml", "spreadsheetml.sheet.main")];
    types.extend(names.iter().map(|name| (name.as_str(), "spreadsheetml.worksheet")));
    let targets: Vec<String> =
        (1..=sheets.len()).map(|number| format!("worksheets/sheet{number}.xml")).collect();
    let related: Vec<(&str, &str)> = targets.iter().map(|target| ("worksheet", target.as_str())).collect();
    let mut listed = String::new();
    let mut entries = vec![
        ("[Content_Types].xml", content_types(&types)),
        ("_rels/.rels", relations(&[("officeDocument", "xl/workbook.xml")])),
        ("xl/_rels/workbook.xml.rels", relations(&related)),
    ];
    for (index, sheet) in sheets.iter().enumerate() {
        let state = if sheet.hidden { r#" state="hidden""# } else { "" };
        let number = index + 1;
        write!(listed, r#"<sheet name="{}" sheetId="{number}"{state} r:id="rId{number}"/>"#, sheet.name)
            .unwrap();
        let mut rows = String::new();
        for (row, cells) in &sheet.rows {
            write!(rows, r#"<row r="{row}">"#).unwrap();
            for (column, text) in ('A'..='Z').zip(cells) {
                write!(rows, r#"<c r="{column}{row}" t="inlineStr"><is><t>{text}</t></is></c>"#).unwrap();
            }
            rows.push_str("</row>");
        }
        entries.push((
            names[index].as_str(),
            format!("<worksheet {SHEET}><sheetData>{rows}</sheetData></worksheet>"),
        ));
    }
    entries.push(("xl/workbook.xml", format!("<workbook {SHEET}><sheets>{listed}</sheets></workbook>")));
    archive(&entries)
}

/// A `PowerPoint` file: title and text of each slide, in the order in which they are shown. The files of the slides are
/// numbered the other way round.
pub(crate) fn pptx(slides: &[(&str, &str)]) -> Vec<u8> {
    let count = slides.len();
    let names: Vec<String> =
        (0..count).map(|index| format!("ppt/slides/slide{}.xml", count - index)).collect();
    let mut types = vec![("ppt/presentation.xml", "presentationml.presentation.main")];
    types.extend(names.iter().map(|name| (name.as_str(), "presentationml.slide")));
    let targets: Vec<&str> = names.iter().map(|name| name.strip_prefix("ppt/").unwrap()).collect();
    let related: Vec<(&str, &str)> = targets.iter().map(|target| ("slide", *target)).collect();
    let mut entries = vec![
        ("[Content_Types].xml", content_types(&types)),
        ("_rels/.rels", relations(&[("officeDocument", "ppt/presentation.xml")])),
        ("ppt/_rels/presentation.xml.rels", relations(&related)),
    ];
    let mut listed = String::new();
    for (index, (title, text)) in slides.iter().enumerate() {
        write!(listed, r#"<p:sldId id="{}" r:id="rId{}"/>"#, 256 + index, index + 1).unwrap();
        let shape = |id: usize, kind: &str, text: &str| {
            format!(
                r#"<p:sp><p:nvSpPr><p:cNvPr id="{id}" name="{kind} {id}"/><p:cNvSpPr/><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"#
            )
        };
        entries.push((
            names[index].as_str(),
            format!(
                "<p:sld {SLIDE}><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id=\"1\" name=\"\"/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{}{}</p:spTree></p:cSld></p:sld>",
                shape(2, "title", title),
                shape(3, "body", text)
            ),
        ));
    }
    entries.push((
        "ppt/presentation.xml",
        format!("<p:presentation {SLIDE}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"),
    ));
    archive(&entries)
}
