//! The tree against claims scanned one by one.

mod wide;

use proptest::prelude::*;

use super::*;
use crate::{
    wire::name::{Name, QueryName},
    zone::{
        ruling::{Claim, FOREVER_S, KeyRule},
        values::ValueId,
    },
};

/// A line as the model keeps it: labels from the left, scope, claim.
type Line = (Vec<&'static str>, Scope, Claim);

/// Values and their ends, or `None` for an exclusion; empty if nothing is said.
type Answer = Option<Vec<(u32, u32)>>;

fn answer(finding: Finding<'_>, context: &Context) -> Answer {
    let mut values = Vec::new();
    finding.for_each_value(context, |value, until_s, _| values.push((value.0, until_s)));
    (!matches!(finding, Finding::Excluded)).then_some(values)
}

/// What is left of the lines for one name and scope.
fn kept<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<Claim> {
    let mut kept: Vec<Claim> = Vec::new();
    for (_, _, claim) in lines {
        match kept.iter_mut().find(|other| Claim { until_s: claim.until_s, ..**other } == *claim) {
            Some(other) => other.until_s = other.until_s.max(claim.until_s),
            None => kept.push(*claim),
        }
    }
    kept
}

/// What such claims say.
fn in_force(claims: &[Claim], context: &Context) -> Answer {
    let in_force = claims.iter().filter(|claim| claim.in_force(context));
    in_force.map(|claim| claim.value.map(|value| (value.0, claim.until_s))).collect()
}

/// What the lines for one name and scope say.
fn said<'a>(lines: impl Iterator<Item = &'a Line>, context: &Context) -> Answer {
    in_force(&kept(lines), context)
}

fn is_said(answer: &Answer) -> bool {
    answer.as_ref().is_none_or(|values| !values.is_empty())
}

fn model(lines: &[Line], name: &[&str], context: &Context) -> (Answer, usize) {
    let exact = said(lines.iter().filter(|line| line.0 == name && line.1 != Scope::Below), context);
    if is_said(&exact) {
        return (exact, name.len());
    }
    for cut in 1..=name.len() {
        let wildcard = said(lines.iter().filter(|line| line.0 == name[cut..] && line.1 != Scope::Exact), context);
        if is_said(&wildcard) {
            return (wildcard, name.len() - cut);
        }
    }
    (Some(Vec::new()), 0)
}

/// All names of up to three labels, of which entries use the first three and `z` stands for all others.
fn universe(depth: usize) -> Vec<Vec<&'static str>> {
    let mut names = vec![vec![]];
    for start in 0.. {
        let Some(name) = names.get(start).cloned() else { break };
        if name.len() < depth {
            names.extend(["a", "b", "c", "z"].map(|label| [&[label], &name[..]].concat()));
        }
    }
    names
}

fn wire(labels: &[&str]) -> Name {
    if labels.is_empty() { Name::root() } else { Name::parse(labels.join(".").as_bytes()).expect("a name") }
}

fn build(lines: &[Line]) -> Names {
    let mut builder = NamesBuilder::default();
    for (name, scope, claim) in lines {
        builder.add(wire(name).as_wire(), *scope, *claim);
    }
    builder.build(|_| {})
}

fn find<'a>(names: &'a Names, labels: &[&str], context: &Context) -> NameFinding<'a> {
    let mut query = QueryName::new();
    assert!(query.read(wire(labels).as_wire()).is_some());
    look_up(names, query.relative(labels.len()), context)
}

/// Looks up a name, and at a glance.
fn look_up<'a>(names: &'a Names, name: RelativeName<'_>, context: &Context) -> NameFinding<'a> {
    let found = names.look_up(name, context);
    match names.glance(name, context) {
        Glance::Nothing => assert!(!found.finding.is_listed() && !found.listed_below, "{name}"),
        Glance::One { value, until_s, entry_label_count } => {
            assert!(matches!(found.finding, Finding::One(own, end_s) if (own, end_s) == (value, until_s)), "{name}");
            assert_eq!(found.entry_label_count, entry_label_count, "{name}");
        }
        Glance::Unclear => {}
    }
    found
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let value = prop_oneof![3 => (0..4_u32).prop_map(|id| Some(ValueId(id))), 2 => Just(None)];
    let times = prop_oneof![
        4 => Just((0, FOREVER_S)),
        3 => (1..5_u32).prop_map(|until_s| (0, until_s)),
        1 => (1..5_u32, 1..5_u32),
    ];
    let key = prop_oneof![8 => Just(KeyRule::Anyone), 1 => Just(KeyRule::Required), 1 => Just(KeyRule::SkipsDelay)];
    (value, times, key).prop_map(|(value, (from_s, until_s), key)| Claim { value, from_s, until_s, key, hold_s: 0 })
}

