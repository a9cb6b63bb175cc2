//! Backend plugin of tracer-resolver: otlp.
