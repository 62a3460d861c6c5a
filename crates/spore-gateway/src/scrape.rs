//! The endpoint that Prometheus reads.

use crate::http::{self, Answer, answer};
use anyhow::Result;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, StatusCode};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

/// What is served: written every second, read by whoever asks.
pub(crate) type Page = Arc<Mutex<String>>;

/// Serves the page, for ever.
pub(crate) fn serve(listener: TcpListener, page: &Page) -> Result<Infallible> {
    let page = Arc::clone(page);
    http::serve(listener, move |request| {
        let answer = of(request.method(), request.uri().path(), &page);
        async { answer }
    })
}

fn of(method: &Method, path: &str, page: &Page) -> Answer {
    const PLAIN: &str = "text/plain; charset=utf-8";
    match (path, method) {
        ("/metrics", &(Method::GET | Method::HEAD)) => {
            let page = page.lock().unwrap_or_else(PoisonError::into_inner).clone();
            answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page)
        }
        ("/metrics", _) => {
            let mut answer = answer(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET it\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            answer
        }
        _ => answer(StatusCode::NOT_FOUND, PLAIN, "there is /metrics\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, serve};
    use crate::http::CONNECTIONS;
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
