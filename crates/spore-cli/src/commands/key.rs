//! `spore key`.

mod asked;
mod enroll;
mod rotate;

use crate::client::{Target, seconds};
use crate::key_file::{self, KeyFile, ReleaseKeyFile};
use crate::keys::{self, Kind, ReleaseKey};
use crate::misuse::Misuse;
use crate::output::{print, print_line};
use crate::signing::hex;
use crate::{secret_file, shell};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use spore_core::ClusterKey;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Make, show, move and replace a cluster's keys.
///
/// There are two: the cluster key is the secret that all members share; the release key is a pair
/// of which nodes have the public part, and take only updates that the private part has signed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Key {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    cluster: KeyFile,
    #[command(flatten)]
    release: ReleaseKeyFile,
    /// Print JSON: the key's file, and the key if it is to be shown; or how nodes are
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spore key new                                 a cluster key
  spore key new release                         a release key
  spore key export --output usb/cluster.key     to take it to another machine, and there:
  spore key import usb/cluster.key
  spore key enroll                              so that a stolen node can be left out later, and then:
  spore key rotate --without pantry";

const NEW_EXAMPLES: &str = "\
Examples:
  spore key new                       cluster.key in ~/.local/state/spore
  spore key new --key-file my.key     another file
  spore key new release               a release key; its public part is printed";

const SHOW_EXAMPLES: &str = "\
Examples:
  spore key show             the cluster key: whoever has it is a member
  spore key show release     the public part of the release key";

const EXPORT_EXAMPLES: &str = "\
Examples:
  spore key export --output usb/cluster.key     for its owner only
  spore key export release --stdout             for a password manager
  spore key export release --public --stdout    what may be given away";

const IMPORT_EXAMPLES: &str = "\
Examples:
  spore key import usb/cluster.key
  spore key import - < usb/release.key";

const SIGN_RELEASE_EXAMPLES: &str = "\
Examples:
  spore key sign-release 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29

`spore config set release-key=NEW` does this by itself where the old key is on this machine.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new key
    #[command(after_help = NEW_EXAMPLES)]
    New {
        /// Which key
        #[arg(value_enum, default_value_t = Kind::Cluster)]
        kind: Kind,
        /// Replace the key that is there: members that have it are locked out
        #[arg(long)]
        force: bool,
    },
    /// Show the cluster key, or the public part of the release key
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Which key
        #[arg(value_enum, default_value_t = Kind::Cluster)]
        kind: Kind,
    },
    /// Write a key, with a checksum, to a file or to stdout
    #[command(after_help = EXPORT_EXAMPLES)]
    Export {
        /// Which key
        #[arg(value_enum, default_value_t = Kind::Cluster)]
        kind: Kind,
        /// Only the public part of the release key
        #[arg(long)]
        public: bool,
        /// Where to; - for stdout
        #[arg(long, value_name = "FILE", required_unless_present = "stdout")]
        output: Option<PathBuf>,
        /// To stdout, where others may be looking on
        #[arg(long, conflicts_with = "output")]
        stdout: bool,
        /// Replace the file if there is one
        #[arg(long)]
        force: bool,
    },
    /// Take over a key that was exported
    #[command(after_help = IMPORT_EXAMPLES)]
    Import {
        /// The file that was written by `spore key export`, a cluster's key file, or - for stdin
        #[arg(value_name = "FILE")]
        from: PathBuf,
        /// Replace the key that is there: members that have it are locked out
        #[arg(long)]
        force: bool,
    },
    /// Sign the public part of a new release key with the old one, which nodes ask for
    #[command(after_help = SIGN_RELEASE_EXAMPLES)]
    SignRelease {
        /// The new public key, 64 hexadecimal digits
        #[arg(value_name = "PUBLIC")]
        public: String,
    },
    Enroll(enroll::Enroll),
    Rotate(rotate::Rotate),
}

/// Which node knows the others.
#[derive(Debug, Args)]
struct Whom {
    /// The node that knows the others: an address, with a port if its API is not at 80 [env: API_NODE]
    /// [default: 127.42.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    node: Option<String>,
    /// How long to wait for each answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    timeout: f64,
}

impl Whom {
    fn target(&self, json: bool) -> Target {
        Target::new(self.node.clone(), self.timeout, json)
    }
}

impl Key {
    pub(crate) fn run(self) -> Result<()> {
        match &self.action {
            Action::New { kind, force } => self.make(*kind, *force),
            Action::Show { kind } => self.show(*kind),
            Action::Export { kind, public, output, force, .. } => {
                self.export(*kind, *public, output.as_deref(), *force)
            }
            Action::Import { from, force } => self.import(from, *force),
            Action::Enroll(enroll) => enroll.run(&self.cluster, self.json),
            Action::Rotate(rotate) => rotate.run(&self.cluster, self.json),
            Action::SignRelease { public } => {
                let public = ReleaseKey::parse_public(public)?;
                let signature = hex(&self.release.read()?.sign_replacement(&public));
                if self.json {
                    return print_line(json!({ "signature": signature }));
                }
                print_line(signature)
            }
        }
    }

