//! How much memory the machine has left.

use std::fs;

/// The memory that programs could still get, in bytes; 0 if the system does not say.
pub(crate) fn available() -> u64 {
    fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse(&text)).unwrap_or(0)
}

fn parse(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_line_is_found_and_others_are_not() {
        let text = "MemTotal:  9 kB\nMemAvailable:   1234 kB\nBuffers: 1 kB\n";
        assert_eq!(super::parse(text), Some(1234 * 1024));
        assert_eq!(super::parse("MemTotal: 9 kB\n"), None);
        assert!(super::available() > 0);
    }
}
