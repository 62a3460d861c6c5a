//! The flasher, asked as a browser asks, and as nobody should.

use super::images::tests::{folder, list};
use super::{BOARDS, Desk, Flasher, Images, Memory, Wanted};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use spore_core::Hostname;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use tempfile::TempDir;

/// Tells what it was asked for.
struct TestDesk(Sender<Wanted>);

impl Desk for TestDesk {
    fn make(&self, wanted: &Wanted) -> Result<Memory> {
        ensure!(wanted.hostname.as_ref().map(Hostname::as_str) != Some("impossible"), "not today");
        self.0.send(wanted.clone())?;
        Ok(Memory { settings: vec![7; 4096], access_point_password: "secret".to_owned() })
    }
}

struct Bench {
    /// Where it listens, and the path that is its page's.
    host: String,
    root: String,
    orders: Receiver<Wanted>,
    _folder: TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Bench {
    fn new() -> Self {
        let folder = folder(&list());
        let (orders, told) = channel();
        let images = Images::new(folder.path().to_owned());
        let url = Flasher::start(images, Box::new(TestDesk(orders))).unwrap();
        let (host, root) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        Self { host: host.to_owned(), root: format!("/{root}"), orders: told, _folder: folder }
    }

    fn exchange(&self, line: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        Answer { status: head[9..12].parse().unwrap(), head, body: answer[end + 4..].to_vec() }
    }

    fn get(&self, name: &str) -> Answer {
        self.exchange(&format!("GET {}{name}", self.root), &format!("host: {}\r\n", self.host), "")
    }

    fn order(&self, body: &str) -> Answer {
        let headers = format!("host: {0}\r\norigin: http://{0}\r\n", self.host);
        self.exchange(&format!("POST {}boards", self.root), &headers, body)
    }
}

#[test]
fn the_page_and_its_parts_are_there_and_may_load_nothing_else() {
    let bench = Bench::new();
    for (name, kind) in [
        ("", "text/html"),
        ("flasher.js", "text/javascript"),
        ("style.css", "text/css"),
        ("licenses.txt", "text/plain"),
    ] {
        let Answer { status, head, body } = bench.get(name);
        assert!(status == 200 && head.contains(&format!("content-type: {kind}")), "{head}");
        assert!(head.contains("default-src 'none'") && head.contains("no-referrer"), "{head}");
        assert!(head.contains("content-encoding: gzip") && body.starts_with(&[0x1F, 0x8B]));
    }
    for page in ["index.html", "style.css"] {
        let path = format!("{}/../../web/flasher/dist/{page}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!text.contains("//") && !text.contains("<script>"), "{page} wants something else");
    }
}

#[test]
fn a_board_gets_a_memory_of_its_own_and_the_parts_that_were_there_when_it_was_ordered() {
    let bench = Bench::new();
    let image = json!({ "board": "esp-01", "version": "1.2", "signed": true });
    assert_eq!(bench.get("image").json(), json!({ "image": image, "why": null }));
    let order = json!({
        "claim": true, "hostname": "kitchen", "wifi": { "ssid": "home", "password": "home-password" },
    });
    let made = bench.order(&order.to_string());
    assert_eq!(made.status, 201, "{}", made.head);
    let manifest = made.json()["manifest"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["access_point_password"], "secret");
    let wanted = bench.orders.try_recv().unwrap();
    let hostname = wanted.hostname.as_ref().map(Hostname::as_str);
    assert!(wanted.claim && hostname == Some("kitchen"), "{wanted:?}");
    assert_eq!(wanted.wifi.unwrap().ssid.to_string(), "home");
    let parts = json!([
        { "path": "bootloader.bin", "offset": 0 }, { "path": "settings.bin", "offset": 8192 },
    ]);
    let builds = json!([{ "chipFamily": "ESP8266", "parts": parts }]);
    assert_eq!(bench.get(&manifest).json()["builds"], builds);
    let improv =
        |manifest: &str| bench.get(manifest).json()["new_install_improv_wait_time"].clone();
    assert_eq!(improv(&manifest), 0, "it is not asked for a WiFi that it knows");
    let folder = manifest.strip_suffix("manifest.json").unwrap();
    let bootloader = bench._folder.path().join("bootloader.bin");
    std::fs::write(bootloader, [1; 5]).unwrap();
    assert_eq!(bench.get(&format!("{folder}bootloader.bin")).body, [0xE9, 1, 2, 3, 4]);
    assert_eq!(bench.get(&format!("{folder}settings.bin")).body, [7; 4096]);
    for other in ["flash.json", "settings", "../1/settings.bin", "x.bin"] {
        assert_eq!(bench.get(&format!("{folder}{other}")).status, 404, "{other}");
    }
    let nobodys = json!({ "claim": false, "hostname": null, "wifi": null }).to_string();
    for _ in 0..BOARDS {
        let made = bench.order(&nobodys);
        assert_eq!(
            (made.status, improv(made.json()["manifest"].as_str().unwrap())),
            (201, 10.into())
        );
    }
    assert_eq!(bench.get(&manifest).status, 404, "what was made first is forgotten");
}

#[test]
fn orders_that_are_none_are_refused_and_say_why() {
    let bench = Bench::new();
    let why = |body: &str, status: u16| {
        let answer = bench.order(body);
        assert_eq!(answer.status, status, "{body}");
        answer.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    assert!(why("{", 400).contains("no order"));
    assert!(why(r#"{"claim":true,"other":1}"#, 400).contains("no order"));
    assert!(why(r#"{"claim":true,"hostname":"-a b"}"#, 400).contains("the name"));
    let wifi = |ssid: &str, password: &str| {
        json!({ "claim": true, "wifi": { "ssid": ssid, "password": password } }).to_string()
    };
    assert!(why(&wifi("", "12345678"), 400).contains("the name of the WiFi"));
    assert!(why(&wifi("home", "1234"), 400).contains("the password of the WiFi"));
    assert!(why(&"x".repeat(5000), 400).contains("too long"));
    assert_eq!(why(r#"{"claim":true,"hostname":"impossible"}"#, 500), "not today");
    assert!(bench.orders.try_recv().is_err(), "nothing was made");
}

#[test]
fn nobody_gets_in_without_the_path_or_by_another_name() {
    let bench = Bench::new();
    let ask = |line: &str, headers: &str| bench.exchange(line, headers, "").status;
    let (root, host) = (&bench.root, format!("host: {}\r\n", bench.host));
    let image = format!("GET {root}image");
    assert_eq!(ask(&image, &host), 200);
    let port = bench.host.split_once(':').unwrap().1;
    assert_eq!(ask(&image, &format!("host: localhost:{port}\r\n")), 200);
    for path in ["/", "/flash", "/flash/", "/flash/0/", "/flash/image", "/boards"] {
        assert_eq!(ask(&format!("GET {path}"), &host), 404, "{path}");
    }
    // A name of a stranger's that leads here, and a page of a stranger's.
    assert_eq!(ask(&image, &format!("host: evil.example:{port}\r\n")), 421);
    assert_eq!(ask(&image, "host: 127.0.0.1\r\n"), 421);
    assert_eq!(ask(&image, ""), 421);
    assert_eq!(ask(&image, &format!("{host}origin: http://evil.example\r\n")), 421);
    let order = format!("POST {root}boards");
    assert_eq!(ask(&order, &format!("{host}origin: null\r\n")), 421);
    assert_eq!(ask(&format!("DELETE {root}boards"), &host), 405);
    assert_ne!(Bench::new().root, *root, "each run has a path of its own");
}
