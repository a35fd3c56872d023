//! Lines of the kinds whose keys are addresses.

use std::net::Ipv4Addr;

use super::{
    ZoneHead,
    address::{self, Either, Forms4, Range4},
    crowd::{self, Rows},
    cursor::{Cursor, Wrong, is_blank},
    dataset::{Reading, Shared, Usual, not_ahead, read_default},
    known::KnownPrefixes,
    params,
    report::{Fault, Report},
    usual,
    value::{GivenValue, ValueReader},
};
use crate::zone::{
    addresses::{Addresses, AddressesBuilder, Crowding, Specificity},
    bits::Address,
    dataset::Kind,
    ruling::{Claim, FOREVER_S},
    values::ValueId,
};

/// The value of all entries of a kind that has only one.
const COMMON: ValueId = ValueId(0);

/// A line that needs no second look.
struct UsualLine<A> {
    base: A,
    length: u8,
    claim: Claim,
    /// With the end of the line.
    octets: usize,
}

/// What usual lines say.
struct UsualClaims<'s> {
    shared: &'s Shared,
    wordless: Option<Claim>,
    excluded: Option<Claim>,
}

impl<'s> UsualClaims<'s> {
    fn new(shared: &'s Shared, takes_exclusions: bool) -> Self {
        let excluded = shared.recall_exclusion().filter(|_| takes_exclusions);
        Self { shared, wordless: shared.recall(b""), excluded }
    }

    /// The line at the start of `text`, whose key is read so.
    #[inline]
    fn line<A>(&self, text: &[u8], key: impl Fn(&[u8]) -> Option<(A, u8, usize)>) -> Option<UsualLine<A>> {
        let is_exclusion = text.first() == Some(&b'!');
        let text = &text[usize::from(is_exclusion)..];
        let (base, length, key_len) = key(text)?;
        let rest = &text[key_len..];
        let (claim, words_len) = if is_exclusion {
            (self.excluded.filter(|_| rest.first() == Some(&b'\n'))?, 0)
        } else {
            self.shared.recall_line(rest, self.wordless)?
        };
        Some(UsualLine { base, length, claim, octets: usize::from(is_exclusion) + key_len + words_len + 1 })
    }
}

/// Entries of a dataset of addresses while its files are read.
pub(super) struct AddressLines {
    kind: Kind,
    builder: AddressesBuilder,
    /// The first default value, where all entries share one.
    common: Option<(Option<Ipv4Addr>, Vec<u8>)>,
    /// The prefixes so far, where equal ones deserve a warning and as long as there are not too many to tell.
    known: Option<KnownPrefixes>,
    remembered_max: usize,
    /// Ranges by their first and last address, where all lines about one count.
    rows: Rows<(u32, u32)>,
}

impl AddressLines {
    pub(super) fn new(kind: Kind, remembered_max: usize) -> Self {
        let specificity = match kind {
            Kind::Ip4Set => Specificity::Octets,
            _ => Specificity::Prefix(kind.equals()),
        };
        let known = matches!(kind, Kind::Ip4Trie | Kind::Ip6Trie).then(KnownPrefixes::default);
        let builder = AddressesBuilder::new(specificity);
        Self { kind, builder, common: None, known, remembered_max, rows: Rows::default() }
    }

    /// The same with no entries.
    pub(super) fn fork(&self) -> Self {
        Self { common: self.common.clone(), ..Self::new(self.kind, self.remembered_max) }
    }

    /// Takes over entries that follow.
    pub(super) fn absorb(&mut self, later: Self, values: Vec<ValueId>) {
        debug_assert!(self.known.is_none(), "equal prefixes in two parts would not be found");
        self.common = self.common.take().or(later.common);
        // Where all share one value, it has its number before it is known.
        let values = if matches!(self.kind, Kind::Ip4TSet | Kind::Ip6TSet) { vec![COMMON] } else { values };
        self.builder.absorb(later.builder, values);
        self.rows.absorb(later.rows);
    }

