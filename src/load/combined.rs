//! Several datasets in one file, each in subzones of its own: `$DATASET type[:name] subzone...` begins one.
//!
//! Nothing can be said of a section any more once another one has begun, so it is frozen then: a file may have tens of thousands
//! of them, and what reading takes is taken once.

use super::{
    LoadError, Options, Section, ZoneHead,
    cursor::{Cursor, Wrong},
    dataset::{Draft, Reading, Usual},
    name::NameBuffer,
    report::{Fault, Report},
    special::InForce,
};
use crate::{
    wire::name::{NAME_MAX, Name},
    zone::dataset::Kind,
};

/// Where the line to be read next stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first section of the file.
    Outside,
    /// In the last section begun.
    Section,
    /// In a section that cannot be read.
    Broken,
}

/// Sections while their files are read.
pub(super) struct Sections {
    label: String,
    remembered_max: usize,
    /// What sections begin with.
    settings: InForce,
    finished: Vec<Section>,
    /// How many sections were begun.
    begun: usize,
    /// The last section begun, with its subzones.
    last: Option<(Vec<Name>, Draft)>,
    /// Why one of them cannot be used, and so none.
    failure: Option<LoadError>,
    state: State,
    /// What is set in a section that cannot be read.
    discarded: InForce,
}

impl Sections {
    pub(super) fn new(label: String, options: &Options) -> Self {
        let settings = InForce::new(options);
        Self {
            label,
            remembered_max: options.remembered_max,
            discarded: settings.clone(),
            settings,
            finished: Vec::new(),
            begun: 0,
            last: None,
            failure: None,
            state: State::Outside,
        }
    }

    /// The same for lines that follow, with nothing in it yet.
    pub(super) fn fork(&self) -> Self {
        Self {
            label: self.label.clone(),
            remembered_max: self.remembered_max,
            settings: self.settings.clone(),
            finished: Vec::new(),
            begun: self.begun,
            last: self.last.as_ref().map(|(subzones, draft)| (subzones.clone(), draft.fork())),
            failure: None,
            state: self.state,
            discarded: self.discarded.clone(),
        }
    }

    /// Begins another file.
    pub(super) fn start_file(&mut self) {
        self.state = State::Outside;
    }

    /// The settings outside all sections.
    pub(super) fn zone_settings(&mut self) -> &mut InForce {
        &mut self.settings
    }

    /// The settings that a special line changes.
    pub(super) fn settings(&mut self) -> &mut InForce {
        match (self.state, &mut self.last) {
            (State::Section, Some((_, draft))) => &mut draft.shared.settings,
            (State::Broken, _) => &mut self.discarded,
            _ => &mut self.settings,
        }
    }

    /// Begins a section.
    pub(super) fn start(&mut self, mut cursor: Cursor<'_>, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        const EXPECTED: &str = "ip4set, ip4tset, ip4trie, ip6trie, ip6tset, ip4seen, dnset, dnhash or generic";
        self.state = State::Broken;
        let start = cursor;
        if cursor.is_done() {
            return Err(start.wrong(Fault::Special, "a dataset type and subzones"));
        }
        let word = cursor.word();
        let (kind, name) = match memchr::memchr(b':', word) {
            Some(colon) => (&word[..colon], Some(&word[colon + 1..])),
            None => (word, None),
        };
        let kind = str::from_utf8(kind).ok().and_then(|kind| kind.parse::<Kind>().ok());
        let Some(kind) = kind.filter(|kind| !kind.is_access() && !matches!(kind, Kind::Combined | Kind::Retired))
        else {
            return Err(start.wrong(Fault::SectionKind, EXPECTED));
        };
        let subzones = subzones(&mut cursor, reading);
        if subzones.is_empty() {
            reading.remark(cursor.line(), cursor.wrong(Fault::NoSubzone, "a subzone, or @ for the zone itself"));
        }
        let name = name.filter(|name| !name.is_empty()).map(String::from_utf8_lossy);
        let label = format!("{}:{}", self.label, name.as_deref().unwrap_or(kind.word()));
        let mut draft = Draft::new(kind, label, self.settings.clone(), self.remembered_max);
        if let Some((_, last)) = &mut self.last {
            draft.take_words(last);
        }
        self.finish(reading.report);
        self.begun += 1;
        self.last = Some((subzones, draft));
        self.state = State::Section;
        Ok(())
    }

