//! Nodes that are started by `spore launch`, and updated.

use crate::schema::Schemas;
use crate::support::{Corner, Running, stderr, wait};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A cluster of nodes that take updates.
pub(crate) struct Fleet {
    pub(crate) corner: Corner,
}

impl Fleet {
    /// Keys, a claim for each node, and a first program.
    pub(crate) fn new(nodes: u8) -> Self {
        let corner = Corner::new();
        for kind in ["cluster", "release"] {
            assert!(corner.run(&["key", "new", kind]).status.success());
        }
        let fleet = Self { corner };
        for n in 1..=nodes {
            let folder = fleet.path(&format!("node{n}"));
            fs::create_dir(&folder).unwrap();
            let file = folder.join("settings.flash");
            let name = format!("n{n}");
            let claim = ["claim", file.to_str().unwrap(), "--no-wifi", "--hostname", &name];
            let output = fleet.corner.run(&claim);
            assert!(output.status.success(), "{}", stderr(&output));
        }
        fs::write(fleet.path("first"), program("first")).unwrap();
        fleet
    }

    fn path(&self, name: &str) -> PathBuf {
        self.corner.path().join(name)
    }

    /// Launches node `n`.
    pub(crate) fn launch(&self, n: u8) -> Running {
        self.launch_with(n, &[])
    }

    /// Launches node `n` with more options.
    pub(crate) fn launch_with(&self, n: u8, more: &[&str]) -> Running {
        let (bind, port) = (self.corner.address(n).to_string(), self.corner.port.to_string());
        let (slots, state) = (format!("slots{n}"), format!("node{n}"));
        let mut arguments = vec!["launch", "--slots", &slots, "--program", "first", "--"];
        arguments.extend(["node", "--bind", &bind, "--port", &port, "--http-port", &port]);
        arguments.extend(["--unclaimed", "--state", &state]);
        arguments.extend(more);
        Running::start(self.corner.command(&arguments))
    }

