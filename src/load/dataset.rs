//! A dataset of entries while its files are read.

use super::{
    LoadError, Options, ZoneHead,
    addresses::AddressLines,
    cursor::{Cursor, Wrong},
    generic::RecordLines,
    names::NameLines,
    params::{self, Params},
    report::{Fault, Report},
    special::InForce,
    value::{self, ValueReader},
    words::{self, Words},
};
use crate::zone::{
    dataset::{Dataset, Entries, Kind},
    ruling::{Claim, FOREVER_S, KeyRule, is_over},
    values::{TEMPLATE_MAX, TEXTS_MAX, Template, ValueId, Values},
};

/// How far in the future an entry's own time may lie, for clocks that differ.
const AHEAD_MAX_S: u64 = 86_400;

/// What the line being read stands in.
pub(super) struct Reading<'r> {
    pub(super) options: &'r Options,
    pub(super) report: &'r mut Report,
    /// The file's name.
    pub(super) file: &'r str,
    /// The line's number in it.
    pub(super) line: u64,
    /// When the file was modified.
    pub(super) modified_s: u64,
}

impl Reading<'_> {
    /// Takes note of a fault in the line.
    #[cold]
    pub(super) fn remark(&mut self, text: &[u8], wrong: Wrong) {
        self.report.add(self.file, self.line, text, wrong);
    }
}

/// How lines of entries are read.
enum EntryLines {
    Addresses(Box<AddressLines>),
    Names(Box<NameLines>),
    Records(RecordLines),
}

/// Lines that needed no second look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    pub(super) lines: u64,
    /// Their octets, with the ends of lines.
    pub(super) octets: usize,
}

impl Usual {
    /// One more line of so many octets.
    #[inline]
    pub(super) fn add(&mut self, octets: usize) {
        self.lines += 1;
        self.octets += octets;
    }
}

/// What entries of one dataset share.
pub(super) struct Shared {
    pub(super) settings: InForce,
    pub(super) values: ValueReader,
    pub(super) words: Words,
}

/// A dataset while it is read.
pub(super) struct Draft {
    label: String,
    kind: Kind,
    pub(super) shared: Shared,
    lines: EntryLines,
}

impl Draft {
    /// An empty dataset of a kind that has entries. Of prefixes, so many are remembered to tell which come again.
    pub(super) fn new(kind: Kind, label: String, settings: InForce, remembered_max: usize) -> Self {
        let lines = match kind {
            Kind::DnSet | Kind::DnHash => EntryLines::Names(Box::default()),
            Kind::Generic | Kind::Retired => EntryLines::Records(RecordLines::new(kind)),
            _ => EntryLines::Addresses(Box::new(AddressLines::new(kind, remembered_max))),
        };
        Self {
            label,
            kind,
            shared: Shared { settings, values: ValueReader::default(), words: Words::default() },
            lines,
        }
    }

    /// Takes the room in which a dataset that is complete remembered words.
    pub(super) fn take_words(&mut self, complete: &mut Self) {
        self.shared.words = std::mem::take(&mut complete.shared.words);
        self.shared.words.forget();
    }

    /// A dataset for entries that follow, with nothing in it yet.
    pub(super) fn fork(&self) -> Self {
        let lines = match &self.lines {
            EntryLines::Addresses(lines) => EntryLines::Addresses(Box::new(lines.fork())),
            EntryLines::Names(_) => EntryLines::Names(Box::default()),
            EntryLines::Records(lines) => EntryLines::Records(lines.fork()),
        };
        let Shared { settings, values, .. } = &self.shared;
        let shared = Shared { settings: settings.clone(), values: values.fork(), words: Words::default() };
        Self { label: self.label.clone(), kind: self.kind, shared, lines }
    }

