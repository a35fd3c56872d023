//! Lines of access lists: by client address (`acl`), and by access key (`aclkey` of rspamd's fork).

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    LoadError, Options, ZoneHead,
    address::{self, Either},
    cursor::{Cursor, Wrong, is_blank, is_comment},
    dataset::{Reading, build_values, read_value},
    params,
    report::{Fault, Report},
    special::InForce,
    value::{GivenValue, ValueReader},
};
use crate::{
    wire::name::LABEL_MAX,
    zone::access::{AccessList, Action, KeyList},
};

/// rbldnsd's keywords, each of which may be cut short, down to its first letter: no two begin alike.
const KEYWORDS: [(&str, Action); 5] = [
    ("ignore", Action::Ignore),
    ("blackhole", Action::Ignore),
    ("refuse", Action::Refuse),
    ("empty", Action::Empty),
    ("pass", Action::Pass),
];

/// A keyword of ours, which is to be written in full.
const ACCEPT: (&str, Action) = ("accept", Action::Pass);

/// What lines of both kinds share: actions, and the default one.
struct Actions {
    values: ValueReader,
    default: DefaultAction,
}

/// What lines without an action stand for.
#[derive(Clone, Copy)]
enum DefaultAction {
    /// A keyword's action.
    Keyword(Action),
    /// Everything is listed, with the default value.
    Listed,
}

impl Actions {
    fn new() -> Self {
        Self { values: ValueReader::default(), default: DefaultAction::Keyword(Action::Ignore) }
    }

    fn start_file(&mut self) {
        self.default = DefaultAction::Keyword(Action::Ignore);
        self.values.reset_default();
    }

    fn default_action(&mut self) -> Action {
        match self.default {
            DefaultAction::Keyword(action) => action,
            DefaultAction::Listed => Action::Listed(self.values.default_id()),
        }
    }

    /// Reads a line that gives the default action.
    fn default_line(&mut self, mut cursor: Cursor<'_>, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        if let Some(action) = endless_keyword(&mut cursor, reading)? {
            self.default = DefaultAction::Keyword(action);
        } else {
            let given = endless_value(&mut cursor, reading)?;
            self.values.set_default(given, true);
            self.default = DefaultAction::Listed;
        }
        Ok(())
    }

    /// Reads what follows an address or a key.
    fn read(&mut self, mut cursor: Cursor<'_>, reading: &mut Reading<'_>) -> Result<Action, Wrong> {
        if cursor.is_done() {
            return Ok(self.default_action());
        }
        if let Some(action) = endless_keyword(&mut cursor, reading)? {
            return Ok(action);
        }
        if let Some(word) = bare_keyword(cursor.rest()) {
            let expected = format!("`:{word}`; without the colon it is a text, and everything is listed with it");
            reading.remark(cursor.line(), cursor.wrong(Fault::Keyword, expected));
        }
        let given = endless_value(&mut cursor, reading)?;
        Ok(Action::Listed(self.values.id(given)))
    }
}

/// Reads a keyword, and tells of an end that is asked for behind it: whoever wrote that takes for granted that the line ends by
/// itself.
fn endless_keyword(cursor: &mut Cursor<'_>, reading: &mut Reading<'_>) -> Result<Option<Action>, Wrong> {
    let found = keyword(cursor)?;
    if found.is_some()
        && let Some(wrong) = params::behind_keyword(*cursor)
    {
        reading.remark(cursor.line(), wrong);
    }
    Ok(found)
}

/// Reads a value, and tells of an end that its text asks for. Behind an A record without a text stands a comment at most.
fn endless_value<'a>(cursor: &mut Cursor<'a>, reading: &mut Reading<'_>) -> Result<GivenValue<'a>, Wrong> {
    let given = read_value(cursor, reading)?;
    if given.text.is_some()
        && let Some(wrong) = params::of_access_text(*cursor)
    {
        reading.remark(cursor.line(), wrong);
    }
    Ok(given)
}

/// The action of a keyword, in whatever case.
fn action_of(word: &[u8]) -> Option<Action> {
    let begins = |name: &str| name.get(..word.len()).is_some_and(|start| word.eq_ignore_ascii_case(start.as_bytes()));
    let cut_short = KEYWORDS.iter().find(|(name, _)| !word.is_empty() && begins(name));
    cut_short
        .or_else(|| Some(&ACCEPT).filter(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())))
        .map(|known| known.1)
}

/// Reads `=keyword` or `:keyword`. After `=` nothing else may stand; after `:` what begins with no letter is a value.
fn keyword(cursor: &mut Cursor<'_>) -> Result<Option<Action>, Wrong> {
    let rest = cursor.rest();
    let Some((mark @ (b'=' | b':'), after)) = rest.split_first() else { return Ok(None) };
    let is_end = |octet: &u8| is_blank(*octet) || is_comment(*octet) || *octet == b':';
    let word = &after[..after.iter().position(is_end).unwrap_or(after.len())];
    match action_of(word) {
        Some(action) => {
            cursor.skip(1 + word.len());
            Ok(Some(action))
        }
        None if *mark == b':' && !word.first().is_some_and(u8::is_ascii_alphabetic) => Ok(None),
        None => {
            cursor.skip(1);
            Err(cursor.wrong(Fault::Keyword, "ignore, refuse, empty or pass"))
        }
    }
}

