//! What several kinds of tests share: messages as text, scripts, zones in process, and servers as processes.

#![allow(dead_code)] // each test binary uses a part of it

pub(crate) mod both_ways;
pub(crate) mod daemon;
pub(crate) mod happening;
pub(crate) mod message;
pub(crate) mod question;
pub(crate) mod reader;
pub(crate) mod script;
pub(crate) mod server;
pub(crate) mod world;
