//! Domain names: those we keep, and the one being asked about.
//!
//! A [`Name`] is kept in wire format and lower case, since names compare without regard to ASCII case (RFC 4343). A
//! [`QueryName`] lives on the stack of one query: its octets in lower case and where each label starts, so that every part
//! of the server can look at it from either end without walking it again.

use std::{borrow::Borrow, fmt};

/// Longest name on the wire, the root's octet included (RFC 1035 section 2.3.4).
pub const NAME_MAX: usize = 255;
/// Longest label (RFC 1035 section 2.3.4).
pub const LABEL_MAX: usize = 63;
/// Most labels that fit a name, the root not counted.
pub const LABELS_MAX: usize = 127;

/// Why a text is not a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a dot at the start.
    #[error("a domain name with an empty label")]
    EmptyLabel,
    /// A label beyond 63 octets.
    #[error("a domain name with a label beyond 63 octets")]
    LongLabel,
    /// More than 255 octets.
    #[error("a domain name beyond 255 octets")]
    LongName,
    /// A backslash without the digits or the character that it announces.
    #[error("a domain name with a broken escape")]
    BadEscape,
}

/// A domain name in wire format and lower case, absolute or relative to some origin (then the root's octet is only the end).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The root, or the origin itself where the name is relative.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// Reads presentation format (RFC 1035 section 5.1): dots between labels, `\.` and `\DDD`, an optional final dot.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        let mut name = Self::parse_keeping_case(text)?;
        name.0.make_ascii_lowercase();
        Ok(name)
    }

    /// Reads presentation format and keeps the case, as a question has it.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse_keeping_case(text: &[u8]) -> Result<Self, NameError> {
        let mut octets = [0; NAME_MAX];
        let length = parse_into(text, &mut octets)?;
        Ok(Self(octets[..length].into()))
    }

    /// Takes octets in wire format that are known to be a name.
    pub fn from_wire(octets: &[u8]) -> Self {
        debug_assert_eq!(octets.last(), Some(&0));
        Self(octets.into())
    }

    /// The octets in wire format, the root's octet last.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels from left to right, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        labels(&self.0)
    }

    /// Number of labels, without the root's.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// This name below `origin`.
    ///
    /// # Errors
    /// [`NameError::LongName`].
    pub fn below(&self, origin: &Self) -> Result<Self, NameError> {
        let mut octets = self.0[..self.0.len() - 1].to_vec();
        octets.extend_from_slice(&origin.0);
        if octets.len() > NAME_MAX { Err(NameError::LongName) } else { Ok(Self(octets.into())) }
    }

    /// What stands left of `origin`, if this name is `origin` or below it; letters compare without case.
    pub fn strip(&self, origin: &Self) -> Option<Self> {
        let mut rest: &[u8] = &self.0;
        loop {
            if rest.len() == origin.0.len() {
                let left = self.0.len() - rest.len();
                return rest.eq_ignore_ascii_case(&origin.0).then(|| {
                    let mut octets = self.0[..left].to_vec();
                    octets.push(0);
                    Self(octets.into())
                });
            }
            if rest.len() < origin.0.len() {
                return None;
            }
            rest = &rest[1 + rest[0] as usize..];
        }
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return out.write_str(".");
        }
        write_labels(out, self.labels())
    }
}

/// Writes labels in presentation format (RFC 1035 section 5.1).
fn write_labels<'a>(out: &mut fmt::Formatter<'_>, labels: impl Iterator<Item = &'a [u8]>) -> fmt::Result {
    for (index, label) in labels.enumerate() {
        if index > 0 {
            out.write_str(".")?;
        }
        if let Ok(plain) = std::str::from_utf8(label)
            && plain.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
        {
            out.write_str(plain)?;
            continue;
        }
        for &octet in label {
            match octet {
                b'.' | b'\\' | b'"' | b';' | b'@' | b'$' => write!(out, "\\{}", octet as char)?,
                b'!'..=b'~' => write!(out, "{}", octet as char)?,
                _ => write!(out, "\\{octet:03}")?,
            }
        }
    }
    Ok(())
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

