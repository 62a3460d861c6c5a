//! The whole comparison: all contenders, sizes and losses, several clusters at a time.

use crate::contender::Contender;
use crate::figures::{self, Collected, Figures, Measured, Memory, Run, Stalls};
use crate::sockets::{Case, Outcome};
use crate::{ALLOCATOR, file, read, report, trials};
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// The sizes of the clusters.
const SIZES: [usize; 4] = [8, 32, 100, 300];
const QUICK_SIZES: [usize; 2] = [8, 32];
/// The shares of unicast datagrams that get lost, in percent.
const LOSSES: [u8; 3] = [0, 10, 30];

/// So many nodes over real sockets run at a time.
const PROCESSES: u16 = 384;
/// How many clusters over real sockets a row is made of.
const CLUSTERS: fn(usize) -> u64 = |nodes| if nodes <= 8 { 2 } else { 1 };

#[derive(clap::Args)]
pub(crate) struct Compare {
    /// Over real sockets, in real time, instead of in the simulated world.
    #[arg(long)]
    sockets: bool,
    /// Clusters of 8 and 32 and few seeds: under two minutes in the simulated world, under ten over sockets.
    #[arg(long)]
    quick: bool,
    /// The sizes of the clusters, 4 to 500 each.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(4..=500))]
    nodes: Vec<u16>,
    /// The contenders. Default: all.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// Clusters of the simulated world that are tried at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Nodes over real sockets that run at a time, each a process. Default: 384.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    processes: Option<u16>,
    /// How many clusters of the simulated world a row is made of. Default: 34, 12 from 33 nodes on, 4 from 101 on.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// The folder `docs` whose figures, tables and plots are to be written.
    #[arg(long)]
    write: Option<PathBuf>,
}

impl Compare {
    pub(crate) fn run(&self) -> Result<()> {
        let mut figures = match &self.write {
            Some(docs) => read(docs)?,
            None => Figures::default(),
        };
        if self.sockets {
            figures.sockets.take_in(self.sockets()?);
        } else {
            figures.world.take_in(self.world()?);
        }
        print!("{}", report::tables(&figures));
        if let Some(docs) = &self.write {
            let file = file(docs);
            fs::create_dir_all(docs.join("benchmarks"))?;
            let json = serde_json::to_string_pretty(&figures)? + "\n";
            fs::write(&file, json).with_context(|| format!("cannot write {}", file.display()))?;
            report::write(docs, &figures)?;
        }
        Ok(())
    }

    fn sizes(&self) -> Vec<usize> {
        match (&self.nodes[..], self.quick || self.sockets) {
            ([], true) => QUICK_SIZES.to_vec(),
            ([], false) => SIZES.to_vec(),
            (nodes, _) => nodes.iter().copied().map(usize::from).collect(),
        }
    }

    /// Those that are asked for, of those that can be.
    fn contenders(&self) -> Result<Vec<Contender>> {
        let able = |it: &Contender| self.sockets || it.is_sans_io();
        if self.contenders.is_empty() {
            return Ok(Contender::ALL.into_iter().filter(able).collect());
        }
        let unable = self.contenders.iter().find(|it| !able(it));
        ensure!(unable.is_none(), "chitchat and memberlist have sockets of their own: --sockets");
        Ok(self.contenders.clone())
    }

    /// Measures in the simulated world, several clusters at a time: each is a thread of its own.
    fn world(&self) -> Result<Measured> {
        let (sizes, contenders) = (self.sizes(), self.contenders()?);
        // Memory first, while nothing else runs.
        let mut memory = Vec::new();
        for contender in &contenders {
            let heap = |nodes: &usize| Ok((*nodes, trials::heap(*contender, *nodes, &ALLOCATOR)?));
            let heap = sizes.iter().map(heap).collect::<Result<_>>()?;
            memory.push(Memory { contender: *contender, heap });
        }
        let mut cases = Vec::new();
        for contender in &contenders {
            for nodes in &sizes {
                cases.push((*contender, *nodes, None));
                cases.extend(LOSSES.map(|loss| (*contender, *nodes, Some(loss))));
            }
        }
        // Taken from the end: the largest first, so that no thread is left with them.
        cases.sort_by_key(|(_, nodes, _)| *nodes);
        let done = side_by_side(cases, self.jobs.into(), |(contender, nodes, loss)| {
            let seeds = self.seeds.unwrap_or_else(|| trials::seeds(nodes, self.quick));
            let Some(loss) = loss else {
                return Ok((None, Some(trials::stall_row(contender, nodes, seeds)?)));
            };
            let row = trials::row(contender, nodes, loss, seeds)?;
            eprintln!("{contender} with {nodes} nodes at {loss} % loss");
            Ok((Some(row), None))
        })?;
        let (rows, stalls): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let mut measured = self.measured()?;
        measured.rows = rows.into_iter().flatten().collect();
        measured.stalls = stalls.into_iter().flatten().collect();
        measured.memory = memory;
        Ok(measured)
    }

