//! What changes while the server runs: which files there are, what was loaded from them, and what is served.
//!
//! ```text
//! zones.rs     what is to be served: folders and specifications become (zone, type, files)
//! reloader.rs  which of those files changed; loads them aside, keeps what is good, publishes
//! served.rs    the one pointer that workers read
//! watch.rs     who says that something may have changed: the kernel, a signal, the clock
//! ```

pub mod clock;
pub mod reloader;
pub mod served;
pub mod watch;
pub mod zones;
