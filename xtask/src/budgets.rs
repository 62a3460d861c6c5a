//! What the design gives an ESP-01: `firmware/budgets.toml`.

use std::fmt;
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths;

/// Where the numbers are, below the repository.
const FILE: &str = "firmware/budgets.toml";

/// All numbers, in bytes. What each limits stands in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    pub(crate) image: Image,
    pub(crate) ram: Ram,
    pub(crate) stack: Stack,
    pub(crate) engine: Engine,
    pub(crate) comparison: Comparison,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    pub(crate) whole: u64,
    pub(crate) dashboard: u64,
    pub(crate) core: u64,
}

impl Image {
    /// For an image without a dashboard.
    pub(crate) fn today(self) -> u64 {
        self.whole - self.dashboard
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ram {
    pub(crate) iram: u64,
    pub(crate) statics: u64,
    pub(crate) heap: u64,
    pub(crate) started: u64,
    pub(crate) start: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stack {
    pub(crate) first: u64,
    pub(crate) callback: u64,
    pub(crate) second: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Engine {
    pub(crate) member: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comparison {
    pub(crate) cplusplus: u64,
}

impl Comparison {
    /// How far an image of so many bytes is from it, in words.
    pub(crate) fn distance(self, image: u64) -> String {
        match (image.checked_sub(self.cplusplus), self.cplusplus.checked_sub(image)) {
            (Some(0), _) => "as many".to_owned(),
            (Some(more), _) => format!("{} bytes more", grouped(more)),
            (None, less) => format!("{} bytes less", grouped(less.unwrap_or_default())),
        }
    }
}

impl Budgets {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or has too little or too much in it.
    pub(crate) fn read() -> Result<Self> {
        let path = paths::repository().join(FILE);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
        toml::from_str(&text).with_context(|| format!("{FILE} is not as xtask knows it"))
    }

    /// The limit that the linker holds, by the name that the script has for it.
    pub(crate) fn of_linker(&self) -> (&'static str, u64) {
        ("HEAP_LIMIT", self.ram.heap)
    }
}

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    AtMost(u64),
    AtLeast(u64),
}

impl Bound {
    /// By how much `value` passes it.
    pub(crate) fn excess(self, value: u64) -> u64 {
        match self {
            Self::AtMost(limit) => value.saturating_sub(limit),
            Self::AtLeast(limit) => limit.saturating_sub(value),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {}", grouped(*limit)),
            Self::AtLeast(limit) => write!(f, "at least {}", grouped(*limit)),
        }
    }
}

/// A figure with its name.
pub(crate) type Held = (&'static str, u64, Bound);

/// Holds figures to their limits.
///
/// # Errors
/// When one is passed; the message names all that are, and by how much.
pub(crate) fn hold(figures: &[Held]) -> Result<()> {
    let passed: Vec<String> = figures
        .iter()
        .filter(|(_, value, bound)| bound.excess(*value) > 0)
        .map(|(what, value, bound)| {
            let [value, excess] = [*value, bound.excess(*value)].map(grouped);
            format!(
                "{what}: {value}, which should be {bound} ({FILE}), and passes that by {excess}"
            )
        })
        .collect();
    if passed.is_empty() { Ok(()) } else { bail!("{}", passed.join("; ")) }
}

/// A number with its thousands apart.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Bound, Budgets, Comparison, hold};
    use crate::paths;
    use std::fs;

    #[test]
    fn the_file_has_what_is_read_and_nothing_else() {
        let budgets = Budgets::read().unwrap();
        assert!(budgets.image.today() < budgets.image.whole);
        let text = fs::read_to_string(paths::firmware().join("budgets.toml")).unwrap();
        let more = format!("{text}\nsurprise = 1\n");
        assert!(toml::from_str::<Budgets>(&more).is_err());
    }

    #[test]
    fn the_second_stack_is_as_large_as_in_the_file() {
        let second = Budgets::read().unwrap().stack.second;
        let wanted = format!("const SECOND: u32 = {}_{:03};", second / 1000, second % 1000);
        let file = paths::firmware().join("node/src/board/esp8266/stack.rs");
        assert!(fs::read_to_string(file).unwrap().contains(&wanted), "{wanted}");
    }

    #[test]
    fn the_second_stack_fits_into_what_the_sdk_leaves_of_the_heap() {
        let Budgets { ram, stack, .. } = Budgets::read().unwrap();
        // A block of the SDK's heap has a header.
        assert!(ram.heap - ram.start >= ram.started && ram.started >= stack.second + 16);
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let figures = |image, heap| {
            [("image", image, Bound::AtMost(400)), ("heap", heap, Bound::AtLeast(12))]
        };
        hold(&figures(400, 12)).unwrap();
        let both = hold(&figures(1_401, 10)).unwrap_err().to_string();
        assert!(both.contains("image: 1,401, which should be at most 400"), "{both}");
        assert!(both.contains("by 1,001; heap: 10, which should be at least 12"), "{both}");
    }

    #[test]
    fn the_distance_to_the_cpp_equivalent_is_told() {
        let comparison = Comparison { cplusplus: 347_732 };
        assert_eq!(comparison.distance(400_000), "52,268 bytes more");
        assert_eq!(comparison.distance(347_000), "732 bytes less");
        assert_eq!(comparison.distance(347_732), "as many");
    }
}