    /// Measures over real sockets, one size of clusters after the other.
    fn sockets(&self) -> Result<Measured> {
        let contenders = self.contenders()?;
        let mut measured = self.measured()?;
        for nodes in self.sizes() {
            let mut cases = Vec::new();
            for seed in 0..if self.quick { 1 } else { CLUSTERS(nodes) } {
                for contender in &contenders {
                    let case = Case {
                        contender: *contender,
                        nodes,
                        loss: 0,
                        stalls: true,
                        seed,
                        quick: self.quick,
                    };
                    cases.push(case.clone());
                    cases.extend(LOSSES.map(|loss| Case { stalls: false, loss, ..case.clone() }));
                }
            }
            let processes = self.processes.unwrap_or(PROCESSES);
            let at_once = (usize::from(processes) / nodes).clamp(1, cases.len());
            let done = side_by_side(cases, at_once, |case| {
                let outcome = case.start()?;
                eprintln!("{} with {nodes} nodes at {} % loss", case.contender, case.loss);
                Ok((case, outcome))
            })?;
            let rows = of_sockets(done, &measured);
            measured.take_in(rows);
        }
        Ok(measured)
    }

    /// No figures yet, but where they come from.
    fn measured(&self) -> Result<Measured> {
        let date = Command::new("date").arg("+%F").output().context("cannot run `date`")?;
        let run = Run {
            nodes: 0,
            contenders: self.contenders.clone(),
            command: self.command(),
            machine: machine()?,
            date: String::from_utf8_lossy(&date.stdout).trim().to_owned(),
        };
        let runs = self.sizes().into_iter().map(|nodes| Run { nodes, ..run.clone() });
        Ok(Measured { runs: runs.collect(), ..Measured::default() })
    }

    /// What repeats it.
    fn command(&self) -> String {
        fn list<T: ToString>(all: &[T]) -> Option<String> {
            let words: Vec<String> = all.iter().map(T::to_string).collect();
            (!words.is_empty()).then(|| words.join(","))
        }
        let mut command = String::from("cargo xtask bench peers");
        for (option, is_set) in [(" --sockets", self.sockets), (" --quick", self.quick)] {
            command += if is_set { option } else { "" };
        }
        let contenders: Vec<String> = self
            .contenders
            .iter()
            .filter_map(|it| Some(it.to_possible_value()?.get_name().to_owned()))
            .collect();
        for (option, value) in [
            ("--nodes", list(&self.nodes)),
            ("--contenders", list(&contenders)),
            ("--seeds", self.seeds.map(|seeds| seeds.to_string())),
            ("--processes", self.processes.map(|processes| processes.to_string())),
        ] {
            if let Some(value) = value {
                command += &format!(" {option} {value}");
            }
        }
        command
    }
}

/// Does `work` with each case, so many at once, the last ones first.
fn side_by_side<T: Send, R: Send>(
    cases: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (cases, done) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let drain = || -> Result<()> {
        let next = || cases.lock().expect("no thread has panicked").pop();
        while let Some(case) = next() {
            let result = work(case)?;
            done.lock().expect("no thread has panicked").push(result);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(drain)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread has panicked"))
    })?;
    Ok(done.into_inner().expect("no thread has panicked"))
}

/// The rows of clusters of one size.
fn of_sockets(done: Vec<(Case, Outcome)>, like: &Measured) -> Measured {
    let mut trials: BTreeMap<(Contender, usize, u8), Collected> = BTreeMap::new();
    let mut stalls: BTreeMap<(Contender, usize), Stalls> = BTreeMap::new();
    let mut heaps: BTreeMap<(Contender, usize), Vec<usize>> = BTreeMap::new();
    for (Case { contender, nodes, loss, .. }, outcome) in done {
        match outcome {
            Outcome::Trial(collected) => {
                heaps.entry((contender, nodes)).or_default().extend(&collected.heap);
                trials.entry((contender, nodes, loss)).or_default().add(collected);
            }
            Outcome::Stalls(more) => {
                let row = stalls
                    .entry((contender, nodes))
                    .or_insert_with(|| Stalls::new(contender, nodes));
                row.healthy += more.healthy;
                row.stalled += more.stalled;
                row.hours = figures::round(row.hours + more.hours);
            }
        }
    }
    let memory = heaps.into_iter().map(|((contender, nodes), mut heaps)| {
        heaps.sort_unstable();
        Memory { contender, heap: vec![(nodes, heaps[heaps.len() / 2])] }
    });
    Measured {
        rows: trials.iter().map(|((it, nodes, loss), all)| all.row(*it, *nodes, *loss)).collect(),
        stalls: stalls.into_values().collect(),
        memory: memory.collect(),
        ..like.clone()
    }
}

/// The processor, and how many of it.
fn machine() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let model = text
        .lines()
        .find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == "model name"));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    Ok(format!("{}, {} cores", model, std::thread::available_parallelism()?))
}
