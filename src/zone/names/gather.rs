//! Lines in any order to names in order, of their labels from right to left.
//!
//! Neighbours in that order share their last labels and the first letters of the next one, so a run keeps of each name only
//! what differs from the one before it.

use std::{cmp::Ordering, sync::Arc};

use super::builder::Scope;
use crate::{
    wire::name::NAME_MAX,
    zone::{
        reversed::turn,
        ruling::{FOREVER_S, Ruling},
        runs::{NUMBER_MAX, Tape, common_len, push_number, unzigzag, zigzag},
        sorting::sort_in_place,
        standing::Standing,
        translation::Translation,
    },
};

/// Lines are collected up to a quarter of what is packed already, within these limits of octets.
const COLLECTED_SHARE: usize = 4;
const COLLECTED_MIN: usize = 2 << 20;
const COLLECTED_MAX: usize = 1 << 31;
const _: () = assert!(COLLECTED_MAX + NAME_MAX <= u32::MAX as usize, "a line has 32 bits for where its name stands");

/// Most octets of a packed line: two lengths, a name, what is said, a ruling and an end.
const LINE_MAX: usize = 3 + NAME_MAX + 2 * NUMBER_MAX;

/// What is said, in one octet: the scope, whether there is an end, and the ruling if it fits.
const SCOPES: [Scope; 3] = [Scope::Exact, Scope::Below, Scope::Both];
const SCOPE_MASK: u8 = 3;
const ENDS: u8 = 1 << 2;
const RULING_SHIFT: u32 = 3;
const LONG_RULING: u8 = 31;

/// Octets of a name that are kept apart.
const HEAD_LEN: usize = 16;

/// A line that is collected. The octets of its name, from the last label to the first and without the root's, stand in the
/// text.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The first octets of the name; they settle nearly every comparison.
    head: u128,
    /// Where the length of the name stands, and the name after it. Grows with the lines.
    at: u32,
    standing: Standing,
    scope: Scope,
}

/// Lines while they are gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    text: Vec<u8>,
    rows: Vec<Row>,
    runs: Vec<Packing>,
    packed_bytes: usize,
    count: usize,
}

impl Gathered {
    /// The next line. `name` is in wire format and lower case, the root's octet last.
    pub(super) fn push(&mut self, name: &[u8], scope: Scope, standing: Standing) {
        let at = self.text.len();
        self.text.push((name.len() - 1) as u8);
        turn(name, &mut self.text);
        let head = head(&self.text[at + 1..]);
        self.rows.push(Row { head, at: at as u32, standing, scope });
        let collected = self.text.len() + size_of_val(&*self.rows);
        if collected >= (self.packed_bytes / COLLECTED_SHARE).clamp(COLLECTED_MIN, COLLECTED_MAX) {
            self.pack();
        }
    }

    /// Number of lines so far.
    pub(super) fn count(&self) -> usize {
        self.count + self.rows.len()
    }

    /// Takes over lines that follow, of which each says what it is translated to.
    pub(super) fn absorb(&mut self, mut later: Self, translation: Option<&Arc<Translation>>) {
        self.pack();
        later.pack();
        self.count += later.count;
        self.packed_bytes += later.packed_bytes;
        self.runs.extend(later.runs.into_iter().map(|run| Packing { translation: translation.cloned(), ..run }));
    }

    /// Packs the newest lines, at the end of the newest run if they follow it.
    #[cold]
    fn pack(&mut self) {
        let Self { text, rows, runs, .. } = self;
        let in_order = |one: &Row, two: &Row| {
            let octets = || octets_at(text, one.at).cmp(octets_at(text, two.at));
            one.head.cmp(&two.head).then_with(octets).then(one.at.cmp(&two.at))
        };
        if !rows.is_sorted_by(|one, two| in_order(one, two).is_le()) {
            let digit = |row: &Row, at: usize| (row.head >> (u8::BITS as usize * (HEAD_LEN - 1 - at))) as u8;
            sort_in_place(rows, 0..HEAD_LEN, &digit, &in_order);
        }
        let Some(first) = rows.first() else { return };
        let first = octets_at(text, first.at);
        if runs.last().is_none_or(|run| *run.last > *first || run.translation.is_some()) {
            runs.last_mut().into_iter().for_each(|run| run.tape.shrink_to_fit());
            runs.push(Packing::default());
        }
        let run = runs.last_mut().expect("there is one that they follow");
        self.packed_bytes -= run.tape.len();
        for row in &*rows {
            run.push(octets_at(text, row.at), row.scope, row.standing);
        }
        self.packed_bytes += run.tape.len();
        self.count += rows.len();
        rows.clear();
        text.clear();
    }

