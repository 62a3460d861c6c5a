//! The LX106 side: what the groups need on QEMU's board, and how their hashes get out.
//!
//! The heap lies in memory that only QEMU's board has, and the stack
//! may grow through all of the data RAM below it: what is tested is the compiler, not a budget.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::fmt::{self, Write as _};
use core::panic::PanicInfo;
use core::ptr;

use qemu::boot_params::{BootParams, command_line};

#[cfg(feature = "cost")]
use crate::cost::run;
#[cfg(not(feature = "cost"))]
use crate::groups::run;

/// Transmit register of the board's UART; QEMU takes a byte at any time.
const UART: *mut u32 = ptr::with_exposed_provenance_mut(0x9D05_0020);
/// The heap begins with QEMU's main memory.
const HEAP: usize = 0x6000_0000;
/// QEMU is started with 64 MB.
const HEAP_END: usize = 0x6400_0000;

unsafe extern "C" {
    /// Sleeps until one of the interrupts in `mask` is there (`rt/registers.S`).
    safe fn lx106_wait(mask: u32);
}

/// Ends the test: the launcher stops the machine when it has read the last line.
fn park() -> ! {
    loop {
        lx106_wait(0);
    }
}

struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: this address is the UART's transmit register on the one board that we run on.
            unsafe { UART.write_volatile(u32::from(byte)) };
        }
        Ok(())
    }
}

/// Entry from `start.S`.
///
/// # Safety
/// To be called once, with QEMU's boot parameters.
#[unsafe(no_mangle)]
unsafe extern "C" fn lx106_main(params: BootParams) -> ! {
    // SAFETY: the caller vouches for the parameters.
    let only = unsafe { command_line(params) };
    run(only, &mut |line| {
        let _ = writeln!(Uart, "{line}");
    });
    let _ = writeln!(Uart, "END");
    park()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(Uart, "PANIC {info}");
    park()
}

/// A CPU exception, from the vectors in `start.S`.
#[unsafe(no_mangle)]
extern "C" fn lx106_fault(cause: u32, epc: u32, address: u32, a0: u32) -> ! {
    let _ = writeln!(Uart, "FAULT cause {cause} at {epc:#x}, address {address:#x}, a0 {a0:#x}");
    park()
}

/// A free list per power of two: enough for tests, and it never moves a block.
struct Heap(UnsafeCell<HeapState>);

struct HeapState {
    /// First byte never handed out.
    fresh: usize,
    /// First free block of each size class; each block holds the address of the next.
    free: [usize; usize::BITS as usize],
}

// SAFETY: there is one thread and no interrupt.
unsafe impl Sync for Heap {}

#[global_allocator]
static ALLOCATOR: Heap =
    Heap(UnsafeCell::new(HeapState { fresh: HEAP, free: [0; usize::BITS as usize] }));

fn size_class(layout: Layout) -> usize {
    let size = layout.size().max(layout.align()).max(8);
    size.next_power_of_two().trailing_zeros() as usize
}

// SAFETY: blocks of a class are as large as the class says, aligned to their size (to 4 KB at most, which is
// more than anything here asks for), and are handed out again only after they came back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference outlives this call.
        let state = unsafe { &mut *self.0.get() };
        let class = size_class(layout);
        if state.free[class] != 0 {
            let block = ptr::with_exposed_provenance_mut::<usize>(state.free[class]);
            // SAFETY: a free block begins with the address of the next one.
            state.free[class] = unsafe { block.read() };
            return block.cast();
        }
        let start = state.fresh.next_multiple_of((1 << class).min(4096));
        let end = start + (1 << class);
        if end > HEAP_END {
            return ptr::null_mut();
        }
        state.fresh = end;
        ptr::with_exposed_provenance_mut(start)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; the block is ours again and at least 8 bytes long.
        unsafe {
            let state = &mut *self.0.get();
            let class = size_class(layout);
            block.cast::<usize>().write(state.free[class]);
            state.free[class] = block.expose_provenance();
        }
    }
}

/// Nothing interrupts the test, so entering a critical section takes nothing.
struct NoInterrupts;

critical_section::set_impl!(NoInterrupts);

// SAFETY: one thread, and `start.S` leaves every interrupt masked.
unsafe impl critical_section::Impl for NoInterrupts {
    unsafe fn acquire() -> u32 {
        0
    }

    unsafe fn release(_: u32) {}
}
