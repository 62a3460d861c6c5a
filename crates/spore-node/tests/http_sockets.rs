//! The HTTP server on real sockets of the loopback interface: time, closing, and many clients.

#[path = "http/serve.rs"]
mod serve;
#[path = "http/support.rs"]
mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serve::{Acceptor, LIFETIME, serve};
use spore_core::api::Entrance;
use spore_node::http::{BODY_MAX, BUFFER_LEN, Server, Timeouts};
use support::{OK, Reply, Stub, cases, replies};

/// Short enough for a test, and far enough apart to tell which one it was.
const TIMEOUTS: Timeouts = Timeouts {
    idle: ms(300),
    grace: ms(500),
    head: ms(900),
    body: ms(900),
    lease: ms(200),
    write: ms(600),
    response: ms(1500),
    linger: ms(600),
    heartbeat: ms(400),
};

/// As long as a server lives.
const LONG: embassy_time::Duration = ms(LIFETIME.as_millis() as u64);

/// Where they are not what is tested, since a busy machine is slow.
const PATIENT: Timeouts = Timeouts {
    idle: LONG,
    grace: LONG,
    head: LONG,
    body: LONG,
    lease: LONG,
    write: LONG,
    response: LONG,
    linger: LONG,
    heartbeat: LONG,
};

const GET: &[u8] = b"GET /ok HTTP/1.1\r\nHost: n\r\n\r\n";
const GET_AND_CLOSE: &[u8] = b"GET /ok HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n";

const fn ms(milliseconds: u64) -> embassy_time::Duration {
    embassy_time::Duration::from_millis(milliseconds)
}

/// Starts a server as a board has it, three seats and four workers; where it listens.
fn start(timeouts: Timeouts) -> SocketAddr {
    serve::<3, 4, _>(1, timeouts, Stub::default)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Reads to the end, which must be an orderly one: a reset would be an error here.
fn read_all(mut stream: &TcpStream) -> Vec<Reply> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an orderly end");
    replies(&bytes, 0)
}

/// Reads one short answer of a connection that stays open.
fn read_one(mut stream: &TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let mut missing = 1;
    while missing > 0 {
        let start = bytes.len();
        bytes.resize(start + missing, 0);
        stream.read_exact(&mut bytes[start..]).expect("an answer");
        let text = String::from_utf8_lossy(&bytes);
        missing = match text.split_once("\r\n\r\n") {
            None => 1,
            Some((head, body)) => {
                let (_, length) = head.split_once("Content-Length: ").expect("a short answer");
                let length = length.lines().next().and_then(|line| line.parse().ok());
                length.unwrap_or(body.len()) - body.len()
            }
        };
    }
    replies(&bytes, 0).remove(0)
}

fn ask(address: SocketAddr, request: &[u8]) -> Vec<Reply> {
    try_ask(address, request).expect("an orderly end")
}

/// As [`ask`], of a server that may close before all is sent: the answer can be there nevertheless.
fn try_ask(address: SocketAddr, request: &[u8]) -> io::Result<Vec<Reply>> {
    let mut stream = connect(address);
    let sent = stream.write_all(request);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        sent?;
    }
    Ok(replies(&bytes, 0))
}

/// Asks until it is served, for at most `limit`; how long it took. Nothing but `refusals` may come
/// before.
fn insist(address: SocketAddr, limit: Duration, refusals: &[u16]) -> Duration {
    let start = Instant::now();
    loop {
        let status = ask(address, GET_AND_CLOSE)[0].status;
        assert!(start.elapsed() < limit, "locked out");
        if status == 200 {
            return start.elapsed();
        }
        assert!(refusals.contains(&status), "{status}");
        sleep(Duration::from_millis(20));
    }
}

/// Asserts that `what` takes at least `expected`, and not so much longer that something else must
/// have ended it; a busy machine is slow. What starts the time must be part of `what`.
fn takes<T>(expected: embassy_time::Duration, what: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = what();
    let (took, expected) = (start.elapsed(), Duration::from_millis(expected.as_millis()));
    assert!(took >= expected, "took {took:?}, not {expected:?}");
    assert!(took <= expected + Duration::from_secs(2), "took {took:?}, not {expected:?}");
    result
}

#[test]
fn answers_reach_the_client_before_the_end() {
    let address = start(PATIENT);
    for (raw, expected) in cases() {
        let mut stream = connect(address);
        stream.write_all(&raw).expect("sent");
        stream.shutdown(Shutdown::Write).expect("half-closed");
        let statuses: Vec<u16> = read_all(&stream).iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, expected, "{}", raw[..raw.len().min(300)].escape_ascii());
    }
}

