//! When a reload is refused, as the file describes it.

use anyhow::Context as _;
use ipnet::IpNet;
use serde::Deserialize;

use super::{place::AtKey as _, set};
use crate::live::{listings::Key, refusal::ReloadRules};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ReloadSpec {
    min_share: Option<f64>,
    floor: Option<usize>,
    max_address_share: Option<f64>,
    max_bad_share: Option<f64>,
    never_list: Option<Vec<String>>,
    refuse_own_servers: Option<bool>,
    refuse_cut_short: Option<bool>,
    refuse_lost_soa: Option<bool>,
    keep_max_bytes: Option<u64>,
}

impl ReloadSpec {
    pub(super) fn apply(self, rules: &mut ReloadRules, kept_max_bytes: &mut u64) -> anyhow::Result<()> {
        for (field, share, key) in [
            (&mut rules.min_share, self.min_share, "min-share"),
            (&mut rules.max_address_share, self.max_address_share, "max-address-share"),
            (&mut rules.max_bad_share, self.max_bad_share, "max-bad-share"),
        ] {
            let is_share = share.is_none_or(|share| (0.0..=1.0).contains(&share));
            is_share.then_some(()).context("must be 0 to 1, as in 0.5 for the half").at_key(key)?;
            set(field, share);
        }
        set(&mut rules.floor_entries, self.floor);
        if let Some(texts) = self.never_list {
            let prefixes = texts.iter().map(|text| prefix(text));
            rules.never_list = prefixes.collect::<Result<_, _>>().at_key("never-list")?;
        }
        set(&mut rules.refuse_own_servers, self.refuse_own_servers);
        set(&mut rules.refuse_cut_short, self.refuse_cut_short);
        set(&mut rules.refuse_lost_soa, self.refuse_lost_soa);
        set(kept_max_bytes, self.keep_max_bytes);
        Ok(())
    }
}

/// An address or a prefix, as live listings take them.
fn prefix(text: &str) -> anyhow::Result<IpNet> {
    match text.parse().map_err(anyhow::Error::msg)? {
        Key::Prefix(prefix) => Ok(prefix),
        Key::Name { .. } => {
            anyhow::bail!("{text:?} is neither an address nor a prefix, as in 192.0.2.1 or 192.0.2.0/24")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_listed_is_written_as_for_listings() {
        let read = |text: &str| {
            let mut rules = ReloadRules::default();
            let spec: ReloadSpec = toml::from_str(&format!("never-list = [{text}]")).expect(text);
            spec.apply(&mut rules, &mut 0).map(|()| rules.never_list).map_err(|error| format!("{error:#}"))
        };
        let prefixes = ["192.0.2.1/32", "198.51.100.0/24", "2001:db8::/32"].map(|text| text.parse().expect("a prefix"));
        assert_eq!(read("'192.0.2.1', '198.51.100.0/24', '2001:db8::/32'"), Ok(prefixes.to_vec()));
        assert!(read("'192.0.2.1/24'").is_err_and(|error| error.contains("did you mean 192.0.2.0/24?")));
        assert!(read("'example.com'").is_err_and(|error| error.contains("neither an address nor a prefix")));
    }
}