fn any_lines() -> impl Strategy<Value = Vec<Line>> {
    let name = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..=3);
    let scope = prop::sample::select(vec![Scope::Exact, Scope::Below, Scope::Both]);
    prop::collection::vec((name, scope, any_claim()), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn like_the_model(lines in any_lines()) {
        let names = build(&lines);
        prop_assert_eq!(names.entries(), lines.len());
        let asked = universe(3);
        // One label deeper than any entry, so that what a wildcard covers is seen.
        let everything = universe(4);
        for context in (0..6).flat_map(|now_s| [false, true].map(|keyed| Context { now_s, keyed })) {
            let listed: Vec<_> =
                everything.iter().filter(|name| matches!(model(&lines, name, &context).0, Some(v) if !v.is_empty())).collect();
            for name in &asked {
                let found = find(&names, name, &context);
                let (expected, label_count) = model(&lines, name, &context);
                if is_said(&expected) {
                    prop_assert_eq!(found.entry_label_count, label_count);
                }
                prop_assert_eq!(answer(found.finding, &context), expected, "{:?} {:?}", name, context);
                let below = listed.iter().any(|other| other.len() > name.len() && other.ends_with(name));
                prop_assert_eq!(found.listed_below, below, "below {:?} {:?}", name, context);
            }
        }
    }

    #[test]
    fn every_name_is_visited_once(lines in any_lines()) {
        let names = build(&lines);
        let mut visited = Vec::new();
        names.for_each(|name, exact, wildcard| visited.push((name.to_name(), exact, wildcard)));
        let mut expected: Vec<Name> = lines.iter().map(|line| wire(&line.0)).collect();
        expected.sort();
        expected.dedup();
        let mut found: Vec<Name> = visited.iter().map(|(name, ..)| name.clone()).collect();
        found.sort();
        prop_assert_eq!(found, expected);
        let context = Context { now_s: 3, keyed: false };
        for (name, exact, wildcard) in visited {
            let of = |other| lines.iter().filter(move |line| line.1 != other);
            for (standing, other) in [(exact, Scope::Below), (wildcard, Scope::Exact)] {
                let expected = said(of(other).filter(|line| wire(&line.0) == name), &context);
                // An exclusion in force hides the values beside it.
                prop_assert_eq!(answer(names.decide(standing, &context), &context), expected);
            }
        }
    }
}

const NOW: Context = Context { now_s: 1_000, keyed: false };

fn value(id: u32) -> Claim {
    Claim::listed(ValueId(id))
}

#[test]
fn wildcards_and_names_as_rbldnsd_has_them() {
    let names = build(&[
        (vec!["good", "foo"], Scope::Exact, Claim::excluded()),
        (vec!["foo"], Scope::Both, value(1)),
        (vec!["sub", "foo"], Scope::Below, Claim::excluded()),
        (vec!["x", "sub", "foo"], Scope::Exact, value(2)),
        (vec!["x", "sub", "foo"], Scope::Exact, value(3)),
        (vec!["c", "d"], Scope::Below, value(4)),
    ]);
    let at = |labels: &[&str]| {
        let found = find(&names, labels, &NOW);
        let values = answer(found.finding, &NOW).map(|values| values.iter().map(|value| value.0).collect::<Vec<_>>());
        (values, found.listed_below)
    };
    assert_eq!(at(&["foo"]), (Some(vec![1]), true));
    assert_eq!(at(&["good", "foo"]), (None, true));
    assert_eq!(at(&["x", "good", "foo"]), (Some(vec![1]), true), "an exclusion of a name is not one of all below it");
    assert_eq!(at(&["sub", "foo"]), (Some(vec![1]), true));
    assert_eq!(at(&["y", "sub", "foo"]), (None, false));
    assert_eq!(at(&["x", "sub", "foo"]), (Some(vec![2, 3]), false));
    assert_eq!(at(&["d"]), (Some(vec![]), true));
    assert_eq!(at(&["c", "d"]), (Some(vec![]), true));
    assert_eq!(at(&["e"]), (Some(vec![]), false));
    assert_eq!(at(&[]), (Some(vec![]), true));
    assert_eq!(find(&names, &["x", "y", "c", "d"], &NOW).entry_label_count, 2);
}

