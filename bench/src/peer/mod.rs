//! A node with sockets of its own, as a process: it tells of its list on standard output, and ends with standard input.

mod chitchat;
mod foca;
mod memberlist;
mod spore;

use crate::address;
use crate::contender::Contender;
use crate::engine::Change;
use anyhow::{Context as _, Result, anyhow};
use peak_alloc::PeakAlloc;
use std::fmt;
use std::io::{BufRead as _, stdin};
use std::net::SocketAddr;
use std::str::FromStr;

/// Which node it is, and of what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Peer {
    /// What it runs.
    #[arg(value_enum)]
    pub(crate) contender: Contender,
    /// Its number, from 0.
    pub(crate) node: usize,
    /// How many are to be in the cluster.
    pub(crate) nodes: usize,
    /// What all chance comes from that it can be told.
    pub(crate) seed: u64,
}

/// What a node says, as a line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Its list has changed.
    Change(Change),
    /// It has so many bytes on its heap.
    Heap(usize),
}

/// What a node is asked for its heap with.
pub(crate) const ASK_HEAP: &str = "heap";

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(Change::Up(node)) => write!(f, "up {node}"),
            Self::Change(Change::Down(node)) => write!(f, "down {node}"),
            Self::Heap(bytes) => write!(f, "heap {bytes}"),
        }
    }
}

impl FromStr for Line {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let (what, number) = line.split_once(' ').with_context(|| format!("odd line {line:?}"))?;
        let number = number.parse().with_context(|| format!("odd line {line:?}"))?;
        match what {
            "up" => Ok(Self::Change(Change::Up(number))),
            "down" => Ok(Self::Change(Change::Down(number))),
            "heap" => Ok(Self::Heap(number)),
            _ => Err(anyhow!("odd line {line:?}")),
        }
    }
}

impl Peer {
    /// Runs the node until standard input ends.
    ///
    /// # Errors
    /// When it cannot have its address.
    pub(crate) fn run(&self, allocator: &'static PeakAlloc) -> Result<()> {
        std::thread::spawn(move || {
            for line in stdin().lock().lines().map_while(std::result::Result::ok) {
                if line == ASK_HEAP {
                    println!("{}", Line::Heap(allocator.current_usage()));
                }
            }
            std::process::exit(0);
        });
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
        match self.contender {
            Contender::Spore => spore::run(self),
            Contender::FocaOwn | Contender::FocaSame => foca::run(self),
            Contender::Chitchat => runtime()?.block_on(chitchat::run(self)),
            Contender::MemberlistOwn | Contender::MemberlistSame => {
                runtime()?.block_on(memberlist::run(self))
            }
        }
    }

    fn address(&self) -> SocketAddr {
        address::of(self.node).into()
    }

    fn seeds(&self) -> impl Iterator<Item = SocketAddr> {
        address::seeds(self.node).into_iter().map(SocketAddr::from)
    }
}

/// Tells of a change.
fn tell(change: Change) {
    println!("{}", Line::Change(change));
}

/// The node that has this address.
fn node_at(address: SocketAddr) -> Option<usize> {
    match address {
        SocketAddr::V4(v4) => address::node(*v4.ip()),
        SocketAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::engine::Change::{Down, Up};

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for line in [Line::Change(Up(3)), Line::Change(Down(299)), Line::Heap(1_000_000)] {
            assert_eq!(line.to_string().parse::<Line>().unwrap(), line);
        }
        for odd in ["", "up", "up x", "over 3", "heap -1"] {
            assert!(odd.parse::<Line>().is_err(), "{odd}");
        }
    }
}
