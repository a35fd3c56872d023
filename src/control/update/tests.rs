//! Updates as BIND's nsupdate (9.18) sends them, what each kind of mistake is answered, and what they mean for listings.

use std::collections::HashMap;

use super::{
    owner::Holds,
    plan::{Codes, Planner},
    *,
};
use crate::{
    live::listings::{Change, Door, Key, Lifetime, Op, Origin, Record as Listing, Verdict},
    wire::query::OPCODE_UPDATE,
};

/// Every kind of prerequisite and of edit, from nsupdate's own lines.
const CAPTURED: &str = "20302800000100050005000002626c076578616d706c6500000600010131013201300331393202626c076578616d706c650000ff00ff\
     0000000000000132c01e00ff00fe000000000000c01c000100ff000000000000c01c001000fe000000000000c01c000100010000\
     000000047f000002c01c00ff00ff000000000000c03c001000ff0000000000000133c01e000100fe0000000000047f0000020134\
     c01e0001000100000e1000047f000003c09c0010000100000e100008036f6e650374776f";

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn name(text: &str) -> Name {
    Name::parse(text.as_bytes()).expect("a name")
}

#[test]
fn nsupdate_is_understood() {
    let owner = |first: &str| name(&format!("{first}.2.0.192"));
    let code = |last| Datum::A([127, 0, 0, last].into());
    let update = read(&octets(CAPTURED)).expect("an update");
    assert_eq!(update.zone, name("bl.example"));
    assert_eq!(
        update.prerequisites,
        [
            Prerequisite::Name { owner: owner("1"), in_use: true },
            Prerequisite::Name { owner: owner("2"), in_use: false },
            Prerequisite::Rrset { owner: owner("1"), rtype: rr::A, exists: true },
            Prerequisite::Rrset { owner: owner("1"), rtype: rr::TXT, exists: false },
            Prerequisite::Value { owner: owner("1"), datum: code(2) },
        ]
    );
    assert_eq!(
        update.edits,
        [
            Edit::DeleteName { owner: owner("1") },
            Edit::DeleteRrset { owner: owner("2"), rtype: rr::TXT },
            Edit::DeleteOne { owner: owner("3"), datum: code(2) },
            Edit::Add { owner: owner("4"), datum: code(3), ttl_s: 3_600 },
            Edit::Add { owner: owner("4"), datum: Datum::Txt("onetwo".to_owned()), ttl_s: 3_600 },
        ]
    );
}

/// The code that an update is answered with before it is looked at.
fn rcode_of(message: &[u8]) -> Option<Rcode> {
    read(message).err().map(|objection| objection.rcode)
}

#[test]
fn every_shortening_is_a_form_error() {
    let message = octets(CAPTURED);
    for length in 0..message.len() {
        assert_eq!(rcode_of(&message[..length]), Some(Rcode::FormErr), "{length}");
    }
    assert_eq!(rcode_of(&[&message[..], b"x"].concat()), Some(Rcode::FormErr), "more than it counts");
}

/// A record for a message: owner, class, type, TTL, data.
type Raw<'a> = (&'a str, u16, u16, u32, &'a [u8]);

fn message(prerequisites: &[Raw<'_>], edits: &[Raw<'_>]) -> Vec<u8> {
    let mut octets = vec![0, 1, (OPCODE_UPDATE << 3) as u8, 0, 0, 1];
    for count in [prerequisites.len(), edits.len(), 0] {
        octets.extend_from_slice(&(count as u16).to_be_bytes());
    }
    octets.extend_from_slice(name("bl.example").as_wire());
    octets.extend_from_slice(&[0, 6, 0, 1]);
    for (owner, class, rtype, ttl_s, data) in prerequisites.iter().chain(edits) {
        octets.extend_from_slice(name(owner).as_wire());
        octets.extend_from_slice(&rtype.to_be_bytes());
        octets.extend_from_slice(&class.to_be_bytes());
        octets.extend_from_slice(&ttl_s.to_be_bytes());
        octets.extend_from_slice(&(data.len() as u16).to_be_bytes());
        octets.extend_from_slice(data);
    }
    octets
}

