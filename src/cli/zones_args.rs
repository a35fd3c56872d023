//! The arguments that say which zones a command is about: a folder, specifications, or a configuration file.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::{
    config::{Config, Oddity},
    live::{
        clock,
        drops::{Drop, drops_of, named_file},
        reloader::{DatasetReport, Reloader, Settings},
        served::Cell,
        status::SharedStatus,
        zones::{ZoneSource, ZoneSpec, check},
    },
    load::Options,
    server::progress::Bar,
};

#[derive(Debug, clap::Args)]
pub(super) struct ZonesArguments {
    /// A folder of files named ZONE.TYPE[.anything][.gz|.zst], such files, or specifications ZONE:TYPE:FILE,FILE as rbldnsd
    /// takes them
    #[arg(value_name = "FOLDER|FILE|ZONE:TYPE:FILE", required_unless_present = "config")]
    zones: Vec<String>,
    /// Read what to serve and how from this file (see deploy/dnsbld.toml); an option beside it counts instead of what it says
    #[arg(long, value_name = "FILE", conflicts_with = "zones")]
    config: Option<PathBuf>,
    /// Take prefixes whose address has bits beyond their length, such as 192.0.2.1/24
    #[arg(long)]
    allow_host_bits: bool,
}

/// How a command that serves nothing loads: nothing is kept, and there may be pipes, as `<(...)` is one in a shell.
pub(super) fn reloader_settings(config: &Config) -> Settings {
    let (rules, named_zones) = (config.rules.clone(), config.named_zones.clone());
    let options = Options { pipes: true, ..config.load.clone() };
    Settings { rules, is_all_or_none: true, named_zones, ..Settings::new(config.zones.clone(), options) }
}

impl ZonesArguments {
    /// The configuration that the arguments make.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::from_file(path)?,
            None => Config::serving(source(&self.zones)?),
        };
        check_all(&config)?;
        config.load.allow_host_bits |= self.allow_host_bits;
        config.oddities.extend(self.zones.iter().filter_map(|word| doubled_dots(word)));
        Ok(config)
    }

    /// What the arguments name, as it is compared.
    pub(super) fn side(&self) -> anyhow::Result<Side> {
        Ok(Side { config: self.config()?, files: files(&self.zones) })
    }

    /// What a word names that this is compared with, loaded in the same way.
    pub(super) fn other_side(&self, word: &str) -> anyhow::Result<Side> {
        let mut side = Side::named(word)?;
        side.config.load.allow_host_bits |= self.allow_host_bits;
        Ok(side)
    }
}

/// One side of a comparison.
pub(super) struct Side {
    /// All that it serves.
    pub(super) config: Config,
    /// The words that name files, if such are named and not all that is served: those take the place of others.
    files: Vec<String>,
}

impl Side {
    /// What a word names; files of it may lack what they are to stand beside.
    pub(super) fn named(word: &str) -> anyhow::Result<Self> {
        let words = [word.to_owned()];
        Ok(Self { config: config_of(&words)?, files: files(&words) })
    }

    /// Whether it is files, and not all that is served.
    pub(super) fn is_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// What takes which places.
    pub(super) fn drops(&self) -> anyhow::Result<Vec<Drop>> {
        let drops = match &self.config.zones {
            // Each word is one of them.
            ZoneSource::Specs(specs) if self.is_files() => {
                specs.iter().zip(&self.files).map(|(spec, word)| Drop::new(spec, !word.contains(':'))).collect()
            }
            zones => drops_of(zones),
        };
        let drops = drops.map_err(anyhow::Error::msg)?;
        anyhow::ensure!(!drops.is_empty(), "nothing to compare: {}", none_named(&self.config.zones));
        Ok(drops)
    }
}

/// Those of some words that name files: all, or none if it is a folder or a configuration.
fn files(words: &[String]) -> Vec<String> {
    match words {
        [only] if is_config(only) || Path::new(only).is_dir() => Vec::new(),
        _ => words.to_vec(),
    }
}

