//! What the server answers to what.

use std::io::Read as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::counts::Counts;
use super::http::{Answer, answer, is_asked_by_address, is_from_elsewhere, refuse};
use super::intake::Event;
use super::list::list;
use super::map::map;
use super::otlp;
use super::page::Page;
use super::search::Search;
use super::store::Store;
use super::waterfall::waterfall;

/// Answers a request.
pub(super) type Routes = Box<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The page, and what it asks for.
pub(super) fn page(page: Page, store: Arc<Store>, counts: Arc<Counts>) -> Routes {
    let page = Arc::new(page);
    Box::new(move |request| {
        let (page, store, counts) = (Arc::clone(&page), Arc::clone(&store), Arc::clone(&counts));
        Box::pin(async move { of_the_page(&request, &page, &store, &counts).await })
    })
}

/// A collector of spans: `POST /v1/traces`.
pub(super) fn collector(events: SyncSender<Event>, counts: Arc<Counts>) -> Routes {
    let readers = Arc::new(Semaphore::new(READERS));
    Box::new(move |request| {
        let (events, counts, readers) = (events.clone(), Arc::clone(&counts), Arc::clone(&readers));
        Box::pin(async move { of_the_collector(request, &events, &counts, &readers).await })
    })
}

async fn of_the_page(request: &Request<Incoming>, page: &Page, store: &Store, counts: &Counts) -> Answer {
    if !is_asked_by_address(request.headers(), request.uri().host()) || is_from_elsewhere(request.headers()) {
        return refuse(StatusCode::FORBIDDEN, "ask by the address, such as 127.0.0.1, and from this page only");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return not_allowed("GET, HEAD");
    }
    let query = request.uri().query().unwrap_or_default();
    match request.uri().path() {
        "/" => answer(StatusCode::OK, "text/html; charset=utf-8", page.html.clone()),
        "/app.js" => answer(StatusCode::OK, "text/javascript; charset=utf-8", page.js.clone()),
        "/app.css" => answer(StatusCode::OK, "text/css; charset=utf-8", page.css.clone()),
        "/api/traces" => as_json(&list(&store.traces(), &Search::parse(query), counts)),
        "/api/map" => as_json(&map(&store.traces())),
        "/api/changes" => as_json(&json!({ "version": change(store, query).await })),
        path => match path.strip_prefix("/api/trace/").and_then(|id| waterfall(&store.traces(), id)) {
            Some(trace) => as_json(&trace),
            None => refuse(StatusCode::NOT_FOUND, "there is nothing here, or not any more"),
        },
    }
}

/// Waits until there is another version than the one that is known, or for as long as a request may be open.
async fn change(store: &Store, query: &str) -> u64 {
    let known = query.strip_prefix("after=").and_then(|number| number.parse::<u64>().ok());
    let mut version = store.version();
    // That the time is over is an answer too: the version is the same.
    let _ = timeout(LONGEST_WAIT, version.wait_for(|version| Some(*version) != known)).await;
    *version.borrow()
}

async fn of_the_collector(
    request: Request<Incoming>,
    events: &SyncSender<Event>,
    counts: &Counts,
    readers: &Semaphore,
) -> Answer {
    if is_from_elsewhere(request.headers()) {
        return refuse(StatusCode::FORBIDDEN, "pages in a browser send no spans here");
    }
    match request.uri().path() {
        "/v1/traces" => {}
        "/v1/metrics" | "/v1/logs" => return refuse(StatusCode::NOT_FOUND, "only traces are taken here"),
        _ => return refuse(StatusCode::NOT_FOUND, "spans go to /v1/traces"),
    }
    if request.method() != Method::POST {
        return not_allowed("POST");
    }
    let header =
        |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let format = match header(CONTENT_TYPE).split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => Format::Protobuf,
        "application/json" => Format::Json,
        other => {
            let said = format!("{other:?} is not taken: application/x-protobuf or application/json");
            counts.no_otlp("a request", &said);
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, said);
        }
    };
    let is_gzip = match header(CONTENT_ENCODING) {
        "" | "identity" => false,
        "gzip" => true,
        other => return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{other:?} is not taken: gzip, or none")),
    };
    // Those that wait have their bodies in the kernel, not here.
    let Ok(_reading) = readers.acquire().await else { return busy() };
    let body = match timeout(SLOWEST_BODY, Limited::new(request.into_body(), MOST_BYTES).collect()).await {
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come"),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return too_large(),
        Ok(Err(error)) => return refuse(StatusCode::BAD_REQUEST, format!("the body did not come: {error}")),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let body = match if is_gzip { unzipped(&body) } else { Ok(body) } {
        Ok(body) if body.len() > MOST_UNZIPPED => return too_large(),
        Ok(body) => body,
        Err(error) => return bad(counts, &format!("no gzip: {error}")),
    };
    let read = match format {
        Format::Protobuf => otlp::from_protobuf(&body),
        Format::Json => otlp::from_json(&body),
    };
    let read = match read {
        Ok(read) => read,
        Err(why) => return bad(counts, &why),
    };
    if !read.spans.is_empty() {
        match events.try_send(Event::Spans(read.spans)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return busy(),
        }
    }
    counts.without_ids(read.without_ids);
    taken(format, read.without_ids)
}

/// How a body is written; the answer is written the same way.
#[derive(Clone, Copy)]
enum Format {
    Protobuf,
    Json,
}

fn taken(format: Format, without_ids: u64) -> Answer {
    let partial =
        (without_ids > 0).then(|| json!({ "rejectedSpans": without_ids.to_string(), "errorMessage": WITHOUT_IDS }));
    match format {
        Format::Json => as_json(&partial.map_or_else(|| json!({}), |partial| json!({ "partialSuccess": partial }))),
        Format::Protobuf => {
            let body = if without_ids > 0 { partial_success(without_ids) } else { Vec::new() };
            answer(StatusCode::OK, "application/x-protobuf", body)
        }
    }
}

/// `ExportTraceServiceResponse { partial_success: { rejected_spans, error_message } }`.
fn partial_success(rejected: u64) -> Vec<u8> {
    let mut inner = vec![0x08];
    let mut left = rejected;
    while left >= 0x80 {
        inner.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    inner.push(left as u8);
    inner.extend([0x12, WITHOUT_IDS.len() as u8]);
    inner.extend(WITHOUT_IDS.as_bytes());
    [vec![0x0a, inner.len() as u8], inner].concat()
}

/// Never more than is looked at, however little it was before.
fn unzipped(body: &[u8]) -> std::io::Result<Bytes> {
    let mut text = Vec::new();
    MultiGzDecoder::new(body).take(MOST_UNZIPPED as u64 + 1).read_to_end(&mut text)?;
    Ok(text.into())
}

fn as_json(value: &Value) -> Answer {
    answer(StatusCode::OK, "application/json", value.to_string())
}

fn bad(counts: &Counts, why: &str) -> Answer {
    counts.no_otlp("a request", why);
    refuse(StatusCode::BAD_REQUEST, format!("no OTLP: {why}"))
}

fn too_large() -> Answer {
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "a batch has at most 16 MiB, and 64 MiB before gzip")
}

fn busy() -> Answer {
    let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, "busy: send it again");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

const WITHOUT_IDS: &str = "spans without a trace id or a span id";
const MOST_BYTES: usize = 16 << 20;
const MOST_UNZIPPED: usize = 64 << 20;
/// So many bodies are read at a time.
const READERS: usize = 8;
const SLOWEST_BODY: Duration = Duration::from_secs(30);
/// Shorter than what stands between gives a silent connection.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
