//! Metrics, as OpenTelemetry has them: what is measured, and how it leaves.

#![expect(dead_code, reason = "filled by what is measured, and read by what sends it")]

mod model;
