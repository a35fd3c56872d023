//! dnsbld, an authoritative server for DNS blocklists and allowlists.

pub mod net;
pub mod wire;
pub mod zone;
