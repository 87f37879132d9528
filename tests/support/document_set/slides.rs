//! `PowerPoint` files: a slide for each section, with lists, tables and the speaker's notes, and a hidden one.

use std::fmt::Write as _;

use super::super::office_files::{SLIDE, content_types, relations};
use super::{MadePart, halves, xml, zipped};

/// What stands on one slide.
#[derive(Default)]
struct MadeSlide {
    title: String,
    lines: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

/// A presentation of these parts, and its text.
pub(crate) fn pptx(parts: &[MadePart]) -> (Vec<u8>, String) {
    let mut slides: Vec<MadeSlide> = Vec::new();
    for part in parts {
        if let MadePart::Heading(_, title) = part {
            slides.push(MadeSlide { title: title.clone(), ..MadeSlide::default() });
            continue;
        }
        let Some(slide) = slides.last_mut() else { continue };
        match part {
            MadePart::Heading(..) => {}
            MadePart::Paragraph(line) => slide.lines.push(line.clone()),
            MadePart::List(items) => slide.lines.extend(items.iter().cloned()),
            MadePart::Table(rows) => slide.rows.clone_from(rows),
            MadePart::Noted(line, note) => {
                slide.lines.push(line.clone());
                slide.notes.push(note.clone());
            }
        }
    }
    let truth = slides.iter().map(MadeSlide::text).collect::<Vec<_>>().join("\n");
    let hidden = MadeSlide { title: "invisible".to_owned(), ..MadeSlide::default() };
    let shown = slides.len();
    slides.push(hidden);
    let mut types = vec![
        ("ppt/presentation.xml".to_owned(), "presentationml.presentation.main"),
        ("ppt/slideMasters/slideMaster1.xml".to_owned(), "presentationml.slideMaster"),
        ("ppt/slideLayouts/slideLayout1.xml".to_owned(), "presentationml.slideLayout"),
    ];
    let mut entries = Vec::new();
    let (mut listed, mut related) = (String::new(), Vec::new());
    for (index, slide) in slides.iter().enumerate() {
        let number = index + 1;
        types.push((format!("ppt/slides/slide{number}.xml"), "presentationml.slide"));
        related.push(("slide", format!("slides/slide{number}.xml")));
        write!(listed, r#"<p:sldId id="{}" r:id="rId{number}"/>"#, 256 + index).unwrap();
        let show = if index == shown { r#" show="0""# } else { "" };
        entries.push((format!("ppt/slides/slide{number}.xml"), slide.content(show)));
        let mut slide_related = vec![("slideLayout", "../slideLayouts/slideLayout1.xml".to_owned())];
        if !slide.notes.is_empty() {
            types.push((format!("ppt/notesSlides/notesSlide{number}.xml"), "presentationml.notesSlide"));
            slide_related.push(("notesSlide", format!("../notesSlides/notesSlide{number}.xml")));
            let back = [("slide", format!("../slides/slide{number}.xml"))];
            entries.push((
                format!("ppt/notesSlides/_rels/notesSlide{number}.xml.rels"),
                relations(&back.each_ref().map(|(kind, target)| (*kind, target.as_str()))),
            ));
            let notes = shape(3, "body", &slide.notes);
            entries.push((format!("ppt/notesSlides/notesSlide{number}.xml"), tree("notes", "", &notes)));
        }
        let slide_related: Vec<(&str, &str)> =
            slide_related.iter().map(|(kind, target)| (*kind, target.as_str())).collect();
        entries.push((format!("ppt/slides/_rels/slide{number}.xml.rels"), relations(&slide_related)));
    }
    related.push(("slideMaster", "slideMasters/slideMaster1.xml".to_owned()));
    let types: Vec<(&str, &str)> = types.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    let related: Vec<(&str, &str)> = related.iter().map(|(kind, target)| (*kind, target.as_str())).collect();
    let entry = |name: &str, content: String| (name.to_owned(), content);
    let mut all = vec![
        entry("[Content_Types].xml", content_types(&types)),
        entry("_rels/.rels", relations(&[("officeDocument", "ppt/presentation.xml")])),
        entry("ppt/_rels/presentation.xml.rels", relations(&related)),
        entry(
            "ppt/presentation.xml",
            format!(
                r#"<p:presentation {SLIDE}><p:sldMasterIdLst><p:sldMasterId id="2147483648" r:id="rId{}"/></p:sldMasterIdLst><p:sldIdLst>{listed}</p:sldIdLst><p:sldSz cx="9144000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/></p:presentation>"#,
                slides.len() + 1
            ),
        ),
    ];
    let to_layout = relations(&[("slideLayout", "../slideLayouts/slideLayout1.xml")]);
    let to_master = relations(&[("slideMaster", "../slideMasters/slideMaster1.xml")]);
    all.extend([
        entry("ppt/slideMasters/_rels/slideMaster1.xml.rels", to_layout),
        entry("ppt/slideMasters/slideMaster1.xml", tree("sldMaster", "", "")),
        entry("ppt/slideLayouts/_rels/slideLayout1.xml.rels", to_master),
        entry("ppt/slideLayouts/slideLayout1.xml", tree("sldLayout", "", "")),
    ]);
    all.extend(entries);
    (zipped(&all), truth + "\n")
}

impl MadeSlide {
    fn text(&self) -> String {
        let rows = self.rows.iter().map(|row| row.join(" | "));
        let lines = std::iter::once(self.title.clone()).chain(self.lines.iter().cloned());
        lines.chain(rows).chain(self.notes.iter().cloned()).collect::<Vec<_>>().join("\n")
    }

    fn content(&self, attributes: &str) -> String {
        let mut shapes = shape(2, "title", std::slice::from_ref(&self.title));
        if !self.lines.is_empty() {
            shapes += &shape(3, "body", &self.lines);
        }
        if !self.rows.is_empty() {
            let cell = |text: &String| {
                format!(
                    "<a:tc><a:txBody><a:bodyPr/><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>",
                    xml(text)
                )
            };
            let row = |row: &Vec<String>| {
                format!(r#"<a:tr h="300000">{}</a:tr>"#, row.iter().map(cell).collect::<Vec<_>>().concat())
            };
            let rows = self.rows.iter().map(row).collect::<Vec<_>>().concat();
            write!(
                shapes,
                r#"<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="4" name="Table"/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr><p:xfrm><a:off x="0" y="4000000"/><a:ext cx="6000000" cy="1200000"/></p:xfrm><a:graphic><a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/table"><a:tbl><a:tblPr firstRow="1"/><a:tblGrid><a:gridCol w="2000000"/><a:gridCol w="2000000"/><a:gridCol w="2000000"/></a:tblGrid>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"#
            )
            .unwrap();
        }
        tree("sld", attributes, &shapes)
    }
}

fn tree(element: &str, attributes: &str, shapes: &str) -> String {
    format!(
        "<p:{element} {SLIDE}{attributes}><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id=\"1\" name=\"\"/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{shapes}</p:spTree></p:cSld></p:{element}>"
    )
}

/// A shape with a paragraph for each line; each line has two runs.
fn shape(id: usize, kind: &str, lines: &[String]) -> String {
    let paragraph = |line: &String| {
        let (first, second) = halves(line, false);
        format!(
            r#"<a:p><a:r><a:t>{}</a:t></a:r><a:r><a:rPr b="1"/><a:t>{}</a:t></a:r></a:p>"#,
            xml(first),
            xml(second)
        )
    };
    let paragraphs = lines.iter().map(paragraph).collect::<Vec<_>>().concat();
    let top = id * 1_000_000;
    format!(
        r#"<p:sp><p:nvSpPr><p:cNvPr id="{id}" name="{kind} {id}"/><p:cNvSpPr/><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:spPr><a:xfrm><a:off x="0" y="{top}"/><a:ext cx="6000000" cy="900000"/></a:xfrm></p:spPr><p:txBody><a:bodyPr/>{paragraphs}</p:txBody></p:sp>"#
    )
}
