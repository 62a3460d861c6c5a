//! What updates, signatures and the dashboard take of an image's flash, by the names of what is in it: less than they do, since
//! constants without a name and shared runs of instructions are nobody's.

use super::owners::{self, Item};

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
/// Crates of ours that only updates need.
const UPDATERS: [&str; 2] = ["spore_image", "spore_boot"];
/// What verifies signatures: Ed25519 and its hash.
const SIGNATURES: [&str; 4] =
    ["spore_signature", "curve25519_dalek", "ed25519_dalek", "sha2::sha512"];
const DASHBOARD: &str = "spore_node::dashboard";

/// Bytes of flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) updates: u64,
    pub(crate) signatures: u64,
    pub(crate) dashboard: u64,
}

impl Parts {
    /// Those in a map file's items.
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut parts = Self::default();
        for item in items.iter().filter(|item| item.is_in_flash()) {
            let Some(name) = owners::name_in(&item.section) else { continue };
            let part = if name.contains(DASHBOARD) {
                &mut parts.dashboard
            } else if SIGNATURES.iter().any(|part| name.contains(part)) {
                &mut parts.signatures
            } else if is_for_updates(&name) {
                &mut parts.updates
            } else {
                continue;
            };
            *part += item.size;
        }
        parts
    }

    /// By name.
    pub(crate) fn rows(&self) -> [(&'static str, u64); 3] {
        [("updates", self.updates), ("signatures", self.signatures), ("dashboard", self.dashboard)]
    }

    /// What an image of so many bytes takes without updates and dashboard.
    pub(crate) fn without(&self, image: u64) -> u64 {
        image - self.updates - self.dashboard
    }
}

fn is_for_updates(name: &str) -> bool {
    let is_ours = name.contains("spore_") || name.contains("node::");
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let mut word = || words.any(|word| UPDATES.contains(&word));
    UPDATERS.iter().any(|part| name.contains(part)) || (is_ours && word())
}

#[cfg(test)]
mod tests {
    use super::{Parts, is_for_updates};
    use crate::image::owners::Item;

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
        ] {
            assert!(!is_for_updates(name), "{name}");
        }
    }

    #[test]
    fn what_is_in_flash_and_has_a_name_is_counted() {
        let item = |address, size, section: &str| {
            let (section, file) = (section.to_owned(), "/x/node.o".to_owned());
            Item { address, size, section, file }
        };
        let items = [
            item(0x4020_3100, 10, ".text._RNvNtCs1_10spore_core3ota1f"),
            item(0x4020_3110, 20, ".rodata._RNvNtCs1_10spore_node9dashboard4PAGE"),
            item(0x4020_3130, 30, ".text._RNvNtCs1_16curve25519_dalek7edwards1f"),
            item(0x3FFE_8000, 40, ".bss._RNvNtCs1_10spore_core3ota1g"),
            item(0x4020_3150, 50, ".rodata..Lanon.1.2"),
        ];
        let parts = Parts::of(&items);
        assert_eq!(parts, Parts { updates: 10, signatures: 30, dashboard: 20 });
        assert_eq!(parts.without(1_000), 970);
    }
}
