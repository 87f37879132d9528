//! PDFs: flowing pages with headings, lists and ruled tables; two columns; fonts by code page and by glyph.

use std::fmt::Write as _;

use super::super::office_files::pdf_of;
use super::{LANGUAGES, LanguageText, MadeDocument, MadePart, parts, plain_text};

/// Points from the lower edge: where pages begin and end.
const TOP: usize = 730;
const BOTTOM: usize = 70;
const LEFT: usize = 72;
/// Lines of a page in two columns.
const COLUMN_LINES: usize = 44;

/// Language, sections and shape of each; with columns or without.
const MADE: [(usize, usize, usize, bool); 12] = [
    (0, 1, 1, false),
    (1, 3, 0, false),
    (2, 12, 3, false),
    (3, 3, 1, false),
    (4, 12, 1, false),
    (5, 3, 3, false),
    (6, 3, 1, false),
    (0, 24, 3, false),
    (0, 3, 0, true),
    (1, 6, 0, true),
    (2, 3, 0, true),
    (5, 6, 0, true),
];

/// PDFs of the set. Hebrew is left out: a PDF has its letters in the order in which they are seen.
pub(crate) fn made_pdfs() -> impl Iterator<Item = MadeDocument> {
    MADE.into_iter().map(|(language, sections, shape, columns)| {
        let text = &LANGUAGES[language];
        let parts = parts(text, sections, shape);
        let mut layout = PageLayout::new(text);
        if columns {
            layout.columns(&parts);
        } else {
            layout.flow(text, &parts);
        }
        let kind = if columns { "columns" } else { "flow" };
        let name = format!("{}-{kind}-{sections}.pdf", text.code);
        MadeDocument { name, bytes: layout.finish(), truth: plain_text(&parts) }
    })
}

/// Lines on pages, and the glyphs they need.
struct PageLayout {
    pages: Vec<String>,
    /// Glyphs of a font that is told apart by numbers alone; none if a code page is enough.
    glyphs: Option<Vec<char>>,
    /// Characters that fit into a line.
    width: usize,
    y: usize,
}

impl PageLayout {
    fn new(text: &LanguageText) -> Self {
        let by_code_page = ["en", "de", "fr"].contains(&text.code);
        let width = if text.code == "ja" { 40 } else { 76 };
        Self { pages: vec![String::new()], glyphs: (!by_code_page).then(Vec::new), width, y: TOP }
    }

    fn line(&mut self, x: usize, y: usize, size: usize, text: &str) {
        let shown = self.shown(text);
        let page = self.pages.last_mut().unwrap();
        writeln!(page, "BT /F1 {size} Tf {x} {y} Td {shown} Tj ET").unwrap();
    }

    /// A string of the page's language.
    fn shown(&mut self, text: &str) -> String {
        let Some(glyphs) = &mut self.glyphs else {
            let mut out = String::from("<");
            for one in text.chars() {
                let byte = if one == '•' { 0x95 } else { u8::try_from(u32::from(one)).unwrap() };
                write!(out, "{byte:02X}").unwrap();
            }
            return out + ">";
        };
        let mut out = String::from("<");
        for one in text.chars() {
            let place = glyphs.iter().position(|&known| known == one).unwrap_or_else(|| {
                glyphs.push(one);
                glyphs.len() - 1
            });
            write!(out, "{:04X}", place + 1).unwrap();
        }
        out + ">"
    }

    /// Makes room for something of this height.
    fn need(&mut self, height: usize) {
        if self.y < BOTTOM + height {
            self.pages.push(String::new());
            self.y = TOP;
        }
    }

    fn flow(&mut self, text: &LanguageText, parts: &[MadePart]) {
        for part in parts {
            match part {
                MadePart::Heading(level, title) => {
                    self.need(60);
                    self.y -= 14;
                    self.line(LEFT, self.y, 22 - 4 * level, title);
                    self.y -= 24;
                }
                MadePart::Paragraph(words) | MadePart::Noted(words, _) => {
                    for line in wrapped(words, self.width) {
                        self.need(14);
                        self.line(LEFT, self.y, 11, &line);
                        self.y -= 14;
                    }
                    self.y -= 8;
                }
                MadePart::List(items) => {
                    for item in items {
                        self.need(15);
                        self.line(LEFT + 12, self.y, 11, &format!("• {item}"));
                        self.y -= 15;
                    }
                    self.y -= 8;
                }
                MadePart::Table(rows) => self.table(rows),
            }
        }
        let pages = self.pages.len();
        if pages < 4 {
            return;
        }
        let written = std::mem::take(&mut self.pages);
        for (index, page) in written.into_iter().enumerate() {
            self.pages.push(page);
            self.line(LEFT, 765, 9, text.title);
            self.line(280, 40, 9, &format!("{} / {pages}", index + 1));
        }
    }

