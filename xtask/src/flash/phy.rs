//! The parameters of the radio that Espressif's SDK reads from flash at each start, without which it starts anew for ever.
//!
//! 128 bytes at the start of the sector `PHY_DATA`. Espressif publishes no description but a form of its download tool; which byte means
//! what is known from there, and from what Arduino's core for the ESP8266 says about the bytes that it gives the SDK
//! (`core_esp8266_phy.cpp`). The values are those that both use for a module with a crystal of 26 MHz. **Untested on a board.**

/// The bytes that are read.
pub(crate) const LENGTH: usize = 128;

/// Power is counted in quarters of a decibel over a milliwatt.
const fn dbm(tenths: u16) -> u8 {
    // At most 20.5 dBm, which is 82.
    (tenths * 4 / 10) as u8
}

/// What each part of the radio is set to.
struct Parameters {
    /// Gains and filters of the analogue part, measured by Espressif for the chip, not for a board.
    analogue: [u8; 26],
    /// A harmonic of the crystal to keep clear of, in MHz, and the number that it is divided by.
    spur: (u8, u8),
    /// For which channels that holds, one bit each.
    spur_channels: u16,
    /// What the next four bytes are is not told.
    reserved: [u8; 4],
    /// Six steps of transmit power.
    power_steps: [u8; 6],
    /// Which of these steps each rate uses, from MCS 0 (and 6 Mbit/s) to MCS 7 (and 54 Mbit/s): the faster, the weaker, so that it
    /// stays clean.
    power_of_rate: [u8; 8],
    /// Which crystal.
    crystal: Crystal,
    /// The second harmonic, as [`spur`](Self::spur); it is kept clear of on no channel.
    second_spur: (u8, u8),
    /// The supply of the power amplifier in tenths of a volt, 18 to 36; 255 would have it measured, for which the ADC's pin must be free.
    supply: u8,
    /// What is calibrated at a start.
    calibration: Calibration,
}

/// The crystal beside the chip.
#[derive(Clone, Copy)]
enum Crystal {
    /// On every ESP-01.
    Mhz26 = 1,
}

/// What is calibrated at a start; the rest comes from the sector before this one.
#[derive(Clone, Copy)]
enum Calibration {
    /// The transmit power only: 20 ms.
    Power = 1,
}

/// Those of an ESP-01.
const ESP_01: Parameters = Parameters {
    analogue: [
        // The first is a mark: the SDK takes nothing that begins with another byte. The second is the layout's version.
        5, 8, 4, 2, 5, 5, 5, 2, 5, 0, 4, 5, 5, 4, 5, 5, 4, 0xFE, 0xFD, 0xFF, 0xF0, 0xF0, 0xF0, 0xE0,
        0xE0, 0xE0,
    ],
    spur: (225, 10),
    spur_channels: 0xFFFF,
    reserved: [0xF8, 0, 0xF8, 0xF8],
    power_steps: [dbm(195), dbm(185), dbm(175), dbm(160), dbm(150), dbm(140)],
    power_of_rate: [0, 0, 1, 1, 2, 3, 4, 5],
    crystal: Crystal::Mhz26,
    second_spur: (225, 10),
    supply: 33,
    calibration: Calibration::Power,
};

/// Where the parts are.
mod at {
    pub(super) const ANALOGUE: usize = 0;
    pub(super) const SPUR: usize = 26;
    pub(super) const SPUR_CHANNELS: usize = 28;
    pub(super) const RESERVED: usize = 30;
    pub(super) const POWER_STEPS: usize = 34;
    pub(super) const POWER_OF_RATE: usize = 40;
    pub(super) const CRYSTAL: usize = 48;
    pub(super) const SHARED_CRYSTAL: usize = 54;
    pub(super) const SECOND_SPUR: usize = 64;
    pub(super) const ANALOGUE_MORE: usize = 74;
    pub(super) const SUPPLY: usize = 107;
    pub(super) const CALIBRATION: usize = 114;
}

/// The parameters of an ESP-01 as they stand in flash.
pub(crate) fn esp_01() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    let Parameters { spur, second_spur, crystal, calibration, .. } = ESP_01;
    put(at::ANALOGUE, &ESP_01.analogue);
    put(at::SPUR, &[spur.0, spur.1]);
    put(at::SPUR_CHANNELS, &ESP_01.spur_channels.to_be_bytes());
    put(at::RESERVED, &ESP_01.reserved);
    put(at::POWER_STEPS, &ESP_01.power_steps);
    put(at::POWER_OF_RATE, &ESP_01.power_of_rate);
    put(at::CRYSTAL, &[crystal as u8]);
    // Not shared with a Bluetooth chip.
    put(at::SHARED_CRYSTAL, &[2]);
    put(at::SECOND_SPUR, &[second_spur.0, second_spur.1]);
    put(at::ANALOGUE_MORE, &[1, 0x93, 0x43, 0]);
    put(at::SUPPLY, &[ESP_01.supply]);
    put(at::CALIBRATION, &[calibration as u8]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{LENGTH, at, esp_01};

    #[test]
    fn the_sdk_finds_its_mark_and_a_radio_within_what_is_allowed() {
        let bytes = esp_01();
        assert_eq!((bytes.len(), bytes[0]), (LENGTH, 5));
        let steps = &bytes[at::POWER_STEPS..at::POWER_OF_RATE];
        assert_eq!(steps, [78, 74, 70, 64, 60, 56]);
        // 20 dBm is what Europe allows in this band (EN 300 328).
        assert!(steps.iter().all(|step| *step <= 80) && steps.is_sorted_by(|a, b| a > b));
        let rates = &bytes[at::POWER_OF_RATE..at::CRYSTAL];
        assert!(rates.is_sorted() && rates.iter().all(|rate| usize::from(*rate) < steps.len()));
        assert!((18..=36).contains(&bytes[at::SUPPLY]));
        assert_eq!(bytes[at::CALIBRATION + 1..], [0; 13]);
    }
}
