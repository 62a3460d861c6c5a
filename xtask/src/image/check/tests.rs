//! Small programs with a fault planted in each, in the chip's own instructions.

use std::collections::BTreeMap;

use super::*;

const RAM: u32 = 0x4010_1000;
const FLASH: u32 = 0x4020_4000;
const ATTACH: u32 = 0x4000_0F88;
const CACHE_OFF: u32 = 0x4000_47F0;
const CACHE_ON: u32 = 0x4000_4678;

/// What stands in a function.
#[derive(Clone, Copy)]
enum Code<'c> {
    /// `addi a1, a1, n`
    Stack(i8),
    /// `call0`, of a name
    Call(&'c str),
    /// `l32r a0` and `callx0 a0`, of a name
    Far(&'c str),
    /// `l32r aN`, of a number
    Literal(u8, u32),
    /// `l32i aN, aM, offset` and `callx0 aN`
    Virtual(u8, u8, u8),
    /// Other bytes.
    Bytes([u8; 3]),
}

const RETURN: Code<'_> = Code::Bytes([0x80, 0, 0]);

/// A program in the making.
#[derive(Default)]
struct Planted {
    code: Vec<(u32, Vec<u8>)>,
    constants: Vec<(u32, Vec<u8>)>,
    names: BTreeMap<String, u32>,
}

impl Planted {
    /// With the mask ROM's functions and quiet exception vectors.
    fn new() -> Self {
        let mut planted = Self::default();
        for (name, at) in [
            ("ets_isr_attach", ATTACH),
            ("Cache_Read_Disable", CACHE_OFF),
            ("Cache_Read_Enable", CACHE_ON),
        ] {
            planted.names.insert(name.to_owned(), at);
        }
        for (index, kind) in ["Debug", "NMI", "Kernel", "User", "Double"].iter().enumerate() {
            let at = 0x4010_0000 + u32::try_from(index).unwrap() * 16;
            planted.function(at, &format!("_{kind}ExceptionVector"), &[RETURN]);
        }
        planted
    }

    /// A function at a multiple of 16, with its literals in the 64 bytes before. Names must be there already.
    fn function(&mut self, at: u32, name: &str, code: &[Code<'_>]) -> &mut Self {
        self.names.insert(name.to_owned(), at);
        let (mut literals, mut bytes): (Vec<u32>, Vec<u8>) = (Vec::new(), Vec::new());
        let pool = at - 64;
        for code in code {
            let here = at + u32::try_from(bytes.len()).unwrap();
            let mut load = |register: u8, value: u32| {
                let from = pool + u32::try_from(literals.len()).unwrap() * 4;
                literals.push(value);
                let distance = from.wrapping_sub((here + 3) & !3) >> 2;
                let word = 1 | u32::from(register) << 4 | (distance & 0xFFFF) << 8;
                word.to_le_bytes()[..3].to_vec()
            };
            match *code {
                Code::Stack(by) => bytes.extend([0x12, 0xC1, by.to_le_bytes()[0]]),
                Code::Call(name) => {
                    let distance = self.names[name].wrapping_sub((here & !3) + 4) >> 2;
                    bytes.extend(&(5 | (distance & 0x3_FFFF) << 6).to_le_bytes()[..3]);
                }
                Code::Far(name) => {
                    bytes.extend(load(0, self.names[name]));
                    bytes.extend([0xC0, 0, 0]);
                }
                Code::Literal(register, value) => bytes.extend(load(register, value)),
                Code::Virtual(to, base, offset) => {
                    bytes.extend([to << 4 | 2, 0x20 | base, offset / 4, 0xC0, to, 0]);
                }
                Code::Bytes(these) => bytes.extend(these),
            }
        }
        let literals = literals.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        if !literals.is_empty() {
            self.code.push((pool, literals));
        }
        self.code.push((at, bytes));
        self
    }

    fn image(&self) -> Image {
        let names = self.names.iter().map(|(name, at)| (*at, name.clone())).collect();
        Image::planted(self.code.clone(), self.constants.clone(), names)
    }

    /// What is found that runs or reads where it must not.
    fn cache_faults(&self) -> Vec<String> {
        let (image, notes) = (self.image(), notes(""));
        let calls = Calls::new(&image, &notes);
        cache::check(&calls, &calls.everything()).faults
    }

    fn narrow_faults(&self, handler: Handler) -> Vec<String> {
        let (image, notes) = (self.image(), notes(""));
        let calls = Calls::new(&image, &notes);
        narrow::check(&calls, &calls.everything(), handler)
    }

    /// The deepest way down from `root`, with more rules.
    fn depth(&self, root: &str, rules: &str) -> Result<u32> {
        let (image, notes) = (self.image(), notes(rules));
        let calls = Calls::new(&image, &notes);
        deepest_of(&mut Search::new(&calls, false), &image, &[root]).map(|depth| depth.bytes)
    }
}

fn notes(rules: &str) -> Notes {
    let all = format!(
        "other_stack = []\nnot_counted = [\"restart\"]\nmessages = [\"say\"]\n[sdk]\nin_flash = []\nreads_flash = []\n\
         [[rom]]\nof = [\"*\"]\nbytes = 100\n{rules}"
    );
    Notes::parse(&all).unwrap()
}

fn one(faults: &[String], what: &str) {
    assert!(faults.len() == 1 && faults[0].contains(what), "{what:?}: {faults:?}");
}

#[test]
fn the_deepest_way_is_the_sum_of_its_frames() {
    let mut planted = Planted::new();
    planted.function(FLASH, "leaf", &[Code::Stack(-64), Code::Stack(64), RETURN]);
    planted.function(FLASH + 0x100, "other", &[Code::Stack(-112), Code::Stack(112), RETURN]);
    let code = [Code::Stack(-32), Code::Call("leaf"), Code::Stack(32), Code::Call("other"), RETURN];
    planted.function(FLASH + 0x200, "root", &code);
    assert_eq!(planted.depth("root", "").unwrap(), 112);
    let code = [Code::Stack(-32), Code::Far("ets_isr_attach"), Code::Stack(32), RETURN];
    planted.function(FLASH + 0x300, "calls_rom", &code);
    assert_eq!(planted.depth("calls_rom", "").unwrap(), 132);
}

#[test]
fn frames_that_are_too_deep_pass_the_limit() {
    let mut planted = Planted::new();
    planted.function(FLASH, "deep", &[Code::Stack(-128), Code::Stack(-128), RETURN]);
    let depth = u64::from(planted.depth("deep", "").unwrap());
    let over = crate::budgets::hold(&[("stack", depth, Bound::AtMost(240))]).unwrap_err();
    assert!(over.to_string().contains("stack: 256"), "{over}");
}

#[test]
fn a_call_through_a_pointer_needs_a_rule_and_is_counted_with_it() {
    let mut planted = Planted::new();
    planted.function(FLASH, "<a::B as c::D>::poll", &[Code::Stack(-96), Code::Stack(96), RETURN]);
    planted.function(FLASH + 0x100, "root", &[Code::Stack(-16), Code::Virtual(8, 2, 12), RETURN]);
    let error = planted.depth("root", "").unwrap_err().to_string();
    assert!(error.contains("root+0x6") && error.contains("through field 12"), "{error}");
    let rule = "[[pointer]]\nin = [\"root\"]\nfrom = \"field 12\"\nto = [\"* as c::D>::poll\"]\n";
    assert_eq!(planted.depth("root", rule).unwrap(), 112);
    let other = rule.replace("field 12", "field 16");
    assert!(planted.depth("root", &other).is_err());
}

#[test]
fn what_calls_itself_needs_a_rule() {
    let mut planted = Planted::new();
    planted.names.insert("again".to_owned(), FLASH);
    planted.function(
        FLASH,
        "again",
        &[Code::Stack(-48), Code::Call("again"), Code::Stack(48), RETURN],
    );
    let error = planted.depth("again", "").unwrap_err().to_string();
    assert!(error.contains("how often this recurs: again"), "{error}");
    let depth = planted.depth("again", "[[recursion]]\nof = \"again\"\ntimes = 3\n").unwrap();
    assert_eq!(depth, 3 * 48);
}

#[test]
fn shared_instructions_belong_to_whoever_goes_there() {
    let mut planted = Planted::new();
    planted.function(FLASH, "leaf", &[Code::Stack(-64), Code::Stack(64), RETURN]);
    // l32i a0, a1, 12; the frame goes; the return is that of the function.
    let epilogue = [Code::Bytes([0x02, 0x21, 3]), Code::Stack(32), RETURN];
    planted.function(FLASH + 0x100, "spore_shared_1", &epilogue);
    planted.function(FLASH + 0x200, "spore_shared_2", &[Code::Bytes([0x22, 0xA0, 1]), RETURN]);
    let code = [
        Code::Stack(-32),
        Code::Bytes([0x02, 0x61, 3]),
        Code::Call("spore_shared_2"),
        Code::Call("leaf"),
        Code::Call("spore_shared_1"),
        // Control never comes here.
        Code::Bytes([0xFF, 0xFF, 0xFF]),
    ];
    planted.function(FLASH + 0x300, "root", &code);
    assert_eq!(planted.depth("root", "").unwrap(), 96);
}

#[test]
fn a_handler_in_flash_is_found_and_one_in_ram_is_not() {
    let register = |handler| [Code::Literal(3, handler), Code::Far("ets_isr_attach"), RETURN];
    let mut planted = Planted::new();
    planted.function(RAM, "handler", &[RETURN]);
    planted.function(FLASH, "init", &register(RAM));
    assert_eq!(planted.cache_faults(), [""; 0]);
    planted.function(FLASH + 0x100, "slow", &[RETURN]);
    planted.function(FLASH + 0x200, "init2", &register(FLASH + 0x100));
    one(&planted.cache_faults(), "slow is in flash");
    // And one that nobody can know.
    let mut planted = Planted::new();
    planted.function(FLASH, "init", &[Code::Far("ets_isr_attach"), RETURN]);
    one(&planted.cache_faults(), "init+0x3 registers a handler of interrupts that is not known");
}

#[test]
fn what_a_handler_calls_or_reads_in_flash_is_found() {
    let handled = |code: &[Code<'_>]| {
        let mut planted = Planted::new();
        planted.constants.push((FLASH + 0x1000, vec![0; 16]));
        planted.function(FLASH, "slow", &[RETURN]);
        planted.function(RAM, "fast", &[RETURN]);
        planted.function(RAM + 0x100, "handler", code);
        let register = [Code::Literal(3, RAM + 0x100), Code::Far("ets_isr_attach"), RETURN];
        planted.function(FLASH + 0x200, "init", &register);
        planted.cache_faults()
    };
    assert_eq!(handled(&[Code::Call("fast"), RETURN]), [""; 0]);
    one(&handled(&[Code::Far("slow"), RETURN]), "slow is in flash (0x40204000)");
    one(&handled(&[Code::Literal(2, FLASH + 0x1000), RETURN]), "handler has data in flash in hand");
    one(
        &handled(&[Code::Virtual(8, 2, 4), RETURN]),
        "handler+0x3 (in handler) calls through field 4",
    );
}

#[test]
fn between_switching_the_cache_off_and_on_nothing_is_in_flash() {
    let (off, on) = (Code::Far("Cache_Read_Disable"), Code::Far("Cache_Read_Enable"));
    let write = |at: u32, code: &[Code<'_>]| {
        let mut planted = Planted::new();
        planted.function(FLASH, "slow", &[RETURN]);
        planted.function(RAM, "fast", &[RETURN]);
        planted.function(at, "write", code);
        planted.cache_faults()
    };
    let good = [Code::Far("slow"), off, Code::Far("fast"), on, Code::Far("slow"), RETURN];
    assert_eq!(write(RAM + 0x100, &good), [""; 0]);
    let bad = [off, Code::Far("slow"), on, RETURN];
    one(
        &write(RAM + 0x100, &bad),
        "slow is in flash (0x40204000), and runs while flash cannot be read: write calls",
    );
    let faults = write(FLASH + 0x100, &good);
    assert!(!faults.is_empty());
    assert!(faults.iter().all(|fault| fault.contains("between switching the cache off and on")));
}

#[test]
fn narrow_accesses_are_found_where_words_only_go() {
    let faults = |handler, code: &[Code<'_>]| {
        let mut planted = Planted::new();
        planted.function(FLASH, "f", code);
        planted.narrow_faults(handler)
    };
    // l8ui a3, a2, 0; s8i a3, a2, 0; l8ui a1, a2, 0; mov a1, a2
    let [load, store, into_a1, set_a1] =
        [[0x32, 0x02, 0], [0x32, 0x42, 0], [0x12, 0x02, 0], [0x20, 0x12, 0x20]].map(Code::Bytes);
    let at = |address| Code::Literal(2, address);
    assert_eq!(faults(Handler::Sdk, &[at(FLASH), load, RETURN]), [""; 0]);
    one(&faults(Handler::None, &[at(FLASH), load, RETURN]), "less than a word at 0x40204000");
    one(&faults(Handler::None, &[at(RAM), store, RETURN]), "less than a word at 0x40101000");
    assert_eq!(faults(Handler::None, &[at(0x3FFE_8000), store, load, RETURN]), [""; 0]);
    one(&faults(Handler::Sdk, &[at(FLASH), store, RETURN]), "f+0x3 stores to flash");
    one(&faults(Handler::Sdk, &[set_a1, RETURN]), "f sets the stack pointer to what is not known");
    let both = faults(Handler::Sdk, &[into_a1, RETURN]);
    assert!(both.iter().any(|fault| fault.contains("f uses a1 for less than a word")), "{both:?}");
    let mut planted = Planted::new();
    planted.constants.push((RAM, vec![0; 4]));
    one(&planted.narrow_faults(Handler::None), "constants where only code may be (0x40101000)");
}

#[test]
fn a_rule_that_nothing_needs_is_told() {
    let rule = "[[pointer]]\nin = [\"gone\"]\nto = []\n";
    assert_eq!(notes(rule).unused(&std::collections::BTreeSet::new()), ["in \"gone\""]);
    Notes::read().unwrap();
}

#[test]
fn the_way_to_a_restart_is_not_counted() {
    let mut planted = Planted::new();
    planted.function(FLASH, "restart", &[Code::Stack(-96), Code::Stack(96), RETURN]);
    let code = [Code::Stack(-32), Code::Call("restart"), Code::Stack(32), RETURN];
    planted.function(FLASH + 0x100, "root", &code);
    assert_eq!(planted.depth("root", "").unwrap(), 32);
}