#[test]
fn what_expires_leaves_nothing_below() {
    let short = Claim { until_s: 1_000, ..value(1) };
    let names = build(&[(vec!["x", "y"], Scope::Exact, short), (vec!["y", "z"], Scope::Below, short)]);
    for (now_s, listed) in [(999, true), (1_000, false)] {
        let context = Context { now_s, keyed: false };
        for name in [&["y"][..], &["z"], &["y", "z"], &[]] {
            assert_eq!(find(&names, name, &context).listed_below, listed, "{name:?}");
        }
    }
}

#[test]
fn an_empty_set() {
    let names = build(&[]);
    let found = find(&names, &["a", "b"], &NOW);
    assert!(found.finding.is_absent() && !found.listed_below);
    assert!(find(&names, &[], &NOW).finding.is_absent());
    names.for_each(|_, _, _| panic!("nothing to visit"));
}

#[test]
fn labels_of_any_octets() {
    let mut builder = NamesBuilder::default();
    let odd: Vec<Vec<u8>> = (0..=255).map(|octet| vec![3, octet, 0, octet, 2, octet, 0, 0]).collect();
    for (id, name) in odd.iter().enumerate() {
        builder.add(name, Scope::Exact, value(id as u32));
    }
    let names = builder.build(|_| {});
    let mut query = QueryName::new();
    for (id, name) in odd.iter().enumerate().filter(|(octet, _)| !(*octet as u8).is_ascii_uppercase()) {
        assert!(query.read(name).is_some());
        assert!(
            matches!(look_up(&names, query.relative(2), &NOW).finding, Finding::One(found, _) if found.0 == id as u32)
        );
        assert!(look_up(&names, query.relative(2).without_last(1), &NOW).finding.is_absent());
    }
}

#[test]
fn names_of_any_length_among_many() {
    const COUNT: usize = 30_000;
    let label = |number: usize| format!("{number:x}{}", "-".repeat(number % 58));
    let mut builder = NamesBuilder::default();
    for number in 0..COUNT {
        let name = Name::parse(format!("{}.test", label(number)).as_bytes()).expect("a name");
        let scope = if number % 2 == 0 { Scope::Exact } else { Scope::Below };
        builder.add(name.as_wire(), scope, value(number as u32));
    }
    let names = builder.build(|_| {});
    for number in 0..COUNT {
        for (asked, is_listed) in [
            (format!("{}.test", label(number)), number % 2 == 0),
            (format!("www.{}.test", label(number)), number % 2 == 1),
            (format!("{}x.test", label(number)), false),
            (format!("{}.tes", label(number)), false),
        ] {
            let mut query = QueryName::new();
            let wire = Name::parse(asked.as_bytes()).expect("a name");
            assert!(query.read(wire.as_wire()).is_some());
            let found = look_up(&names, query.relative(query.label_count()), &NOW);
            let listed = match found.finding {
                Finding::One(found, _) => Some(found.0 as usize),
                _ => None,
            };
            assert_eq!(listed, is_listed.then_some(number), "{asked}");
            assert_eq!(
                found.listed_below,
                number % 2 == 1 && !asked.contains('x') && wire.as_wire().ends_with(b"\x04test\0"),
                "{asked}"
            );
        }
    }
}

#[test]
fn a_lifetime_costs_at_most_four_bytes() {
    const COUNT: u32 = 50_000;
    const HOUR_S: u32 = 3_600;
    const DAY_S: u32 = 24 * HOUR_S;
    let spread = |line: u32| line.wrapping_mul(2_654_435_761);
    // One below another, many below one, and each below one that is of no other.
    let shapes: [&dyn Fn(u32) -> String; 3] = [
        &|line| format!("{}name{}.test", if line % 2 == 0 { "www." } else { "" }, line / 2),
        &|line| format!("name{line}.test"),
        &|line| format!("www.name{line}.test"),
    ];
    for shape in shapes {
        let bytes = |within_s: Option<u32>, one_in: u32| {
            let mut builder = NamesBuilder::default();
            for line in 0..COUNT {
                let name = Name::parse(shape(line).as_bytes()).expect("a name");
                let scope = if line % 3 == 0 { Scope::Both } else { Scope::Exact };
                let within_s = within_s.filter(|_| (spread(line) / 7).is_multiple_of(one_in));
                let until_s = within_s.map_or(FOREVER_S, |within_s| 1_800_000_000 + spread(line) % within_s);
                builder.add(name.as_wire(), scope, Claim { until_s, ..value(line % 10 / 9) });
            }
            builder.build(|_| {}).memory_bytes() as f64
        };
        for (within_s, most) in [(HOUR_S, 2.0), (30 * DAY_S, 3.0), (365 * DAY_S, 3.9), (27_000 * DAY_S, 4.0)] {
            for one_in in [1, 2, 10, 100] {
                let each = (bytes(Some(within_s), one_in) - bytes(None, 1)) * f64::from(one_in) / f64::from(COUNT);
                assert!(each <= most + 0.01, "{within_s} 1/{one_in}: {each}");
            }
        }
    }
}

