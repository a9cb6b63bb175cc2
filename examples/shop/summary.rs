//! What the shop shows at the end: a trace, a table of where all spans went, and whether any was lost.

use std::fmt::Write as _;
use std::process::ExitCode;

use tracer_resolver::{BackendState, Resolver, Stats};

use crate::board::Board;
use crate::paint::{Paint, fit, thousands};
use crate::receivers::Receivers;
use crate::trace_view;

pub(crate) struct Summary {
    stats: Stats,
    traced: bool,
    has_errors: bool,
    undelivered: u64,
    retried: u64,
    receivers: Receivers,
}

impl Summary {
    pub(crate) fn new(resolver: &Resolver, board: &Board, receivers: Receivers) -> Self {
        Summary {
            stats: resolver.stats(),
            traced: resolver.is_on(),
            has_errors: resolver.report().has_errors(),
            undelivered: board.undelivered.get(),
            retried: board.retried.get(),
            receivers,
        }
    }

    /// Success, unless something was lost that nobody asked to lose.
    pub(crate) fn exit_code(&self, killed: bool) -> ExitCode {
        let lost = self.lost() > 0 && !killed;
        if lost || self.undelivered > 0 || self.has_errors { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    pub(crate) fn render(&self) -> String {
        let paint = Paint::for_stdout();
        let mut text = String::from("\n");
        if !self.traced {
            return "\nNothing was traced: the configuration turns tracing off.\n".to_owned();
        }
        self.trace(&mut text, paint);
        self.table(&mut text, paint);
        self.places(&mut text, paint);
        self.verdict(&mut text, paint);
        text
    }

    fn trace(&self, text: &mut String, paint: Paint) {
        match trace_view::draw(self.receivers.sightings(), paint) {
            Some(drawing) => text.push_str(&drawing),
            None => text.push_str("The servers are yours: look at the traces there.\n"),
        }
    }

    fn table(&self, text: &mut String, paint: Paint) {
        let head = format!(
            "{}{}{}{:>9}{:>10}{:>9}{:>10}{:>9}  {}",
            fit("service", 15),
            fit("backend", 10),
            fit("plugin", 9),
            "spans",
            "exported",
            "dropped",
            "rejected",
            "waiting",
            "state"
        );
        // Writing into a `String` cannot fail, here and below.
        let _ = writeln!(text, "\n{}", paint.bold(&head));
        for service in &self.stats.services {
            let rows = self.stats.backends.iter().filter_map(|backend| {
                let counts = backend.services.iter().find(|counts| counts.service == service.name)?;
                Some((backend, counts))
            });
            for (backend, counts) in rows {
                let dropped = format!("{:>9}", thousands(counts.dropped_total()));
                let dropped = if counts.dropped_total() > 0 { paint.red(&dropped) } else { dropped };
                let _ = writeln!(
                    text,
                    "{}{}{}{:>9}{:>10}{dropped}{:>10}{:>9}  {}",
                    fit(&service.name, 15),
                    fit(&backend.name, 10),
                    fit(&backend.plugin, 9),
                    thousands(counts.offered),
                    thousands(counts.exported),
                    thousands(counts.rejected),
                    thousands(counts.waiting),
                    state(backend.state),
                );
                for (reason, spans) in &counts.dropped {
                    let _ = writeln!(text, "{}", paint.red(&format!("{:>62}: {}", reason.name(), thousands(*spans))));
                }
            }
        }
    }

    fn places(&self, text: &mut String, paint: Paint) {
        let _ = writeln!(text, "\n{}", paint.bold("where the spans went"));
        for place in self.receivers.places() {
            let what = match (place.is_built_in(), place.killed) {
                (false, _) => "yours".to_owned(),
                (true, false) => format!("built in, got {} spans", thousands(place.received)),
                (true, true) => format!("built in, killed after {} spans", thousands(place.received)),
            };
            let _ = writeln!(text, "{}{}{what}", fit(place.kind.name(), 15), fit(&place.endpoint, 44));
        }
    }

    fn verdict(&self, text: &mut String, paint: Paint) {
        let exported = self.sum(|counts| counts.exported);
        let verdict = match self.lost() {
            0 if self.has_seen_all(exported) => {
                paint.green(&format!("No span was lost: {} went out.", thousands(exported)))
            }
            // Only the servers know: a packet of UDP arrives or not, and nobody says which.
            0 => paint.green(&format!("No span was dropped: {} went out to servers of yours.", thousands(exported))),
            lost => paint.red(&format!("{} spans were lost, {} went out.", thousands(lost), thousands(exported))),
        };
        let _ = writeln!(text, "\n{verdict} {} authorizations were tried again.", thousands(self.retried));
        if self.undelivered > 0 {
            let lost = format!("{} messages were not taken by Kafka.", thousands(self.undelivered));
            let _ = writeln!(text, "{}", paint.red(&lost));
        }
        if self.has_errors {
            let _ = writeln!(text, "{}", paint.red("The configuration has errors: they stand above."));
        }
    }

    fn lost(&self) -> u64 {
        self.sum(|counts| counts.dropped_total() + counts.rejected + counts.waiting)
    }

    /// Whether the receivers that are built in have got everything that went out.
    fn has_seen_all(&self, exported: u64) -> bool {
        let received: u64 = self.receivers.places().iter().map(|place| place.received).sum();
        received >= exported
    }

    fn sum(&self, count: impl Fn(&tracer_resolver::BackendServiceStats) -> u64) -> u64 {
        self.stats.backends.iter().flat_map(|backend| &backend.services).map(count).sum()
    }
}

fn state(state: BackendState) -> &'static str {
    match state {
        BackendState::Untried => "untried",
        BackendState::Healthy => "healthy",
        BackendState::Refusing => "refusing",
        BackendState::Retrying => "retrying",
        BackendState::Stuck => "stuck",
        BackendState::OutOfService => "out of service",
        _ => "unknown",
    }
}
