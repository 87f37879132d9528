//! Writes the rows of a table that `tables` has read.
//!
//! A cell is written again wherever it reaches to, as long as that adds no more bytes than the page has.

use std::collections::HashMap;
use std::ops::Range;

use super::render::HtmlRenderer;
use super::tables::{HtmlTableGrid, SPAN_COLUMNS_MAX};
use super::writer::HtmlGap;

impl HtmlRenderer<'_> {
    /// Writes captions, the header line and rows.
    pub(super) fn write_table(&mut self, grid: &HtmlTableGrid) {
        for &caption in &grid.captions {
            self.out.block(HtmlGap::Paragraph);
            self.walk(caption);
        }
        let mut written: HashMap<usize, usize> = HashMap::new();
        let mut gap = HtmlGap::Paragraph;
        let (header, rows) = grid.rows.split_at(grid.header_rows);
        if let Some(&(first, _)) = header.first() {
            let widest = header.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
            let columns = widest.max(grid.columns.min(SPAN_COLUMNS_MAX));
            let tag = self.dom.tag(first);
            self.out.start_row(gap, tag.clone());
            for column in 0..columns {
                let mut cells: Vec<usize> = Vec::new();
                for (_, row) in header {
                    if let Some(&Some(cell)) = row.get(column)
                        && !cells.contains(&cell)
                    {
                        cells.push(cell);
                    }
                }
                self.write_cell(&cells, &mut written, tag.clone());
            }
            self.out.end_row();
            self.out.start_row(HtmlGap::Line, tag.clone());
            for _ in 0..columns {
                self.out.write_on(" --- |", tag.clone());
            }
            self.out.end_row();
            gap = HtmlGap::Line;
        }
        for (row, cells) in rows {
            if !cells.iter().flatten().any(|&cell| self.has_content(cell)) {
                continue;
            }
            let tag = self.dom.tag(*row);
            self.out.start_row(gap, tag.clone());
            gap = HtmlGap::Line;
            let over_all = cells.len() > 1 && cells.iter().all(|cell| *cell == cells[0]);
            for (column, cell) in cells.iter().enumerate() {
                let cell: Vec<usize> = cell.iter().copied().filter(|_| column == 0 || !over_all).collect();
                self.write_cell(&cell, &mut written, tag.clone());
            }
            self.out.end_row();
        }
        self.out.block(HtmlGap::Paragraph);
    }

    fn write_cell(&mut self, cells: &[usize], written: &mut HashMap<usize, usize>, tag: Range<usize>) {
        self.out.start_cell();
        for &cell in cells {
            if let Some(&bytes) = written.get(&cell) {
                if bytes > self.repeated_bytes_left {
                    continue;
                }
                self.repeated_bytes_left -= bytes;
            }
            let before = self.out.len();
            self.walk(cell);
            written.entry(cell).or_insert(self.out.len() - before);
            self.out.gap(HtmlGap::Space);
        }
        self.out.end_cell(tag);
    }
}