    /// Takes over entries that follow, and what is set after them. Plain records are never read in parts.
    pub(super) fn absorb(&mut self, later: Self) {
        let Shared { settings, values, words } = later.shared;
        drop(words);
        let values = self.shared.values.absorb(values);
        self.shared.settings = settings;
        match (&mut self.lines, later.lines) {
            (EntryLines::Addresses(lines), EntryLines::Addresses(later)) => lines.absorb(*later, values),
            (EntryLines::Names(lines), EntryLines::Names(later)) => lines.absorb(*later, values),
            _ => unreachable!("parts are of one kind, and not of records"),
        }
    }

    /// Begins another file: defaults do not outlive theirs.
    pub(super) fn start_file(&mut self) {
        self.shared.values.reset_default();
        self.shared.words.forget();
    }

    /// Reads a line that is neither empty nor special.
    #[inline]
    pub(super) fn line(&mut self, cursor: Cursor<'_>, head: &ZoneHead, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        match &mut self.lines {
            EntryLines::Addresses(lines) => lines.line(cursor, &mut self.shared, head, reading),
            EntryLines::Names(lines) => lines.line(cursor, &mut self.shared, reading),
            EntryLines::Records(lines) => lines.line(cursor, &self.shared.settings, reading),
        }
    }

    /// Takes lines that need no second look from the start of `text`: whole lines only, without a fault, and none that changes
    /// what others mean.
    pub(super) fn usual_lines(&mut self, text: &[u8], head: &ZoneHead) -> Usual {
        match &mut self.lines {
            EntryLines::Addresses(lines) => lines.usual_lines(text, &self.shared, head),
            EntryLines::Names(lines) => lines.usual_lines(text, &self.shared),
            EntryLines::Records(_) => Usual::default(),
        }
    }

    /// Freezes the dataset.
    pub(super) fn build(self, report: &mut Report) -> Result<Dataset, LoadError> {
        let Self { label, kind, shared, lines } = self;
        let Shared { settings, mut values, words } = shared;
        drop(words);
        if let EntryLines::Addresses(lines) = &lines {
            lines.give_common(&mut values);
        }
        let default_value = (!matches!(lines, EntryLines::Records(_))).then(|| values.first_default_id());
        // What tells texts apart is gone before entries need room to be sorted.
        let values = build_values(values, &settings, &label, report)?;
        let entries = match lines {
            EntryLines::Addresses(lines) => Entries::Addresses(lines.build(&label, report)),
            EntryLines::Names(lines) => Entries::Names(lines.build(&label, report)),
            EntryLines::Records(lines) => Entries::Records(lines.build(&label, report)),
        };
        Ok(Dataset { label: label.into(), kind, ttl_s: settings.ttl_s, values, default_value, entries })
    }
}

/// Makes templates of the texts, now that all variables are known.
pub(super) fn build_values(
    values: ValueReader,
    settings: &InForce,
    label: &str,
    report: &mut Report,
) -> Result<Values, LoadError> {
    if values.text_bytes() > TEXTS_MAX {
        return Err(LoadError::TooMuchText { label: label.to_owned() });
    }
    let mut total = 0;
    let values = values.into_builder().build(|text| {
        let (template, is_cut) = settings.variables.template(text);
        if is_cut {
            let expected = "at most 60000 octets with all variables in place".into();
            report.add(label, 0, text, Wrong { fault: Fault::LongText, at: 0, expected });
        }
        total += template.stored_len();
        if total > TEXTS_MAX { Template::default() } else { template }
    });
    if total > TEXTS_MAX { Err(LoadError::TooMuchText { label: label.to_owned() }) } else { Ok(values) }
}

impl Shared {
    /// Reads a line that gives the default value of those after it.
    pub(super) fn default_line(&mut self, mut cursor: Cursor<'_>, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        let given = read_default(&mut cursor, reading)?;
        self.values.set_default(given, false);
        self.words.forget();
        Ok(())
    }

    /// What the words behind a key say, if they were read before with nothing else in force.
    #[inline]
    pub(super) fn recall(&self, words: &[u8]) -> Option<Claim> {
        self.words.claim(words, self.settings.lifetime_s)
    }

