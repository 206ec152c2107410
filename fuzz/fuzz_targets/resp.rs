//! Lets libFuzzer drive `bodies::resp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rets_fuzz::bodies::resp(input));
