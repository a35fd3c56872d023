//! The arguments that say which zones a command is about: a folder, specifications, or a configuration file.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::{
    config::Config,
    live::{
        reloader::Settings,
        zones::{ZoneSource, ZoneSpec, check},
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct ZonesArguments {
    /// A folder of files named ZONE.TYPE[.anything][.gz|.zst], or specifications ZONE:TYPE:FILE,FILE as rbldnsd takes them
    #[arg(value_name = "FOLDER|ZONE:TYPE:FILE", required_unless_present = "config")]
    zones: Vec<String>,
    /// Read everything from this file (see deploy/dnsbld.toml)
    #[arg(long, value_name = "FILE", conflicts_with = "zones")]
    config: Option<PathBuf>,
    /// Take prefixes whose address has bits beyond their length, such as 192.0.2.1/24
    #[arg(long)]
    allow_host_bits: bool,
}

/// How a command that serves nothing loads: nothing is kept.
pub(super) fn reloader_settings(config: &Config) -> Settings {
    Settings { rules: config.rules.clone(), ..Settings::new(config.zones.clone(), config.load.clone()) }
}

impl ZonesArguments {
    /// The configuration that the arguments make.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::from_file(path)?,
            None => Config::serving(self.source()?),
        };
        config.load.allow_host_bits |= self.allow_host_bits;
        Ok(config)
    }

    fn source(&self) -> anyhow::Result<ZoneSource> {
        if let [only] = self.zones.as_slice() {
            let path = Path::new(only);
            if path.is_dir() {
                return Ok(ZoneSource::Folder(path.to_owned()));
            }
            if !only.contains(':') {
                bail!("{only}: no such folder; give a folder of zone files or ZONE:TYPE:FILE");
            }
        }
        if let Some(folder) = self.zones.iter().find(|text| !text.contains(':') && Path::new(text).is_dir()) {
            bail!("{folder}: one folder can be served, and not beside specifications; put the files into one folder");
        }
        let specs = self.zones.iter().map(|text| ZoneSpec::parse(text)).collect::<Result<Vec<_>, _>>()?;
        check(&specs)?;
        Ok(ZoneSource::Specs(specs))
    }
}
