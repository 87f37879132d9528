//! Tables: one line per row, whatever stands in a cell.
//!
//! `| a | b |`, with every row as wide as the table: a cell that spans rows or columns is repeated (a title over
//! the whole width is not). Rows of headings are joined into one header line, with a line of dashes behind it.
//! A table without headings gets no such line: an invented empty header would be text that no reader sees, and
//! the chunker cuts rows by their lines. Captions, and titles over the whole width at the top, are a paragraph
//! before the table. Tables inside of cells become words of the cell.
//!
//! Tables that only place things on the page (one column, a role that says so, big content in cells without any
//! heading) are no tables: their cells are blocks. Spans are bounded, and so is what repeats.

use super::code::is_beside_code;
use super::dom::{HtmlDom, HtmlNodeContent};

/// Most columns that one cell reaches over.
pub(super) const SPAN_COLUMNS_MAX: usize = 64;
/// Most rows that one cell reaches down.
const SPAN_ROWS_MAX: usize = 1000;
/// Most cells that reach into a row from above.
const SPANNED_CELLS_MAX: usize = 128;
/// Most rows of headings; where there are more, only the first is one.
const HEADER_ROWS_MAX: usize = 4;
/// Longest text, in bytes, of a cell of a table without headings.
const DATA_CELL_BYTES_MAX: usize = 600;

/// A table of rows of cells; a cell may stand at several places.
#[derive(Debug)]
pub(super) struct HtmlTableGrid {
    /// Rows with the element that made them.
    pub(super) rows: Vec<(usize, Vec<Option<usize>>)>,
    /// How many rows at the top are headings.
    pub(super) header_rows: usize,
    /// Captions and titles over the whole width.
    pub(super) captions: Vec<usize>,
    /// Columns of the widest row.
    pub(super) columns: usize,
}

/// What a `table` element is for.
#[derive(Debug)]
pub(super) enum HtmlTableUse {
    /// Rows of cells.
    Data(HtmlTableGrid),
    /// Lines of code with a gutter.
    Code,
    /// Places for blocks.
    Layout,
}

/// The rows of a table, not of tables inside.
fn rows_of(dom: &HtmlDom, skipped: &[bool], table: usize) -> Vec<usize> {
    let mut rows = Vec::new();
    let mut next = Some(table);
    while let Some(node) = next {
        let name = dom.name(node);
        let descend = node == table || (matches!(name, "thead" | "tbody" | "tfoot") && !skipped[node]);
        if name == "tr" && !skipped[node] {
            rows.push(node);
        }
        next = dom.following(node, table, descend);
    }
    rows
}

fn span(dom: &HtmlDom, cell: usize, name: &str, most: usize) -> usize {
    let written = dom.attribute(cell, name).map_or("", str::trim);
    let number = written.parse::<usize>().unwrap_or(1);
    // Zero reaches to the end.
    if number == 0 && name == "rowspan" { most } else { number.clamp(1, most) }
}

/// Reads a table.
pub(super) fn read_table(dom: &HtmlDom, source: &str, skipped: &[bool], table: usize) -> HtmlTableUse {
    let row_elements = rows_of(dom, skipped, table);
    let mut gutter = false;
    let mut rows: Vec<(usize, Vec<Option<usize>>)> = Vec::new();
    // Cells that reach down into the next rows: column, rows left, cell.
    let mut reaching: Vec<(usize, usize, usize)> = Vec::new();
    for (index, &row) in row_elements.iter().enumerate() {
        let mut cells: Vec<Option<usize>> = Vec::new();
        let mut still = Vec::new();
        // A span ends with its group of rows.
        let goes_on = row_elements.get(index + 1).is_some_and(|&next| dom.parent(next) == dom.parent(row));
        for &(column, left, cell) in &reaching {
            if place(&mut cells, column, cell) && left > 1 && goes_on {
                still.push((column, left - 1, cell));
            }
        }
        let mut column = 0;
        for cell in dom.children(row).filter(|&cell| matches!(dom.name(cell), "td" | "th") && !skipped[cell])
        {
            if is_beside_code(dom, cell) {
                gutter = true;
                continue;
            }
            while cells.get(column).is_some_and(Option::is_some) {
                column += 1;
            }
            let wide = span(dom, cell, "colspan", SPAN_COLUMNS_MAX);
            let high = span(dom, cell, "rowspan", SPAN_ROWS_MAX);
            for _ in 0..wide {
                if place(&mut cells, column, cell) && high > 1 && goes_on && still.len() < SPANNED_CELLS_MAX {
                    still.push((column, high - 1, cell));
                }
                column += 1;
            }
        }
        reaching = still;
        if !cells.is_empty() {
            rows.push((row, cells));
        }
    }
    let columns = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let role = dom.attribute(table, "role").unwrap_or_default();
    if gutter && columns <= 1 {
        return HtmlTableUse::Code;
    }
    if columns <= 1 || matches!(role, "presentation" | "none") {
        return HtmlTableUse::Layout;
    }
    let mut captions: Vec<usize> =
        dom.children(table).filter(|&child| dom.name(child) == "caption" && !skipped[child]).collect();
    let has_headings = !captions.is_empty()
        || dom.attribute(table, "summary").is_some()
        || rows.iter().any(|(row, cells)| {
            dom.parent(*row).is_some_and(|group| dom.name(group) == "thead")
                || cells.iter().flatten().any(|&cell| dom.name(cell) == "th")
        });
    if !has_headings
        && rows
            .iter()
            .any(|(_, cells)| cells.iter().flatten().any(|&cell| is_big(dom, source, skipped, cell)))
    {
        return HtmlTableUse::Layout;
    }
    // A title over the whole width is no row.
    while let Some((_, cells)) = rows.first()
        && let Some(Some(first)) = cells.first()
        && cells.len() == columns
        && cells.iter().all(|cell| *cell == Some(*first))
        && rows.len() > 1
        && span(dom, *first, "rowspan", SPAN_ROWS_MAX) == 1
    {
        captions.push(*first);
        rows.remove(0);
    }
    let header_rows = header_rows(dom, source, skipped, &rows);
    HtmlTableUse::Data(HtmlTableGrid { rows, header_rows, captions, columns })
}