    /// The same of the words at the start of `rest`, up to the end of their line, and how many octets they are; `wordless` is what no
    /// words say.
    #[inline]
    pub(super) fn recall_line(&self, rest: &[u8], wordless: Option<Claim>) -> Option<(Claim, usize)> {
        if rest.first() == Some(&b'\n') {
            return Some((wordless?, 0));
        }
        let words = words::on_line(rest)?;
        Some((self.recall(words)?, words.len()))
    }

    /// What an exclusion says with no words behind its key, if that is always the same.
    pub(super) fn recall_exclusion(&self) -> Option<Claim> {
        (self.settings.lifetime_s == 0).then(Claim::excluded)
    }

    /// Reads what follows an entry's key, and says what holds of the key. `None`: nothing any more, or not yet and never.
    #[inline]
    pub(super) fn claim(
        &mut self,
        mut cursor: Cursor<'_>,
        own_s: Option<u32>,
        reading: &mut Reading<'_>,
    ) -> Result<Option<Claim>, Wrong> {
        let words = cursor.rest();
        if own_s.is_none()
            && let Some(claim) = self.recall(words)
        {
            return Ok(Some(claim));
        }
        let mut params = Params { seen_s: own_s, ..Params::default() };
        let mut is_whole = true;
        let value = if cursor.is_done() {
            self.values.default_id()
        } else {
            let line = cursor.line();
            params = split_params(&mut cursor, own_s, reading);
            let given = read_value(&mut cursor, reading)?;
            is_whole = cursor.line().len() == line.len();
            self.values.id(given)
        };
        let claim = self.limit(Claim::listed(value), &params, reading);
        if let Some(claim) = claim
            && (is_whole && params == Params::default())
        {
            self.words.keep(words, self.settings.lifetime_s, claim);
        }
        Ok(claim)
    }

    /// Reads what follows the key of an entry that has no value of its own.
    pub(super) fn bare_claim(
        &mut self,
        mut cursor: Cursor<'_>,
        value: Option<ValueId>,
        reading: &mut Reading<'_>,
    ) -> Option<Claim> {
        let claim = value.map_or(Claim::excluded(), Claim::listed);
        let words = cursor.rest();
        if cursor.is_done() {
            let claim = self.limit(claim, &Params::default(), reading);
            if let Some(claim) = claim.filter(|claim| claim.value.is_some()) {
                self.words.keep(words, self.settings.lifetime_s, claim);
            }
            return claim;
        }
        let params = split_params(&mut cursor, None, reading);
        if !cursor.is_done() {
            let expected = if value.is_some() {
                "no value, since all entries of this type share one"
            } else {
                "no value behind an exclusion"
            };
            reading.remark(cursor.line(), cursor.wrong(Fault::Unused, expected));
        }
        self.limit(claim, &params, reading)
    }

    /// Gives a claim its times.
    #[inline]
    fn limit(&self, claim: Claim, params: &Params, reading: &mut Reading<'_>) -> Option<Claim> {
        if self.settings.lifetime_s == 0 && *params == Params::default() {
            return Some(claim);
        }
        self.limit_slowly(claim, params, reading)
    }

    fn limit_slowly(&self, mut claim: Claim, params: &Params, reading: &mut Reading<'_>) -> Option<Claim> {
        let now_s = reading.options.now_s;
        // A time ahead of our clock would make the entry outlive its lifetime.
        let modified_s = if reading.modified_s > now_s + AHEAD_MAX_S { now_s } else { reading.modified_s };
        let own_s = params.seen_s.map_or(modified_s, u64::from);
        let narrow = |time_s: u64| u32::try_from(time_s).unwrap_or(FOREVER_S);
        match (params.seen_s, params.delay_s) {
            (Some(seen_s), Some(delay_s)) => claim.from_s = seen_s.saturating_add(delay_s),
            (None, Some(delay_s)) => claim.hold_s = u16::try_from(delay_s).unwrap_or(u16::MAX),
            (_, None) => {}
        }
        let lifetime_s = params.lifetime_s.or(params.until_s.is_none().then_some(self.settings.lifetime_s));
        let by_lifetime_s =
            lifetime_s.filter(|&time_s| time_s > 0).map_or(FOREVER_S, |time_s| narrow(own_s + u64::from(time_s)));
        claim.until_s = by_lifetime_s.min(params.until_s.unwrap_or(FOREVER_S));
        claim.key = match (params.needs_key, params.key_skips_delay) {
            (false, false) => KeyRule::Anyone,
            (false, true) => KeyRule::SkipsDelay,
            (true, skips_delay) => {
                // Only keyed queries see the entry, and those do not wait.
                if skips_delay {
                    (claim.from_s, claim.hold_s) = (0, 0);
                }
                KeyRule::Required
            }
        };
        let is_over = is_over(claim.until_s, now_s);
        reading.report.expired += u64::from(is_over);
        (!is_over).then_some(claim)
    }
}

