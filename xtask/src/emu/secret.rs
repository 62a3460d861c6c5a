//! Keys and seeds, and the files that keys are in.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// 256 bits, of which the cluster key and the seeds are made.
pub(crate) type Secret = [u8; 32];

/// 256 random bits from the system.
///
/// # Errors
/// When `/dev/urandom` cannot be read.
pub(crate) fn random() -> Result<Secret> {
    let mut secret = Secret::default();
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut secret))
        .context("cannot read random bytes from /dev/urandom")?;
    Ok(secret)
}

/// The cluster key in a file: 64 hexadecimal digits, with white space around them if you like.
///
/// # Errors
/// When the file cannot be read or holds anything else.
pub(crate) fn read_key(path: &Path) -> Result<Secret> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the cluster key from {}", path.display()))?;
    from_hex(text.trim()).with_context(|| {
        format!("{} holds no cluster key: that is 64 hexadecimal digits", path.display())
    })
}

/// Writes a cluster key to a new file, `cluster.key`, that only its owner can read.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_key(path: &Path, key: &Secret) -> Result<()> {
    // Of the nodes that had the key before it; with another one, `spore` would not take it.
    let _ = fs::remove_file(path.with_extension("key.nodes"));
    write_private(path, &to_hex(key))
}

/// Writes a line to a new file that only its owner can read: `spore` takes secrets from no others.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_private(path: &Path, line: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{line}"))
        .with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Result<Secret> {
    ensure!(text.is_ascii() && text.len() == 2 * size_of::<Secret>(), "wrong length");
    let mut secret = Secret::default();
    for (index, byte) in secret.iter_mut().enumerate() {
        let pair = &text[2 * index..2 * index + 2];
        ensure!(pair.bytes().all(|digit| digit.is_ascii_hexdigit()), "wrong digit");
        *byte = u8::from_str_radix(pair, 16)?;
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_there_and_back() {
        let secret: Secret = std::array::from_fn(|index| (index * 9) as u8);
        assert_eq!(from_hex(&to_hex(&secret)).unwrap(), secret);
    }

    #[test]
    fn hex_is_read_strictly() {
        let good = "ab".repeat(32);
        assert!(from_hex(&good).is_ok());
        for bad in [&good[1..], &good.replacen('a', "+", 1), &good.replacen("ab", "ä", 1), ""] {
            assert!(from_hex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_two_seeds_are_the_same() {
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
