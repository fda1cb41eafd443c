//! Timelines that an operator can read, played against the real board, snapshot and `handle`.
//!
//! Every `.scn` file here is a test. A line is a moment and a step; `#` begins a comment:
//!
//! ```text
//! 10s  probe eu-1 us-1/4 fails timeout x3      results of probes of an endpoint, or of one family of it
//! 10s  probe eu-1 succeeds                     after 20 milliseconds, or `succeeds in 900ms`
//! 10s  expect eu-1 down                        its verdict
//! 10s  cut eu-1 eu-2 from fra                  a group of vantages does not reach what others do; `mend` ends it
//! 10s  measure eu from fra is 300ms           how far away a region is from a group, or that it `stops` to say
//! 10s  report agents l-1 l-2 is 70             what a feed says of endpoints from now on, or that it `stops`
//! 10s  lookup lb.test. is 192.0.2.7 ttl 60    the host of an alias is looked up, or that `fails`
//! 10s  release eu                              an operator lets a pool fail back
//! 10s  drain eu for 10m because new kernel     an operator drains a region, a pool or an endpoint
//! 10s  undrain eu
//! 10s  force us down for 5m                    or has it count as up or down
//! 10s  clear us
//! 10s  freeze for 10m                          an operator keeps changes of health away from answers
//! 10s  unfreeze
//! 10s  ask www A -> 192.0.2.10 ttl 5           a query, and what it must be answered
//! ```
//!
//! `ask NAME TYPE` can go on with `for SUBNET` (a client subnet), `from ADDRESS` (the resolver), and
//! `N times` or `from each of N networks`, for which shares are given: `-> 192.0.2.10 75% 192.0.2.11 25%`,
//! right to a hundredth. An answer is addresses in order, some `or` others, records of other types as
//! `cname NAME` or `srv 10 1 5060 NAME`, `nodata`, `nxdomain` or `servfail`; behind it may stand `ttl`,
//! `scope` and `because`, a reason that `explain` gives. The clock is virtual: a scenario of an hour takes
//! a millisecond.
//!
//! The zone is `shop.test.toml`, and `clients.txt` says where clients are.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod line;
mod world;

use std::fs;
use std::path::PathBuf;

use world::World;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios")
}

/// Plays a scenario; what went otherwise, each as `FILE:LINE: …`.
fn play(file: &str, text: &str) -> Vec<String> {
    let mut world = World::new(&directory());
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let result =
            line::read(line).and_then(|step| step.map_or(Ok(()), |step| world.take(&step)));
        if let Err(what) = result {
            wrong.push(format!("{file}:{}: {what}", number + 1));
        }
    }
    wrong
}

#[test]
fn every_scenario_goes_as_written() {
    let mut wrong = Vec::new();
    let mut played = 0;
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "scn") {
            let file = path.file_name().unwrap().to_string_lossy();
            wrong.extend(play(&file, &fs::read_to_string(&path).unwrap()));
            played += 1;
        }
    }
    assert!(played >= 45, "only {played} scenarios were found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_scenario_that_goes_otherwise_says_where_and_how() {
    let text = "
        0s ask failover A -> 192.0.2.99 ttl 5
        1s expect eu-1 up
        2s probe eu-9 succeeds
        1s ask failover A -> 192.0.2.10
        3s dance";
    let expected = [
        "a.scn:2: expected 192.0.2.99 ttl 5, got 192.0.2.10 ttl 5",
        "a.scn:3: expected eu-1 to be up, but tcp 192.0.2.10:443 is unknown",
        "a.scn:4: no endpoint is called `eu-9`",
        "a.scn:5: time goes back from 2s",
        "a.scn:6: `dance` is no step",
    ];
    assert_eq!(play("a.scn", text), expected);
}