    /// All lines in order; those about equal names as they came.
    pub(super) fn into_lines(mut self) -> Merge {
        self.pack();
        Merge::new(self.runs.into_iter().map(Packing::read).collect())
    }
}

/// The octets of a name in the text.
fn octets_at(text: &[u8], at: u32) -> &[u8] {
    let (length, rest) = text[at as usize..].split_first().expect("a name has a length");
    &rest[..usize::from(*length)]
}

/// The first octets as a number that compares as they do.
#[inline]
fn head(octets: &[u8]) -> u128 {
    let mut head = [0; HEAD_LEN];
    match octets.first_chunk() {
        Some(first) => head = *first,
        None => head[..octets.len()].copy_from_slice(octets),
    }
    u128::from_be_bytes(head)
}

/// A run while it is written.
#[derive(Debug, Default)]
struct Packing {
    tape: Tape,
    count: usize,
    last: Vec<u8>,
    last_end_s: u32,
    /// What its rulings are, if not what they seem.
    translation: Option<Arc<Translation>>,
}

impl Packing {
    fn push(&mut self, name: &[u8], scope: Scope, standing: Standing) {
        let Standing { ruling, until_s } = standing;
        let common = common_len(&self.last, name);
        let rest = &name[common..];
        // Values are small numbers, an exclusion and what is absent are the highest.
        let ruling = ruling.0.wrapping_add(2);
        let short = u8::try_from(ruling).unwrap_or(LONG_RULING).min(LONG_RULING);
        let ends = if until_s == FOREVER_S { 0 } else { ENDS };
        self.tape.append(LINE_MAX, |into| {
            into.extend_from_slice(&[common as u8, rest.len() as u8]);
            into.extend_from_slice(rest);
            into.push(short << RULING_SHIFT | ends | scope as u8);
            if short == LONG_RULING {
                push_number(into, u64::from(ruling));
            }
            if ends != 0 {
                push_number(into, zigzag(until_s, self.last_end_s));
            }
        });
        if ends != 0 {
            self.last_end_s = until_s;
        }
        self.last.truncate(common);
        self.last.extend_from_slice(rest);
        self.count += 1;
    }

    fn read(mut self) -> Reading {
        self.tape.turn();
        Reading {
            tape: self.tape,
            left: self.count,
            octets: [0; NAME_MAX],
            len: 0,
            head: 0,
            scope: Scope::Exact,
            standing: Standing::ABSENT,
            end_s: 0,
            translation: self.translation,
        }
    }
}

/// A run while it is read.
#[derive(Debug)]
pub(super) struct Reading {
    tape: Tape,
    left: usize,
    /// The name at hand.
    octets: [u8; NAME_MAX],
    len: usize,
    head: u128,
    pub(super) scope: Scope,
    pub(super) standing: Standing,
    /// The newest end.
    end_s: u32,
    translation: Option<Arc<Translation>>,
}

impl Reading {
    /// The octets of the name at hand, from the last label to the first.
    #[inline]
    pub(super) fn name(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// Goes on to the next line; `false` if there is none.
    #[inline]
    fn advance(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let Self { tape, octets: name, len, scope, standing, end_s, .. } = self;
        tape.take(|octets| {
            let common = usize::from(octets.octet());
            let rest_len = usize::from(octets.octet());
            *len = common + rest_len;
            name[common..*len].copy_from_slice(octets.octets(rest_len));
            let said = octets.octet();
            *scope = SCOPES[usize::from(said & SCOPE_MASK)];
            let short = said >> RULING_SHIFT;
            let ruling = if short == LONG_RULING { octets.number() as u32 } else { u32::from(short) };
            let mut until_s = FOREVER_S;
            if said & ENDS != 0 {
                *end_s = unzigzag(octets.number(), *end_s);
                until_s = *end_s;
            }
            *standing = Standing { ruling: Ruling(ruling.wrapping_sub(2)), until_s };
        });
        if let Some(translation) = &self.translation {
            self.standing.ruling = translation.ruling(self.standing.ruling);
        }
        self.head = head(self.name());
        true
    }

    /// Compares the names at hand.
    #[inline]
    fn compare(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head).then_with(|| self.name().cmp(other.name()))
    }
}

/// Reads runs side by side, in the order of their names; lines about equal ones in the order of the runs.
///
/// A tournament: each inner place of a binary tree, whose leaves are the runs, knows who lost there, so that when the
/// winner goes on to its next line, one comparison a level finds the next one.
#[derive(Debug)]
pub(super) struct Merge {
    runs: Vec<Reading>,
    /// The losers, from place 1 on; at place 0 the winner. [`OVER`] loses to all.
    places: Vec<usize>,
}

/// A run with no more lines.
const OVER: usize = usize::MAX;