    /// Takes lines that need no second look from the start of `text`: whole addresses and prefixes with words behind them that
    /// were read before, or with none; and exclusions with none.
    pub(super) fn usual_lines(&mut self, text: &[u8], shared: &Shared, head: &ZoneHead) -> Usual {
        let mut usual = Usual::default();
        let claims = UsualClaims::new(shared, self.kind != Kind::Ip4TSet);
        match self.kind {
            Kind::Ip4TSet => {
                while let Some(line) = claims.line(&text[usual.octets..], usual::v4_host) {
                    self.builder.add_v4(line.base, line.length, line.claim);
                    usual.add(line.octets);
                }
            }
            Kind::Ip4Set | Kind::Ip4Trie => {
                let takes_prefixes = head.max_range_4 == 0;
                while let Some(line) = claims.line(&text[usual.octets..], usual::v4)
                    && (line.length == 32 || takes_prefixes)
                    && self.is_new(|known| known.insert_v4(line.base, line.length))
                {
                    self.builder.add_v4(line.base, line.length, line.claim);
                    usual.add(line.octets);
                }
            }
            Kind::Ip6Trie => {
                while let Some(line) = claims.line(&text[usual.octets..], usual::v6)
                    && self.is_new(|known| known.insert_v6(line.base, line.length))
                {
                    self.builder.add_v6(line.base, line.length, line.claim);
                    usual.add(line.octets);
                }
            }
            _ => {}
        }
        usual
    }

    /// Whether a prefix may be added without a warning that it was there before.
    #[inline]
    fn is_new(&mut self, insert: impl FnOnce(&mut KnownPrefixes) -> bool) -> bool {
        let Some(known) = &mut self.known else { return true };
        let is_new = insert(known);
        if known.count() > self.remembered_max {
            self.known = None;
        }
        is_new
    }

