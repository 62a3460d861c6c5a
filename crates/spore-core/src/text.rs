//! Numbers as text. `core::fmt`, which would do it too, takes three kilobytes of a board's flash.

use core::net::Ipv4Addr;
use heapless::String;

/// What the digits of a number stand for, the highest first.
const UNITS: [u32; 10] =
    [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// `number` in decimal.
pub fn decimal(number: u32) -> String<10, u8> {
    let mut text = String::new();
    let mut rest = number;
    for unit in UNITS {
        // By subtraction: the chip has no division.
        let mut digit = b'0';
        while let Some(less) = rest.checked_sub(unit) {
            rest = less;
            digit = digit.saturating_add(1);
        }
        if digit != b'0' || !text.is_empty() || unit == 1 {
            // There is a unit for each place.
            let _ = text.push(char::from(digit));
        }
    }
    text
}

/// `bytes` as hexadecimal digits in lower case, two for each, and what is beyond `M` left out.
pub fn hex<const M: usize>(bytes: &[u8]) -> String<M, u8> {
    let mut text = String::new();
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            // A nibble is always a digit.
            let _ = text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// `address` as people write it.
pub fn dotted(address: Ipv4Addr) -> String<15, u8> {
    let mut text = String::new();
    for octet in address.octets() {
        // Four numbers of three digits, and three dots.
        let _ = if text.is_empty() { Ok(()) } else { text.push('.') };
        let _ = text.push_str(&decimal(octet.into()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{decimal, dotted, hex};
    use core::net::Ipv4Addr;

    #[test]
    fn numbers_are_as_the_library_writes_them() {
        let near = |power: u32| [power - 1, power, power + 1];
        let powers = (0..10).flat_map(|exponent| near(10_u32.pow(exponent)));
        for number in powers.chain([12_345, 1_000_100, u32::MAX - 1, u32::MAX]) {
            assert_eq!(decimal(number).as_str(), std::format!("{number}"));
            let bytes = number.to_be_bytes();
            assert_eq!(hex::<8>(&bytes).as_str(), std::format!("{number:08x}"));
            let address = Ipv4Addr::from(bytes);
            assert_eq!(dotted(address).as_str(), std::format!("{address}"));
        }
        assert_eq!(dotted(Ipv4Addr::BROADCAST).as_str(), "255.255.255.255");
    }
}
