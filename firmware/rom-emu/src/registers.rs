//! The chip's registers. Some do something here; the others hold what was written, and zero before.
//!
//! Addresses: `eagle_soc.h`, `uart_register.h` and `spi_register.h` of Espressif's SDK 3.0.6; those of timers, efuses and MAC from its libraries'
//! instructions and Arduino's `esp8266_peri.h`.

use core::ops::Range;
use core::ptr;

use qemu::cpu;

use crate::local::Local;
use crate::{chip, console, timer};

/// Where there are registers, and where in QEMU's RAM they are kept, which nobody else uses.
const REGIONS: [(Range<u32>, u32); 2] =
    [(0x6000_0000..0x6001_0000, 0x3FF5_0000), (0x3FF0_0000..0x3FF4_0000, 0x3FF6_0000)];
/// Keeps its contents over resets.
const RTC_MEMORY: Range<u32> = 0x6000_1000..0x6000_1400;

/// The serial lines: what is to be sent, and how much waits for that.
const UART_FIFO: [u32; 2] = [0x6000_0000, 0x6000_0F00];
const UART_STATUS: [u32; 2] = [0x6000_001C, 0x6000_0F1C];

/// The flash's controller.
const SPI_COMMAND: u32 = 0x6000_0200;
/// Which command the program itself has made up: in its low half.
const SPI_USER2: u32 = 0x6000_0224;
/// What has come back.
const SPI_DATA: u32 = 0x6000_0240;
/// `SPI_COMMAND`: read who the flash is; do what the program has made up.
const SPI_READ_ID: u32 = 1 << 28;
const SPI_USER: u32 = 1 << 18;
/// Winbond W25Q80: 1 MB.
const FLASH_ID: u32 = 0x14_40EF;

/// The pins. Three of them tell how to start, in bits 16 to 18 ...
const GPIO_IN: u32 = 0x6000_0318;
/// ... which is from flash.
const FROM_FLASH: u32 = 3 << 16;

const FRC2_LOAD: u32 = 0x6000_0620;
const FRC2_COUNT: u32 = 0x6000_0624;
const FRC2_CTRL: u32 = 0x6000_0628;
const FRC2_ALARM: u32 = 0x6000_0630;

const RTC_CTRL: u32 = 0x6000_0700;
/// Of `RTC_CTRL`.
const RESET: u32 = 1 << 31;
/// Counts at some 160 kHz.
const RTC_COUNT: u32 = 0x6000_071C;
const RTC_US: u64 = 6;
/// `pm_wait4wakeup` of `libphy` waits until one of the two lowest bits is set.
const RTC_AWAKE: u32 = 0x6000_0728;

/// Four words that were burnt in. With this third one the last three bytes of the MAC address are in the first two, and the chip is
/// an ESP8266.
const EFUSES: u32 = 0x3FF0_0050;
const EFUSE_VALUES: [u32; 4] = [0x56 << 24, 0x1234, 1 << 15, 0];

/// Microseconds.
const MAC_TIME: u32 = 0x3FF2_0C00;
/// Noise.
const RANDOM: u32 = 0x3FF2_0E44;

/// A program that has read the same from a register so often in a row waits for what never happens here.
const IN_VAIN: u32 = 100_000;

/// The last reading, where it was made, and how often.
struct Reading {
    pc: u32,
    value: u32,
    times: u32,
}

static LAST: Local<Reading> = Local::new(Reading { pc: 0, value: 0, times: 0 });
static NOISE: Local<u32> = Local::new(1);

/// Where the register at `address` is kept.
fn place(address: u32) -> Option<*mut u32> {
    let (range, memory) = REGIONS.iter().find(|(range, _)| range.contains(&address))?;
    Some(ptr::with_exposed_provenance_mut((address - range.start + memory) as usize))
}

/// Whether the chip has registers at `address`.
pub(crate) fn are_at(address: u32) -> bool {
    place(address).is_some()
}

/// What the register at `address`, a multiple of 4, holds.
pub(crate) fn kept(address: u32) -> u32 {
    // SAFETY: memory that is there for this.
    place(address).map_or(0, |place| unsafe { place.read_volatile() })
}

/// Has the register at `address`, a multiple of 4, hold `value`, and do nothing.
pub(crate) fn keep(address: u32, value: u32) {
    if let Some(place) = place(address) {
        // SAFETY: memory that is there for this.
        unsafe { place.write_volatile(value) };
    }
}

/// Sets all to what they are after a reset.
pub(crate) fn start() {
    for (range, _) in REGIONS {
        range.step_by(4).filter(|at| !RTC_MEMORY.contains(at)).for_each(|at| keep(at, 0));
    }
    for (at, value) in (EFUSES..).step_by(4).zip(EFUSE_VALUES) {
        keep(at, value);
    }
    keep(GPIO_IN, FROM_FLASH);
    keep(RTC_AWAKE, 1);
    NOISE.set(cpu::cycles() | 1);
}

/// What the instruction at `pc` reads at `address`, a multiple of 4.
pub(crate) fn read(address: u32, pc: u32) -> u32 {
    let value = match address {
        at if UART_STATUS.contains(&at) => 0,
        FRC2_COUNT => timer::count(),
        RTC_COUNT => (timer::now_us() / RTC_US) as u32,
        MAC_TIME => timer::now_us() as u32,
        RANDOM => NOISE.with(|noise| {
            // Marsaglia, Xorshift RNGs, 2003.
            *noise ^= *noise << 13;
            *noise ^= *noise >> 17;
            *noise ^= *noise << 5;
            *noise
        }),
        at => kept(at),
    };
    let times = LAST.with(|last| {
        let again = last.pc == pc && last.value == value;
        *last = Reading { pc, value, times: if again { last.times + 1 } else { 0 } };
        last.times
    });
    if times == IN_VAIN {
        chip::stop(format_args!("at {pc:#010x} register {address:#010x} stays {value:#x}"));
    }
    value
}

/// The instruction at `pc` writes to `address`, a multiple of 4.
pub(crate) fn write(address: u32, value: u32, pc: u32) {
    match address {
        at if UART_FIFO.contains(&at) => return console::send(value as u8),
        SPI_COMMAND => return command(value, pc),
        FRC2_LOAD => timer::load(value),
        FRC2_CTRL => timer::control(value),
        FRC2_ALARM => timer::set_alarm(value),
        RTC_CTRL if value & RESET != 0 => chip::reset(),
        _ => {}
    }
    keep(address, value);
}

/// The flash's controller is told to do something, which it has done at once.
fn command(command: u32, pc: u32) {
    match command {
        SPI_READ_ID => keep(SPI_DATA, FLASH_ID),
        SPI_USER => {
            chip::tell(format_args!("FLASH command {:#04x} at {pc:#010x}", kept(SPI_USER2) as u16));
            keep(SPI_DATA, 0);
        }
        // Nothing happens, and the test fails.
        other => chip::tell(format_args!("FLASH controller {other:#010x} at {pc:#010x}")),
    }
}
