//! Feeds libFuzzer's inputs to the target that `CAPSTAN_FUZZ_TARGET` names; built and run by `script/fuzz`.
#![no_main]

use std::sync::LazyLock;

use capstan_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("CAPSTAN_FUZZ_TARGET").unwrap_or_default();
    capstan_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<_> = capstan_fuzz::TARGETS.iter().map(|target| target.name).collect();
        eprintln!("CAPSTAN_FUZZ_TARGET={name:?} is no target; the targets are: {}", names.join(" "));
        std::process::exit(2);
    })
});

fuzz_target!(|input: &[u8]| {
    (TARGET.run)(input);
});
