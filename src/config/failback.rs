//! How fast a steer gives up what is lost and how it comes back to it: `velocity`, `failback`, `hold-down`,
//! `ramp`, `trickle`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::{Keys, Table, Value};
use super::text;
use crate::model::Steer;
use crate::model::topology::{Failback, MinHealthy, Policy, Velocity};

/// Words of `failback`.
const FAILBACK: [(&str, Kind); 3] =
    [("auto", Kind::Auto), ("delayed", Kind::Delayed), ("manual", Kind::Manual)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Auto,
    Delayed,
    Manual,
}

/// The shortest `hold-down` that is taken for meant: what came back twice as long ago as answers live
/// has been seen by all.
const HOLD_DOWN: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long growing may take.
pub(super) const RAMP: RangeInclusive<Duration> = Duration::from_secs(10)..=DAY;

/// Reads the keys of one steer.
pub(super) fn read_failback(table: &Table<'_>, policy: Option<Policy>, steer: &mut Steer) {
    let mut kind = Kind::Auto;
    table.read_into("failback", &mut kind, |value| value.choice(&FAILBACK, &[]));
    let mut hold = HOLD_DOWN.max(2 * steer.ttl);
    let hold_range = Duration::from_secs(1)..=DAY;
    table.read_into("hold-down", &mut hold, |value| value.seconds(hold_range.clone()));
    if let Some(value) = table.get("hold-down").filter(|_| kind != Kind::Delayed) {
        let error = value.error("`hold-down` means nothing without `failback = \"delayed\"`");
        value.push(error.label("nothing waits for it"));
    }
    steer.failback = match kind {
        Kind::Auto => Failback::Auto,
        Kind::Delayed => Failback::Delayed(hold),
        Kind::Manual => Failback::Manual,
    };
    table.read_into("ramp", &mut steer.ramp, |value| value.seconds(RAMP));
    let has_shares = |p: &Policy| {
        p.is_ordered() || matches!(p, Policy::Weighted | Policy::Sticky | Policy::Load(_))
    };
    forbid(table.get("ramp"), policy.filter(|policy| !has_shares(policy)), "all branches alike");
    table.read_into("trickle", &mut steer.trickle, |value| {
        value.parsed("a share such as `\"1%\"`", text::per_mille)
    });
    forbid(table.get("trickle"), policy.filter(|policy| !policy.is_ordered()), "the others too");
}

pub(super) const VELOCITY_KEYS: Keys =
    Keys { place: "steer.NAME.velocity", known: &["share", "per"], unbuilt: &[] };

/// A third of the pools a minute, unless told.
const VELOCITY: Velocity = Velocity { share: 34, per: Duration::from_secs(60) };

/// How fast pools are given up.
pub(super) fn read_velocity(table: &Table<'_>) -> Option<Velocity> {
    let table = table.table("velocity", &VELOCITY_KEYS)?;
    let mut velocity = VELOCITY;
    table.read_into("share", &mut velocity.share, |value| {
        match value.parsed("a share such as `\"34%\"`", text::percent)? {
            MinHealthy::Percent(share) => Some(share),
            MinHealthy::Count(_) => None,
        }
    });
    let range = Duration::from_secs(1)..=DAY;
    table.read_into("per", &mut velocity.per, |value| value.seconds(range.clone()));
    Some(velocity)
}

/// A key that does nothing under a policy, which uses `what`.
fn forbid(value: Option<Value<'_>>, policy: Option<Policy>, what: &str) {
    if let (Some(value), Some(policy)) = (value, policy) {
        let message = format!("`{}` means nothing under policy `{}`", value.key, policy.word());
        value.push(value.error(message).label(format!("it uses {what}")));
    }
}