/// A parameter that cannot be read, with what becomes of an entry that loses its end by that.
fn without_end(wrong: Wrong, line: &[u8]) -> Wrong {
    let there = line.get(wrong.at..).unwrap_or_default();
    let other = match (there.starts_with(b"lifetime"), there.starts_with(b"until")) {
        (true, _) => "until",
        (_, true) => "lifetime",
        _ => return wrong,
    };
    let expected = format!("{}; without it, the entry has no end but one by $LIFETIME or `{other}`", wrong.expected);
    Wrong { expected: expected.into(), ..wrong }
}

/// Reads the parameters at the end of a line, and cuts them off.
fn split_params(cursor: &mut Cursor<'_>, own_s: Option<u32>, reading: &mut Reading<'_>) -> Params {
    let mut params = Params { seen_s: own_s, ..Params::default() };
    let Some(at) = params::find(cursor.rest()) else {
        if let Some(wrong) = params::misspelt(*cursor) {
            reading.remark(cursor.line(), wrong);
            params.has_unknown = true;
        }
        return params;
    };
    let mut tail = *cursor;
    tail.skip(at + 1);
    params = params::read(tail, |wrong| reading.remark(tail.line(), without_end(wrong, tail.line())));
    if let Some(seen_s) = params.seen_s {
        params.seen_s = Some(not_ahead(seen_s, &tail, reading));
    }
    params.seen_s = params.seen_s.or(own_s);
    *cursor = cursor.cut(at);
    let text_len = cursor.rest().trim_ascii_end().len();
    *cursor = cursor.cut(text_len);
    params
}

/// An entry's own time, or now where it lies too far ahead.
pub(super) fn not_ahead(own_s: u32, cursor: &Cursor<'_>, reading: &mut Reading<'_>) -> u32 {
    let now_s = reading.options.now_s;
    if u64::from(own_s) <= now_s + AHEAD_MAX_S {
        return own_s;
    }
    reading.remark(cursor.line(), cursor.wrong(Fault::Future, "a time up to one day ahead; it is read as now"));
    u32::try_from(now_s).unwrap_or(FOREVER_S)
}

/// Reads the value that a line gives to those after it.
pub(super) fn read_default<'a>(
    cursor: &mut Cursor<'a>,
    reading: &mut Reading<'_>,
) -> Result<value::GivenValue<'a>, Wrong> {
    let start = *cursor;
    let given = read_value(cursor, reading)?;
    if let Some(wrong) = params::of_default(start) {
        reading.remark(start.line(), wrong);
    }
    Ok(given)
}

/// Reads a value, and cuts a text that is too long.
pub(super) fn read_value<'a>(
    cursor: &mut Cursor<'a>,
    reading: &mut Reading<'_>,
) -> Result<value::GivenValue<'a>, Wrong> {
    let mut given = value::read(cursor)?;
    if let Some(text) = given.text.filter(|text| text.len() > TEMPLATE_MAX) {
        reading.remark(cursor.line(), cursor.wrong(Fault::LongText, "at most 60000 octets"));
        given.text = Some(&text[..TEMPLATE_MAX]);
    }
    Ok(given)
}