const CODE: &[u8] = &[127, 0, 0, 2];
const OWNER: &str = "1.2.0.192.bl.example";

#[test]
fn mistakes_have_their_codes() {
    let prerequisite = |raw| rcode_of(&message(&[raw], &[]));
    let edit = |raw| rcode_of(&message(&[], &[raw]));
    let form_err = Some(Rcode::FormErr);
    assert_eq!(prerequisite((OWNER, 255, rr::A, 1, b"")), form_err, "a TTL");
    assert_eq!(prerequisite((OWNER, 255, rr::A, 0, CODE)), form_err, "data of class ANY");
    assert_eq!(prerequisite((OWNER, 254, rr::A, 0, CODE)), form_err, "data of class NONE");
    assert_eq!(prerequisite((OWNER, 1, rr::ANY, 0, b"")), form_err, "a meta type");
    assert_eq!(prerequisite((OWNER, 3, rr::A, 0, CODE)), form_err, "another class");
    assert_eq!(prerequisite(("bl.example.org", 255, rr::A, 0, b"")), Some(Rcode::NotZone));
    assert_eq!(prerequisite((OWNER, 254, rr::MX, 0, b"")), None);
    assert_eq!(edit((OWNER, 1, rr::ANY, 60, b"")), form_err, "a meta type");
    assert_eq!(edit((OWNER, 255, rr::ANY, 1, b"")), form_err, "a TTL");
    assert_eq!(edit((OWNER, 255, rr::A, 0, CODE)), form_err, "data of class ANY");
    assert_eq!(edit((OWNER, 254, rr::A, 60, CODE)), form_err, "a TTL");
    assert_eq!(edit((OWNER, 254, rr::ANY, 0, b"")), form_err, "a meta type");
    assert_eq!(edit((OWNER, 3, rr::A, 60, CODE)), form_err, "another class");
    assert_eq!(edit((OWNER, 1, rr::A, 60, b"\x7f")), form_err, "an address of one octet");
    assert_eq!(edit((OWNER, 1, rr::TXT, 60, b"\x05abc")), form_err, "a string cut short");
    assert_eq!(edit((OWNER, 1, rr::TXT, 60, b"")), form_err, "no string");
    assert_eq!(edit((OWNER, 1, rr::TXT, 60, b"\0")), None, "an empty one");
    assert_eq!(edit((OWNER, 1, rr::TXT, 60, b"\x01\xff")), Some(Rcode::Refused), "not UTF-8");
    assert_eq!(edit(("example", 1, rr::A, 60, CODE)), Some(Rcode::NotZone));
    let mut no_zone = message(&[], &[]);
    no_zone[5] = 0;
    assert_eq!(rcode_of(&no_zone), form_err);
    let mut of_another_type = message(&[], &[]);
    let at = of_another_type.len() - 3;
    of_another_type[at] = 1;
    assert_eq!(rcode_of(&of_another_type), form_err);
}

const NOW_S: u64 = 1_800_000_000;

/// What is listed, by key, and with what where that is not said.
#[derive(Default)]
struct World(HashMap<String, Listing>, Codes);

impl World {
    fn with(mut self, key: &str, verdict: Verdict, until_s: Option<u64>) -> Self {
        let origin = Origin { door: Door::Command, who: "tester".to_owned(), from: None };
        let listing = Listing {
            zone: name("bl.example"),
            key: key.parse().expect("a key"),
            verdict,
            since_s: NOW_S - 60,
            changed_s: NOW_S - 60,
            until_s,
            times: 1,
            counted_s: NOW_S - 60,
            reason: None,
            origin,
        };
        self.0.insert(key.to_owned(), listing);
        self
    }

