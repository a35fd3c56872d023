//! `dnsbld diff`: what would be listed, delisted and changed if one set of files took the place of another, or of what a
//! running server serves; and who might ask then, and who not.

use std::{
    collections::HashSet,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use super::{
    control::StateArgument,
    printable, printable_lines,
    zones_args::{Loaded, Side, is_config},
};
use crate::{
    control::{Answer, Comparison, Request, ToldAmounts, faults},
    live::{
        clock,
        drops::{compare_drops, named_file},
        reloader::DatasetReport,
        zones::DatasetSpec,
    },
    load::{Options, Report, counted},
    zone::{difference::difference, ruling::Context},
};

/// The word for what a running server serves.
pub(super) const RUNNING: &str = "running";

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 nothing changes, 1 something changes, 2 trouble.\n\n\
    Compared are the listings, their values, plain records, and what access lists say of clients and keys; TTLs, times at \
    which listings end, $SOA and $NS are not.\n\n\
    A file or ZONE:TYPE:FILE as NEW is put in its place among the files of OLD, and only its zone is compared, or all zones if \
    it is an access list of all; a folder as NEW is compared as a whole, but with `running` each of its files is put in its \
    place.")]
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

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    // As diff(1): 1 is for differences.
    print(arguments).unwrap_or_else(|error| super::fail_with(2, &error))
}

