//! The x86-64 side: prints one line per group, or every step of the group that is named as argument. With the
//! arguments `work`, a name and a number it does that work so often.

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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["work", name, count] = arguments[..] {
        let count = count.parse().expect("a number");
        assert!(difftest::work(name, count), "there is no work {name}");
        return;
    }
    let only = arguments.first().copied().unwrap_or_default();
    difftest::run(only, &mut |line| println!("{line}"));
    println!("END");
}
