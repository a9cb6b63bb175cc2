//! How a program's clients come to be traced.

use std::path::Path;
use std::process::Command;

use crate::foreign::library;

/// One way or several. Programs in Rust have one of their own besides, in their code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayIn {
    /// Not at all: neither library nor file.
    None,
    /// By `plugin.library.paths`: the program sets it to what `PLUGIN` says.
    Property,
    /// By `LD_PRELOAD`: the program knows nothing of it.
    Preload,
    /// By both at once.
    Both,
    /// By `LD_PRELOAD`, and in Python by the layer that `tracer-interceptors run` brings in from a wheel.
    Layer,
}

impl WayIn {
    /// Each way on its own that a program can be traced.
    pub const EACH: [WayIn; 2] = [WayIn::Property, WayIn::Preload];

    /// The command, whose program then is traced this way by what `file` says.
    pub(crate) fn open(self, command: &mut Command, file: &Path) {
        if self != WayIn::None {
            command.env("INTERCEPTORS_CONFIG_FILE", file);
        }
        if matches!(self, WayIn::Property | WayIn::Both) {
            command.env("PLUGIN", library());
        }
        if matches!(self, WayIn::Preload | WayIn::Both | WayIn::Layer) {
            command.env("LD_PRELOAD", library());
        }
        if self == WayIn::Layer {
            command.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join(LAYER));
        }
    }
}

/// The folder that a wheel's `run` puts into `PYTHONPATH`.
const LAYER: &str = "resolver/librdkafka/python/tracer_interceptors/start";
