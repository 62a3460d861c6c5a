//! Files that hold a secret: for their owner only, and never half written.

use crate::shell;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process;

/// The text in `path`; `None` if there is no such file. One that others can read is refused: what
/// is in it may be theirs already. So is what is no regular file, before it is opened: a FIFO would
/// be waited for.
pub(crate) fn read(path: &Path, what: &str) -> Result<Option<String>> {
    let cannot = || format!("cannot read the {what} {}", path.display());
    match fs::metadata(path) {
        Ok(there) if there.is_file() => (),
        Ok(_) => bail!("the {what} {} is not a regular file", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(cannot),
    }
    let mut file = File::open(path).with_context(cannot)?;
    let mode = file.metadata().with_context(cannot)?.permissions().mode();
    if mode & 0o077 != 0 && !is_credential(path, env::var_os("CREDENTIALS_DIRECTORY")) {
        let path = path.to_string_lossy();
        let quoted = shell::quoted(&path);
        bail!("others can read the {what} {path}; set it right with `chmod 600 {quoted}`");
    }
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(cannot)?;
    Ok(Some(text))
}

/// Whether systemd keeps `path` in `folder`, for this service alone (systemd.exec(5), Credentials). It may do that by an access
/// control list, whose mask looks like a permission of the group.
fn is_credential(path: &Path, folder: Option<OsString>) -> bool {
    folder.is_some_and(|folder| !folder.is_empty() && path.parent() == Some(Path::new(&folder)))
}

/// Makes the folder for `path`, with those above it, for their owner only (XDG base directory
/// specification). One that is there stays as it is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| {
        if folder.as_os_str().is_empty() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    })
}

/// Writes `text` to `path`, where nothing may be yet.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is none, and would stand in the way of the next attempt.
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes `text` to `path`, whole or not at all: a key that is half replaced locks everyone out.
/// Only a regular file is replaced: root could rename a key over /dev/null.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this is no file's name"));
    };
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let new = format!(".{}.{}.new", name.to_string_lossy(), process::id());
    let new = path.with_file_name(new);
    create(&new, text)?;
    fs::rename(&new, path).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })?;
    // What is done next may count on it.
    spore_host::sync_directory(path)
}

#[cfg(test)]
mod tests {
    use super::is_credential;
    use std::path::Path;

    #[test]
    fn a_credential_of_systemd_is_in_its_folder_and_nothing_else_is_one() {
        let folder = || Some("/run/credentials/spore-node@1.service".into());
        let of = |path: &str| is_credential(Path::new(path), folder());
        assert!(of("/run/credentials/spore-node@1.service/cluster.key"));
        for other in ["/etc/spore/cluster.key", "cluster.key", "/run/credentials/cluster.key"] {
            assert!(!of(other), "{other}");
        }
        assert!(!is_credential(Path::new("cluster.key"), None));
        assert!(!is_credential(Path::new("cluster.key"), Some("".into())));
    }
}