/// A client that sends its whole body before it reads must still find the answer.
#[test]
fn a_body_that_is_too_long_does_not_destroy_the_answer() {
    let address = start(PATIENT);
    let head = "POST /ok HTTP/1.1\r\nHost: n\r\nContent-Length: 4000000\r\n\r\n";
    let request = [head.as_bytes(), &[b'x'; 4_000_000]].concat();
    let replies = ask(address, &request);
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].status, 413);
    replies[0].assert_error();
}

#[test]
fn a_connection_is_kept_until_it_is_idle() {
    let idle = ms(1_500);
    let address = start(Timeouts { idle, ..PATIENT });
    let stream = connect(address);
    let get = || {
        (&stream).write_all(GET).expect("sent");
        let reply = read_one(&stream);
        assert_eq!((reply.status, &*reply.body), (200, OK.as_bytes()));
    };
    (0..20).for_each(|_| get());
    let rest = takes(idle, || {
        get();
        read_all(&stream)
    });
    assert!(rest.is_empty());
}

#[test]
fn silence_and_slowness_are_told() {
    // Who is slow between connecting and sending must not be taken for silent.
    let timeouts = Timeouts { idle: ms(1_500), ..TIMEOUTS };
    let address = start(timeouts);
    let sending = |bytes: &[u8]| {
        let mut stream = connect(address);
        stream.write_all(bytes).expect("sent");
        stream
    };
    let replies = takes(timeouts.idle, || read_all(&connect(address)));
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [408]);
    replies[0].assert_error();
    assert_eq!(replies[0].field("connection"), Some("close"));

    // Who closes without a question is owed no answer.
    let gone = connect(address);
    gone.shutdown(Shutdown::Write).expect("half-closed");
    assert!(takes(ms(0), || read_all(&gone)).is_empty());

    let replies = takes(timeouts.head, || read_all(&sending(&GET[..20])));
    assert_eq!(replies[0].status, 408);
    replies[0].assert_error();

    let body = b"POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 9\r\n\r\nhalf";
    assert_eq!(takes(timeouts.body, || read_all(&sending(body)))[0].status, 408);

    // Who is bound to be refused is not waited for.
    let head = b"POST /ok HTTP/1.1\r\nHost: n\r\nContent-Length: 2000\r\n\r\nhalf";
    assert_eq!(takes(ms(0), || read_one(&sending(head)).status), 405);

    // A byte now and then does not buy more time.
    let (status, dripping) = takes(timeouts.head + ms(100), || {
        let slow = connect(address);
        let mut writer = slow.try_clone().expect("a second handle");
        let dripping = thread::spawn(move || {
            for byte in GET {
                sleep(Duration::from_millis(100));
                if writer.write_all(&[*byte]).is_err() {
                    break;
                }
            }
        });
        (read_one(&slow).status, dripping)
    });
    assert_eq!(status, 408);
    dripping.join().expect("joined");
}

/// The answer is cut off, which its chunks let the client notice.
#[test]
fn a_client_that_does_not_read_is_given_up() {
    let address = start(TIMEOUTS);
    let mut greedy = connect(address);
    greedy.write_all(b"GET /long/50000000 HTTP/1.1\r\nHost: n\r\n\r\n").expect("sent");
    sleep(Duration::from_millis(TIMEOUTS.response.as_millis() + 500));
    let mut received = Vec::new();
    // Some network stacks reset, Linux's ends the connection when its own buffer is sent.
    let _ = greedy.read_to_end(&mut received);
    assert!(received.starts_with(b"HTTP/1.1 200 OK"));
    assert!(received.len() < 50_000_000, "{} bytes", received.len());
    assert!(!received.ends_with(b"0\r\n\r\n"));
}

/// Three clients that only hold their connections: the fourth is told so, and served after them.
#[test]
fn three_are_served_and_the_fourth_is_told() {
    // Half the grace is longer than a head may take: nobody is thrown out.
    let address = start(Timeouts { head: ms(3_000), ..PATIENT });
    let slow: Vec<TcpStream> = (0..3).map(|_| connect(address)).collect();
    for mut stream in &slow {
        stream.write_all(&GET[..10]).expect("sent");
    }
    for _ in 0..5 {
        let refusal = ask(address, GET);
        assert_eq!((refusal.len(), refusal[0].status), (1, 503));
        refusal[0].assert_error();
        assert_eq!(refusal[0].field("retry-after"), Some("1"));
    }
    for stream in &slow {
        assert_eq!(read_all(stream)[0].status, 408);
    }
    drop(slow);
    assert_eq!(ask(address, GET_AND_CLOSE)[0].status, 200);
}

