//! Who may change what by message: secrets as they are kept, and the zones that each opens.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::tsig::Algorithm;
use crate::wire::name::Name;

/// Which zones may be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every zone.
    All,
    /// These.
    Zones(Vec<Name>),
}

impl Scope {
    /// Whether a zone is among them.
    pub fn admits(&self, zone: &Name) -> bool {
        match self {
            Self::All => true,
            Self::Zones(zones) => zones.contains(zone),
        }
    }
}

/// Shortest secret of a key, in octets, and shortest token, in characters: what is shorter can be guessed.
pub const SECRET_MIN_LEN: usize = 16;

/// The tokens that open HTTP's door. Only their hashes are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    name: String,
    hash: [u8; 32],
    scope: Scope,
}

impl Tokens {
    /// Adds one.
    pub fn add(&mut self, name: String, secret: &str, scope: Scope) {
        self.0.push(Token { name, hash: Sha256::digest(secret).into(), scope });
    }

    /// Whether there are none, and the door is shut.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose a token is, by its name, and what it opens. All are compared whole, so that the time tells nothing.
    pub fn holder(&self, secret: &str) -> Option<(&str, &Scope)> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let mut holder = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&hash)) {
                holder = Some((&*token.name, &token.scope));
            }
        }
        holder
    }
}

/// A secret as a file or a configuration gives it.
#[derive(PartialEq, Eq)]
pub struct ReadSecret {
    /// The key's name, if the file says so.
    pub name: Option<String>,
    /// What is done with it, if the file says so.
    pub algorithm: Option<Algorithm>,
    /// The secret itself.
    pub octets: Box<[u8]>,
}

/// Reads a secret: a file as `tsig-keygen` writes it (`key "NAME" { algorithm ...; secret "..."; };`), or bare base64.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_secret(text: &str) -> Result<ReadSecret, String> {
    let bare: String = text.split_whitespace().collect();
    let mut read = ReadSecret { name: None, algorithm: None, octets: Box::default() };
    let octets = match STANDARD.decode(bare) {
        Ok(octets) => octets,
        Err(_) => read_clause(text, &mut read)?,
    };
    if octets.is_empty() {
        return Err("the secret is empty; `tsig-keygen NAME` makes a good one".to_owned());
    }
    if octets.len() < SECRET_MIN_LEN {
        return Err(format!("the secret has less than {SECRET_MIN_LEN} octets; `tsig-keygen NAME` makes a good one"));
    }
    read.octets = octets.into();
    Ok(read)
}

/// Reads the clause of one key, and returns the secret.
fn read_clause(text: &str, read: &mut ReadSecret) -> Result<Vec<u8>, String> {
    let words = words(text)?;
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("key") {
        return Err("the secret is neither base64 nor a key clause (key \"NAME\" { ... };)".to_owned());
    }
    read.name = Some(words.next().ok_or("a key without a name")?.to_owned());
    let mut base64 = None;
    while let Some(word) = words.next() {
        match word {
            "algorithm" => {
                let name = words.next().unwrap_or_default();
                read.algorithm = Some(Algorithm::named(name).ok_or_else(|| unknown_algorithm(name))?);
            }
            "secret" => base64 = words.next(),
            "{" | "}" | ";" => {}
            other => return Err(format!("`{other}` in a key file: expected algorithm or secret of one key")),
        }
    }
    STANDARD.decode(base64.ok_or("a key without a secret")?).map_err(|_| "the secret is not base64".to_owned())
}

/// What to say of an algorithm that is not taken.
pub fn unknown_algorithm(name: &str) -> String {
    format!("algorithm `{name}` is not taken: expected hmac-sha256, hmac-sha384 or hmac-sha512")
}

/// The words of a key file, without comments; quotes may stand around a word.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("/*") {
            rest = rest.split_once("*/").ok_or("a comment without an end")?.1;
        } else if first == '#' || rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"').ok_or("a quote without an end")?;
            found.push(word.to_owned());
            rest = after;
        } else if matches!(first, '{' | '}' | ';') {
            found.push(first.to_string());
            rest = &rest[1..];
        } else if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
        } else {
            let end =
                rest.find(|letter: char| letter.is_whitespace() || "{};\"#".contains(letter)).unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_of_bind() {
        let text = "// made by tsig-keygen\nkey \"fail2ban\" {\n\talgorithm hmac-sha256; # the usual\n\tsecret \"MDEyMzQ1Njc4OWFiY2RlZg==\";\n};\n";
        let read = read_secret(text).expect("a key");
        assert_eq!((read.name.as_deref(), read.algorithm), (Some("fail2ban"), Some(Algorithm::HmacSha256)));
        assert_eq!(&*read.octets, b"0123456789abcdef");
        let read = read_secret("MDEyMzQ1Njc4OWFi\nY2RlZg==\n").expect("bare base64");
        assert_eq!((read.name, read.algorithm, &*read.octets), (None, None, &b"0123456789abcdef"[..]));
        let unquoted = read_secret("/* x */ key a { secret MDEyMzQ1Njc4OWFiY2RlZg==; };").expect("a key");
        assert_eq!(unquoted.name.as_deref(), Some("a"));
        assert!(read_secret("////////////////////////").is_ok(), "base64 may look like a comment");
    }

    #[test]
    fn mistakes_in_key_files() {
        let mistake = |text: &str| read_secret(text).err().unwrap_or_default();
        assert!(mistake("key a { algorithm hmac-md5; secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };").contains("hmac-md5"));
        assert!(mistake(" \n").contains("the secret is empty"));
        assert!(mistake("key a { algorithm hmac-sha256; };").contains("without a secret"));
        assert!(mistake("not/base64!").contains("base64"));
        assert!(mistake("c2hvcnQ=").contains("tsig-keygen"));
        assert!(mistake("key \"a").contains("quote"));
        assert!(mistake("key a { secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; }; key b {};").contains("`key`"));
    }

    #[test]
    fn tokens_open_what_they_may() {
        let mut tokens = Tokens::default();
        assert!(tokens.is_empty() && tokens.holder("").is_none());
        let zone = Name::parse(b"bl.example").expect("a name");
        tokens.add("scanner".to_owned(), "0123456789abcdef", Scope::Zones(vec![zone.clone()]));
        tokens.add("boss".to_owned(), "fedcba9876543210", Scope::All);
        let (name, scope) = tokens.holder("0123456789abcdef").expect("known");
        assert_eq!(name, "scanner");
        assert!(scope.admits(&zone) && !scope.admits(&Name::root()));
        assert!(tokens.holder("fedcba9876543210").is_some_and(|(_, scope)| scope.admits(&Name::root())));
        assert!(tokens.holder("0123456789abcde").is_none());
        assert!(!format!("{tokens:?}").contains("0123456789abcdef"));
    }
}
