//! XML 1.0 to lines of text, with the quick-xml crate.
//!
//! An element that holds elements is a section: a line of its name and attributes, `item: id: 4`, and its
//! children indented below. Its title is its name, with what identifies it (`title`, `name`, `id` and the like, as
//! a child or attribute): `item: Summer sale`. An element that holds text is one line, `price (currency: EUR): 3`,
//! and paragraphs have no name; elements inside of text are inline and lose their attributes. Names lose their
//! namespace prefixes. White space collapses, but not in CDATA of several lines, nor under `xml:space="preserve"`
//! or names like `programlisting`.
//!
//! Comments, processing instructions and the document type are dropped. Entities are those of XML and HTML;
//! declared ones are not expanded and stay as they are written, so nothing multiplies and nothing is fetched.
//! Of broken XML, what was read stands first and the rest follows as it is, with a note.
//!
//! Two passes without recursion: the first finds out what elements hold, at one byte each, the second
//! (`writer`) writes. `attributes` reads the attributes of a tag.

mod attributes;
mod writer;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::line_ends::with_normal_line_ends;
use crate::parsed_text::ParsedText;
use crate::source_map::SourceMap;
use writer::XmlWriter;

/// Reads an XML document.
pub fn parse_xml(source: &str) -> ParsedText {
    with_normal_line_ends(source, |text| {
        let contents = contents_of_elements(text);
        if contents.is_empty() {
            return ParsedText {
                text: text.to_owned(),
                map: SourceMap::identity(text.len()),
                notes: vec!["no XML element; read as plain text".to_owned()],
                ..ParsedText::default()
            };
        }
        XmlWriter::new(text, contents).write()
    })
}

/// What an element holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ElementContents {
    text: bool,
    elements: bool,
}

/// Finds out what every element holds, in the order of their starts.
fn contents_of_elements(text: &str) -> Vec<ElementContents> {
    let mut reader = new_reader(text);
    let mut contents: Vec<ElementContents> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    // The writer stops at the same error.
    while let Ok(event) = reader.read_event() {
        let parent = open.last().map(|&index| &mut contents[index]);
        match event {
            Event::Start(_) | Event::Empty(_) => {
                if let Some(parent) = parent {
                    parent.elements = true;
                }
                if matches!(event, Event::Start(_)) {
                    open.push(contents.len());
                }
                contents.push(ElementContents::default());
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Text(content) => {
                if let Some(parent) = parent.filter(|_| !content.trim_ascii().is_empty()) {
                    parent.text = true;
                }
            }
            Event::CData(_) | Event::GeneralRef(_) => {
                if let Some(parent) = parent {
                    parent.text = true;
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    contents
}

fn new_reader(text: &str) -> Reader<&[u8]> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().allow_dangling_amp = true;
    reader
}
