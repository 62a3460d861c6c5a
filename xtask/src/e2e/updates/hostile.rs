//! Images and uploads that change nothing: on a board, and on a Linux node.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spore_image::HEAD;

use super::images::{self, Nature};
use super::{GOOD, Operator};
use crate::e2e::api::{self, Api};
use crate::e2e::cluster::{CLUSTER_PORT, Cluster};
use crate::e2e::signed;
use crate::emu::esp01;
use crate::emu::secret::Secret;

/// The number of an image that would be taken if it were good.
const NEWER: u32 = GOOD + 20;
/// How long an upload may take: a board writes most of an image before it finds some of them wrong.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often an upload is tried while the node refuses the connection, or is busy with the one before.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);
/// How long a node may refuse connections.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many come at once.
const CROWD: usize = 20;
const PATH: &str = "/api/node/update";

/// Offers a board and a Linux node what they must refuse.
///
/// # Errors
/// When something was taken, or has changed something.
pub(super) fn run(cluster: &mut Cluster<'_>, operator: &Operator<'_>) -> Result<()> {
    let plan = operator.plan;
    let read = |file: std::path::PathBuf| {
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let board = read(images::board(plan, Nature::Good, NEWER)?)?;
    let old = read(images::board(plan, Nature::Good, GOOD)?)?;
    let host = read(images::host(plan, NEWER)?)?;
    let key = cluster.key;
    let before =
        cluster.apis().map(|api| Ok((api.clone(), state(api)?))).collect::<Result<Vec<_>>>()?;
    let slots = running_slots(cluster)?;
    let (first_board, first_host) = (&cluster.boards[0].1, &cluster.hosts[0].1);
    let mut offers = 0;
    for (api, good, other) in [(first_board, &board, &host), (first_host, &host, &board)] {
        for Offer { what, body, status, code } in offers_of(good, other, &old, api == first_board) {
            let answer = upload(api, &key, &body)?;
            let told: Value = serde_json::from_str(&answer.1).unwrap_or_default();
            ensure!(
                answer.0 == status && told["error"]["code"] == code,
                "{} answered {answer:?} to {what}, not {status} {code}",
                api.name
            );
            offers += 1;
        }
        // The connection ends before all is there. Whether an answer comes then is of no interest.
        let taken = once(api, &key, &good[..good.len() - 20], good.len())
            .is_ok_and(|(status, _)| status == 200);
        ensure!(!taken, "{} has taken less than was announced", api.name);
        one_byte_a_second(api, &key, good)?;
        offers += 2 + CROWD;
    }
    let replayed = replay(cluster)?;
    for (api, before) in before {
        let after = state(&api)?;
        ensure!(after == before, "{} has changed from {before} to {after}", api.name);
    }
    ensure!(running_slots(cluster)? == slots, "the slot that runs was written to");
    println!(
        "e2e: {offers} bad images and uploads, and {replayed} replayed datagrams, have changed nothing"
    );
    Ok(())
}

/// An upload, and the answer that it must get.
struct Offer {
    what: &'static str,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
}

/// What is to be refused by a node for whom `good` is, and `other` for another board. `old` is for boards, and no newer than what runs.
fn offers_of(good: &[u8], other: &[u8], old: &[u8], is_board: bool) -> Vec<Offer> {
    let flipped = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut unsigned = good.to_vec();
    unsigned[HEAD - 64..HEAD].fill(0);
    let offer = |what, body: Vec<u8>, status, code| Offer { what, body, status, code };
    let cut = |what, body: &[u8]| offer(what, body.to_vec(), 400, "image_length");
    let mut offers = vec![
        cut("nothing", b""),
        offer("junk", vec![7; 5_000], 400, "image_malformed"),
        cut("a head that is cut", &good[..200]),
        cut("half an image", &good[..good.len() / 2]),
        cut("an image that goes on", &[good, b"more"].concat()),
        offer("another number", flipped(9), 422, "image_unsigned"),
        offer("another signature", flipped(HEAD - 9), 422, "image_unsigned"),
        offer("no signature", unsigned, 422, "image_unsigned"),
        offer("another chunk table", flipped(HEAD + 3), 422, "image_altered"),
        offer("another payload", flipped(good.len() - 10), 422, "image_altered"),
        offer("an image of another board", other.to_vec(), 422, "image_of_another_board"),
    ];
    if is_board {
        offers.push(offer("what runs already", old.to_vec(), 409, "image_not_newer"));
    }
    offers
}

/// Sends an upload; status and body of the answer. While the node is busy with what came before, it is sent again.
fn upload(api: &Api, key: &Secret, body: &[u8]) -> Result<(u16, String)> {
    for _ in 0..TRIES {
        match once(api, key, body, body.len()) {
            Ok((503, _)) => (),
            Ok((409, told)) if told.contains("update_under_way") => (),
            Ok(answer) => return Ok(answer),
            Err(error) if api::is_refusal(&error) => (),
            Err(error) => return Err(error),
        }
        thread::sleep(PAUSE);
    }
    anyhow::bail!("{} is busy for too long", api.name)
}

fn once(api: &Api, key: &Secret, body: &[u8], announced: usize) -> Result<(u16, String)> {
    let mut socket = begin(api, key, announced)?;
    // Who refuses early may not read to the end.
    let _ = socket.write_all(body);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    answer(&mut socket)
}

/// Connects, and sends the head of an upload.
fn begin(api: &Api, key: &Secret, announced: usize) -> Result<TcpStream> {
    // The body is not signed with it.
    let credentials =
        api::patiently(PATIENCE, || signed::credentials(api, key, ("POST", PATH), b""))?;
    let at = SocketAddr::from((api.address, api.port));
    let mut socket = TcpStream::connect_timeout(&at, PATIENCE)?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    write!(
        socket,
        "POST {PATH} HTTP/1.0\r\nHost: {}\r\nAuthorization: {credentials}\r\nContent-Length: {announced}\r\n\r\n",
        api.address
    )?;
    Ok(socket)
}

fn answer(socket: &mut TcpStream) -> Result<(u16, String)> {
    let mut bytes = Vec::new();
    let read = socket.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, read) {
        (Some(status), _) => {
            let (_, body) = text.split_once("\r\n\r\n").context("the answer has no end")?;
            Ok((status, body.to_owned()))
        }
        (None, Err(error)) => Err(error.into()),
        (None, Ok(_)) => Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
    }
}