    /// Freezes the last section, unless it is for no subzone.
    fn finish(&mut self, report: &mut Report) {
        match self.last.take().filter(|(subzones, _)| !subzones.is_empty()) {
            None => {}
            Some((subzones, draft)) => match draft.build(report) {
                Ok(dataset) => {
                    self.finished.push(Section { number: self.begun, subzones, dataset: dataset.into() });
                }
                Err(error) => self.failure = self.failure.take().or(Some(error)),
            },
        }
    }

    /// Takes lines that need no second look from the start of `text`.
    pub(super) fn usual_lines(&mut self, text: &[u8], head: &ZoneHead) -> Usual {
        match (self.state, &mut self.last) {
            (State::Section, Some((_, draft))) => draft.usual_lines(text, head),
            _ => Usual::default(),
        }
    }

    /// Reads a line that is neither empty nor special.
    pub(super) fn line(&mut self, cursor: Cursor<'_>, head: &ZoneHead, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        match (self.state, &mut self.last) {
            (State::Section, Some((_, draft))) => draft.line(cursor, head, reading),
            (State::Broken, _) => Err(cursor.wrong(Fault::Unread, "a $DATASET line before it that can be read")),
            _ => Err(cursor.wrong(Fault::Unread, "a $DATASET line before it in this file")),
        }
    }

    /// Freezes the sections.
    pub(super) fn build(mut self, report: &mut Report) -> Result<Vec<Section>, LoadError> {
        self.finish(report);
        self.failure.map_or(Ok(self.finished), Err)
    }
}

/// Reads names up to the end or a comment; `@`, or a name of dots alone, is the zone itself.
fn subzones(cursor: &mut Cursor<'_>, reading: &mut Reading<'_>) -> Vec<Name> {
    let mut subzones = Vec::new();
    let mut buffer = NameBuffer::new();
    while !cursor.is_done() {
        let start = *cursor;
        let word = cursor.word();
        if word == b"@" || word.iter().all(|&octet| octet == b'.') {
            subzones.push(Name::root());
            continue;
        }
        *cursor = start;
        match buffer.read_below_root(cursor) {
            Ok(()) => {
                if buffer.as_wire().len() - 1 + reading.options.apex_len > NAME_MAX {
                    let expected = "a name of at most 255 octets together with the zone's";
                    reading.remark(start.line(), start.wrong(Fault::LongSubzone, expected));
                }
                buffer.make_lowercase();
                subzones.push(buffer.to_name());
            }
            Err(wrong) => reading.remark(start.line(), wrong),
        }
    }
    subzones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_is_the_zone_itself() {
        let options = Options::default();
        let mut report = Report::default();
        for (text, expected) in [(".", &["."][..]), (". a @ # c", &[".", "a", "."]), (".. .b. c.", &[".", "b", "c"])] {
            let mut reading = Reading { options: &options, report: &mut report, file: "file", line: 1, modified_s: 0 };
            let names = subzones(&mut Cursor::new(text.as_bytes()), &mut reading);
            assert_eq!(names.iter().map(Name::to_string).collect::<Vec<_>>(), expected, "{text}");
        }
        assert!(report.remarks().is_empty());
    }

    #[test]
    fn what_reading_takes_is_taken_once() {
        let options = Options::default();
        let mut sections = Sections::new("label".to_owned(), &options);
        let mut report = Report::default();
        let mut reading = Reading { options: &options, report: &mut report, file: "file", line: 1, modified_s: 0 };
        let head = ZoneHead::default();
        let mut rooms = Vec::new();
        for begun in 0..3 {
            sections.start(Cursor::new(b"ip4set s"), &mut reading).expect("a section");
            assert_eq!(sections.finished.len(), begun, "the others are frozen");
            sections.line(Cursor::new(b"192.0.2.1 text"), &head, &mut reading).expect("an entry");
            let (_, draft) = sections.last.as_ref().expect("one is begun");
            rooms.push(draft.shared.words.room());
        }
        assert!(rooms[0].is_some() && rooms.iter().all(|room| *room == rooms[0]));
        assert_eq!(sections.build(&mut report).expect("sections").len(), 3);
    }
}
