//! A master file of any text is read, checked, printed, compiled and asked.
#![no_main]

use windrose_fuzz::{bodies::master, in_time};

libfuzzer_sys::fuzz_target!(|data: &[u8]| in_time(master::check, data));
