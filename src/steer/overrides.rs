//! What becomes of verdicts under the words of operators.
//!
//! ```text
//! said of it     verdict that counts    named by new answers
//! nothing        the real one           as it decides
//! drain          the real one           only when nothing else is alive
//! force-up       up                     as if it were
//! force-down     down                   as if it were
//! ```
//!
//! Of several words that reach an endpoint the most specific counts alone: one about the endpoint before
//! one about its pool before one about its region. One that has ended counts for nothing. Real verdicts
//! are not touched: who tells of them, tells both.

use std::time::Duration;

use crate::model::{
    EndpointHealth, EndpointId, Override, OverrideKind, Overrides, TargetHealth, Time, Verdict,
    Zone,
};

/// For each endpoint of a zone, by id, the override that counts for it at `now`.
#[must_use]
pub fn by_endpoint<'a>(
    zone: &Zone,
    overrides: &'a Overrides,
    now: Time,
) -> Vec<Option<&'a Override>> {
    let mut by_endpoint = vec![None; zone.endpoints.len()];
    let mut own: Vec<&Override> =
        overrides.in_force(now).filter(|one| one.zone == zone.apex).collect();
    own.sort_by(|a, b| a.what.cmp(&b.what));
    for one in own {
        // What a reload has taken away may come back with the next.
        let Some(subject) = one.what.find(zone) else { continue };
        for (n, place) in by_endpoint.iter_mut().enumerate() {
            if zone.is_hit(EndpointId::new(n), subject) {
                *place = Some(one);
            }
        }
    }
    by_endpoint
}

/// What counts for known of an endpoint of which `real` is known and `said` was said.
#[must_use]
pub fn overridden(real: EndpointHealth, said: Option<&Override>) -> EndpointHealth {
    let Some(Override { kind, said, .. }) = said else { return real };
    let until = said.until;
    let forced = |verdict| {
        // Nothing but an operator changes it.
        let next_change = Duration::MAX;
        let way = Some(TargetHealth {
            verdict,
            since: said.at,
            next_change,
            agreed_by: 1,
            is_answering: false,
        });
        EndpointHealth {
            v4: way,
            v6: way,
            host: way,
            alias: real.alias,
            is_drained: false,
            is_forced: true,
            until,
        }
    };
    match kind {
        OverrideKind::Drain => EndpointHealth { is_drained: true, until, ..real },
        OverrideKind::ForceUp => forced(Verdict::Up),
        OverrideKind::ForceDown => forced(Verdict::Down),
    }
}
