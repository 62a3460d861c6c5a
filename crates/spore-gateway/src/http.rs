//! The endpoint that Prometheus reads.

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// What is served: written every second, read by whoever asks.
pub(crate) type Page = Arc<Mutex<String>>;

/// Connections that are served at once; the next one is closed.
const CONNECTIONS: usize = 8;
/// How long a client may take for the head of a request, and how long a connection stays.
const HEAD: Duration = Duration::from_secs(5);
const CONNECTION: Duration = Duration::from_secs(60);
/// Before the next client is taken when the system has no more connections.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the page, for ever.
pub(crate) fn serve(listener: TcpListener, page: &Page) -> Result<Infallible> {
    listener.set_nonblocking(true).context("cannot serve metrics")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot serve metrics")?.block_on(accept(listener, page))
}

async fn accept(listener: TcpListener, page: &Page) -> Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        let page = Arc::clone(page);
        tokio::spawn(async move {
            let answers = service_fn(|request: Request<Incoming>| {
                let answer = answer(request.method(), request.uri().path(), &page);
                async { Ok::<_, Infallible>(answer) }
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

fn answer(method: &Method, path: &str, page: &Page) -> Response<Full<Bytes>> {
    let (status, body, kind) = match (path, method) {
        ("/metrics", &(Method::GET | Method::HEAD)) => {
            let page = page.lock().unwrap_or_else(PoisonError::into_inner).clone();
            (StatusCode::OK, page, "text/plain; version=0.0.4; charset=utf-8")
        }
        ("/metrics", _) => {
            (StatusCode::METHOD_NOT_ALLOWED, "GET it\n".to_owned(), "text/plain; charset=utf-8")
        }
        _ => (StatusCode::NOT_FOUND, "there is /metrics\n".to_owned(), "text/plain; charset=utf-8"),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS, Page, serve};
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(|| serve(listener, &Page::new("a 1\n".to_owned().into())));
        address
    }

    fn ask(address: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_page_is_there_and_nothing_else() {
        let address = start();
        let page = ask(address, "GET /metrics HTTP/1.1");
        assert!(page.starts_with("HTTP/1.1 200 ") && page.ends_with("\r\n\r\na 1\n"), "{page}");
        assert!(page.contains("text/plain; version=0.0.4"), "{page}");
        let head = ask(address, "HEAD /metrics HTTP/1.1");
        assert!(head.contains("content-length: 4") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(ask(address, "GET / HTTP/1.1").starts_with("HTTP/1.1 404 "));
        let post = ask(address, "POST /metrics HTTP/1.1");
        assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"), "{post}");
        assert!(ask(address, "what").starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn who_holds_all_connections_keeps_nobody_out_for_long() {
        let address = start();
        let held: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
        // The first of those that are kept busy ends when its client goes.
        drop(held);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while std::time::Instant::now() < end {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ =
                stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let mut answer = String::new();
            if stream.read_to_string(&mut answer).is_ok() && answer.contains("200 OK") {
                return;
            }
        }
        panic!("no seat came free");
    }
}
