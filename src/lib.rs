//! dnsbld, an authoritative server for DNS blocklists and allowlists.

pub mod answer;
pub mod load;
pub mod wire;
pub mod zone;