    fn listed(self, key: &str, address: Option<u8>, text: Option<&str>) -> Self {
        let address = address.map(|last| [127, 0, 0, last].into());
        self.with(key, Verdict::Listed { address, text: text.map(str::to_owned) }, Some(NOW_S + 60))
    }

    fn plan(&self, prerequisites: &[Raw<'_>], edits: &[Raw<'_>]) -> Result<Vec<Change>, Rcode> {
        self.try_plan(prerequisites, edits).map_err(|objection| objection.rcode)
    }

    fn try_plan(&self, prerequisites: &[Raw<'_>], edits: &[Raw<'_>]) -> Result<Vec<Change>, Objection> {
        let update = read(&message(prerequisites, edits))?;
        let holds = Holds { v4: true, v6: true, names: true };
        let planner = Planner { update: &update, holds, codes: self.1, now_s: NOW_S };
        planner.plan(&|zone: &Name, key: &Key| {
            assert_eq!(zone, &name("bl.example"));
            self.0.get(&key.to_string()).cloned()
        })
    }

    /// What is planned, in short.
    fn shown(&self, edits: &[Raw<'_>]) -> Vec<String> {
        let changes = self.plan(&[], edits).expect("a plan");
        let show = |change: Change| match change.op {
            Op::Delist => format!("{} delist", change.key),
            Op::Put { verdict: Verdict::Excluded, .. } => panic!("an update excludes nothing"),
            Op::Put { verdict: Verdict::Listed { address, text }, lifetime } => {
                let lifetime = match lifetime {
                    Lifetime::Default => "default".to_owned(),
                    Lifetime::For(time) => format!("for {}", time.as_secs()),
                    Lifetime::Until(until_s) => format!("until +{}", until_s - NOW_S),
                    Lifetime::AtLeastUntil(until_s) => format!("at least until +{}", until_s - NOW_S),
                    Lifetime::Endless => "endless".to_owned(),
                };
                let last = address.map_or("-".to_owned(), |address| address.octets()[3].to_string());
                format!("{} {last} {} {lifetime}", change.key, text.as_deref().unwrap_or("-"))
            }
        };
        changes.into_iter().map(show).collect()
    }
}

#[test]
fn added_records_are_listings() {
    let empty = World::default();
    let three: &[u8] = &[127, 0, 0, 3];
    assert_eq!(empty.shown(&[(OWNER, 1, rr::A, 3_600, three)]), ["192.0.2.1 3 - for 3600"]);
    assert_eq!(empty.shown(&[(OWNER, 1, rr::TXT, 60, b"\x03bad")]), ["192.0.2.1 - bad for 60"]);
    let both = [(OWNER, 1, rr::A, 60, three), (OWNER, 1, rr::TXT, 90, &b"\x03bad"[..])];
    assert_eq!(empty.shown(&both), ["192.0.2.1 3 bad for 90"], "one listing, the longer life");
    assert_eq!(empty.shown(&[(OWNER, 1, rr::A, 0, CODE)]), ["192.0.2.1 2 - default"]);
    assert_eq!(empty.shown(&[(OWNER, 1, rr::A, 1 << 31, CODE)]), ["192.0.2.1 2 - default"]);
    let several = [("2.0.192.bl.example", 1, rr::A, 60, CODE), ("*.example.com.bl.example", 1, rr::A, 60, CODE)];
    assert_eq!(empty.shown(&several), ["192.0.2.0/24 2 - for 60", "*.example.com 2 - for 60"]);
    let listed = World::default().listed("192.0.2.1", Some(3), Some("old"));
    assert_eq!(listed.shown(&[(OWNER, 1, rr::TXT, 60, b"\x03new")]), ["192.0.2.1 3 new for 60"], "the other stays");
}

/// Whoever asked before deletes what was answered.
#[test]
fn a_text_is_known_as_it_is_answered() {
    let world = World::default()
        .listed("192.0.2.1", None, Some("virus from $: $$5"))
        .listed("2001:db8::1", None, Some("$"))
        .listed("192.0.3.0/24", None, Some("$"))
        .listed("*.example.com", None, Some("below $"));
    let v6 = format!("1.{}8.b.d.0.1.0.0.2.bl.example", "0.".repeat(23));
    for (owner, text, is_it) in [
        (OWNER, "virus from 192.0.2.1: $5", true),
        (OWNER, "virus from $: $$5", true),
        (OWNER, "virus from 192.0.2.2: $5", false),
        (OWNER, "virus from 192.0.2.1: $$5", false),
        (&*v6, "2001:db8::1", true),
        ("3.0.192.bl.example", "$", true),
        ("3.0.192.bl.example", "192.0.3.0", false),
        ("*.example.com.bl.example", "below example.com", true),
    ] {
        let data = [&[text.len() as u8], text.as_bytes()].concat();
        let is_deleted = !world.shown(&[(owner, 254, rr::TXT, 0, &data)]).is_empty();
        let holds = world.plan(&[(owner, 1, rr::TXT, 0, &data)], &[]);
        assert_eq!((is_deleted, holds.is_ok()), (is_it, is_it), "{owner} {text}");
    }
}

#[test]
fn a_listing_has_one_record_of_a_type() {
    let world = World::default().listed("192.0.2.1", Some(3), Some("old"));
    let (two, four) = ((OWNER, 1, rr::A, 60, CODE), (OWNER, 1, rr::A, 60, &[127, 0, 0, 4][..]));
    let (one_text, other_text) = ((OWNER, 1, rr::TXT, 60, &b"\x03one"[..]), (OWNER, 1, rr::TXT, 60, &b"\x05other"[..]));
    assert_eq!(world.plan(&[], &[two, four]), Err(Rcode::Refused));
    assert_eq!(world.plan(&[], &[one_text, two, other_text]), Err(Rcode::Refused));
    assert_eq!(world.shown(&[two, two, one_text]), ["192.0.2.1 2 one for 60"], "the same twice is one");
    assert_eq!(world.shown(&[two, (OWNER, 255, rr::A, 0, b""), four]), ["192.0.2.1 4 old until +60"]);
    assert_eq!(world.shown(&[two, (OWNER, 254, rr::A, 0, CODE), four]), ["192.0.2.1 4 old until +60"]);
    let elsewhere = ("2.2.0.192.bl.example", 1, rr::A, 60, &[127, 0, 0, 4][..]);
    assert_eq!(world.shown(&[two, elsewhere]), ["192.0.2.1 2 old for 60", "192.0.2.2 4 - for 60"]);
}

#[test]
fn deleted_records_delist() {
    let world = World::default().listed("192.0.2.1", Some(3), Some("bad")).listed("192.0.2.2", None, None);
    let delists = ["192.0.2.1 delist"];
    let nothing: [&str; 0] = [];
    let three: &[u8] = &[127, 0, 0, 3];
    assert_eq!(world.shown(&[(OWNER, 255, rr::ANY, 0, b"")]), delists);
    assert_eq!(world.shown(&[(OWNER, 255, rr::A, 0, b"")]), delists);
    assert_eq!(world.shown(&[(OWNER, 255, rr::TXT, 0, b"")]), delists);
    assert_eq!(world.shown(&[(OWNER, 255, rr::MX, 0, b"")]), nothing);
    assert_eq!(world.shown(&[(OWNER, 254, rr::A, 0, three)]), delists);
    assert_eq!(world.shown(&[(OWNER, 254, rr::A, 0, CODE)]), nothing, "another value");
    assert_eq!(world.shown(&[(OWNER, 254, rr::TXT, 0, b"\x03bad")]), delists);
    assert_eq!(world.shown(&[("2.2.0.192.bl.example", 254, rr::A, 0, CODE)]), ["192.0.2.2 delist"], "the usual code");
    assert_eq!(world.shown(&[("2.2.0.192.bl.example", 255, rr::TXT, 0, b"")]), nothing, "no text of its own");
    assert_eq!(world.shown(&[("9.2.0.192.bl.example", 255, rr::ANY, 0, b"")]), nothing, "not listed");
    assert_eq!(world.shown(&[("bl.example", 255, rr::ANY, 0, b"")]), nothing, "the apex is not ours to delete");
    let over = World::default().with("192.0.2.1", Verdict::LISTED, Some(NOW_S));
    assert_eq!(over.shown(&[(OWNER, 255, rr::ANY, 0, b"")]), nothing, "over already");
}

#[test]
fn edits_follow_one_another() {
    let world = World::default().listed("192.0.2.1", Some(3), Some("bad"));
    let delete_all = (OWNER, 255, rr::ANY, 0, &b""[..]);
    let add = (OWNER, 1, rr::A, 30, CODE);
    assert_eq!(world.shown(&[delete_all, add]), ["192.0.2.1 2 - until +30"], "anew, and sooner over");
    assert_eq!(world.shown(&[(OWNER, 255, rr::A, 0, b""), add]), ["192.0.2.1 2 bad until +30"], "the text stays");
    assert_eq!(world.shown(&[add, delete_all]), ["192.0.2.1 delist"]);
    let nothing: [&str; 0] = [];
    assert_eq!(World::default().shown(&[add, delete_all]), nothing);
    // What is added outlives the deletion of the other record behind it, too.
    let (text, delete_text) = ((OWNER, 1, rr::TXT, 90, &b"\x03new"[..]), (OWNER, 255, rr::TXT, 0, &b""[..]));
    assert_eq!(world.shown(&[add, delete_text]), ["192.0.2.1 2 - until +30"]);
    assert_eq!(world.shown(&[add, (OWNER, 254, rr::TXT, 0, b"\x03bad")]), ["192.0.2.1 2 - until +30"]);
    assert_eq!(World::default().shown(&[add, text, delete_text]), ["192.0.2.1 2 - for 30"]);
    let delete_a = (OWNER, 255, rr::A, 0, &b""[..]);
    assert_eq!(world.shown(&[text, delete_a]), ["192.0.2.1 delist"], "the listing goes, and the text with it");
    assert_eq!(world.shown(&[text, delete_a, add]), ["192.0.2.1 2 new until +90"], "of several, the longest");
    assert_eq!(World::default().shown(&[text, delete_a]), ["192.0.2.1 - new for 90"], "there is none to delete");
}

#[test]
fn what_is_not_for_updates_is_refused() {
    let refused = |world: &World, raw| assert_eq!(world.plan(&[], &[raw]), Err(Rcode::Refused), "{raw:?}");
    let world = World::default().with("192.0.2.1", Verdict::Excluded, None);
    refused(&world, ("bl.example", 1, rr::A, 60, CODE));
    refused(&world, ("*.bl.example", 1, rr::A, 60, CODE));
    refused(&world, (OWNER, 1, rr::MX, 60, b"\x00\x0a\x00"));
    refused(&world, ("bl.example", 1, rr::SOA, 60, b""));
    assert_eq!(world.plan(&[], &[(OWNER, 255, rr::ANY, 0, b"")]), Ok(Vec::new()), "and stays excluded");
}

#[test]
fn prerequisites_hold_against_what_is_listed_live() {
    let world = World::default()
        .listed("192.0.2.1", Some(3), Some("bad"))
        .listed("192.0.2.2", None, None)
        .with("192.0.2.3", Verdict::Excluded, None)
        .with("192.0.2.4", Verdict::LISTED, Some(NOW_S));
    let outcome = |raw| world.plan(&[raw], &[]).err();
    let of = |last: &'static str| -> &'static str {
        match last {
            "1" => "1.2.0.192.bl.example",
            "2" => "2.2.0.192.bl.example",
            "3" => "3.2.0.192.bl.example",
            _ => "4.2.0.192.bl.example",
        }
    };
    let (yx_domain, nx_domain) = (Some(Rcode::YxDomain), Some(Rcode::NxDomain));
    let (yx_rrset, nx_rrset) = (Some(Rcode::YxRrset), Some(Rcode::NxRrset));
    for (last, in_use, not_in_use) in
        [("1", None, yx_domain), ("2", None, yx_domain), ("3", nx_domain, None), ("4", nx_domain, None)]
    {
        assert_eq!(outcome((of(last), 255, rr::ANY, 0, b"")), in_use, "{last} in use");
        assert_eq!(outcome((of(last), 254, rr::ANY, 0, b"")), not_in_use, "{last} not in use");
    }
    assert_eq!(outcome((of("1"), 255, rr::TXT, 0, b"")), None);
    assert_eq!(outcome((of("1"), 254, rr::TXT, 0, b"")), yx_rrset);
    assert_eq!(outcome((of("2"), 255, rr::TXT, 0, b"")), nx_rrset, "only a text of its own counts");
    assert_eq!(outcome((of("2"), 254, rr::TXT, 0, b"")), None);
    assert_eq!(outcome((of("3"), 255, rr::A, 0, b"")), nx_rrset);
    assert_eq!(outcome((of("1"), 255, rr::MX, 0, b"")), nx_rrset);
    assert_eq!(outcome((of("1"), 1, rr::A, 0, &[127, 0, 0, 3])), None);
    assert_eq!(outcome((of("1"), 1, rr::A, 0, CODE)), nx_rrset);
    assert_eq!(outcome((of("1"), 1, rr::TXT, 0, b"\x03bad")), None);
    assert_eq!(outcome((of("2"), 1, rr::A, 0, CODE)), None, "the usual code");
    assert_eq!(outcome(("bl.example", 255, rr::SOA, 0, b"")), None);
    assert_eq!(outcome(("bl.example", 255, rr::ANY, 0, b"")), None);
    assert_eq!(outcome(("bl.example", 254, rr::ANY, 0, b"")), yx_domain);
}

#[test]
fn what_a_listing_leaves_to_its_zone_is_what_the_zone_answers() {
    let nine = [127, 0, 0, 9].into();
    let mut world = World::default().listed("192.0.2.1", None, Some("hi")).listed("spam.example", None, None);
    world.1 = Codes { v4: nine, ..Codes::default() };
    assert_eq!(world.plan(&[(OWNER, 1, rr::A, 0, &[127, 0, 0, 9])], &[]), Ok(Vec::new()));
    assert_eq!(world.plan(&[(OWNER, 1, rr::A, 0, CODE)], &[]), Err(Rcode::NxRrset));
    let nothing: [&str; 0] = [];
    assert_eq!(world.shown(&[(OWNER, 254, rr::A, 0, CODE)]), nothing);
    assert_eq!(world.shown(&[(OWNER, 254, rr::A, 0, &[127, 0, 0, 9])]), ["192.0.2.1 delist"]);
    let name = "spam.example.bl.example";
    assert_eq!(world.shown(&[(name, 254, rr::A, 0, CODE)]), ["spam.example delist"], "names have another");
}

proptest::proptest! {
    /// Strangers' octets: whatever stands in a message, it is read or it is not, and what was read can be planned.
    #[test]
    fn mangled_messages_do_no_harm(changes in proptest::collection::vec((0usize..400, 0u8..), 0..8), length in 0usize..300) {
        let mut message = octets(CAPTURED);
        message.truncate(length.max(12));
        for (at, octet) in changes {
            if let Some(place) = message.get_mut(at) {
                *place = octet;
            }
        }
        let _ = crate::control::tsig::Signature::find(&message);
        if let Ok(update) = read(&message) {
            let holds = Holds { v4: true, v6: true, names: true };
            let world = World::default().listed("192.0.2.1", Some(2), Some("bad"));
            let planner = Planner { update: &update, holds, codes: Codes::default(), now_s: NOW_S };
            let _ = planner.plan(&|_: &Name, key: &Key| world.0.get(&key.to_string()).cloned());
        }
    }
}
