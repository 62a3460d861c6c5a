//! Pins of the ESP8266, as embedded-hal has them.
//!
//! A pin is *on*, which embedded-hal calls high, at the level that the board's file says (`boards/`): who uses one need
//! not know how it is wired.

use core::convert::Infallible;
use core::marker::PhantomData;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin, StatefulOutputPin};
use sdk_sys::eagle_soc::*;

/// Where the chip has its registers.
pub const PERIPHERALS: u32 = 0x6000_0000;

/// The registers of the chip, by their addresses.
pub trait Registers {
    /// Reads a word.
    fn read(address: u32) -> u32;
    /// Writes a word.
    fn write(address: u32, value: u32);
}

/// What is connected to one of GPIO 0 to 5 and 12 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    gpio: u8,
    active_low: bool,
}

impl Pin {
    /// The pin of this number, which is on at the ground's level, or else at the supply's.
    ///
    /// # Panics
    /// If there is no such pin, so that a program with one does not compile. GPIO 6 to 11 are the flash's; GPIO 16 belongs to
    /// the clock that goes on in deep sleep, and has other registers.
    #[must_use]
    pub const fn new(gpio: u8, active_low: bool) -> Self {
        assert!(pad(gpio).is_some(), "this driver has GPIO 0 to 5 and 12 to 15");
        Self { gpio, active_low }
    }

    /// To switch what is connected to it. It floats until it is set for the first time.
    #[must_use]
    pub const fn output<R: Registers>(self) -> Output<R> {
        Output(self, PhantomData)
    }

    /// To see what is connected to it.
    #[must_use]
    pub const fn input<R: Registers>(self) -> Input<R> {
        Input(self, PhantomData)
    }

    const fn bit(self) -> u32 {
        1 << self.gpio
    }

    /// Connects the pad with the GPIO, in place of what else the chip has there.
    fn select<R: Registers>(self) {
        let Some((address, function)) = pad(self.gpio) else { return };
        let field = |function| function << PERIPHS_IO_MUX_FUNC_S;
        // Bit 2 of a function's number is bit 4 of the field.
        let function = function & 0b11 | (function & 0b100) << 2;
        let others = R::read(address) & !field(PERIPHS_IO_MUX_FUNC);
        R::write(address, others | field(function));
    }

    fn is_on(self, levels: u32) -> bool {
        (levels & self.bit() != 0) != self.active_low
    }
}

/// The register of a GPIO's pad, and the GPIO's number as a function of it.
const fn pad(gpio: u8) -> Option<(u32, u32)> {
    Some(match gpio {
        0 => (PERIPHS_IO_MUX_GPIO0_U, FUNC_GPIO0),
        1 => (PERIPHS_IO_MUX_U0TXD_U, FUNC_GPIO1),
        2 => (PERIPHS_IO_MUX_GPIO2_U, FUNC_GPIO2),
        3 => (PERIPHS_IO_MUX_U0RXD_U, FUNC_GPIO3),
        4 => (PERIPHS_IO_MUX_GPIO4_U, FUNC_GPIO4),
        5 => (PERIPHS_IO_MUX_GPIO5_U, FUNC_GPIO5),
        12 => (PERIPHS_IO_MUX_MTDI_U, FUNC_GPIO12),
        13 => (PERIPHS_IO_MUX_MTCK_U, FUNC_GPIO13),
        14 => (PERIPHS_IO_MUX_MTMS_U, FUNC_GPIO14),
        15 => (PERIPHS_IO_MUX_MTDO_U, FUNC_GPIO15),
        _ => return None,
    })
}

/// A pin that is driven.
#[derive(Debug)]
pub struct Output<R>(Pin, PhantomData<R>);

impl<R: Registers> Output<R> {
    fn set(&self, on: bool) {
        let Self(pin, _) = self;
        let register =
            if on != pin.active_low { GPIO_OUT_W1TS_ADDRESS } else { GPIO_OUT_W1TC_ADDRESS };
        // The level first, so that the pin is never driven the wrong way.
        R::write(PERIPHS_GPIO_BASEADDR + register, pin.bit());
        pin.select::<R>();
        R::write(PERIPHS_GPIO_BASEADDR + GPIO_ENABLE_W1TS_ADDRESS, pin.bit());
    }
}

impl<R> ErrorType for Output<R> {
    type Error = Infallible;
}

impl<R: Registers> OutputPin for Output<R> {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set(true);
        Ok(())
    }
}

