//! Hostile input over real sockets.

use crate::support::{Corner, Running, wait};
use serde_json::Value;
use spore_core::ClusterKey;
use spore_sim::junk::Junk;
use spore_sim::{Scenario, Simulation};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

const NODES: u8 = 3;

/// A cluster with the key of a simulated one, whose datagrams are there to be mutated.
fn cluster(corner: &Corner) -> (Running, ClusterKey, Vec<impl AsRef<[u8]> + use<>>) {
    let mut sim = Simulation::new(Scenario { recording: 500, ..Scenario::default() }).unwrap();
    sim.run_for(Duration::from_secs(20));
    let folder = corner.path().join("spore");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("cluster.key");
    std::fs::write(&file, sim.key().to_hex().as_str()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let up = corner.up(NODES);
    wait("the cluster", Duration::from_secs(30), || whole(corner));
    (up, sim.key().clone(), sim.recording().cloned().collect())
}

fn whole(corner: &Corner) -> bool {
    (1..=NODES).all(|n| {
        let members = corner.members(n);
        members.len() == usize::from(NODES) && members.iter().all(|(_, is)| is == "active")
    })
}

/// Id, hostname and status of all members, as each node has them.
fn views(corner: &Corner) -> Vec<Vec<[String; 3]>> {
    let view = |n| {
        let list = corner.json(&["members", "--json", "--node", &corner.api(n)]);
        let members = list["members"].as_array().unwrap().iter();
        let row = |member: &Value| {
            ["id", "hostname", "status"].map(|name| member[name].as_str().unwrap().to_owned())
        };
        let mut rows: Vec<_> = members.map(row).collect();
        rows.sort();
        rows
    };
    (1..=NODES).map(view).collect()
}

#[test]
fn a_thousand_hostile_datagrams_change_nothing() {
    let corner = Corner::new();
    let (_up, key, recording) = cluster(&corner);
    let before = views(&corner);
    let socket = UdpSocket::bind((corner.address(200), 0)).unwrap();
    let mut junk = Junk::new(1).with_key(&key);
    for n in 0..1_000u16 {
        let to = corner.address(1 + u8::try_from(n % u16::from(NODES)).unwrap());
        socket.send_to(&junk.datagram(&recording), (to, corner.port)).unwrap();
        // More than that at once might not fit into the sockets of a node that gets no time.
        if n % 10 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(whole(&corner), "{:?}", corner.members(1));
    // A node that was talked into a suspicion asks first, and shows it after 5 to 6 s.
    std::thread::sleep(Duration::from_secs(7));
    assert!(whole(&corner), "{:?}", corner.members(1));
    assert_eq!(views(&corner), before);
    let status = corner.json(&["status", "--json", "--node", &corner.api(1)]);
    let count = |what: &str| status["datagrams"][what].as_u64().unwrap();
    let refused = count("unauthentic") + count("malformed") + count("unverified");
    assert!(refused > 200, "they arrived: {status}");
}

#[test]
fn a_thousand_hostile_requests_are_answered_or_closed_and_nothing_hangs() {
    let corner = Corner::new();
    let (_up, ..) = cluster(&corner);
    let mut junk = Junk::new(2);
    let mut statuses = std::collections::BTreeMap::<u16, u32>::new();
    let start = Instant::now();
    for n in 0..1_000u16 {
        let request = junk.http_request();
        let answer = exchange(&corner.api(1 + u8::try_from(n % 3).unwrap()), &request);
        if let Some(status) = status(&answer) {
            *statuses.entry(status).or_default() += 1;
            check(status, &answer, &request);
        }
    }
    println!("{statuses:?} in {:?}", start.elapsed());
    let answered: u32 = statuses.values().sum();
    assert!(answered > 500, "{statuses:?}");
    assert!(statuses.keys().all(|status| *status < 600 && *status != 500), "{statuses:?}");
    assert!(whole(&corner));
}

/// Sends `request`, says that there is no more, and reads to the end.
fn exchange(api: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(api).unwrap();
    let limit = Duration::from_secs(10);
    stream.set_read_timeout(Some(limit)).unwrap();
    stream.set_write_timeout(Some(limit)).unwrap();
    // The node may have heard enough before the end.
    let _ = stream.write_all(request).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => (),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => (),
        Err(error) => panic!("{error} after {}", String::from_utf8_lossy(request)),
    }
    answer
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = String::from_utf8_lossy(answer.get(..12)?).into_owned();
    line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}

/// Every error has a JSON body with code and message.
fn check(status: u16, answer: &[u8], request: &[u8]) {
    let text = String::from_utf8_lossy(answer);
    let Some((_, body)) = text.split_once("\r\n\r\n") else { panic!("no head in {text:?}") };
    if request.starts_with(b"HEAD ") {
        assert!(!body.contains("{\"error\"") || body.starts_with("HTTP/1."), "{text:?}");
    } else if status >= 400 {
        let Some(Ok(error)) = serde_json::Deserializer::from_str(body).into_iter::<Value>().next()
        else {
            panic!("no JSON in {text:?}")
        };
        assert!(error["error"]["code"].is_string(), "{text:?}");
        assert!(error["error"]["message"].is_string(), "{text:?}");
    }
}
