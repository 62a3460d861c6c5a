//! libFuzzer over the target that `SPORE_FUZZ_TARGET` names: one program for all of them.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use spore_fuzz::Target;

fuzz_target!(|input: &[u8]| {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    let (_, run) = TARGET.get_or_init(|| {
        let name = std::env::var("SPORE_FUZZ_TARGET").expect("SPORE_FUZZ_TARGET names a target");
        spore_fuzz::target(&name).expect("SPORE_FUZZ_TARGET names a target that there is")
    });
    run(input, &mut |_| ());
});
