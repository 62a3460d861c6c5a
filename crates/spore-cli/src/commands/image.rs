//! `spore image`.

mod fetch;

use crate::client;
use crate::key_file::ReleaseKeyFile;
use crate::keys::ReleaseKey;
use crate::misuse::Misuse;
use crate::output::{print, print_line};
use crate::signing::hex;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use spore_image::{Container, Head, build};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Make, show, sign and verify the images that nodes are updated with.
///
/// An image is a container that fits either slot of a board: it is signed with the release key, and nodes take
/// no other. `./ctl.sh build` makes that of a board; a node on Linux has one as well, with a program in it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Image {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    release: ReleaseKeyFile,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore image build slot-a.bin slot-b.bin --output esp-01.spore
  spore image inspect esp-01.spore
  spore image sign esp-01.spore
  spore image verify esp-01.spore
  spore image fetch 192.168.1.20 --output esp-01.spore";

const BUILD_EXAMPLES: &str = "\
Examples:
  spore image build slot-a.bin slot-b.bin --output esp-01.spore
  spore image build --program target/release/spore --sequence 12 --output host.spore

It is signed if there is a release key; `spore key new release` makes one.";

const INSPECT_EXAMPLES: &str = "\
Examples:
  spore image inspect esp-01.spore
  spore image inspect esp-01.spore --json | jq .version";

const SIGN_EXAMPLES: &str = "\
Examples:
  spore image sign esp-01.spore
  spore image sign esp-01.spore --release-key-file usb/release.key";

const VERIFY_EXAMPLES: &str = "\
Examples:
  spore image verify esp-01.spore      with the release key of this machine
  spore image verify esp-01.spore --public 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29

Exit code 0 only if the image is whole and that key has signed it.";

const FETCH_EXAMPLES: &str = "\
Examples:
  spore image fetch 192.168.1.20 --output esp-01.spore
  spore image fetch 127.42.0.2:8080 --held --output next.spore

It is what was signed, byte for byte; `spore image verify` checks by whom.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an image, signed if there is a release key
    #[command(after_help = BUILD_EXAMPLES)]
    Build {
        /// What was linked for slot A and for slot B, as ./ctl.sh build writes them
        #[arg(value_name = "SLOT", num_args = 2, required_unless_present = "program")]
        slots: Vec<PathBuf>,
        /// The program of a node on Linux, in place of slots
        #[arg(long, value_name = "FILE", conflicts_with = "slots", requires = "sequence")]
        program: Option<PathBuf>,
        /// The program's board
        #[arg(long, default_value = "host", conflicts_with = "slots")]
        board: String,
        /// The program's version: at most 24 ASCII characters [default: that of this command]
        #[arg(long, value_name = "TEXT", conflicts_with = "slots")]
        image_version: Option<String>,
        /// The program's sequence number: nodes take only a higher one than they have had
        #[arg(long, value_name = "NUMBER", conflicts_with = "slots")]
        sequence: Option<u32>,
        /// Do not sign it
        #[arg(long)]
        unsigned: bool,
        /// The file to write; one that is there is replaced
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Show what an image is, and whether it is whole
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect {
        /// The image
        file: PathBuf,
    },
    /// Sign an image with the release key, in place of any signature that is there
    #[command(after_help = SIGN_EXAMPLES)]
    Sign {
        /// The image
        file: PathBuf,
        /// Leave it as it is, and say so, if there is no release key
        #[arg(long)]
        if_key: bool,
    },
    /// Check that an image is whole, and signed with the release key
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        /// The image
        file: PathBuf,
        /// The public part of the release key, 64 hexadecimal digits [default: that of the key file]
        #[arg(long, value_name = "KEY")]
        public: Option<String>,
    },
    /// Get the image that a node runs from that node, as it was signed
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch {
        /// The node: an address, with a port if its API is not at 80
        node: String,
        /// How long to wait for each part of it, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = client::seconds)]
        timeout: f64,
        /// The image that it holds in its other slot
        #[arg(long)]
        held: bool,
        /// The file to write; one that is there is replaced
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

impl Image {
    pub(crate) fn run(self) -> Result<()> {
        match &self.action {
            Action::Build { unsigned, output, .. } => {
                let mut bytes = self.action.build()?;
                if !unsigned && let Some(key) = self.release.find()? {
                    sign(&mut bytes, &key)?;
                }
                write(output, &bytes)?;
                self.show(output, &bytes)
            }
            Action::Inspect { file } => {
                let bytes = read(file)?;
                self.show(file, &bytes)
            }
            Action::Sign { file, if_key } => {
                let mut bytes = read(file)?;
                let key = if *if_key { self.release.find()? } else { Some(self.release.read()?) };
                if let Some(key) = key {
                    sign(&mut bytes, &key)?;
                    write(file, &bytes)?;
                }
                self.show(file, &bytes)
            }
            Action::Fetch { node, timeout, held, output } => {
                let bytes = fetch::fetch(node, *held, Duration::from_secs_f64(*timeout))?;
                write(output, &bytes)?;
                self.show(output, &bytes)
            }
            Action::Verify { file, public } => {
                let public = match public {
                    Some(public) => ReleaseKey::parse_public(public)
                        .map_err(|error| Misuse::error(format_args!("{error:#}")))?,
                    None => self.release.find_public()?.with_context(
                        || "there is no release key to verify with; --public names one",
                    )?,
                };
                let bytes = read(file)?;
                let container = parse(file, &bytes)?;
                container
                    .head()
                    .verify(&public)
                    .with_context(|| format!("{} is not to be trusted", file.display()))?;
                if self.json {
                    let mut said = document(file, &container);
                    said["signed_by"] = json!(hex(&public));
                    return print_line(said);
                }
                print_line(format_args!(
                    "{}: whole, and signed with the release key",
                    file.display()
                ))
            }
        }
    }

    fn show(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        let container = parse(file, bytes)?;
        if self.json {
            return print_line(document(file, &container));
        }
        print(text(file, &container))
    }
}

impl Action {
    /// The bytes of a new image, not signed.
    fn build(&self) -> Result<Vec<u8>> {
        let Self::Build { slots, program, board, image_version, sequence, .. } = self else {
            bail!("there is nothing to build");
        };
        if let Some(file) = program {
            let version = image_version.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
            let (bytes, sequence) = (read(file)?, sequence.unwrap_or_default());
            let made = build::program(&bytes, board, version, sequence);
            return made.with_context(|| format!("cannot make an image of {}", file.display()));
        }
        let [a, b] = &slots[..] else {
            return Err(Misuse::error("an image is made of two files: slot A's and slot B's"));
        };
        build::from_slots(&read(a)?, &read(b)?)
            .with_context(|| format!("cannot make an image of {} and {}", a.display(), b.display()))
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("there is no file {}", file.display()),
        _ => anyhow::Error::new(error).context(format!("cannot read {}", file.display())),
    })
}