    #[inline]
    pub(super) fn line(
        &mut self,
        cursor: Cursor<'_>,
        shared: &mut Shared,
        head: &ZoneHead,
        reading: &mut Reading<'_>,
    ) -> Result<(), Wrong> {
        if cursor.peek() == Some(b':') && !(self.takes_colons() && cursor.rest().starts_with(b"::")) {
            return self.default_line(cursor, shared, reading);
        }
        let v4_range =
            |cursor: &mut Cursor<'_>, clears| address::read_v4(cursor, Forms4::Ranges, clears).map(Either::V4);
        let v6_prefix = |cursor: &mut Cursor<'_>, clears| {
            address::read_v6(cursor, clears).map(|(base, length)| Either::V6(base, length))
        };
        match self.kind {
            Kind::Ip4Set => self.entry(cursor, v4_range, shared, head, reading),
            Kind::Ip4TSet => self.host(cursor, shared, reading),
            Kind::Ip4Seen => self.seen(cursor, shared, reading),
            Kind::Ip6TSet => self.half(cursor, shared, reading),
            Kind::Ip6Trie => self.entry(cursor, v6_prefix, shared, head, reading),
            _ => self.entry(cursor, address::read_either, shared, head, reading),
        }
    }

    /// Whether a line may begin with the `::` of an address.
    fn takes_colons(&self) -> bool {
        matches!(self.kind, Kind::Ip4Trie | Kind::Ip6Trie)
    }

    fn default_line(
        &mut self,
        mut cursor: Cursor<'_>,
        shared: &mut Shared,
        reading: &mut Reading<'_>,
    ) -> Result<(), Wrong> {
        if !matches!(self.kind, Kind::Ip4TSet | Kind::Ip6TSet) {
            return shared.default_line(cursor, reading);
        }
        let start = cursor;
        let given = read_default(&mut cursor, reading)?;
        if self.common.is_some() {
            let expected = "one default value, since all entries of this type share the first";
            reading.remark(cursor.line(), start.wrong(Fault::Unused, expected));
            return Ok(());
        }
        self.common = Some((given.address, given.text.unwrap_or_default().to_vec()));
        Ok(())
    }

    /// Reads a line whose key, an address or several, is read so.
    #[inline]
    fn entry(
        &mut self,
        mut cursor: Cursor<'_>,
        read_key: impl Fn(&mut Cursor<'_>, bool) -> Result<Either, Wrong>,
        shared: &mut Shared,
        head: &ZoneHead,
        reading: &mut Reading<'_>,
    ) -> Result<(), Wrong> {
        let is_exclusion = takes_exclamation(&mut cursor);
        let start = cursor;
        let key = read_key(&mut cursor, reading.options.allow_host_bits)?;
        if let Either::V4(range) = key {
            address::check_size(&start, range, head.max_range_4)?;
        }
        let Some(claim) = claim(cursor, is_exclusion, shared, reading)? else { return Ok(()) };
        match key {
            Either::V4(range) => {
                if self.kind == Kind::Ip4Set {
                    self.rows.note(&(range.first, range.last), &start, reading);
                } else {
                    let length = range.prefix_len().unwrap_or(32);
                    self.note_duplicate(start, claim, reading, |known| known.insert_v4(range.first, length));
                }
                self.add_range(range, claim);
            }
            Either::V6(base, length) => {
                self.note_duplicate(start, claim, reading, |known| known.insert_v6(base, length));
                self.builder.add_v6(base, length, claim);
            }
        }
        Ok(())
    }

    #[inline]
    fn add_range(&mut self, range: Range4, claim: Claim) {
        if let Some(length) = range.prefix_len() {
            self.builder.add_v4(range.first, length, claim);
        } else {
            for (base, length) in range.prefixes() {
                self.builder.add_v4(base, length, claim);
            }
        }
    }

    fn host(&mut self, mut cursor: Cursor<'_>, shared: &mut Shared, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        if cursor.peek() == Some(b'!') {
            return Err(
                cursor.wrong(Fault::Address, "an address, since this type has no exclusions (ip4set and ip4trie have)")
            );
        }
        let range = address::read_v4(&mut cursor, Forms4::Hosts, false)?;
        if let Some(claim) = shared.bare_claim(cursor, Some(COMMON), reading) {
            self.builder.add_v4(range.first, 32, claim);
        }
        Ok(())
    }

    fn seen(&mut self, mut cursor: Cursor<'_>, shared: &mut Shared, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        let range = address::read_v4(&mut cursor, Forms4::Hosts, false)?;
        if !cursor.peek().is_some_and(is_blank) {
            return Err(cursor.wrong(Fault::Time, "a blank and the second when the address was seen"));
        }
        cursor.skip_blanks();
        let start = cursor;
        let Some(seen_s) = params::unix_s(cursor.word()) else {
            return Err(start.wrong(Fault::Time, "the second when the address was seen, counted from 1970"));
        };
        let seen_s = not_ahead(seen_s, &start, reading);
        if let Some(claim) = shared.claim(cursor, Some(seen_s), reading)? {
            self.builder.add_v4(range.first, 32, claim);
        }
        Ok(())
    }

    fn half(&mut self, mut cursor: Cursor<'_>, shared: &mut Shared, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        let is_exclusion = takes_exclamation(&mut cursor);
        let (base, length) = address::read_v6_half(&mut cursor, is_exclusion)?;
        if let Some(claim) = shared.bare_claim(cursor, (!is_exclusion).then_some(COMMON), reading) {
            self.builder.add_v6(base, length, claim);
        }
        Ok(())
    }

    /// Warns of a prefix that was there already. One with a lifetime is a listing renewed.
    #[inline]
    fn note_duplicate(
        &mut self,
        start: Cursor<'_>,
        claim: Claim,
        reading: &mut Reading<'_>,
        insert: impl FnOnce(&mut KnownPrefixes) -> bool,
    ) {
        if !self.is_new(insert) && claim.until_s == FOREVER_S {
            const EXPECTED: &str = "every prefix once; the first line counts, unless a later one holds longer";
            reading.remark(start.line(), start.wrong(Fault::Duplicate, EXPECTED));
        }
    }

    /// Gives the entries of a `tset` the one value that they all have.
    pub(super) fn give_common(&self, values: &mut ValueReader) {
        if matches!(self.kind, Kind::Ip4TSet | Kind::Ip6TSet) {
            let (address, text) = self.common.as_ref().map_or((None, &[][..]), |(address, text)| (*address, text));
            values.reset_default();
            values.set_default(GivenValue { address, text: Some(text) }, false);
            let id = values.default_id();
            debug_assert_eq!(id, COMMON, "nothing else was interned");
        }
    }

    /// Freezes the entries.
    pub(super) fn build(self, label: &str, report: &mut Report) -> Addresses {
        let Self { builder, known, mut rows, .. } = self;
        drop(known);
        builder.build(|first, length, crowding| {
            let called = format!("{}/{length}", Ipv4Addr::from_bits(first));
            if crowding == Crowding::Prefixes {
                report.add(label, 0, called.as_bytes(), crowd::too_many_together());
                return;
            }
            let last = first.prefix(length).last;
            let width = |range: &(u32, u32)| (range.0 <= first && last <= range.1).then(|| range.1 - range.0);
            rows.tell(width, &called, label, report);
        })
    }
}

/// Goes over the `!` of an exclusion.
#[inline]
pub(super) fn takes_exclamation(cursor: &mut Cursor<'_>) -> bool {
    let takes = cursor.take(b'!');
    if takes {
        cursor.skip_blanks();
    }
    takes
}

/// Reads what follows the key of an entry or of an exclusion.
#[inline]
pub(super) fn claim(
    cursor: Cursor<'_>,
    is_exclusion: bool,
    shared: &mut Shared,
    reading: &mut Reading<'_>,
) -> Result<Option<Claim>, Wrong> {
    if is_exclusion { Ok(shared.bare_claim(cursor, None, reading)) } else { shared.claim(cursor, None, reading) }
}
