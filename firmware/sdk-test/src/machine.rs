//! Tasks, timers, heap, flash, RTC memory, and four starts for four reasons.

use core::ffi::c_void;
use core::ptr;

use sdk_sys::ets_sys::{ETSEvent, ETSTimer};
use sdk_sys::mem::{pvPortMalloc, vPortFree};
use sdk_sys::osapi::*;
use sdk_sys::spi_flash::*;
use sdk_sys::user_interface::*;

use crate::{CONFIGURATION, Global, NOBODY, Queue, check, end};

/// A sector for the test, and what is written into it.
const SECTOR: u32 = CONFIGURATION + 0x1000;
const PATTERN: [u32; 40] = [0x1234_5678; 40];
/// The first block of RTC memory that is ours, and what is kept there.
const BLOCK: u8 = 64;
const KEPT: u32 = 0x6B65_7074;
/// What the hook leaves behind there, with the reason that it was told.
const HOOKED: u32 = 0x686F_6F00;
/// EXCCAUSE of a store where there is no memory, in QEMU; on the chip it is 29.
const NOWHERE: u32 = 15;

/// Each start does its part and causes the next one.
pub(crate) fn begin() {
    // SAFETY: the SDK gives a struct that stays.
    let info = unsafe { *system_get_rst_info() };
    match info.reason {
        REASON_DEFAULT_RST => first_start(),
        REASON_SOFT_RESTART => {
            if kept() == HOOKED + REASON_SOFT_RESTART {
                return bitten();
            }
            check!("RTC memory outlives a restart", kept() == KEPT, kept());
            check!("flash outlives a restart", read_flash() == PATTERN, read_flash()[0]);
            check!("a task that blocks", system_get_time() < 5_000_000, system_get_time());
            block();
        }
        REASON_EXCEPTION_RST => {
            check!("an exception tells its cause", info.exccause == NOWHERE, info.exccause);
            check!("and its address", info.excvaddr == 0x2000_0004, info.excvaddr);
            check!("and its place", info.epc1 > 0x4000_0000, info.epc1);
            check!("to the hook, too", kept() == HOOKED + REASON_EXCEPTION_RST, kept());
            end();
        }
        reason => panic!("reset reason {reason}"),
    }
}

/// What is kept in RTC memory.
fn kept() -> u32 {
    let mut kept = 0_u32;
    // SAFETY: a word.
    unsafe { system_rtc_mem_read(BLOCK, (&raw mut kept).cast(), 4) };
    kept
}

/// Whether the hook is to leave a word behind.
static WATCHED: Global<bool> = Global::new(false);

/// The SDK calls it before each restart; it has told it about the reason.
#[unsafe(no_mangle)]
unsafe extern "C" fn system_restart_hook(info: *mut RstInfo) {
    if WATCHED.get() {
        // SAFETY: the SDK gives a struct, and a word is written.
        unsafe {
            let kept = HOOKED + (*info).reason;
            system_rtc_mem_write(BLOCK, (&raw const kept).cast(), 4);
        }
    }
}

/// The watchdog has come, which notes a restart as if it was asked for.
fn bitten() {
    check!("is bitten by the watchdog, which tells the hook", true);
    WATCHED.set(true);
    // SAFETY: none: this is the exception that is wanted.
    unsafe { ptr::without_provenance_mut::<u32>(0x2000_0004).write_volatile(1) };
    panic!("it went on behind an exception");
}

/// Never returns: the watchdog comes.
#[inline(never)]
fn block() {
    WATCHED.set(true);
    while system_get_time() < 60_000_000 {}
    panic!("no watchdog came");
}

/// Gives a block back twice, which the stand-in must not survive.
pub(crate) fn free_twice() {
    // SAFETY: the second time is what is tested.
    unsafe {
        let block = pvPortMalloc(16, ptr::null(), 0, 0);
        vPortFree(block, ptr::null(), 0);
        vPortFree(block, ptr::null(), 0);
    }
    panic!("a block was free twice");
}

fn first_start() {
    delay();
    heap();
    flash();
    rtc();
    random();
    tasks();
}

fn delay() {
    let start = system_get_time();
    ets_delay_us(3_000);
    let passed = system_get_time() - start;
    check!("a delay is as long as was asked for", (3_000..3_000_000).contains(&passed), passed);
}

fn heap() {
    let free = system_get_free_heap_size();
    check!("the heap is as large as on the chip", (20_000..57_000).contains(&free), free);
    // SAFETY: blocks of this test.
    unsafe {
        let block = pvPortMalloc(100, ptr::null(), 0, 0);
        check!("a block is aligned", !block.is_null() && block.addr().is_multiple_of(8));
        check!("and taken from the heap", system_get_free_heap_size() <= free - 100);
        check!("too large a block is none", pvPortMalloc(100_000, ptr::null(), 0, 0).is_null());
        vPortFree(block, ptr::null(), 0);
    }
    check!("what is given back is there again", system_get_free_heap_size() == free);
}

fn read_flash() -> [u32; PATTERN.len()] {
    let mut words = [0; PATTERN.len()];
    // SAFETY: as long as it says.
    unsafe { spi_flash_read(SECTOR, words.as_mut_ptr(), size_of_val(&words) as u32) };
    words
}

