//! Files that are to be dropped: what would be served if they lay where they belong.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    assembly::{GoodData, assemble},
    clock,
    loading::{Task, load_all},
    refusal::{Judged, ReloadRules},
    served::{LiveSlots, Served},
    zones::{DatasetSpec, ZoneSource, ZoneSpec, read_file_name, take_lone_access_lists},
};
use crate::{
    load::{Options, PACKED, Report},
    wire::name::Name,
    zone::{
        difference::{Difference, difference},
        ruling::Context,
        snapshot::Snapshot,
    },
};

/// A dataset that is to be dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    /// Its zone; none if it is an access list of all zones.
    zone: Option<String>,
    /// Its type.
    kind: String,
    /// Its files, by absolute paths.
    files: Vec<PathBuf>,
    /// Its file's name says what it is, and so which file it takes the place of.
    is_named: bool,
}

/// What a configuration serves, as drops: its folder's files by their names, or its specifications.
///
/// # Errors
/// When the folder cannot be read.
pub fn drops_of(source: &ZoneSource) -> Result<Vec<Drop>, String> {
    let specs = source.list_or_say()?.specs;
    let is_named = matches!(source, ZoneSource::Folder(_));
    specs.iter().map(|spec| Drop::new(spec, is_named)).collect()
}

/// The dataset that a file is, by its name.
///
/// # Errors
/// When its name does not say.
pub fn named_file(path: &Path) -> Result<ZoneSpec, String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (zone, kind) = read_file_name(name)
        .map_err(|reason| format!("{}: {reason}; or say what it is: ZONE:TYPE:FILE", path.display()))?;
    Ok(ZoneSpec { zone, dataset: DatasetSpec { kind, files: vec![path.to_owned()] } })
}

impl Drop {
    /// What a specification drops; `is_named` if its file's name says what it is.
    ///
    /// # Errors
    /// In words for whoever gave it.
    pub fn new(spec: &ZoneSpec, is_named: bool) -> Result<Self, String> {
        let zone = spec.zone.as_ref().map(ToString::to_string);
        let absolute =
            |file: &PathBuf| std::path::absolute(file).map_err(|error| format!("{}: {error}", file.display()));
        let files = spec.dataset.files.iter().map(absolute).collect::<Result<_, _>>()?;
        Ok(Self { zone, kind: spec.dataset.kind.to_string(), files, is_named })
    }

    /// Whether it drops that dataset.
    pub fn is_of(&self, dataset: &DatasetSpec) -> bool {
        self.files == dataset.files && self.kind == dataset.kind.to_string()
    }

    fn spec(&self) -> Result<ZoneSpec, String> {
        let parse = |zone: &String| Name::parse(zone.as_bytes()).map_err(|error| format!("{zone}: {error}"));
        let zone = self.zone.as_ref().map(parse).transpose()?;
        let kind = self.kind.parse().map_err(|error| format!("{error}"))?;
        Ok(ZoneSpec { zone, dataset: DatasetSpec { kind, files: self.files.clone() } })
    }

    /// Whether it takes the place of a dataset: the one whose file is called the same, compressed or not, or if nothing is
    /// called after its zone, the one of its type.
    fn replaces(&self, own: &ZoneSpec, other: &ZoneSpec) -> bool {
        let bare = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            PACKED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned()
        };
        let is_of_its_sort = own.zone == other.zone && own.dataset.kind == other.dataset.kind;
        is_of_its_sort
            && (!self.is_named
                || own.dataset.files.iter().any(|file| other.dataset.files.iter().any(|old| bare(old) == bare(file))))
    }
}

/// The specifications with drops in their places, of those zones only that any drop is for, and of all zones' access lists.
fn with_drops(specs: &[ZoneSpec], drops: &[Drop]) -> Result<Vec<ZoneSpec>, String> {
    let own = drops.iter().map(Drop::spec).collect::<Result<Vec<_>, _>>()?;
    let is_of_their_zones = |spec: &ZoneSpec| own.iter().any(|own| own.zone == spec.zone);
    let is_replaced = |spec: &ZoneSpec| drops.iter().zip(&own).any(|(drop, own)| drop.replaces(own, spec));
    // Access lists matter: without theirs, zones are not served.
    let is_left = |spec: &&ZoneSpec| (is_of_their_zones(spec) || spec.zone.is_none()) && !is_replaced(spec);
    let mut specs: Vec<ZoneSpec> = specs.iter().filter(is_left).chain(&own).cloned().collect();
    // They are not served, of which `check` and `status` tell; but somebody asked, and it is no answer that nothing changes.
    let lone = take_lone_access_lists(&mut specs);
    let is_lone = |spec: &ZoneSpec| spec.dataset.files.iter().all(|file| lone.iter().any(|(lone, _)| lone == file));
    match lone.first() {
        Some((file, reason)) if own.iter().all(is_lone) => Err(format!("{}: {reason}", file.display())),
        _ => Ok(specs),
    }
}

/// What would be served if a drop is an access list of all zones: those that no drop is for go on behind it.
fn with_others(dropped: Snapshot, served: &Snapshot) -> Snapshot {
    let others = served.zones().iter().filter(|zone| dropped.zone(&zone.apex).is_none());
    let zones = dropped.zones().iter().chain(others).cloned().collect();
    Snapshot::new(zones, dropped.acl, dropped.keys)
}

