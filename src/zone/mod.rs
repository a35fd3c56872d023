//! What is served: zones, their datasets and values. Immutable once built, read by all workers without a lock.

pub mod addresses;
pub mod names;
pub mod ruling;
pub mod standing;
pub mod values;