/// One byte a second is too slow; and whoever else comes meanwhile is told to wait, however many they are.
fn one_byte_a_second(api: &Api, key: &Secret, good: &[u8]) -> Result<()> {
    let mut slow = None;
    for _ in 0..TRIES {
        slow = begin(api, key, good.len()).ok();
        thread::sleep(PAUSE);
        if !api.get_patiently(PATH)?["upload"].is_null() {
            break;
        }
        slow = None;
    }
    let mut slow = slow.with_context(|| format!("{} takes no upload", api.name))?;
    let begun = Instant::now();
    let mut drip = slow.try_clone().context("cannot share a connection")?;
    let bytes = good[..30].to_vec();
    let dripping = thread::spawn(move || {
        for byte in bytes {
            if drip.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    let taken = thread::scope(|scope| {
        let crowd: Vec<_> =
            (0..CROWD).map(|_| scope.spawn(|| once(api, key, good, good.len()))).collect();
        let answers = crowd.into_iter().filter_map(|one| one.join().ok()?.ok());
        answers.filter(|(status, _)| *status == 200).count()
    });
    ensure!(taken == 0, "{} has taken {taken} images beside the slow one", api.name);
    let (status, _) = answer(&mut slow).unwrap_or_default();
    let after = begun.elapsed();
    // The answer may be lost when the node closes while more comes.
    ensure!(status == 408 || status == 0, "{} answered {status} to one byte a second", api.name);
    ensure!(after < TIMEOUT / 2, "{} has waited {after:?} for one byte a second", api.name);
    // Which ends with the connection.
    drop(slow);
    let _ = dripping.join();
    Ok(())
}

/// Sends each node the latest datagrams of the cluster once more; how many.
fn replay(cluster: &mut Cluster<'_>) -> Result<usize> {
    cluster.sniffer.listen()?;
    let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0)).context("no UDP socket")?;
    let mut sent = 0;
    for datagram in cluster.sniffer.latest() {
        for api in cluster.apis() {
            socket.send_to(&datagram.bytes, (api.address, CLUSTER_PORT)).context("cannot send")?;
            thread::sleep(Duration::from_millis(2));
            sent += 1;
        }
    }
    Ok(sent)
}

/// What a node says of its images. An upload that was refused a moment ago may still be there.
fn state(api: &Api) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let state = api.get_patiently(PATH)?;
        if state["upload"].is_null() || begun.elapsed() > TIMEOUT {
            return Ok(state);
        }
        thread::sleep(PAUSE);
    }
}

/// The bytes of the slots that the boards run from.
fn running_slots(cluster: &Cluster<'_>) -> Result<Vec<Vec<u8>>> {
    let slot = |file: &std::path::Path| {
        let flash = esp01::read_flash(file)?;
        let start = esp01::start_of(flash.clone()).context("the board is bricked")?;
        let region = start.slot.region();
        anyhow::Ok(flash[region.start as usize..region.end() as usize].to_vec())
    };
    cluster.boards.iter().map(|(board, _)| slot(&board.flash())).collect()
}
