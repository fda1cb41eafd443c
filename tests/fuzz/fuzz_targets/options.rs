//! A query with any EDNS options is answered as it should be.
#![no_main]

use windrose_fuzz::{bodies::options, in_time};

libfuzzer_sys::fuzz_target!(|data: &[u8]| in_time(options::check, data));