/// What would change if files were dropped now, of the zones that they are for, or of all if one is an access list of all; so many
/// changes of a kind to be shown. `tell` takes what was found in each dataset.
///
/// # Errors
/// When a file cannot be loaded, or is an access list that would not be served.
pub fn compare_drops(
    served: &Served,
    specs: &[ZoneSpec],
    drops: &[Drop],
    options: &Options,
    shown_max: usize,
    tell: &mut dyn FnMut(&DatasetSpec, &Report),
) -> Result<Vec<Difference>, String> {
    let specs = with_drops(specs, drops)?;
    let options = Options { now_s: clock::now_s(), ..options.clone() };
    let dropped = load_aside(&specs, &options, tell)?;
    let context = Context { now_s: options.now_s, keyed: false };
    let is_of_all = drops.iter().any(|drop| drop.zone.is_none());
    let dropped = if is_of_all { with_others(dropped, &served.snapshot) } else { dropped };
    let is_wanted = |apex: &Name| is_of_all || specs.iter().any(|spec| spec.zone.as_ref() == Some(apex));
    Ok(difference(&served.snapshot, &dropped, &context, shown_max, is_wanted))
}

/// What would be served of specifications. Nothing is served of it, so no log tells of it.
fn load_aside(
    specs: &[ZoneSpec],
    options: &Options,
    tell: &mut dyn FnMut(&DatasetSpec, &Report),
) -> Result<Snapshot, String> {
    let mut known = HashSet::new();
    let datasets = specs.iter().map(|spec| &spec.dataset).filter(|dataset| known.insert(*dataset));
    let all_files = |dataset: &DatasetSpec| dataset.files.iter().cloned().map(Some).collect();
    let tasks: Vec<_> = datasets.map(|dataset| Task::new(dataset, all_files(dataset))).collect();
    let loadings = load_all(&tasks, options, &Arc::default(), &mut || {});
    let mut good = GoodData::new();
    for (Task { dataset, .. }, loading) in tasks.iter().zip(&loadings) {
        tell(dataset, &loading.report);
        let of_dataset = |why: &str| format!("{dataset}: {why}");
        let loaded = loading.result.as_ref().map_err(|failure| of_dataset(&failure.text))?;
        // Half an access list opens what it closes. What breaks another rule can be compared.
        let (report, now_s) = (&loading.report, options.now_s);
        let broken = ReloadRules::none().judge(&Judged {
            loaded,
            report,
            old_entries: None,
            loses_soa: false,
            servers: &[],
            now_s,
        });
        if let Some(breach) = broken.first() {
            return Err(of_dataset(&format!("refused: {breach}")));
        }
        good.insert(dataset, (loaded, loading.newest_s));
    }
    Ok(assemble(specs, &good, &LiveSlots::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(words: &[&str]) -> Vec<ZoneSpec> {
        words.iter().map(|word| ZoneSpec::parse(word).expect(word)).collect()
    }

    fn shown(specs: &[ZoneSpec]) -> Vec<String> {
        specs.iter().map(|spec| spec.dataset.to_string()).collect()
    }

    #[test]
    fn a_drop_takes_the_place_of_its_like() {
        let before = specs(&[
            "bl.example:ip4set:/zones/bl.example.ip4set.gz",
            "bl.example:ip4set:/zones/bl.example.ip4set.traps",
            "bl.example:generic:/zones/bl.example.generic",
            "other.example:ip4set:/zones/other.example.ip4set",
            ":acl:/zones/@.acl",
        ]);
        let named = Drop::new(&specs(&["bl.example:ip4set:/tmp/bl.example.ip4set"])[0], true).expect("a drop");
        assert_eq!(
            shown(&with_drops(&before, &[named]).expect("specifications")),
            [
                "ip4set:/zones/bl.example.ip4set.traps",
                "generic:/zones/bl.example.generic",
                "acl:/zones/@.acl",
                "ip4set:/tmp/bl.example.ip4set"
            ]
        );
        let given = Drop::new(&specs(&["bl.example:ip4set:/tmp/x"])[0], false).expect("a drop");
        assert_eq!(
            shown(&with_drops(&before, &[given]).expect("specifications")),
            ["generic:/zones/bl.example.generic", "acl:/zones/@.acl", "ip4set:/tmp/x"]
        );
        let new = Drop::new(&specs(&["bl.example:dnset:/tmp/bl.example.dnset"])[0], true).expect("a drop");
        assert_eq!(with_drops(&before, &[new]).expect("specifications").len(), 5);
        // Each of several does, and none takes that of another.
        let several = specs(&["bl.example:ip4set:/tmp/x", "bl.example:ip4set:/tmp/y"]);
        let several: Vec<_> = several.iter().map(|spec| Drop::new(spec, false).expect("a drop")).collect();
        assert_eq!(
            shown(&with_drops(&before, &several).expect("specifications")),
            ["generic:/zones/bl.example.generic", "acl:/zones/@.acl", "ip4set:/tmp/x", "ip4set:/tmp/y"]
        );
    }
}
