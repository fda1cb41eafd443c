//! What the fuzz targets run: the bodies, and a watch on how long they take.
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz TARGET tests/fuzz/{corpus,seeds}/TARGET -- -timeout=10
//! ```
//!
//! `master` and `toml` get further with `-dict=tests/fuzz/TARGET.dict`, and `toml` with the other tests'
//! files, `tests/data`. What is found goes to `corpus`, which nobody keeps; a find worth keeping becomes a
//! seed, and `cargo test` runs all seeds.

pub mod bodies;

use std::fs;
use std::time::Duration;

/// How long one input may take: 10 ms as shipped, and thirty times that with sanitizer, coverage, debug
/// assertions and everything done twice.
const TIME_MAX: Duration = Duration::from_millis(300);

/// Runs `body`, and panics when it is slow each of three times.
///
/// # Panics
/// When the input is a find.
pub fn in_time(body: fn(&[u8]), data: &[u8]) {
    for _ in 0..3 {
        let start = cpu_time();
        body(data);
        if cpu_time() - start < TIME_MAX {
            return;
        }
    }
    panic!("slower than {TIME_MAX:?}");
}

/// What this thread has had of a processor, by Linux's count: a busy machine makes nothing slower.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
