//! Answers as lines for people.

#![forbid(unsafe_code)]

use super::answer::{Answer, Row};
use super::sampling::Fate;

pub(super) fn render(answers: &[Answer], has_errors: bool, colors: bool) -> String {
    let paint = Paint(colors);
    let mut out = String::new();
    for (index, answer) in answers.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        one(answer, paint, &mut out);
    }
    if has_errors {
        out.push_str("\nthe configuration has errors, and parts of it are off: see `tracer-interceptors check`\n");
    }
    out
}

fn one(answer: &Answer, paint: Paint, out: &mut String) {
    let mut line = |text: &str| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&paint.bold(&answer.asked));
    line(&format!("  {}", answer.whose));
    if answer.service.is_some() {
        let text = match answer.fate {
            Fate::Kept => paint.green("a span is made of it, and exported"),
            Fate::Sampled => paint.green("a span is made of it, and exported if its trace is kept"),
            Fate::Dropped => paint.red("no span of it is exported"),
        };
        line(&format!("  {text}"));
    }
    for near in &answer.near {
        line(&format!("  {}", paint.yellow(near)));
    }
    if !answer.rules.is_empty() {
        line("\n  rules, in the order in which they are asked:");
        let widths = (
            width(&answer.rules, |row| &row.service),
            width(&answer.rules, |row| &row.rule),
            width(&answer.rules, |row| &row.place),
        );
        for Row { service, rule, place, won, why } in &answer.rules {
            let text = format!("{service:0$}  {rule:1$}  {place:2$}  {why}", widths.0, widths.1, widths.2);
            line(&if *won { format!("  > {}", paint.green(text.trim_end())) } else { format!("    {text}") });
        }
    }
    if answer.others > 0 {
        line(&format!("    and {} about other topics", answer.others));
    }
    if !answer.trace.is_empty() {
        line("\n  its trace:");
        answer.trace.iter().for_each(|text| line(&format!("    {text}")));
    }
    if !answer.settings.is_empty() {
        line("\n  settings:");
        let keys = width(&answer.settings, |setting| setting.key);
        let values = width(&answer.settings, |setting| &setting.value).min(40);
        for setting in &answer.settings {
            line(&format!("    {:keys$} = {:values$}  # {}", setting.key, setting.value, setting.origin));
        }
    }
    if !answer.backends.is_empty() {
        line("\n  backends:");
        for (name, plugin, place) in &answer.backends {
            let place = if place.is_empty() { String::new() } else { format!("  # {place}") };
            line(&format!("    {name}: plugin {plugin}{place}"));
        }
    }
}

fn width<T>(rows: &[T], of: fn(&T) -> &str) -> usize {
    rows.iter().map(|row| of(row).chars().count()).max().unwrap_or_default()
}

/// Terminal colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