/// The labels of a name in wire format, without the root's.
pub fn labels(mut wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = wire.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, rest) = rest.split_at(length as usize);
        wire = rest;
        Some(label)
    })
}

/// Whether a text ends in a number, as addresses do and domains do not (RFC 3696 section 2): if it is a name all the same, that has a
/// dot at its end.
pub fn ends_in_number(text: &[u8]) -> bool {
    let last = text.rsplit(|&octet| octet == b'.').next();
    last.is_some_and(|label| !label.is_empty() && label.iter().all(u8::is_ascii_digit))
}

/// Reads presentation format into `octets`, and returns the length on the wire.
fn parse_into(text: &[u8], octets: &mut [u8; NAME_MAX]) -> Result<usize, NameError> {
    if text == b"." {
        octets[0] = 0;
        return Ok(1);
    }
    let (mut label_at, mut end, mut rest) = (0, 1, text);
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'.' {
            if end == label_at + 1 {
                return Err(NameError::EmptyLabel);
            }
            octets[label_at] = (end - label_at - 1) as u8;
            label_at = end;
            end += 1;
            continue;
        }
        let octet = if first == b'\\' { unescape(&mut rest)? } else { first };
        if end - label_at > LABEL_MAX {
            return Err(NameError::LongLabel);
        }
        if end + 1 >= NAME_MAX {
            return Err(NameError::LongName);
        }
        octets[end] = octet;
        end += 1;
    }
    if end > label_at + 1 {
        octets[label_at] = (end - label_at - 1) as u8;
        label_at = end;
    }
    if label_at >= NAME_MAX {
        return Err(NameError::LongName);
    }
    octets[label_at] = 0;
    Ok(label_at + 1)
}

/// Reads what follows a backslash: three decimal digits, or one character that stands for itself.
fn unescape(rest: &mut &[u8]) -> Result<u8, NameError> {
    match **rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref after @ ..] => {
            *rest = after;
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            u8::try_from(value).map_err(|_| NameError::BadEscape)
        }
        [b'0'..=b'9', ..] | [] => Err(NameError::BadEscape),
        [octet, ref after @ ..] => {
            *rest = after;
            Ok(octet)
        }
    }
}

/// Octets that are lowered at once: as many as make a loop of vector instructions, without a remainder to care for.
const LOWERED_AT_ONCE: usize = 32;

/// Room for a name in whole blocks, and for a few octets more that are read in one go with its last ones.
const ROOM: usize = 256 + LOWERED_AT_ONCE;

/// So many labels of one octet are read at once.
const FOUR: usize = 4;

/// The name of a query: lower-case octets, and where each label starts. Made once and read into again and again.
pub struct QueryName {
    /// Those after the name are whatever was there before.
    octets: [u8; ROOM],
    /// Offsets of the labels' length octets, the root's last.
    starts: [u8; LABELS_MAX + 1 + FOUR],
    label_count: u8,
}

impl QueryName {
    /// The root; a place to read names into.
    pub const fn new() -> Self {
        Self { octets: [0; ROOM], starts: [0; LABELS_MAX + 1 + FOUR], label_count: 0 }
    }

