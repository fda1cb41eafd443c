//! A zone or server file of any text is read, and its zone compiled and asked.
#![no_main]

use windrose_fuzz::{bodies::toml, in_time};

libfuzzer_sys::fuzz_target!(|data: &[u8]| in_time(toml::check, data));