/// What words on a command line name: a folder, zone files, specifications, or a configuration file.
///
/// # Errors
/// Names the word that is none of these.
pub(super) fn config_of(words: &[String]) -> anyhow::Result<Config> {
    match words {
        [only] if is_config(only) => Config::from_file(Path::new(only)),
        _ => source(words).map(Config::serving),
    }
}

/// Whether a word names a configuration file.
pub(super) fn is_config(word: &str) -> bool {
    Path::new(word).extension().is_some_and(|end| end == "toml")
}

fn source(words: &[String]) -> anyhow::Result<ZoneSource> {
    if let [only] = words
        && Path::new(only).is_dir()
    {
        return Ok(ZoneSource::Folder(PathBuf::from(only)));
    }
    if let Some(folder) = words.iter().find(|text| !text.contains(':') && Path::new(text).is_dir()) {
        bail!("{folder}: one folder can be served, and not beside specifications; put the files into one folder");
    }
    let specs = words.iter().map(|word| specification(word)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(ZoneSource::Specs(specs))
}

/// What is odd about a specification whose zone has dots without a label between, which are left out as rbldnsd does.
fn doubled_dots(word: &str) -> Option<Oddity> {
    let (zone, _) = word.split_once(':')?;
    let labels = || zone.split('.').filter(|label| !label.is_empty());
    // Without any it is an access list for all zones, or of the root.
    let is_odd = labels().next().is_some() && zone.trim_end_matches('.').split('.').count() > labels().count();
    let text =
        || format!("dots without a label between are left out: the zone is {}", labels().collect::<Vec<_>>().join("."));
    is_odd.then(|| Oddity { place: word.to_owned(), text: text() })
}

/// Whether what words name can be served together.
fn check_all(config: &Config) -> anyhow::Result<()> {
    if let ZoneSource::Specs(specs) = &config.zones {
        check(specs)?;
    }
    Ok(())
}

/// Why there is no zone.
pub(super) fn none_named(zones: &ZoneSource) -> String {
    match zones {
        ZoneSource::Folder(folder) => {
            format!("no file in {} is named ZONE.TYPE, as in bl.example.org.ip4set", folder.display())
        }
        ZoneSource::Specs(_) => "access lists alone are no zone".to_owned(),
    }
}

/// What a word names that is no folder.
fn specification(word: &str) -> anyhow::Result<ZoneSpec> {
    if word.contains(':') {
        return Ok(ZoneSpec::parse(word)?);
    }
    let path = Path::new(word);
    if !path.is_file() {
        let why = if path.exists() { "neither a folder nor a file named ZONE.TYPE" } else { "no such folder or file" };
        bail!("{word}: {why}; give a folder of zone files, files named ZONE.TYPE, or ZONE:TYPE:FILE");
    }
    anyhow::ensure!(
        !is_config(word),
        "{word}: a configuration file stands by itself, behind --config where there is that option"
    );
    named_file(path).map_err(anyhow::Error::msg)
}

/// Zones that were loaded as the server would load them, for a command that serves nothing.
pub(super) struct Loaded {
    /// What would be served.
    pub(super) cell: Cell,
    /// Where it comes from.
    pub(super) status: SharedStatus,
    /// What was found in each dataset.
    pub(super) datasets: Vec<DatasetReport>,
}

impl Loaded {
    /// Loads.
    ///
    /// # Errors
    /// When a dataset cannot be loaded, or there is none.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        check_all(config)?;
        config.zones.list_or_say().map_err(anyhow::Error::msg)?;
        let cell = Cell::default();
        let mut reloader = Reloader::new(reloader_settings(config), cell.clone());
        let bar = Bar::start(reloader.progress());
        let report = reloader.reload(clock::now_s());
        bar.finish();
        if let Some((dataset, failure)) =
            report.datasets.iter().find_map(|dataset| Some((&dataset.dataset, dataset.failure.as_ref()?)))
        {
            bail!("{dataset}: {failure}");
        }
        anyhow::ensure!(!report.datasets.is_empty(), "nothing to read: {}", none_named(&config.zones));
        Ok(Self { cell, status: reloader.status(), datasets: report.datasets })
    }
}