impl Merge {
    fn new(mut runs: Vec<Reading>) -> Self {
        let leaves = runs.iter_mut().enumerate().map(|(run, lines)| if lines.advance() { run } else { OVER });
        let leaves: Vec<usize> = leaves.collect();
        let count = runs.len();
        let mut winners: Vec<usize> = [vec![OVER; count], leaves].concat();
        let mut merge = Self { runs, places: vec![OVER; count] };
        for place in (1..count).rev() {
            let (one, two) = (winners[2 * place], winners[2 * place + 1]);
            let (winner, loser) = if merge.comes_before(two, one) { (two, one) } else { (one, two) };
            winners[place] = winner;
            merge.places[place] = loser;
        }
        if let Some(place) = merge.places.first_mut() {
            *place = winners[1];
        }
        merge
    }

    /// The line that comes next.
    #[inline]
    pub(super) fn peek(&self) -> Option<&Reading> {
        self.runs.get(*self.places.first()?)
    }

    /// Goes on to the next line.
    #[inline]
    pub(super) fn advance(&mut self) {
        let mut winner = self.places[0];
        let Some(run) = self.runs.get_mut(winner) else { return };
        let has_next = run.advance();
        let mut place = usize::midpoint(winner, self.runs.len());
        if !has_next {
            winner = OVER;
        }
        while place > 0 {
            let loser = self.places[place];
            if self.comes_before(loser, winner) {
                self.places[place] = winner;
                winner = loser;
            }
            place /= 2;
        }
        self.places[0] = winner;
    }

    #[inline]
    fn comes_before(&self, one: usize, two: usize) -> bool {
        let (Some(first), Some(second)) = (self.runs.get(one), self.runs.get(two)) else { return one < two };
        match first.compare(second) {
            Ordering::Less => true,
            Ordering::Equal => one < two,
            Ordering::Greater => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        wire::name::Name,
        zone::{reversed::reverse, values::ValueId},
    };

    type Line = (Vec<u8>, Scope, Standing);

    fn all(mut merge: Merge) -> Vec<Line> {
        let mut all = Vec::new();
        while let Some(line) = merge.peek() {
            all.push((line.name().to_vec(), line.scope, line.standing));
            merge.advance();
        }
        all
    }

    proptest! {
        #[test]
        fn merged_is_sorted_and_stable(names in vec(vec(0..50_u8, 0..40), 0..9)) {
            let mut numbers = 0..;
            let (mut runs, mut expected) = (Vec::new(), Vec::new());
            for mut names in names {
                names.sort_unstable();
                let mut run = Packing::default();
                for (name, number) in names.into_iter().zip(numbers.by_ref()) {
                    let line = (vec![1, name], Scope::Exact, Standing { ruling: Ruling(number), until_s: FOREVER_S });
                    run.push(&line.0, line.1, line.2);
                    expected.push(line);
                }
                runs.push(run.read());
            }
            expected.sort_by(|one, two| one.0.cmp(&two.0));
            prop_assert_eq!(all(Merge::new(runs)), expected);
        }
    }

    #[test]
    fn lines_come_in_order() {
        for scattered in [1, 7_919] {
            let mut gathered = Gathered::default();
            let mut lines: Vec<Line> = Vec::new();
            for index in 0..120_000_u32 {
                let number = index * scattered % 60_000;
                let name = format!("x{}.{}.example{}.com", number % 7, number, "y".repeat(number as usize % 50));
                let name = Name::parse(name.as_bytes()).expect("a name");
                let until_s = if index % 3 == 0 { FOREVER_S } else { number };
                let ruling = match index % 5 {
                    0 => Ruling::EXCLUDED,
                    1 => Ruling(0x8000_0005),
                    _ => Ruling::listed(ValueId(index % 60)),
                };
                let line = (reverse(&name).into_vec(), SCOPES[index as usize % 3], Standing { ruling, until_s });
                gathered.push(name.as_wire(), line.1, line.2);
                lines.push(line);
            }
            assert_eq!(gathered.count(), lines.len());
            assert!(gathered.runs.len() > 1);
            lines.sort_by(|one, two| one.0.cmp(&two.0));
            assert!(all(gathered.into_lines()) == lines);
        }
        assert!(SCOPES.iter().enumerate().all(|(number, scope)| *scope as usize == number));
    }

    #[test]
    fn sorted_lines_make_one_run() {
        let mut gathered = Gathered::default();
        for index in 0..100_000 {
            let name = Name::parse(format!("host{index:06}.example").as_bytes()).expect("a name");
            gathered.push(name.as_wire(), Scope::Exact, Standing::ABSENT);
        }
        gathered.pack();
        assert_eq!(gathered.runs.len(), 1);
        assert!(gathered.packed_bytes < 500_000);
    }
}