/// The keyword that a text consists of: its mark was forgotten. A comment may follow.
fn bare_keyword(text: &[u8]) -> Option<&'static str> {
    let word = text.split(|&octet| is_comment(octet)).next()?.trim_ascii_end();
    KEYWORDS.iter().chain([&ACCEPT]).map(|(name, _)| *name).find(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// An access list by client address while its files are read.
pub(super) struct ClientLines {
    pub(super) settings: InForce,
    actions: Actions,
    entries: Vec<(IpNet, Action)>,
    known: HashSet<IpNet, foldhash::fast::RandomState>,
}

impl ClientLines {
    pub(super) fn new(options: &Options) -> Self {
        let settings = InForce::new(options);
        Self { settings, actions: Actions::new(), entries: Vec::new(), known: HashSet::default() }
    }

    pub(super) fn start_file(&mut self) {
        self.actions.start_file();
    }

    pub(super) fn line(
        &mut self,
        mut cursor: Cursor<'_>,
        head: &ZoneHead,
        reading: &mut Reading<'_>,
    ) -> Result<(), Wrong> {
        let is_default = cursor.peek() == Some(b'=') || cursor.peek() == Some(b':');
        if is_default && !cursor.rest().starts_with(b"::") {
            return self.actions.default_line(cursor, reading);
        }
        let start = cursor;
        let client = address::read_client(&mut cursor, reading.options.allow_host_bits)?;
        let net = match client.unmapped() {
            Either::V4(range) => {
                address::check_size(&start, range, head.max_range_4)?;
                let length = range.prefix_len().unwrap_or(32);
                Ipv4Net::new_assert(Ipv4Addr::from_bits(range.first), length).into()
            }
            Either::V6(base, length) => Ipv6Net::new_assert(Ipv6Addr::from_bits(base), length).into(),
        };
        let action = self.actions.read(cursor, reading)?;
        if self.known.insert(net) {
            self.entries.push((net, action));
            Ok(())
        } else {
            Err(start.wrong(Fault::Duplicate, format!("{net} once; the first line counts")))
        }
    }

    pub(super) fn build(self, label: &str, report: &mut Report) -> Result<AccessList, LoadError> {
        let values = build_values(self.actions.values, &self.settings, label, report)?;
        Ok(AccessList::new(label, self.settings.ttl_s, values, self.entries))
    }
}

/// An access list by key while its files are read.
pub(super) struct KeyLines {
    pub(super) settings: InForce,
    actions: Actions,
    /// Of equal keys the last line counts.
    keys: HashMap<Box<[u8]>, Action, foldhash::fast::RandomState>,
    fallback: Action,
}

impl KeyLines {
    pub(super) fn new(options: &Options) -> Self {
        let settings = InForce::new(options);
        Self { settings, actions: Actions::new(), keys: HashMap::default(), fallback: Action::Ignore }
    }

    pub(super) fn start_file(&mut self) {
        self.actions.start_file();
    }

    pub(super) fn line(&mut self, mut cursor: Cursor<'_>, reading: &mut Reading<'_>) -> Result<(), Wrong> {
        if matches!(cursor.peek(), Some(b'=' | b':')) {
            self.actions.default_line(cursor, reading)?;
            self.fallback = self.actions.default_action();
            return Ok(());
        }
        let start = cursor;
        let rest = cursor.rest();
        let is_end = |octet: &u8| is_blank(*octet) || matches!(octet, b':' | b'=');
        let key = rest[..rest.iter().position(is_end).unwrap_or(rest.len())].to_ascii_lowercase();
        if key.len() > LABEL_MAX {
            return Err(start.wrong(Fault::Key, "a key of at most 63 octets, since it is a label of the question"));
        }
        cursor.skip(key.len());
        let action = self.actions.read(cursor, reading)?;
        if self.keys.insert(key.into(), action).is_some() {
            reading.remark(start.line(), start.wrong(Fault::DuplicateKey, "every key once; this line counts"));
        }
        Ok(())
    }

    pub(super) fn build(self, label: &str, report: &mut Report) -> Result<KeyList, LoadError> {
        let values = build_values(self.actions.values, &self.settings, label, report)?;
        Ok(KeyList::new(label, self.settings.ttl_s, values, self.keys, self.fallback))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_may_be_cut_short() {
        for (text, action, rest) in [
            (":r", Action::Refuse, ""),
            (":ref x", Action::Refuse, " x"),
            (":Refus:x", Action::Refuse, ":x"),
            ("=RE;x", Action::Refuse, ";x"),
            (":re#x", Action::Refuse, "#x"),
            (":i", Action::Ignore, ""),
            ("=black", Action::Ignore, ""),
            (":e", Action::Empty, ""),
            (":p", Action::Pass, ""),
            (":Accept", Action::Pass, ""),
        ] {
            let mut cursor = Cursor::new(text.as_bytes());
            assert_eq!((keyword(&mut cursor), cursor.rest()), (Ok(Some(action)), rest.as_bytes()), "{text}");
        }
        for text in [":refused", ":re,x", ":r1", ":a", ":acc", ":always", "=", "=:r", "= r"] {
            let wrong = keyword(&mut Cursor::new(text.as_bytes())).expect_err(text);
            assert_eq!((wrong.fault, wrong.at), (Fault::Keyword, 1), "{text}");
        }
        for text in [":", ": r", "::r", ":5:r", "refuse"] {
            assert_eq!(keyword(&mut Cursor::new(text.as_bytes())), Ok(None), "{text}");
        }
    }
}