/// Puts a cell into a row; whether the place was free.
fn place(cells: &mut Vec<Option<usize>>, column: usize, cell: usize) -> bool {
    if cells.len() <= column {
        cells.resize(column + 1, None);
    }
    let free = cells[column].is_none();
    cells[column].get_or_insert(cell);
    free
}

/// How many rows at the top are headings; never all.
fn header_rows(dom: &HtmlDom, source: &str, skipped: &[bool], rows: &[(usize, Vec<Option<usize>>)]) -> usize {
    let is_header = |(row, cells): &&(usize, Vec<Option<usize>>)| {
        dom.parent(*row).is_some_and(|group| dom.name(group) == "thead")
            || cells.iter().flatten().all(|&cell| {
                dom.name(cell) == "th"
                    && dom.attribute(cell, "scope").is_none_or(|scope| !scope.starts_with("row"))
            })
    };
    let mut count = rows.iter().take(HEADER_ROWS_MAX + 1).take_while(is_header).count();
    if count > HEADER_ROWS_MAX {
        count = 1;
    }
    if count == 0 {
        // Editors make headings of bold cells.
        let no_cells = Vec::new();
        let is_bold_row = |row: usize| {
            let cells = rows.get(row).map_or(&no_cells, |(_, cells)| cells);
            let found: Vec<(bool, bool)> =
                cells.iter().flatten().map(|&cell| plain_and_bold(dom, source, skipped, cell)).collect();
            found.len() > 1 && found.iter().all(|(plain, _)| !plain) && found.iter().any(|(_, bold)| *bold)
        };
        count = usize::from(is_bold_row(0) && !is_bold_row(1));
    }
    if count < rows.len() { count } else { 0 }
}

/// Whether a cell has text that is not bold, and whether it has bold elements.
fn plain_and_bold(dom: &HtmlDom, source: &str, skipped: &[bool], cell: usize) -> (bool, bool) {
    let mut any = false;
    let mut next = Some(cell);
    while let Some(node) = next {
        let bold = matches!(dom.name(node), "b" | "strong");
        if let HtmlNodeContent::Text(piece) = dom.content(node)
            && !skipped[node]
            && !piece.text(source).trim().is_empty()
        {
            return (true, any);
        }
        any |= bold;
        next = dom.following(node, cell, !skipped[node] && !bold);
    }
    (false, any)
}

/// Whether a cell holds more than data does.
fn is_big(dom: &HtmlDom, source: &str, skipped: &[bool], cell: usize) -> bool {
    let mut bytes = 0;
    let mut next = Some(cell);
    while let Some(node) = next {
        match dom.content(node) {
            HtmlNodeContent::Text(piece) if !skipped[node] => bytes += piece.text(source).trim().len(),
            HtmlNodeContent::Element(_) if !skipped[node] => {
                if matches!(
                    dom.name(node),
                    "table"
                        | "h1"
                        | "h2"
                        | "h3"
                        | "h4"
                        | "h5"
                        | "h6"
                        | "pre"
                        | "article"
                        | "section"
                        | "hr"
                        | "form"
                ) {
                    return true;
                }
            }
            _ => {}
        }
        if bytes > DATA_CELL_BYTES_MAX {
            return true;
        }
        next = dom.following(node, cell, !skipped[node]);
    }
    false
}
