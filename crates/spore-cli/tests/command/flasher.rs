//! The page of `spore up` that flashes boards: what is made for a board. `cargo xtask flasher` uses it in a browser.

use crate::support::{Corner, Running, stderr};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

const SETTINGS: usize = 0x8000;

fn up(corner: &Corner, more: &[&str]) -> Vec<String> {
    let (base, port) = (corner.address(1).to_string(), corner.port.to_string());
    let fixed =
        ["up", "--nodes", "1", "--base", &base, "--port", &port, "--http-port", &port, "--json"];
    fixed.iter().chain(more).map(|&it| it.to_owned()).collect()
}

fn started(corner: &Corner, more: &[&str]) -> (Running, Value) {
    let arguments = up(corner, more);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let running = Running::start(corner.command(&arguments));
    let said = serde_json::from_str(&running.first_line).unwrap();
    (running, said)
}

/// What the page at `url` gets.
fn ask(url: &str, method: &str, name: &str, body: &str) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let head = format!(
        "{method} /{path}{name} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    answer.split_off(end + 4)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}

#[test]
fn a_board_that_is_to_be_a_member_gets_the_key_and_another_does_not() {
    let corner = Corner::new();
    let folder = corner.path().join("images");
    fs::create_dir(&folder).unwrap();
    let parts = json!([{ "name": "settings", "address": 0xF_3000, "bytes": SETTINGS }]);
    let list = json!({ "board": "esp-01", "version": "1", "signed": false, "parts": parts });
    fs::write(folder.join("flash.json"), list.to_string()).unwrap();
    fs::write(folder.join("settings.bin"), [0xFF; SETTINGS]).unwrap();
    let (_up, said) = started(&corner, &["--images", "images"]);
    let url = said["flasher"].as_str().unwrap();
    let key = corner.run(&["key", "show"]);
    let key = String::from_utf8(key.stdout).unwrap();
    let key: Vec<u8> = (0..key.trim().len() / 2)
        .map(|at| u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    let settings = |order: Value| {
        let made: Value =
            serde_json::from_slice(&ask(url, "POST", "boards", &order.to_string())).unwrap();
        let password = made["access_point_password"].as_str().unwrap().to_owned();
        let manifest = made["manifest"].as_str().unwrap();
        let settings = ask(url, "GET", &manifest.replace("manifest.json", "settings.bin"), "");
        assert_eq!(settings.len(), SETTINGS);
        assert!(contains(&settings, password.as_bytes()), "the access point has no password");
        (settings, password)
    };
    let wifi = json!({ "ssid": "attic", "password": "attic-password" });
    let (ours, first) = settings(json!({ "claim": true, "hostname": "kitchen", "wifi": wifi }));
    for part in [&key[..], b"kitchen", b"attic-password"] {
        assert!(contains(&ours, part));
    }
    let (nobodys, second) = settings(json!({ "claim": false, "hostname": null, "wifi": null }));
    assert!(!contains(&nobodys, &key) && first != second);
    let left = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains("flash");
    assert!(!fs::read_dir(corner.path()).unwrap().flatten().any(left), "settings were left behind");
}

#[test]
fn firmware_that_is_none_is_told_before_anything_is_started() {
    let corner = Corner::new();
    let arguments = up(&corner, &["--images", "nowhere"]);
    let output = corner.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && stderr(&output).contains("./ctl.sh build"));
    let (_up, said) = started(&corner, &["--no-flasher"]);
    assert_eq!(said["flasher"], Value::Null);
}
