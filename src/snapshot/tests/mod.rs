//! What was compiled is what the pure functions say: names as RFC 1034 finds them, answers as rules
//! choose them, and the next snapshot as a fresh one.

mod aliases;
mod answers;
mod expectations;
mod lookup;
mod quickest;
mod regional;