    fn table(&mut self, rows: &[Vec<String>]) {
        const HEIGHT: usize = 20;
        const COLUMNS: [usize; 4] = [LEFT, LEFT + 156, LEFT + 312, LEFT + 468];
        self.need(HEIGHT * rows.len() + 20);
        let top = self.y + 14;
        let bottom = top - HEIGHT * rows.len();
        let page = self.pages.last_mut().unwrap();
        for line in 0..=rows.len() {
            let y = top - HEIGHT * line;
            writeln!(page, "{} {y} m {} {y} l S", COLUMNS[0], COLUMNS[3]).unwrap();
        }
        for x in COLUMNS {
            writeln!(page, "{x} {top} m {x} {bottom} l S").unwrap();
        }
        for row in rows {
            for (x, cell) in COLUMNS.into_iter().zip(row) {
                self.line(x + 4, self.y, 11, cell);
            }
            self.y -= HEIGHT;
        }
        self.y -= 10;
    }

    /// Two columns, drawn line by line across both, as some programs do.
    fn columns(&mut self, parts: &[MadePart]) {
        let mut lines = Vec::new();
        for part in parts {
            let (size, words) = match part {
                MadePart::Heading(level, title) => (20 - 3 * level, vec![title.clone()]),
                MadePart::Paragraph(words) | MadePart::Noted(words, _) => (10, vec![words.clone()]),
                MadePart::List(items) => (10, items.iter().map(|item| format!("• {item}")).collect()),
                MadePart::Table(rows) => (10, rows.iter().map(|row| row.join(" ")).collect()),
            };
            for text in words {
                lines.extend(wrapped(&text, if size > 10 { 24 } else { 38 }).map(|line| (size, line)));
            }
        }
        for (number, page) in lines.chunks(2 * COLUMN_LINES).enumerate() {
            if number > 0 {
                self.pages.push(String::new());
            }
            let (left, right) = page.split_at(page.len().div_ceil(2));
            for row in 0..left.len() {
                for (x, column) in [(LEFT, left), (LEFT + 250, right)] {
                    if let Some((size, line)) = column.get(row) {
                        self.line(x, TOP - 15 * row, *size, line);
                    }
                }
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        let font = match &self.glyphs {
            None => vec![
                "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
                    .to_owned(),
            ],
            Some(glyphs) => glyph_font(glyphs, if self.width < 50 { 1000 } else { 500 }),
        };
        let first_page = 3 + font.len();
        let kids: Vec<String> =
            (0..self.pages.len()).map(|index| format!("{} 0 R", first_page + 2 * index)).collect();
        let mut objects = vec![
            "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
            format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), kids.len()),
        ];
        objects.extend(font);
        for (index, content) in self.pages.iter().enumerate() {
            objects.push(format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R /Resources << /Font << /F1 3 0 R \
                 >> >> >>",
                first_page + 2 * index + 1
            ));
            objects.push(format!("<< /Length {} >>\nstream\n{content}endstream", content.len()));
        }
        pdf_of(&objects)
    }
}

/// A font of numbered glyphs, as object 3 and those it needs, with a table of their characters.
fn glyph_font(glyphs: &[char], width: usize) -> Vec<String> {
    let mut map = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Made def /CMapType 2 def\n1 \
                   begincodespacerange <0000> <FFFF> endcodespacerange\n"
        .to_owned();
    for (block, characters) in glyphs.chunks(100).enumerate() {
        writeln!(map, "{} beginbfchar", characters.len()).unwrap();
        for (index, one) in characters.iter().enumerate() {
            writeln!(map, "<{:04X}> <{:04X}>", block * 100 + index + 1, u32::from(*one)).unwrap();
        }
        map += "endbfchar\n";
    }
    map += "endcmap CMapName currentdict /CMap defineresource pop end end\n";
    vec![
        "<< /Type /Font /Subtype /Type0 /BaseFont /Made /Encoding /Identity-H /DescendantFonts [4 0 R] /ToUnicode 6 0 R >>"
            .to_owned(),
        format!(
            "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Made /CIDSystemInfo << /Registry (Adobe) /Ordering \
             (Identity) /Supplement 0 >> /FontDescriptor 5 0 R /DW {width} >>"
        ),
        "<< /Type /FontDescriptor /FontName /Made /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0 /Ascent 900 /Descent \
         -200 /CapHeight 700 /StemV 80 >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{map}endstream", map.len()),
    ]
}

/// A text in lines of at most so many characters, cut at spaces; where there are none, anywhere.
fn wrapped(text: &str, width: usize) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut rest: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().unwrap();
            let used = line.chars().count();
            let room = width.saturating_sub(used + usize::from(used > 0));
            if rest.len() <= room {
                if used > 0 {
                    line.push(' ');
                }
                line.extend(&rest);
                break;
            }
            if used == 0 {
                line.extend(rest.drain(..width));
            }
            lines.push(String::new());
        }
    }
    lines.into_iter().filter(|line| !line.is_empty())
}
