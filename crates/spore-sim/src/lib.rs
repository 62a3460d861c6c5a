//! The simulated world: many engines, one seeded network, virtual time, in one thread.
//!
//! The simulator drives [`spore_core::Node`] directly, with the verbs that every other body uses,
//! so what is tested here is what runs on the chip. Nothing in it reads a clock or draws entropy:
//! a [`Scenario`] with its seed replays to the same [`Report::log_hash`], always and everywhere.
//!
//! ```
//! use spore_sim::{Scenario, Simulation, network::Loss};
//! use std::time::Duration;
//!
//! let mut scenario = Scenario { nodes: 8, seed: 7, ..Scenario::default() };
//! scenario.conditions.loss = Loss { unicast: 0.1, broadcast: 0.5 };
//! let mut sim = Simulation::new(scenario)?;
//! let complete = sim.run_until_complete(Duration::from_secs(60)).expect("eight find each other");
//! println!("after {complete:?}, log {:016x}", sim.report().log_hash);
//! # Ok::<(), spore_sim::ScenarioError>(())
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`scenario`] | what is to happen: nodes, clocks, conditions, a script of [`Command`]s |
//! | [`network`] | faults of the air, each a small [`Fault`](network::Fault); they compose |
//! | [`simulation`] | [`Simulation`], which runs a scenario |
//! | [`images`] | what nodes are updated with |
//! | [`flash`] | a flash chip, and what a power cut leaves of its operations |
//! | [`trial`] | a [`Plan`](trial::Plan), as people write scenarios, run and judged |
//! | [`report`] | what came of it, in figures |
//! | [`ledger`] | what was published for the cluster, and what became of it |
//! | [`log`] | every event as it happens, and the hash over all of them |
//! | [`junk`] | hostile datagrams and HTTP requests, for all bodies, not only this one |

mod body;
mod checks;
mod clock;
mod engine;
pub mod flash;
mod http;
pub mod images;
pub mod junk;
pub mod ledger;
pub mod log;
pub mod network;
mod nonces;
mod queue;
pub mod report;
pub mod scenario;
pub mod simulation;
pub mod trial;
mod watch;

pub use checks::State;
pub use report::{Report, Spread};
pub use scenario::{Command, Memory, Scenario, ScenarioError};
pub use simulation::Simulation;
