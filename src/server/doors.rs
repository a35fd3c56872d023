//! The doors for changing live listings by message: bound with the other sockets, opened when there is something to change.

use std::sync::Arc;

use anyhow::Context as _;
use tracing::{info, warn};

use crate::{
    answer::Policy,
    config::{Config, DatagramSocket, TOKENS_WITHOUT_HTTP, doors_to_nothing},
    control::{api, rspamd, tally::Tally, update},
    live::{
        listings::{Door, Listings, StoreError},
        served::{Cell, LiveCell},
    },
};

/// Binds the socket for datagrams, if one is configured.
///
/// # Errors
/// Names the address or path.
pub(super) fn bind(config: &Config) -> anyhow::Result<Option<rspamd::Socket>> {
    let Some(datagrams) = &config.doors.datagrams else { return Ok(None) };
    let bound = match &datagrams.socket {
        DatagramSocket::Udp(address) => rspamd::Socket::udp(*address),
        DatagramSocket::Unix { path, mode } => rspamd::Socket::unix(path, *mode),
    };
    let socket = bound.with_context(|| format!("cannot take datagrams at {}", datagrams.socket))?;
    info!("updates by datagram at {}", datagrams.socket);
    Ok(Some(socket))
}

/// The doors that others must know of.
pub(super) struct Open {
    /// Where workers leave updates and signed queries.
    pub(super) updates: Option<update::Inbox>,
    /// What HTTP serves besides metrics.
    pub(super) api: Option<api::Desk>,
    /// What came in by them.
    pub(super) tally: Arc<Tally>,
}

/// Opens what is configured. Without a store for live listings, updates are answered SERVFAIL, what comes by HTTP is told why,
/// and no datagrams are taken.
///
/// # Errors
/// When the system gives no threads.
pub(super) fn open(
    config: &Config,
    datagrams: Option<rspamd::Socket>,
    (cell, live): (&Cell, &LiveCell),
    policy: &Policy,
    listings: Result<Listings, StoreError>,
    note: update::Note,
) -> anyhow::Result<Open> {
    let doors = &config.doors;
    if let Err(why) = listings.as_ref()
        && doors.is_any()
    {
        warn!("{}", doors_to_nothing(why));
    }
    if !doors.tokens.is_empty() && config.http.is_none() {
        warn!("{TOKENS_WITHOUT_HTTP}");
    }
    let tally = Arc::new(Tally::default());
    let mut open = Open { updates: None, api: None, tally: Arc::clone(&tally) };
    if !doors.keys.is_empty() {
        tally.open(Door::DnsUpdate);
        let policy = Policy { leaves_signed: false, ..policy.clone() };
        let (keys, cell, live) = (doors.keys.clone(), Arc::clone(cell), Arc::clone(live));
        let desk =
            update::Desk { keys, cell, live, policy, listings: listings.clone().ok(), tally: Arc::clone(&tally), note };
        open.updates = Some(update::serve(desk).context("cannot start the thread for updates")?);
    }
    if !doors.tokens.is_empty() {
        tally.open(Door::Http);
        let tally = Arc::clone(&tally);
        open.api = Some(api::Desk::new(doors.tokens.clone(), Arc::clone(cell), listings.clone(), tally));
    }
    let Ok(listings) = listings else { return Ok(open) };
    tally.open(Door::Command);
    if let (Some(socket), Some(configured)) = (datagrams, &doors.datagrams) {
        tally.open(Door::Rspamd);
        let (cell, scope) = (Arc::clone(cell), configured.scope.clone());
        let desk = rspamd::Desk { cell, listings, scope, tally };
        // It was bound before the process was confined.
        let socket = if config.process.chroot.is_some() { socket.out_of_reach() } else { socket };
        rspamd::serve(socket, desk).context("cannot start the thread for datagrams")?;
    }
    Ok(open)
}