    fn path(&self, kind: Kind) -> Result<PathBuf> {
        match kind {
            Kind::Cluster => self.cluster.path(),
            Kind::Release => self.release.path(),
        }
    }

    fn make(&self, kind: Kind, force: bool) -> Result<()> {
        let path = self.path(kind)?;
        let bytes = key_file::random()?;
        let key = match kind {
            Kind::Cluster => keys::Key::Cluster(ClusterKey::from_bytes(bytes)),
            Kind::Release => keys::Key::Release(ReleaseKey::from_seed(bytes)),
        };
        key_file::store(&path, &key, force)?;
        if let keys::Key::Release(key) = key {
            let public = hex(&key.public());
            if self.json {
                return print_line(json!({ "file": path, "public": public }));
            }
            let path = path.display();
            return print_line(format_args!(
                "The new release key is in {path}; keep a copy. Its public part:\n{public}"
            ));
        }
        if self.json {
            // Not the key: what a script logs is soon read by others.
            return print_line(json!({ "file": path }));
        }
        let option = match self.cluster.option() {
            Some(path) => format!(" --key-file {}", shell::quoted(&path.to_string_lossy())),
            None => String::new(),
        };
        let path = path.display();
        print_line(format_args!("The new key is in {path}; `spore key show{option}` prints it."))
    }

    fn show(&self, kind: Kind) -> Result<()> {
        let path = self.path(kind)?;
        let (name, key) = match kind {
            Kind::Cluster => ("key", self.cluster.read()?.to_hex().to_string()),
            Kind::Release => ("public", hex(&self.release.read()?.public())),
        };
        if self.json { print_line(json!({ name: key, "file": path })) } else { print_line(key) }
    }

    fn export(&self, kind: Kind, public: bool, to: Option<&Path>, force: bool) -> Result<()> {
        let key = match (kind, public) {
            (Kind::Cluster, true) => {
                return Err(Misuse::error("a cluster key has no public part; export release has"));
            }
            (Kind::Cluster, false) => keys::Key::Cluster(self.cluster.read()?),
            (Kind::Release, true) => keys::Key::ReleasePublic(self.release.read()?.public()),
            (Kind::Release, false) => keys::Key::Release(self.release.read()?),
        };
        let text = key.to_text();
        let Some(path) = to.filter(|path| *path != Path::new("-")) else {
            return if self.json { print_line(json!({ "text": text })) } else { print(text) };
        };
        // No folder is made: a stick that is not mounted is not written to, and is not missed later.
        let write = if force { secret_file::replace } else { secret_file::create };
        match write(path, &text) {
            Ok(()) if self.json => print_line(json!({ "file": path })),
            Ok(()) => print_line(format_args!("The {kind} key is in {}.", path.display())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{} exists (--force replaces it)", path.display())
            }
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// Whether `key` is the one in `path`, its kind's file.
    fn has(&self, path: &Path, key: &keys::Key) -> Result<bool> {
        match key {
            keys::Key::Cluster(key) => Ok(path.exists() && *key == self.cluster.read()?),
            keys::Key::Release(key) => {
                Ok(self.release.find()?.is_some_and(|old| key.public() == old.public()))
            }
            keys::Key::ReleasePublic(_) => Ok(false),
        }
    }

    fn import(&self, from: &Path, force: bool) -> Result<()> {
        let (name, text) = if from == Path::new("-") {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            let text = read.map(|_| text).context("cannot read standard input")?;
            ("standard input".to_owned(), text)
        } else {
            let name = from.display().to_string();
            let text = secret_file::read(from, "key")?;
            let text = text.with_context(|| format!("there is no file {name}"))?;
            (name, text)
        };
        // The file of a cluster key, as `spore key new` writes it, does as well.
        let key = match text.trim().parse() {
            Ok(key) => keys::Key::Cluster(key),
            Err(_) => {
                keys::Key::parse(&text).with_context(|| format!("{name} is no exported key"))?
            }
        };
        if let keys::Key::ReleasePublic(_) = key {
            bail!("{name} has the public part of a release key alone; it signs nothing");
        }
        let kind = key.kind();
        let path = self.path(kind)?;
        let there = match self.has(&path, &key) {
            Ok(there) => there,
            // What is replaced need not be good.
            Err(_) if force => false,
            Err(error) if path.is_file() => {
                let context =
                    format!("the {kind} key that is there is no good (--force replaces it)");
                return Err(error.context(context));
            }
            Err(error) => return Err(error),
        };
        if !there {
            key_file::store(&path, &key, force)?;
        }
        if self.json {
            return print_line(json!({ "kind": kind.to_string(), "file": path }));
        }
        let path = path.display();
        let was = if there { "was already" } else { "is now" };
        print_line(format_args!("The {kind} key {was} in {path}."))
    }
}
