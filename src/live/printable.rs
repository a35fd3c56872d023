//! What others wrote, in logs and on terminals: names of files, reasons of listings, lines of lists.

use std::borrow::Cow;

/// A line as a log or a terminal may get it: what others wrote into it, such as the reason of a listing, forges no line, hides nothing
/// and commands no terminal.
pub fn printable(line: &str) -> Cow<'_, str> {
    let is_harmful = |character: char| {
        character.is_control() && character != '\t'
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !line.contains(is_harmful) {
        return Cow::Borrowed(line);
    }
    let mut shown = String::with_capacity(line.len() + 8);
    for character in line.chars() {
        if is_harmful(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// The same of several lines of our own making.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_shown_instead() {
        assert_eq!(printable("virus \u{3b1}\tfrom \\$"), "virus \u{3b1}\tfrom \\$");
        assert_eq!(
            printable("x\n\r\u{1b}[2J\u{7f}\u{9b}1m\u{202e}\u{2028}\u{2066}\0"),
            r"x\n\r\u{1b}[2J\u{7f}\u{9b}1m\u{202e}\u{2028}\u{2066}\u{0}"
        );
        assert_eq!(printable("b.test.ip4set\nERROR \u{e9}\\ \u{1b}[2J"), "b.test.ip4set\\nERROR \u{e9}\\ \\u{1b}[2J");
        assert_eq!(printable_lines("one\ntwo\u{1b}c"), "one\ntwo\\u{1b}c");
    }
}
