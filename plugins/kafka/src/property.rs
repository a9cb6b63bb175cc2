//! A value of a property of librdkafka.

#![forbid(unsafe_code)]

use serde::Deserialize;

/// Perhaps a secret: never printed.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(crate) struct Property(String);

impl Property {
    pub(crate) fn value(&self) -> &str {
        &self.0
    }
}

impl TryFrom<serde_json::Value> for Property {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Bool(is_on) => is_on.to_string(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err("expected a text, a number, true or false"),
        };
        if text.contains('\0') {
            return Err("expected a text without NUL");
        }
        Ok(Property(text))
    }
}