/// Connections that wait for their next request make room at once, one for each that comes, also
/// when they were answered only just now.
#[test]
fn kept_connections_make_room() {
    let address = start(PATIENT);
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let kept: Vec<TcpStream> = (0..3).map(|_| connect(address)).collect();
        for mut stream in &kept {
            stream.write_all(GET).expect("sent");
        }
        for stream in &kept {
            assert_eq!(read_one(stream).status, 200);
        }
        // A client waits far less long than these may be idle.
        assert_eq!(ask(address, GET_AND_CLOSE)[0].status, 200);
    }
}

/// Four clients ask as fast as they can, a connection each time: every one of them is answered,
/// and nothing but the answer or the refusal comes.
#[test]
fn greedy_clients_share() {
    let address = start(PATIENT);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let statuses: Vec<u16> =
                    (0..200).map(|_| ask(address, GET_AND_CLOSE)[0].status).collect();
                assert!(statuses.iter().all(|status| [200, 503].contains(status)));
                statuses.iter().filter(|&&status| status == 200).count()
            })
        })
        .collect();
    for client in clients {
        assert!(client.join().expect("joined") > 0);
    }
}

/// Slow clients, more than a board has seats, each of which comes again at once when it is
/// thrown out, in every way: silent, with half a head, with half a body, without an end. The
/// product's [`Timeouts::grace`] is twice as long, so what takes 5 s here takes 10 s there.
#[test]
fn slow_clients_that_come_again_do_not_lock_the_others_out() {
    besiege(4, Duration::from_secs(6), Duration::from_secs(5));
}

/// Likewise twice as many as there are seats. Who gets a seat that is taken away is a matter of
/// luck then: that it takes longer than 5 s was rare in what was tried, and is not excluded.
#[test]
fn six_slow_clients_that_come_again_do_not_lock_the_others_out() {
    besiege(6, Duration::from_secs(12), Duration::from_secs(11));
}

/// `count` slow clients for `span`; how long a good one may take to be served.
fn besiege(count: usize, span: Duration, limit: Duration) {
    let address = start(TIMEOUTS);
    let until = Instant::now() + span;
    let firsts: [&[u8]; 4] = [
        b"",
        b"GET /",
        b"POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 2000\r\n\r\nx",
        GET_AND_CLOSE,
    ];
    let slow = |n: usize| {
        thread::spawn(move || {
            sleep(Duration::from_millis(70 * n as u64));
            let mut displaced = 0;
            while Instant::now() < until {
                let Ok(mut stream) = TcpStream::connect(address) else { continue };
                stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
                let (first, mut answer) = (firsts[n % 4], [0; 512]);
                let mut open = stream.write_all(first).is_ok();
                while open && Instant::now() < until {
                    open = match stream.read(&mut answer) {
                        Ok(0) => false,
                        Ok(read) => {
                            displaced += usize::from(answer[..read].starts_with(b"HTTP/1.1 408"));
                            // Who has its answer stays for as long as it may.
                            first == GET_AND_CLOSE
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            first.is_empty() || stream.write_all(b"x").is_ok()
                        }
                        Err(_) => false,
                    };
                }
            }
            displaced
        })
    };
    let slow: Vec<_> = (0..count).map(slow).collect();
    sleep(Duration::from_millis(700));
    let mut waits = Vec::new();
    // Who is slow by chance is thrown out like the others, which a reset may tell it.
    let served = || {
        let replies = try_ask(address, GET_AND_CLOSE).unwrap_or_default();
        replies.first().is_some_and(|reply| reply.status == 200)
    };
    while Instant::now() < until {
        let start = Instant::now();
        while !served() {
            assert!(start.elapsed() < limit, "locked out");
            sleep(Duration::from_millis(20));
        }
        waits.push(start.elapsed());
        sleep(Duration::from_millis(50));
    }
    let displaced: usize = slow.into_iter().map(|slow| slow.join().expect("joined")).sum();
    let worst = waits.iter().max().expect("one was served");
    println!("H2: {} served, each within {worst:.1?}; {displaced} displaced", waits.len());
    assert!(waits.len() >= 2 && displaced > 0, "{} served, {displaced} displaced", waits.len());
}

/// A worker is all that a connection costs besides its buffer and its socket.
#[test]
fn workers_are_small() {
    let acceptor = Acceptor::bind();
    let mut buf = [0; BUFFER_LEN];
    let mut shared = [0; BODY_MAX];
    let server = Server::<1>::new([&mut buf], &mut shared, 1, TIMEOUTS);
    let stub = Stub::default();
    let size = size_of_val(&server.worker(&acceptor, |_| Entrance::Network, &stub));
    println!("{size} bytes a worker, {} the server", size_of_val(&server));
    assert!(size <= 1_024, "{size} bytes");
}

