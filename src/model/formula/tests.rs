//! Formulas over checks whose verdicts are letters: `u`, `d`(own), `g` for degraded, `?`.

use proptest::prelude::*;

use super::*;

const HOST: TargetHost = TargetHost::Address(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

/// A check at a port, by which the verdict is found.
fn check(port: u16) -> Arc<CheckSpec> {
    Arc::new(CheckSpec::new(CheckKind::Tcp, port))
}

fn verdict(letter: char) -> Verdict {
    match letter {
        'u' => Verdict::Up,
        'g' => Verdict::Degraded,
        'd' => Verdict::Down,
        '?' => Verdict::Unknown,
        other => panic!("no verdict is written `{other}`"),
    }
}

fn member((port, weight): (u16, u32), is_negated: bool) -> Member {
    let of = MemberOf::Check(check(port));
    Member { name: format!("m{port}"), weight, is_negated, of }
}

fn calculated(members: Vec<Member>, needed: u32) -> Target {
    let kind = CheckKind::Calculated(Formula { members, needed });
    Target { host: HOST, spec: Arc::new(CheckSpec::new(kind, 0)) }
}

/// What is known of targets: the verdict of each port.
fn known(verdicts: &str) -> impl Fn(&Target) -> TargetHealth + '_ {
    move |target| TargetHealth {
        verdict: verdict(verdicts.chars().nth(usize::from(target.spec.port)).unwrap()),
        since: Time::from_secs(u64::from(target.spec.port)),
        next_change: Duration::from_secs(100 - u64::from(target.spec.port)),
        agreed_by: 3,
        is_answering: false,
    }
}

fn plain(weights: &[u32], needed: u32) -> Target {
    calculated((0..).zip(weights.iter().copied()).map(|one| member(one, false)).collect(), needed)
}

#[test]
fn enough_weight_must_hold() {
    let (all, any) = (plain(&[1, 1, 1], 3), plain(&[1, 1, 1], 1));
    let (two, weighted) = (plain(&[1, 1, 1], 2), plain(&[3, 1, 1], 3));
    for (verdicts, of_all, of_any, of_two, of_weighted) in [
        ("uuu", 'u', 'u', 'u', 'u'),
        ("uud", 'd', 'u', 'u', 'u'),
        ("udd", 'd', 'u', 'd', 'u'),
        ("duu", 'd', 'u', 'u', 'd'),
        ("ddd", 'd', 'd', 'd', 'd'),
        // What is poor counts, and makes the whole poor where it is needed.
        ("uug", 'g', 'u', 'u', 'u'),
        ("ugd", 'd', 'u', 'g', 'u'),
        ("ggg", 'g', 'g', 'g', 'g'),
        // What is not known decides nothing.
        ("uu?", '?', 'u', 'u', 'u'),
        ("du?", 'd', 'u', '?', 'd'),
        ("dd?", 'd', '?', 'd', 'd'),
        ("?dd", 'd', '?', 'd', '?'),
        ("???", '?', '?', '?', '?'),
    ] {
        for (target, expected) in
            [(&all, of_all), (&any, of_any), (&two, of_two), (&weighted, of_weighted)]
        {
            let found = target.health_by(&known(verdicts)).verdict;
            assert_eq!(found, verdict(expected), "{verdicts} {target}");
        }
    }
}

#[test]
fn none_holds_while_all_are_down() {
    let none = calculated(vec![member((0, 1), true), member((1, 1), true)], 2);
    for (verdicts, expected) in
        [("dd", 'u'), ("du", 'd'), ("dg", 'd'), ("d?", '?'), ("u?", 'd'), ("??", '?')]
    {
        let found = none.health_by(&known(verdicts)).verdict;
        assert_eq!(found, verdict(expected), "{verdicts}");
    }
}

