//! What is served: zones, their datasets and values. Immutable once built, read by all workers without a lock.

pub mod access;
pub mod addresses;
pub mod apex;
pub mod dataset;
pub mod names;
pub mod records;
pub mod ruling;
pub mod standing;
pub mod values;
