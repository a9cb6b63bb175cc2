//! A batch in as many POSTs as the server takes.

use std::time::Duration;

use tracer_plugin_api::BackendError;
use tracer_plugin_kit::{Part, Refused};

use crate::carrier::{Answer, Carrier, Largest, carry_in_parts};
use crate::client::HttpClient;
use crate::failure::Failure;

impl HttpClient {
    /// Posts `spans`, or what else a batch consists of, in one request; in halves, and halves of these, where the server says that it
    /// is too much at once. All of it within `limit` or the timeout of the settings, whichever is less. What a server
    /// refused to read is remembered: it is not sent so much again.
    ///
    /// `body_of` makes a body of some of the spans. Those that are refused for good are counted in `refused`, and the
    /// others go on.
    ///
    /// # Errors
    ///
    /// Those of [`HttpClient::post`] that are worth another try, as soon as there is one: the whole batch is sent again.
    pub fn post_in_parts<T: Part>(
        &self,
        content_type: &str,
        spans: &[T],
        limit: Duration,
        body_of: impl Fn(&[T]) -> Vec<u8>,
        refused: &mut Refused,
    ) -> Result<Vec<Answer>, BackendError> {
        let posts = Posts { client: self, content_type };
        let (answers, ended) = carry_in_parts(&posts, spans, limit, body_of, refused);
        ended.map(|()| answers).map_err(|stopped| stopped.error)
    }
}

/// Posts to the endpoint of a client, all with one content type.
pub(crate) struct Posts<C, T> {
    pub(crate) client: C,
    pub(crate) content_type: T,
}

impl<C: AsRef<HttpClient> + Send + Sync, T: AsRef<str> + Send + Sync> Carrier for Posts<C, T> {
    fn carry(&self, body: &[u8], limit: Duration) -> Result<Answer, Failure> {
        self.client.as_ref().try_post(self.content_type.as_ref(), body, limit)
    }

    fn timeout(&self) -> Duration {
        self.client.as_ref().timeout()
    }

    fn largest(&self) -> &Largest {
        self.client.as_ref().largest()
    }

    fn who(&self) -> String {
        self.client.as_ref().settings().endpoint.to_string()
    }

    fn strike_out(&self, said: String) -> String {
        self.client.as_ref().settings().headers.strike_out(said)
    }
}
