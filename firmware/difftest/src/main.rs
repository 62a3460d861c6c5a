//! The x86-64 side: prints one line per group, or every step of the group that is named as argument.

/// Interrupts of the machine that runs the LX106 side; here there are none, and one thread.
struct OneThread;

critical_section::set_impl!(OneThread);

// SAFETY: this program has one thread.
unsafe impl critical_section::Impl for OneThread {
    unsafe fn acquire() -> u32 {
        0
    }

    unsafe fn release(_: u32) {}
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    difftest::run(&only, &mut |line| println!("{line}"));
    println!("END");
}
