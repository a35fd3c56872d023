//! Names as lists of labels, which may hold any octet.

use std::fmt::Write as _;

/// A name, its first label first, without the root.
pub(crate) type Labels = Vec<Vec<u8>>;

/// The labels of a name without escapes.
pub(crate) fn labels(text: &str) -> Labels {
    text.split('.').filter(|label| !label.is_empty()).map(|label| label.as_bytes().to_vec()).collect()
}

/// The reversed octets of an address.
pub(crate) fn octets(address: u32) -> Labels {
    address.to_be_bytes().iter().rev().map(|octet| octet.to_string().into_bytes()).collect()
}

/// The reversed nibbles of an address.
pub(crate) fn nibbles(address: u128) -> Labels {
    (0..32).map(|place| format!("{:x}", address >> (4 * place) & 0xf).into_bytes()).collect()
}

/// One name before another.
pub(crate) fn join(first: &[Vec<u8>], then: &[Vec<u8>]) -> Labels {
    [first, then].concat()
}

/// The name in small letters.
pub(crate) fn lower(name: &[Vec<u8>]) -> Labels {
    name.iter().map(|label| label.to_ascii_lowercase()).collect()
}

/// The name on the wire.
pub(crate) fn wire(name: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label);
    }
    octets.push(0);
    octets
}

/// Whether the name can be asked for at all.
pub(crate) fn is_askable(name: &[Vec<u8>]) -> bool {
    name.iter().all(|label| (1..=63).contains(&label.len())) && wire(name).len() <= 255
}

/// The name as a zone file or a command line takes it.
pub(crate) fn show(name: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for label in name {
        for &octet in label {
            match octet {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                    text.push('\\');
                    text.push(char::from(octet));
                }
                0x21..=0x7e => text.push(char::from(octet)),
                _ => write!(text, "\\{octet:03}").expect("a string takes all"),
            }
        }
        text.push('.');
    }
    if text.is_empty() {
        text.push('.');
    }
    text
}
