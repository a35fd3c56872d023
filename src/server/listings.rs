//! Live listings in a running server: opened before anything is answered, closed when nothing is any more.

use std::path::Path;

use tracing::{error, info};

use crate::{
    config::Config,
    live::listings::{Listings, Places, Settings, StoreError, WITHOUT_LISTINGS},
    load::counted,
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