    /// Makes the image of a program, and returns the name of its file.
    pub(crate) fn image(&self, sequence: u32, text: &str, more: &[&str]) -> String {
        let (source, file) = (format!("program-{sequence}"), format!("image-{sequence}.spore"));
        fs::write(self.path(&source), text).unwrap();
        let number = sequence.to_string();
        let build = ["image", "build", "--program", &source, "--sequence", &number, "--output"];
        let output = self.corner.run(&[&build[..], &[&file], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        file
    }

    fn update(&self, n: u8, more: &[&str]) -> Output {
        self.corner.run(&[&["ota", "update", &self.corner.api(n)], more].concat())
    }

    /// `GET /api/node/update` of node `n`.
    pub(crate) fn state(&self, n: u8) -> Value {
        let output = Command::new("curl")
            .args(["-s", "-m", "5", &format!("http://{}/api/node/update", self.corner.api(n))])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until node `n` may take another image: what it was installed with is confirmed once it has written so.
    fn settled(&self, n: u8) {
        wait("it is settled", 30 * SECOND, || self.state(n)["image"]["stage"] == "confirmed");
    }

    /// What curl says of an upload to node `n`: the status, and the code of the refusal.
    fn curl(&self, n: u8, more: &[&str]) -> (u16, String) {
        let (status, body) = self.curl_as(n, "POST /api/node/update", more);
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    fn curl_as(&self, n: u8, signed: &str, more: &[&str]) -> (u16, Value) {
        let node = self.corner.api(n);
        let (method, path) = signed.split_once(' ').unwrap();
        let sign = self.corner.run(&["sign", method, path, "--node", &node]);
        let field = String::from_utf8(sign.stdout).unwrap();
        let url = format!("http://{node}{path}");
        let output = Command::new("curl")
            .current_dir(self.corner.path())
            .args(["-s", "-m", "60", "-w", "\n%{http_code}", "-H", field.trim(), &url])
            .args(more)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
    }
}

/// A program that is this one, and can be told from others.
pub(crate) fn program(name: &str) -> String {
    format!("#!/bin/sh\n# {name}\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_spore"))
}

#[test]
fn an_update_is_seen_through_to_its_end_and_a_bad_one_to_its_way_back() {
    let fleet = Fleet::new(2);
    let _nodes = [fleet.launch(1), fleet.launch(2)];
    wait("both know both", 30 * SECOND, || fleet.corner.members(1).len() == 2);
    fleet.settled(2);
    let first = fleet.state(2);
    assert_eq!((&first["image"]["sequence"], &first["last"]), (&0.into(), &Value::Null));

    let good = fleet.image(5, &program("good"), &["--image-version", "5.0"]);
    let output = fleet.update(2, &[&good, "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["result"], &said["image"]), (&"updated".into(), &5.into()));
    let schemas = Schemas::new(&fleet.corner);
    schemas.check("ota update", &said.to_string());
    let state = fleet.state(2);
    assert_eq!((&state["image"]["stage"], &state["floor"]), (&"confirmed".into(), &5.into()));
    assert!(fs::read_to_string(fleet.path("slots2/program-b")).unwrap().contains("# good"));
    let log = fleet.corner.json(&["logs", "--json", "--node", &fleet.corner.api(2)]);
    assert!(log.to_string().contains("ota/confirmed"), "{log}");

    // The same again, and an older one.
    for old in [good.as_str(), &fleet.image(4, &program("older"), &[])] {
        let output = fleet.update(2, &[old]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("image_not_newer"), "{}", stderr(&output));
    }

    let bad = fleet.image(6, "#!/bin/sh\nexit 3\n", &[]);
    let output = fleet.update(2, &[&bad, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    schemas.check("ota update", &String::from_utf8_lossy(&output.stdout));
    assert!(stderr(&output).contains("went back"), "{}", stderr(&output));
    let state = fleet.state(2);
    assert_eq!((&state["image"]["sequence"], &state["quarantined"]), (&5.into(), &6.into()));
    assert_eq!(state["last"]["reason"], "not_started");
    let output = fleet.update(2, &[&bad]);
    assert!(stderr(&output).contains("image_quarantined"), "{}", stderr(&output));
    // What it has learnt outlives it, and the next one is taken.
    let next = fleet.image(7, &program("next"), &[]);
    // By its name, which another member knows.
    let output = fleet.corner.run(&["ota", "update", "n2", &next, "--node", &fleet.corner.api(1)]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fleet.corner.members(1).len(), 2);
}

#[test]
fn hostile_images_and_uploads_change_nothing() {
    let fleet = Fleet::new(1);
    let _node = fleet.launch(1);
    let good = fleet.image(9, &program("good").repeat(400), &[]);
    let bytes = fs::read(fleet.path(&good)).unwrap();
    fleet.settled(1);
    let before = fleet.state(1);
    let put = |name: &str, bytes: &[u8]| {
        fs::write(fleet.path(name), bytes).unwrap();
        format!("@{name}")
    };
    let flip = |at: usize| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        flipped
    };
    fleet.image(8, &program("unsigned"), &["--unsigned"]);
    fleet.image(10, &program("of a board"), &["--board", "esp-01"]);
    let raw = |file: &str| fleet.curl(1, &["--data-binary", file]);
    for (file, expected) in [
        (put("empty", b""), (400, "image_length")),
        (put("junk", &[7; 5000]), (400, "image_malformed")),
        (put("cut-head", &bytes[..200]), (400, "image_length")),
        (put("cut", &bytes[..bytes.len() - 1]), (400, "image_length")),
        (put("longer", &[&bytes[..], b"x"].concat()), (400, "image_length")),
        (put("version", &flip(40)), (422, "image_unsigned")),
        (put("signature", &flip(280)), (422, "image_unsigned")),
        (put("lists", &flip(300)), (422, "image_altered")),
        (put("payload", &flip(bytes.len() - 10)), (422, "image_altered")),
        ("@image-8.spore".into(), (422, "image_unsigned")),
        ("@image-10.spore".into(), (422, "image_of_another_board")),
    ] {
        assert_eq!(raw(&file), (expected.0, expected.1.to_owned()), "{file}");
    }
    let unsigned = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary"];
    let url = format!("http://{}/api/node/update", fleet.corner.api(1));
    let output = Command::new("curl")
        .current_dir(fleet.corner.path())
        .args(unsigned)
        .args([&format!("@{good}"), &url])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"401");

    // One byte a second, beside which a second one is refused at once.
    let sign =
        fleet.corner.run(&["sign", "POST", "/api/node/update", "--node", &fleet.corner.api(1)]);
    let field = String::from_utf8(sign.stdout).unwrap();
    let mut slow = TcpStream::connect(fleet.corner.api(1)).unwrap();
    let field = field.trim();
    let head = format!(
        "POST /api/node/update HTTP/1.1\r\nHost: localhost\r\n{field}\r\nContent-Length: 50000\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).unwrap();
    let begun = Instant::now();
    let drip = {
        let mut slow = slow.try_clone().unwrap();
        let bytes = bytes.clone();
        thread::spawn(move || {
            for byte in bytes.iter().take(30) {
                if slow.write_all(&[*byte]).is_err() {
                    break;
                }
                thread::sleep(SECOND);
            }
        })
    };
    wait("it has begun", 30 * SECOND, || !fleet.state(1)["upload"].is_null());
    assert_eq!(raw(&format!("@{good}")), (409, "update_under_way".into()));
    let mut answer = String::new();
    let _ = slow.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!((9..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());

    let after = fleet.state(1);
    assert_eq!(after, before);
    // And 20 at once: one is taken, from a form.
    let form = format!("image=@{good}");
    let answers: Vec<_> = thread::scope(|scope| {
        let uploads: Vec<_> =
            (0..20).map(|_| scope.spawn(|| fleet.curl(1, &["-F", &form]))).collect();
        uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    let taken = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(taken, 1, "{answers:?}");
    wait("it runs", 60 * SECOND, || fleet.state(1)["image"]["sequence"] == 9);
    wait("it is confirmed", 60 * SECOND, || fleet.state(1)["image"]["stage"] == "confirmed");
    drip.join().unwrap();
}

#[test]
fn an_image_is_held_and_nothing_restarts() {
    let fleet = Fleet::new(1);
    let _node = fleet.launch(1);
    fleet.settled(1);
    let image = fleet.image(3, &program("held"), &[]);
    let output = fleet.update(1, &[&image, "--hold"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fleet.state(1)["image"]["sequence"], 0);
    let said = fleet.corner.run(&["ota", "update", &fleet.corner.api(1)]);
    assert!(stderr(&said).contains("there is no build for the board host"), "{}", stderr(&said));
    let plain = fleet.corner.node(2, &["--forget", "--unclaimed"]);
    let refused = fleet.update(2, &[&image]);
    assert!(stderr(&refused).contains("takes no updates"), "{}", stderr(&refused));
    drop(plain);
}

/// What a node runs and holds is given on as it was signed, byte for byte, to `spore` and to curl.
#[test]
fn the_container_comes_back_out_of_the_slots_of_a_node() {
    let fleet = Fleet::new(1);
    let node = fleet.launch(1);
    fleet.settled(1);
    let api = fleet.corner.api(1);
    let ask = |path: &str| {
        let url = format!("http://{api}/api/node/image{path}");
        let mut curl = Command::new("curl");
        let output = curl.args(["-s", "-w", "%{stderr}%{http_code}", &url]).output().unwrap();
        (stderr(&output), output.stdout)
    };
    // Several chunks, the last one short.
    let (held, second) = (program("held").repeat(700), program("second").repeat(300));
    let [held, second] = [(5, held), (6, second)].map(|(n, text)| fleet.image(n, &text, &[]));
    let none = fleet.corner.run(&["image", "fetch", &api, "--held", "-o", "x.spore"]);
    assert!(stderr(&none).contains("holds no image"), "{}", stderr(&none));
    assert!(!fleet.path("x.spore").exists());
    let missing = ask("/manifest?slot=held");
    assert_eq!(missing.0, "404");

    assert!(fleet.update(1, &[&held, "--hold"]).status.success());
    let fetched = fleet.corner.run(&["image", "fetch", &api, "--held", "-o", "x.spore"]);
    assert!(fetched.status.success(), "{}", stderr(&fetched));
    let bytes = fs::read(fleet.path(&held)).unwrap();
    assert!(fs::read(fleet.path("x.spore")).unwrap() == bytes, "another container");

    let output = fleet.update(1, &[&second]);
    assert!(output.status.success(), "{}", stderr(&output));
    let bytes = fs::read(fleet.path(&second)).unwrap();
    let about: Value = serde_json::from_slice(&ask("").1).unwrap();
    let running = &about["running"];
    assert_eq!((&running["sequence"], &running["board"]), (&6.into(), &"host".into()));
    assert_eq!(
        (&running["length"], &running["chunks"]),
        (&bytes.len().into(), &chunks(&bytes).into())
    );
    let last = chunks(&bytes) - 1;
    let (_, manifest) = ask("/manifest");
    let (status, payload) = ask(&format!("/chunks/[0-{last}]"));
    assert_eq!(status, "200".repeat(last + 1));
    assert!([manifest, payload].concat() == bytes, "another container");
    for wrong in [
        format!("/chunks/{}", last + 1),
        "/chunks/+0".into(),
        "/chunks/x".into(),
        "/chunks/65536".into(),
    ] {
        assert_eq!(ask(&wrong).0, "404", "{wrong}");
    }
    for wrong in ["/manifest?slot=c", "/chunks/0?slot=", "/manifest?x=1", "?slot=held"] {
        assert_eq!(ask(wrong).0, "400", "{wrong}");
    }
    drop(node);
    let plain = fleet.corner.node(2, &["--forget", "--unclaimed"]);
    let refused = fleet.corner.run(&["image", "fetch", &fleet.corner.api(2), "-o", "y.spore"]);
    assert!(stderr(&refused).contains("no_slots"), "{}", stderr(&refused));
    drop(plain);
}

/// How many chunks the container has.
fn chunks(container: &[u8]) -> usize {
    let container = spore_image::Container::parse(container).unwrap();
    usize::try_from(container.head().chunks()).unwrap()
}
