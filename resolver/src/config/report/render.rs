//! A report as text for people.

#![forbid(unsafe_code)]

use annotate_snippets::{Level, Renderer, Snippet};

use super::excerpt::{Excerpt, printable};
use super::order::ordered;
use super::problem::{Problem, Report, Severity};
use crate::counted::counted;

impl Report {
    /// All problems as text for people: place, source line, caret, and what would be right; sorted by position, and what
    /// follows from others after them.
    ///
    /// `color` adds terminal colours. Without it the text has no control characters, whatever the file contains.
    /// After 100 problems the rest is counted only. Ends with a newline unless it is empty.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let problems = ordered(self.problems.iter().collect(), |problem: &&Problem| {
            let (start, end) = problem.span.as_ref().map_or((0, 0), |span| (span.start, span.end));
            (problem.follows, start, end)
        });
        let mut out = String::new();
        for problem in problems.iter().take(SHOWN) {
            for line in render_one(self, problem, &renderer).trim_end().lines() {
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        let more = problems.len().saturating_sub(SHOWN);
        if more > 0 {
            out.push_str(&format!("… and {} in {}\n", counted(more as u64, "more problem"), printable(&self.name)));
        }
        out
    }
}

fn render_one(report: &Report, problem: &Problem, renderer: &Renderer) -> String {
    let level = level(problem.severity);
    let message = printable(&problem.message);
    let mut name = printable(&report.name);
    let help = problem.help.as_deref().map(printable);
    let excerpt = Excerpt::new(&report.text, problem);
    if let (Some(span), true) = (&problem.span, excerpt.as_ref().is_some_and(|excerpt| excerpt.is_cut)) {
        name.push_str(&format!(" (byte {}, in a long line that is shown in part)", span.start));
    }
    let mut title = level.title(&message).id(problem.code);
    if let Some(excerpt) = &excerpt {
        let mut snippet = Snippet::source(&excerpt.text).line_start(excerpt.first_line).origin(&name).fold(true);
        for mark in &excerpt.marks {
            // Other levels than these two would stand before the label as words.
            let side = if mark.main { level } else { Level::Warning };
            let annotation = side.span(mark.span.clone());
            snippet =
                snippet.annotation(if mark.label.is_empty() { annotation } else { annotation.label(&mark.label) });
        }
        title = title.snippet(snippet);
    }
    if let Some(help) = &help {
        title = title.footer(Level::Help.title(help));
    }
    renderer.render(title).to_string()
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warning,
        Severity::Note => Level::Note,
    }
}

/// More than anyone reads, and a bound on the work for a hostile file.
const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_problem_shows_its_place_its_line_a_caret_and_the_way_out() {
        let mut report = Report::new("tracing.toml", "version = 1\nsampelr = 2\n");
        report.push(
            Problem::error("C101", "unknown key `sampelr`")
                .at(12..19, "did you mean `sampler`?")
                .help("known: sampler"),
        );
        assert_eq!(
            report.render(false),
            "error[C101]: unknown key `sampelr`\n \
             --> tracing.toml:2:1\n  |\n2 | sampelr = 2\n  | ^^^^^^^ did you mean `sampler`?\n  |\n  = help: known: sampler\n"
        );
    }

    #[test]
    fn problems_are_sorted_by_position_whatever_order_they_were_found_in() {
        let mut report = Report::new("f", "one\ntwo\n");
        report.push(Problem::error("C2", "second").at(4..7, ""));
        report.push(Problem::error("C1", "first").at(0..3, ""));
        let text = report.render(false);
        assert!(text.find("first") < text.find("second"), "{text}");
    }

    #[test]
    fn what_follows_from_a_problem_is_shown_after_it_wherever_it_stands() {
        let mut report = Report::new("f", "one\ntwo\n");
        report.push(Problem::warning("C9", "so nothing works").follows());
        report.push(Problem::warning("C9", "so one is off").at(0..3, "").follows());
        report.push(Problem::error("C1", "the cause").at(4..7, ""));
        let text = report.render(false);
        assert!(text.find("the cause") < text.find("so nothing works"), "{text}");
        assert!(text.find("the cause") < text.find("so one is off"), "{text}");
    }

    #[test]
    fn a_file_full_of_problems_is_counted_and_not_printed_without_end() {
        let mut report = Report::new("f", "x\n");
        for _ in 0..SHOWN + 7 {
            report.push(Problem::error("C1", "same").at(0..1, ""));
        }
        let text = report.render(false);
        assert_eq!(text.matches("error[C1]").count(), SHOWN);
        assert!(text.ends_with("… and 7 more problems in f\n"), "{text}");
    }

    #[test]
    fn an_escape_sequence_in_the_file_or_in_a_key_never_reaches_the_terminal() {
        let mut report = Report::new("a\u{1b}[2Jb", "key\u{1b}[31m = 1\n");
        report.push(Problem::error("C1", "bad \u{1b}[31mkey\u{7}\u{202e}").at(0..3, "la\u{1b}bel").help("he\u{9b}lp"));
        let text = report.render(false);
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    }

    #[test]
    fn a_long_line_keeps_its_column_and_is_shown_in_part() {
        let line = format!("{{\"a\": \"{}\", \"wrong\": 1, \"b\": \"{}\"}}", "x".repeat(1000), "y".repeat(1000));
        let at = line.find("\"wrong\"").unwrap();
        let mut report = Report::new("f", line);
        report.push(Problem::error("C1", "m").at(at..at + 7, "here"));
        let text = report.render(false);
        assert!(text.contains(&format!("f:1:{}\n", at + 1)), "{text}");
        assert!(text.contains("\"wrong\"") && text.lines().all(|line| line.chars().count() < 200), "{text}");
    }

    #[test]
    fn a_line_of_a_megabyte_is_not_walked_through_and_the_byte_is_named() {
        let line = format!("{}wrong", "x".repeat(1 << 20));
        let mut report = Report::new("f", line);
        report.push(Problem::error("C1", "m").at(1 << 20..(1 << 20) + 5, "here"));
        let text = report.render(false);
        assert!(text.contains("byte 1048576, in a long line") && text.contains("wrong"), "{text}");
        assert!(text.len() < 1000, "{}", text.len());
    }

    proptest! {
        #[test]
        fn no_text_and_no_span_can_make_rendering_panic(
            text in "(?s).{0,80}", spans in proptest::collection::vec((0usize..120, 0usize..120), 1..4),
            color in any::<bool>(),
        ) {
            let mut report = Report::new("f", text);
            let mut problem = Problem::error("C1", "m");
            for (index, (start, end)) in spans.into_iter().enumerate() {
                problem = if index == 0 { problem.at(start..end, "label") } else { problem.also(start..end, "other") };
            }
            report.push(problem);
            prop_assert!(report.render(color).contains('m'));
        }
    }
}
