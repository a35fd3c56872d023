//! dnsbld, an authoritative server for DNS blocklists and allowlists.

pub mod load;
pub mod wire;
pub mod zone;
