//! Backend plugin of tracer-resolver: file.
