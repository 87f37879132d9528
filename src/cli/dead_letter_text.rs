//! Dead letters as text.

use super::text_format::{self, ColumnAlignment, TextTable};
use crate::operations::messages::dead_letter::{DeadLetterReason, DeadLetterView};

/// One of them.
pub(super) fn letter_text(letter: &DeadLetterView) -> String {
    format!(
        "dead letter  {}\ncollection   {}\ndocument     {}\nversion      {}\nstage        {}\n\
         reason       {}\ndetail       {}\ndied         {}\n",
        letter.id,
        letter.collection,
        letter.document_id,
        letter.version,
        letter.stage,
        letter.reason.code,
        // Without a limit: only for its cleaning, since a detail may quote a document.
        text_format::snippet(&letter.reason.detail, usize::MAX),
        text_format::utc_time(letter.died_ms)
    )
}

/// A line for each.
pub(super) fn letters_table(letters: &[DeadLetterView]) -> String {
    let mut lines = TextTable::new(&[
        ("id", ColumnAlignment::Right),
        ("died", ColumnAlignment::Left),
        ("stage", ColumnAlignment::Left),
        ("collection", ColumnAlignment::Left),
        ("document", ColumnAlignment::Left),
        ("version", ColumnAlignment::Right),
        ("reason", ColumnAlignment::Left),
    ]);
    for letter in letters {
        lines.row([
            letter.id.to_string(),
            text_format::utc_time(letter.died_ms),
            letter.stage.clone(),
            letter.collection.clone(),
            letter.document_id.clone(),
            letter.version.to_string(),
            letter.reason.code.clone(),
        ]);
    }
    lines.render()
}

/// A line for each reason, with its oldest letter.
pub(super) fn reasons_table(reasons: &[DeadLetterReason]) -> String {
    let mut lines = TextTable::new(&[
        ("letters", ColumnAlignment::Right),
        ("reason", ColumnAlignment::Left),
        ("stage", ColumnAlignment::Left),
        ("for example", ColumnAlignment::Left),
    ]);
    for reason in reasons {
        let example = format!("{} in {}", reason.example.document_id, reason.example.collection);
        lines.row([text_format::count(reason.count), reason.code.clone(), reason.stage.clone(), example]);
    }
    lines.render()
}
