//! What may be switched off: a text, or `false` for "not at all".

use std::{fmt, net::SocketAddr};

use serde::Deserialize;

use super::{DEFAULT_HTTP, socket_address};

/// A text, or `false`. A number is read as well, so that what is said of it names its key.
#[derive(Debug)]
pub(super) enum Switchable {
    Text(String),
    Number(i64),
    Switch(bool),
}

impl<'de> Deserialize<'de> for Switchable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Switchable;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a text in quotes, or false")
            }

            fn visit_bool<E>(self, switch: bool) -> Result<Switchable, E> {
                Ok(Switchable::Switch(switch))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Switchable, E> {
                Ok(Switchable::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Switchable, E> {
                Ok(Switchable::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Fills a field with what `read` makes of the text; where nothing is said, or `true`, it stays as it is.
pub(super) fn switch<T>(
    field: &mut Option<T>,
    value: Option<Switchable>,
    read: impl FnOnce(String) -> anyhow::Result<T>,
) -> anyhow::Result<()> {
    match value {
        None | Some(Switchable::Switch(true)) => {}
        Some(Switchable::Switch(false)) => *field = None,
        Some(Switchable::Text(text)) => *field = Some(read(text)?),
        Some(Switchable::Number(number)) => {
            anyhow::bail!("expected a text in quotes, or false: write \"{number}\"")
        }
    }
    Ok(())
}

pub(super) fn http_address(spec: &Switchable) -> anyhow::Result<Option<SocketAddr>> {
    let text = match spec {
        Switchable::Switch(false) => return Ok(None),
        Switchable::Switch(true) => anyhow::bail!("must be an address such as {DEFAULT_HTTP:?}, or false"),
        Switchable::Text(text) => text.clone(),
        Switchable::Number(number) => number.to_string(),
    };
    let address = not_off(&text, "address: write false, without quotes, for no HTTP")?;
    socket_address(address).map(Some).map_err(anyhow::Error::msg)
}

/// A text that does not mean "not at all", as it might on a command line.
pub(super) fn not_off<'a>(text: &'a str, hint: &str) -> anyhow::Result<&'a str> {
    anyhow::ensure!(!matches!(text, "off" | "no" | "none" | "false"), "{text:?} is no {hint}");
    Ok(text)
}
