//! `spore ota` as people see it: at a terminal, with bars, and in a pipe, without.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use nix_term::pty::{OpenptyResult, Winsize, openpty};

/// The terminal: there is room for all nodes and a line more.
const SIZE: Winsize = Winsize { ws_row: 40, ws_col: 110, ws_xpixel: 0, ws_ypixel: 0 };
/// What a bar is drawn with.
const BAR: char = '█';
/// Every command to a terminal begins with it.
const ESCAPE: char = '\u{1B}';

/// What came of a command at a terminal.
pub(super) struct Shown {
    pub(super) status: ExitStatus,
    /// All that came to the terminal.
    pub(super) bytes: String,
}

/// Runs a command at a terminal of its own, where nobody types.
///
/// # Errors
/// When there is no terminal, or the command does not start.
pub(super) fn run(command: &mut Command) -> Result<Shown> {
    let OpenptyResult { master, slave } = openpty(&SIZE, None).context("no terminal")?;
    let other = |end: &OwnedFd| end.try_clone().context("cannot share the terminal");
    command.stdin(Stdio::null()).stdout(other(&slave)?).stderr(other(&slave)?);
    let child = command.env("TERM", "xterm").spawn();
    // The end is seen only when nobody has the terminal any more.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    drop(slave);
    let mut child = child.context("cannot run it at a terminal")?;
    let (mut terminal, mut said, mut piece) = (File::from(master), Vec::new(), [0; 4096]);
    loop {
        match terminal.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => said.extend_from_slice(&piece[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            // Linux has EIO for a terminal that all others have closed.
            Err(_) => break,
        }
    }
    let status = child.wait().context("cannot wait for it")?;
    Ok(Shown { status, bytes: String::from_utf8_lossy(&said).into_owned() })
}

impl Shown {
    /// Bars were drawn: of each of these nodes, some of them while it fetched, and of the whole; and nothing is left of them.
    ///
    /// # Errors
    /// When one was not.
    pub(super) fn expect_bars(&self, nodes: &[&str]) -> Result<()> {
        let drawn = lines(&self.bytes);
        let of = |name: &str| {
            let name = format!("{name} ");
            drawn.iter().filter(move |line| line.starts_with(&name))
        };
        for name in nodes.iter().copied().chain(["all"]) {
            let bar = of(name).any(|line| line.contains([BAR, '░']));
            ensure!(bar, "no bar of {name} was drawn:\n{}", self.bytes);
        }
        let fetching = drawn.iter().any(|line| line.contains(BAR) && line.contains("fetching"));
        ensure!(fetching, "no bar was drawn while an image was fetched:\n{}", self.bytes);
        let left = self.end().contains([BAR, '░']);
        ensure!(!left, "bars are left on the screen:\n{}", self.bytes);
        Ok(())
    }

    /// What stands on the screen in the end: behind the last line that was wiped out.
    fn end(&self) -> String {
        let wiped = self.bytes.rfind("\u{1B}[2K").or_else(|| self.bytes.rfind("\u{1B}[J"));
        plain(&self.bytes[wiped.unwrap_or(0)..])
    }

    /// The final table.
    ///
    /// # Errors
    /// As of [`expect_table`].
    pub(super) fn expect_table(&self, nodes: &[(&str, &str)]) -> Result<()> {
        expect_table(&self.end(), nodes)
    }
}

/// All that was ever written to a line, in the order in which it was. What is as wide as the terminal goes on in the next line.
fn lines(text: &str) -> Vec<String> {
    let parts = uncommanded(text).flat_map(|part| part.split(['\r', '\n']));
    let wide = |part: &str| {
        let chars: Vec<char> = part.chars().collect();
        chars.chunks(usize::from(SIZE.ws_col)).map(String::from_iter).collect::<Vec<_>>()
    };
    parts.flat_map(wide).collect()
}

/// A text without its commands to the terminal.
fn plain(text: &str) -> String {
    uncommanded(text).collect()
}

/// What is between the commands to the terminal (CSI … a letter).
fn uncommanded(text: &str) -> impl Iterator<Item = &str> {
    text.split(ESCAPE).enumerate().map(|(number, part)| match number {
        0 => part,
        _ => part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest),
    })
}

/// What a program reads has no commands to a terminal in it.
///
/// # Errors
/// When it has.
pub(super) fn expect_plain(said: &str) -> Result<()> {
    ensure!(!said.contains([ESCAPE, BAR]), "in a pipe there are bars or colours: {said:?}");
    Ok(())
}

/// The table has one row for each of these nodes and no others, and what became of each begins so.
///
/// # Errors
/// When it has not.
pub(super) fn expect_table(said: &str, nodes: &[(&str, &str)]) -> Result<()> {
    let mut lines = said.lines().skip_while(|line| !line.starts_with("NODE ")).skip(1);
    let rows: Vec<&str> = lines.by_ref().take(nodes.len()).collect();
    for (name, state) in nodes {
        let name = format!("{name} ");
        let mut of_it = rows.iter().filter(|row| row.starts_with(&name));
        let row =
            of_it.next().with_context(|| format!("no row for {name}in the table:\n{said}"))?;
        ensure!(of_it.next().is_none(), "two rows for {name}in the table:\n{said}");
        // Name, id, board and turn are before it.
        let column = row.split_whitespace().skip(3).collect::<Vec<_>>().join(" ");
        ensure!(column.contains(state), "{name}should be {state:?}:\n{said}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "NODE   ID  BOARD   TURN    STATE\n\
        b-1    01  esp-01  canary  updated\n\
        b-2    02  esp-01  wave 1  rolled back: no other member has heard of it\n\
        1 updated\n";

    fn at_a_terminal(script: &str) -> Shown {
        run(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn tables_are_as_wide_as_the_nodes_and_say_what_became_of_each() {
        expect_table(TABLE, &[("b-1", "updated"), ("b-2", "rolled back")]).unwrap();
        for wrong in [("b-1", "failed"), ("b-3", "updated"), ("b", "updated")] {
            assert!(expect_table(TABLE, &[wrong, ("b-2", "rolled back")]).is_err(), "{wrong:?}");
        }
        assert!(expect_plain(TABLE).is_ok());
        assert!(expect_plain("\u{1B}[2Kb-1").is_err());
    }

    #[test]
    fn what_a_terminal_shows_is_told_from_what_a_pipe_gets() {
        let shown = at_a_terminal(
            "test -t 1 && test -t 2 || exit 9; stty size <&1; printf 'all  ███░░ \\n\\033[2Kb-1  ██░░ fetching, 3 %%'; \
             printf '\\r\\033[2K\\033[1ANODE  ID\\nb-1 01 esp-01 wave updated\\n'; exit 3",
        );
        assert_eq!(shown.status.code(), Some(3), "{}", shown.bytes);
        assert!(shown.bytes.starts_with("40 110"), "{}", shown.bytes);
        shown.expect_bars(&["b-1"]).unwrap();
        assert!(shown.expect_bars(&["b-2"]).is_err());
        shown.expect_table(&[("b-1", "updated")]).unwrap();
        let left = at_a_terminal("printf 'all ██\\nb-1 ██ fetching\\n'");
        assert!(left.expect_bars(&["b-1"]).is_err(), "they are left on the screen");
    }
}
