//! What the image that runs does about the selector: finds out how it came to run, confirms itself, or gives up.

use embedded_storage_async::nor_flash::NorFlash;
use spore_boot::layout::Layout;
use spore_boot::map::Slot;
use spore_boot::selector::{Choice, Stage};

use crate::refusal::Refusal;
use crate::slot::InFlash;

/// How the image that runs came to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is the one that is confirmed.
    Confirmed,
    /// It is on trial.
    Trial,
    /// The selector names the other slot, or none.
    Fallback {
        /// The image that is on trial there, and has not passed; `None` if there is no trial.
        tried: Option<u32>,
    },
}

/// How the image in the slot that `runs` came to run.
///
/// # Errors
/// [`Refusal::Flash`].
pub async fn find<L: Layout, F: NorFlash>(flash: &mut F, runs: Slot) -> Result<Found, Refusal> {
    let record = InFlash::<F, L>::new(flash, runs).selector().await?.record();
    Ok(match record.map(|record| record.choice) {
        Some(Choice { slot, stage: Stage::Confirmed, .. }) if slot == runs => Found::Confirmed,
        Some(Choice { slot, stage: Stage::Trial, .. }) if slot == runs => Found::Trial,
        Some(Choice { stage: Stage::Trial, image, .. }) => Found::Fallback { tried: Some(image) },
        Some(_) | None => Found::Fallback { tried: None },
    })
}

/// Confirms the image with this sequence number, in the slot that `runs`, in both sectors of the selector. If the other
/// slot was on trial, there is no image in it any more afterwards: it is not to be tried even if the selector is lost.
///
/// To be done at each start of a confirmed image, too: a power cut may have left only one sector that says so. Then nothing is written if
/// both do.
///
/// # Errors
/// [`Refusal::Flash`]; then it is to be done again.
pub async fn confirm<L: Layout, F: NorFlash>(
    flash: &mut F,
    runs: Slot,
    image: u32,
) -> Result<(), Refusal> {
    if let Found::Fallback { tried: Some(_) } = find::<L, F>(flash, runs).await? {
        InFlash::<F, L>::new(flash, runs.other()).erase_header().await?;
    }
    let mut slot = InFlash::<F, L>::new(flash, runs);
    let choice = Choice { slot: runs, stage: Stage::Confirmed, image };
    let selector = slot.selector().await?;
    if selector.record().is_none_or(|record| record.choice != choice) {
        slot.write_record(&selector.write(choice)).await?;
    }
    match slot.selector().await?.settle() {
        Some(write) => slot.write_record(&write).await,
        None => Ok(()),
    }
}

/// Uses up the starts that the image on trial in the slot that `runs` has left, so that the other one is started next.
///
/// # Errors
/// [`Refusal::Flash`]; and [`Refusal::Unconfirmed`] if it is not on trial.
pub async fn give_up<L: Layout, F: NorFlash>(flash: &mut F, runs: Slot) -> Result<(), Refusal> {
    if find::<L, F>(flash, runs).await? != Found::Trial {
        return Err(Refusal::Unconfirmed);
    }
    let mut slot = InFlash::<F, L>::new(flash, runs);
    while let Some(word) = slot.selector().await?.trial_word() {
        slot.write(word, &[0; 4]).await?;
        if slot.selector().await?.trial_word() == Some(word) {
            return Err(Refusal::Flash);
        }
    }
    Ok(())
}

/// The sequence number of the image in the slot that `runs`.
///
/// # Errors
/// [`Refusal::Flash`], and [`Refusal::Slot`] if there is none.
pub async fn sequence<L: Layout, F: NorFlash>(flash: &mut F, runs: Slot) -> Result<u32, Refusal> {
    let header = InFlash::<F, L>::new(flash, runs).header().await?;
    Ok(header.sequence)
}