    /// Reads the name at the start of `wire`, and returns its length there. Compression has nothing to point at in the first
    /// name of a message, and other label types were never deployed (RFC 6891 section 5), so both are errors: `None`.
    #[inline]
    pub fn read(&mut self, wire: &[u8]) -> Option<usize> {
        let room = wire.len().min(NAME_MAX);
        self.octets[..room].copy_from_slice(&wire[..room]);
        // What stands beyond the room is old. Labels only lead on, so a name that reaches there is noticed at its end.
        let (mut at, mut count) = (0, 0);
        while self.reads_four(at, count) {
            at += 2 * FOUR;
            count += FOUR;
        }
        loop {
            if at >= NAME_MAX {
                return None;
            }
            let length = usize::from(self.octets[at]);
            // Every label takes two octets, so there are no more than fit.
            self.starts[count & LABELS_MAX] = at as u8;
            if length.wrapping_sub(1) >= LABEL_MAX {
                if length > 0 || at >= room {
                    return None;
                }
                break;
            }
            at += 1 + length;
            count += 1;
        }
        // Length octets are below 64 and letters above, so all octets can be lowered alike.
        let (blocks, _) = self.octets.as_chunks_mut::<LOWERED_AT_ONCE>();
        for block in &mut blocks[..=at / LOWERED_AT_ONCE] {
            block.make_ascii_lowercase();
        }
        self.label_count = count as u8;
        Some(at + 1)
    }

    /// Notes where the next four labels start, if each has one octet. An IPv6 address has 32 of them.
    #[inline]
    fn reads_four(&mut self, at: usize, count: usize) -> bool {
        let (labels, starts) = (self.octets[at..NAME_MAX].first_chunk(), self.starts[count..].first_chunk_mut());
        let (Some(labels), Some(starts)) = (labels, starts) else { return false };
        let are_single = u64::from_le_bytes(*labels) & 0x00ff_00ff_00ff_00ff == 0x0001_0001_0001_0001;
        if are_single {
            *starts = (at as u32 * 0x0101_0101 + 0x0604_0200).to_le_bytes();
        }
        are_single
    }

    /// Reads labels until `find_apex` recognises the rest of the name, and returns its result and the offset of that rest. In the
    /// name as read, the rest stands for the root, though no root octet is there. `None`: nothing was recognised, or this is no
    /// name, or one of fewer than 16 octets or of a great many. `find_apex` is asked only about rests with a length that
    /// `may_be_apex`.
    #[inline]
    pub fn read_above<T>(
        &mut self,
        wire: &[u8],
        may_be_apex: impl Fn(usize) -> bool,
        find_apex: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<(T, usize)> {
        if wire.len() > ROOM / 2 {
            return None;
        }
        let (mut left, mut count) = (wire, 0);
        loop {
            while !may_be_apex(left.len()) {
                self.starts[count & LABELS_MAX] = (wire.len() - left.len()) as u8;
                left = after_label(left)?;
                count += 1;
            }
            let at = wire.len() - left.len();
            self.starts[count & LABELS_MAX] = at as u8;
            if let Some(found) = find_apex(left) {
                self.label_count = count as u8;
                self.lower_up_to(at, wire)?;
                return Some((found, at));
            }
            left = after_label(left)?;
            count += 1;
        }
    }

    /// Takes over the first `end` octets of a name in lower case, and some more.
    #[inline]
    fn lower_up_to(&mut self, end: usize, wire: &[u8]) -> Option<()> {
        const AT_ONCE: usize = LOWERED_AT_ONCE / 2;
        if let (Some(octets), true) = (wire.first_chunk::<LOWERED_AT_ONCE>(), end <= LOWERED_AT_ONCE) {
            *self.octets.first_chunk_mut()? = lowered(*octets);
            return Some(());
        }
        let own = self.octets.as_chunks_mut::<AT_ONCE>().0.iter_mut();
        own.zip(wire.as_chunks::<AT_ONCE>().0).for_each(|(own, octets)| *own = lowered(*octets));
        // The last octets are read twice rather than one by one.
        let last = wire.last_chunk::<AT_ONCE>()?;
        *self.octets.get_mut(wire.len() - AT_ONCE..)?.first_chunk_mut()? = lowered(*last);
        Some(())
    }

    /// Number of labels, without the root's.
    pub fn label_count(&self) -> usize {
        usize::from(self.label_count)
    }

    /// Length on the wire, the root's octet included.
    pub fn wire_len(&self) -> usize {
        self.start(self.label_count()) + 1
    }

    /// The whole name in wire format and lower case.
    pub fn as_wire(&self) -> &[u8] {
        &self.octets[..self.wire_len()]
    }

    /// Where label `index`, counted from the left, starts on the wire.
    pub fn start(&self, index: usize) -> usize {
        usize::from(self.starts[index])
    }

    /// The whole name with its first `count` labels as the part of interest.
    pub fn relative(&self, count: usize) -> RelativeName<'_> {
        debug_assert!(count <= self.label_count());
        RelativeName { name: self, first: 0, end: count }
    }
}