#[test]
fn endpoints_count_by_any_way_to_reach_them() {
    let at = |port| Target { host: HOST, spec: check(port) };
    let each = vec![vec![at(0), at(1)], vec![at(2)], vec![at(3)]];
    let of = MemberOf::Endpoints { needed: 2, each };
    let member = Member { name: "pool:web".to_owned(), weight: 1, is_negated: false, of };
    let pool = calculated(vec![member], 1);
    for (verdicts, expected) in
        [("uddu", 'u'), ("dudu", 'u'), ("dduu", 'u'), ("uddd", 'd'), ("ud?d", '?'), ("gddu", 'g')]
    {
        let found = pool.health_by(&known(verdicts)).verdict;
        assert_eq!(found, verdict(expected), "{verdicts}");
    }
    assert_eq!(pool.probed().len(), 4);
}

#[test]
fn formulas_are_made_of_formulas() {
    let inner = plain(&[1, 1], 1);
    let of = MemberOf::Check(Arc::clone(&inner.spec));
    let inner = Member { name: "either".to_owned(), weight: 1, is_negated: false, of };
    let outer = calculated(vec![inner, member((2, 1), false)], 2);
    assert_eq!(outer.health_by(&known("duu")).verdict, Verdict::Up);
    assert_eq!(outer.health_by(&known("ddu")).verdict, Verdict::Down);
    let ports: Vec<u16> = outer.probed().iter().map(|target| target.spec.port).collect();
    assert_eq!(ports, [0, 1, 2]);
}

#[test]
fn what_is_known_of_the_whole_is_that_of_its_parts() {
    let whole = plain(&[1, 1, 1], 2).health_by(&known("uuu"));
    assert_eq!(whole.since, Time::from_secs(2), "the last change of any");
    assert_eq!(whole.next_change, Duration::from_secs(98), "the next that could come");
    assert_eq!(whole.agreed_by, 3);
}

#[test]
fn a_fixed_verdict_never_changes_and_nobody_looks() {
    let kind = CheckKind::Fixed(Verdict::Down);
    let target = Target { host: HOST, spec: Arc::new(CheckSpec::new(kind, 0)) };
    let health = target.health_by(&|_| unreachable!("nothing is probed"));
    assert_eq!((health.verdict, health.next_change), (Verdict::Down, Duration::MAX));
    assert_eq!(target.probed(), []);
}

#[test]
fn evidence_names_who_counts() {
    let evidence = |target: &Target, verdicts| {
        let CheckKind::Calculated(formula) = &target.spec.kind else { unreachable!() };
        formula.evidence(&HOST, &known(verdicts)).to_string()
    };
    assert_eq!(evidence(&plain(&[1, 1], 2), "ud"), "1 of 2 hold, 2 needed: m0 up, m1 down");
    assert_eq!(
        evidence(&plain(&[3, 1], 3), "g?"),
        "3 of 4 hold, 3 needed: m0 degraded (3), m1 unknown"
    );
    let none = calculated(vec![member((0, 1), true), member((1, 1), true)], 2);
    assert_eq!(evidence(&none, "du"), "1 of 2 hold, 2 needed: m0 down, as it should, m1 not down");
}

proptest! {
    /// A member that comes up never takes the whole down.
    #[test]
    fn better_members_never_make_it_worse(
        weights in proptest::collection::vec(1_u32..5, 1..6),
        letters in proptest::collection::vec(prop::sample::select(vec!['u', 'g', '?', 'd']), 6),
        part in 0.0..1.0_f64,
        at in 0_usize..6,
    ) {
        let total: u32 = weights.iter().sum();
        let needed = (1..=total).rev().find(|n| f64::from(*n) <= f64::from(total) * part).unwrap_or(1);
        let target = plain(&weights, needed);
        let rank = |verdict| match verdict {
            Verdict::Down => 0,
            Verdict::Unknown => 1,
            Verdict::Degraded => 2,
            Verdict::Up => 3,
        };
        let before: String = letters.iter().collect();
        let mut better = letters;
        better[at] = 'u';
        let after: String = better.iter().collect();
        let [before, after] = [before, after]
            .map(|letters| rank(target.health_by(&known(&letters)).verdict));
        prop_assert!(after >= before);
    }
}
