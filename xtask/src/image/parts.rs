//! What updates, signatures and the dashboard take of an image's flash: what has a name of theirs, and what nobody else refers to.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::owners::{self, Item};
use super::references::References;

/// Words of the names that code of ours has because of updates.
const UPDATES: [&str; 12] = [
    "ota",
    "rollout",
    "update",
    "updates",
    "upload",
    "image",
    "images",
    "exchange",
    "install",
    "installed",
    "installer",
    "slots",
];
/// What has an exchange of another kind: requests and answers of HTTP.
const CLIENT: &str = "spore_node::client";
/// Crates of ours that only updates need.
const UPDATERS: [&str; 2] = ["spore_image", "spore_boot"];
/// What verifies signatures: Ed25519 and its hash.
const SIGNATURES: [&str; 4] =
    ["spore_signature", "curve25519_dalek", "ed25519_dalek", "sha2::sha512"];
const DASHBOARD: &str = "spore_node::dashboard";

/// Bytes of flash, each without what is there for others as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) updates: u64,
    pub(crate) signatures: u64,
    pub(crate) dashboard: u64,
    /// All three, with what is there for several of them. Signatures are there for updates, though the change of a
    /// release key is signed, too.
    all: u64,
}

/// What something is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Updates,
    Signatures,
    Dashboard,
}

impl Parts {
    /// Those of the image with this map file.
    ///
    /// # Errors
    /// When it, or the object file with Rust's code, cannot be read.
    pub(crate) fn read(map: &Path) -> Result<Self> {
        let items = owners::items(map)?;
        let mut of_rust = items.iter().filter(|item| part(&item.section).is_some());
        let file = &of_rust.next().context("nothing in the image is for updates")?.file;
        Ok(Self::of(&items, file, &References::of(Path::new(file))?))
    }

    fn of(items: &[Item], file: &str, references: &References) -> Self {
        let needed = references.needed_without(|_| false);
        let takes = |is_out: &dyn Fn(Part) -> bool| {
            let rest = references.needed_without(|section| part(section).is_some_and(is_out));
            let gone: HashSet<&str> = needed.difference(&rest).copied().collect();
            let there = items.iter().filter(|item| item.is_in_flash() && item.file == file);
            there.filter(|item| gone.contains(&*item.section)).map(|item| item.size).sum()
        };
        Self {
            updates: takes(&|part| part == Part::Updates),
            signatures: takes(&|part| part == Part::Signatures),
            dashboard: takes(&|part| part == Part::Dashboard),
            all: takes(&|_| true),
        }
    }

    /// By name.
    pub(crate) fn rows(&self) -> [(&'static str, u64); 3] {
        [("updates", self.updates), ("signatures", self.signatures), ("dashboard", self.dashboard)]
    }

    /// What an image of so many bytes takes without them.
    pub(crate) fn without(&self, image: u64) -> u64 {
        image - self.all
    }
}

/// What a section is for, by its name.
fn part(section: &str) -> Option<Part> {
    let name = owners::name_in(section)?;
    if name.contains(DASHBOARD) {
        Some(Part::Dashboard)
    } else if SIGNATURES.iter().any(|part| name.contains(part)) {
        Some(Part::Signatures)
    } else {
        is_for_updates(&name).then_some(Part::Updates)
    }
}

fn is_for_updates(name: &str) -> bool {
    let is_ours = (name.contains("spore_") || name.contains("node::")) && !name.contains(CLIENT);
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let mut word = || words.any(|word| UPDATES.contains(&word));
    UPDATERS.iter().any(|part| name.contains(part)) || (is_ours && word())
}

#[cfg(test)]
mod tests {
    use super::{Parts, is_for_updates};
    use crate::image::owners::Item;
    use crate::image::references::References;

    #[test]
    fn names_of_ours_tell_what_is_for_updates() {
        for name in [
            "<spore_core::node::Node>::poll_rollout",
            "<spore_image::pieces::Pieces as core::iter::Iterator>::next",
            "<embassy_executor::TaskStorage<node::node::run_installer::{closure#0}>>::poll",
            "spore_core::ota::plan::read",
        ] {
            assert!(is_for_updates(name), "{name}");
        }
        for name in [
            "<poly1305::State as universal_hash::UniversalHash>::update_with_backend",
            "<spore_core::network::trial::Trial>::new",
            "spore_core::rotary::turn",
            "spore_node::client::exchange::{closure#0}",
        ] {
            assert!(!is_for_updates(name), "{name}");
        }
    }

    #[test]
    fn what_has_its_name_and_what_nobody_else_refers_to_is_counted() {
        let [updates, page, curve] = [
            ".text._RNvNtCs1_10spore_core3ota1f",
            ".rodata._RNvNtCs1_10spore_node9dashboard4PAGE",
            ".text._RNvNtCs1_16curve25519_dalek7edwards1f",
        ];
        let item = |address, size, section: &str| {
            let (section, file) = (section.to_owned(), "/x/node.o".to_owned());
            Item { address, size, section, file }
        };
        let items = [
            item(0x4020_3100, 10, updates),
            item(0x4020_3110, 20, page),
            item(0x4020_3130, 30, curve),
            item(0x3FFE_8000, 40, ".bss._RNvNtCs1_10spore_core3ota1g"),
            item(0x4020_3150, 50, ".rodata..Lof_the_curve"),
            item(0x4020_3190, 60, ".text.spore_shared_by_updates_and_the_curve"),
            item(0x4020_31D0, 70, ".text.spore_shared_by_all"),
        ];
        let [own, two, all] = [4, 5, 6].map(|at: usize| &*items[at].section);
        let references = References::from_pairs(
            &[".text.user_init"],
            &[
                (".text.user_init", updates),
                (".text.user_init", page),
                (".text.user_init", curve),
                (".text.user_init", all),
                (updates, curve),
                (curve, own),
                (curve, two),
                (updates, two),
                (updates, all),
            ],
        );
        let parts = Parts::of(&items, "/x/node.o", &references);
        assert_eq!((parts.updates, parts.signatures, parts.dashboard), (10, 80, 20));
        assert_eq!(parts.without(1_000), 1_000 - 10 - 20 - 30 - 50 - 60);
    }
}
