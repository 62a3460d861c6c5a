//! Words of commands that are shown, as a POSIX shell reads them.

use std::borrow::Cow;

/// `word` as one word for the shell: between quotes if it needs them.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-_./:,+@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_what_needs_quotes_has_them() {
        let words = ["a/b-1.key", "", "my key", "it's", "$HOME", "~/x"].map(quoted);
        assert_eq!(words, ["a/b-1.key", "''", "'my key'", r"'it'\''s'", "'$HOME'", "'~/x'"]);
    }
}
