//! Keys, times and lines as operators type them, and programs for them: read into what is to be done.
//!
//! What cannot be read is answered with what to type instead, and before anything is done.

use crate::{
    live::{
        clock,
        listings::{Change, Exported, Key, Lifetime, Op, Verdict, no_domain},
    },
    load::of_no_question,
    wire::name::{Name, ends_in_number},
};

/// Reads a time: `1h`, `90s`, seconds without a unit, or `forever`.
///
/// # Errors
/// When it is none of these.
pub fn parse_lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "forever" {
        return Ok(Lifetime::Endless);
    }
    let time = clock::parse_span(text).filter(|time| time.as_secs() > 0);
    time.map(Lifetime::For).ok_or_else(|| format!("`{text}` is not a time such as 90s, 1h or 7d, nor forever"))
}

/// Reads a key as an operator writes it: `.example.com` is the name and all below it, as in rbldnsd's files.
pub(super) fn parse_keys(text: &str) -> Result<Vec<Key>, String> {
    Ok(match text.strip_prefix('.').filter(|name| !name.is_empty()) {
        Some(name) if ends_in_number(name.as_bytes()) => return Err(no_domain(text)),
        Some(name) => vec![parse_key(name)?, parse_key(&format!("*.{name}"))?],
        None => vec![parse_key(text)?],
    })
}

/// Reads one key as whoever types it means it: of names, those that somebody may ask for, unless a dot at the end says that it is
/// one all the same.
pub(super) fn parse_key(text: &str) -> Result<Key, String> {
    let key: Key = text.parse()?;
    let name = text.strip_prefix("*.").unwrap_or(text);
    let strange = || of_no_question(name.as_bytes()).and_then(|at| name.get(at..)?.chars().next());
    if let Key::Name { .. } = key
        && !text.ends_with('.')
        && let Some(strange) = strange()
    {
        return Err(format!(
            "`{text}` has a `{strange}` in it, as no domain has: in a name that has one all the same it is `\\{:03}`",
            u32::from(strange)
        ));
    }
    Ok(key)
}

/// Reads a key that stands behind a command, where it can be meant as in a line, or as what stands behind an option.
fn parse_argument(text: &str) -> Result<Vec<Key>, String> {
    if let Some(key) = text.strip_prefix('!').filter(|key| parse_keys(key).is_ok()) {
        return Err(format!(
            "`{text}`: `!` excludes in lines; behind a command, it is dnsbld list --exclude ZONE {key}"
        ));
    }
    if text == "-" {
        return Err(
            "`-` stands for the lines of standard input, and for no key beside others: give it alone".to_owned()
        );
    }
    if parse_lifetime(text).is_ok() {
        return Err(format!("`{text}` is a time: behind a command, it is --for {text} (a name would be `{text}.`)"));
    }
    parse_keys(text)
}

/// Reads keys that are for one command: one that cannot be read is noticed before anything is done.
///
/// # Errors
/// When one is no key, in words for whoever wrote it.
pub fn read_keys(texts: &[String]) -> Result<Vec<Key>, String> {
    let mut keys = Vec::with_capacity(texts.len());
    for text in texts {
        keys.extend(parse_argument(text).map_err(|why| match texts.len() {
            1 => why,
            count => format!("{why}; NOTHING IS DONE of the {count} keys that came together"),
        })?);
    }
    Ok(keys)
}

/// Reads a line of many: `[!]KEY [TIME [REASON]]`; `!` excludes, and a line may be empty or a `#` comment.
pub(super) fn parse_line(line: &str, zone: &Name, op: &Op, reason: Option<&String>) -> Result<Vec<Change>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Vec::new());
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (time, why) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
    let (is_excluded, word) = word.strip_prefix('!').map_or((false, word), |word| (true, word));
    let own_reason = Some(why.trim()).filter(|why| !why.is_empty()).map(str::to_owned);
    let keys = parse_keys(word)?;
    let op = match op {
        Op::Delist if is_excluded || !rest.trim().is_empty() => {
            return Err("to delist, a line has a key and nothing else".to_owned());
        }
        Op::Delist => Op::Delist,
        Op::Put { verdict, lifetime } => {
            let verdict = if is_excluded { Verdict::Excluded } else { verdict.clone() };
            let lifetime = match own_lifetime(time, why)? {
                Lifetime::Default => *lifetime,
                own => own,
            };
            Op::Put { verdict, lifetime }
        }
    };
    let reason = own_reason.or_else(|| reason.cloned());
    Ok(keys.into_iter().map(|key| Change { zone: zone.clone(), key, op: op.clone(), reason: reason.clone() }).collect())
}

/// The time of a line, if it has one; `why` is what follows it.
fn own_lifetime(time: &str, why: &str) -> Result<Lifetime, String> {
    if matches!(time, "" | "-") {
        return Ok(Lifetime::Default);
    }
    let next = why.split_whitespace().next().unwrap_or_default();
    let is_span = |text: &str| clock::parse_span(text).is_some();
    let is_in_two = match time.parse::<u64>() {
        Ok(_) => !next.is_empty() && is_span(&format!("{time}{next}")),
        // As humantime has it, `0` is a time without a unit.
        Err(_) => is_span(time) && is_span(next) && next.parse::<u64>().is_err(),
    };
    if is_in_two {
        return Err(format!(
            "`{time} {next}` is a time in two words: write {time}{next}, or another word before `{next}` if that is of the reason"
        ));
    }
    parse_lifetime(time).map_err(|why| format!("{why}, nor - for the default"))
}

