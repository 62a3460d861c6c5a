//! `cargo xtask api`: a running node against clients that are not ours.
//!
//! `spore openapi` describes the API; schemathesis makes requests of the description, good and bad
//! ones, and holds every answer against it; `tests/api/check.py` tries wrong credentials, and reads
//! `/metrics` with the parser that Prometheus publishes. They are Python programs, installed in
//! exact versions into a folder of `target/`; requests are signed by a second implementation.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::emu::child::Guarded;
use crate::{e2e, paths, process, python};

/// Checks that hold whoever signs.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";
/// How long a node may take to answer after its start.
const START: Duration = Duration::from_secs(60);
/// No Python program may take longer.
const LIMIT: &str = "300";

/// Hold a running node against the description of its API, with clients that are not ours.
#[derive(Args)]
pub(crate) struct Api {
    /// The `spore` to test [default: this tree's].
    #[arg(long, value_name = "FILE")]
    spore: Option<PathBuf>,
    /// How many requests to make of each operation, at least.
    #[arg(long, default_value_t = 20)]
    examples: u32,
}

/// What the checks are run with.
struct Bench {
    folder: PathBuf,
    python: PathBuf,
    key_file: PathBuf,
    description: PathBuf,
    url: String,
    /// Another node with the same key.
    other: String,
}

impl Api {
    /// Runs all checks.
    ///
    /// # Errors
    /// When something cannot be installed or started, or a check fails.
    pub(crate) fn run(self) -> Result<()> {
        let python = python::environment("python", "tests/api/requirements.txt")?;
        let spore = e2e::spore_to_test(self.spore)?;
        let folder = paths::repository().join("target/api");
        let _folder = e2e::empty_folder(&folder)?;
        let key_file = folder.join("cluster.key");
        let description = folder.join("openapi.json");
        run_spore(&spore, &["key", "new", "--key-file"], &key_file)?;
        run_spore(&spore, &["openapi", "--output"], &description)?;
        let [address, another] = addresses()?;
        let (mut node, url) = start("checked", address, &spore, &folder, &key_file)?;
        let (_other, other) = start("other", another, &spore, &folder, &key_file)?;
        let bench = Bench { folder, python, key_file, description, url, other };
        let examples = self.examples.to_string();
        // No schema can say which bytes are a plan that a release key has signed, or what is sealed for a node.
        let all = ["--checks", "all", "--exclude-operation-id", "beginRollout"];
        let all = [&all[..], &["--exclude-operation-id", "changeClusterKey"]].concat();
        bench.schemathesis("right", &[&all[..], &["--max-examples", &examples]].concat())?;
        bench.schemathesis("wrong", &["--checks", CHECKS, "--max-examples", &examples])?;
        print!("{}", bench.check()?);
        ensure!(node.ended()?.is_none(), "the node has ended; see {}", bench.folder.display());
        Ok(())
    }
}

impl Bench {
    /// A Python program in the folder of this run, which is told where the key is.
    fn command(&self, program: &Path) -> Command {
        let scripts = paths::repository().join("tests/api");
        let mut command = Command::new("timeout");
        command.arg(LIMIT).arg(program).current_dir(&self.folder);
        command.env("PYTHONPATH", scripts).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("SPORE_KEY_FILE", &self.key_file);
        command
    }

    /// Lets schemathesis make requests, signed with the right or with a wrong key. They are the
    /// same at each run.
    fn schemathesis(&self, key: &str, options: &[&str]) -> Result<()> {
        let mut command = self.command(&self.python.with_file_name("st"));
        command.env("SCHEMATHESIS_HOOKS", "hooks").env("SPORE_SIGN", key);
        command.arg("run").arg(&self.description).args(["--url", &self.url]).args(options);
        command.args(["--phases", "examples,coverage,fuzzing", "--generation-deterministic"]);
        // A server may end a connection that waits just when the next request comes (RFC 9112, section 9.5).
        command.args(["--request-retries", "2"]);
        // An answer without end, which `check.py` reads.
        command.args(["--exclude-operation-id", "followEvents"]);
        command.args(["--request-timeout", "20", "--continue-on-failure", "--no-color"]);
        let done = process::output(&mut command)?;
        let text = String::from_utf8_lossy(&done.stdout);
        let log = self.folder.join(format!("schemathesis-{key}.log"));
        fs::write(&log, &*done.stdout)
            .with_context(|| format!("cannot write {}", log.display()))?;
        if !done.status.success() {
            let from = text.find("= FAILURES =").unwrap_or_default();
            bail!("schemathesis, {key} key ({}):\n{}", done.status, &text[from..]);
        }
        let figures = text.lines().map(str::trim).find(|line| line.contains(" generated"));
        let figures = figures.context("schemathesis has generated nothing")?;
        println!("schemathesis, {key} key: {figures}");
        Ok(())
    }

    /// Runs `check.py`.
    fn check(&self) -> Result<String> {
        let mut command = self.command(&self.python);
        command.arg(paths::repository().join("tests/api/check.py"));
        process::run(command.arg(&self.description).args([&self.url, &self.other]))
    }
}

fn run_spore(spore: &Path, arguments: &[&str], file: &Path) -> Result<()> {
    process::run(Command::new(spore).args(arguments).arg(file)).map(drop)
}

/// Two addresses of this machine with a port that is free now, which nobody else uses it on. Nodes there are one cluster.
fn addresses() -> Result<[SocketAddrV4; 2]> {
    let probe = TcpListener::bind("127.0.0.1:0").context("this machine has no free port")?;
    let port = probe.local_addr()?.port();
    let [high, low] = port.to_be_bytes();
    Ok([1, 2].map(|last| SocketAddrV4::new(Ipv4Addr::new(127, 64 | (high >> 2), low, last), port)))
}

/// Starts a node at an address, whose port is the cluster's too, and waits until it answers.
fn start(
    name: &str,
    api: SocketAddrV4,
    spore: &Path,
    folder: &Path,
    key_file: &Path,
) -> Result<(Guarded, String)> {
    let (address, port) = (api.ip().to_string(), api.port().to_string());
    let log = folder.join(format!("{name}.log"));
    let output = fs::File::create(&log).context("cannot write the node's log")?;
    let program = spore.to_str().context("the path of spore is not UTF-8")?;
    let mut node = Guarded::start(name, program, |command| {
        command.args(["node", "--bind", &address, "--hostname", name]);
        command.args(["--port", &port, "--http-port", &port]);
        command.arg("--key-file").arg(key_file).arg("--state").arg(folder.join(name));
        // One that answers every method with which services are described.
        command
            .args(["--sprocket", "sensor", "--task", "tick=3600:true", "--service", "echo=cat"])
            .stdout(Stdio::null())
            .stderr(output)
    })?;
    let api = api.to_string();
    let begin = Instant::now();
    loop {
        let mut ask = Command::new(spore);
        if process::run(ask.args(["status", "--node", &api])).is_ok() {
            return Ok((node, format!("http://{api}")));
        }
        let ended = node.ended()?.is_some();
        if ended || begin.elapsed() > START {
            bail!("the node does not answer:\n{}", process::tail_of(&log, 20));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
