//! Shows traces: as trees in the terminal, or as a page.
//!
//! ```text
//!   followed_file ─┐                      ┌▶ terminal: trees, as traces complete
//!   standard input ├▶ otlp ─▶ a channel ──┤
//!   server (OTLP) ─┘                      └▶ store ─▶ list, waterfall, map ─▶ server (the page)
//! ```
//!
//! The sources have threads of their own, and wait when whoever draws is slower; the server answers 503 then.

#![forbid(unsafe_code)]

mod address;
mod counts;
mod followed_file;
mod http;
mod intake;
mod interrupt;
mod lines;
mod list;
mod map;
mod options;
mod otlp;
mod page;
mod routes;
mod search;
mod server;
mod source;
mod store;
mod terminal;
mod waterfall;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

pub(crate) use options::Options;

use crate::failure::{Failure, MISUNDERSTOOD};
use crate::{given_file, output};
use counts::Counts;
use intake::Event;
use options::Asked;
use page::Page;
use server::Server;
use store::Store;

/// Shows what was asked for until its sources end, or until Ctrl-C.
pub(crate) fn view(options: Options) -> Result<ExitCode, Failure> {
    let asked = Asked::from(options)?;
    if let Some(what) = asked.source.as_deref().and_then(given_file::no_traces) {
        return Err(Failure { status: MISUNDERSTOOD, what });
    }
    let counts = Arc::new(Counts::default());
    let (events, received) = sync_channel::<Event>(WAITING);
    let page = asked.web.map(|_| Page::find(asked.page.as_deref())).transpose()?;
    let store = Arc::new(Store::default());
    if let Some(address) = asked.listen {
        let server = Server::bind(address, "--listen")?;
        output::note(&format!("takes OTLP/HTTP at http://{}/v1/traces", server.address()));
        server.start(routes::collector(events.clone(), Arc::clone(&counts)), Arc::clone(&counts))?;
    }
    if let (Some(address), Some(page)) = (asked.web, page) {
        let server = Server::bind(address, "--web")?;
        let said = format!("the page is at http://{}/{}\n", server.address(), asked.only.fragment());
        output::write(said.as_bytes())?;
        server.start(routes::page(page, Arc::clone(&store), Arc::clone(&counts)), Arc::clone(&counts))?;
    }
    interrupt::start(events.clone())?;
    if let Some(source) = &asked.source {
        source::start(source, asked.follow, asked.listen.is_none(), events, Arc::clone(&counts))?;
    }
    if asked.web.is_some() { store.fill(&received, &counts) } else { terminal::draw(&received, asked.only, &counts) }
}

/// So many batches wait between the sources and whoever shows them.
const WAITING: usize = 16;
