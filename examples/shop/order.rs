//! What travels through the shop.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A line of the input, and a message of the topic `orders`. Amounts are in hundredths of the currency.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) customer: String,
    pub(crate) country: String,
    pub(crate) currency: String,
    pub(crate) method: Method,
    pub(crate) items: Vec<Item>,
    pub(crate) total: u64,
}

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    Card,
    Wallet,
    Invoice,
}

/// A line of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    pub(crate) sku: String,
    pub(crate) quantity: u32,
    pub(crate) price: u64,
}

/// A message of `payments.accepted` and `payments.declined`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payment {
    pub(crate) order: u64,
    pub(crate) customer: String,
    pub(crate) country: String,
    /// Why it was declined.
    pub(crate) declined: Option<String>,
}

/// A message of `shipments`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shipment {
    pub(crate) order: u64,
    pub(crate) customer: String,
    pub(crate) tracking_number: String,
}

impl Method {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Card => "card",
            Method::Wallet => "wallet",
            Method::Invoice => "invoice",
        }
    }
}

/// Why the shop cannot go on, in words for whoever started it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Failure(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}
