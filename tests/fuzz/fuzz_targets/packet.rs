//! A packet of any bytes is answered as it should be.
#![no_main]

use windrose_fuzz::{bodies::packet, in_time};

libfuzzer_sys::fuzz_target!(|data: &[u8]| in_time(packet::check, data));
