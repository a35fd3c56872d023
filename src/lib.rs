//! dnsbld, an authoritative server for DNS blocklists and allowlists.

pub mod answer;
pub mod cli;
pub mod config;
pub mod live;
pub mod load;
pub mod metrics;
pub mod net;
pub mod server;
pub mod wire;
pub mod zone;
