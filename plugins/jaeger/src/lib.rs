//! Backend plugin of tracer-resolver: jaeger.
