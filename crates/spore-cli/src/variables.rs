//! Variables that stand for options: from the environment, or else from `.env` in this folder.
//!
//! Only what is asked for here is taken from `.env`, which is other programs' file as well; and it
//! is only read when an option was not given, so that nothing in it can stand in the way of help.

use crate::output::note;
use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::OnceLock;

/// The value of the variable `name`. An empty one counts as unset.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    let set = env::var_os(name).filter(|value| !value.is_empty());
    set.or_else(|| env_file().get(name).map(OsString::from))
}

/// What stands in `.env`, read and complained about once.
fn env_file() -> &'static HashMap<String, String> {
    static FILE: OnceLock<HashMap<String, String>> = OnceLock::new();
    FILE.get_or_init(|| {
        let (variables, warnings) = read(Path::new(".env"));
        warnings.iter().for_each(|warning| note(format_args!("spore: warning: {warning}")));
        variables
    })
}

/// The variables in `file` that are not empty, and what is wrong with the file. As in a shell, the
/// last line with a name counts.
fn read(file: &Path) -> (HashMap<String, String>, Vec<String>) {
    let (mut variables, mut warnings) = (HashMap::new(), Vec::new());
    let lines = match dotenvy::from_path_iter(file) {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return (variables, warnings),
        Err(error) => {
            warnings.push(format!("cannot read {}: {error}", file.display()));
            return (variables, warnings);
        }
    };
    for line in lines {
        match line {
            Ok((name, value)) => {
                variables.insert(name, value);
            }
            // The error has a part of the line, which may be a secret.
            Err(dotenvy::Error::LineParse(..)) => {
                warnings.push(format!("{}: a line is not NAME=VALUE; skipped", file.display()));
            }
            Err(dotenvy::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                warnings.push(format!("{}: a line is not UTF-8; skipped", file.display()));
            }
            // It would come again at each further line.
            Err(error) => {
                warnings.push(format!("cannot read {}: {error}", file.display()));
                break;
            }
        }
    }
    variables.retain(|_, value| !value.is_empty());
    (variables, warnings)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn good_lines_count_and_bad_ones_are_warnings_without_what_they_say() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(".env");
        let text =
            b"# mine\nA=1\nsecret words\nB=a=two secrets\nEMPTY=\n\xFF\xFE\nexport C='x y'\nA=2\n";
        std::fs::write(&file, text).unwrap();
        let (variables, warnings) = read(&file);
        let get = |name| variables.get(name).map(String::as_str);
        assert_eq!(variables.len(), 2, "{variables:?}");
        assert_eq!((get("A"), get("C")), (Some("2"), Some("x y")));
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings.iter().all(|warning| !warning.contains("secret")), "{warnings:?}");
    }

    #[test]
    fn a_missing_file_is_nothing_and_one_that_is_none_a_single_warning() {
        let directory = tempfile::tempdir().unwrap();
        let (variables, warnings) = read(&directory.path().join("none"));
        assert!(variables.is_empty() && warnings.is_empty());
        let (variables, warnings) = read(directory.path());
        assert!(variables.is_empty());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}
