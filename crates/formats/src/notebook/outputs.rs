//! Outputs of the cells of a notebook, as short text.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json_string::decoded;
use super::{NotebookCell, NotebookWriter, OUTPUT_CHARACTERS_MAX};
use crate::markdown::{fence_around, missing_fence};
use crate::terminal_text::shown_on_terminal;

#[derive(Deserialize)]
struct NotebookOutput<'a> {
    output_type: String,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(borrow, default)]
    html: Option<&'a RawValue>,
    #[serde(default)]
    ename: Option<String>,
    #[serde(default)]
    evalue: Option<String>,
}

impl<'a> NotebookWriter<'a> {
    pub(super) fn outputs(&mut self, cell: &NotebookCell<'a>) {
        let mut left = OUTPUT_CHARACTERS_MAX;
        let mut was_cut = false;
        for output in cell.outputs.iter().flatten() {
            let Ok(output) = serde_json::from_str::<NotebookOutput<'_>>(output.get()) else { continue };
            let Some(shown) = self.output(&output) else { continue };
            let text = shown.text.trim_end().trim_start_matches('\n');
            if text.is_empty() {
                continue;
            }
            let cut = text.char_indices().nth(left).map_or(text.len(), |(at, _)| at);
            left -= text[..cut].chars().count();
            was_cut |= cut < text.len();
            if cut > 0 {
                self.write_output(&text[..cut], shown.place, shown.is_markup);
            }
        }
        if was_cut {
            self.cut_outputs += 1;
            let place = self.source.len()..self.source.len();
            self.begin_block(&place);
            self.out.write("[The rest of the output was left out.]", place);
        }
    }

    fn write_output(&mut self, text: &str, place: Range<usize>, is_markup: bool) {
        self.begin_block(&place);
        if is_markup {
            self.out.write(text, place);
            if let Some(fence) = missing_fence(text) {
                self.end_line();
                self.out.write(&fence, 0..0);
            }
        } else {
            let fence = fence_around(text);
            self.out.write(&format!("{fence}\n{text}\n{fence}"), place);
        }
    }

    fn output(&self, output: &NotebookOutput<'a>) -> Option<ShownOutput> {
        if matches!(output.output_type.as_str(), "error" | "pyerr") {
            let name = output.ename.as_deref().unwrap_or("Error");
            let value = output.evalue.as_deref().unwrap_or_default();
            let text = shown_on_terminal(&format!("{name}: {value}"));
            return Some(ShownOutput { text, place: 0..0, is_markup: false });
        }
        let data = output.data.as_ref();
        let from_data = |kind: &str| data.and_then(|data| data.get(kind).copied());
        let has_picture = data.is_some_and(|data| data.keys().any(|kind| kind.starts_with("image/")));
        let candidates = [
            (from_data("text/markdown"), true),
            (output.text.or_else(|| from_data("text/plain")), false),
            (output.html.or_else(|| from_data("text/html")), true),
        ];
        let (value, is_markup) = candidates.into_iter().find_map(|(value, markup)| Some((value?, markup)))?;
        let literals = self.literals(value);
        let text = shown_on_terminal(&decoded(self.source, &literals));
        // `<Figure size 640x480 with 1 Axes>` says nothing without the picture.
        if has_picture && !is_markup && text.starts_with('<') {
            return None;
        }
        let place = literals.first()?.start..literals.last()?.end;
        Some(ShownOutput { text, place, is_markup })
    }
}

struct ShownOutput {
    text: String,
    place: Range<usize>,
    is_markup: bool,
}
