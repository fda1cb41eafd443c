//! What a target says, as far as anybody looks at it.

use crate::model::FailureReason;

use super::fault::Fault;

/// How much of an answer is read in search of the expected text.
pub(super) const ANSWER_OCTETS_MAX: usize = 64 * 1024;

/// The beginning of an answer, and the text that is looked for in it.
#[derive(Debug)]
pub(super) struct Answer<'t> {
    wanted: &'t [u8],
    seen: Vec<u8>,
    is_found: bool,
}

impl<'t> Answer<'t> {
    /// An answer of which nothing has come yet. Any octet is what is wanted when `wanted` is empty.
    pub(super) const fn new(wanted: &'t str) -> Self {
        Self { wanted: wanted.as_bytes(), seen: Vec::new(), is_found: false }
    }

    /// Whether there is nothing more to look for: the text was found, or would come too late.
    pub(super) const fn is_enough(&self) -> bool {
        self.is_found || self.seen.len() == ANSWER_OCTETS_MAX
    }

    /// Takes what has come next.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        // The text may have begun in what was searched before.
        let from = self.seen.len().saturating_sub(self.wanted.len());
        let room = ANSWER_OCTETS_MAX - self.seen.len();
        self.seen.extend_from_slice(&chunk[..chunk.len().min(room)]);
        let mut windows = self.seen[from..].windows(self.wanted.len().max(1));
        self.is_found |= windows.any(|window| window.starts_with(self.wanted));
    }

    /// Whether the text was found; `otherwise` is the reason when it was not.
    pub(super) const fn judge(&self, otherwise: FailureReason) -> Result<(), Fault> {
        if self.is_found { Ok(()) } else { Err(Fault::Failure(otherwise)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_found_however_the_answer_is_cut(
            before in "[ab]{0,20}", wanted in "[ab]{0,4}", after in "[ab]{0,20}", size in 1..9usize,
        ) {
            let whole = format!("{before}{wanted}{after}");
            let mut answer = Answer::new(&wanted);
            for chunk in whole.as_bytes().chunks(size) {
                answer.push(chunk);
            }
            prop_assert_eq!(answer.judge(FailureReason::Answer).is_ok(), !whole.is_empty());
        }

        #[test]
        fn a_text_that_is_not_there_is_not_found(whole in "[ab]{0,20}", size in 1..9usize) {
            let mut answer = Answer::new("c");
            for chunk in whole.as_bytes().chunks(size) {
                answer.push(chunk);
            }
            prop_assert!(!answer.is_enough());
            prop_assert!(answer.judge(FailureReason::Answer).is_err());
        }
    }
}
