//! Live listings in a running server: opened before anything is answered, closed when nothing is any more.

use std::{collections::HashSet, path::Path};

use tracing::{error, info, warn};

use crate::{
    config::Config,
    live::listings::{Listings, Places, Settings, StoreError, WITHOUT_LISTINGS},
    load::counted,
    wire::name::Name,
};

/// Opens the store in the state folder and serves what is in it. Without it the server runs, and takes no live listings: what
/// the files say is answered all the same.
///
/// # Errors
/// Says why there is none; so does the log.
pub(super) fn open(config: &Config, state: &Path, places: Places) -> Result<Listings, StoreError> {
    let settings = Settings {
        rules: config.listings.rules.clone(),
        ttl_s: config.load.default_ttl_s,
        history_s: config.listings.history_s,
        history_max_bytes: config.listings.history_max_bytes,
        ..Settings::new(state.to_owned())
    };
    let live = places.live.clone();
    let opened = Listings::open(settings, places);
    match &opened {
        Ok(listings) => {
            let (count, exclusion_count) = live.load().counts();
            if count > 0 {
                info!("{}, {exclusion_count} of them exclusions", counted(count, "live listing", "live listings"));
            }
            if let Some(why) = listings.alarm().filter(|_| listings.waits()) {
                error!("{why}; until that ends, {WITHOUT_LISTINGS}, and /readyz answers 503");
            }
        }
        Err(why) => error!("{why}; {WITHOUT_LISTINGS}"),
    }
    opened
}

/// Says which zones are not served although something is listed in them by command, since it was last looked: that is kept, and
/// nobody is told of it.
pub(super) fn tell_unserved(listings: &Listings, known: &mut HashSet<Name>) {
    /// A hosting provider has thousands.
    const NAMED: usize = 20;
    let unserved = listings.unserved();
    let news = unserved.iter().filter(|zone| !known.contains(*zone)).filter_map(|zone| {
        let count = listings.count_in_force(zone);
        (count > 0).then(|| format!("{zone} ({count})"))
    });
    let news: Vec<String> = news.collect();
    if !news.is_empty() {
        let more = match news.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        warn!(
            "live listings of zones that are not served are kept, and nobody is told of them until their zones are served again: \
             {}{more} (`dnsbld listings export` writes them)",
            news[..news.len().min(NAMED)].join(", ")
        );
    }
    *known = unserved.into_iter().collect();
}
