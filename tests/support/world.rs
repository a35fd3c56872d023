//! Zones in process: a script's files, loaded and put together by the server's own reloader, and asked with any clock.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use dnsbld::{
    answer::{self, Client, DEFAULT_UDP_PAYLOAD_LEN, Outcome, Policy, Transport},
    live::{
        reloader::{ReloadReport, Reloader, Settings},
        served::Served,
        zones::{ZoneSource, ZoneSpec},
    },
    load,
};

use super::both_ways;

use super::{
    script::{File, NOON, Options, Script, seconds},
    server::write_files,
};

/// What is served, and how the server presents itself.
pub(crate) struct World {
    pub(crate) served: Arc<Served>,
    pub(crate) policy: Policy,
    pub(crate) report: ReloadReport,
}

impl World {
    /// Loads the zones of a script, at its first time.
    pub(crate) fn load(script: &Script) -> Self {
        let now_s = script.steps.first().map_or_else(|| seconds(NOON).expect("noon"), |step| step.now_s);
        Self::of(&script.files, &script.specs, &script.options, now_s)
    }

    /// Loads zones that are given as `ZONE:TYPE:FILES`.
    pub(crate) fn of(files: &[File], specs: &[String], options: &Options, now_s: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_files(folder.path(), files);
        let specs = specs.iter().map(|spec| {
            let mut spec = ZoneSpec::parse(spec).unwrap_or_else(|error| panic!("{error}"));
            for file in &mut spec.dataset.files {
                *file = folder.path().join(&*file);
            }
            spec
        });
        Self::serve(ZoneSource::Specs(specs.collect()), options, now_s)
    }

    fn serve(source: ZoneSource, options: &Options, now_s: u64) -> Self {
        let cell = Arc::new(ArcSwap::from_pointee(Served::default()));
        let report =
            Reloader::new(Settings::new(source, load::Options::default()), Arc::clone(&cell)).reload(now_s, None);
        let policy = Policy {
            udp_payload_len: options.payload_len.unwrap_or(DEFAULT_UDP_PAYLOAD_LEN),
            minimal: options.minimal,
            version: options.version.as_deref().map(Into::into),
            identity: options.identity.as_deref().map(Into::into),
            cookie_secret: *b"a golden secret!",
            leaves_signed: false,
        };
        Self { served: cell.load_full(), policy, report }
    }

    /// Asks, and returns what became of it with the octets of the reply.
    pub(crate) fn ask(&self, address: IpAddr, transport: Transport, now_s: u64, request: &[u8]) -> (Outcome, Vec<u8>) {
        let mut buffer = vec![0; 65_535];
        let world = answer::World {
            snapshot: &self.served.snapshot,
            policy: &self.policy,
            now_s,
            live: dnsbld::zone::live::Live::NONE,
        };
        let outcome = both_ways::answer(world, Client { address, transport }, request, &mut buffer);
        buffer.truncate(outcome.reply_len);
        (outcome, buffer)
    }
}
