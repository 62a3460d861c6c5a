//! A small HTTP server, for Prometheus and for the page that flashes boards.

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// What a client gets.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Connections that are served at once; the next one is closed.
pub(crate) const CONNECTIONS: usize = 8;
/// How long a client may take for the head of a request, and how long a connection stays.
const HEAD: Duration = Duration::from_secs(5);
const CONNECTION: Duration = Duration::from_secs(60);
/// Before the next client is taken when the system has no more connections.
const PAUSE: Duration = Duration::from_millis(100);

/// Gives each request what `answer` makes of it, for ever.
pub(crate) fn serve<A, F>(listener: TcpListener, answer: A) -> Result<Infallible>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send,
{
    listener.set_nonblocking(true).context("cannot serve HTTP")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot serve HTTP")?.block_on(accept(listener, answer))
}

async fn accept<A, F>(listener: TcpListener, answer: A) -> Result<Infallible>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        let answer = answer.clone();
        tokio::spawn(async move {
            let answers = service_fn(|request| {
                let answer = answer(request);
                async { Ok::<_, Infallible>(answer.await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD);
            // Whoever breaks it off has had enough.
            let _ =
                timeout(CONNECTION, server.serve_connection(TokioIo::new(stream), answers)).await;
            drop(seat);
        });
    }
}

/// An answer with a body of this type.
pub(crate) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
