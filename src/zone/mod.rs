//! What is served: zones, their datasets and values. Immutable once built, read by all workers without a lock.

#![forbid(unsafe_code)]

pub mod access;
pub mod addresses;
pub mod apex;
mod catalog;
pub mod dataset;
pub mod difference;
mod halving;
pub mod lifetimes;
pub mod live;
pub mod names;
pub mod nested;
pub mod records;
pub mod ruling;
mod runs;
pub mod shown;
pub mod snapshot;
mod sorting;
pub mod standing;
pub mod subject;
mod translation;
pub mod usual;
pub mod values;
