//! Progress of long work on stderr: a bar on a terminal, else a line every [`LINE_INTERVAL`].

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::console::ConsoleOutput;
use super::text_format;

/// Minimum time between two lines when stderr is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two redraws of a bar that has not moved.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// The progress of one piece of work.
pub(crate) struct ProgressMeter {
    label: &'static str,
    noun: &'static str,
    total: u64,
    started: Instant,
    display: MeterDisplay,
}

enum MeterDisplay {
    Bar(ProgressBar),
    Lines { printed: Instant },
    Silent,
}

impl ProgressMeter {
    /// A meter for `total` items. Silent if there are none, or with `--json` and no terminal.
    pub(crate) fn new(label: &'static str, noun: &'static str, total: u64, console: ConsoleOutput) -> Self {
        let started = Instant::now();
        let display = if total == 0 {
            MeterDisplay::Silent
        } else if io::stderr().is_terminal() {
            MeterDisplay::Bar(progress_bar(label, noun, total))
        } else if console.is_json() {
            MeterDisplay::Silent
        } else {
            MeterDisplay::Lines { printed: started }
        };
        Self { label, noun, total, started, display }
    }

    /// Shows that `done` items are finished. `detail` is appended to the line.
    pub(crate) fn update(&mut self, done: u64, detail: &str) {
        // Work may be found while it goes on; a bar must not exceed its end.
        let done = done.min(self.total);
        match &mut self.display {
            MeterDisplay::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(detail.to_owned());
            }
            MeterDisplay::Lines { printed } if printed.elapsed() >= LINE_INTERVAL => {
                *printed = Instant::now();
                let line =
                    progress_line(self.label, self.noun, done, self.total, self.started.elapsed(), detail);
                // If stderr is closed, progress is lost, which harms nothing.
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
            MeterDisplay::Lines { .. } | MeterDisplay::Silent => {}
        }
    }
}

impl Drop for ProgressMeter {
    fn drop(&mut self) {
        // The bar is removed, so that results do not stand behind a stale one.
        if let MeterDisplay::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

fn progress_bar(label: &'static str, noun: &'static str, total: u64) -> ProgressBar {
    let template = format!(
        "{label} [{{bar:30}}] {{human_pos}} of {{human_len}} {noun}, {{per_sec}}, {{eta}} left{{msg}}"
    );
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style.progress_chars("=> "));
    // The rate and the time left go on changing even if nothing is reported.
    bar.enable_steady_tick(REDRAW_INTERVAL);
    bar
}

fn progress_line(label: &str, noun: &str, done: u64, total: u64, elapsed: Duration, detail: &str) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate for reading")]
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let left = if done == 0 {
        "no estimate yet".to_owned()
    } else {
        #[expect(clippy::cast_precision_loss, reason = "an estimate for reading")]
        let seconds = (total - done) as f64 / rate;
        format!("{} left", text_format::duration(Duration::from_secs_f64(seconds)))
    };
    format!(
        "{label}: {} of {} {noun}, {rate:.1}/s, {left}{detail}",
        text_format::count(done),
        text_format::count(total)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::progress_line;

    #[test]
    fn a_line_has_a_rate_and_an_estimate() {
        let ten_seconds = Duration::from_secs(10);
        assert_eq!(
            progress_line("ingest", "documents", 50, 1050, ten_seconds, "; 400 chunks"),
            "ingest: 50 of 1,050 documents, 5.0/s, 3 min 20 s left; 400 chunks"
        );
        assert_eq!(
            progress_line("ingest", "documents", 0, 10, ten_seconds, ""),
            "ingest: 0 of 10 documents, 0.0/s, no estimate yet"
        );
    }
}
