//! Backend plugin of tracer-resolver: zipkin.
