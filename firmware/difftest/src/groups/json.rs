//! JSON written and read by `serde-json-core`.

use serde::{Deserialize, Serialize};

use crate::{Inputs, Trace};

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum State {
    Active,
    Suspect,
    Dead,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Document<'a> {
    name: &'a str,
    state: State,
    uptime: u64,
    signal: i8,
    ratio: f32,
    address: [u8; 4],
    last: Option<u32>,
    members: heapless::Vec<Entry<'a>, 4>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Entry<'a> {
    id: &'a str,
    alive: bool,
    age: i64,
}

pub(super) fn documents(inputs: &mut Inputs, trace: &mut Trace<'_>) {
    const NAMES: [&str; 4] = ["spore-1", "", "a b/c", "\u{e9}\u{1F980}"];
    for _ in 0..80 {
        let document = Document {
            name: NAMES[inputs.index(NAMES.len())],
            state: [State::Active, State::Suspect, State::Dead][inputs.index(3)],
            uptime: inputs.edge(),
            signal: inputs.edge() as i8,
            ratio: inputs.edge() as i32 as f32 / 64.0,
            address: (inputs.edge() as u32).to_be_bytes(),
            last: inputs.coin().then(|| inputs.edge() as u32),
            members: (0..inputs.below(5))
                .map(|_| Entry {
                    id: NAMES[inputs.index(NAMES.len())],
                    alive: inputs.coin(),
                    age: inputs.edge() as i64,
                })
                .collect(),
        };
        // Now and then the buffer is too small: the error is a result too.
        let mut buffer = [0; 600];
        let room = if inputs.below(4) == 0 { inputs.index(300) } else { buffer.len() };
        match serde_json_core::to_slice(&document, &mut buffer[..room]) {
            Ok(len) => {
                trace.bytes(&buffer[..len]);
                read_back(&document, &buffer[..len], trace);
                mutate(inputs, &mut buffer[..len], trace);
            }
            Err(error) => trace.display(error),
        }
    }
}

fn read_back(document: &Document<'_>, json: &[u8], trace: &mut Trace<'_>) {
    match serde_json_core::from_slice::<Document<'_>>(json) {
        Ok((read, len)) => {
            trace.word(read == *document);
            trace.word(len);
        }
        Err(error) => trace.display(error),
    }
}

fn mutate(inputs: &mut Inputs, json: &mut [u8], trace: &mut Trace<'_>) {
    for _ in 0..5 {
        let at = inputs.index(json.len());
        json[at] = inputs.any() as u8 & 0x7F;
        match serde_json_core::from_slice::<Document<'_>>(json) {
            Ok((read, _)) => trace.display(format_args!("{read:?}")),
            Err(error) => trace.display(error),
        }
    }
}