#[test]
fn curl_agrees() {
    let address = start(PATIENT);
    let curl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "--max-time", "5", "-w", " %{http_code} %{num_connects}"]);
        match command.args(arguments).output() {
            Ok(output) => Some(String::from_utf8(output.stdout).expect("text")),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("curl: {error}"),
        }
    };
    let url = |path: &str| format!("http://{address}{path}");
    let Some(first) = curl(&[&url("/ok"), &url("/ok")]) else {
        eprintln!("curl is not installed: nothing was compared");
        return;
    };
    // The second request went over the first one's connection.
    assert_eq!(first, format!("{OK} 200 1{OK} 200 0"));
    let long = curl(&[&url("/long/20000")]).expect("ran");
    assert_eq!(long.len(), 20_000 + " 200 1".len());
    assert_eq!(curl(&["-I", "-o", "/dev/null", &url("/ok")]).expect("ran"), " 200 1");
    let upload = format!("data={}", "x".repeat(1_500_000));
    let upload = ["-o", "/dev/null", "-d", "@-", "--data-raw", &upload[..100_000], &url("/ok")];
    assert!(curl(&upload).expect("ran").starts_with(" 413"));
    let expecting = ["-o", "/dev/null", "-H", "Expect: 100-continue", "-d", "hello", &url("/ok")];
    assert!(curl(&expecting).expect("ran").starts_with(" 405"));
    let chunked =
        ["-o", "/dev/null", "-H", "Transfer-Encoding: chunked", "-d", "hello", &url("/ok")];
    assert!(curl(&chunked).expect("ran").starts_with(" 405"));
}

/// Clients that have as many requests ready as they like, or never end to send what nobody wants,
/// do not keep the thread to themselves.
#[test]
fn who_never_pauses_does_not_stop_the_others() {
    let address = start(PATIENT);
    let done = Arc::new(AtomicBool::new(false));
    let pour = |first: &'static [u8], more: &'static [u8]| {
        let mut stream = connect(address);
        let mut reader = stream.try_clone().expect("a second handle");
        thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
        let enough = Arc::clone(&done);
        thread::spawn(move || {
            let _ = stream.write_all(first);
            let more = more.repeat(1_000);
            while !enough.load(Ordering::Relaxed) && stream.write_all(&more).is_ok() {}
        })
    };
    let pipelining = pour(GET, GET);
    let pouring = pour(b"POST /ok HTTP/1.1\r\nHost: n\r\nContent-Length: 9999999\r\n\r\n", b"x");
    sleep(Duration::from_millis(100));
    // The seat of the last one may be free only soon.
    for _ in 0..20 {
        insist(address, Duration::from_secs(5), &[503]);
        sleep(Duration::from_millis(50));
    }
    assert!(!pipelining.is_finished() && !pouring.is_finished(), "all the while");
    done.store(true, Ordering::Relaxed);
}

/// Who holds the shared body buffer without using it loses it when another needs it; slow clients
/// on all three connections of a board do not lock out a fourth. The timeouts that matter to it are
/// at least 30 % of the product's, so what takes 3 s here takes at most 10 s there.
#[test]
fn slow_bodies_hold_neither_the_shared_buffer_nor_the_seats() {
    // What else could end them takes longer than they may.
    let long = ms(5_000);
    let timeouts = Timeouts { idle: long, head: long, body: long, lease: ms(300), ..TIMEOUTS };
    let address = start(timeouts);
    let limit = Duration::from_secs(3);
    let echo = |stream: &mut TcpStream, body: usize| {
        let head = "POST /echo HTTP/1.1\r\nHost: n\r\nConnection: close\r\n";
        let head = format!("{head}Content-Length: {BODY_MAX}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(&vec![b'y'; body]).expect("sent");
    };
    let slow = || {
        let mut stream = connect(address);
        echo(&mut stream, 10);
        stream
    };
    // One that holds the buffer, one that waits for it, and the good one.
    let held = [slow(), slow()];
    sleep(Duration::from_millis(50));
    let start = Instant::now();
    let mut good = connect(address);
    echo(&mut good, BODY_MAX);
    let replies = read_all(&good);
    assert_eq!((replies[0].status, replies[0].body.len()), (200, BODY_MAX));
    assert!(start.elapsed() < limit, "{:?}, not two leases", start.elapsed());
    assert!(held.iter().all(|stream| read_all(stream)[0].status == 408));
    drop((held, good));

    let _slow = [slow(), slow(), slow()];
    sleep(Duration::from_millis(50));
    let took = insist(address, limit, &[503]);
    println!("H2: the fourth of a board is served after {took:.1?}");
}
