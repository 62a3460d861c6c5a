//! `eagle_soc.h`: registers of the chip.

use crate::layout::{Header, constants};

/// What is checked.
pub const HEADER: Header = Header { file: "eagle_soc.h", types: &[], constants: CONSTANTS };

constants! {
    /// Where the registers of the pins begin; the next ones count from here.
    PERIPHS_GPIO_BASEADDR: u32 = 0x6000_0300;
    /// Levels that are driven, a bit for each of GPIO 0 to 15.
    GPIO_OUT_ADDRESS: u32 = 0x00;
    /// Bits that are written as 1 are set there.
    GPIO_OUT_W1TS_ADDRESS: u32 = 0x04;
    /// Bits that are written as 1 are cleared there.
    GPIO_OUT_W1TC_ADDRESS: u32 = 0x08;
    /// Bits that are written as 1 make outputs.
    GPIO_ENABLE_W1TS_ADDRESS: u32 = 0x10;
    /// Bits that are written as 1 make inputs.
    GPIO_ENABLE_W1TC_ADDRESS: u32 = 0x14;
    /// Levels that there are.
    GPIO_IN_ADDRESS: u32 = 0x18;

    /// Of a pad: bits 0, 1 and 4, behind the shift, say what it is connected with.
    PERIPHS_IO_MUX_FUNC: u32 = 0x13;
    /// The shift.
    PERIPHS_IO_MUX_FUNC_S: u32 = 4;
    /// The pad of GPIO 0.
    PERIPHS_IO_MUX_GPIO0_U: u32 = 0x6000_0834;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO0: u32 = 0;
    /// The pad of GPIO 1, which is the serial line's output, too.
    PERIPHS_IO_MUX_U0TXD_U: u32 = 0x6000_0818;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO1: u32 = 3;
    /// The pad of GPIO 2.
    PERIPHS_IO_MUX_GPIO2_U: u32 = 0x6000_0838;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO2: u32 = 0;
    /// The pad of GPIO 3, which is the serial line's input, too.
    PERIPHS_IO_MUX_U0RXD_U: u32 = 0x6000_0814;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO3: u32 = 3;
    /// The pad of GPIO 4.
    PERIPHS_IO_MUX_GPIO4_U: u32 = 0x6000_083C;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO4: u32 = 0;
    /// The pad of GPIO 5.
    PERIPHS_IO_MUX_GPIO5_U: u32 = 0x6000_0840;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO5: u32 = 0;
    /// The pad of GPIO 12.
    PERIPHS_IO_MUX_MTDI_U: u32 = 0x6000_0804;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO12: u32 = 3;
    /// The pad of GPIO 13.
    PERIPHS_IO_MUX_MTCK_U: u32 = 0x6000_0808;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO13: u32 = 3;
    /// The pad of GPIO 14.
    PERIPHS_IO_MUX_MTMS_U: u32 = 0x6000_080C;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO14: u32 = 3;
    /// The pad of GPIO 15.
    PERIPHS_IO_MUX_MTDO_U: u32 = 0x6000_0810;
    /// That GPIO, as a function of the pad.
    FUNC_GPIO15: u32 = 3;
}
