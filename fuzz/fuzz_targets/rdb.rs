//! Lets libFuzzer drive `bodies::rdb`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rets_fuzz::bodies::rdb(input));