fn print(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let zones = arguments.state.tell(compare_words(arguments))?;
    let is_same = zones.iter().all(is_same);
    // What is wrong with lines was told.
    arguments.state.print(&Answer::Difference { zones, faults: Vec::new() })?;
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Compares what the two words of a command line name.
fn compare_words(arguments: &Arguments) -> anyhow::Result<Vec<Comparison>> {
    let Arguments { old, new, sort, show, state } = arguments;
    anyhow::ensure!(new != RUNNING, "`{RUNNING}` is what there is, and comes first: dnsbld diff {RUNNING} NEW");
    if let Some(sort) = sort.as_ref().filter(|sort| !sort.contains(':')) {
        anyhow::bail!("--as {sort}: expected ZONE:TYPE, as in bl.example.org:ip4set");
    }
    let side = |word: &String| match sort {
        Some(sort) => Side::named(&format!("{sort}:{word}")),
        None if is_unnamed_file(word) => {
            Side::named(word).map_err(|error| anyhow::anyhow!("{error}, or --as ZONE:TYPE"))
        }
        None => Side::named(word),
    };
    let old = (old != RUNNING).then(|| side(old)).transpose()?;
    compare(old.as_ref(), &side(new)?, *show, state, &mut tell)
}

/// Compares what there is, or what a running server serves, with what is to come. `tell` takes what is wrong with the lines of each
/// dataset that is read for that.
pub(super) fn compare(
    old: Option<&Side>,
    new: &Side,
    show: usize,
    state: &StateArgument,
    tell: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<Comparison>> {
    let Some(old) = old else {
        return match state.request(&Request::Diff { drops: new.drops()?, show })? {
            Answer::Difference { zones, faults } => {
                for text in &faults {
                    tell(text);
                }
                Ok(zones)
            }
            _ => anyhow::bail!("the server answered something else: is it of another version?"),
        };
    };
    let mut tell = |dataset: &DatasetSpec, report: &Report| {
        if let Some(text) = faults(dataset, report) {
            tell(&text);
        }
    };
    if new.is_files() && !old.is_files() {
        let drops = new.drops()?;
        let loaded = Loaded::new(&old.config)?;
        loaded.datasets.iter().for_each(|of| tell(&of.dataset, &of.report));
        let specs = loaded.status.read().specs.clone();
        let options = Options { pipes: true, ..old.config.load.clone() };
        let mut tell_new = |dataset: &DatasetSpec, report: &Report| {
            // Those beside it were told of.
            if specs.iter().all(|spec| spec.dataset != *dataset) {
                tell(dataset, report);
            }
        };
        let differences = compare_drops(&loaded.cell.load(), &specs, &drops, &options, show, &mut tell_new);
        return Ok(differences.map_err(anyhow::Error::msg)?.iter().map(Comparison::from).collect());
    }
    let (old, new) = std::thread::scope(|scope| {
        let old = scope.spawn(|| Loaded::new(&old.config));
        let new = Loaded::new(&new.config);
        (old.join(), new)
    });
    let (old, new) = (old.map_err(|_| anyhow::anyhow!("loading panicked"))??, new?);
    let found = |of: &DatasetReport| (of.dataset.clone(), of.report.to_string());
    let told: HashSet<_> = old.datasets.iter().map(found).collect();
    // What both sides read is told of once.
    let others = new.datasets.iter().filter(|of| !told.contains(&found(of)));
    old.datasets.iter().chain(others).for_each(|of| tell(&of.dataset, &of.report));
    let context = Context { now_s: clock::now_s(), keyed: false };
    let differences = difference(&old.cell.load().snapshot, &new.cell.load().snapshot, &context, show, |_| true);
    let comparisons = differences.iter().map(Comparison::from).collect();
    anyhow::ensure!(!differences.is_empty(), "nothing to compare: access lists alone are no zone");
    // The process ends soon; giving so much memory back piece by piece would take longer than the comparison.
    std::mem::forget((old, new));
    Ok(comparisons)
}

/// Says something on standard error.
fn tell(text: &str) {
    match io::stderr().write_all(printable_lines(&format!("{text}\n")).as_bytes()) {
        Ok(()) | Err(_) => {} // with standard error gone there is nobody left to tell
    }
}

/// Whether a word names a file whose name does not say what it is.
fn is_unnamed_file(word: &str) -> bool {
    let path = Path::new(word);
    !word.contains(':') && !is_config(word) && path.is_file() && named_file(path).is_err()
}

fn is_same(zone: &Comparison) -> bool {
    [&zone.listed, &zone.delisted, &zone.changed].iter().all(|change| change.amounts.count() == 0)
        && zone.access.count() == 0
}

/// Prints differences for people: the totals first.
pub(super) fn show(zones: &[Comparison], out: &mut impl Write) -> io::Result<()> {
    let sum = |of: fn(&Comparison) -> &ToldAmounts| {
        let mut sum = ToldAmounts::default();
        for zone in zones {
            sum.add(of(zone));
        }
        sum
    };
    writeln!(out, "listed:   {}", sum(|zone| &zone.listed.amounts))?;
    writeln!(out, "delisted: {}", sum(|zone| &zone.delisted.amounts))?;
    writeln!(out, "changed:  {}", sum(|zone| &zone.changed.amounts))?;
    match zones.iter().filter(|zone| zone.access.count() > 0).count() {
        0 => writeln!(out, "access:   nothing")?,
        count => writeln!(out, "access:   changes in {}", counted(count, "zone", "zones"))?,
    }
    for zone in zones.iter().filter(|zone| !is_same(zone)) {
        writeln!(out, "{} (before: {})", zone.zone, zone.before)?;
        let access = &zone.access;
        for (sign, word, change) in [
            ('+', "listed", &zone.listed),
            ('-', "delisted", &zone.delisted),
            ('~', "changed", &zone.changed),
            ('@', "clients that find everything listed", &access.all_listed),
            ('@', "clients that find nothing listed", &access.none_listed),
            ('@', "clients refused", &access.refused),
            ('@', "clients ignored", &access.ignored),
            ('@', "clients answered as everybody", &access.answered),
        ] {
            if change.amounts.count() == 0 {
                continue;
            }
            writeln!(out, "  {word}: {} ({:.1}%)", change.amounts, change.share * 100.0)?;
            for item in &change.shown {
                writeln!(out, "  {sign} {}", printable(item))?;
            }
        }
        if access.keys > 0 {
            writeln!(out, "  access keys: {}", access.keys)?;
        }
    }
    Ok(())
}
