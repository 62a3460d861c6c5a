//! What the operator wants of a rollout, and the plan that says so to the nodes.

use super::images::Image;
use crate::keys::ReleaseKey;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use sha2::{Digest as _, Sha256};
use spore_core::NodeId;
use spore_core::ota::plan::{Image as Planned, Plan, RolloutId, SignedPlan};

/// How careful the rollout is.
#[derive(Clone, Debug, Args)]
pub(super) struct Care {
    /// So many nodes of each board try their image first
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    canary: u8,
    /// What share of the nodes is updated when each wave is over, up to 4, the last one 100%
    #[arg(long, value_name = "PERCENT,…", default_value = "10%,50%,100%", value_delimiter = ',', value_parser = percent)]
    waves: Vec<u8>,
    /// How long all must be well before the next wave: 60s, 5m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = seconds)]
    gate: u16,
    /// With so many failed nodes the rollout is halted
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    max_failures: u8,
    /// After so long it ends by itself, in hours
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=i64::from(Plan::MAX_EXPIRY)))]
    expiry: u16,
    /// Nodes that are away when it begins are not updated when they come back
    #[arg(long)]
    no_catch_up: bool,
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse();
    number
        .ok()
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| "a share from 1% to 100%".into())
}

/// Seconds of a time like 60s, 5m or 1h; a bare number is of seconds.
fn seconds(text: &str) -> Result<u16, String> {
    let (digits, factor) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((digits, "s")) => (digits, 1),
        Some((digits, "m")) => (digits, 60),
        Some((digits, "h")) => (digits, 3_600),
        _ => (text, 1),
    };
    let seconds = digits.parse::<u16>().ok().and_then(|number| number.checked_mul(factor));
    seconds.ok_or_else(|| "a time like 60s, 5m or 1h, up to 18h".into())
}

/// A node that may be a canary.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: NodeId,
    pub(super) board: String,
}

/// A signed plan for these images, whose canaries are among `candidates`.
///
/// Each board has canaries of its own: what is good on one says nothing of another one's image.
pub(super) fn make(
    care: &Care,
    id: RolloutId,
    images: &[Image],
    candidates: &[Candidate],
    key: &ReleaseKey,
) -> Result<SignedPlan> {
    let mut plan = Plan {
        id,
        images: Default::default(),
        canaries: Default::default(),
        waves: Default::default(),
        gate: care.gate,
        max_failures: care.max_failures,
        expiry: care.expiry,
        catches_up: !care.no_catch_up,
    };
    for percent in &care.waves {
        plan.waves.push(*percent).ok().context("there are at most 4 waves")?;
    }
    for image in images {
        let board = image.head.header.board;
        let [digest @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]: [u8; 32] =
            Sha256::digest(image.head.encode()).into();
        let planned = Planned { board, sequence: image.sequence(), digest };
        plan.images.push(planned).ok().context("a rollout has at most 3 images")?;
        let mut able: Vec<_> =
            candidates.iter().filter(|node| node.board == image.head.board()).collect();
        able.sort_by_key(|node| (id.rank(node.id), node.id));
        for node in able.iter().take(care.canary.into()) {
            let full = "a rollout has at most 4 canaries: use a lower --canary";
            plan.canaries.push(node.id).ok().context(full)?;
        }
    }
    let mut bytes = [0; Plan::MAX];
    let len = plan.encode(&mut bytes);
    if Plan::decode(&bytes[..len]).is_err() {
        bail!("the waves must rise to 100%, and each image be for another board");
    }
    let mut message = [0; Plan::MESSAGE];
    let len = plan.message(&mut message);
    Ok(SignedPlan { signature: key.sign_plan(&message[..len]), plan })
}

#[cfg(test)]
mod tests {
    use super::{percent, seconds};

    #[test]
    fn shares_and_times_are_read_as_people_write_them() {
        assert_eq!([percent("10%"), percent("100")], [Ok(10), Ok(100)]);
        assert!(["0%", "101%", "x", "", "-1", "10.5%"].iter().all(|text| percent(text).is_err()));
        assert_eq!(
            [seconds("60s"), seconds("5m"), seconds("18h"), seconds("7")],
            [60, 300, 64_800, 7].map(Ok)
        );
        assert!(["19h", "s", "", "-1s", "1d", "70000"].iter().all(|text| seconds(text).is_err()));
    }
}
