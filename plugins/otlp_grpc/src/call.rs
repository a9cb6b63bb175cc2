//! One call on a connection that is open.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::response::Parts;
use http::{HeaderMap, Request};

use crate::message::{LONGEST_ANSWER, Message};

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) head: Parts,
    /// Or its beginning: no more than [`LONGEST_ANSWER`].
    pub(crate) body: Vec<u8>,
    /// `None` also if all that they say stands in the head.
    pub(crate) trailers: Option<HeaderMap>,
}

/// Sends `request` with `message` as its body, as fast as the server's windows allow, and reads the answer. A server that
/// answers before it has read all has done with it: the rest is not sent.
pub(crate) async fn call(
    mut sender: SendRequest<Bytes>,
    request: Request<()>,
    message: &Message<'_>,
) -> Result<Reply, h2::Error> {
    poll_fn(|context| sender.poll_ready(context)).await?;
    let (mut answer, mut body) = sender.send_request(request, false)?;
    let mut sent = 0;
    let answer = poll_fn(|context| {
        while sent < message.len() {
            body.reserve_capacity((message.len() - sent).min(PIECE));
            match body.poll_capacity(context) {
                Poll::Ready(Some(Ok(0))) | Poll::Pending => break,
                Poll::Ready(Some(Ok(room))) => {
                    let piece = message.piece(sent, room);
                    sent += piece.len();
                    body.send_data(piece, sent == message.len())?;
                }
                // The call is over: the answer, or the error in its place, says why.
                Poll::Ready(Some(Err(_)) | None) => break,
            }
        }
        std::pin::Pin::new(&mut answer).poll(context)
    })
    .await?;
    let (head, mut answer) = answer.into_parts();
    let body = read(&mut answer).await?;
    let trailers = if body.len() > LONGEST_ANSWER { None } else { answer.trailers().await? };
    Ok(Reply { head, body, trailers })
}

/// The body, or as much as shows that it is too long.
async fn read(answer: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.data().await {
        let piece = piece?;
        answer.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
        if body.len() > LONGEST_ANSWER {
            break;
        }
    }
    Ok(body)
}

/// The most that is copied at once.
const PIECE: usize = 64 * 1024;