/// Among 50,000 that do not.
#[test]
fn one_name_that_ends_costs_itself() {
    let bytes = |ending: Option<u32>| {
        let mut builder = NamesBuilder::default();
        for line in 0..50_000 {
            let name = Name::parse(format!("www.name{line}.test").as_bytes()).expect("a name");
            let scope = if line % 3 == 0 { Scope::Both } else { Scope::Exact };
            let until_s = if Some(line) == ending { 1_800_000_000 } else { FOREVER_S };
            builder.add(name.as_wire(), scope, Claim { until_s, ..value(line % 10 / 9) });
        }
        builder.build(|_| {}).memory_bytes()
    };
    let endless = bytes(None);
    for line in 7_000..7_003 {
        let one = bytes(Some(line));
        assert!(one <= endless + 72, "line {line}: {one} and not {endless}");
    }
}

/// A name takes two octets besides its label, and six where it is found; one above it that is not listed takes five more. An end would
/// be an octet at least.
#[test]
fn names_without_an_end_are_their_labels() {
    const COUNT: usize = 50_000;
    let bytes_each = |above: &str, scope| {
        let (mut builder, mut labels_len) = (NamesBuilder::default(), 0);
        for line in 0..COUNT {
            let name = Name::parse(format!("{above}name{line}.test").as_bytes()).expect("a name");
            labels_len += name.labels().map(<[u8]>::len).sum::<usize>() - "test".len();
            builder.add(name.as_wire(), scope, value(0));
        }
        (builder.build(|_| {}).memory_bytes() - labels_len) as f64 / COUNT as f64
    };
    for scope in [Scope::Exact, Scope::Below, Scope::Both] {
        let (each, with_above) = (bytes_each("", scope), bytes_each("www.", scope));
        assert!(each < 8.01 && with_above < 21.01, "{scope:?}: {each} {with_above}");
    }
}

#[test]
fn some_that_are_listed_from_all_over() {
    let mut builder = NamesBuilder::default();
    let long = format!("{0}.{0}.{0}.{1}", "l".repeat(62), "l".repeat(63));
    let mut add = |name: &str, scope, claim| {
        builder.add(Name::parse(name.as_bytes()).expect("a name").as_wire(), scope, claim);
    };
    for line in 0..1_000 {
        add(&format!("x{line:03}.test"), Scope::Exact, Claim { until_s: NOW.now_s as u32, ..value(1) });
    }
    for (name, scope) in [("a.test", Scope::Exact), ("x500.test", Scope::Exact), ("zzzzz.test", Scope::Below)] {
        add(name, scope, value(2));
    }
    // Below that one no name is short enough.
    add(&long, Scope::Below, value(3));
    let names = builder.build(|_| {});
    let some = |count| names.some_listed(count, &NOW).iter().map(Name::to_string).collect();
    let all: Vec<String> = some(50);
    assert_eq!(all, ["a.test", "x500.test", "x.zzzzz.test"]);
    assert_eq!(some(2), ["a.test", "x.zzzzz.test"]);
    assert_eq!(some(1), ["a.test"]);
    assert!(some(0).is_empty());
}

/// Not the name that is excluded from it, or said something else of.
#[test]
fn what_is_listed_below_a_wildcard_is_one_that_is() {
    let some = |excluded: &[&str]| -> Vec<String> {
        let mut builder = NamesBuilder::default();
        let mut add = |name: &str, scope, claim| {
            builder.add(Name::parse(name.as_bytes()).expect("a name").as_wire(), scope, claim);
        };
        add("example.test", Scope::Below, value(1));
        for name in excluded {
            add(name, Scope::Both, Claim { value: None, ..value(1) });
        }
        builder.build(|_| {}).some_listed(4, &NOW).iter().map(Name::to_string).collect()
    };
    assert_eq!(some(&[]), ["x.example.test"]);
    assert_eq!(some(&["x.example.test"]), ["x1.example.test"]);
    let all = ["x.example.test", "x1.example.test", "x2.example.test", "x3.example.test"];
    assert!(some(&all).is_empty());
    assert_eq!(some(&all[..3]), ["x3.example.test"]);
}
