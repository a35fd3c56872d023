//! Names in other letters than ASCII's, as queries carry them: each such label in its ASCII form, `xn--` and Punycode (RFC 5890
//! section 2.3.2.1, RFC 3492).
//!
//! This is for messages that say what to write. It lowers letters and leaves the rest of IDNA's mapping to programs for that.

/// Before the Punycode of a label.
const PREFIX: &str = "xn--";

/// The name with its labels in ASCII. `None`: no ASCII form is known.
pub fn ascii_form(name: &str) -> Option<String> {
    let ascii = |label: &str| if label.is_ascii() { Some(label.to_owned()) } else { punycode(&label.to_lowercase()) };
    Some(name.split('.').map(ascii).collect::<Option<Vec<String>>>()?.join("."))
}

/// RFC 3492 section 6.3.
fn punycode(label: &str) -> Option<String> {
    let codes = || label.chars().map(u32::from);
    let mut encoded = String::from(PREFIX);
    encoded.extend(label.chars().filter(char::is_ascii));
    let basic_count = (encoded.len() - PREFIX.len()) as u32;
    if basic_count > 0 {
        encoded.push('-');
    }
    let (mut code, mut delta, mut bias, mut handled) = (128_u32, 0_u32, 72, basic_count);
    while let Some(next) = codes().filter(|&other| other >= code).min() {
        delta = (next - code).checked_mul(handled + 1)?.checked_add(delta)?;
        code = next;
        for other in codes() {
            delta = delta.checked_add(u32::from(other < code))?;
            if other == code {
                push_number(&mut encoded, delta, bias);
                handled += 1;
                bias = adapted(delta, handled, handled == basic_count + 1);
                delta = 0;
            }
        }
        delta = delta.checked_add(1)?;
        code += 1;
    }
    Some(encoded)
}

const BASE: u32 = 36;
const DIGIT_MIN: u32 = 1;
const DIGIT_MAX: u32 = 26;

/// Writes a number of variable length.
fn push_number(encoded: &mut String, mut number: u32, bias: u32) {
    // Letters stand for 0 to 25, then figures.
    let digit = |value: u32| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[value as usize]);
    for place in (BASE..).step_by(BASE as usize) {
        let threshold = place.saturating_sub(bias).clamp(DIGIT_MIN, DIGIT_MAX);
        if number < threshold {
            break;
        }
        encoded.push(digit(threshold + (number - threshold) % (BASE - threshold)));
        number = (number - threshold) / (BASE - threshold);
    }
    encoded.push(digit(number));
}

/// RFC 3492 section 6.1.
fn adapted(delta: u32, handled: u32, is_first: bool) -> u32 {
    const SKEW: u32 = 38;
    const DAMP: u32 = 700;
    let mut delta = delta / if is_first { DAMP } else { 2 };
    delta += delta / handled;
    let mut bias = 0;
    while delta > (BASE - DIGIT_MIN) * DIGIT_MAX / 2 {
        delta /= BASE - DIGIT_MIN;
        bias += BASE;
    }
    bias + (BASE - DIGIT_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_other_letters() {
        for (name, ascii) in [
            ("b\u{fc}cher.de", "xn--bcher-kva.de"),
            ("*.B\u{dc}CHER.de", "*.xn--bcher-kva.de"),
            ("\u{440}\u{444}", "xn--p1ai"),
            (
                "\u{3c0}\u{3b1}\u{3c1}\u{3ac}\u{3b4}\u{3b5}\u{3b9}\u{3b3}\u{3bc}\u{3b1}.example",
                "xn--hxajbheg2az3al.example",
            ),
            ("\u{4f8b}\u{3048}", "xn--r8jz45g"),
            ("plain.example", "plain.example"),
        ] {
            assert_eq!(ascii_form(name).as_deref(), Some(ascii), "{name}");
        }
        // A digit beyond `z`.
        let strange = "\u{43f}\u{43e}\u{447}\u{435}\u{43c}\u{443}\u{436}\u{435}\u{43e}\u{43d}\u{438}\u{43d}\u{435}\u{433}\u{43e}\u{432}\u{43e}\u{440}\u{44f}\u{442}\u{43f}\u{43e}\u{440}\u{443}\u{441}\u{441}\u{43a}\u{438}";
        assert_eq!(ascii_form(strange).as_deref(), Some("xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"));
        assert!(ascii_form(&"\u{10ffff}".repeat(63)).is_some());
    }
}