impl<R: Registers> StatefulOutputPin for Output<R> {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.is_on(R::read(PERIPHS_GPIO_BASEADDR + GPIO_OUT_ADDRESS)))
    }

    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        self.is_set_high().map(|high| !high)
    }
}

/// A pin that is listened to.
#[derive(Debug)]
pub struct Input<R>(Pin, PhantomData<R>);

impl<R> ErrorType for Input<R> {
    type Error = Infallible;
}

impl<R: Registers> InputPin for Input<R> {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        let Self(pin, _) = self;
        R::write(PERIPHS_GPIO_BASEADDR + GPIO_ENABLE_W1TC_ADDRESS, pin.bit());
        pin.select::<R>();
        Ok(pin.is_on(R::read(PERIPHS_GPIO_BASEADDR + GPIO_IN_ADDRESS)))
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::thread_local;
    use std::vec::Vec;

    use super::*;

    /// The registers that were written, and all writes in their order.
    type State = (BTreeMap<u32, u32>, Vec<(u32, u32)>);

    thread_local! {
        static CHIP: RefCell<State> = RefCell::default();
    }

    /// The registers as the chip has them; what was written is remembered.
    struct Mock;

    impl Registers for Mock {
        fn read(address: u32) -> u32 {
            CHIP.with_borrow(|(words, _)| words.get(&address).copied().unwrap_or(0))
        }

        fn write(address: u32, value: u32) {
            CHIP.with_borrow_mut(|(words, written)| {
                written.push((address, value));
                match address.wrapping_sub(PERIPHS_GPIO_BASEADDR) {
                    GPIO_OUT_W1TS_ADDRESS => {
                        *words.entry(PERIPHS_GPIO_BASEADDR).or_default() |= value;
                    }
                    GPIO_OUT_W1TC_ADDRESS => {
                        *words.entry(PERIPHS_GPIO_BASEADDR).or_default() &= !value;
                    }
                    _ => _ = words.insert(address, value),
                }
            });
        }
    }

    fn written() -> Vec<(u32, u32)> {
        CHIP.with_borrow_mut(|(_, written)| core::mem::take(written))
    }

    #[test]
    fn a_pin_is_driven_to_the_level_at_which_it_is_on() {
        let mut light = Pin::new(2, true).output::<Mock>();
        assert_eq!(light.set_high(), Ok(()));
        let rest = [(0x6000_0838, 0), (0x6000_0310, 4)];
        assert_eq!(written(), [&[(0x6000_0308, 4)][..], &rest].concat(), "low is on");
        assert_eq!((light.is_set_high(), light.is_set_low()), (Ok(true), Ok(false)));
        assert_eq!(light.set_low(), Ok(()));
        assert_eq!(written(), [&[(0x6000_0304, 4)][..], &rest].concat());
        assert_eq!((light.is_set_high(), light.is_set_low()), (Ok(false), Ok(true)));
        let mut relay = Pin::new(0, false).output::<Mock>();
        assert_eq!(relay.set_high(), Ok(()));
        assert_eq!(written()[0], (0x6000_0304, 1));
        assert_eq!((relay.is_set_high(), light.is_set_high()), (Ok(true), Ok(false)));
        assert_eq!(relay.set_low(), Ok(()));
        assert_eq!(relay.is_set_low(), Ok(true));
    }

    #[test]
    fn a_pad_keeps_its_other_bits() {
        // The pull-up is on, and the function another one.
        Mock::write(PERIPHS_IO_MUX_MTDI_U, 0x180);
        assert_eq!(Pin::new(12, false).output::<Mock>().set_high(), Ok(()));
        assert_eq!(Mock::read(PERIPHS_IO_MUX_MTDI_U), 0x80 | 3 << 4);
    }

    #[test]
    fn an_input_is_not_driven_and_is_on_at_its_level() {
        Mock::write(PERIPHS_GPIO_BASEADDR + GPIO_IN_ADDRESS, 1 << 3);
        written();
        let [mut high, mut low] = [false, true].map(|low| Pin::new(3, low).input::<Mock>());
        assert_eq!((high.is_high(), high.is_low()), (Ok(true), Ok(false)));
        assert_eq!((low.is_high(), low.is_low()), (Ok(false), Ok(true)));
        assert_eq!(written()[..2], [(0x6000_0314, 8), (0x6000_0814, 3 << 4)]);
    }
}
