//! The C and preload doors of tracer-resolver: `libtracer_interceptors.so`, which any librdkafka client loads through
//! the property `plugin.library.paths`, or a dynamically linked one through `LD_PRELOAD`.