fn flash() {
    let len = size_of_val(&PATTERN) as u32;
    // SAFETY: buffers as long as it is said.
    unsafe {
        let erased = spi_flash_erase_sector((SECTOR / SPI_FLASH_SEC_SIZE) as u16);
        check!(
            "a sector is erased",
            erased == 0 && read_flash() == [u32::MAX; PATTERN.len()],
            erased
        );
        let written = spi_flash_write(SECTOR, PATTERN.as_ptr(), len);
        check!("words are written", written == 0 && read_flash() == PATTERN, written);
        let word = 0xFFFF_0000_u32;
        spi_flash_write(SECTOR + 4, &raw const word, 4);
        check!("writing clears bits only", read_flash()[1] == PATTERN[1] & word, read_flash()[1]);
        spi_flash_write(SECTOR + 0xFF8, PATTERN.as_ptr(), 8);
        spi_flash_erase_sector((SECTOR / SPI_FLASH_SEC_SIZE) as u16 + 1);
        spi_flash_erase_sector((SECTOR / SPI_FLASH_SEC_SIZE) as u16 - 1 + 2);
        let mut end = [0; 2];
        spi_flash_read(SECTOR + 0xFF8, end.as_mut_ptr(), 8);
        check!("other sectors stay", end == PATTERN[..2], end[0]);
        let beyond = spi_flash_read(0x10_0000, end.as_mut_ptr(), 4);
        let crooked = spi_flash_read(SECTOR + 1, end.as_mut_ptr(), 4);
        check!("bad addresses are refused", beyond != 0 && crooked != 0, beyond, crooked);
        spi_flash_erase_sector((SECTOR / SPI_FLASH_SEC_SIZE) as u16);
        spi_flash_write(SECTOR, PATTERN.as_ptr(), len);
    }
}

fn rtc() {
    // SAFETY: words of this test.
    unsafe {
        let kept = KEPT;
        let written = system_rtc_mem_write(BLOCK, (&raw const kept).cast(), 4);
        let system = system_rtc_mem_write(0, (&raw const kept).cast(), 4);
        let beyond = system_rtc_mem_write(191, (&raw const kept).cast(), 8);
        check!("RTC memory has bounds", (written, system, beyond) == (1, 0, 0), system, beyond);
    }
}

fn random() {
    let mut bytes = [[0_u8; 32]; 2];
    for bytes in &mut bytes {
        // SAFETY: as long as it says.
        unsafe { os_get_random(bytes.as_mut_ptr(), bytes.len()) };
    }
    check!("random bytes differ", bytes[0] != bytes[1] && bytes[0] != [0; 32]);
}

/// Which messages came, in their order: a decimal digit each.
static CAME: Global<u32> = Global::new(0);

fn tasks() {
    static LOW: Queue<2> = Queue::new();
    static HIGH: Queue<1> = Queue::new();
    // SAFETY: the queues are statics of these lengths.
    unsafe {
        system_os_task(low, USER_TASK_PRIO_0, LOW.place(), 2);
        system_os_task(high, USER_TASK_PRIO_1, HIGH.place(), 1);
    }
    let posted = [
        system_os_post(USER_TASK_PRIO_0, 1, 0),
        system_os_post(USER_TASK_PRIO_0, 2, 0),
        system_os_post(USER_TASK_PRIO_0, 9, 0),
        system_os_post(USER_TASK_PRIO_1, 3, 0),
    ];
    check!("a full queue refuses", posted == [1, 1, 0, 1]);
    check!("nothing runs within a task", CAME.get() == 0);
}

unsafe extern "C" fn high(event: *mut ETSEvent) {
    // SAFETY: the SDK gives a message.
    CAME.set(CAME.get() * 10 + unsafe { (*event).sig });
}

unsafe extern "C" fn low(event: *mut ETSEvent) {
    // SAFETY: as in `high`.
    CAME.set(CAME.get() * 10 + unsafe { (*event).sig });
    if CAME.get() >= 100 {
        check!("messages come by priority and in order", CAME.get() == 312, CAME.get());
        CAME.set(0);
        timers();
    }
}

/// Timers, in memory that stays.
struct Timers(core::cell::UnsafeCell<[ETSTimer; 4]>);

// SAFETY: only the SDK touches them.
unsafe impl Sync for Timers {}

static TIMERS: Timers = Timers(core::cell::UnsafeCell::new([ETSTimer::NEW; 4]));

fn timer(number: usize) -> *mut ETSTimer {
    TIMERS.0.get().cast::<ETSTimer>().wrapping_add(number)
}

/// When the timers were armed.
static ARMED: Global<u32> = Global::new(0);

fn timers() {
    ARMED.set(system_get_time());
    for (number, (time, repeat)) in [(120, 0), (40, 1), (60, 0), (250, 0)].into_iter().enumerate() {
        // SAFETY: the timers are statics.
        unsafe {
            ets_timer_disarm(timer(number));
            ets_timer_setfn(timer(number), ring, ptr::without_provenance_mut(number + 1));
            ets_timer_arm_new(timer(number), time, repeat, 1);
        }
    }
    // SAFETY: as above.
    unsafe { ets_timer_disarm(timer(2)) };
}

/// The second rings three times; the third was disarmed; the last one looks at it all.
unsafe extern "C" fn ring(number: *mut c_void) {
    let number = number.addr() as u32;
    let passed_ms = (system_get_time().wrapping_sub(ARMED.get())) / 1000;
    if number < 4 {
        CAME.set(CAME.get() * 10 + number);
        if CAME.get() == 2212 || CAME.get() == 2221 {
            check!("timers ring when they are due", (120..2_000).contains(&passed_ms), passed_ms);
            // SAFETY: as in `timers`.
            unsafe { ets_timer_disarm(timer(1)) };
        }
        return;
    }
    check!("each timer rings in its turn", matches!(CAME.get(), 2212 | 2221), CAME.get());
    check!("and not before", (250..3_000).contains(&passed_ms), passed_ms);
    system_restart();
    check!("a restart comes later", NOBODY.is_null());
}