/// Writes it whole or not at all.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    let mut part = file.file_name().with_context(cannot)?.to_owned();
    part.push(format!(".{}.new", std::process::id()));
    let part = file.with_file_name(part);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, file));
    written
        .inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })
        .with_context(cannot)
}

fn parse<'a>(file: &Path, bytes: &'a [u8]) -> Result<Container<'a>> {
    Container::parse(bytes).with_context(|| format!("{} is no image", file.display()))
}

fn sign(bytes: &mut [u8], key: &ReleaseKey) -> Result<()> {
    let head = *Container::parse(bytes).context("this is no image")?.head();
    build::put_signature(bytes, &key.sign_image(&head));
    Ok(())
}

fn document(file: &Path, container: &Container<'_>) -> Value {
    let head = container.head();
    let Head { header, slots: [a, b], .. } = head;
    json!({
        "file": file,
        "board": head.board(),
        "version": head.version(),
        "sequence": header.sequence,
        "signed": head.is_signed(),
        "program": head.is_program(),
        "bytes": head.length(),
        "manifest": head.manifest_length(),
        "payload": head.payload(),
        "in_place": header.in_place,
        "chunks": head.chunks(),
        "words_that_move": container.moved(),
        "digests": { "a": hex(a), "b": hex(b) },
    })
}

fn text(file: &Path, container: &Container<'_>) -> String {
    let head = container.head();
    let signed = if head.is_signed() {
        "yes; `spore image verify` checks by whom"
    } else {
        "no: nodes do not take it; `spore image sign` signs it"
    };
    let kind = if head.is_program() {
        "a program for Linux".to_owned()
    } else {
        format!("for either slot; {} words move", container.moved())
    };
    let rows = [
        ("board", head.board().to_owned()),
        ("version", head.version().to_owned()),
        ("sequence", head.header.sequence.to_string()),
        ("signed", signed.to_owned()),
        ("kind", kind),
        ("bytes", head.length().to_string()),
        ("manifest", head.manifest_length().to_string()),
        ("payload", format!("{} in {} chunks", head.payload(), head.chunks())),
    ];
    let lines = rows.map(|(what, value)| format!("  {what:<9} {value}\n"));
    format!("{}\n{}", file.display(), lines.concat())
}
