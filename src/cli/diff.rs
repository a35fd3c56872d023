//! `dnsbld diff`: what would be listed, delisted and changed if one set of files took the place of another, or of what a
//! running server serves.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use super::{
    control::StateArgument,
    printable,
    zones_args::{Loaded, config_of, is_config},
};
use crate::{
    config::Config,
    control::{Answer, Comparison, Request, ToldAmounts},
    live::{
        clock,
        drops::{Drop, compare_drops, drops, drops_of, named_file},
        zones::{ZoneSource, ZoneSpec},
    },
    load::Options,
    zone::{difference::difference, ruling::Context},
};

/// The word for what a running server serves.
pub(super) const RUNNING: &str = "running";

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 nothing changes, 1 something changes, 2 trouble.\n\n\
    A file or ZONE:TYPE:FILE as NEW is put in its place among the files of OLD, and only its zone is compared; a folder as NEW \
    is compared as a whole, but with `running` each of its files is put in its place.")]
pub(super) struct Arguments {
    /// What there is: `running`, a folder, a file named ZONE.TYPE, ZONE:TYPE:FILE, or a configuration file
    old: String,
    /// What is to come: a folder, a file named ZONE.TYPE, ZONE:TYPE:FILE, or a configuration file
    new: String,
    /// Both are files of this zone and type, whatever they are called
    #[arg(long = "as", value_name = "ZONE:TYPE")]
    sort: Option<String>,
    /// How many changes of each kind are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,
    #[command(flatten)]
    state: StateArgument,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let zones = match &arguments.sort {
        Some(sort) => {
            let spec = |file: &str| format!("{sort}:{file}");
            let old = if arguments.old == RUNNING { RUNNING.to_owned() } else { spec(&arguments.old) };
            compare(&old, &spec(&arguments.new), arguments.show, &arguments.state)
        }
        None => compare(&arguments.old, &arguments.new, arguments.show, &arguments.state),
    };
    // As diff(1): 1 is for differences.
    let zones = match zones {
        Ok(zones) => zones,
        Err(error) => {
            return Ok(super::fail_for_arguments(&error));
        }
    };
    let is_same = zones.iter().all(is_same);
    let answer = Answer::Difference { zones };
    arguments.state.print(&answer)?;
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Compares what two words name.
pub(super) fn compare(old: &str, new: &str, show: usize, state: &StateArgument) -> anyhow::Result<Vec<Comparison>> {
    anyhow::ensure!(new != RUNNING, "`{RUNNING}` is what there is, and comes first: dnsbld diff {RUNNING} NEW");
    if old == RUNNING {
        let drops = if is_config(new) { drops_of(&Config::from_file(Path::new(new))?.zones) } else { drops(new) };
        let request = Request::Diff { drops: drops.map_err(anyhow::Error::msg)?, show };
        return match state.request(&request)? {
            Answer::Difference { zones } => Ok(zones),
            Answer::Error { text } => anyhow::bail!("{text}"),
            _ => anyhow::bail!("the server answered something else: is it of another version?"),
        };
    }
    let (old_config, new_config) = (named_config(old)?, named_config(new)?);
    let is_drop = is_one_file(new) && !is_one_file(old);
    if is_drop {
        let drops: Vec<Drop> = drops(new).map_err(anyhow::Error::msg)?;
        let loaded = Loaded::new(&old_config)?;
        let specs: Vec<ZoneSpec> = loaded.status.read().specs.clone();
        let options = Options { pipes: true, ..old_config.load.clone() };
        let differences = compare_drops(&loaded.cell.load(), &specs, &drops, &options, show);
        return Ok(differences.map_err(anyhow::Error::msg)?.iter().map(Comparison::from).collect());
    }
    let (old, new) = std::thread::scope(|scope| {
        let old = scope.spawn(|| Loaded::new(&old_config));
        let new = Loaded::new(&new_config);
        (old.join(), new)
    });
    let (old, new) = (old.map_err(|_| anyhow::anyhow!("loading panicked"))??, new?);
    let context = Context { now_s: clock::now_s(), keyed: false };
    let differences = difference(&old.cell.load().snapshot, &new.cell.load().snapshot, &context, show, |_| true);
    let comparisons = differences.iter().map(Comparison::from).collect();
    // The process ends soon; giving so much memory back piece by piece would take longer than the comparison.
    std::mem::forget((old, new));
    Ok(comparisons)
}

/// Whether a word names one dataset, and not a whole server's.
fn is_one_file(word: &str) -> bool {
    word.contains(':') || Path::new(word).is_file() && !is_config(word)
}

fn named_config(word: &str) -> anyhow::Result<Config> {
    if is_one_file(word) && !word.contains(':') {
        let spec = named_file(Path::new(word)).map_err(|error| anyhow::anyhow!("{error}, or --as ZONE:TYPE"))?;
        return Ok(Config::serving(ZoneSource::Specs(vec![spec])));
    }
    config_of(&[word.to_owned()])
}

fn is_same(zone: &Comparison) -> bool {
    [&zone.listed, &zone.delisted, &zone.changed].iter().all(|change| change.amounts.count() == 0)
}

/// Prints differences for people: the totals first.
pub(super) fn show(zones: &[Comparison], out: &mut impl Write) -> io::Result<()> {
    let sum = |of: fn(&Comparison) -> &ToldAmounts| {
        let mut sum = ToldAmounts { v6: "0".to_owned(), ..ToldAmounts::default() };
        for zone in zones {
            sum.add(of(zone));
        }
        sum
    };
    writeln!(out, "listed:   {}", sum(|zone| &zone.listed.amounts))?;
    writeln!(out, "delisted: {}", sum(|zone| &zone.delisted.amounts))?;
    writeln!(out, "changed:  {}", sum(|zone| &zone.changed.amounts))?;
    for zone in zones.iter().filter(|zone| !is_same(zone)) {
        writeln!(out, "{} (before: {})", zone.zone, zone.before)?;
        for (sign, word, change) in
            [('+', "listed", &zone.listed), ('-', "delisted", &zone.delisted), ('~', "changed", &zone.changed)]
        {
            if change.amounts.count() == 0 {
                continue;
            }
            writeln!(out, "  {word}: {} ({:.1}%)", change.amounts, change.share * 100.0)?;
            for item in &change.shown {
                writeln!(out, "  {sign} {}", printable(item))?;
            }
        }
    }
    Ok(())
}
