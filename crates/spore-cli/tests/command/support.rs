//! Runs the `spore` command as a person would, on addresses and in folders of its own.

use nix_term::pty::{OpenptyResult, Winsize, openpty};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// Within this, all others have a node for dead that was killed: one that a busy machine has held up may need 35 s to be sure.
pub(crate) const DEAD: Duration = Duration::from_secs(45);

/// One test's corner of the loopback network, and its state folder.
pub(crate) struct Corner {
    pub(crate) state: tempfile::TempDir,
    pub(crate) port: u16,
    subnet: u16,
    /// Held, so that no other test is given the port meanwhile. Nodes have other addresses.
    _reserved: UdpSocket,
}

impl Corner {
    /// A corner that no other test uses now: a free UDP port, and a subnet made from it.
    pub(crate) fn new() -> Self {
        let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        Self { state: tempfile::tempdir().unwrap(), port, subnet: port, _reserved: probe }
    }

    pub(crate) fn address(&self, n: u8) -> Ipv4Addr {
        let [high, low] = self.subnet.to_be_bytes();
        // 127.0.x.y and 127.42.x.y are other people's.
        Ipv4Addr::new(127, 128 | (high >> 1), low, n)
    }

    /// The API of the node at `address(n)`.
    pub(crate) fn api(&self, n: u8) -> String {
        format!("{}:{}", self.address(n), self.port)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.program(Path::new(env!("CARGO_BIN_EXE_spore")), arguments)
    }

    /// As [`command`](Self::command), with another program.
    pub(crate) fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.state.path());
        command.env("XDG_STATE_HOME", self.state.path()).env_remove("API_NODE");
        command
            .env_remove("SPORE_KEY_FILE")
            .env_remove("SPORE_RELEASE_KEY_FILE")
            .env_remove("SPORE_WIFI")
            .env_remove("SPORE_WIFI_PASSWORD")
            .env_remove("RUST_LOG")
            .env_remove("NO_COLOR")
            // To make one takes longer than some tests wait.
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and reads what it prints as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        // A node that a busy machine has made slow is none that fails.
        let patient: &[&str] =
            if arguments.contains(&"--node") { &["--timeout", "20"] } else { &[] };
        let output = self.run(&[arguments, patient].concat());
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts `spore up` with `nodes` nodes.
    pub(crate) fn up(&self, nodes: u8) -> Running {
        let (nodes, base) = (nodes.to_string(), self.address(1).to_string());
        let port = self.port.to_string();
        let arguments =
            ["up", "--nodes", &nodes, "--base", &base, "--port", &port, "--http-port", &port];
        Running::start(self.command(&arguments))
    }

    /// Starts `spore node` at `address(n)`.
    pub(crate) fn node(&self, n: u8, more: &[&str]) -> Running {
        let (bind, port) = (self.address(n).to_string(), self.port.to_string());
        let mut arguments = vec!["node", "--bind", &bind, "--port", &port, "--http-port", &port];
        arguments.extend(more);
        Running::start(self.command(&arguments))
    }

    /// The statuses of all members as node `n` sees them, by hostname.
    pub(crate) fn members(&self, n: u8) -> Vec<(String, String)> {
        let list = self.json(&["members", "--json", "--node", &self.api(n)]);
        let field = |member: &Value, name: &str| member[name].as_str().unwrap().to_owned();
        let members = list["members"].as_array().unwrap();
        let mut members: Vec<_> =
            members.iter().map(|m| (field(m, "hostname"), field(m, "status"))).collect();
        members.sort();
        members
    }

    /// Runs `command` at a terminal of its own, and asks it to end so long after its first words; its exit code, and all that
    /// came to the terminal.
    pub(crate) fn at_a_terminal(
        command: &mut Command,
        patience: Duration,
    ) -> (Option<i32>, String) {
        Self::at_a_terminal_until(command, |said| !said.is_empty(), patience)
    }

    /// As [`at_a_terminal`](Self::at_a_terminal), but it is asked so long after it has said enough.
    pub(crate) fn at_a_terminal_until(
        command: &mut Command,
        enough: impl Fn(&str) -> bool,
        patience: Duration,
    ) -> (Option<i32>, String) {
        let size = Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        command.stdout(slave.try_clone().unwrap()).stderr(slave);
        let mut child = command.env("TERM", "xterm").spawn().unwrap();
        // The end is seen only when nobody has the terminal any more.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (speaks, pieces) = channel::<Vec<u8>>();
        thread::spawn(move || {
            let (mut terminal, mut piece) = (File::from(master), [0; 4096]);
            // Linux has EIO for a terminal that all others have closed.
            while let Ok(len @ 1..) = terminal.read(&mut piece) {
                let _ = speaks.send(piece[..len].to_vec());
            }
        });
        let mut said = Vec::new();
        if patience < Duration::MAX {
            let (start, limit) = (Instant::now(), Duration::from_secs(60));
            while !enough(&String::from_utf8_lossy(&said))
                && let Ok(piece) = pieces.recv_timeout(limit.saturating_sub(start.elapsed()))
            {
                said.extend(piece);
            }
            thread::sleep(patience);
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
        }
        let code = child.wait().unwrap().code();
        said.extend(pieces.into_iter().flatten());
        (code, String::from_utf8(said).unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.state.path()
    }
}

/// A process that is killed when the test is done with it.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// What it has printed first.
    pub(crate) first_line: String,
}

impl Running {
    /// Starts `command` and waits for the first line that it prints.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first_line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut first_line).unwrap();
        // What else it prints must not block it.
        thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Self { child, first_line }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until `condition` holds; how long that took. Panics after `limit`.
pub(crate) fn wait(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(100));
    }
    start.elapsed()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