/// What is left of a name behind its first label, if that is one, and not the root's.
#[inline]
fn after_label(name: &[u8]) -> Option<&[u8]> {
    let (&length, after) = name.split_first()?;
    let is_label = usize::from(length).wrapping_sub(1) < LABEL_MAX;
    after.get(usize::from(length)..).filter(|_| is_label)
}

/// The first eight octets of a name or label and the last eight, as words: of those of one length up to 16, they tell all.
#[inline]
pub fn outer_words(octets: &[u8]) -> (u64, u64) {
    match (octets.first_chunk(), octets.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => short_words(octets),
    }
}

/// The same of fewer than eight octets.
#[inline]
fn short_words(octets: &[u8]) -> (u64, u64) {
    match (octets.first_chunk(), octets.last_chunk()) {
        (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
        _ => (octets.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet)), 0),
    }
}

/// Octets with their letters in lower case.
#[inline]
fn lowered<const COUNT: usize>(mut octets: [u8; COUNT]) -> [u8; COUNT] {
    octets.make_ascii_lowercase();
    octets
}

impl Default for QueryName {
    fn default() -> Self {
        Self::new()
    }
}

/// Labels of a query's name without those of the zone.
#[derive(Clone, Copy)]
pub struct RelativeName<'a> {
    name: &'a QueryName,
    first: usize,
    end: usize,
}

impl<'a> RelativeName<'a> {
    /// Number of labels; 0 is the apex.
    pub fn label_count(&self) -> usize {
        self.end - self.first
    }

    /// Label `index`, counted from the left.
    #[inline]
    pub fn label(&self, index: usize) -> &'a [u8] {
        let start = self.name.start(self.first + index);
        &self.name.octets[start + 1..=start + usize::from(self.name.octets[start])]
    }

    /// The length octet of label `index` and the octets after it, whether or not the label has as many.
    #[inline]
    pub fn label_start<const COUNT: usize>(&self, index: usize) -> [u8; COUNT] {
        let start = self.name.start(self.first + index);
        let mut octets = [0; COUNT];
        octets.copy_from_slice(&self.name.octets[start..start + COUNT]);
        octets
    }

    /// The same of four labels, if that is all there are.
    #[inline]
    pub fn four_label_starts(&self) -> Option<[[u8; 4]; 4]> {
        let starts: [u8; 4] = self.name.starts[self.first..self.end].try_into().ok()?;
        Some(starts.map(|start| {
            let mut octets = [0; 4];
            octets.copy_from_slice(&self.name.octets[usize::from(start)..usize::from(start) + 4]);
            octets
        }))
    }

    /// Whether there are labels and each has one octet.
    #[inline]
    pub fn has_single_octets(&self) -> bool {
        let octets = self.name.start(self.end) - self.name.start(self.first);
        octets > 0 && octets == 2 * self.label_count()
    }

    /// The labels from right to left, the way down from the apex.
    pub fn labels_down(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let this = *self;
        (0..this.label_count()).rev().map(move |index| this.label(index))
    }

    /// The octets in wire format without a root octet.
    #[inline]
    pub fn octets(&self) -> &'a [u8] {
        &self.name.octets[self.name.start(self.first)..self.name.start(self.end)]
    }

    /// The last `count` labels.
    #[must_use]
    pub fn last(self, count: usize) -> Self {
        debug_assert!(count <= self.label_count());
        Self { first: self.end - count, ..self }
    }

    /// The same without the last `count` labels.
    #[must_use]
    pub fn without_last(self, count: usize) -> Self {
        debug_assert!(count <= self.label_count());
        Self { end: self.end - count, ..self }
    }
}

