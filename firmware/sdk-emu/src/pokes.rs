//! Bytes that change by themselves in a running program, as if a stray pointer had been there: the machine's argument
//! `poke=20:40212345:000000,40:40212345:06ffff` writes them when it is so many seconds old.

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poke<'a> {
    /// The age of the machine, in seconds.
    pub at_secs: u64,
    /// Where.
    pub address: usize,
    /// Pairs of hexadecimal digits.
    digits: &'a str,
}

impl Poke<'_> {
    /// The bytes.
    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        let pairs = self.digits.as_bytes().as_chunks::<2>().0.iter();
        pairs.filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
    }
}

/// All changes of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Pokes<'a>(&'a str);

impl<'a> Pokes<'a> {
    /// Nothing changes.
    pub const NONE: Self = Self("");

    /// Reads them; `None` if one is not as it must be.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        text.split(',').all(|poke| one(poke).is_some()).then_some(Self(text))
    }

    /// Those that are due after `from` seconds, until `to`.
    pub fn between(self, from: u64, to: u64) -> impl Iterator<Item = Poke<'a>> {
        self.0
            .split(',')
            .filter_map(one)
            .filter(move |poke| from < poke.at_secs && poke.at_secs <= to)
    }
}

fn one(text: &str) -> Option<Poke<'_>> {
    let mut parts = text.split(':');
    let (at, address, digits) = (parts.next()?, parts.next()?, parts.next()?);
    let hexadecimal =
        |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let whole = digits.len().is_multiple_of(2) && hexadecimal(digits) && hexadecimal(address);
    let poke = Poke {
        at_secs: at.parse().ok()?,
        address: usize::from_str_radix(address, 16).ok()?,
        digits,
    };
    (whole && parts.next().is_none()).then_some(poke)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn they_are_due_once() {
        let pokes = Pokes::parse("20:40212345:00fF,40:3ffe8000:06").expect("as they must be");
        let due = |from, to| {
            let found = pokes.between(from, to);
            found.map(|poke| (poke.address, poke.bytes().collect())).collect::<Vec<(_, Vec<_>)>>()
        };
        assert_eq!(due(0, 19), []);
        assert_eq!(due(19, 20), [(0x4021_2345, [0, 0xFF].to_vec())]);
        assert_eq!(due(20, 39), []);
        assert_eq!(due(0, 100).len(), 2);
        assert_eq!(Pokes::NONE.between(0, 100).count(), 0);
    }

    #[test]
    fn what_is_not_as_it_must_be_is_refused() {
        for text in [
            "", "20", "20:0", "20:0:", "20:0:0", "20:0:00:", "x:0:00", "20:g:00", "20:0:0g",
            "20:0:00,",
        ] {
            assert!(Pokes::parse(text).is_none(), "{text}");
        }
    }
}
