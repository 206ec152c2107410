//! Lets libFuzzer drive `bodies::command`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rets_fuzz::bodies::command(input));