/// Reads a line of what was exported.
pub(super) fn parse_exported(line: &str) -> Result<Vec<Exported>, String> {
    if !line.trim_start().starts_with('{') {
        return Err(
            "not what `dnsbld listings export` writes; keys that are to be listed go to `dnsbld list ZONE -`".into()
        );
    }
    serde_json::from_str(line).map(|exported| vec![exported]).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_stands_behind_a_command() {
        let read = |text: &str| read_keys(&[text.to_owned()]);
        for (text, why) in [
            ("!192.0.2.1", "dnsbld list --exclude ZONE 192.0.2.1"),
            ("!keep.example", "dnsbld list --exclude ZONE keep.example"),
            ("!.keep.example", "dnsbld list --exclude ZONE .keep.example"),
            ("-", "`-` stands for the lines of standard input"),
            ("1h", "behind a command, it is --for 1h (a name would be `1h.`)"),
            ("forever", "it is --for forever"),
            (
                "a.example,b.example",
                "has a `,` in it, as no domain has: in a name that has one all the same it is `\\044`",
            ),
            ("<html>", "has a `<` in it"),
            ("host.example:25", "has a `:` in it"),
            ("a.*.example", "has a `*` in it"),
            ("*spam.example", "has a `*` in it"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(why), "{refused}");
        }
        for (text, count) in [
            ("keep.example", 1),
            (".keep.example", 2),
            ("*.keep.example", 1),
            ("1h.", 1),
            (r"a\044b.example", 1),
            ("a,b.example.", 1),
            ("user+tag@mail.example", 1),
            ("_dmarc.mail.example", 1),
            ("2001:db8::/32", 1),
        ] {
            assert_eq!(read(text).map(|keys| keys.len()), Ok(count), "{text}");
        }
    }

    #[test]
    fn lines_of_many() {
        let zone = Name::parse(b"virbl.tee.gr").expect("a name");
        let lifetime = Lifetime::For(Duration::from_secs(60));
        let (op, reason) = (Op::Put { verdict: Verdict::LISTED, lifetime }, "bulk".to_owned());
        let read = |line: &str| parse_line(line, &zone, &op, Some(&reason));
        let one = |line: &str| read(line).expect(line).remove(0);
        let put = |change: &Change| match &change.op {
            Op::Put { verdict, lifetime } => (verdict.clone(), *lifetime),
            Op::Delist => panic!("{change:?}"),
        };
        assert_eq!(read("  # a comment\n"), Ok(vec![]));
        let plain = one("192.0.2.1\n");
        assert_eq!(put(&plain), (Verdict::LISTED, Lifetime::For(Duration::from_secs(60))));
        assert_eq!(plain.reason.as_deref(), Some("bulk"));
        let own = one("192.0.2.0/24  2h  seen by   trap 7\r\n");
        assert_eq!(put(&own).1, Lifetime::For(Duration::from_secs(7_200)));
        assert_eq!(own.reason.as_deref(), Some("seen by   trap 7"));
        assert_eq!(put(&one("!192.0.2.1 forever")), (Verdict::Excluded, Lifetime::Endless));
        assert_eq!(put(&one("192.0.2.1 - why")).1, Lifetime::For(Duration::from_secs(60)));
        let both: Vec<String> =
            read(".example.com").expect("two").iter().map(|change| change.key.to_string()).collect();
        assert_eq!(both, ["example.com", "*.example.com"]);
        assert!(read("192.0.2.1 virus").expect_err("no time").contains("`virus` is not a time"));
        assert!(read("192.0.2.1/24").expect_err("host bits").contains("did you mean 192.0.2.0/24?"));
        assert!(read("192.0.2.1 0").is_err());
        assert!(read("192.0.2.1 0").expect_err("no time").starts_with("`0` is not a time such as 90s"));
        for (line, whole) in [("5 years", "5years"), ("1h 30m", "1h30m"), ("1h 30m in all", "1h30m")] {
            let why = read(&format!("192.0.2.1 {line}")).expect_err(line);
            let next = line.split(' ').nth(1).expect("two words");
            let advice = format!("write {whole}, or another word before `{next}` if that is of the reason");
            assert!(why.contains("is a time in two words") && why.ends_with(&advice), "{why}");
        }
        assert_eq!(one("192.0.2.1 1h 5 mails").reason.as_deref(), Some("5 mails"));
        for text in ["1.2.3", "*.1.2.3", ".1.2.3", ".1.2.3.4", "10.0.0.256"] {
            let why = read(text).expect_err(text);
            assert!(why.contains("no domain ends in a number") && why.ends_with(&format!("it is `{text}.`")), "{why}");
            assert!(read(&format!("{text}.")).is_ok(), "{text}");
        }
        assert_eq!(put(&one("192.0.2.1 5 mails")).1, Lifetime::For(Duration::from_secs(5)));
        let delist = |line: &str| parse_line(line, &zone, &Op::Delist, Some(&reason));
        let delisting = delist("192.0.2.1").expect("a delisting").remove(0);
        assert_eq!((delisting.op, delisting.reason.as_deref()), (Op::Delist, Some("bulk")));
        assert!(delist("!192.0.2.1").is_err() && delist("192.0.2.1 1h").is_err());
    }
}