impl fmt::Display for RelativeName<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_labels(out, (0..self.label_count()).map(|index| self.label(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query_name(text: &str) -> QueryName {
        let mut name = QueryName::new();
        let wire = Name::parse_keeping_case(text.as_bytes()).expect("a name");
        assert_eq!(name.read(wire.as_wire()), Some(wire.as_wire().len()));
        name
    }

    #[test]
    fn presentation_and_back() {
        for text in ["example.com", "a\\.b.c", "x\\032y.z", ".", "*.example"] {
            assert_eq!(Name::parse(text.as_bytes()).expect(text).to_string(), text);
        }
        assert_eq!(Name::parse(b"EXAMPLE.Com.").expect("a name").to_string(), "example.com");
        assert_eq!(Name::parse_keeping_case(b"Ns.Example").expect("a name").to_string(), "Ns.Example");
    }

    #[test]
    fn what_is_not_a_name() {
        assert_eq!(Name::parse(b"a..b"), Err(NameError::EmptyLabel));
        assert_eq!(Name::parse(b".a"), Err(NameError::EmptyLabel));
        assert_eq!(Name::parse(b"a\\"), Err(NameError::BadEscape));
        assert_eq!(Name::parse(b"a\\25"), Err(NameError::BadEscape));
        assert_eq!(Name::parse(b"a\\256"), Err(NameError::BadEscape));
        assert_eq!(Name::parse("x".repeat(64).as_bytes()), Err(NameError::LongLabel));
        assert!(Name::parse("x".repeat(63).as_bytes()).is_ok());
        let longest = format!("{0}.{0}.{0}.{1}", "x".repeat(63), "y".repeat(61));
        assert_eq!(Name::parse(longest.as_bytes()).expect("255 octets").as_wire().len(), 255);
        assert_eq!(Name::parse(format!("{longest}y").as_bytes()), Err(NameError::LongName));
        assert_eq!(Name::parse(format!("{longest}.z").as_bytes()), Err(NameError::LongName));
    }

    #[test]
    fn strip_and_below_are_inverse() {
        let origin = Name::parse(b"bl.example").expect("a name");
        let relative = Name::parse(b"2.0.0.127").expect("a name");
        let whole = relative.below(&origin).expect("short");
        assert_eq!(whole.to_string(), "2.0.0.127.bl.example");
        assert_eq!(whole.strip(&origin), Some(relative));
        assert_eq!(origin.strip(&origin), Some(Name::root()));
        assert_eq!(origin.strip(&whole), None);
        assert_eq!(Name::parse(b"xbl.example").expect("a name").strip(&origin), None);
    }

    #[test]
    fn query_names_are_seen_from_both_ends() {
        let name = query_name("2.0.0.127.BL.example");
        assert_eq!(name.label_count(), 6);
        assert_eq!(name.as_wire(), Name::parse(b"2.0.0.127.bl.example").expect("a name").as_wire());
        let relative = name.relative(4);
        assert_eq!(relative.label(0), b"2");
        assert_eq!(relative.labels_down().next(), Some(&b"127"[..]));
        assert_eq!(relative.without_last(1).octets(), b"\x012\x010\x010");
        assert_eq!(name.relative(0).octets(), b"");
    }

    #[test]
    fn broken_query_names() {
        let mut name = QueryName::new();
        assert_eq!(name.read(b""), None);
        assert_eq!(name.read(b"\x03ab"), None);
        assert_eq!(name.read(b"\x01a"), None);
        assert_eq!(name.read(b"\xc0\x0c"), None);
        assert_eq!(name.read(&[1; 300]), None);
        let mut longest = [1; 255];
        longest[254] = 0;
        assert_eq!(name.read(&longest), Some(255));
        assert_eq!(name.label_count(), 127);
    }
}
