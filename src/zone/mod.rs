//! What is served: zones, their datasets and values. Immutable once built, read by all workers without a lock.

pub mod ruling;
pub mod values;
