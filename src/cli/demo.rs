//! `demo`
use super::{Console, DemoArguments, Exit, Failure};

pub(super) fn run(_: &mut Console<'_>, _: &DemoArguments) -> Result<Exit, Failure> {
    Ok(Exit::Fine)
}
