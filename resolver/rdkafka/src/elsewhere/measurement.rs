//! What would be measured of messages.

/// One instrument under one set of attributes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measurement {
    /// The service's name.
    pub service: String,
    /// The instrument's name.
    pub instrument: &'static str,
    /// The unit, as UCUM has it.
    pub unit: &'static str,
    /// Names and values.
    pub attributes: Vec<(&'static str, String)>,
    /// A counter's value, or how often a histogram measured.
    pub count: u64,
    /// The sum of what a histogram measured, in its unit.
    pub sum: f64,
    /// A histogram's upper bounds.
    pub bounds: &'static [f64],
    /// What a histogram counted in each bucket.
    pub buckets: Vec<u64>,
    /// One at most for each bucket.
    pub exemplars: Vec<MeasuredIn>,
}

/// One of the values, and the sampled span in which it was measured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MeasuredIn {
    /// In the instrument's unit.
    pub value: f64,
    /// As 32 hexadecimal digits.
    pub trace_id: String,
    /// As 16 hexadecimal digits.
    pub span_id: String,
}

impl Measurement {
    /// The value of the attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}
